/* bfloat16.h - products of float32 matrices in bfloat16, by the tile registers of x86 (AMX) or its
 * dot products of pairs (AVX512-BF16): operands are rounded, or split in two bfloat16
 * (LH__PRODUCTS_BF16X3), as they are laid out; sums are float32.
 *
 * Invariant: an element's sum runs over k in order from what it is added to, wherever strips put
 * it. The units may round differently.
 *
 * Operands are laid out in strips of LH__BF16_STRIP of a's rows or b's columns, summands in steps
 * of LH__BF16_STEP; what is missing is 0. A strip is long rows of a, or of b: one side of a product
 * is `rows`, the other `columns`; flipped, b's columns are the rows and c comes out transposed.
 */
#ifndef LH_KERNELS_CPU_BFLOAT16_H
#define LH_KERNELS_CPU_BFLOAT16_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/panel.h"

enum { LH__BF16_STRIP = 32, LH__BF16_STEP = 32 };

/* An operand: element (i, k), i < n, is data[i row + k step]. */
typedef struct lh__bf16_side {
    const float *data;
    int64_t n, row, step;
} lh__bf16_side;

/* How a strip's summands are multiplied: so many steps of `step` bytes, in each the parts of rows
 * and columns that begin at these bytes. */
typedef struct lh__bf16_run {
    int64_t steps, step, products, row_part[3], column_part[3];
    int64_t rows; /* of the strip that exist: of results after them some may be written, too */
} lh__bf16_run;

/* What multiplies. Functions of one thread, between begin and end on it. */
typedef struct lh__bf16_unit {
    const char *name;
    void (*begin)(void);
    /* c (LH__BF16_STRIP squared) = or += a strip of rows by one of columns. */
    void (*multiply)(const char *rows, const char *columns, const lh__bf16_run *run, float *c,
                     int64_t c_row, bool adds);
    void (*end)(void);
    /* For elements that are pairs: of neighbours of n numbers, and 0 up to n_to pairs; of from[i]
     * and next[i], i < n, a multiple of 16: `to` may be one of them. */
    void (*narrow)(void *to, int64_t n_to, const float *from, int64_t n);
    void (*pair)(void *to, const float *from, const float *next, int64_t n);
    const lh__panel_fns *panels; /* their products; NULL: strips are better */
} lh__bf16_unit;

/* The units of this machine that this process may use, the fastest first. Returns how many. */
int lh__bf16_units(const lh__bf16_unit *out[2]);

/* The fastest, NULL if there is none; it is looked for once. Any thread. */
const lh__bf16_unit *lh__bf16_unit_here(void);

/* The unit that takes operands so; NULL: none, or they are not in bfloat16. */
static inline const lh__bf16_unit *lh__bf16_unit_for(lh__products products) {
#ifdef LH__HAS_BF16
    return products == LH__PRODUCTS_BF16 || products == LH__PRODUCTS_BF16X3 ? lh__bf16_unit_here()
                                                                            : NULL;
#else
    return NULL;
#endif
}

/* All rows; both numbers' first parts, or, with LH__PRODUCTS_BF16X3: high by high, high by low, low
 * by high, where high and low are a's first. */
lh__bf16_run lh__bf16_run_of(lh__products products, bool flipped, int64_t steps);

/* gemm.h's product of F32 with LH__PRODUCTS_BF16 or LH__PRODUCTS_BF16X3, on the caller's thread,
 * laid out on its stack (about 300 kB). */
void lh__bf16_gemm(const lh__gemm *g);

/* The same in two jobs, for operands that are worth laying out once: every strip of both sides is
 * laid out at its place, then tiles of strips are multiplied. */
typedef struct lh__bf16_product {
    const lh__gemm *g;
    const lh__bf16_unit *unit;
    lh__bf16_side rows, columns;
    bool flipped;
    int64_t row_strips, column_strips, strip_bytes;
    char *laid; /* lh__bf16_room bytes, aligned to 64: the rows' strips, then the columns' */
} lh__bf16_product;

/* All but `laid`. */
lh__bf16_product lh__bf16_product_of(const lh__gemm *g);
size_t lh__bf16_room(const lh__bf16_product *p);
/* Strip number i of the row_strips + column_strips. */
void lh__bf16_lay_out(const lh__bf16_product *p, int64_t i);
/* The results of row strips [i, i_end) and column strips [j, j_end). */
void lh__bf16_multiply(const lh__bf16_product *p, int64_t i, int64_t i_end, int64_t j,
                       int64_t j_end);

/* Pieces of the above, for operands that are no matrices in memory. */

/* A strip of columns: items [0, LH__BF16_STRIP), of which s->n exist, k summands. */
void lh__bf16_lay_columns(char *to, const lh__bf16_side *s, int64_t k);
/* A strip of rows, likewise: in each step LH__BF16_STRIP rows of LH__BF16_STEP bfloat16. */
void lh__bf16_lay_rows(char *to, const lh__bf16_side *s, int64_t k);
/* A step of a strip of rows, `depth` summands that are neighbours: s->n items, nothing after. */
void lh__bf16_lay_step(char *to, const lh__bf16_side *s, int64_t depth);

#endif
