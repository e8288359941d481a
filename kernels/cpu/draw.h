/* draw.h - random words for dropout and its like, 16 counters at a time: lh__philox's, to the bit.
 */
#ifndef LH_KERNELS_CPU_DRAW_H
#define LH_KERNELS_CPU_DRAW_H

#include "kernels/cpu/isa.h"

enum { LH__COUNTERS = 16, LH__DRAWN = 4 * LH__COUNTERS };

/* 24 random bits for each of the elements first ... first + LH__DRAWN - 1; first divides by 4. */
static inline void lh__draw(lh__philox_key key, int64_t first, uint32_t bits[LH__DRAWN]) {
    uint64_t fold = lh__philox_fold(key), counter = (uint64_t)first >> 2;
    uint32_t k0 = (uint32_t)fold, k1 = (uint32_t)(fold >> 32);
    uint32_t x0[LH__COUNTERS], x1[LH__COUNTERS], x2[LH__COUNTERS], x3[LH__COUNTERS];

    for (uint32_t j = 0; j < LH__COUNTERS; j++) {
        x0[j] = (uint32_t)(counter + j), x1[j] = (uint32_t)((counter + j) >> 32);
        x2[j] = (uint32_t)key.step, x3[j] = (uint32_t)(key.step >> 32);
    }
    for (int round = 0; round < 10; round++) {
        SIMD for (int j = 0; j < LH__COUNTERS; j++) {
            uint64_t p0 = (uint64_t)0xD2511F53u * x0[j], p1 = (uint64_t)0xCD9E8D57u * x2[j];

            x0[j] = (uint32_t)(p1 >> 32) ^ x1[j] ^ k0, x1[j] = (uint32_t)p1;
            x2[j] = (uint32_t)(p0 >> 32) ^ x3[j] ^ k1, x3[j] = (uint32_t)p0;
        }
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
    for (int j = 0; j < LH__COUNTERS; j++) {
        bits[4 * j] = x0[j] >> 8, bits[4 * j + 1] = x1[j] >> 8;
        bits[4 * j + 2] = x2[j] >> 8, bits[4 * j + 3] = x3[j] >> 8;
    }
}

/* Bits that are at least this many are a uniform number of at least p. */
static inline int32_t lh__drawn_least(double p) {
    return (int32_t)ceil(p * 0x1p24);
}

#endif
