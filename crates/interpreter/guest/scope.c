/* Async scopes: a tree of numbers. QuickJS carries the current one through promise reactions
 * (quickjs.patch); here are the parents and the author's positions. Scope 0 is the whole program. */
typedef struct {
    uint32_t parent;
    uint32_t line, column;
} LwScope;

static LwScope *lw_scopes;
static uint32_t lw_scope_count = 1, lw_scope_capacity;

static void lw_scope_position(uint32_t scope, uint32_t *line, uint32_t *column)
{
    if (scope == 0 || scope >= lw_scope_count)
        return;
    *line = lw_scopes[scope].line;
    *column = lw_scopes[scope].column;
}

/* A child of the current scope; 0 after throwing. */
static uint32_t lw_scope_new(JSContext *ctx)
{
    LwScope *scope;
    if (lw_scope_count >= lw_scope_capacity) {
        uint32_t capacity = lw_scope_count + lw_scope_count / 2 + 16;
        if (capacity > (1u << 26)) {
            JS_ThrowOutOfMemory(ctx);
            return 0;
        }
        scope = js_realloc(ctx, lw_scopes, capacity * sizeof(*scope));
        if (!scope)
            return 0;
        lw_scopes = scope;
        lw_scope_capacity = capacity;
    }
    scope = &lw_scopes[lw_scope_count];
    scope->parent = lw_rt->lw_scope;
    lw_where(&scope->line, &scope->column);
    return lw_scope_count++;
}
