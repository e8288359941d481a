/* matmul.c - the cpu device's matrix products: OpenBLAS on one thread, tiles on the pool.
 *
 * Invariant: an output is cut into tiles of rows and columns by its shape alone, never along the
 * summed axis, so its bits do not depend on threads. A matrix whose rows or columns are contiguous
 * is passed as it lies, transposed if need be; others (broadcast, stepped) go to the oracle.
 */
#include <limits.h>

#include "kernels/cpu/blas.h"
#include "kernels/cpu/tile.h"
#include "kernels/ref/ref.h"

/* Tiles, measured on OpenBLAS 0.3.21: large ones pay least for packing; but where b lies
 * untransposed and the sum is short, products of up to about a million multiply-adds skip packing
 * and win. */
enum {
    TILE = 256,
    SHORT_SUM = 480, /* of a tile of SMALL_ROWS x SMALL_COLUMNS */
    SMALL_ROWS = 64,
    SMALL_COLUMNS = 32,         /* twice as many up to half of SHORT_SUM */
    LEAST_TO_CUT = 1024 * 1024, /* multiply-adds */
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
    if (p->dtype == LH_F32)
        p->blas->sgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)m, (int)n, (int)p->k, 1,
                       (const float *)p->a.data + a, p->a.ld, (const float *)p->b.data + b, p->b.ld,
                       (float)beta, (float *)c, (int)p->n);
    else
        p->blas->dgemm(CblasRowMajor, p->a.transpose, p->b.transpose, (int)m, (int)n, (int)p->k, 1,
                       (const double *)p->a.data + a, p->a.ld, (const double *)p->b.data + b,
                       p->b.ld, beta, (double *)c, (int)p->n);
}

static void choose_tiles(product *p) {
    int64_t work = p->m * p->n * p->k;

    p->tile_m = p->m < TILE ? p->m : TILE;
    p->tile_n = p->n < TILE ? p->n : TILE;
    if (work >= LEAST_TO_CUT && p->b.transpose == CblasNoTrans && p->k <= SHORT_SUM) {
        p->tile_m = SMALL_ROWS;
        p->tile_n = p->k <= SHORT_SUM / 2 ? 2 * SMALL_COLUMNS : SMALL_COLUMNS;
    } else if (work >= LEAST_TO_CUT && p->m <= TILE && p->n <= TILE) {
        int64_t *longer = p->m > p->n ? &p->tile_m : &p->tile_n;

        *longer = (*longer + 1) / 2; /* two, so that a second thread has something to do */
    }
    p->tiles_m = (p->m + p->tile_m - 1) / p->tile_m;
    p->tiles_n = (p->n + p->tile_n - 1) / p->tile_n;
}

/* False when BLAS cannot take the operands. */
static bool multiply(product *p, lh__pool *pool) {
    p->blas = lh__blas_load();
    fold_batch(p);
    if (p->batches == 0 || p->m == 0 || p->n == 0)
        return true;
    if (p->k == 0 && !p->bias) {
        memset(p->c, 0, (size_t)(p->batches * p->m * p->n * p->size));
        return true;
    }
    if (p->k > INT_MAX || p->n > INT_MAX || p->m > INT_MAX)
        return false;
    if (p->k == 0)
        p->a.ld = p->b.ld = INT_MAX, p->a.transpose = p->b.transpose = CblasNoTrans;
    else if (!choose_layout(&p->a, p->m, p->k) || !choose_layout(&p->b, p->k, p->n))
        return false;
    choose_tiles(p);
    if (p->batches * p->m * p->n * p->k < LEAST_TO_CUT)
        pool = NULL;
    lh__pool_run(pool, p->batches * p->tiles_m * p->tiles_n, run_tile, p);
    return true;
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

void lh__cpu_matmul(const lh__kernel_call *call) {
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
    if (!is_plain(call) || !multiply(&p, call->pool))
        lh__ref_matmul(call);
}

void lh__cpu_linear(const lh__kernel_call *call) {
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
    if (!is_plain(call) || !multiply(&p, call->pool))
        lh__ref_linear(call);
}

void lh__gemm_add(int64_t size, bool transposed, int64_t m, int64_t n, int64_t k, const void *a,
                  int64_t lda, const void *b, int64_t ldb, void *c, int64_t ldc) {
    const lh__blas *blas = lh__blas_load();
    CBLAS_TRANSPOSE b_is = transposed ? CblasTrans : CblasNoTrans;

    if (size == sizeof(float))
        blas->sgemm(CblasRowMajor, CblasNoTrans, b_is, (int)m, (int)n, (int)k, 1, a, (int)lda, b,
                    (int)ldb, 1, c, (int)ldc);
    else
        blas->dgemm(CblasRowMajor, CblasNoTrans, b_is, (int)m, (int)n, (int)k, 1, a, (int)lda, b,
                    (int)ldb, 1, c, (int)ldc);
}
