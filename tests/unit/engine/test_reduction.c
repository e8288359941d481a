/* test_reduction.c - reductions where definitions end: empty axes, zeros, infinities, one element.
 */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F64, 2);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(reduction, .init = setup, .fini = teardown);

static lh_tensor *rows_of(int64_t rows, int64_t columns, const double *x) {
    return lh__tensor_new(e, LH_F64, 2, (int64_t[]){rows, columns}, x);
}

/* NaN equals NaN. */
static void expect_values(const lh_tensor *t, int64_t n, const double *expected) {
    double got[64];

    cr_assert_not_null(t, "%s", err.text);
    cr_assert_eq(values(e, t, got, 64), n);
    for (int64_t i = 0; i < n; i++)
        cr_expect(got[i] == expected[i] || fabs(got[i] - expected[i]) < 1e-12 ||
                      (isnan(got[i]) && isnan(expected[i])),
                  "element %lld: %g instead of %g", (long long)i, got[i], expected[i]);
}

#define EXPECT_VALUES(t, ...)                                                     \
    expect_values(t, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), \
                  (double[]){__VA_ARGS__})

/* Gradient of the sum of y to x. */
static lh_tensor *gradient(lh_tensor *y, lh_tensor *x) {
    return lh__grad_of(e, call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE), x, 0);
}

Test(reduction, gradient_of_a_product_with_zeros) {
    lh_tensor *x = rows_of(3, 3, (double[]){2, 3, 5, 2, 0, 5, 0, 3, 0});
    lh_tensor *y;

    x->requires_grad = 1;
    y = call(e, LH_OP_PROD, TENSORS(x), INTS(0, 1), NONE);
    EXPECT_VALUES(y, 30, 0, 0);
    EXPECT_VALUES(gradient(y, x), 15, 10, 6, 0, 10, 0, 0, 0, 0);
    EXPECT_VALUES(
        call(e, LH_OP_PROD, TENSORS(full(e, LH_I64, 3, 1, (int64_t[]){4})), INTS(0), NONE), 81);
}

Test(reduction, logsumexp_is_stable) {
    const double inf = INFINITY;
    lh_tensor *x = rows_of(4, 2, (double[]){1000, 1000, -inf, -inf, inf, 0, -inf, 3});

    EXPECT_VALUES(call(e, LH_OP_LOGSUMEXP, TENSORS(x), INTS(0, 1), NONE), 1000 + log(2), -inf, inf,
                  3);
    EXPECT_VALUES(call(e, LH_OP_LOGSUMEXP, TENSORS(rows_of(2, 0, NULL)), INTS(0, 1), NONE), -inf,
                  -inf);
}

Test(reduction, variance_of_too_few) {
    lh_tensor *x = rows_of(1, 2, (double[]){3, 5});

    EXPECT_VALUES(call(e, LH_OP_VAR, TENSORS(x), INTS(0, 1, 0), NONE), NAN, NAN);
    EXPECT_VALUES(call(e, LH_OP_VAR, TENSORS(x), INTS(0, 0, 0), NONE), 0, 0);
    EXPECT_VALUES(call(e, LH_OP_VAR, TENSORS(x), INTS(0, 1, 1), NONE), 2);
    EXPECT_VALUES(call(e, LH_OP_VAR, TENSORS(x), INTS(0, 0), NONE), 1);
}

Test(reduction, roots_have_a_gradient_at_zero) {
    lh_tensor *x = rows_of(2, 2, (double[]){0, 0, 3, 4});

    x->requires_grad = 1;
    EXPECT_VALUES(gradient(call(e, LH_OP_NORM, TENSORS(x), INTS(0, 1), REALS(2)), x), 0, 0, 0.6,
                  0.8);
    EXPECT_VALUES(gradient(call(e, LH_OP_NORM, TENSORS(x), INTS(0, 1), REALS(INFINITY)), x), 0, 0,
                  0, 1);
    EXPECT_VALUES(gradient(call(e, LH_OP_STD, TENSORS(x), INTS(0, 0, 1), NONE), x), 0, 0, -0.5,
                  0.5);
}

Test(reduction, any_and_all) {
    lh_tensor *x = rows_of(3, 2, (double[]){0, 0, 0, 1e-310, NAN, 2});
    lh_tensor *none = rows_of(2, 0, NULL), *y;

    EXPECT_VALUES(call(e, LH_OP_ANY, TENSORS(x), INTS(0, 1), NONE), 0, 1, 1);
    EXPECT_VALUES(call(e, LH_OP_ALL, TENSORS(x), INTS(0, 1), NONE), 0, 0, 1);
    EXPECT_VALUES(call(e, LH_OP_ANY, TENSORS(none), INTS(0, 1), NONE), 0, 0);
    y = call(e, LH_OP_ALL, TENSORS(none), INTS(1, 1), NONE);
    EXPECT_VALUES(y, 1, 1);
    cr_expect_eq(y->view.dtype, LH_BOOL);
    cr_expect_eq(y->view.ndim, 2);
    y = call(e, LH_OP_NE, TENSORS(x, rows_of(1, 1, (double[]){0})), NONE, NONE);
    EXPECT_VALUES(call(e, LH_OP_ANY, TENSORS(y), INTS(0), NONE), 1);
    EXPECT_VALUES(call(e, LH_OP_ALL, TENSORS(y), INTS(0), NONE), 0);
}

Test(reduction, argmin_takes_the_first_and_a_nan_before_all) {
    lh_tensor *x = rows_of(2, 4, (double[]){3, 1, 2, 1, 3, NAN, 1, NAN});

    EXPECT_VALUES(call(e, LH_OP_ARGMIN, TENSORS(x), INTS(1), NONE), 1, 1);
    EXPECT_VALUES(call(e, LH_OP_ARGMIN, TENSORS(x), INTS(0), NONE), 0, 1, 1, 1);
    EXPECT_VALUES(
        call(e, LH_OP_ARGMIN, TENSORS(full(e, LH_I64, 3, 1, (int64_t[]){4})), INTS(0), NONE), 0);
}
