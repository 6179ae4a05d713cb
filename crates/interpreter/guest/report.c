/* Thrown values as error JSON, and promises that nobody handled. Anything may be thrown, so each field is
 * text made with care: what throws while it is read becomes `<unprintable>`. */

#define LW_TEXT_MAX 16384u /* of a message or a stack, in bytes */

/* A member of an error as an owned string, cut to a bound; undefined when absent or not text-like. */
static JSValue lw_error_text(JSContext *ctx, JSValueConst error, const char *name, bool *broken)
{
    JSValue value = JS_GetPropertyStr(ctx, error, name), text = JS_UNDEFINED;
    if (!JS_IsException(value) && !JS_IsUndefined(value) && !JS_IsNull(value))
        text = JS_IsSymbol(value) ? JS_EXCEPTION : JS_ToString(ctx, value);
    if (JS_IsException(value) || JS_IsException(text)) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        *broken = true;
        text = JS_UNDEFINED;
    }
    JS_FreeValue(ctx, value);
    return text;
}

/* `,"name":"…"`: the text is cut at `max` units and says how many are missing. */
static int lw_put_field(JSContext *ctx, LwEncoder *e, const char *name, JSValueConst text, uint32_t max)
{
    JSValue flat = js_force_tostring(ctx, text);
    uint32_t missing = 0;
    char rest[48] = "";
    int r;
    if (JS_IsException(flat))
        return -1;
    if (JS_VALUE_GET_STRING(flat)->len > max) {
        JSValue cut = js_sub_string(ctx, JS_VALUE_GET_STRING(flat), 0, max);
        missing = JS_VALUE_GET_STRING(flat)->len - max;
        JS_FreeValue(ctx, flat);
        flat = cut;
        if (JS_IsException(flat))
            return -1;
        snprintf(rest, sizeof(rest), " [%u more characters]", missing);
    }
    r = lw_put_text(ctx, e, e->len ? ",\"" : "{\"") || lw_put_text(ctx, e, name) || lw_put_text(ctx, e, "\":\"") ||
        lw_put_string_body(ctx, e, JS_VALUE_GET_STRING(flat)) || lw_put_text(ctx, e, rest) || lw_put_text(ctx, e, "\"");
    JS_FreeValue(ctx, flat);
    return r ? -1 : 0;
}

static int lw_put_literal(JSContext *ctx, LwEncoder *e, const char *name, const char *text)
{
    JSValue value = JS_NewString(ctx, text);
    int r = JS_IsException(value) ? -1 : lw_put_field(ctx, e, name, value, LW_TEXT_MAX);
    JS_FreeValue(ctx, value);
    return r;
}

/* Thrown data that is no Error: its text, or its JSON when it is an object. */
static int lw_put_thrown(JSContext *ctx, LwEncoder *e, JSValueConst thrown)
{
    JSValue text = JS_UNDEFINED;
    LwEncoder json;
    int r;
    if (!JS_IsObject(thrown)) {
        text = JS_IsSymbol(thrown) ? JS_NewString(ctx, "a symbol") : JS_ToString(ctx, thrown);
    } else if (!lw_encode(ctx, &json, thrown)) {
        text = JS_NewStringLen(ctx, (char *)json.bytes, json.len);
        lw_encoder_free(&json);
    } else {
        text = JS_EXCEPTION;
    }
    if (JS_IsException(text)) {
        JS_FreeValue(ctx, JS_GetException(ctx));
        return lw_put_literal(ctx, e, "message", "<unprintable>");
    }
    r = lw_put_field(ctx, e, "message", text, LW_TEXT_MAX);
    JS_FreeValue(ctx, text);
    return r;
}

static int lw_put_error(JSContext *ctx, LwEncoder *e, JSValueConst thrown)
{
    static const char *const rest[] = {"stack", "code", "hint", "reason"};
    bool broken = false;
    JSValue name = JS_UNDEFINED, message = JS_UNDEFINED;
    int r;
    if (JS_IsObject(thrown)) {
        name = lw_error_text(ctx, thrown, "name", &broken);
        message = lw_error_text(ctx, thrown, "message", &broken);
    }
    r = JS_IsUndefined(name) || broken ? lw_put_literal(ctx, e, "name", "Error") : lw_put_field(ctx, e, "name", name, 256);
    if (!r && broken)
        r = lw_put_literal(ctx, e, "message", "<unprintable>");
    else if (!r && JS_IsUndefined(message))
        r = JS_IsError(thrown) ? lw_put_literal(ctx, e, "message", "") : lw_put_thrown(ctx, e, thrown);
    else if (!r)
        r = lw_put_field(ctx, e, "message", message, LW_TEXT_MAX);
    JS_FreeValue(ctx, name);
    JS_FreeValue(ctx, message);
    for (size_t i = 0; !r && i < countof(rest) && JS_IsObject(thrown); i++) {
        JSValue text = lw_error_text(ctx, thrown, rest[i], &broken);
        if (!JS_IsUndefined(text))
            r = lw_put_field(ctx, e, rest[i], text, i ? 1024 : LW_TEXT_MAX);
        JS_FreeValue(ctx, text);
    }
    return r ? r : lw_put_text(ctx, e, "}");
}

/* Writes an error record at its own position, else at the one given. */
static void lw_report(JSContext *ctx, uint32_t kind, JSValueConst thrown, uint32_t line, uint32_t column)
{
    LwEncoder e = {.limit = UINT32_MAX}; /* fields are bounded by themselves */
    lw_error_position(thrown, &line, &column);
    if (lw_put_error(ctx, &e, thrown) || lw_record_at(ctx, kind, 0, 0, line, column, e.bytes, e.len))
        JS_FreeValue(ctx, JS_GetException(ctx)); /* only a stop: lw_control.stop says which */
    lw_encoder_free(&e);
}

/* Rejected promises, looked at again when the pump ends: one that is handled by then is forgotten. */
typedef struct {
    JSValue promise;
    uint32_t line, column;
} LwRejection;

static LwRejection *lw_rejections;
static uint32_t lw_rejection_count, lw_rejection_capacity;

static void lw_on_rejection(JSContext *ctx, JSValueConst promise, JSValueConst reason, bool handled, void *opaque)
{
    LwRejection *r;
    if (handled)
        return;
    if (lw_rejection_count == lw_rejection_capacity) {
        uint32_t capacity = lw_rejection_capacity + lw_rejection_capacity / 2 + 8;
        r = js_realloc_rt(lw_rt, lw_rejections, capacity * sizeof(*r));
        if (!r)
            return; /* memory has run out: the guest is stopping */
        lw_rejections = r;
        lw_rejection_capacity = capacity;
    }
    r = &lw_rejections[lw_rejection_count++];
    r->promise = js_dup(promise);
    lw_where(&r->line, &r->column);
}

/* Reports what is still unhandled, except `except`; the author's getters may run and reject more. */
static void lw_flush_rejections(JSContext *ctx, JSValueConst except)
{
    LwRejection *list = lw_rejections;
    uint32_t count = lw_rejection_count, i;
    lw_rejections = NULL;
    lw_rejection_count = lw_rejection_capacity = 0;
    for (i = 0; i < count; i++) {
        JSPromiseData *data = JS_GetOpaque(list[i].promise, JS_CLASS_PROMISE);
        if (data && !data->is_handled && !js_same_value(ctx, list[i].promise, except)) {
            JSValue reason = js_dup(data->promise_result);
            data->is_handled = true; /* reported once */
            lw_report(ctx, LW_UNHANDLED, reason, list[i].line, list[i].column);
            JS_FreeValue(ctx, reason);
        }
        JS_FreeValue(ctx, list[i].promise);
    }
    js_free_rt(lw_rt, list);
}
