/* test_selection.c - elements and rows picked and added up by index, in tensors big enough to be
 * cut into tiles: what a loop over the index gives, with the same bits for any number of threads.
 */
#include "fixture.h"
#include "kernels/view.h"

/* Of x (A, M, B), the middle axis is chosen from; the index is (A, K, B), or (K). */
enum { A = 5, M = 31, B = 600, K = 47, X = A * M * B, Y = A * K * B };

typedef struct example {
    lh__engine *e;
    lh_tensor *x, *index, *y;
    double xs[X], ys[Y], at[Y];
} example;

static example *start(uint32_t op, int32_t threads) {
    static example k;
    int64_t chosen = K;

    k.e = new_engine("cpu", LH_F32, threads);
    k.x = call(k.e, LH_OP_NORMAL, NONE, INTS(LH_F32, A, M, B), REALS(0, 1));
    k.x->requires_grad = 1;
    k.index = op == LH_OP_GATHER ? call(k.e, LH_OP_RANDINT, NONE, INTS(0, M, A, K, B), NONE)
                                 : call(k.e, LH_OP_RANDINT, NONE, INTS(0, M, chosen), NONE);
    k.y = call(k.e, op, TENSORS(k.x, k.index), INTS(1), NONE);
    cr_assert_eq(values(k.e, k.x, k.xs, X), X);
    cr_assert_eq(values(k.e, k.y, k.ys, Y), Y);
    values(k.e, k.index, k.at, Y);
    return &k;
}

/* Where element (a, j, b) of y comes from in x. */
static int64_t source(const example *k, uint32_t op, int64_t a, int64_t j, int64_t b) {
    int64_t at = (int64_t)(op == LH_OP_GATHER ? k->at[(a * K + j) * B + b] : k->at[j]);

    return (a * M + at) * B + b;
}

static void check(uint32_t op) {
    static float first[X], g[X];
    static double expected[X], weights[Y];

    for (int32_t threads = 1; threads <= 3; threads++) {
        example *k = start(op, threads);
        lh_tensor *w = call(k->e, LH_OP_NORMAL, NONE, INTS(LH_F32, A, K, B), REALS(0, 1)), *loss;

        values(k->e, w, weights, Y);
        memset(expected, 0, sizeof expected);
        for (int64_t a = 0; a < A; a++)
            for (int64_t j = 0; j < K; j++)
                for (int64_t b = 0; b < B; b++) {
                    int64_t from = source(k, op, a, j, b), to = (a * K + j) * B + b;

                    cr_assert_eq(k->ys[to], k->xs[from]);
                    expected[from] += weights[to];
                }
        loss = call(k->e, LH_OP_MUL, TENSORS(k->y, w), NONE, NONE);
        loss = call(k->e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
        lh__tensor_read(k->e, lh__grad_of(k->e, loss, k->x, 0), threads == 1 ? first : g, sizeof g);
        for (int64_t i = 0; i < X && threads == 1; i++)
            cr_assert(fabs(first[i] - expected[i]) < 1e-4);
        cr_expect(threads == 1 || memcmp(first, g, sizeof g) == 0, "%d threads differ", threads);
        lh__engine_free(k->e);
    }
}

Test(selection, gather_and_its_gradient) {
    check(LH_OP_GATHER);
}

Test(selection, index_select_and_its_gradient) {
    check(LH_OP_INDEX_SELECT);
}

/* 3^i for i < 5, padded, flipped, cut: by hand. */
Test(selection, padding_and_flipping) {
    const int64_t n = 5;
    const float x[] = {1, 3, 9, 27, 81};
    const struct {
        uint32_t op;
        int64_t ints[3];
        int32_t n_ints, n;
        double y[9];
    } cases[] = {
        {LH_OP_PAD, {LH_PAD_CONSTANT, 1, 2}, 3, 8, {7, 1, 3, 9, 27, 81, 7, 7}},
        {LH_OP_PAD, {LH_PAD_CONSTANT, -1, 1}, 3, 5, {3, 9, 27, 81, 7}},
        {LH_OP_PAD, {LH_PAD_REFLECT, 2, 1}, 3, 8, {9, 3, 1, 3, 9, 27, 81, 27}},
        {LH_OP_PAD, {LH_PAD_REPLICATE, 2, 1}, 3, 8, {1, 1, 1, 3, 9, 27, 81, 81}},
        {LH_OP_FLIP, {0}, 1, 5, {81, 27, 9, 3, 1}},
    };
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *t = lh__tensor_new(e, LH_F32, 1, &n, x), *y;
    const double value = 7;
    double got[9];

    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        y = call(e, cases[k].op, TENSORS(t), cases[k].n_ints, cases[k].ints,
                 cases[k].op == LH_OP_PAD, &value);
        cr_assert_eq(values(e, y, got, 9), cases[k].n);
        for (int32_t i = 0; i < cases[k].n; i++)
            cr_expect(got[i] == cases[k].y[i], "case %zu, element %d: %g", k, i, got[i]);
    }
    lh__engine_free(e);
}

Test(selection, one_hot_and_triangles) {
    const int64_t index[] = {2, 0, 2}, n = 3;
    const double hot[] = {0, 0, 1, 1, 0, 0, 0, 0, 1}, low[] = {1, 1, 0, 1, 1, 1},
                 high[] = {0, 1, 1, 0, 0, 1};
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, &n, index);
    lh_tensor *ones = full(e, LH_BOOL, 1, 2, (int64_t[]){2, 3});
    double got[9];

    t = call(e, LH_OP_ONE_HOT, TENSORS(t), INTS(3), NONE);
    cr_expect_eq(t->view.dtype, LH_I64);
    cr_assert_eq(values(e, t, got, 9), 9);
    cr_expect_arr_eq(got, hot, sizeof hot);
    t = call(e, LH_OP_TRIL, TENSORS(ones), INTS(1), NONE);
    cr_expect_eq(t->view.dtype, LH_BOOL);
    cr_assert_eq(values(e, t, got, 6), 6);
    cr_expect_arr_eq(got, low, sizeof low);
    values(e, call(e, LH_OP_TRIU, TENSORS(ones), INTS(1), NONE), got, 6);
    cr_expect_arr_eq(got, high, sizeof high);
    lh__engine_free(e);
}
