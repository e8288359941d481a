/* amx.h - products of float32 matrices in bfloat16 by the tile registers of x86 (AMX): operands are
 * rounded, or split in two bfloat16 (LH__PRODUCTS_BF16X3), as they are laid out; sums are float32.
 *
 * Invariant: an element's sum runs over k in order from what it is added to, wherever tiles put it.
 *
 * Operands are laid out in strips of LH__AMX_STRIP of a's rows or b's columns, summands in steps of
 * LH__AMX_STEP; what is missing is 0. A strip is long rows of a, or of b: one side of a product is
 * `rows`, the other `columns`; flipped, b's columns are the rows and c comes out transposed.
 */
#ifndef LH_KERNELS_CPU_AMX_H
#define LH_KERNELS_CPU_AMX_H

#include "kernels/cpu/gemm.h"

enum { LH__AMX_STRIP = 32, LH__AMX_STEP = 32 };

/* An operand: element (i, k), i < n, is data[i row + k step]. */
typedef struct lh__amx_side {
    const float *data;
    int64_t n, row, step;
} lh__amx_side;

/* Whether this machine has the tiles and the kernel lets this process use them; it is asked once.
 * Any thread. */
bool lh__amx_is_there(void);

/* gemm.h's product of F32 with LH__PRODUCTS_BF16 or LH__PRODUCTS_BF16X3, on the caller's thread,
 * laid out on its stack (about 300 kB). */
void lh__amx_gemm(const lh__gemm *g);

/* The same in two jobs, for operands that are worth laying out once: every strip of both sides is
 * laid out at its place, then tiles of strips are multiplied. */
typedef struct lh__amx_product {
    const lh__gemm *g;
    lh__amx_side rows, columns;
    bool flipped;
    int64_t row_strips, column_strips, strip_bytes;
    char *laid; /* lh__amx_room bytes, aligned to 64: the rows' strips, then the columns' */
} lh__amx_product;

/* All but `laid`. */
lh__amx_product lh__amx_product_of(const lh__gemm *g);
size_t lh__amx_room(const lh__amx_product *p);
/* Strip number i of the row_strips + column_strips. */
void lh__amx_lay_out(const lh__amx_product *p, int64_t i);
/* The results of row strips [i, i_end) and column strips [j, j_end). */
void lh__amx_multiply(const lh__amx_product *p, int64_t i, int64_t i_end, int64_t j, int64_t j_end);

#endif
