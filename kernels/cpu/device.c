/* device.c - picks the cpu device's variant for this machine.
 *
 * Invariant: OpenBLAS runs on the caller's thread: the pool is the process's only set of compute
 * threads.
 */
#include <cblas.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

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

#ifdef LH__X86_64
/* OpenBLAS's choice of kernels, made when it is loaded; absent where it is built for one machine. */
void gotoblas_dynamic_init(void) __attribute__((weak));
void gotoblas_dynamic_quit(void) __attribute__((weak));

/* OpenBLAS up to 0.3.21 takes AVX-512 machines younger than itself for Haswell, at half their speed.
 * Has it choose again, as OPENBLAS_CORETYPE set before the start would; a value that is set wins. */
static void correct_blas_choice(void) {
    if (!gotoblas_dynamic_init || !gotoblas_dynamic_quit || getenv("OPENBLAS_CORETYPE") ||
        !has_avx512() || strcmp(openblas_get_corename(), "Haswell") != 0)
        return;
    setenv("OPENBLAS_CORETYPE", "SkylakeX", 1);
    gotoblas_dynamic_quit();
    gotoblas_dynamic_init();
    unsetenv("OPENBLAS_CORETYPE");
}
#else
static void correct_blas_choice(void) {
}
#endif

static void confine_blas(void) {
    correct_blas_choice();
    openblas_set_num_threads(1);
}

const lh__device *lh__device_cpu(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    lh__variant variants[3];

    pthread_once(&once, confine_blas);
    lh__cpu_variants(variants);
    return variants[0].device;
}
