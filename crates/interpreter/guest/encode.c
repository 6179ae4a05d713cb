/* A value becomes one bounded JSON byte string. Getters, `toJSON` and proxies are the author's code: they
 * run under gas, may call back into the bridge and may change what is being encoded, so nothing is kept
 * across them but values that are owned here. Rules and limits: docs/design/bridge.md, "Encoder". */

typedef struct {
    uint8_t *bytes;
    uint32_t len; /* bytes written */
    uint32_t capacity;
    uint32_t keys;
    uint32_t limit; /* in bytes */
    uint64_t size;  /* bytes wanted; more than `len` once over the limit */
} LwEncoder;

/* The way from the root to a value, for cycles and for error messages; lives on the stack. */
typedef struct LwPath {
    const struct LwPath *parent;
    JSObject *object;
    JSAtom key; /* the member being encoded, JS_ATOM_NULL in an array */
    uint32_t index;
    uint32_t depth;
} LwPath;

/* An over-long value is still measured up to this many times its limit, so that the error can say its size. */
#define LW_MEASURED_TIMES 32

static bool lw_is_hopeless(const LwEncoder *e)
{
    return e->size > (uint64_t)e->limit * LW_MEASURED_TIMES;
}

static void lw_encoder_free(LwEncoder *e)
{
    js_free_rt(lw_rt, e->bytes);
    *e = (LwEncoder){0};
}

static int lw_encoder_grow(JSContext *ctx, LwEncoder *e, uint32_t more)
{
    uint32_t capacity = e->capacity + e->capacity / 2;
    uint8_t *bytes;
    if (capacity < e->len + more)
        capacity = e->len + more + 64;
    bytes = js_realloc(ctx, e->bytes, capacity);
    if (!bytes)
        return -1;
    e->bytes = bytes;
    e->capacity = capacity;
    return 0;
}

/* Appends; past the limit it only counts. */
static int lw_put(JSContext *ctx, LwEncoder *e, const void *bytes, uint32_t n)
{
    e->size += n;
    if (e->size > e->limit)
        return 0;
    if (n > e->capacity - e->len && lw_encoder_grow(ctx, e, n))
        return -1;
    memcpy(e->bytes + e->len, bytes, n);
    e->len += n;
    return 0;
}

static int lw_put_text(JSContext *ctx, LwEncoder *e, const char *text) { return lw_put(ctx, e, text, strlen(text)); }

/* One UTF-16 unit or pair as JSON text; returns the units read. A lone surrogate becomes U+FFFD. */
static int lw_escape(const JSString *s, uint32_t at, char out[8], uint32_t *n)
{
    static const char hex[] = "0123456789abcdef";
    uint32_t c = s->is_wide_char ? str16((JSString *)s)[at] : str8((JSString *)s)[at];
    int read = 1;
    const char *shorts = "\b\f\n\r\t", *names = "bfnrt", *found;
    if (c == '"' || c == '\\') {
        out[0] = '\\', out[1] = c, *n = 2;
    } else if (c < 0x20 && c && (found = strchr(shorts, c))) {
        out[0] = '\\', out[1] = names[found - shorts], *n = 2;
    } else if (c < 0x20) {
        memcpy(out, "\\u00", 4), out[4] = hex[c >> 4], out[5] = hex[c & 15], *n = 6;
    } else {
        if (is_hi_surrogate(c) && at + 1 < s->len && is_lo_surrogate(str16((JSString *)s)[at + 1])) {
            c = from_surrogate(c, str16((JSString *)s)[at + 1]);
            read = 2;
        } else if (c >= 0xd800 && c < 0xe000) {
            c = 0xfffd;
        }
        *n = utf8_encode((uint8_t *)out, c);
    }
    return read;
}

static int lw_put_string_body(JSContext *ctx, LwEncoder *e, JSString *s)
{
    uint32_t i = 0, from = 0, n;
    char out[8];
    while (i < s->len && !lw_is_hopeless(e)) {
        uint32_t c = s->is_wide_char ? str16(s)[i] : str8(s)[i];
        if (!s->is_wide_char && c >= 0x20 && c < 0x80 && c != '"' && c != '\\') {
            i++; /* runs of plain ASCII are copied at once */
            continue;
        }
        if (!s->is_wide_char && i > from && lw_put(ctx, e, str8(s) + from, i - from))
            return -1;
        i += lw_escape(s, i, out, &n);
        from = i;
        if (lw_put(ctx, e, out, n))
            return -1;
    }
    if (!s->is_wide_char && i > from)
        return lw_put(ctx, e, str8(s) + from, i - from);
    return 0;
}

/* `value` must be a string. */
static int lw_put_string(JSContext *ctx, LwEncoder *e, JSValueConst value)
{
    JSValue flat = js_force_tostring(ctx, value);
    int r;
    if (JS_IsException(flat))
        return -1;
    r = lw_put_text(ctx, e, "\"") || lw_put_string_body(ctx, e, JS_VALUE_GET_STRING(flat)) ||
        lw_put_text(ctx, e, "\"");
    JS_FreeValue(ctx, flat);
    return r ? -1 : 0;
}

static int lw_put_atom(JSContext *ctx, LwEncoder *e, JSAtom atom)
{
    JSValue text = JS_AtomToString(ctx, atom);
    int r;
    if (JS_IsException(text))
        return -1;
    r = lw_put_string(ctx, e, text);
    JS_FreeValue(ctx, text);
    return r;
}

#include "refuse.c"

static int lw_encode_value(JSContext *ctx, LwEncoder *e, JSValueConst value, const LwPath *path);

static int lw_encode_number(JSContext *ctx, LwEncoder *e, JSValueConst value, const LwPath *path)
{
    char out[32];
    double d;
    if (JS_VALUE_GET_TAG(value) == JS_TAG_INT)
        return lw_put(ctx, e, out, snprintf(out, sizeof(out), "%d", JS_VALUE_GET_INT(value)));
    d = JS_VALUE_GET_FLOAT64(value);
    if (isnan(d))
        return lw_refuse(ctx, path, "NaN", "use null or leave it out");
    if (isinf(d))
        return lw_refuse(ctx, path, d < 0 ? "-Infinity" : "Infinity", "use null or leave it out");
    JSValue text = js_dtoa2(ctx, d, 10, 0, JS_DTOA_FORMAT_FREE);
    int r;
    if (JS_IsException(text))
        return -1;
    r = lw_put(ctx, e, str8(JS_VALUE_GET_STRING(text)), JS_VALUE_GET_STRING(text)->len);
    JS_FreeValue(ctx, text);
    return r;
}

/* What an object is when it is no JSON, and what to do about it; NULL when it may be. */
static const char *lw_object_kind(JSContext *ctx, JSValueConst value, const char **advice)
{
    *advice = "only JSON can cross";
    switch (JS_VALUE_GET_OBJ(value)->class_id) {
    case JS_CLASS_PROMISE:
        *advice = "await it first";
        return "a Promise";
    case JS_CLASS_MAP:
        *advice = "use Object.fromEntries(map) or [...map]";
        return "a Map";
    case JS_CLASS_SET:
        *advice = "use [...set]";
        return "a Set";
    case JS_CLASS_WEAKMAP:
        return "a WeakMap";
    case JS_CLASS_WEAKSET:
        return "a WeakSet";
    case JS_CLASS_REGEXP:
        *advice = "use its `source`";
        return "a RegExp";
    case JS_CLASS_GENERATOR:
    case JS_CLASS_ASYNC_GENERATOR:
        *advice = "collect its values first";
        return "a generator";
    case JS_CLASS_BIG_INT:
        *advice = "use Number(x) or String(x)";
        return "a BigInt";
    case JS_CLASS_SYMBOL:
        return "a symbol";
    default:
        break;
    }
    if (JS_IsArrayBuffer(value) || JS_GetTypedArrayType(value) >= 0 || JS_IsDataView(value)) {
        *advice = "use [...bytes] or text";
        return "a buffer";
    }
    if (JS_IsFunction(ctx, value)) {
        *advice = "call it and pass what it returns";
        return "a function";
    }
    return NULL;
}

static int lw_count_key(JSContext *ctx, LwEncoder *e)
{
    return ++e->keys > lw_control.value_keys ? lw_refuse_keys(ctx) : 0;
}

static int lw_encode_array(JSContext *ctx, LwEncoder *e, JSValueConst array, LwPath *path)
{
    int64_t length, i;
    if (js_get_length64(ctx, &length, array))
        return -1;
    if (length > (int64_t)lw_control.value_keys - e->keys)
        return lw_refuse_keys(ctx);
    if (lw_put_text(ctx, e, "["))
        return -1;
    for (i = 0; i < length; i++) {
        JSValue item = JS_GetPropertyInt64(ctx, array, i);
        int r;
        if (JS_IsException(item))
            return -1;
        path->index = i;
        r = lw_count_key(ctx, e) || (i && lw_put_text(ctx, e, ",")) || lw_encode_value(ctx, e, item, path);
        JS_FreeValue(ctx, item);
        if (r)
            return -1;
    }
    return lw_put_text(ctx, e, "]");
}

static int lw_encode_members(JSContext *ctx, LwEncoder *e, JSValueConst object, LwPath *path)
{
    JSPropertyEnum *names;
    uint32_t count, i, written = 0;
    int r = -1;
    if (JS_GetOwnPropertyNames(ctx, &names, &count, object, JS_GPN_STRING_MASK | JS_GPN_ENUM_ONLY))
        return -1;
    if (count > lw_control.value_keys - e->keys) {
        lw_refuse_keys(ctx);
        goto done;
    }
    if (lw_put_text(ctx, e, "{"))
        goto done;
    for (i = 0; i < count; i++) {
        JSValue value = JS_GetProperty(ctx, object, names[i].atom);
        int failed;
        if (JS_IsException(value))
            goto done;
        if (JS_IsUndefined(value))
            continue;
        path->key = names[i].atom;
        failed = lw_count_key(ctx, e) || (written++ && lw_put_text(ctx, e, ",")) ||
                 lw_put_atom(ctx, e, names[i].atom) || lw_put_text(ctx, e, ":") ||
                 lw_encode_value(ctx, e, value, path);
        JS_FreeValue(ctx, value);
        if (failed)
            goto done;
    }
    r = lw_put_text(ctx, e, "}");
done:
    JS_FreePropertyEnum(ctx, names, count);
    return r;
}

/* `{"name","message"}`: read like any other members, so a getter of the author's may run. */
static int lw_encode_error(JSContext *ctx, LwEncoder *e, JSValueConst error)
{
    static const char *const fields[2] = {"name", "message"};
    for (int i = 0; i < 2; i++) {
        JSValue value = JS_GetPropertyStr(ctx, error, fields[i]), text;
        int failed;
        if (JS_IsException(value))
            return -1;
        text = JS_IsUndefined(value) ? JS_NewString(ctx, "") : JS_ToString(ctx, value);
        JS_FreeValue(ctx, value);
        if (JS_IsException(text))
            return -1;
        failed = lw_put_text(ctx, e, i ? ",\"message\":" : "{\"name\":") || lw_put_string(ctx, e, text);
        JS_FreeValue(ctx, text);
        if (failed)
            return -1;
    }
    return lw_put_text(ctx, e, "}");
}

static int lw_encode_object(JSContext *ctx, LwEncoder *e, JSValueConst value, const LwPath *parent)
{
    LwPath path = {.parent = parent, .object = JS_VALUE_GET_OBJ(value), .depth = parent ? parent->depth + 1 : 1};
    const char *kind, *advice;
    const LwPath *p;
    int is_array;

    if (path.depth > lw_control.value_depth)
        return lw_refuse_depth(ctx);
    for (p = parent; p; p = p->parent)
        if (p->object == path.object)
            return lw_refuse(ctx, parent, "a cycle", "it contains itself");
    if ((kind = lw_object_kind(ctx, value, &advice)))
        return lw_refuse(ctx, parent, kind, advice);
    if (JS_IsError(value))
        return lw_encode_error(ctx, e, value);
    is_array = js_is_array(ctx, value);
    if (is_array < 0)
        return -1;
    return is_array ? lw_encode_array(ctx, e, value, &path) : lw_encode_members(ctx, e, value, &path);
}

/* Calls `toJSON` when there is one; the result is owned. */
static JSValue lw_to_json(JSContext *ctx, JSValueConst value, const LwPath *path)
{
    JSValue method = JS_GetPropertyStr(ctx, value, "toJSON"), key, result;
    if (JS_IsException(method))
        return method;
    if (!JS_IsFunction(ctx, method)) {
        JS_FreeValue(ctx, method);
        return js_dup(value);
    }
    if (!path)
        key = JS_NewString(ctx, "");
    else if (path->key == JS_ATOM_NULL)
        key = JS_ToString(ctx, js_uint32(path->index));
    else
        key = JS_AtomToString(ctx, path->key);
    result = JS_IsException(key) ? JS_EXCEPTION : JS_Call(ctx, method, value, 1, vc(&key));
    JS_FreeValue(ctx, key);
    JS_FreeValue(ctx, method);
    return result;
}

/* Number, String and Boolean objects count as what they hold. */
static JSValueConst lw_unboxed(JSValueConst value)
{
    JSObject *p = JS_VALUE_GET_OBJ(value);
    switch (p->class_id) {
    case JS_CLASS_NUMBER:
    case JS_CLASS_STRING:
    case JS_CLASS_BOOLEAN:
        return p->u.object_data;
    default:
        return value;
    }
}

/* Appends `value`; 0 or -1 after throwing. */
static int lw_encode_value(JSContext *ctx, LwEncoder *e, JSValueConst value, const LwPath *path)
{
    JSValue owned = JS_UNDEFINED;
    int r;

    if (js_check_stack_overflow(ctx->rt, 1024)) {
        JS_ThrowStackOverflow(ctx);
        return -1;
    }
    if (lw_is_hopeless(e))
        return lw_refuse_size(ctx, e->size, true);
    if (JS_IsObject(value)) {
        owned = lw_to_json(ctx, value, path);
        if (JS_IsException(owned))
            return -1;
        value = JS_IsObject(owned) ? lw_unboxed(owned) : owned;
    }
    switch (JS_VALUE_GET_NORM_TAG(value)) {
    case JS_TAG_NULL:
    case JS_TAG_UNDEFINED: /* in an array or at the root */
        r = lw_put_text(ctx, e, "null");
        break;
    case JS_TAG_BOOL:
        r = lw_put_text(ctx, e, JS_VALUE_GET_BOOL(value) ? "true" : "false");
        break;
    case JS_TAG_INT:
    case JS_TAG_FLOAT64:
        r = lw_encode_number(ctx, e, value, path);
        break;
    case JS_TAG_STRING:
    case JS_TAG_STRING_ROPE:
        r = lw_put_string(ctx, e, value);
        break;
    case JS_TAG_OBJECT:
        r = lw_encode_object(ctx, e, value, path);
        break;
    case JS_TAG_BIG_INT:
    case JS_TAG_SHORT_BIG_INT:
        r = lw_refuse(ctx, path, "a BigInt", "use Number(x) or String(x)");
        break;
    case JS_TAG_SYMBOL:
        r = lw_refuse(ctx, path, "a symbol", "use its description");
        break;
    default:
        r = lw_refuse(ctx, path, "not a value", "only JSON can cross");
    }
    JS_FreeValue(ctx, owned);
    return r;
}

/* Encodes into a fresh encoder that the caller frees; 0 or -1 after throwing. */
static int lw_encode(JSContext *ctx, LwEncoder *e, JSValueConst value)
{
    *e = (LwEncoder){.limit = lw_control.value_bytes};
    if (!lw_encode_value(ctx, e, value, NULL)) {
        if (e->size <= e->limit)
            return 0;
        lw_refuse_size(ctx, e->size, false);
    }
    lw_encoder_free(e);
    return -1;
}
