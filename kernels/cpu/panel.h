/* panel.h - products of rows of elements, found by a list, with a panel: a few registers of
 * columns.
 *
 * An element has four bytes, as each lane of a register: a number of F32, or a pair of bfloat16.
 */
#ifndef LH_KERNELS_CPU_PANEL_H
#define LH_KERNELS_CPU_PANEL_H

#include <stdbool.h>
#include <stdint.h>

enum {
#ifdef __AVX512F__
    PANEL_VECTORS = 4, /* 24 sums, 4 columns and a factor in 32 registers */
#else
    PANEL_VECTORS = 2, /* 12 sums, 2 columns and a factor in 16 */
#endif
    PANEL_ROWS = 6,
};

/* c[i][l] = (c[i][l] +) sum over k < n of row[i][at[k]] b[k b_step + l], n >= 1. */
typedef void lh__panel_fn(int64_t n, const float *const *row, const int32_t *at, const float *b,
                          int64_t b_step, float *const *c, bool adds);

/* Of i <= rows and l <= vectors registers, by rows and vectors. */
typedef lh__panel_fn *const lh__panel_fns[PANEL_ROWS][PANEL_VECTORS];

#endif
