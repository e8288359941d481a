/* philox.h - counter-based random numbers: value = f(seed, stream, step, element).
 *
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011). Nothing
 * has a state, so values depend neither on threads nor on having been interrupted.
 */
#ifndef LH_KERNELS_PHILOX_H
#define LH_KERNELS_PHILOX_H

#include <math.h>
#include <stdint.h>

typedef struct lh__philox_key {
    uint64_t seed;
    uint64_t stream; /* which use of randomness */
    uint64_t step;   /* which time it is used */
} lh__philox_key;

/* Philox4x32-10 as published: the counter x becomes four random words. */
static inline void lh__philox4x32(uint32_t x[4], uint32_t k0, uint32_t k1) {
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * x[0], p1 = (uint64_t)0xCD9E8D57u * x[2];
        uint32_t y0 = (uint32_t)(p1 >> 32) ^ x[1] ^ k0, y2 = (uint32_t)(p0 >> 32) ^ x[3] ^ k1;

        x[0] = y0, x[1] = (uint32_t)p1, x[2] = y2, x[3] = (uint32_t)p0;
        k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
    }
}

/* The 64-bit Philox key: the stream is folded into the seed by an odd constant (splitmix64). */
static inline uint64_t lh__philox_fold(lh__philox_key key) {
    return key.seed ^ ((key.stream + 1) * 0x9e3779b97f4a7c15ull);
}

/* Four random words for counter `i` of the key: i and the step fill the 128-bit counter. */
static inline void lh__philox(lh__philox_key key, uint64_t i, uint32_t out[4]) {
    uint64_t k = lh__philox_fold(key);

    out[0] = (uint32_t)i, out[1] = (uint32_t)(i >> 32);
    out[2] = (uint32_t)key.step, out[3] = (uint32_t)(key.step >> 32);
    lh__philox4x32(out, (uint32_t)k, (uint32_t)(k >> 32));
}

/* Uniform in [0, 1), 24 bits: exact in f32. Element `i` of the key. */
static inline double lh__philox_uniform(lh__philox_key key, uint64_t i) {
    uint32_t w[4];

    lh__philox(key, i >> 2, w);
    return (double)(w[i & 3] >> 8) * 0x1p-24;
}

/* A pair of standard normals (Box-Muller over a pair of 32-bit words): elements 2 pair, 2 pair + 1
 * of the key. */
static inline void lh__philox_normals(lh__philox_key key, uint64_t pair, double z[2]) {
    uint32_t w[4];
    double radius, angle;

    lh__philox(key, pair, w);
    radius = sqrt(-2.0 * log(((double)w[0] + 1.0) * 0x1p-32));
    angle = 6.283185307179586476925 * ((double)w[1] * 0x1p-32);
    z[0] = radius * cos(angle), z[1] = radius * sin(angle);
}

/* Standard normal. Element `i` of the key. */
static inline double lh__philox_normal(lh__philox_key key, uint64_t i) {
    double z[2];

    lh__philox_normals(key, i >> 1, z);
    return z[i & 1];
}

#endif
