/* matmul.c - the cpu device's matrix products: tiles on the pool, each a product of gemm.h or, on
 * its thread, of OpenBLAS; products in bfloat16 of strips of bfloat16.h, where the machine has a
 * unit.
 *
 * Invariant: an output is cut into tiles of rows and columns by its shape and layout alone, never
 * along the summed axis, and they alone choose who multiplies, so its bits do not depend on
 * threads, nor on what happens to it after.
 */
#include <limits.h>

#include "kernels/cpu/bfloat16.h"
#include "kernels/cpu/blas.h"
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/vector.h"

enum {
    FEW_ROWS = 8,               /* fewer, and OpenBLAS is ahead: see tests/bench/products */
    FEW = 16,                   /* columns, or summands */
    TILE = 256,                 /* OpenBLAS's */
    RUN = 64,                   /* elements of a row that are worth telling `after` about */
    LEAST_TO_CUT = 1024 * 1024, /* multiply-adds of all products */
    LEAST_TILE = 64 * 1024,     /* multiply-adds of a job's tile: of several products if small */
    STRIPS = 8,                 /* sides of a tile of products in bfloat16 */
};

/* A matrix as BLAS takes it, and how far apart the batch's matrices lie. */
typedef struct matrix {
    const char *data;
    int64_t row, column; /* strides */
    CBLAS_TRANSPOSE transpose;
    int ld;
    int64_t batch[LH_MAX_DIMS]; /* strides of the batch axes; 0 where broadcast */
} matrix;

typedef struct product {
    int32_t dtype, batch_axes;
    int64_t size; /* of an element */
    int64_t m, n, k;
    matrix a, b;
    char *c;
    const lh__view *bias;
    lh__products products;
    const lh__after *after;
    const lh__blas *blas; /* NULL: gemm.h multiplies */
    int64_t batch_shape[LH_MAX_DIMS], batches;
    int64_t tile_m, tile_n, tiles_m, tiles_n, tiles, grain;
} product;

/* Decides how BLAS reads a rows x columns matrix. False when it cannot. */
static bool choose_layout(matrix *x, int64_t rows, int64_t columns) {
    int64_t ld;

    if ((x->column == 1 || columns == 1) && (x->row >= columns || rows == 1)) {
        x->transpose = CblasNoTrans;
        ld = rows == 1 ? columns : x->row;
    } else if ((x->row == 1 || rows == 1) && (x->column >= rows || columns == 1)) {
        x->transpose = CblasTrans;
        ld = columns == 1 ? rows : x->column;
    } else {
        return false;
    }
    x->ld = (int)ld;
    return ld <= INT_MAX;
}

/* Merges batch axes into the rows of a and c where b is the same for all of them. */
static void fold_batch(product *p) {
    while (p->batch_axes > 0) {
        int32_t d = p->batch_axes - 1;

        if (p->b.batch[d] != 0 && p->batch_shape[d] != 1)
            return;
        if (p->batch_shape[d] != 1) {
            if (p->m == 1)
                p->a.row = p->a.batch[d];
            else if (p->a.batch[d] != p->m * p->a.row)
                return;
        }
        p->m *= p->batch_shape[d];
        p->batches /= p->batch_shape[d] ? p->batch_shape[d] : 1;
        p->batch_axes--;
    }
}

/* A part of c: its first row (of all batches) and column. */
typedef struct part {
    int64_t row, column, m, n;
} part;

static char *place_of(const product *p, part t) {
    return p->c + (t.row * p->n + t.column) * p->size;
}

/* Rows of the bias, to which products are added. */
static void fill_bias(const product *p, part t) {
    const lh__view *bias = p->bias;
    int64_t stride = bias->stride[0];
    char *c = place_of(p, t);

    for (int64_t i = 0; i < t.m; i++, c += p->n * p->size) {
        if (i > 0)
            memcpy(c, c - p->n * p->size, (size_t)(t.n * p->size));
        else if (p->dtype == LH_F32)
            for (int64_t j = 0; j < t.n; j++)
                ((float *)c)[j] = ((const float *)bias->data)[(t.column + j) * stride];
        else
            for (int64_t j = 0; j < t.n; j++)
                ((double *)c)[j] = ((const double *)bias->data)[(t.column + j) * stride];
    }
}

static void run_after(const product *p, part t) {
    int64_t begin = t.row * p->n + t.column;

    if (!p->after)
        return;
    if (t.n == p->n)
        p->after->run(p->after, begin, t.m * t.n);
    else
        for (int64_t i = 0; i < t.m; i++, begin += p->n)
            p->after->run(p->after, begin, t.n);
}

/* A product m x n; its operands are left to fill in. */
static lh__gemm gemm_of(const product *p, int64_t m, int64_t n) {
    return (lh__gemm){.m = m,
                      .n = n,
                      .k = p->k,
                      .a_row = p->a.row,
                      .a_column = p->a.column,
                      .b_row = p->b.row,
                      .b_column = p->b.column,
                      .c_row = p->n,
                      .adds = p->bias,
                      .products = p->products};
}

static void multiply_by_blas(const product *p, const lh__gemm *g) {
    if (p->dtype == LH_F32)
        p->blas->sgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)g->m, (int)g->n,
                       (int)g->k, 1, g->a, p->a.ld, g->b, p->b.ld, g->adds ? 1 : 0, g->c,
                       (int)g->c_row);
    else
        p->blas->dgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)g->m, (int)g->n,
                       (int)g->k, 1, g->a, p->a.ld, g->b, p->b.ld, g->adds ? 1 : 0, g->c,
                       (int)g->c_row);
}

static void run_tile(const product *p, int64_t tile) {
    int64_t column = tile % p->tiles_n * p->tile_n, rest = tile / p->tiles_n;
    int64_t row = rest % p->tiles_m * p->tile_m, batch = rest / p->tiles_m;
    part t = {batch * p->m + row, column, least(p->m - row, p->tile_m),
              least(p->n - column, p->tile_n)};
    int64_t a = row * p->a.row, b = column * p->b.column, i = batch;
    lh__gemm g = gemm_of(p, t.m, t.n);

    for (int32_t d = p->batch_axes - 1; d >= 0; d--) {
        a += i % p->batch_shape[d] * p->a.batch[d];
        b += i % p->batch_shape[d] * p->b.batch[d];
        i /= p->batch_shape[d];
    }
    g.a = p->a.data + a * p->size, g.b = p->b.data + b * p->size, g.c = place_of(p, t);
    if (p->bias)
        fill_bias(p, t);
    if (p->blas)
        multiply_by_blas(p, &g);
    else
        (p->dtype == LH_F32 ? ISA(gemm_f32) : ISA(gemm_f64))(&g);
    run_after(p, t);
}

static void run_tiles(void *arg, int64_t group) {
    const product *p = arg;

    for (int64_t i = group * p->grain; i < least((group + 1) * p->grain, p->tiles); i++)
        run_tile(p, i);
}

static void choose_tiles(product *p) {
    const lh__gemm g = gemm_of(p, p->m, p->n);
    int64_t work;

    p->tile_m = least(p->m, TILE);
    p->tile_n = least(p->n, TILE);
    if (p->m * p->n * p->k >= LEAST_TO_CUT) {
        int64_t *longer = p->m > p->n ? &p->tile_m : &p->tile_n;

        if (!p->blas)
            ISA(gemm_tile)(&g, p->size, &p->tile_m, &p->tile_n);
        else if (p->m <= TILE && p->n <= TILE)
            *longer = (*longer + 1) / 2; /* two, so that a second thread has something to do */
    }
    if (p->after && p->tile_n < least(RUN, p->n)) {
        p->tile_m = p->tile_m * p->tile_n / RUN + 1;
        p->tile_n = RUN;
    }
    p->tiles_m = (p->m + p->tile_m - 1) / p->tile_m;
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
    p->tiles = p->batches * p->tiles_m * p->tiles_n;
    work = least(p->m, p->tile_m) * least(p->n, p->tile_n) * p->k;
    p->grain = work < LEAST_TILE ? LEAST_TILE / (work + 1) + 1 : 1;
}

/* Whether OpenBLAS multiplies: only what it can take, too. Everything where registers are so short
 * that it is the one that knows the machine. */
static bool is_for_blas(product *p) {
    bool few = p->m < FEW_ROWS || p->n < FEW || p->k < FEW || LH__VECTOR_BYTES < 32;

    return few && p->products == LH__PRODUCTS_F32 && p->k > 0 && p->k <= INT_MAX &&
           p->n <= INT_MAX && p->m <= INT_MAX && choose_layout(&p->a, p->m, p->k) &&
           choose_layout(&p->b, p->k, p->n);
}

#ifdef LH__HAS_BF16
/* A product whose operands are laid out once. */
typedef struct laid_product {
    const product *p;
    lh__bf16_product x;
    int64_t rows, columns, tiles_across; /* strips of a tile; tiles side by side */
} laid_product;

/* The columns' strips, and the rows' where several tiles read them. */
static void lay_out(void *arg, int64_t i) {
    const laid_product *l = arg;

    lh__bf16_lay_out(&l->x, l->tiles_across == 1 ? l->x.row_strips + i : i);
}

static void multiply_laid(void *arg, int64_t tile) {
    enum { STRIP = LH__BF16_STRIP };
    const laid_product *l = arg;
    const lh__bf16_product *x = &l->x;
    const int64_t i = tile / l->tiles_across * l->rows, j = tile % l->tiles_across * l->columns;
    const int64_t i_end = least(i + l->rows, x->row_strips);
    const int64_t j_end = least(j + l->columns, x->column_strips);
    part t = {i * STRIP, j * STRIP, least(i_end * STRIP, x->rows.n) - i * STRIP,
              least(j_end * STRIP, x->columns.n) - j * STRIP};

    if (x->flipped)
        t = (part){t.column, t.row, t.n, t.m};
    if (l->p->bias)
        fill_bias(l->p, t);
    for (int64_t strip = i; l->tiles_across == 1 && strip < i_end; strip++)
        lh__bf16_lay_out(x, strip);
    lh__bf16_multiply(x, i, i_end, j, j_end);
    run_after(l->p, t);
}

/* Tiles of all columns, which their thread lays out the rows of; there are some if there are rows
 * for it, else columns are cut, too. */
static void choose_strips(laid_product *l) {
    const lh__bf16_product *x = &l->x;

    l->rows = least((x->row_strips + STRIPS - 1) / STRIPS, STRIPS);
    l->rows = l->rows < 2 ? 2 : l->rows;
    l->columns = x->column_strips;
    if (x->row_strips <= l->rows)
        l->columns = (x->column_strips + STRIPS - 1) / STRIPS;
    l->tiles_across = (x->column_strips + l->columns - 1) / l->columns;
}

/* False: nothing done; for want of memory. */
static bool multiply_in_strips(const product *p, lh__pool *pool) {
    lh__gemm g = gemm_of(p, p->m, p->n);
    laid_product l = {.p = p};

    g.a = p->a.data, g.b = p->b.data, g.c = p->c;
    l.x = lh__bf16_product_of(&g);
    l.x.laid = lh__pool_scratch(pool, lh__bf16_room(&l.x));
    if (!l.x.laid)
        return false;
    choose_strips(&l);
    lh__pool_run(pool, l.x.column_strips + (l.tiles_across == 1 ? 0 : l.x.row_strips), lay_out, &l);
    lh__pool_run(pool, (l.x.row_strips + l.rows - 1) / l.rows * l.tiles_across, multiply_laid, &l);
    return true;
}
#else
static bool multiply_in_strips(const product *p, lh__pool *pool) {
    return false;
}
#endif

/* A product whose panels are laid out once. */
typedef struct panelled {
    const product *p;
    lh__gemm g;
    void *panels;
    int64_t rows, columns, tiles_across;
} panelled;

static void lay_panels(void *arg, int64_t i) {
    const panelled *x = arg;

    ISA(gemm_lay_out)(&x->g, x->p->size, x->panels, i);
}

static void multiply_panels(void *arg, int64_t tile) {
    const panelled *x = arg;
    const int64_t i = tile / x->tiles_across * x->rows, j = tile % x->tiles_across * x->columns;
    const part t = {i, j, least(x->rows, x->g.m - i), least(x->columns, x->g.n - j)};

    if (x->p->bias)
        fill_bias(x->p, t);
    ISA(gemm_laid)(&x->g, x->p->size, x->panels, t.row, t.m, t.column, t.n);
    run_after(x->p, t);
}

/* False: nothing done; for want of memory. */
static bool multiply_in_panels(const product *p, lh__pool *pool) {
    panelled x = {.p = p, .g = gemm_of(p, p->m, p->n)};

    x.panels = lh__pool_scratch(pool, ISA(gemm_room)(&x.g, p->size));
    if (!x.panels)
        return false;
    x.g.a = p->a.data, x.g.b = p->b.data, x.g.c = p->c;
    ISA(gemm_laid_tile)(&x.g, p->size, &x.rows, &x.columns);
    x.tiles_across = (p->n + x.columns - 1) / x.columns;
    lh__pool_run(pool, ISA(gemm_lay_parts)(&x.g, p->size), lay_panels, &x);
    lh__pool_run(pool, (p->m + x.rows - 1) / x.rows * x.tiles_across, multiply_panels, &x);
    return true;
}

/* How a product is multiplied: in tiles, each laid out by itself; in panels or strips that are laid
 * out once; or by OpenBLAS. The first two give the same bits: they are what there is to choose. */
typedef enum way { IN_TILES = 1, IN_PANELS, IN_STRIPS, BY_BLAS } way;

static way way_of(product *p, int32_t chosen) {
    const lh__gemm g = gemm_of(p, p->m, p->n);
    const bool is_one = p->batches == 1 && p->m * p->n * p->k >= LEAST_TO_CUT;

    if (is_one && lh__bf16_unit_for(p->products))
        return IN_STRIPS;
    if (is_for_blas(p))
        return BY_BLAS;
    if (!is_one || !ISA(gemm_may_be_laid)(&g))
        return IN_TILES;
    if (chosen)
        return (way)chosen;
    return ISA(gemm_is_laid)(&g) ? IN_PANELS : IN_TILES;
}

/* No summands: the bias, or 0. */
static void fill(const product *p) {
    part all = {0, 0, p->batches * p->m, p->n};

    if (p->bias)
        fill_bias(p, all);
    else
        memset(p->c, 0, (size_t)(all.m * all.n * p->size));
    run_after(p, all);
}

static void multiply(product *p, int32_t chosen, lh__pool *pool) {
    way w;

    if (p->batches == 0 || p->m == 0 || p->n == 0)
        return;
    if (p->k == 0) {
        fill(p);
        return;
    }
    w = way_of(p, chosen);
    if ((w == IN_STRIPS && multiply_in_strips(p, pool)) ||
        (w == IN_PANELS && multiply_in_panels(p, pool)))
        return;
    p->blas = w == BY_BLAS ? lh__blas_load() : NULL;
    choose_tiles(p);
    if (p->batches * p->m * p->n * p->k < LEAST_TO_CUT)
        pool = NULL;
    lh__pool_run(pool, (p->tiles + p->grain - 1) / p->grain, run_tiles, p);
}

static bool is_plain(const lh__kernel_call *call) {
    int32_t dtype = call->out->dtype;

    for (int32_t k = 0; k < call->n_in; k++)
        if (call->in[k]->dtype != dtype)
            return false;
    return dtype == LH_F32 || dtype == LH_F64;
}

/* Fills in what follows from the output: its last two axes are the product's, those before batches.
 * Strides of x's own batch axes, right-aligned, become those of the product's. */
static void set_batch(matrix *x, const lh__view *v, int32_t batch_axes) {
    int32_t own = v->ndim > 2 ? v->ndim - 2 : 0;

    for (int32_t d = 0; d < batch_axes; d++) {
        int32_t at = d - (batch_axes - own);

        x->batch[d] = at < 0 || v->shape[at] == 1 ? 0 : v->stride[at];
    }
}

/* Of MATMUL. */
static void set_operands(product *p, const lh__kernel_call *call) {
    const lh__view *a = call->in[0], *b = call->in[1];
    int32_t a_axes = a->ndim > 2 ? a->ndim - 2 : 0, b_axes = b->ndim > 2 ? b->ndim - 2 : 0;

    p->m = a->ndim > 1 ? a->shape[a->ndim - 2] : 1; /* a vector a is a row, a vector b a column */
    p->k = a->shape[a->ndim - 1];
    p->n = b->ndim > 1 ? b->shape[b->ndim - 1] : 1;
    p->a.row = a->ndim > 1 ? a->stride[a->ndim - 2] : 0;
    p->a.column = a->stride[a->ndim - 1];
    p->b.row = b->ndim > 1 ? b->stride[b->ndim - 2] : b->stride[0];
    p->b.column = b->ndim > 1 ? b->stride[b->ndim - 1] : 0;
    p->batch_axes = a_axes > b_axes ? a_axes : b_axes;
    set_batch(&p->a, a, p->batch_axes);
    set_batch(&p->b, b, p->batch_axes);
    for (int32_t d = 0; d < p->batch_axes; d++) {
        p->batch_shape[d] = call->out->shape[d];
        p->batches *= call->out->shape[d];
    }
}

/* Of LINEAR: rows of x, folded into one axis where they can be, by the weight transposed. */
static void set_rows(product *p, const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *weight = call->in[1];

    p->m = 1;
    p->k = weight->shape[1], p->n = weight->shape[0];
    p->a.column = x->stride[x->ndim - 1];
    p->b.row = weight->stride[1], p->b.column = weight->stride[0];
    p->bias = call->n_in > 2 ? call->in[2] : NULL;
    p->batch_axes = x->ndim - 1;
    for (int32_t d = 0; d < p->batch_axes; d++) {
        p->a.batch[d] = x->stride[d];
        p->batch_shape[d] = x->shape[d];
        p->batches *= x->shape[d];
    }
}

static product product_of(const lh__kernel_call *call) {
    const int32_t dtype = call->out->dtype;
    product p = {.dtype = dtype,
                 .size = lh__dtype_size(dtype),
                 .c = call->out->data,
                 .batches = 1,
                 .products = dtype == LH_F32 ? call->products : LH__PRODUCTS_F32,
                 .after = call->after};

    p.a.data = call->in[0]->data, p.b.data = call->in[1]->data;
    if (call->op == LH_OP_LINEAR)
        set_rows(&p, call);
    else
        set_operands(&p, call);
    fold_batch(&p);
    return p;
}

void ISA(matmul)(const lh__kernel_call *call) {
    product p;

    if (!is_plain(call)) {
        (call->op == LH_OP_LINEAR ? lh__ref_linear : lh__ref_matmul)(call);
        return;
    }
    p = product_of(call);
    multiply(&p, call->way, call->pool);
}

const char *ISA(matmul_way)(const lh__kernel_call *call) {
    static const char *const names[] = {[IN_STRIPS] = "strips",
                                        [IN_PANELS] = "panels",
                                        [BY_BLAS] = "OpenBLAS",
                                        [IN_TILES] = "tiles"};
    product p;

    if (!is_plain(call))
        return "reference";
    p = product_of(call);
    return names[way_of(&p, call->way)];
}

int32_t ISA(matmul_ways)(const lh__kernel_call *call) {
    product p;

    if (!is_plain(call))
        return 0;
    p = product_of(call);
    return way_of(&p, IN_PANELS) == IN_PANELS ? IN_PANELS : 0;
}

int32_t ISA(matmul_runs_after)(const lh__kernel_call *call) {
    return is_plain(call);
}
