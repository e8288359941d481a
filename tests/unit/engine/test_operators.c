/* test_operators.c - results of the catalogue against formulas written out: promotion,
 * broadcasting, views, sizes of nothing.
 */
#include "fixture.h"
#include "kernels/view.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("ref", LH_F32, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    cr_expect_eq(err.code, LH_OK, "%s", err.text);
    lh__engine_free(e);
}

TestSuite(operators, .init = setup, .fini = teardown);

/* 0, 1, 2 ... n - 1 in the given shape. */
static lh_tensor *counting(int32_t ndim, const int64_t *shape) {
    double data[512];

    for (int i = 0; i < 512; i++)
        data[i] = i;
    return lh__tensor_new(e, LH_F64, ndim, shape, data);
}

#define COUNTING(...)                                                       \
    counting((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
             (int64_t[]){__VA_ARGS__})

static void expect_shape(const lh_tensor *t, int32_t ndim, const int64_t *shape) {
    cr_assert_not_null(t, "%s", err.text);
    cr_assert_eq(t->view.ndim, ndim);
    cr_expect_arr_eq(t->view.shape, shape, (size_t)ndim * sizeof *shape);
}

#define EXPECT_SHAPE(t, ...)                                                       \
    expect_shape(t, (int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), \
                 (int64_t[]){__VA_ARGS__})

Test(operators, promotion) {
    static const int32_t order[] = {LH_BOOL, LH_U8, LH_I64, LH_F32, LH_F64};

    for (int i = 0; i < 5; i++)
        for (int j = 0; j < 5; j++) {
            lh_tensor *a = full(e, order[i], 1, 0, NULL), *b = full(e, order[j], 1, 0, NULL);
            int32_t common = order[i > j ? i : j], real = common == LH_F64 ? LH_F64 : LH_F32;
            lh_tensor *sum = call(e, LH_OP_ADD, TENSORS(a, b), NONE, NONE);
            lh_tensor *ratio = call(e, LH_OP_DIV, TENSORS(a, b), NONE, NONE);
            lh_tensor *equal = call(e, LH_OP_EQ, TENSORS(a, b), NONE, NONE);

            cr_expect_eq(sum->view.dtype, common == LH_BOOL ? LH_I64 : common);
            cr_expect_eq(ratio->view.dtype, real);
            cr_expect_eq(equal->view.dtype, LH_BOOL);
            cr_expect_eq(lh__item(e, sum), 2);
            cr_expect_eq(lh__item(e, ratio), 1);
            cr_expect_eq(lh__item(e, equal), 1);
        }
}

Test(operators, integers_meet_real_arithmetic_in_the_default_dtype) {
    lh__engine *f64 = new_engine("ref", LH_F64, 1);
    lh_tensor *i = full(e, LH_I64, 4, 0, NULL), *j = full(f64, LH_I64, 4, 0, NULL), *t;

    t = call(e, LH_OP_SQRT, TENSORS(i), NONE, NONE);
    cr_expect_eq(t->view.dtype, LH_F32);
    cr_expect_eq(lh__item(e, t), 2);
    cr_expect_eq(call(f64, LH_OP_SQRT, TENSORS(j), NONE, NONE)->view.dtype, LH_F64);
    cr_expect_eq(call(e, LH_OP_NEG, TENSORS(i), NONE, NONE)->view.dtype, LH_I64);
    t = call(e, LH_OP_SUM, TENSORS(full(e, LH_BOOL, 1, 1, (int64_t[]){300})), INTS(0), NONE);
    cr_expect_eq(t->view.dtype, LH_I64);
    cr_expect_eq(lh__item(e, t), 300);
    cr_expect_eq(call(e, LH_OP_MEAN, TENSORS(i), INTS(0), NONE)->view.dtype, LH_F32);
    lh__engine_free(f64);
}

Test(operators, broadcasting) {
    lh_tensor *y = call(e, LH_OP_MUL, TENSORS(COUNTING(3, 1, 2), COUNTING(4, 1)), NONE, NONE);
    double v[24];

    EXPECT_SHAPE(y, 3, 4, 2);
    values(e, y, v, 24);
    for (int i = 0; i < 24; i++)
        cr_expect_eq(v[i], (i / 8 * 2 + i % 2) * (i / 2 % 4));
}

Test(operators, views_share_memory) {
    lh_tensor *x = COUNTING(4, 6), *p, *s, *r;
    double v[24];

    p = call(e, LH_OP_PERMUTE, TENSORS(x), INTS(1, 0), NONE);
    s = call(e, LH_OP_SLICE, TENSORS(p), INTS(0, 1, 6, 2), NONE);
    EXPECT_SHAPE(s, 3, 4);
    cr_expect_eq(s->view.data, (double *)x->view.data + 1);
    values(e, s, v, 24);
    for (int i = 0; i < 12; i++)
        cr_expect_eq(v[i], 1 + i / 4 * 2 + i % 4 * 6);
    r = call(e, LH_OP_RESHAPE, TENSORS(x), INTS(2, -1, 3), NONE);
    EXPECT_SHAPE(r, 2, 4, 3);
    cr_expect_eq(r->view.data, x->view.data);
    r = call(e, LH_OP_EXPAND, TENSORS(COUNTING(3, 1)), INTS(2, -1, 5), NONE);
    EXPECT_SHAPE(r, 2, 3, 5);
    values(e, call(e, LH_OP_SUM, TENSORS(r), INTS(0, 0, 2), NONE), v, 3);
    cr_expect(v[0] == 0 && v[1] == 10 && v[2] == 20);
    cr_expect_eq(call(e, LH_OP_DETACH, TENSORS(x), NONE, NONE)->view.data, x->view.data);
    cr_expect_eq(call(e, LH_OP_CONTIGUOUS, TENSORS(x), NONE, NONE)->view.data, x->view.data);
}

/* Reshape of every view of a small tensor to every shape reads the elements in the same order,
 * whether it is a view or had to copy; splitting and merging contiguous axes never copies. */
Test(operators, reshape_of_views) {
    static const int64_t shapes[][4] = {{1, 1, 1, 24}, {1, 2, 3, 4}, {1, 4, 3, 2},  {2, 2, 3, 2},
                                        {1, 1, 8, 3},  {6, 1, 2, 2}, {1, 24, 1, 1}, {3, 2, 1, 4}};
    static const int64_t orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 1, 0}};
    double before[24], after[24];

    for (size_t o = 0; o < 5; o++)
        for (size_t s = 0; s < 8; s++) {
            lh_tensor *x = call(e, LH_OP_PERMUTE, TENSORS(COUNTING(2, 3, 4)), 3, orders[o], NONE);
            lh_tensor *y = call(e, LH_OP_RESHAPE, TENSORS(x), 4, shapes[s], NONE);

            values(e, x, before, 24);
            values(e, y, after, 24);
            cr_expect_arr_eq(before, after, sizeof before);
        }
    /* (6, 4) cut out of (6, 5): the rows have gaps, but an axis may still be split. */
    lh_tensor *cut = call(e, LH_OP_SLICE, TENSORS(COUNTING(6, 5)), INTS(1, 0, 4, 1), NONE);
    lh_tensor *split = call(e, LH_OP_RESHAPE, TENSORS(cut), INTS(2, 3, 1, 2, 2), NONE);

    cr_expect_eq(split->view.data, cut->view.data);
    cr_expect_neq(call(e, LH_OP_RESHAPE, TENSORS(cut), INTS(24), NONE)->view.data, cut->view.data);
}

Test(operators, concat_gather_select) {
    lh_tensor *x = COUNTING(2, 3), *y;
    lh_tensor *index = lh__tensor_new(e, LH_I64, 2, (int64_t[]){2, 2}, (int64_t[]){2, 0, 1, 1});
    double v[12];

    y = call(e, LH_OP_CONCAT, TENSORS(x, COUNTING(2, 1), x), INTS(-1), NONE);
    EXPECT_SHAPE(y, 2, 7);
    values(e, call(e, LH_OP_GATHER, TENSORS(x, index), INTS(1), NONE), v, 12);
    cr_expect_arr_eq(v, ((double[]){2, 0, 4, 4}), 4 * sizeof *v);
    index = lh__tensor_new(e, LH_U8, 1, (int64_t[]){3}, (uint8_t[]){1, 1, 0});
    y = call(e, LH_OP_INDEX_SELECT, TENSORS(x, index), INTS(0), NONE);
    EXPECT_SHAPE(y, 3, 3);
    values(e, y, v, 12);
    cr_expect_arr_eq(v, ((double[]){3, 4, 5, 3, 4, 5, 0, 1, 2}), 9 * sizeof *v);
}

/* More operands than fit the engine's own room. */
Test(operators, concat_of_many) {
    lh_tensor *in[40];
    double v[80];

    for (int i = 0; i < 40; i++)
        in[i] = full(e, LH_F64, i, 1, (int64_t[]){2});
    values(e, call(e, LH_OP_CONCAT, 40, in, INTS(0), NONE), v, 80);
    for (int i = 0; i < 80; i++)
        cr_expect_eq(v[i], i / 2);
}

Test(operators, products) {
    double v[64];
    lh_tensor *y =
        call(e, LH_OP_MATMUL, TENSORS(COUNTING(2, 1, 2, 3), COUNTING(4, 3, 2)), NONE, NONE);

    EXPECT_SHAPE(y, 2, 4, 2, 2);
    values(e, y, v, 64);
    for (int i = 0; i < 32; i++) {
        int a = i / 16, b = i / 4 % 4, row = i / 2 % 2, column = i % 2;
        double sum = 0;

        for (int k = 0; k < 3; k++)
            sum += (a * 6 + row * 3 + k) * (b * 6 + k * 2 + column);
        cr_expect_eq(v[i], sum);
    }
    EXPECT_SHAPE(call(e, LH_OP_MATMUL, TENSORS(COUNTING(3), COUNTING(5, 3, 2)), NONE, NONE), 5, 2);
    cr_expect_eq(lh__item(e, call(e, LH_OP_MATMUL, TENSORS(COUNTING(4), COUNTING(4)), NONE, NONE)),
                 14);
}

Test(operators, losses) {
    double logits[] = {1, 2, 0.5, -1, 0, 3}, log_p = 0, v[6];
    lh_tensor *x = lh__tensor_new(e, LH_F64, 2, (int64_t[]){2, 3}, logits), *log_softmax;
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, (int64_t[]){2}, (int64_t[]){1, 0});

    for (int r = 0; r < 2; r++) {
        double sum = 0;

        for (int k = 0; k < 3; k++)
            sum += exp(logits[3 * r + k]);
        log_p += (logits[3 * r + (r ? 0 : 1)] - log(sum)) / 2;
    }
    log_softmax = call(e, LH_OP_LOG_SOFTMAX, TENSORS(x), INTS(1), NONE);
    cr_expect_float_eq(lh__item(e, call(e, LH_OP_NLL_LOSS, TENSORS(log_softmax, t), NONE, NONE)),
                       -log_p, 1e-14);
    cr_expect_float_eq(lh__item(e, call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), NONE, NONE)), -log_p,
                       1e-14);
    cr_expect_eq(lh__item(e, call(e, LH_OP_ACCURACY, TENSORS(x, t), NONE, NONE)), 0.5);
    values(e, call(e, LH_OP_ARGMAX, TENSORS(x), INTS(1, 0), NONE), v, 6);
    cr_expect(v[0] == 1 && v[1] == 2);
}

Test(operators, nothing_in_nothing_out) {
    lh_tensor *none = full(e, LH_F32, 1, 2, (int64_t[]){0, 3}), *y;

    EXPECT_SHAPE(call(e, LH_OP_RELU, TENSORS(none), NONE, NONE), 0, 3);
    y = call(e, LH_OP_SUM, TENSORS(none), INTS(0, 0), NONE);
    EXPECT_SHAPE(y, 3);
    cr_expect_eq(lh__item(e, call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE)), 0);
    EXPECT_SHAPE(call(e, LH_OP_RESHAPE, TENSORS(none), INTS(3, 0, 5), NONE), 3, 0, 5);
    EXPECT_SHAPE(
        call(e, LH_OP_MATMUL, TENSORS(full(e, LH_F32, 1, 2, (int64_t[]){2, 0}), none), NONE, NONE),
        2, 3);
    EXPECT_SHAPE(call(e, LH_OP_CONCAT, TENSORS(none, none), INTS(0), NONE), 0, 3);
}
