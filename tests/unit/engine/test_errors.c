/* test_errors.c - a call that can't be computed: which operator, what with, where, what to do. */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("ref", LH_F32, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(errors, .init = setup, .fini = teardown);

static lh_tensor *shaped(int32_t ndim, const int64_t *shape) {
    return full(e, LH_F32, 0.5, ndim, shape);
}

#define SHAPED(...) \
    shaped((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

/* The call must have failed with this code and a text that holds all the parts; forgets it. */
static void expect(const lh_tensor *result, lh_status code, const char *const *parts) {
    cr_expect_null(result, "should have failed: %s", parts[0]);
    cr_expect_eq(err.code, code, "%s: code %d instead of %d", err.text, err.code, code);
    for (; *parts; parts++)
        cr_expect(strstr(err.text, *parts), "\"%s\" lacks \"%s\"", err.text, *parts);
    err = (lh__error){0};
}

#define EXPECT(result, code, ...) expect(result, code, (const char *const[]){__VA_ARGS__, NULL})

Test(errors, linear_names_operands_and_place) {
    lh_tensor *in[] = {SHAPED(64, 784), SHAPED(128, 780), SHAPED(128)};

    EXPECT(call(e, LH_OP_LINEAR, 3, in, NONE, NONE), LH_ESHAPE, "mnist.c:31: linear(",
           "x float32 (64, 784)", "weight float32 (128, 780)", "bias float32 (128)",
           "the last axis of x has to equal the second of weight, 780");
    in[1] = SHAPED(100, 784);
    EXPECT(call(e, LH_OP_LINEAR, 3, in, NONE, NONE), LH_ESHAPE, "bias", "(100)");
    in[1] = SHAPED(784);
    EXPECT(call(e, LH_OP_LINEAR, 2, in, NONE, NONE), LH_ESHAPE, "weight", "two axes");
}

Test(errors, shapes_that_do_not_broadcast) {
    EXPECT(call(e, LH_OP_ADD, TENSORS(SHAPED(2, 3), SHAPED(2, 4)), NONE, NONE), LH_ESHAPE,
           "add(a float32 (2, 3), b float32 (2, 4))", "broadcast", "3", "4");
    EXPECT(call(e, LH_OP_WHERE,
                TENSORS(full(e, LH_BOOL, 1, 1, (int64_t[]){5}), SHAPED(2), SHAPED(2)), NONE, NONE),
           LH_ESHAPE, "where(condition bool (5)", "broadcast");
}

Test(errors, matmul) {
    EXPECT(call(e, LH_OP_MATMUL, TENSORS(SHAPED(2, 3), SHAPED(4, 5)), NONE, NONE), LH_ESHAPE,
           "matmul(a float32 (2, 3), b float32 (4, 5))", "last of a: 3");
    EXPECT(call(e, LH_OP_MATMUL, TENSORS(SHAPED(2, 3), full(e, LH_F32, 1, 0, NULL)), NONE, NONE),
           LH_ESHAPE, "mul");
    EXPECT(call(e, LH_OP_MATMUL, TENSORS(SHAPED(2, 4, 3), SHAPED(3, 3, 2)), NONE, NONE), LH_ESHAPE,
           "broadcast");
}

Test(errors, axes) {
    EXPECT(call(e, LH_OP_SUM, TENSORS(SHAPED(2, 3)), INTS(0, 2), NONE), LH_ESHAPE, "axis 2",
           "2 axes");
    EXPECT(call(e, LH_OP_SUM, TENSORS(SHAPED(2, 3)), INTS(0, 1, -1), NONE), LH_ESHAPE, "twice");
    EXPECT(call(e, LH_OP_SOFTMAX, TENSORS(SHAPED(2, 3)), INTS(-3), NONE), LH_ESHAPE, "axis -3");
    EXPECT(call(e, LH_OP_PERMUTE, TENSORS(SHAPED(2, 3)), INTS(0), NONE), LH_ESHAPE, "1 axes named");
    EXPECT(call(e, LH_OP_PERMUTE, TENSORS(SHAPED(2, 3)), INTS(1, 1), NONE), LH_ESHAPE, "twice");
    EXPECT(call(e, LH_OP_AMAX, TENSORS(SHAPED(2, 0)), INTS(0, 1), NONE), LH_ESHAPE, "empty");
    EXPECT(call(e, LH_OP_ARGMAX, TENSORS(SHAPED(0)), INTS(0), NONE), LH_ESHAPE, "empty");
}

Test(errors, reshape_and_views) {
    EXPECT(call(e, LH_OP_RESHAPE, TENSORS(SHAPED(2, 3)), INTS(4, 2), NONE), LH_ESHAPE, "6 elements",
           "8");
    EXPECT(call(e, LH_OP_RESHAPE, TENSORS(SHAPED(2, 3)), INTS(4, -1), NONE), LH_ESHAPE, "split");
    EXPECT(call(e, LH_OP_RESHAPE, TENSORS(SHAPED(2, 3)), INTS(-1, -1), NONE), LH_ESHAPE, "-1");
    EXPECT(call(e, LH_OP_RESHAPE, TENSORS(SHAPED(1)), INTS(1, 1, 1, 1, 1, 1, 1, 1, 1), NONE),
           LH_ESHAPE, "at most 8");
    EXPECT(call(e, LH_OP_EXPAND, TENSORS(SHAPED(2, 3)), INTS(2, 6), NONE), LH_ESHAPE, "3", "6");
    EXPECT(call(e, LH_OP_SLICE, TENSORS(SHAPED(2, 3)), INTS(1, 1, 4, 1), NONE), LH_ESHAPE, "[1, 4)",
           "axis 1", "length 3");
    EXPECT(call(e, LH_OP_SLICE, TENSORS(SHAPED(2, 3)), INTS(1, 0, 3, 0), NONE), LH_EINVAL, "step");
    EXPECT(call(e, LH_OP_CONCAT, TENSORS(SHAPED(2, 3), SHAPED(2, 4)), INTS(0), NONE), LH_ESHAPE,
           "operand 2", "axis 1");
}

Test(errors, targets_and_indices_are_named) {
    int64_t rows[] = {3}, target[] = {1, 10, 0}, below[] = {0, 1, -2};
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, rows, target);
    lh_tensor *b = lh__tensor_new(e, LH_I64, 1, rows, below);

    EXPECT(call(e, LH_OP_NLL_LOSS, TENSORS(SHAPED(3, 10), t), NONE, NONE), LH_EINVAL, "nll_loss(",
           "target 10 at element 1", "0 ... 9");
    EXPECT(call(e, LH_OP_CROSS_ENTROPY, TENSORS(SHAPED(3, 10), b), NONE, NONE), LH_EINVAL,
           "target -2 at element 2");
    EXPECT(call(e, LH_OP_INDEX_SELECT, TENSORS(SHAPED(4, 2), t), INTS(0), NONE), LH_EINVAL,
           "index 10", "0 ... 3");
    EXPECT(call(e, LH_OP_GATHER, TENSORS(SHAPED(4), t), INTS(0), NONE), LH_EINVAL, "index 10");
    EXPECT(call(e, LH_OP_NLL_LOSS, TENSORS(SHAPED(4, 10), t), NONE, NONE), LH_ESHAPE,
           "(n, classes)");
    EXPECT(call(e, LH_OP_NLL_LOSS, TENSORS(SHAPED(3, 10), SHAPED(3)), NONE, NONE), LH_EDTYPE,
           "int64", "float32");
}

Test(errors, dtypes) {
    EXPECT(call(e, LH_OP_WHERE, TENSORS(SHAPED(2), SHAPED(2), SHAPED(2)), NONE, NONE), LH_EDTYPE,
           "bool");
    EXPECT(call(e, LH_OP_CAST, TENSORS(SHAPED(2)), INTS(77), NONE), LH_EDTYPE, "77");
    EXPECT(call(e, LH_OP_NORMAL, NONE, INTS(LH_I64, 2), REALS(0, 1)), LH_EDTYPE, "int64");
}

Test(errors, values_and_counts) {
    EXPECT(call(e, LH_OP_DROPOUT, TENSORS(SHAPED(2)), NONE, REALS(1.5)), LH_EINVAL, "1.5");
    EXPECT(call(e, LH_OP_CLAMP, TENSORS(SHAPED(2)), NONE, REALS(1, -1)), LH_EINVAL, "order");
    EXPECT(call(e, LH_OP_FULL, NONE, INTS(LH_F32, -2), REALS(1)), LH_ESHAPE, "-2");
    EXPECT(call(e, LH_OP_FULL, NONE, INTS(LH_F32, INT64_MAX / 2, 8), REALS(1)), LH_ESHAPE,
           "counted");
    EXPECT(call(e, LH_OP_ADD, TENSORS(SHAPED(2)), NONE, NONE), LH_EINVAL, "mnist.c:31: add",
           "1 operands");
    EXPECT(call(e, 400, NONE, NONE, NONE), LH_EUNSUPPORTED, "400");
    EXPECT(call(e, LH__OP_RELU_GRAD, TENSORS(SHAPED(2), SHAPED(3)), NONE, NONE), LH_EUNSUPPORTED,
           "512");
}

static lh_tensor *weights(double a, double b) {
    return lh__tensor_new(e, LH_F64, 2, (int64_t[]){2, 2}, (double[]){1, 1, a, b});
}

Test(errors, random_numbers) {
    EXPECT(call(e, LH_OP_RANDINT, NONE, INTS(3, 3, 2), NONE), LH_EINVAL, "at least 3",
           "less than 3");
    EXPECT(call(e, LH_OP_RANDINT, NONE, INTS(0, 3, -2), NONE), LH_ESHAPE, "-2");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(weights(1, -0.5)), INTS(3), NONE), LH_EINVAL,
           "weight -0.5 of class 1 in row 1", "not negative");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(weights(NAN, 1)), INTS(3), NONE), LH_EINVAL,
           "weight nan of class 0 in row 1");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(weights(1, INFINITY)), INTS(3), NONE), LH_EINVAL,
           "weight inf");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(weights(0, 0)), INTS(3), NONE), LH_EINVAL,
           "row 1 add up to 0");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(weights(0, 1)), INTS(0), NONE), LH_EINVAL, "draws");
    EXPECT(call(e, LH_OP_MULTINOMIAL, TENSORS(SHAPED(2, 0)), INTS(1), NONE), LH_ESHAPE, "classes");
    EXPECT(
        call(e, LH_OP_MULTINOMIAL, TENSORS(full(e, LH_I64, 1, 1, (int64_t[]){2})), INTS(1), NONE),
        LH_EDTYPE, "cast");
    EXPECT(call(e, LH_OP_ARANGE, NONE, INTS(LH_F32, -1), REALS(0, 1)), LH_ESHAPE, "-1");
}

Test(errors, reductions_and_order) {
    EXPECT(call(e, LH_OP_NORM, TENSORS(SHAPED(2, 3)), INTS(0), REALS(0)), LH_EINVAL, "order 0");
    EXPECT(call(e, LH_OP_NORM, TENSORS(SHAPED(2, 0)), INTS(0, 1), REALS(INFINITY)), LH_ESHAPE,
           "norm", "empty");
    EXPECT(call(e, LH_OP_VAR, TENSORS(SHAPED(2, 3)), INTS(0, 1, 2), NONE), LH_ESHAPE, "axis 2");
    EXPECT(call(e, LH_OP_STD, TENSORS(SHAPED(2, 3)), INTS(0, 1, 1, 1), NONE), LH_ESHAPE, "twice");
    EXPECT(call(e, LH_OP_ARGMIN, TENSORS(SHAPED(2, 0)), INTS(1), NONE), LH_ESHAPE, "empty");
    EXPECT(call(e, LH_OP_CUMSUM, TENSORS(SHAPED(2)), INTS(1), NONE), LH_ESHAPE, "axis 1");
    EXPECT(call(e, LH_OP_TOPK, TENSORS(SHAPED(2, 3)), INTS(4, 1), NONE), LH_ESHAPE, "4 elements",
           "length 3");
    EXPECT(call(e, LH_OP_TOPK, TENSORS(SHAPED(2, 3)), INTS(-1, 1), NONE), LH_ESHAPE, "-1");
    EXPECT(call(e, LH_OP_ARGSORT, TENSORS(full(e, LH_F32, 1, 0, NULL)), INTS(0), NONE), LH_ESHAPE,
           "0 axes");
}

Test(errors, padding_and_selection) {
    lh_tensor *index = full(e, LH_I64, 2, 2, (int64_t[]){2, 3});

    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(2, 3)), INTS(5, 1, 1), NONE), LH_EINVAL, "mode");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(2, 3)), INTS(0, 1), NONE), LH_ESHAPE, "pair");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(3)), INTS(0, 1, 1, 1, 1), NONE), LH_ESHAPE,
           "at most 1 axes");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(3)), INTS(0, -2, -2), NONE), LH_ESHAPE, "cut off");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(3)), INTS(1, 3, 0), NONE), LH_ESHAPE, "reflecting 3",
           "it has 3");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(3)), INTS(2, -1, 0), NONE), LH_EINVAL, "-1");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(0)), INTS(2, 1, 0), NONE), LH_ESHAPE, "empty");
    EXPECT(call(e, LH_OP_PAD, TENSORS(SHAPED(3)), INTS(0, INT64_MAX, INT64_MAX), NONE), LH_ESHAPE,
           "counted");
    EXPECT(call(e, LH_OP_FLIP, TENSORS(SHAPED(2, 3)), INTS(1, -1), NONE), LH_ESHAPE, "twice");
    EXPECT(call(e, LH_OP_TRIL, TENSORS(SHAPED(3)), INTS(0), NONE), LH_ESHAPE, "two axes");
    EXPECT(call(e, LH_OP_ONE_HOT, TENSORS(index), INTS(2), NONE), LH_EINVAL, "index 2", "0 ... 1");
    EXPECT(call(e, LH_OP_ONE_HOT, TENSORS(index), INTS(0), NONE), LH_EINVAL, "classes");
    EXPECT(call(e, LH_OP_ONE_HOT, TENSORS(SHAPED(2)), INTS(2), NONE), LH_EDTYPE, "int64");
    EXPECT(call(e, LH_OP_SCATTER_ADD, TENSORS(SHAPED(2, 3), index, SHAPED(2, 3)), INTS(0), NONE),
           LH_EINVAL, "index 2", "0 ... 1");
    EXPECT(call(e, LH_OP_SCATTER_ADD, TENSORS(SHAPED(3, 2), index, SHAPED(2, 3)), INTS(0), NONE),
           LH_ESHAPE, "longer than x on axis 1");
    EXPECT(call(e, LH_OP_SCATTER_ADD, TENSORS(SHAPED(3, 3), index, SHAPED(1, 3)), INTS(0), NONE),
           LH_ESHAPE, "longer than the source on axis 0");
    EXPECT(call(e, LH_OP_SCATTER_ADD, TENSORS(SHAPED(3, 3), index, SHAPED(3)), INTS(0), NONE),
           LH_ESHAPE, "as many axes");
    EXPECT(call(e, LH_OP_SCATTER_ADD, TENSORS(SHAPED(3), SHAPED(3), SHAPED(3)), INTS(0), NONE),
           LH_EDTYPE, "int64");
}

Test(errors, null_passes_silently_and_the_first_error_stays) {
    lh_tensor *wrong = call(e, LH_OP_ADD, TENSORS(SHAPED(2), SHAPED(3)), NONE, NONE);
    char first[sizeof err.text];

    memcpy(first, err.text, sizeof first);
    cr_expect_null(call(e, LH_OP_RELU, TENSORS(wrong), NONE, NONE));
    cr_expect_null(call(e, LH_OP_SUM, TENSORS(SHAPED(2)), INTS(0, 5), NONE));
    cr_expect_str_eq(err.text, first);
}

Test(errors, null_without_an_error_before_is_one) {
    EXPECT(call(e, LH_OP_ADD, TENSORS(SHAPED(2), NULL), NONE, NONE), LH_EINVAL, "mnist.c:31: add",
           "operand 2 is NULL");
}

Test(errors, losses_without_a_gradient) {
    int64_t shape[] = {2, 3};
    lh_tensor *w = lh__param_new(e, "w", 0, 2, shape, NULL), *loss;

    cr_expect_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(w), INTS(0), NONE), 1.0, 0), LH_ESTATE);
    EXPECT(NULL, LH_ESTATE, "parameter w", "configured");
    lh__params_seal(e);
    cr_expect_eq(lh__backward(e, call(e, LH_OP_RELU, TENSORS(w), NONE, NONE), 1.0, 0), LH_ESHAPE);
    EXPECT(NULL, LH_ESHAPE, "(2, 3)", "one number");
    cr_expect_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(SHAPED(3)), INTS(0), NONE), 1.0, 0),
                 LH_ESTATE);
    EXPECT(NULL, LH_ESTATE, "no parameter");
    cr_expect_eq(lh__backward(e, full(e, LH_I64, 1, 0, NULL), 1.0, 0), LH_EDTYPE);
    EXPECT(NULL, LH_EDTYPE, "int64");
    loss =
        call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_DETACH, TENSORS(w), NONE, NONE)), INTS(0), NONE);
    cr_expect_eq(lh__backward(e, loss, 1.0, 0), LH_ESTATE);
    EXPECT(NULL, LH_ESTATE, "detached");
}

Test(errors, anomalies_are_named_where_they_arise) {
    lh__error none = {0};
    lh__engine *strict = lh__engine_new(
        &(lh__engine_options){
            .device = "ref", .threads = 1, .dtype = LH_F32, .seed = 42, .detect_anomaly = 1},
        &none);
    int64_t shape[] = {3};
    lh_tensor *w = lh__param_new(strict, "w", 0, 1, shape, NULL), *loss;

    lh__engine_set_error(strict, &err);
    lh__params_seal(strict);
    EXPECT(call(strict, LH_OP_LOG, TENSORS(w), NONE, NONE), LH_ENAN, "mnist.c:31: log(x",
           "element 0", "not finite");
    EXPECT(call(strict, LH_OP_POW_SCALAR, TENSORS(full(strict, LH_F32, -1, 0, NULL)), NONE,
                REALS(0.5)),
           LH_ENAN, "pow_scalar");
    /* sqrt(0) is finite, its derivative is not. */
    loss = call(strict, LH_OP_SUM, TENSORS(call(strict, LH_OP_SQRT, TENSORS(w), NONE, NONE)),
                INTS(0), NONE);
    cr_expect_eq(lh__backward(strict, loss, 1.0, 0), LH_ENAN);
    EXPECT(NULL, LH_ENAN, "mnist.c:31", "gradient of sqrt", "not finite");
    lh__engine_set_error(e, &err);
    lh__engine_free(strict);
}

Test(errors, an_infinity_that_was_asked_for_is_no_anomaly) {
    lh__error none = {0};
    lh__engine *strict = lh__engine_new(
        &(lh__engine_options){
            .device = "ref", .threads = 1, .dtype = LH_F32, .seed = 42, .detect_anomaly = 1},
        &none);
    lh_tensor *mask, *x;

    lh__step_begin(strict, 0, 0);
    lh__engine_set_error(strict, &err);
    mask = call(strict, LH_OP_FULL, NONE, INTS(LH_F32, 1), REALS(-INFINITY));
    x = call(strict, LH_OP_FULL, NONE, INTS(LH_F32, 1), REALS(1.0));
    x = call(strict, LH_OP_CONCAT, TENSORS(x, mask), INTS(0), NONE);
    x = call(strict, LH_OP_SOFTMAX, TENSORS(x), INTS(0), NONE);
    cr_expect_not_null(x, "%s", err.text);
    lh__engine_free(strict);
}
