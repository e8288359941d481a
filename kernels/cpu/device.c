/* device.c - picks the cpu device's variant for this machine. */
#include <stdbool.h>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/variants.h"

extern const lh__device lh__cpu_device_base;
#ifdef LH__X86_64
extern const lh__device lh__cpu_device_v3, lh__cpu_device_v4;

static bool has_avx2(void) {
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
           __builtin_cpu_supports("bmi2");
}

static bool has_avx512(void) {
    return has_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vl");
}
#endif

int lh__cpu_variants(lh__variant out[3]) {
    int n = 0;

#ifdef LH__X86_64
    if (has_avx512())
        out[n++] = (lh__variant){"v4", &lh__cpu_device_v4};
    if (has_avx2())
        out[n++] = (lh__variant){"v3", &lh__cpu_device_v3};
#endif
    out[n++] = (lh__variant){"base", &lh__cpu_device_base};
    return n;
}

const lh__device *lh__device_cpu(void) {
    lh__variant variants[3];

    lh__cpu_variants(variants);
    return lh__blas_load() ? variants[0].device : NULL;
}
