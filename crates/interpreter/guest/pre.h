/* Force-included before every file: takes in libc's headers while `__wasi__` is set, then unsets it,
 * because QuickJS-ng turns its stack check off under `__wasi__` and the guest needs it. */
#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#undef __wasi__
#undef assert
#define assert(x) ((void)0)
