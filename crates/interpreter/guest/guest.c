/* The guest: QuickJS-ng behind the zero-import interface of docs/design/bridge.md.
 *
 * One translation unit, because the parts reach into QuickJS: promises are settled without resolving
 * functions, the author's position is read from stack frames, values are encoded without copies.
 * Everything here runs inside the sandbox: a mistake harms the program, never the host, which treats
 * all guest memory as hostile. */
#include "quickjs.c"

#pragma clang diagnostic error "-Wall"

#include "control.c"  /* the control block shared with the host */
#include "memory.c"   /* heap accounting and the end of memory */
#include "position.c" /* the author's line and column */
#include "outbox.c"   /* records for the host */
#include "encode.c"   /* a value as bounded JSON */
#include "report.c"   /* thrown values, unhandled rejections */
#include "scope.c"    /* async scopes */
#include "calls.c"    /* host calls and their completions */
#include "natives.c"  /* `__lw`, Math.random, absent globals */
#include "modules.c"  /* sources registered by the host */
#include "run.c"      /* start, pump, result */
