/* What the prelude gets from C: `globalThis.__lw`, which it deletes at image time. Also what programs do
 * not get: `eval`, threads, weak references, a real clock. */

/* Math.random: xorshift64*, seeded by the host. */
static JSValue lw_native_random(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint64_t x = lw_control.rng ? lw_control.rng : 1;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    lw_control.rng = x;
    return js_float64((double)(x * 0x2545F4914F6CDD1Dull >> 11) * 0x1p-53);
}

static JSValue lw_native_encode(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    LwEncoder e;
    JSValue text;
    if (lw_encode(ctx, &e, argv[0]))
        return JS_EXCEPTION;
    text = JS_NewStringLen(ctx, (char *)e.bytes, e.len);
    lw_encoder_free(&e);
    return text;
}

static JSValue lw_native_note(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    LwEncoder e;
    int r;
    if (lw_encode(ctx, &e, argv[0]))
        return JS_EXCEPTION;
    r = lw_record(ctx, LW_NOTE, 0, 0, e.bytes, e.len);
    lw_encoder_free(&e);
    return r ? JS_EXCEPTION : JS_UNDEFINED;
}

/* log(level, text): a text over the value limit is cut, never refused. */
static JSValue lw_native_log(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    LwEncoder e = {.limit = UINT32_MAX};
    JSValue level = JS_ToString(ctx, argv[0]), text = JS_EXCEPTION;
    int r = -1;
    if (!JS_IsException(level))
        text = JS_ToString(ctx, argv[1]);
    if (!JS_IsException(text))
        r = lw_put_field(ctx, &e, "level", level, 64) || lw_put_field(ctx, &e, "text", text, lw_control.value_bytes) ||
            lw_put_text(ctx, &e, "}") || lw_record(ctx, LW_LOG, 0, 0, e.bytes, e.len);
    lw_encoder_free(&e);
    JS_FreeValue(ctx, level);
    JS_FreeValue(ctx, text);
    return r ? JS_EXCEPTION : JS_UNDEFINED;
}

static JSValue lw_native_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    return js_uint32(lw_rt->lw_scope);
}

static JSValue lw_native_new_scope(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t id = lw_scope_new(ctx);
    char note[80];
    int n;
    if (!id)
        return JS_EXCEPTION;
    n = snprintf(note, sizeof(note), "{\"note\":\"scope\",\"id\":%u,\"parent\":%u}", id, lw_rt->lw_scope);
    return lw_record(ctx, LW_NOTE, 0, 0, (uint8_t *)note, n) ? JS_EXCEPTION : js_uint32(id);
}

/* runIn(scope, fn, ...args) */
static JSValue lw_native_run_in(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t scope, before = lw_rt->lw_scope;
    JSValue result;
    if (JS_ToUint32(ctx, &scope, argv[0]))
        return JS_EXCEPTION;
    if (scope >= lw_scope_count)
        return JS_ThrowRangeError(ctx, "no such scope");
    lw_rt->lw_scope = scope;
    result = JS_Call(ctx, argv[1], JS_UNDEFINED, argc > 2 ? argc - 2 : 0, argv + 2);
    lw_rt->lw_scope = before;
    return result;
}

/* cancel(scope, reason) */
static JSValue lw_native_cancel(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    LwEncoder e = {.limit = UINT32_MAX};
    uint32_t scope;
    char start[48];
    JSValue reason;
    int r;
    if (JS_ToUint32(ctx, &scope, argv[0]))
        return JS_EXCEPTION;
    reason = JS_ToString(ctx, argv[1]);
    if (JS_IsException(reason))
        return reason;
    snprintf(start, sizeof(start), "{\"note\":\"cancel\",\"scope\":%u", scope);
    r = lw_put_text(ctx, &e, start) || lw_put_field(ctx, &e, "reason", reason, 1024) || lw_put_text(ctx, &e, "}") ||
        lw_record(ctx, LW_NOTE, 0, 0, e.bytes, e.len);
    lw_encoder_free(&e);
    JS_FreeValue(ctx, reason);
    return r ? JS_EXCEPTION : JS_UNDEFINED;
}

static JSValue lw_native_budget(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t i;
    if (JS_ToUint32(ctx, &i, argv[0]))
        return JS_EXCEPTION;
    if (i >= countof(lw_control.budget))
        return JS_ThrowRangeError(ctx, "no such figure");
    return js_number(lw_control.budget[i]);
}

/* hooks({start, failure, success, finish}); each call replaces all four. */
static JSValue lw_native_hooks(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    static const char *const names[4] = {"start", "failure", "success", "finish"};
    JSValue *const fields[4] = {&lw_hooks.start, &lw_hooks.failure, &lw_hooks.success, &lw_hooks.finish};
    for (int i = 0; i < 4; i++) {
        JSValue hook = JS_GetPropertyStr(ctx, argv[0], names[i]);
        if (JS_IsException(hook))
            return hook;
        set_value(ctx, fields[i], hook);
    }
    return JS_UNDEFINED;
}

static const JSCFunctionListEntry lw_natives[] = {
    JS_CFUNC_DEF("call", 3, lw_native_call),
    JS_CFUNC_DEF("note", 1, lw_native_note),
    JS_CFUNC_DEF("log", 2, lw_native_log),
    JS_CFUNC_DEF("encode", 1, lw_native_encode),
    JS_CFUNC_DEF("scope", 0, lw_native_scope),
    JS_CFUNC_DEF("newScope", 0, lw_native_new_scope),
    JS_CFUNC_DEF("runIn", 2, lw_native_run_in),
    JS_CFUNC_DEF("cancel", 2, lw_native_cancel),
    JS_CFUNC_DEF("budget", 1, lw_native_budget),
    JS_CFUNC_DEF("hooks", 1, lw_native_hooks),
};

static int lw_delete(JSContext *ctx, JSValueConst object, const char *name)
{
    JSAtom atom = JS_NewAtom(ctx, name);
    int r = atom == JS_ATOM_NULL ? -1 : JS_DeleteProperty(ctx, object, atom, 0);
    JS_FreeAtom(ctx, atom);
    return r < 0 ? -1 : 0;
}

/* Without JS_AddIntrinsicEval (nothing compiles at run time), JS_AddIntrinsicWeakRef, JS_AddPerformance. */
static int lw_add_intrinsics(JSContext *ctx)
{
    static const char *const absent[] = {"eval", "SharedArrayBuffer", "Atomics"};
    JSValue global = ctx->global_obj, natives, math;
    if (JS_AddIntrinsicBaseObjects(ctx) || JS_AddIntrinsicDate(ctx) || JS_AddIntrinsicRegExp(ctx) ||
        JS_AddIntrinsicJSON(ctx) || JS_AddIntrinsicProxy(ctx) || JS_AddIntrinsicMapSet(ctx) ||
        JS_AddIntrinsicTypedArrays(ctx) || JS_AddIntrinsicPromise(ctx) || JS_AddIntrinsicAToB(ctx))
        return -1;
    for (size_t i = 0; i < countof(absent); i++)
        if (lw_delete(ctx, global, absent[i]))
            return -1;
    if (lw_delete(ctx, ctx->error_ctor, "prepareStackTrace")) /* would run inside every error made in C */
        return -1;
    math = JS_GetPropertyStr(ctx, global, "Math");
    if (JS_DefinePropertyValueStr(ctx, math, "random", JS_NewCFunction(ctx, lw_native_random, "random", 0),
                                  JS_PROP_WRITABLE | JS_PROP_CONFIGURABLE) < 0)
        return -1;
    JS_FreeValue(ctx, math);
    natives = JS_NewObject(ctx);
    JS_SetPropertyFunctionList(ctx, natives, lw_natives, countof(lw_natives));
    return JS_DefinePropertyValueStr(ctx, global, "__lw", natives, JS_PROP_CONFIGURABLE) < 0 ? -1 : 0;
}
