/* gemm.c - see gemm.h.
 *
 * The inner loop multiplies elements of one operand, the rows, read where they
 * lie, with registers of neighbours of the other, the panel. What lies
 * otherwise is laid out in a panel on the stack first. Either operand may be
 * the panel: c's columns are a panel of b, or its rows one of a.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/vector.h"

enum {
    DEPTH = 256,      /* summands of a panel, which then fits the first cache */
    MOST_VECTORS = 2, /* registers of a panel's row */
#ifdef __AVX512F__
    LOG_ROWS = 3, /* 16 sums in 32 registers: more make gcc keep them in memory */
#else
    LOG_ROWS = 2, /* 8 sums in 16 */
#endif
    MOST_ROWS = 1 << LOG_ROWS,
    TALL = 16,      /* rows of a tile of results */
    ROWS_CUT = 256, /* laying out a panel is next to nothing when so many rows use it */
};

/* Whether c's rows make the panels: when that is less to lay out, c's
 * transposition counted in. */
static bool is_flipped(const lh__gemm *g) {
    int64_t straight = g->b_column == 1 ? 0 : g->n * g->k;
    int64_t flipped = (g->a_row == 1 ? 0 : g->m * g->k) + g->m * g->n;

    return flipped < straight;
}

void ISA(gemm_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns) {
    const bool flipped = is_flipped(g);
    const int64_t panel = MOST_VECTORS * LH__VECTOR_BYTES / size;
    int64_t *across = flipped ? rows : columns, *along = flipped ? columns : rows;
    int64_t wide = flipped ? g->m : g->n, tall = flipped ? g->n : g->m;

    *across = wide < 4 * panel ? panel : 2 * panel;
    *along = wide > *across || tall <= MOST_ROWS ? ROWS_CUT : (tall / 2 + 7) / 8 * 8;
    *along = *along < ROWS_CUT ? *along : ROWS_CUT;
}

#define T float
#define VECTOR vector_f32
#define FMA LH__FMA_F32
#define LOW LH__LOW_F32
#define HIGH LH__HIGH_F32
#define FN(name) name##_f32
#include "kernels/cpu/gemm.inc"
#undef T
#undef VECTOR
#undef FMA
#undef LOW
#undef HIGH
#undef FN
#define T double
#define VECTOR vector_f64
#define FMA LH__FMA_F64
#define LOW LH__LOW_F64
#define HIGH LH__HIGH_F64
#define FN(name) name##_f64
#include "kernels/cpu/gemm.inc"
