/* The control block: the only memory that host and guest share by agreement. Fixed address; the host
 * writes and reads it by offset (`src/control.rs`), so the order and the sizes are the interface. */
#define LW_EXPORT(name) __attribute__((export_name(#name), used, visibility("default")))
#define LW_ABI_VERSION 1

enum { LW_RUNNING = 0, LW_STOP_GAS = 1, LW_STOP_INTERRUPT = 2, LW_STOP_MEMORY = 3, LW_STOP_OUTPUT = 4, LW_STOP_OTHER = 5, LW_STOP_STACK = 6 };
enum { LW_PENDING = 0, LW_FULFILLED = 1, LW_REJECTED = 2 };

typedef struct {
    uint64_t now_us;       /*   0 virtual time */
    uint64_t rng;          /*   8 state of Math.random */
    int64_t gas;           /*  16 ticks left in this turn, < 0 is unlimited */
    uint64_t ticks;        /*  24 ticks since the start */
    double budget[6];      /*  32 figures for `budget` */
    uint32_t interrupt;    /*  80 the host asks the guest to stop */
    uint32_t oom;          /*  84 memory ran out */
    uint32_t out_ptr;      /*  88 first chunk of the outbox */
    uint32_t out_len;      /*  92 bytes in all chunks */
    uint32_t pending;      /*  96 unsettled calls */
    uint32_t main_state;   /* 100 LW_PENDING, LW_FULFILLED, LW_REJECTED */
    uint32_t abi_version;  /* 104 */
    uint32_t stop;         /* 108 why the guest stopped for good */
    uint32_t stop_line;    /* 112 the author's position when it stopped */
    uint32_t stop_column;  /* 116 */
    uint32_t value_bytes;  /* 120 limits of one value */
    uint32_t value_depth;  /* 124 */
    uint32_t value_keys;   /* 128 */
    uint32_t output_bytes; /* 132 limit of one turn's outbox */
} LwControl;
_Static_assert(sizeof(LwControl) == 136, "src/control.rs has the same layout");

static LwControl lw_control = {
    .rng = 1,
    .gas = -1,
    .abi_version = LW_ABI_VERSION,
    .value_bytes = 1000000,
    .value_depth = 128,
    .value_keys = 100000,
    .output_bytes = 64u << 20,
};

static JSRuntime *lw_rt;
static JSContext *lw_ctx;

uint64_t lw_now_us(void) { return lw_control.now_us; } /* for libc-shim.c */

LW_EXPORT(lw_ctl) LwControl *lw_ctl(void) { return &lw_control; }

static void lw_where(uint32_t *line, uint32_t *column); /* position.c */

/* Ends the guest for good: from now on every poll interrupts. The first reason stays. */
static void lw_stop(uint32_t reason)
{
    if (lw_control.stop)
        return;
    lw_control.stop = reason;
    lw_where(&lw_control.stop_line, &lw_control.stop_column);
}

/* QuickJS polls this once per thousand calls and loops: a tick of gas, and those that are owed. */
static int lw_on_poll(JSRuntime *rt, void *opaque)
{
    uint32_t ticks = 1 + rt->lw_debt / JS_INTERRUPT_COUNTER_INIT;
    rt->lw_debt %= JS_INTERRUPT_COUNTER_INIT;
    lw_control.ticks += ticks;
    if (lw_control.stop)
        return 1;
    if (*(volatile uint32_t *)&lw_control.interrupt) {
        lw_stop(LW_STOP_INTERRUPT);
        return 1;
    }
    if (lw_control.gas < 0)
        return 0;
    if (lw_control.gas < ticks) {
        lw_control.gas = 0;
        lw_stop(LW_STOP_GAS);
        return 1;
    }
    lw_control.gas -= ticks;
    return 0;
}
