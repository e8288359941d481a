/* blas.h - OpenBLAS, loaded when the cpu device is first asked for.
 *
 * Invariant: OpenBLAS runs on the caller's thread and starts none of its own: the pool is the
 * process's only set of compute threads. Loading it costs some 10 ms, which a program that computes
 * nothing does not pay.
 */
#ifndef LH_KERNELS_CPU_BLAS_H
#define LH_KERNELS_CPU_BLAS_H

#include <cblas.h>

typedef struct lh__blas {
    __typeof__(cblas_sgemm) *sgemm;
    __typeof__(cblas_dgemm) *dgemm;
} lh__blas;

/* NULL when the library is not installed. Any thread; the first call loads it. */
const lh__blas *lh__blas_load(void);

#endif
