/* flush.h - arithmetic in which numbers too small to be normal count as 0.
 *
 * For optimizers: their averages of a gradient that has vanished halve a hundred times on the way
 * to 0, and a processor takes a hundred cycles for each operation with a subnormal number. What is
 * lost is below 1e-37 of a state, in F32. Results stay a function of the numbers alone.
 */
#ifndef LH_KERNELS_CPU_FLUSH_H
#define LH_KERNELS_CPU_FLUSH_H

#include <stdint.h>

#if defined(__SSE__)
#include <xmmintrin.h>

/* The thread's mode, to be given back; subnormal operands and results are 0 from now on. */
static inline uint32_t lh__flush_begin(void) {
    uint32_t was = _mm_getcsr();

    _mm_setcsr(was | 0x8040); /* FTZ, DAZ */
    return was;
}

static inline void lh__flush_end(uint32_t was) {
    _mm_setcsr(was);
}
#else
static inline uint32_t lh__flush_begin(void) {
    return 0;
}

static inline void lh__flush_end(uint32_t was) {
    (void)was;
}
#endif

#endif
