/* gemm.c - see gemm.h.
 *
 * The inner loop multiplies elements of one operand, the rows, with registers of neighbours of the
 * other, the panel: a block of sums stays in registers while it runs down k. Either operand may be
 * the panel: c's columns are columns of b, or its rows are rows of a (flipped). A panel is read
 * where it lies if it can be, else laid out on the stack, as deep as the first cache has room for.
 *
 * Next, for tests/bench/versus's mlp and gpt-nano where there is no AVX-512 and the second cache is
 * small: a launch could fetch what the next one reads first, and the optimizer's update could write
 * a weight's panels along with it, which forward products then need not lay out.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/round.h"
#include "kernels/cpu/vector.h"

enum {
    DEPTH = 256,     /* summands of a panel at most, which then fits the first cache */
    DEPTH_STEP = 16, /* and a multiple of this, but for the last */
    VECTORS = 2,     /* registers of a panel's row */
#ifdef __AVX512F__
    MOST_ROWS = 14,        /* 28 sums, 2 of the panel, 1 of the rows: of 32 registers */
    LAID_WORK = 128 << 20, /* multiply-adds of a product whose panels are laid out once */
#else
    MOST_ROWS = 6,        /* 12 sums of 16 registers */
    LAID_WORK = 16 << 20, /* the second cache is smaller, too */
#endif
    PANELS = 8, /* side by side in a block of results, which reads the rows once for all of them */
    FLIPPED_PANELS = 2,          /* the same where results are transposed */
    BLOCK_ROWS = 512,            /* of such a block: laying out a panel is next to nothing then */
    GROUP_ROWS = 8 * MOST_ROWS,  /* rows laid out at a time, where they have to be */
    IN_PLACE_ROWS = 320,         /* with fewer a panel isn't laid out if it needn't be, */
    IN_PLACE_BYTES = 256 << 10,  /* unless it is spread so wide that it comes late */
    LAID_PANELS = 4,             /* rows for as many panels are laid out, */
    LAID_BYTES = 512 << 10,      /* if there is more of them than this */
    SOON = 8,                    /* rows of panels that are fetched before they are copied */
    LEAST_LAID = 64,             /* Sides and summands of a product that may be laid out so, */
    LAID_SIDE = 128,             /* and sides of one that is; */
    LAID_JOB_TILES = 8,          /* it is cut in as many tiles, */
    LEAST_COLUMNS = 256,         /* but no narrower, */
    LEAST_GROUP = 3 * MOST_ROWS, /* and no lower */
    LINE = 64,
    PAGE = 4096,
    BF16_SIDE = 256,     /* of tiles of products in bfloat16 */
    JOB_TILES = 8,       /* tiles that a product is cut in, if only across panels; */
    LEAST_ROWS = 128,    /* and no lower, */
    TILE_WORK = 4 << 20, /* multiply-adds for which there should be a tile in any case */
};

/* A macro of i for each row; the same with the address it counts from; for each address. */
#ifdef __AVX512F__
#define EACH_ROW(_) _(0) _(1) _(2) _(3) _(4) _(5) _(6) _(7) _(8) _(9) _(10) _(11) _(12) _(13)
#define EACH_ROW_AT(_) \
    _(0, a0)           \
    _(1, a0)           \
    _(2, a0)           \
    _(3, a3)           \
    _(4, a3) _(5, a3) _(6, a6) _(7, a6) _(8, a6) _(9, a9) _(10, a9) _(11, a9) _(12, a12) _(13, a12)
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

/* The length of equal parts of n, at most `most` each but for rounding up to `step`. */
static int64_t part_of(int64_t n, int64_t most, int64_t step) {
    int64_t count = (n + most - 1) / most;

    return ((n + count - 1) / count + step - 1) / step * step;
}

/* Memory that is wanted soon: runs of bytes, `stride` apart. */
typedef struct ahead {
    const char *data;
    int64_t runs, bytes, stride;
    int64_t run, at, lines; /* how far it is fetched; lines to fetch at a time */
} ahead;

/* To be fetched in so many turns. */
static void spread(ahead *x, int64_t turns) {
    x->lines = parts_of(x->runs * parts_of(x->bytes, LINE), turns);
}

static void fetch(ahead *x) {
    for (int64_t i = 0; i < x->lines && x->run < x->runs; i++) {
        __builtin_prefetch(x->data + x->run * x->stride + x->at, 0, 2);
        x->at += LINE;
        if (x->at >= x->bytes)
            x->at = 0, x->run++;
    }
}

/* So many lines from an address on, which may be beyond the end of what there is. */
static inline void fetch_lines(int64_t address, int64_t lines) {
    for (; lines > 0; lines--, address += LINE)
        __builtin_prefetch((const void *)(intptr_t)address, 0, 3);
}

/* Whether c's rows make the panels: the cheaper way, in quarters of a cycle. A vector's
 * multiply-add takes two of them, transposing an element one, and of c another for its detour. */
static bool is_flipped(const lh__gemm *g, int64_t width) {
    int64_t across_n = (g->n + width - 1) / width, across_m = (g->m + width - 1) / width;
    int64_t straight = 2 * across_n * g->m * g->k + (g->b_column == 1 ? 0 : g->n * g->k);
    int64_t flipped = 2 * across_m * g->n * g->k + (g->a_row == 1 ? 0 : g->m * g->k) +
                      (g->adds ? 3 : 2) * g->m * g->n;

    return flipped < straight;
}

void ISA(gemm_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns) {
    const int64_t width = LH__VECTOR_BYTES / size, panel = VECTORS * width;
    const bool flipped = is_flipped(g, width);
    const int64_t wide = flipped ? g->m : g->n, tall = flipped ? g->n : g->m;
    const int64_t wanted = wide * tall * g->k / TILE_WORK;
    int64_t across = least(wide, (flipped ? FLIPPED_PANELS : PANELS) * panel);
    int64_t along = part_of(tall, BLOCK_ROWS, MOST_ROWS);

    if (lh__bf16_unit_for(g->products)) {
        *rows = *columns = BF16_SIDE;
        return;
    }
    while (parts_of(wide, across) * parts_of(tall, along) < JOB_TILES &&
           across > LAID_PANELS * panel)
        across = part_of(across, (across + 1) / 2, panel);
    if (flipped && parts_of(wide, across) * parts_of(tall, along) < wanted)
        across = panel;
    while (parts_of(wide, across) * parts_of(tall, along) < least(wanted, JOB_TILES) &&
           along > LEAST_ROWS)
        along = part_of(along, (along + 1) / 2, MOST_ROWS);
    while (parts_of(wide, across) * parts_of(tall, along) < 2 && across > panel)
        across = part_of(across, (across + 1) / 2, panel);
    while (parts_of(wide, across) * parts_of(tall, along) < 2 && along > MOST_ROWS)
        along = part_of(along, (along + 1) / 2, MOST_ROWS);
    *rows = flipped ? across : along;
    *columns = flipped ? along : across;
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
#ifdef LH__HAS_BF16
    if (lh__bf16_unit_for(g->products)) {
        lh__bf16_gemm(g);
        return;
    }
#endif
    multiply_f32(g);
}

void ISA(gemm_f64)(const lh__gemm *g) {
    multiply_f64(g);
}

void ISA(gemm_laid_tile)(const lh__gemm *g, int64_t size, int64_t *rows, int64_t *columns) {
    const int64_t panel = VECTORS * LH__VECTOR_BYTES / size;
    int64_t tall = part_of(g->m, GROUP_ROWS, 1), wide = g->n;

    while (parts_of(g->m, tall) * parts_of(g->n, wide) < LAID_JOB_TILES && wide > 2 * LEAST_COLUMNS)
        wide = part_of(wide, (wide + 1) / 2, panel);
    while (parts_of(g->m, tall) * parts_of(g->n, wide) < LAID_JOB_TILES && tall > LEAST_GROUP)
        tall = part_of(g->m, (tall + 1) / 2, 1);
    *rows = tall, *columns = wide;
}

bool ISA(gemm_may_be_laid)(const lh__gemm *g) {
    return g->products == LH__PRODUCTS_F32 && least(g->m, least(g->n, g->k)) >= LEAST_LAID;
}

bool ISA(gemm_is_laid)(const lh__gemm *g) {
    return ISA(gemm_may_be_laid)(g) && least(g->m, g->n) >= LAID_SIDE &&
           g->m * g->n * g->k >= LAID_WORK;
}

size_t ISA(gemm_room)(const lh__gemm *g, int64_t size) {
    const int64_t panel = VECTORS * LH__VECTOR_BYTES / size;

    return (size_t)(parts_of(g->n, panel) * panel * g->k * size);
}

int64_t ISA(gemm_lay_parts)(const lh__gemm *g, int64_t size) {
    const int64_t panel = VECTORS * LH__VECTOR_BYTES / size;

    return parts_of(g->n, PANELS * panel) * parts_of(g->k, part_of(g->k, DEPTH, DEPTH_STEP));
}

void ISA(gemm_lay_out)(const lh__gemm *g, int64_t size, void *panels, int64_t part) {
    const int64_t depth = part_of(g->k, DEPTH, DEPTH_STEP), count = parts_of(g->k, depth);
    const int64_t p = part / count * PANELS, k0 = part % count * depth, n = least(g->k - k0, depth);

    if (size == sizeof(float))
        lay_part_f32(g, panels, p, k0, n);
    else
        lay_part_f64(g, panels, p, k0, n);
}

void ISA(gemm_laid)(const lh__gemm *g, int64_t size, const void *panels, int64_t i, int64_t rows,
                    int64_t j, int64_t columns) {
    if (size == sizeof(float))
        multiply_laid_f32(g, panels, i, rows, j, columns);
    else
        multiply_laid_f64(g, panels, i, rows, j, columns);
}
