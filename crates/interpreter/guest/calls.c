/* Host calls: each is one native promise without resolving functions, settled from here. No value of the
 * host's is looked at for a `then`, so nothing it sends can hijack a promise. */
#define LW_NO_SLOT UINT32_MAX

enum { LW_FAILED = 0, LW_DONE = 1, LW_DONE_TRACKED = 2 };

typedef struct {
    JSValue promise; /* JS_UNDEFINED when free */
    uint32_t flags;  /* call kind << 8 | bits */
    uint32_t scope;
    uint32_t line, column;
    uint32_t next_free;
} LwSlot;

static LwSlot *lw_slots;
static uint32_t lw_slot_count, lw_slot_free = LW_NO_SLOT;

static struct {
    JSValue start, failure, success, finish;
} lw_hooks = {JS_UNDEFINED, JS_UNDEFINED, JS_UNDEFINED, JS_UNDEFINED};

/* The call whose failure is being delivered: errors made meanwhile name its line. */
static uint32_t lw_site_line, lw_site_column;
static char *lw_program_name;

static void lw_dump_site(DynBuf *s)
{
    if (lw_site_line && lw_program_name)
        dbuf_printf(s, "    at <call> (%s:%u:%u)\n", lw_program_name, lw_site_line, lw_site_column);
}

static int lw_slots_grow(JSContext *ctx)
{
    uint32_t count = lw_slot_count + lw_slot_count / 2 + 16, i;
    LwSlot *slots;
    if (count > (1u << 26)) {
        JS_ThrowOutOfMemory(ctx);
        return -1;
    }
    slots = js_realloc(ctx, lw_slots, count * sizeof(*slots));
    if (!slots)
        return -1;
    for (i = count; i-- > lw_slot_count;) {
        slots[i] = (LwSlot){.promise = JS_UNDEFINED, .next_free = lw_slot_free};
        lw_slot_free = i;
    }
    lw_slots = slots;
    lw_slot_count = count;
    return 0;
}

/* A pending promise of the built-in class, whatever the program did to `Promise`. */
static JSValue lw_new_promise(JSContext *ctx)
{
    JSValue promise = JS_NewObjectClass(ctx, JS_CLASS_PROMISE);
    JSPromiseData *data;
    if (JS_IsException(promise))
        return promise;
    data = js_mallocz(ctx, sizeof(*data));
    if (!data) {
        JS_FreeValue(ctx, promise);
        return JS_EXCEPTION;
    }
    data->promise_state = JS_PROMISE_PENDING;
    init_list_head(&data->promise_reactions[0]);
    init_list_head(&data->promise_reactions[1]);
    data->promise_result = JS_UNDEFINED;
    JS_SetOpaqueInternal(promise, data);
    return promise;
}

/* call(kind, payload, bits): encodes first, because that may run the author's code and call back into here. */
static JSValue lw_native_call(JSContext *ctx, JSValueConst this_value, int argc, JSValueConst *argv)
{
    uint32_t kind, bits, id, line, column;
    LwEncoder e;
    JSValue promise;

    if (JS_ToUint32(ctx, &kind, argv[0]) || JS_ToUint32(ctx, &bits, argv[2]) || lw_encode(ctx, &e, argv[1]))
        return JS_EXCEPTION;
    promise = lw_new_promise(ctx);
    if (JS_IsException(promise) || (lw_slot_free == LW_NO_SLOT && lw_slots_grow(ctx)))
        goto fail;
    id = lw_slot_free;
    lw_where(&line, &column);
    if (lw_record_at(ctx, LW_CALL, id, kind << 8 | (bits & 0xff), line, column, e.bytes, e.len))
        goto fail;
    lw_slot_free = lw_slots[id].next_free;
    lw_slots[id] = (LwSlot){
        .promise = js_dup(promise),
        .flags = kind << 8 | (bits & 0xff),
        .scope = lw_rt->lw_scope,
        .line = line,
        .column = column,
    };
    lw_control.pending++;
    lw_encoder_free(&e);
    return promise;
fail:
    lw_encoder_free(&e);
    JS_FreeValue(ctx, promise);
    return JS_EXCEPTION;
}

/* failure(bits, scope, info) → [rejects, value] */
static int lw_call_failure(JSContext *ctx, const LwSlot *slot, JSValueConst info, JSValue *value)
{
    JSValueConst args[3] = {js_uint32(slot->flags & 0xff), js_uint32(slot->scope), info};
    JSValue pair, rejects;
    int r;
    if (!JS_IsFunction(ctx, lw_hooks.failure)) {
        *value = js_dup(info);
        return 1;
    }
    pair = JS_Call(ctx, lw_hooks.failure, JS_UNDEFINED, 3, args);
    if (JS_IsException(pair))
        return -1;
    rejects = JS_GetPropertyUint32(ctx, pair, 0);
    *value = JS_IsException(rejects) ? JS_EXCEPTION : JS_GetPropertyUint32(ctx, pair, 1);
    JS_FreeValue(ctx, pair);
    r = JS_IsException(*value) ? -1 : JS_ToBoolFree(ctx, rejects);
    return r;
}

/* Takes `value` out of `{"value", "receipt"}` and hands the receipt to the prelude. */
static int lw_unwrap_tracked(JSContext *ctx, const LwSlot *slot, JSValueConst pair, JSValue *value)
{
    JSValue receipt, r;
    *value = JS_GetPropertyStr(ctx, pair, "value");
    receipt = JS_IsException(*value) ? JS_EXCEPTION : JS_GetPropertyStr(ctx, pair, "receipt");
    if (JS_IsException(receipt))
        return -1;
    if (JS_IsFunction(ctx, lw_hooks.success)) {
        JSValueConst args[2] = {js_uint32(slot->scope), receipt};
        r = JS_Call(ctx, lw_hooks.success, JS_UNDEFINED, 2, args);
        JS_FreeValue(ctx, receipt);
        if (JS_IsException(r))
            return -1;
        receipt = r;
    }
    JS_FreeValue(ctx, receipt);
    return 0;
}

/* Settles one call. What goes wrong in here rejects the promise, unless the guest is stopping: then -1. */
static int lw_settle_one(JSContext *ctx, const LwSlot *slot, uint32_t status, const char *json, uint32_t len)
{
    JSValue value = JS_UNDEFINED, parsed = JS_ParseJSON(ctx, json, len, "loopwright:completion");
    int rejects = 0;

    lw_rt->lw_scope = slot->scope;
    lw_site_line = slot->line;
    lw_site_column = slot->column;
    if (JS_IsException(parsed))
        rejects = -1;
    else if (status == LW_FAILED)
        rejects = lw_call_failure(ctx, slot, parsed, &value);
    else if (status == LW_DONE_TRACKED)
        rejects = lw_unwrap_tracked(ctx, slot, parsed, &value);
    else
        value = js_dup(parsed);
    JS_FreeValue(ctx, parsed);
    if (rejects < 0) {
        JS_FreeValue(ctx, value);
        value = JS_GetException(ctx);
    }
    if (!lw_control.stop)
        fulfill_or_reject_promise(ctx, slot->promise, value, rejects != 0);
    JS_FreeValue(ctx, value);
    lw_site_line = lw_site_column = 0;
    lw_rt->lw_scope = 0;
    return lw_control.stop ? -1 : 0;
}

/* Settles the completions of one turn in order; returns how many, -1 when the guest stopped, -2 for a
 * buffer or slot that does not exist. Each text ends in a NUL that `len` does not count. */
LW_EXPORT(lw_settle) int lw_settle(const uint8_t *buffer, uint32_t size)
{
    const uint8_t *end = buffer + size;
    uint32_t head[3], padded;
    int done = 0;

    JS_UpdateStackTop(lw_rt);
    while (buffer < end) {
        LwSlot slot;
        int r;
        if ((size_t)(end - buffer) < sizeof(head))
            return -2;
        memcpy(head, buffer, sizeof(head));
        buffer += sizeof(head);
        padded = (head[2] & ~3u) + 4;
        if (head[2] > INT32_MAX || padded > (size_t)(end - buffer) || buffer[head[2]])
            return -2;
        if (head[0] >= lw_slot_count || JS_IsUndefined(lw_slots[head[0]].promise))
            return -2;
        slot = lw_slots[head[0]]; /* the table may move while the prelude's hooks run */
        lw_slots[head[0]] = (LwSlot){.promise = JS_UNDEFINED, .next_free = lw_slot_free};
        lw_slot_free = head[0];
        lw_control.pending--;
        r = lw_settle_one(lw_ctx, &slot, head[1], (const char *)buffer, head[2]);
        JS_FreeValue(lw_ctx, slot.promise);
        if (r)
            return -1;
        buffer += padded;
        done++;
    }
    return done;
}
