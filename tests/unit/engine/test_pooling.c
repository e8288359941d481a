/* test_pooling.c - pooling and resampling against their definitions; what is refused. */
#include "fixture.h"
#include "kernels/view.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F32, 2);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(pooling, .init = setup, .fini = teardown);

static lh_tensor *line(int64_t n, const float *data) {
    return lh__tensor_new(e, LH_F32, 3, (int64_t[]){1, 1, n}, data);
}

#define LINE(...) \
    line((int64_t)(sizeof((float[]){__VA_ARGS__}) / sizeof(float)), (const float[]){__VA_ARGS__})

/* y is a tensor with these values. NaN equals NaN. */
static void expect_values(const lh_tensor *y, int64_t n, const double *expected) {
    double got[64];

    cr_assert_not_null(y, "%s", err.text);
    cr_assert_eq(values(e, y, got, 64), n);
    for (int64_t i = 0; i < n; i++)
        cr_expect(got[i] == expected[i] || fabs(got[i] - expected[i]) <= 1e-6 ||
                      (isnan(got[i]) && isnan(expected[i])),
                  "element %lld: %g instead of %g", (long long)i, got[i], expected[i]);
}

#define EXPECT(y, ...)                                                            \
    expect_values(y, (int64_t)(sizeof((double[]){__VA_ARGS__}) / sizeof(double)), \
                  (const double[]){__VA_ARGS__})

static lh_tensor *pool(uint32_t op, lh_tensor *x, int32_t n, const int64_t *ints) {
    return call(e, op, TENSORS(x), n, ints, NONE);
}

Test(pooling, the_first_of_equal_maxima_is_taken) {
    lh_tensor *x = LINE(1, 3, 3, 2, -1, -1), *y;

    EXPECT(pool(LH_OP_MAX_POOL_INDICES, x, INTS(2, 2, 0, 1, 0)), 1, 2, 4);
    x->requires_grad = 1;
    y = pool(LH_OP_MAX_POOL, x, INTS(3, 1, 0, 1, 0));
    EXPECT(y, 3, 3, 3, 2);
    y = call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
    EXPECT(lh__grad_of(e, y, x, 0), 0, 2, 1, 1, 0, 0);
}

Test(pooling, padding_never_wins_and_nan_always_does) {
    EXPECT(pool(LH_OP_MAX_POOL, LINE(-5, -7, -3), INTS(2, 2, 1, 1, 0)), -5, -3);
    EXPECT(pool(LH_OP_MAX_POOL, LINE(-INFINITY, -INFINITY), INTS(2, 1, 1, 1, 0)), -INFINITY,
           -INFINITY, -INFINITY);
    EXPECT(pool(LH_OP_MAX_POOL, LINE(1, NAN, 2, 0), INTS(2, 2, 0, 1, 0)), NAN, 2);
    EXPECT(pool(LH_OP_MAX_POOL_INDICES, LINE(-INFINITY, -INFINITY), INTS(2, 2, 0, 1, 0)), 0);
}

Test(pooling, dilation_skips_positions) {
    EXPECT(pool(LH_OP_MAX_POOL, LINE(1, 9, 2, 8, 3), INTS(2, 1, 0, 2, 0)), 2, 9, 3);
}

Test(pooling, ceil_mode_adds_a_window_that_begins_within) {
    EXPECT(pool(LH_OP_MAX_POOL, LINE(1, 2, 3, 4, 5), INTS(2, 2, 0, 1, 0)), 2, 4);
    EXPECT(pool(LH_OP_MAX_POOL, LINE(1, 2, 3, 4, 5), INTS(2, 2, 0, 1, 1)), 2, 4, 5);
    /* A third window would begin in the padding behind. */
    EXPECT(pool(LH_OP_MAX_POOL, LINE(1, 2, 3), INTS(2, 2, 1, 1, 1)), 1, 3);
}

Test(pooling, averages_count_the_padding_or_not) {
    lh_tensor *x = LINE(2, 4, 6, 8, 10);

    EXPECT(pool(LH_OP_AVG_POOL, x, INTS(2, 2, 1, 0, 1)), 1, 5, 9);
    EXPECT(pool(LH_OP_AVG_POOL, x, INTS(2, 2, 1, 0, 0)), 2, 5, 9);
    /* The window that ceil_mode adds is cut off behind the padding. */
    EXPECT(pool(LH_OP_AVG_POOL, x, INTS(3, 3, 0, 1, 1)), 4, 9);
    EXPECT(pool(LH_OP_AVG_POOL, x, INTS(4, 4, 1, 1, 1)), 3, 18.0 / 3);
}

Test(pooling, an_average_gives_its_gradient_back_in_equal_shares) {
    lh_tensor *x = LINE(1, 2, 3, 4), *y;

    x->requires_grad = 1;
    y = pool(LH_OP_AVG_POOL, x, INTS(2, 1, 0, 0, 1));
    y = call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
    EXPECT(lh__grad_of(e, y, x, 0), 0.5, 1, 1, 0.5);
}

/* Output o of n looks at [floor(o extent / n), ceil((o + 1) extent / n)). */
Test(pooling, adaptive_windows) {
    lh_tensor *x = LINE(1, 2, 6, 4, 5);

    EXPECT(pool(LH_OP_ADAPTIVE_AVG_POOL, x, INTS(3)), 1.5, 4, 4.5);
    EXPECT(pool(LH_OP_ADAPTIVE_MAX_POOL, x, INTS(3)), 2, 6, 5);
    EXPECT(pool(LH_OP_ADAPTIVE_AVG_POOL, x, INTS(1)), 3.6);
    EXPECT(pool(LH_OP_ADAPTIVE_MAX_POOL, x, INTS(1)), 6);
    EXPECT(pool(LH_OP_ADAPTIVE_AVG_POOL, LINE(1, 3, 5, 9), INTS(2)), 2, 7);
    EXPECT(pool(LH_OP_ADAPTIVE_MAX_POOL, LINE(1, 3), INTS(4)), 1, 1, 3, 3);
}

Test(pooling, nearest_takes_the_position_before) {
    EXPECT(pool(LH_OP_UPSAMPLE_NEAREST, LINE(1, 2, 3), INTS(6)), 1, 1, 2, 2, 3, 3);
    EXPECT(pool(LH_OP_UPSAMPLE_NEAREST, LINE(1, 2, 3), INTS(5)), 1, 1, 2, 2, 3);
    EXPECT(pool(LH_OP_UPSAMPLE_NEAREST, LINE(1, 2, 3, 4), INTS(2)), 1, 3);
}

Test(pooling, linear_interpolates_between_centers_or_corners) {
    EXPECT(pool(LH_OP_UPSAMPLE_LINEAR, LINE(0, 4), INTS(0, 4)), 0, 1, 3, 4);
    EXPECT(pool(LH_OP_UPSAMPLE_LINEAR, LINE(0, 3), INTS(1, 4)), 0, 1, 2, 3);
    EXPECT(pool(LH_OP_UPSAMPLE_LINEAR, LINE(5, 7), INTS(1, 1)), 5);
}

static void expect_error(const lh_tensor *result, lh_status code, const char *part) {
    cr_expect_null(result, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s: code %d instead of %d", err.text, err.code, code);
    cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
    err = (lh__error){0};
}

Test(pooling, refuses_windows_that_do_not_fit) {
    lh_tensor *x = LINE(1, 2, 3, 4), *flat = call(e, LH_OP_RESHAPE, TENSORS(x), INTS(4), NONE);
    lh_tensor *none = full(e, LH_F32, 1, 3, (int64_t[]){1, 2, 0});

    expect_error(pool(LH_OP_MAX_POOL, x, INTS(0, 1, 0, 1, 0)), LH_EINVAL, "at least 1");
    expect_error(pool(LH_OP_MAX_POOL, x, INTS(2, 0, 0, 1, 0)), LH_EINVAL, "at least 1");
    expect_error(pool(LH_OP_MAX_POOL, x, INTS(2, 2, 2, 1, 0)), LH_EINVAL, "half of the kernel");
    expect_error(pool(LH_OP_MAX_POOL, x, INTS(5, 1, 0, 1, 0)), LH_ESHAPE, "reaches over 5");
    expect_error(pool(LH_OP_MAX_POOL, LINE(1), INTS(2, 1, 1, 2, 0)), LH_ESHAPE,
                 "in the padding altogether");
    expect_error(pool(LH_OP_AVG_POOL, x, INTS(2, 2, -1, 0, 1)), LH_EINVAL, "padding -1");
    expect_error(pool(LH_OP_AVG_POOL, x, INTS(2, 2, 0, 1, 0, 0)), LH_EINVAL, "take 5");
    expect_error(pool(LH_OP_AVG_POOL, none, INTS(1, 1, 0, 0, 1)), LH_ESHAPE, "empty");
    expect_error(pool(LH_OP_AVG_POOL, flat, INTS(1, 1, 0, 0, 1)), LH_ESHAPE, "3 to 5 axes");
    expect_error(pool(LH_OP_ADAPTIVE_AVG_POOL, x, INTS(0)), LH_EINVAL, "1 at least");
    expect_error(pool(LH_OP_UPSAMPLE_NEAREST, x, INTS(2, 2)), LH_EINVAL, "take 1");
    expect_error(pool(LH_OP_UPSAMPLE_LINEAR, x, INTS(0, 0)), LH_EINVAL, "1 at least");
}
