/* machine.h - what this machine's cores reach at best, measured: the yardstick of the benches in C.
 *
 * Everything runs on the pool's threads at once, so that shared clocks and caches count.
 */
#ifndef LH_TESTS_BENCH_MACHINE_H
#define LH_TESTS_BENCH_MACHINE_H

#include "kernels/pool.h"

/* Microseconds of a steady clock. */
double now_us(void);

/* 10^9 float32 multiplications and additions a second, by fused multiply-adds between registers of
 * the widest kind that there is. About 10 ms. */
double machine_gflops(lh__pool *pool);

/* 10^9 bytes a second read from `streams` arrays of `bytes` each, the first `written` of which are
 * also written: a[i] = a[i] + b[i] + ..., one vector at a time, the best of `rounds`. 0 without
 * memory. */
double machine_bandwidth(lh__pool *pool, int64_t bytes, int streams, int written, int rounds);

#endif
