/* device.c - picks the cpu device's variant for this machine.
 *
 * Invariant: OpenBLAS runs on the caller's thread: the pool is the process's only set of compute
 * threads.
 */
#include <cblas.h>
#include <pthread.h>

#include "kernels/cpu/variants.h"

extern const lh__device lh__cpu_device_base;
#ifdef LH__X86_64
extern const lh__device lh__cpu_device_v3, lh__cpu_device_v4;
#endif

int lh__cpu_variants(lh__variant out[3]) {
    int n = 0;

#ifdef LH__X86_64
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
        __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        out[n++] = (lh__variant){"v4", &lh__cpu_device_v4};
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
        __builtin_cpu_supports("bmi2"))
        out[n++] = (lh__variant){"v3", &lh__cpu_device_v3};
#endif
    out[n++] = (lh__variant){"base", &lh__cpu_device_base};
    return n;
}

static void confine_blas(void) {
    openblas_set_num_threads(1);
}

const lh__device *lh__device_cpu(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    lh__variant variants[3];

    pthread_once(&once, confine_blas);
    lh__cpu_variants(variants);
    return variants[0].device;
}
