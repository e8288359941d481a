/* variants.h - the cpu device once for each instruction set. */
#ifndef LH_KERNELS_CPU_VARIANTS_H
#define LH_KERNELS_CPU_VARIANTS_H

#include "kernels/kernel.h"

typedef struct lh__variant {
    const char *isa; /* base, v3 (AVX2, FMA), v4 (AVX-512): the x86-64 levels */
    const lh__device *device;
} lh__variant;

/* The variants that this machine can run, the fastest first. Returns how many; at most 3. */
int lh__cpu_variants(lh__variant out[3]);

#endif
