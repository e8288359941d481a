/* round.h - operands of products as they are taken (lh__products): float32 numbers rounded where
 * they lie to the nearest of a narrower type, to even.
 *
 * For sources that are compiled once for each instruction set.
 */
#ifndef LH_KERNELS_CPU_ROUND_H
#define LH_KERNELS_CPU_ROUND_H

#include "kernels/cpu/isa.h"
#include "kernels/cpu/vector.h"

/* NaN stays one, where adding could carry beyond. */
static inline float lh__as_bf16(float x) {
    uint32_t u;

    memcpy(&u, &x, sizeof u);
    u = ((u & 0x7fffffff) > 0x7f800000 ? u | 0x400000 : u + 0x7fff + (u >> 16 & 1)) & 0xffff0000u;
    memcpy(&x, &u, sizeof x);
    return x;
}

/* Numbers in two parts: 0 is the high one, 1 the low one. */
static inline void lh__round_f32(float *x, int64_t n, lh__products products, int part) {
    if (products == LH__PRODUCTS_BF16X3 && part == 1) {
        SIMD for (int64_t i = 0; i < n; i++) {
            x[i] = lh__as_bf16(x[i] - lh__as_bf16(x[i]));
        }
    } else if (products == LH__PRODUCTS_BF16 || products == LH__PRODUCTS_BF16X3) {
        SIMD for (int64_t i = 0; i < n; i++) {
            x[i] = lh__as_bf16(x[i]);
        }
    } else if (products == LH__PRODUCTS_F16) {
        int64_t i = 0;

#ifdef __F16C__
        for (; i + 8 <= n; i += 8)
            _mm256_storeu_ps(x + i, _mm256_cvtph_ps(_mm256_cvtps_ph(_mm256_loadu_ps(x + i),
                                                                    _MM_FROUND_TO_NEAREST_INT)));
#endif
        for (; i < n; i++)
            x[i] = (float)lh__from_half(lh__to_half(x[i]));
    }
}

/* Products of doubles are taken as they are. */
static inline void lh__round_f64(double *x, int64_t n, lh__products products, int part) {
}

#endif
