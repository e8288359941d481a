/* timing.h - what a bench takes times with. */
#ifndef LH_TESTS_BENCH_TIMING_H
#define LH_TESTS_BENCH_TIMING_H

#include <time.h>

/* Microseconds on a clock that nobody sets. */
static inline double now_us(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return 1e6 * (double)t.tv_sec + 1e-3 * (double)t.tv_nsec;
}

/* Orders doubles, for qsort. */
static inline int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

#endif
