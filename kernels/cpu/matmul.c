/* matmul.c - the cpu device's matrix products: tiles on the pool, each a product of gemm.h or, on
 * its thread, of OpenBLAS.
 *
 * Invariant: an output is cut into tiles of rows and columns by its shape and layout alone, never
 * along the summed axis, and they alone choose who multiplies, so its bits do not depend on
 * threads.
 */
#include <limits.h>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/gemm.h"

/* Who multiplies, measured on OpenBLAS 0.3.21 and AVX-512: gemm.h is ahead by a fifth to a half
 * where an operand has to be laid out, and level within 5 % elsewhere. OpenBLAS gets the products
 * that have too little of something to fill a panel, and the large ones, where caches decide. */
enum {
    FEW_ROWS = 8,
    FEW = 16,                   /* columns, or summands */
    SHORT_SUM = 256,            /* summands: never large */
    LARGE = 1 << 27,            /* multiply-adds of one product */
    TILE = 256,                 /* OpenBLAS's */
    LEAST_TO_CUT = 1024 * 1024, /* multiply-adds of all products */
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
    const lh__blas *blas;
    bool is_own;
    int64_t batch_shape[LH_MAX_DIMS], batches;
    int64_t tile_m, tile_n, tiles_m, tiles_n;
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

static void fill_bias(const product *p, char *c, int64_t rows, int64_t first, int64_t columns) {
    const lh__view *bias = p->bias;
    int64_t stride = bias->stride[0];

    for (int64_t i = 0; i < rows; i++, c += p->n * p->size) {
        if (i > 0)
            memcpy(c, c - p->n * p->size, (size_t)(columns * p->size));
        else if (p->dtype == LH_F32)
            for (int64_t j = 0; j < columns; j++)
                ((float *)c)[j] = ((const float *)bias->data)[(first + j) * stride];
        else
            for (int64_t j = 0; j < columns; j++)
                ((double *)c)[j] = ((const double *)bias->data)[(first + j) * stride];
    }
}

/* Of a tile of m x n; its operands are left to fill in. */
static lh__gemm gemm_of(const product *p, int64_t m, int64_t n) {
    return (lh__gemm){.m = m,
                      .n = n,
                      .k = p->k,
                      .a_row = p->a.row,
                      .a_column = p->a.column,
                      .b_row = p->b.row,
                      .b_column = p->b.column,
                      .c_row = p->n,
                      .adds = p->bias};
}

static void run_tile(void *arg, int64_t tile) {
    const product *p = arg;
    int64_t column = tile % p->tiles_n * p->tile_n, rest = tile / p->tiles_n;
    int64_t row = rest % p->tiles_m * p->tile_m, batch = rest / p->tiles_m;
    int64_t m = p->m - row < p->tile_m ? p->m - row : p->tile_m;
    int64_t n = p->n - column < p->tile_n ? p->n - column : p->tile_n;
    int64_t a = row * p->a.row, b = column * p->b.column, i = batch;
    char *c = p->c + ((batch * p->m + row) * p->n + column) * p->size;
    double beta = p->bias ? 1 : 0;

    for (int32_t d = p->batch_axes - 1; d >= 0; d--) {
        a += i % p->batch_shape[d] * p->a.batch[d];
        b += i % p->batch_shape[d] * p->b.batch[d];
        i /= p->batch_shape[d];
    }
    if (p->bias)
        fill_bias(p, c, m, column, n);
    if (p->is_own) {
        lh__gemm g = gemm_of(p, m, n);

        g.a = p->a.data + a * p->size, g.b = p->b.data + b * p->size, g.c = c;
        (p->dtype == LH_F32 ? ISA(gemm_f32) : ISA(gemm_f64))(&g);
    } else if (p->dtype == LH_F32) {
        p->blas->sgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)m, (int)n, (int)p->k, 1,
                       (const float *)p->a.data + a, p->a.ld, (const float *)p->b.data + b, p->b.ld,
                       (float)beta, (float *)c, (int)p->n);
    } else {
        p->blas->dgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)m, (int)n, (int)p->k, 1,
                       (const double *)p->a.data + a, p->a.ld, (const double *)p->b.data + b,
                       p->b.ld, beta, (double *)c, (int)p->n);
    }
}

static void choose_tiles(product *p) {
    const lh__gemm g = gemm_of(p, p->m, p->n);

    p->tile_m = p->m < TILE ? p->m : TILE;
    p->tile_n = p->n < TILE ? p->n : TILE;
    if (p->m * p->n * p->k >= LEAST_TO_CUT) {
        int64_t *longer = p->m > p->n ? &p->tile_m : &p->tile_n;

        if (p->is_own)
            ISA(gemm_tile)(&g, p->size, &p->tile_m, &p->tile_n);
        else if (p->m <= TILE && p->n <= TILE)
            *longer = (*longer + 1) / 2; /* two, so that a second thread has something to do */
    }
    p->tiles_m = (p->m + p->tile_m - 1) / p->tile_m;
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
}

/* Decides who multiplies; what BLAS can't take, gemm.h can. */
static bool is_own(product *p) {
    bool few = p->m < FEW_ROWS || p->n < FEW || p->k < FEW;

    if (p->k == 0 || p->k > INT_MAX || p->n > INT_MAX || p->m > INT_MAX ||
        !choose_layout(&p->a, p->m, p->k) || !choose_layout(&p->b, p->k, p->n))
        return true;
    return !few && (p->k <= SHORT_SUM || p->m * p->n < LARGE / p->k);
}

static void multiply(product *p, lh__pool *pool) {
    fold_batch(p);
    if (p->batches == 0 || p->m == 0 || p->n == 0)
        return;
    if (p->k == 0 && !p->bias) {
        memset(p->c, 0, (size_t)(p->batches * p->m * p->n * p->size));
        return;
    }
    p->blas = lh__blas_load();
    p->is_own = is_own(p);
    choose_tiles(p);
    if (p->batches * p->m * p->n * p->k < LEAST_TO_CUT)
        pool = NULL;
    lh__pool_run(pool, p->batches * p->tiles_m * p->tiles_n, run_tile, p);
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

void ISA(matmul)(const lh__kernel_call *call) {
    const lh__view *a = call->in[0], *b = call->in[1], *c = call->out;
    int32_t a_axes = a->ndim > 2 ? a->ndim - 2 : 0, b_axes = b->ndim > 2 ? b->ndim - 2 : 0;
    product p = {.dtype = c->dtype, .size = lh__dtype_size(c->dtype), .c = c->data, .batches = 1};

    p.a.data = a->data, p.b.data = b->data;
    p.m = a->ndim > 1 ? a->shape[a->ndim - 2] : 1; /* a vector a is a row, a vector b a column */
    p.k = a->shape[a->ndim - 1];
    p.n = b->ndim > 1 ? b->shape[b->ndim - 1] : 1;
    p.a.row = a->ndim > 1 ? a->stride[a->ndim - 2] : 0;
    p.a.column = a->stride[a->ndim - 1];
    p.b.row = b->ndim > 1 ? b->stride[b->ndim - 2] : b->stride[0];
    p.b.column = b->ndim > 1 ? b->stride[b->ndim - 1] : 0;
    p.batch_axes = a_axes > b_axes ? a_axes : b_axes;
    set_batch(&p.a, a, p.batch_axes);
    set_batch(&p.b, b, p.batch_axes);
    for (int32_t d = 0; d < p.batch_axes; d++) {
        p.batch_shape[d] = c->shape[d];
        p.batches *= c->shape[d];
    }
    if (is_plain(call))
        multiply(&p, call->pool);
    else
        lh__ref_matmul(call);
}

void ISA(linear)(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *weight = call->in[1], *c = call->out;
    product p = {.dtype = c->dtype, .size = lh__dtype_size(c->dtype), .c = c->data, .batches = 1};

    p.a.data = x->data, p.b.data = weight->data;
    p.m = 1;
    p.k = weight->shape[1], p.n = weight->shape[0];
    p.a.column = x->stride[x->ndim - 1];
    p.b.row = weight->stride[1], p.b.column = weight->stride[0];
    p.bias = call->n_in > 2 ? call->in[2] : NULL;
    p.batch_axes = x->ndim - 1; /* rows of x, folded into one axis where they can be */
    for (int32_t d = 0; d < p.batch_axes; d++) {
        p.a.batch[d] = x->stride[d];
        p.batch_shape[d] = x->shape[d];
        p.batches *= x->shape[d];
    }
    if (is_plain(call))
        multiply(&p, call->pool);
    else
        lh__ref_linear(call);
}
