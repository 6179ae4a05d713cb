/* Records for the host: a chain of chunks, so that a flood of calls is never copied to grow. A record
 * never spans two chunks. The host reads the chain after a pump and calls lw_out_clear(). */
typedef struct LwChunk {
    struct LwChunk *next; /* 0: the host reads `next` and `len` */
    uint32_t len;
    uint32_t capacity;
    uint32_t unused; /* records start on 8 bytes */
    uint8_t bytes[];
} LwChunk;
_Static_assert(sizeof(LwChunk) == 16, "src/outbox.rs has the same layout");

enum { LW_CALL = 1, LW_LOG = 2, LW_UNHANDLED = 3, LW_RESULT = 4, LW_ERROR = 5, LW_NOTE = 6 };

#define LW_RECORD_HEAD 28u
#define LW_RECORD_CHARGE 96u /* what a record counts besides its payload: the host keeps something for each */
#define LW_CHUNK_FIRST (4u << 10)
#define LW_CHUNK_NEXT (64u << 10)

static LwChunk *lw_chunk_first, *lw_chunk_last;
static uint32_t lw_out_charged;

LW_EXPORT(lw_out_clear) void lw_out_clear(void)
{
    while (lw_chunk_first) {
        LwChunk *chunk = lw_chunk_first;
        lw_chunk_first = chunk->next;
        js_free_rt(lw_rt, chunk);
    }
    lw_chunk_last = NULL;
    lw_control.out_ptr = lw_control.out_len = lw_out_charged = 0;
}

/* Room for `size` bytes in one chunk, or NULL after throwing. */
static uint8_t *lw_out_room(JSContext *ctx, uint32_t size)
{
    LwChunk *chunk = lw_chunk_last;
    uint32_t charge = size - LW_RECORD_HEAD + LW_RECORD_CHARGE, limit = lw_control.output_bytes;
    uint8_t *room;

    if (charge > limit || lw_out_charged > limit - charge) {
        lw_stop(LW_STOP_OUTPUT);
        JS_ThrowInterrupted(ctx);
        return NULL;
    }
    lw_out_charged += charge;
    if (!chunk || size > chunk->capacity - chunk->len) {
        uint32_t capacity = chunk ? LW_CHUNK_NEXT : LW_CHUNK_FIRST;
        capacity = (capacity > size + 16 ? capacity : size + 16) - 16;
        chunk = js_malloc(ctx, sizeof(LwChunk) + capacity);
        if (!chunk)
            return NULL;
        *chunk = (LwChunk){.capacity = capacity};
        if (lw_chunk_last)
            lw_chunk_last->next = chunk;
        else
            lw_chunk_first = chunk;
        lw_chunk_last = chunk;
        lw_control.out_ptr = (uint32_t)(uintptr_t)lw_chunk_first;
    }
    room = chunk->bytes + chunk->len;
    chunk->len += size;
    lw_control.out_len += size;
    return room;
}

/* Appends a record; no user code runs in here. -1 after throwing. */
static int lw_record_at(JSContext *ctx, uint32_t kind, uint32_t id, uint32_t flags, uint32_t line, uint32_t column,
                        const uint8_t *bytes, uint32_t len)
{
    uint32_t head[7] = {kind, id, flags, lw_rt->lw_scope, line, column, len};
    uint32_t padded = (len + 3) & ~3u;
    uint8_t *room;

    if (len > (1u << 30)) {
        JS_ThrowOutOfMemory(ctx);
        return -1;
    }
    room = lw_out_room(ctx, LW_RECORD_HEAD + padded);
    if (!room)
        return -1;
    memcpy(room, head, LW_RECORD_HEAD);
    memcpy(room + LW_RECORD_HEAD, bytes, len);
    memset(room + LW_RECORD_HEAD + len, 0, padded - len);
    return 0;
}

static int lw_record(JSContext *ctx, uint32_t kind, uint32_t id, uint32_t flags, const uint8_t *bytes, uint32_t len)
{
    uint32_t line, column;
    lw_where(&line, &column);
    return lw_record_at(ctx, kind, id, flags, line, column, bytes, len);
}
