/* gemm.h - products of matrices on the caller's thread, for the cpu device's kernels: in a tile of
 * a job, or without one.
 *
 * Invariant: an element's sum runs over k in order, in blocks cut by k alone. Its bits depend on
 * its row of a, its column of b and what it is added to, wherever tiles put it and however the
 * operands lie.
 */
#ifndef LH_KERNELS_CPU_GEMM_H
#define LH_KERNELS_CPU_GEMM_H

#include "kernels/cpu/isa.h"

/* c = a b, or c += a b: a (m, k), b (k, n), c (m, n) of one real type, k at least 1. Strides count
 * elements and may be any, 0 too; c's columns are neighbours. */
typedef struct lh__gemm {
    int64_t m, n, k;
    const void *a, *b;
    void *c;
    int64_t a_row, a_column, b_row, b_column, c_row;
    bool adds;
    lh__products products; /* of F32 */
} lh__gemm;

void ISA(gemm_f32)(const lh__gemm *g);
void ISA(gemm_f64)(const lh__gemm *g);

/* The rows and columns of tiles that c of elements of `size` bytes is best cut in. */
void ISA(gemm_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns);

/* The same in two jobs, for large products, whose panels of b's columns are worth laying out once:
 * every part is laid out at its place, then tiles of c are multiplied. The operands' elements are
 * of `size` bytes, for floats or doubles. */

/* Whether a product can gain by it; whether it likely does, on a machine that isn't known. */
bool ISA(gemm_may_be_laid)(const lh__gemm *g);
bool ISA(gemm_is_laid)(const lh__gemm *g);
/* Bytes of the panels, to be aligned to 64. */
size_t ISA(gemm_room)(const lh__gemm *g, int64_t size);
/* How many parts there are; lays one out. */
int64_t ISA(gemm_lay_parts)(const lh__gemm *g, int64_t size);
void ISA(gemm_lay_out)(const lh__gemm *g, int64_t size, void *panels, int64_t part);
/* The rows and columns of tiles: columns begin at multiples of a panel's. */
void ISA(gemm_laid_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns);
/* The tile from row i and column j on. */
void ISA(gemm_laid)(const lh__gemm *g, int64_t size, const void *panels, int64_t i, int64_t rows,
                    int64_t j, int64_t columns);

#endif
