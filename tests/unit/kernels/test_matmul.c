/* test_matmul.c - matrix products agree with the oracle's triple loop: vectors, batches that
 * broadcast, every layout, with and without bias, operands rounded; what is to happen after happens
 * to every result once, when it is final. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "operands.h"

static const int32_t dtypes[] = {LH_F32, LH_F64};
static lh__products products; /* of the calls that are checked */

/* Whether summands may be equal, because elements share memory. */
static int is_broadcast(const lh__view *v) {
    for (int32_t d = 0; d < v->ndim; d++)
        if (v->stride[d] == 0 && v->shape[d] > 1)
            return 1;
    return 0;
}

static void check(lh__view *a, lh__view *b, lh__view *bias, uint32_t op, int32_t ndim,
                  const int64_t *shape, int64_t k) {
    trial t = trial_of(op, bias ? 3 : 2, a->dtype, ndim, shape);

    t.call.products = products;
    t.in[0] = a, t.in[1] = b, t.in[2] = bias;
    /* k additions of equal summands may all round the same way: by half an ulp of what is there.
     * Among very many sums of one chain, as OpenBLAS takes them, some are off by more. */
    t.ulps = 2 + (lh__view_numel(&t.out) > 1 << 18 ? 2 : 0) +
             (is_broadcast(a) || is_broadcast(b) ? (double)k / 4 : 0);
    t.size = 3 + 2 * (double)k;
    expect_agreement(&t, "matmul");
}

/* A matrix of one of the layouts; TRANSPOSED is what BLAS reads as such. */
static void check_matmul(int32_t dtype, int32_t batch, int64_t m, int64_t n, int64_t k,
                         int layout_a, int layout_b) {
    int64_t outer[] = {3, 2}, a_shape[4], b_shape[4], c_shape[4];
    int32_t a_batch = batch, b_batch = batch, d = 0;
    lh__view a, b;

    if (batch == 1 && draw_below(2)) /* one side without a batch */
        *(draw_below(2) ? &a_batch : &b_batch) = 0;
    memcpy(a_shape, outer + 2 - a_batch, sizeof outer - (size_t)(2 - a_batch) * sizeof *outer);
    memcpy(b_shape, outer + 2 - b_batch, sizeof outer - (size_t)(2 - b_batch) * sizeof *outer);
    memcpy(c_shape, outer + 2 - batch, sizeof outer - (size_t)(2 - batch) * sizeof *outer);
    if (batch == 2 && draw_below(2)) /* (3, 1) by (3, 2) */
        a_shape[1] = 1;
    a_shape[a_batch] = m, a_shape[a_batch + 1] = k;
    b_shape[b_batch] = k, b_shape[b_batch + 1] = n;
    d = batch;
    c_shape[d] = m, c_shape[d + 1] = n;
    a = operand(dtype, a_batch + 2, a_shape, layout_a);
    b = operand(dtype, b_batch + 2, b_shape, layout_b);
    check(&a, &b, NULL, LH_OP_MATMUL, batch + 2, c_shape, k);
}

Test(matmul, agrees_on_shapes_and_layouts) {
    static const int64_t sizes[] = {1, 2, 7, 17, 33, 0};

    for (int round = 0; round < 300; round++) {
        int64_t m = sizes[draw_below(round % 5 ? 5 : 6)], n = sizes[draw_below(round % 5 ? 5 : 6)];
        int64_t k = sizes[draw_below(round % 5 ? 5 : 6)];

        check_matmul(dtypes[round % 2], round % 3, m, n, k, (int)draw_below(LAYOUTS),
                     (int)draw_below(LAYOUTS));
    }
}

Test(matmul, agrees_when_cut_into_tiles) {
    check_matmul(LH_F32, 0, 130, 203, 67, CONTIGUOUS, CONTIGUOUS);
    check_matmul(LH_F32, 0, 130, 203, 67, TRANSPOSED, CONTIGUOUS);
    check_matmul(LH_F32, 0, 64, 128, 100, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F64, 0, 129, 65, 64, TRANSPOSED, TRANSPOSED);
    check_matmul(LH_F32, 1, 40, 90, 80, CONTIGUOUS, CONTIGUOUS);
    check_matmul(LH_F32, 0, 1, 501, 700, CONTIGUOUS, CONTIGUOUS);
    check_matmul(LH_F32, 0, 501, 1, 700, CONTIGUOUS, CONTIGUOUS);
}

/* Sums of more than one block of summands, and strides at which neighbours share a place in the
 * cache. */
Test(matmul, agrees_on_long_sums) {
    check_matmul(LH_F32, 0, 30, 65, 600, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F32, 0, 65, 40, 784, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F32, 0, 40, 97, 1024, CONTIGUOUS, CONTIGUOUS);
    check_matmul(LH_F64, 0, 40, 33, 1024, TRANSPOSED, TRANSPOSED);
    check_matmul(LH_F32, 0, 600, 20, 30, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F32, 0, 20, 600, 300, STEPPED, STEPPED);
}

/* So large that panels are laid out once, with parts of panels and of groups of rows left over. */
Test(matmul, agrees_on_large_products) {
    check_matmul(LH_F32, 0, 517, 515, 520, TRANSPOSED, CONTIGUOUS);
    check_matmul(LH_F64, 0, 1030, 515, 260, TRANSPOSED, TRANSPOSED);
}

/* Ways that a plan may choose from. */
Test(matmul, ways_have_the_same_bits) {
    static const int64_t shapes[][3] = {{64, 256, 600}, {131, 517, 64}, {300, 70, 257}};
    static const int layouts[] = {CONTIGUOUS, TRANSPOSED};
    lh__pool *pool = lh__pool_new(2);
    lh__variant variants[3];
    int n = lh__cpu_variants(variants), chosen = 0;

    for (int v = 0; v < n; v++)
        for (int i = 0; i < 3 * 4 * 2; i++) {
            const int64_t *s = shapes[i % 3], a_shape[] = {s[0], s[2]}, b_shape[] = {s[2], s[1]};
            const int32_t dtype = dtypes[i / 12];
            lh__view a = operand(dtype, 2, a_shape, layouts[i / 3 % 2]);
            lh__view b = operand(dtype, 2, b_shape, layouts[i / 6 % 2]);
            trial t = trial_of(LH_OP_MATMUL, 2, dtype, 2, (int64_t[]){s[0], s[1]});
            const size_t size = (size_t)(s[0] * s[1] * lh__dtype_size(dtype));
            lh__view own, y;

            t.in[0] = &a, t.in[1] = &b, t.call.in = t.in, t.call.out = &t.out;
            own = run_trial(&t, variants[v].device, pool);
            for (int32_t w = variants[v].device->ways(&t.call); w > 0; w--) {
                t.call.way = w;
                y = run_trial(&t, variants[v].device, pool);
                cr_assert_eq(memcmp(own.data, y.data, size), 0, "%s, shape %d, way %d",
                             variants[v].isa, i, w);
                chosen++;
            }
        }
    cr_assert_gt(chosen, 0);
    lh__pool_free(pool);
}

Test(matmul, vectors) {
    int64_t k[] = {17}, matrix[] = {17, 5}, batch[] = {3, 7, 17}, none[1] = {0}, five[] = {5};
    int64_t rows[] = {3, 7};

    for (int i = 0; i < 2 * LAYOUTS; i++) {
        int32_t dtype = dtypes[i % 2];
        lh__view v = operand(dtype, 1, k, i / 2), w = operand(dtype, 1, k, CONTIGUOUS);
        lh__view b = operand(dtype, 2, matrix, i / 2), a = operand(dtype, 3, batch, i / 2);

        check(&v, &w, NULL, LH_OP_MATMUL, 0, none, 17);
        check(&v, &b, NULL, LH_OP_MATMUL, 1, five, 17);
        check(&a, &v, NULL, LH_OP_MATMUL, 2, rows, 17);
    }
}

Test(matmul, linear_agrees) {
    static const int64_t rows[] = {0, 1, 7, 64, 130}, features[] = {1, 10, 17, 65, 130, 0};

    for (int round = 0; round < 120; round++) {
        int32_t ndim = 1 + round % 3, dtype = dtypes[round % 2];
        int64_t in = features[draw_below(round % 7 ? 5 : 6)], out = features[draw_below(5)];
        int64_t shape[] = {3, rows[draw_below(5)], in}, weight_shape[] = {out, in};
        int64_t *x_shape = shape + 3 - ndim, y_shape[3];
        lh__view x = operand(dtype, ndim, x_shape, (int)draw_below(LAYOUTS));
        lh__view w = operand(dtype, 2, weight_shape, round % 2 ? CONTIGUOUS : round / 2 % LAYOUTS);
        lh__view bias = operand(dtype, 1, &out, (int)draw_below(LAYOUTS));

        memcpy(y_shape, x_shape, (size_t)ndim * sizeof *y_shape);
        y_shape[ndim - 1] = out;
        check(&x, &w, round % 4 ? &bias : NULL, LH_OP_LINEAR, ndim, y_shape, in);
    }
}

static void check_products(lh__products p) {
    static const int64_t sizes[] = {1, 7, 17, 33, 48, 100};

    products = p;
    for (int round = 0; round < 60; round++)
        check_matmul(LH_F32, round % 3, sizes[draw_below(6)], sizes[draw_below(6)],
                     sizes[draw_below(6)], (int)draw_below(LAYOUTS), (int)draw_below(LAYOUTS));
    for (int i = 0; i < 4; i++)
        check_matmul(LH_F32, 0, 100 + i, 150 + i, 70, i % 2, i / 2); /* contiguous, transposed */
    check_matmul(LH_F32, 0, 100, 150, 70, STEPPED, STEPPED);
    check_matmul(LH_F32, 0, 33, 32, 1040, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F32, 0, 33, 40, 1040, CONTIGUOUS, CONTIGUOUS);
    check_matmul(LH_F32, 0, 600, 90, 20, CONTIGUOUS, TRANSPOSED);
    check_matmul(LH_F64, 0, 33, 65, 17, CONTIGUOUS, CONTIGUOUS); /* as ever */
}

Test(matmul, products_of_bfloat16) {
    check_products(LH__PRODUCTS_BF16);
}

Test(matmul, products_of_two_bfloat16) {
    check_products(LH__PRODUCTS_BF16X3);
}

Test(matmul, products_of_float16) {
    check_products(LH__PRODUCTS_F16);
}

Test(matmul, linear_adds_bias_to_rounded_products) {
    int64_t x_shape[] = {64, 260}, w_shape[] = {66, 260}, y_shape[] = {64, 66};
    lh__view x = operand(LH_F32, 2, x_shape, CONTIGUOUS), w = operand(LH_F32, 2, w_shape, 0);
    lh__view bias = operand(LH_F32, 1, y_shape + 1, CONTIGUOUS);

    for (products = LH__PRODUCTS_F32; products <= LH__PRODUCTS_BF16X3; products++)
        check(&x, &w, &bias, LH_OP_LINEAR, 2, y_shape, 260);
}

/* What has been seen of an output: how often each element, and its value then. */
typedef struct witness {
    lh__after after;
    const lh__view *out;
    uint8_t *times;
    char *values;
} witness;

static void see(const lh__after *self, int64_t begin, int64_t n) {
    const witness *w = (const witness *)self;
    int64_t size = lh__dtype_size(w->out->dtype);

    cr_assert(n > 0);
    for (int64_t i = begin; i < begin + n; i++)
        w->times[i]++;
    memcpy(w->values + begin * size, (const char *)w->out->data + begin * size, (size_t)(n * size));
}

static void check_after(const lh__device *device, lh__kernel_call *call, lh__pool *pool) {
    const lh__view *out = call->out;
    int64_t n = lh__view_numel(out);
    size_t size = (size_t)(n * lh__dtype_size(out->dtype));
    char *plain = malloc(size);
    witness w = {{see}, out, calloc((size_t)n, 1), malloc(size)};

    cr_assert(device->runs_after(call));
    call->pool = pool;
    call->after = NULL;
    device->kernels[call->op](call);
    memcpy(plain, out->data, size);
    memset(out->data, 0xA5, size);
    call->after = &w.after;
    device->kernels[call->op](call);
    for (int64_t i = 0; i < n; i++)
        cr_assert_eq(w.times[i], 1, "element %ld is named %d times", (long)i, w.times[i]);
    cr_assert(memcmp(plain, out->data, size) == 0, "`after` changes the result");
    cr_assert(memcmp(plain, w.values, size) == 0, "a result is not final when it is named");
    free(plain);
    free(w.times);
    free(w.values);
}

Test(matmul, after_sees_every_result_once) {
    static const int64_t sizes[][3] = {{5, 7, 3},     {64, 10, 256},  {64, 128, 784}, {300, 70, 90},
                                       {40, 600, 70}, {130, 520, 20}, {7, 1, 300},    {20, 33, 0}};
    lh__pool *pools[] = {NULL, lh__pool_new(2)};
    lh__variant variants[3];
    int n_variants = lh__cpu_variants(variants);

    for (size_t i = 0; i < 4 * sizeof sizes / sizeof *sizes; i++)
        for (int v = 0; v < n_variants; v++) {
            const int64_t *s = sizes[i / 4];
            int64_t a_shape[] = {3, s[0], s[2]}, b_shape[] = {s[1], s[2]};
            int64_t c_shape[] = {3, s[0], s[1]};
            int32_t dtype = dtypes[i / 2 % 2];
            lh__view a = operand(dtype, 3, a_shape, CONTIGUOUS), b = operand(dtype, 2, b_shape, 0);
            lh__view bias = operand(dtype, 1, b_shape, 0), c = operand(dtype, 3, c_shape, 0);
            const lh__view *in[] = {&a, &b, &bias};
            lh__kernel_call call = {.op = LH_OP_LINEAR, .n_in = 3, .in = in, .out = &c};

            call.products = i % 2 ? LH__PRODUCTS_BF16 : LH__PRODUCTS_F32;
            check_after(variants[v].device, &call, pools[i % 4 / 2]);
        }
    lh__pool_free(pools[1]);
}

/* (1 2; 3 4)(5 6; 7 8) = (19 22; 43 50). */
Test(matmul, by_hand) {
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    static const double want[] = {19, 22, 43, 50};
    int64_t shape[] = {2, 2};
    lh__view a = operand(LH_F32, 2, shape, CONTIGUOUS), b = operand(LH_F32, 2, shape, CONTIGUOUS);

    for (int64_t i = 0; i < 4; i++)
        put(&a, i, (double)(i + 1)), put(&b, i, (double)(i + 5));
    for (int d = 0; d < 2; d++) {
        trial t = trial_of(LH_OP_MATMUL, 2, LH_F32, 2, shape);
        lh__view y;

        t.in[0] = &a, t.in[1] = &b;
        y = run_trial(&t, devices[d], NULL);
        for (int64_t i = 0; i < 4; i++)
            cr_assert_eq(at(&y, i), want[i]);
    }
}
