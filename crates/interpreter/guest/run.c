/* The life of a program: image, configuration, start, pumps, result. */

static struct {
    JSValue program;  /* compiled, not yet run */
    JSValue refused;  /* the error when it did not compile */
    JSValue promise;  /* of the running program */
    bool started, finished;
} lw_main = {JS_UNDEFINED, JS_UNDEFINED, JS_UNDEFINED, false, false};

/* Image time. Returns 0, or a negative step that failed. */
LW_EXPORT(lw_init) int lw_init(uint32_t stack)
{
    JSRuntime *rt = JS_NewRuntime2(&lw_heap_functions, NULL);
    if (!rt)
        return -1;
    JS_SetMaxStackSize(rt, stack);
    lw_rt = rt;
    lw_ctx = JS_NewContextRaw(rt);
    if (!lw_ctx)
        return -2;
    JS_SetInterruptHandler(rt, lw_on_poll, NULL);
    JS_SetHostPromiseRejectionTracker(rt, lw_on_rejection, NULL);
    JS_SetModuleLoaderFunc(rt, lw_module_name, lw_load_module, NULL);
    return lw_add_intrinsics(lw_ctx) ? -3 : 0;
}

static int lw_fail_with_exception(JSContext *ctx)
{
    JSValue error = JS_GetException(ctx);
    lw_report(ctx, LW_ERROR, error, 0, 0);
    JS_FreeValue(ctx, error);
    return -1;
}

/* Image time: runs a script of ours. -1 with an error record when it throws. */
LW_EXPORT(lw_prelude) int lw_prelude(const char *source, uint32_t len, const char *name)
{
    JSContext *ctx = lw_ctx;
    JSValue r;
    JS_UpdateStackTop(lw_rt);
    r = __JS_EvalInternal(ctx, ctx->global_obj, source, len, name, 1, JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_STRICT, -1);
    if (JS_IsException(r))
        return lw_fail_with_exception(ctx);
    JS_FreeValue(ctx, r);
    while ((len = JS_ExecutePendingJob(lw_rt, &ctx)))
        if ((int)len < 0)
            return lw_fail_with_exception(ctx);
    return 0;
}

/* Hands the host's settings to the prelude. */
LW_EXPORT(lw_config) int lw_config(const char *json, uint32_t len)
{
    JSValue config, r;
    JS_UpdateStackTop(lw_rt);
    config = JS_ParseJSON(lw_ctx, json, len, "loopwright:config");
    if (JS_IsException(config))
        return lw_fail_with_exception(lw_ctx);
    r = JS_IsFunction(lw_ctx, lw_hooks.start) ? JS_Call(lw_ctx, lw_hooks.start, JS_UNDEFINED, 1, vc(&config))
                                              : JS_UNDEFINED;
    JS_FreeValue(lw_ctx, config);
    if (JS_IsException(r))
        return lw_fail_with_exception(lw_ctx);
    JS_FreeValue(lw_ctx, r);
    return 0;
}

/* Compiles the program; nothing of it runs before the first pump, which also reports what does not compile.
 * Takes over `name`. Columns of line 1 are counted from `prefix` characters on. */
LW_EXPORT(lw_start) int lw_start(const char *source, uint32_t len, char *name, uint32_t strict, uint32_t prefix)
{
    int flags = JS_EVAL_TYPE_GLOBAL | JS_EVAL_FLAG_ASYNC | JS_EVAL_FLAG_COMPILE_ONLY;
    JS_UpdateStackTop(lw_rt);
    lw_program_name = name;
    lw_rt->lw_prefix_columns = prefix;
    lw_main.program = __JS_EvalInternal(lw_ctx, lw_ctx->global_obj, source, len, name, 1,
                                        flags | (strict ? JS_EVAL_FLAG_STRICT : 0), -1);
    lw_rt->lw_prefix_columns = 0;
    if (JS_IsException(lw_main.program)) {
        lw_main.program = JS_UNDEFINED;
        lw_main.refused = JS_GetException(lw_ctx);
    }
    return lw_control.stop ? -1 : 0;
}

/* The program ended: its value or its error. The value's getters are the author's code. */
static void lw_report_main(JSContext *ctx)
{
    JSPromiseStateEnum state = JS_PromiseState(ctx, lw_main.promise);
    JSValue value = JS_PromiseResult(ctx, lw_main.promise);
    uint32_t outcome = LW_REJECTED;
    LwEncoder e;
    if (state == JS_PROMISE_REJECTED) {
        lw_report(ctx, LW_ERROR, value, 0, 0);
    } else if (lw_encode(ctx, &e, value)) {
        lw_fail_with_exception(ctx);
    } else {
        if (!lw_record(ctx, LW_RESULT, 0, 0, e.bytes, e.len))
            outcome = LW_FULFILLED;
        lw_encoder_free(&e);
    }
    JS_FreeValue(ctx, value);
    lw_control.main_state = outcome;
}

static void lw_run_main(JSContext *ctx)
{
    lw_main.started = true;
    if (!JS_IsUndefined(lw_main.program)) {
        lw_main.promise = JS_EvalFunction(ctx, lw_main.program);
        lw_main.program = JS_UNDEFINED;
        if (!JS_IsException(lw_main.promise))
            return;
        lw_main.promise = JS_UNDEFINED;
        lw_main.refused = JS_GetException(ctx);
    }
    lw_report(ctx, LW_ERROR, lw_main.refused, 0, 0);
    JS_FreeValue(ctx, lw_main.refused);
    lw_main.refused = JS_UNDEFINED;
    lw_control.main_state = LW_REJECTED;
}

static void lw_run_finish(JSContext *ctx)
{
    JSValue r = JS_UNDEFINED;
    lw_main.finished = true;
    if (JS_IsFunction(ctx, lw_hooks.finish))
        r = JS_Call(ctx, lw_hooks.finish, JS_UNDEFINED, 0, NULL);
    if (JS_IsException(r)) {
        JSValue error = JS_GetException(ctx);
        lw_report(ctx, LW_UNHANDLED, error, 0, 0);
        JS_FreeValue(ctx, error);
    }
    JS_FreeValue(ctx, r);
}

/* Runs up to `*left` jobs; false when the guest stopped. */
static bool lw_run_jobs(uint32_t *left)
{
    JSContext *ctx;
    for (; *left && !lw_control.stop; --*left) {
        int r = JS_ExecutePendingJob(lw_rt, &ctx);
        if (r == 0)
            break;
        if (r < 0) {
            JSValue error = JS_GetException(ctx);
            if (JS_IsUncatchableError(error))
                lw_stop(LW_STOP_OTHER);
            else
                lw_report(ctx, LW_UNHANDLED, error, 0, 0);
            JS_FreeValue(ctx, error);
        }
    }
    return !lw_control.stop;
}

/* Runs the program up to its next wait. 0: nothing left to do, 1: `jobs` were used up, -1: the guest stopped. */
LW_EXPORT(lw_pump) int lw_pump(uint32_t jobs)
{
    JSContext *ctx = lw_ctx;
    JS_UpdateStackTop(lw_rt);
    if (!lw_main.started)
        lw_run_main(ctx);
    for (;;) {
        if (!lw_run_jobs(&jobs))
            return -1;
        if (JS_IsJobPending(lw_rt))
            return 1;
        if (lw_control.main_state == LW_PENDING && JS_PromiseState(ctx, lw_main.promise) != JS_PROMISE_PENDING)
            lw_report_main(ctx);
        else if (lw_rejection_count)
            lw_flush_rejections(ctx, lw_main.promise);
        else if (lw_control.main_state != LW_PENDING && !lw_control.pending && !lw_main.finished)
            lw_run_finish(ctx);
        else
            return lw_control.stop ? -1 : 0;
    }
}

#define LW_STACK_BYTES (1u << 20) /* build.sh: the shadow stack is the lowest memory */
#define LW_STACK_END (64u << 10)

static __attribute__((noinline)) void lw_locate_from(uintptr_t stack)
{
    if (!lw_control.stop && (stack < LW_STACK_END || stack > LW_STACK_BYTES))
        lw_control.stop = LW_STOP_STACK; /* QuickJS's own check missed a recursion */
    lw_where(&lw_control.stop_line, &lw_control.stop_column);
}

/* After a trap, and only then: where the author's code was, as far as the broken guest can tell. The stack is left as
 * it was, because the frames to read are on it. */
LW_EXPORT(lw_locate) void lw_locate(void)
{
    static _Alignas(16) uint8_t scratch[4096];
    uintptr_t stack;
    __asm__ volatile("global.get __stack_pointer\n\tlocal.set %0" : "=r"(stack));
    __asm__ volatile("local.get %0\n\tglobal.set __stack_pointer" : : "r"(scratch + sizeof(scratch)));
    lw_locate_from(stack);
}
