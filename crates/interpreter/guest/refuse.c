/* Errors of the encoder: each has a code, names the place in the value and says what to do instead. */

/* Writes `n` with separators: 1,200,000. */
static const char *lw_grouped(char out[28], uint64_t n)
{
    char *p = out + 27;
    int digits = 0;
    *p = 0;
    do {
        if (digits && digits % 3 == 0)
            *--p = ',';
        *--p = '0' + n % 10;
        n /= 10;
        digits++;
    } while (n);
    return p;
}

/* `items[3].when`; "value" at the root. Long paths are cut in the middle of nowhere but never overflow. */
static uint32_t lw_write_path(const LwPath *path, char *out, uint32_t size)
{
    uint32_t n = path->parent ? lw_write_path(path->parent, out, size) : 0;
    char name[ATOM_GET_STR_BUF_SIZE];
    if (n + 16 >= size)
        return n;
    if (path->key == JS_ATOM_NULL)
        return n + snprintf(out + n, size - n, "[%u]", path->index);
    JS_AtomGetStr(lw_ctx, name, sizeof(name), path->key);
    n += snprintf(out + n, size - n, "%s%s", n ? "." : "", name);
    return n < size ? n : size - 1;
}

static void lw_set_text(JSContext *ctx, JSValueConst error, const char *name, const char *text)
{
    JSValue value = JS_NewString(ctx, text);
    if (JS_IsException(value) || JS_DefinePropertyValueStr(ctx, error, name, value, JS_PROP_C_W_E) < 0)
        JS_FreeValue(ctx, JS_GetException(ctx)); /* the error itself still goes out */
}

/* Throws a TypeError with `code` and `hint`; returns -1. */
static int lw_throw(JSContext *ctx, const char *code, const char *hint, const char *message)
{
    JSValue error;
    JS_ThrowTypeError(ctx, "%s", message);
    if (JS_IsUncatchableError(lw_rt->current_exception))
        return -1;
    error = JS_GetException(ctx);
    if (JS_IsObject(error)) {
        lw_set_text(ctx, error, "code", code);
        if (hint)
            lw_set_text(ctx, error, "hint", hint);
    }
    JS_Throw(ctx, error);
    return -1;
}

/* `items[3].when` is a Promise: await it first */
static int lw_refuse(JSContext *ctx, const LwPath *path, const char *what, const char *advice)
{
    char message[200], where[96];
    uint32_t n = path ? lw_write_path(path, where, sizeof(where)) : 0;
    if (n)
        snprintf(message, sizeof(message), "`%s` is %s: %s", where, what, advice);
    else
        snprintf(message, sizeof(message), "the value is %s: %s", what, advice);
    return lw_throw(ctx, "LW0201", "only JSON crosses between program and host", message);
}

static int lw_refuse_size(JSContext *ctx, uint64_t size, bool at_least)
{
    char message[120], a[28], b[28];
    snprintf(message, sizeof(message), "value is %s%s bytes (limit %s): return a path or a summary",
             at_least ? "more than " : "", lw_grouped(a, size), lw_grouped(b, lw_control.value_bytes));
    return lw_throw(ctx, "LW0202", "write it to a file and pass the path, or raise `guest.value_bytes_max`", message);
}

static int lw_refuse_depth(JSContext *ctx)
{
    char message[120], a[28];
    snprintf(message, sizeof(message), "value is nested deeper than %s levels: flatten it",
             lw_grouped(a, lw_control.value_depth));
    return lw_throw(ctx, "LW0203", "raise `guest.value_depth_max` if the depth is meant", message);
}

static int lw_refuse_keys(JSContext *ctx)
{
    char message[120], a[28];
    snprintf(message, sizeof(message), "value has more than %s members: pass a part or a summary",
             lw_grouped(a, lw_control.value_keys));
    return lw_throw(ctx, "LW0204", "write it to a file and pass the path, or raise `guest.value_keys_max`", message);
}
