/* Modules: sources that the host registers before the start. There is no other loader. */
typedef struct LwModule {
    struct LwModule *next;
    char *name;
    char *source;
    uint32_t len;
} LwModule;

static LwModule *lw_modules;

/* Takes over both buffers (from lw_alloc, NUL-terminated). -1 when memory has run out. */
LW_EXPORT(lw_add_module) int lw_add_module(char *name, char *source, uint32_t len)
{
    LwModule *m = js_malloc_rt(lw_rt, sizeof(*m));
    if (!m)
        return -1;
    *m = (LwModule){.next = lw_modules, .name = name, .source = source, .len = len};
    lw_modules = m;
    return 0;
}

static char *lw_module_name(JSContext *ctx, const char *base, const char *name, void *opaque)
{
    return js_strdup(ctx, name); /* names are whole: nothing is relative */
}

static JSModuleDef *lw_load_module(JSContext *ctx, const char *name, void *opaque)
{
    LwModule *m;
    JSValue compiled;
    JSModuleDef *module;
    for (m = lw_modules; m; m = m->next)
        if (!strcmp(m->name, name))
            break;
    if (!m) {
        char message[200];
        snprintf(message, sizeof(message), "cannot import `%.120s`", name);
        lw_throw(ctx, "LW0105", "imports reach only `loopwright:` modules and saved programs", message);
        return NULL;
    }
    compiled = __JS_EvalInternal(ctx, JS_UNDEFINED, m->source, m->len, m->name, 1,
                                 JS_EVAL_TYPE_MODULE | JS_EVAL_FLAG_COMPILE_ONLY, -1);
    if (JS_IsException(compiled))
        return NULL;
    module = JS_VALUE_GET_PTR(compiled);
    JS_FreeValue(ctx, compiled); /* the context's list keeps it */
    return module;
}
