/* permutation.c - the Feistel network of permutation.h. */
#include "data/permutation.h"

lh__permutation lh__permutation_of(uint64_t n, lh__philox_key key) {
    lh__permutation p = {.n = n, .half = 4};

    while ((1ull << (2 * p.half)) < n)
        p.half++;
    for (uint64_t i = 0; i < LH__PERMUTATION_ROUNDS; i++) {
        uint32_t w[4];

        lh__philox(key, i, w);
        p.keys[i] = (uint64_t)w[1] << 32 | w[0];
    }
    return p;
}

/* The round function: the finaliser of splitmix64 (Steele, Lea, Flood 2014) over half and key. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9ull;
    x = (x ^ x >> 27) * 0x94d049bb133111ebull;
    return x ^ x >> 31;
}

uint64_t lh__permute(const lh__permutation *p, uint64_t i) {
    uint64_t mask = (1ull << p->half) - 1;

    do {
        uint64_t left = i >> p->half, right = i & mask;

        for (int r = 0; r < LH__PERMUTATION_ROUNDS; r++) {
            uint64_t next = left ^ (mix(right + p->keys[r]) & mask);

            left = right;
            right = next;
        }
        i = left << p->half | right;
    } while (i >= p->n);
    return i;
}
