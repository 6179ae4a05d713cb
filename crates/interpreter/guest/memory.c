/* The heap: every byte of QuickJS and of our own tables is counted here, and the end of memory has a name. */
#undef malloc
#undef free
#undef realloc
extern size_t malloc_usable_size(void *);

/* Room for the error that says so, once memory has run out. */
#define LW_EMERGENCY_BYTES (256u << 10)

static size_t lw_heap_used;

static void *lw_refuse_allocation(JSRuntime *rt)
{
    if (!lw_control.oom) {
        lw_control.oom = 1;
        if (lw_rt) {
            lw_stop(LW_STOP_MEMORY);
            if (lw_rt->lw_heap_limit)
                lw_rt->lw_heap_limit += LW_EMERGENCY_BYTES;
        }
    }
    return NULL;
}

static bool lw_heap_fits(size_t more)
{
    size_t limit = lw_rt ? lw_rt->lw_heap_limit : 0;
    return !limit || (lw_heap_used <= limit && more <= limit - lw_heap_used);
}

static void *lw_heap_malloc(void *opaque, size_t size)
{
    void *p = lw_heap_fits(size) ? malloc(size) : NULL;
    if (!p)
        return lw_refuse_allocation(NULL);
    lw_heap_used += malloc_usable_size(p);
    return p;
}

static void *lw_heap_calloc(void *opaque, size_t count, size_t size)
{
    void *p = lw_heap_fits(count * size) ? calloc(count, size) : NULL; /* js_calloc_rt checks the product */
    if (!p)
        return lw_refuse_allocation(NULL);
    lw_heap_used += malloc_usable_size(p);
    return p;
}

static void lw_heap_free(void *opaque, void *p)
{
    if (p)
        lw_heap_used -= malloc_usable_size(p);
    free(p);
}

static void *lw_heap_realloc(void *opaque, void *old, size_t size)
{
    size_t had = old ? malloc_usable_size(old) : 0;
    void *p = size <= had || lw_heap_fits(size - had) ? realloc(old, size) : NULL;
    if (!p)
        return lw_refuse_allocation(NULL);
    lw_heap_used += malloc_usable_size(p) - had;
    return p;
}

static size_t lw_heap_usable_size(const void *p) { return malloc_usable_size((void *)p); }

static const JSMallocFunctions lw_heap_functions = {
    lw_heap_calloc, lw_heap_malloc, lw_heap_free, lw_heap_realloc, lw_heap_usable_size,
};

/* Buffers for what the host sends; they count as heap. 0 when memory has run out. */
LW_EXPORT(lw_alloc) void *lw_alloc(uint32_t size) { return js_malloc_rt(lw_rt, size ? size : 1); }
LW_EXPORT(lw_free) void lw_free(void *p) { js_free_rt(lw_rt, p); }

LW_EXPORT(lw_limits) void lw_limits(uint32_t heap, uint32_t stack)
{
    lw_rt->lw_heap_limit = heap;
    JS_SetMaxStackSize(lw_rt, stack);
}
LW_EXPORT(lw_gc) void lw_gc(void) { JS_RunGC(lw_rt); }
LW_EXPORT(lw_mem) uint32_t lw_mem(void) { return lw_heap_used; }
