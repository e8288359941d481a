/* denormal.h - whether this thread takes subnormal floating-point numbers, operands and results,
 * for zero. They can make arithmetic many times as slow. Threads inherit it from the one that
 * starts them.
 */
#ifndef LH_KERNELS_DENORMAL_H
#define LH_KERNELS_DENORMAL_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__)
#include <xmmintrin.h>

/* MXCSR: results (bit 15), operands (bit 6). */
enum { LH__FLUSH_BITS = 1 << 15 | 1 << 6 };

static inline bool lh__flushes_denormal(void) {
    return (_mm_getcsr() & LH__FLUSH_BITS) == LH__FLUSH_BITS;
}

/* False where the machine cannot. */
static inline bool lh__flush_denormal(bool on) {
    _mm_setcsr((_mm_getcsr() & ~(unsigned)LH__FLUSH_BITS) | (on ? LH__FLUSH_BITS : 0));
    return true;
}
#else
static inline bool lh__flushes_denormal(void) {
    return false;
}

static inline bool lh__flush_denormal(bool on) {
    return !on;
}
#endif

#endif
