/* test_order.c - sorting, the largest elements, cumulative sums: which come first, and of equals.
 */
#include "fixture.h"
#include "kernels/view.h"

enum { ROOM = 4000 };

static lh_tensor *vector(lh__engine *e, int64_t n, const double *x) {
    return lh__tensor_new(e, LH_F64, 1, &n, x);
}

static void expect_values(lh__engine *e, const lh_tensor *t, int64_t n, const double *expected) {
    double got[64];

    cr_assert_not_null(t);
    cr_assert_eq(values(e, t, got, 64), n);
    for (int64_t i = 0; i < n; i++)
        cr_expect(got[i] == expected[i], "element %lld: %g instead of %g", (long long)i, got[i],
                  expected[i]);
}

#define EXPECT_VALUES(e, t, ...)                                                     \
    expect_values(e, t, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), \
                  (double[]){__VA_ARGS__})

Test(order, argsort_is_stable_and_nan_is_the_largest) {
    const double x[] = {2, NAN, 1, 2, -INFINITY, 1, NAN, INFINITY, 2};
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *t = vector(e, 9, x);

    EXPECT_VALUES(e, call(e, LH_OP_ARGSORT, TENSORS(t), INTS(0, 0), NONE), 4, 2, 5, 0, 3, 8, 7, 1,
                  6);
    EXPECT_VALUES(e, call(e, LH_OP_ARGSORT, TENSORS(t), INTS(-1, 1), NONE), 1, 6, 7, 0, 3, 8, 2, 5,
                  4);
    EXPECT_VALUES(e, call(e, LH_OP_ARGSORT, TENSORS(t), INTS(0), NONE), 4, 2, 5, 0, 3, 8, 7, 1, 6);
    lh__engine_free(e);
}

Test(order, topk_gives_the_best_first_and_the_first_of_equals) {
    const double x[] = {2, 5, 1, 5, 3, 2};
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *t = vector(e, 6, x), *rows;

    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(4, 0), NONE), 1, 3, 4, 0);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(1, 0, 1), NONE), 1);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(2, 0, 0), NONE), 2, 0);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(6, 0, 1), NONE), 1, 3, 4, 0, 5, 2);
    cr_expect_eq(lh__view_numel(&call(e, LH_OP_TOPK, TENSORS(t), INTS(0, 0), NONE)->view), 0);
    /* Down the columns of ((2, 5, 1), (5, 3, 2)). */
    rows = call(e, LH_OP_RESHAPE, TENSORS(t), INTS(2, 3), NONE);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(rows), INTS(1, 0), NONE), 1, 0, 1);
    EXPECT_VALUES(e, call(e, LH_OP_ARGSORT, TENSORS(rows), INTS(0), NONE), 0, 1, 0, 1, 0, 1);
    rows = call(e, LH_OP_PERMUTE, TENSORS(rows), INTS(1, 0), NONE);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(rows), INTS(2, 0), NONE), 1, 0, 0, 1);
    lh__engine_free(e);
}

Test(order, integers_are_compared_in_full) {
    const int64_t x[] = {INT64_MAX, INT64_MAX - 1, INT64_MIN, INT64_MIN + 1}, n = 4;
    lh__engine *e = new_engine("cpu", LH_F32, 1);
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, &n, x);

    EXPECT_VALUES(e, call(e, LH_OP_ARGSORT, TENSORS(t), INTS(0), NONE), 2, 3, 1, 0);
    EXPECT_VALUES(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(2, 0), NONE), 0, 1);
    lh__engine_free(e);
}

/* Thousands of numbers of which many are equal: neighbours are in order, every index comes once. */
Test(order, many_elements) {
    static double x[ROOM], at[ROOM], best[ROOM];
    static int seen[ROOM];
    lh__engine *e = new_engine("cpu", LH_F32, 2);
    lh_tensor *t = call(e, LH_OP_RANDINT, NONE, INTS(0, 500, ROOM), NONE);
    int64_t k = 37;

    values(e, t, x, ROOM);
    values(e, call(e, LH_OP_ARGSORT, TENSORS(t), INTS(0, 1), NONE), at, ROOM);
    for (int64_t i = 0; i < ROOM; i++)
        cr_assert_eq(seen[(int64_t)at[i]]++, 0);
    for (int64_t i = 1; i < ROOM; i++) {
        double a = x[(int64_t)at[i - 1]], b = x[(int64_t)at[i]];

        cr_assert(a > b || (a == b && at[i - 1] < at[i]));
    }
    values(e, call(e, LH_OP_TOPK, TENSORS(t), INTS(k, 0), NONE), best, ROOM);
    for (int64_t i = 0; i < k; i++)
        cr_expect_eq(best[i], at[i]);
    lh__engine_free(e);
}

Test(order, cumsum) {
    lh__engine *e = new_engine("cpu", LH_F32, 1);
    const int64_t big[] = {(1ll << 53) + 1, 1, -(1ll << 53)}, n = 3;
    lh_tensor *t = vector(e, 4, (double[]){1, 2, 4, 8});
    int64_t got[3];

    EXPECT_VALUES(e, call(e, LH_OP_CUMSUM, TENSORS(t), INTS(0), NONE), 1, 3, 7, 15);
    EXPECT_VALUES(e, call(e, LH_OP_CUMSUM, TENSORS(t), INTS(-1, 1), NONE), 15, 14, 12, 8);
    t = call(e, LH_OP_RESHAPE, TENSORS(t), INTS(2, 2), NONE);
    EXPECT_VALUES(e, call(e, LH_OP_CUMSUM, TENSORS(t), INTS(0), NONE), 1, 2, 5, 10);
    t = lh__tensor_new(e, LH_I64, 1, &n, big);
    t = call(e, LH_OP_CUMSUM, TENSORS(t), INTS(0), NONE);
    lh__tensor_read(e, t, got, sizeof got);
    cr_expect_eq(got[0], (1ll << 53) + 1);
    cr_expect_eq(got[1], (1ll << 53) + 2);
    cr_expect_eq(got[2], 2);
    lh__engine_free(e);
}
