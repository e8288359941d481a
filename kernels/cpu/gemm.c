/* gemm.c - see gemm.h.
 *
 * The inner loop multiplies elements of one operand, the rows, with registers of neighbours of the
 * other, the panel: a block of sums stays in registers while it runs down k. Either operand may be
 * the panel: c's columns are columns of b, or its rows are rows of a (flipped). A panel is read
 * where it lies if it can be, else laid out on the stack, as deep as the first cache has room for.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/amx.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/vector.h"

enum {
    DEPTH = 256,     /* summands of a panel at most, which then fits the first cache */
    DEPTH_STEP = 16, /* and a multiple of this, but for the last */
    VECTORS = 2,     /* registers of a panel's row */
#ifdef __AVX512F__
    MOST_ROWS = 14, /* 28 sums, 2 of the panel, 1 of the rows: of 32 registers */
#else
    MOST_ROWS = 6, /* 12 sums of 16 registers */
#endif
    PANELS = 2,       /* panels side by side in a block of results */
    BLOCK_ROWS = 512, /* rows of such a block: laying out a panel is next to nothing then */
    GROUP_ROWS = 4 * MOST_ROWS, /* rows laid out at a time, where they have to be */
    IN_PLACE_ROWS = 96, /* a panel isn't laid out for fewer rows than this if it needn't be */
    PAGE = 4096,
    TILES_SIDE = 256, /* of products in bfloat16 */
};

/* A macro of i for each row; the same with the address it counts from; for each address. */
#ifdef __AVX512F__
#define EACH_ROW(_) _(0) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8) _(9) _(10) _(11) _(12) _(13)
#define EACH_ROW_AT(_)                                                                         \
    _(0, a0)                                                                                   \
    _(1, a0) _(2, a0) _(3, a3) _(4, a3) _(5, a3) _(6, a6) _(7, a6) _(8, a6) _(9, a9) _(10, a9) \
        _(11, a9) _(12, a12) _(13, a12)
#define EACH_ADDRESS(_) _(0, a0) _(3, a3) _(6, a6) _(9, a9) _(12, a12)
#define ROWS_1_TO_MOST(_) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8) _(9) _(10) _(11) _(12) _(13) _(14)
#else
#define EACH_ROW(_) _(0) _(1) _(2) _(3) _(4) _(5)
#define EACH_ROW_AT(_) _(0, a0) _(1, a0) _(2, a0) _(3, a3) _(4, a3) _(5, a3)
#define EACH_ADDRESS(_) _(0, a0) _(3, a3)
#define ROWS_1_TO_MOST(_) _(1) _(2) _(3) _(4) _(5) _(6)
#endif

/* What the address will be, the compiler can't tell: else gcc makes a loop of its own for step 1,
 * and then has too few registers for both. */
#define OPAQUE(address) __extension__({ __asm__("" : "+r"(address)); })

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* The length of equal parts of n, at most `most` each but for rounding up to `step`. */
static int64_t part_of(int64_t n, int64_t most, int64_t step) {
    int64_t parts = (n + most - 1) / most;

    return ((n + parts - 1) / parts + step - 1) / step * step;
}

/* Whether c's rows make the panels: the cheaper way, in quarters of a cycle. A vector's
 * multiply-add takes two of them, transposing an element one. */
static bool is_flipped(const lh__gemm *g, int64_t width) {
    int64_t across_n = (g->n + width - 1) / width, across_m = (g->m + width - 1) / width;
    int64_t straight = 2 * across_n * g->m * g->k + (g->b_column == 1 ? 0 : g->n * g->k);
    int64_t flipped = 2 * across_m * g->n * g->k + (g->a_row == 1 ? 0 : g->m * g->k) +
                      (g->adds ? 2 : 1) * g->m * g->n;

    return flipped < straight;
}

static bool is_for_tiles(const lh__gemm *g) {
#ifdef LH__HAS_TILES
    return (g->products == LH__PRODUCTS_BF16 || g->products == LH__PRODUCTS_BF16X3) &&
           lh__amx_is_there();
#else
    return false;
#endif
}

void ISA(gemm_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns) {
    const int64_t width = LH__VECTOR_BYTES / size, panel = VECTORS * width;
    const bool flipped = is_flipped(g, width);
    int64_t *across = flipped ? rows : columns, *along = flipped ? columns : rows;
    int64_t wide = flipped ? g->m : g->n, tall = flipped ? g->n : g->m;

    if (is_for_tiles(g)) {
        *rows = *columns = TILES_SIDE;
        return;
    }
    *across = wide < 8 * panel ? panel : PANELS * panel;
    *along = part_of(tall, wide > *across ? BLOCK_ROWS : (tall + 1) / 2, MOST_ROWS);
    *along = least(*along, BLOCK_ROWS);
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
#undef T
#undef VECTOR
#undef FMA
#undef LOW
#undef HIGH
#undef FN

void ISA(gemm_f32)(const lh__gemm *g) {
#ifdef LH__HAS_TILES
    if (is_for_tiles(g)) {
        lh__amx_gemm(g);
        return;
    }
#endif
    multiply_f32(g);
}

void ISA(gemm_f64)(const lh__gemm *g) {
    multiply_f64(g);
}
