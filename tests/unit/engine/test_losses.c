/* test_losses.c - losses and their options against formulas in double; where logarithms and roots
 * have no derivative; calls that are rejected.
 */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("cpu", LH_F64, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    cr_expect_eq(err.code, LH_OK, "%s", err.text);
    lh__engine_free(e);
}

TestSuite(losses, .init = setup, .fini = teardown);

enum { N = 4, C = 3, IGNORED = -7 };
static const int64_t shape[] = {N, C};
static const int64_t targets[N] = {2, 0, IGNORED, 1};
static const double class_weight[C] = {0.5, 2.0, 1.25};
static const double logits[N][C] = {{1, 2, 0.5}, {-1, 0, 3}, {4, -2, 1}, {0.3, 0.2, 0.1}};

static lh_tensor *tensor(int32_t ndim, const int64_t *extents, const double *data) {
    return lh__tensor_new(e, LH_F64, ndim, extents, data);
}

#define VECTOR(...)                                                                \
    tensor(1, (const int64_t[]){sizeof((double[]){__VA_ARGS__}) / sizeof(double)}, \
           (const double[]){__VA_ARGS__})

static double log_p(int i, int c) {
    return logits[i][c] - log(exp(logits[i][0]) + exp(logits[i][1]) + exp(logits[i][2]));
}

/* The loss of row i by the definition of torch.nn.CrossEntropyLoss. */
static double row_loss(int i, double smoothing) {
    int64_t t = targets[i];
    double all = 0;

    for (int c = 0; c < C; c++)
        all -= class_weight[c] * log_p(i, c);
    return t == IGNORED
               ? 0
               : -(1 - smoothing) * class_weight[t] * log_p(i, (int)t) + smoothing / C * all;
}

static lh_tensor *cross_entropy(int64_t reduction, double smoothing) {
    lh_tensor *x = tensor(2, shape, &logits[0][0]), *w = VECTOR(0.5, 2.0, 1.25);
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, shape, targets);

    return call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t, w), INTS(reduction, IGNORED),
                REALS(smoothing));
}

Test(losses, cross_entropy_with_everything) {
    for (int k = 0; k < 2; k++) {
        double smoothing = k ? 0.3 : 0, each[N], sum = 0, weights = 0;

        values(e, cross_entropy(LH_REDUCE_NONE, smoothing), each, N);
        for (int i = 0; i < N; i++) {
            cr_expect_float_eq(each[i], row_loss(i, smoothing), 1e-14);
            sum += row_loss(i, smoothing);
            weights += targets[i] == IGNORED ? 0 : class_weight[targets[i]];
        }
        cr_expect_float_eq(lh__item(e, cross_entropy(LH_REDUCE_SUM, smoothing)), sum, 1e-14);
        cr_expect_float_eq(lh__item(e, cross_entropy(LH_REDUCE_MEAN, smoothing)), sum / weights,
                           1e-14);
    }
}

/* -100 is ignored unless another number is named, in the plain call as well. */
Test(losses, minus_100_is_ignored) {
    lh_tensor *x = tensor(2, shape, &logits[0][0]), *loss;
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, shape, (const int64_t[]){-100, 0, 1, -100});
    double g[N * C];

    x->requires_grad = 1;
    loss = call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), NONE, NONE);
    cr_expect_float_eq(lh__item(e, loss), -(log_p(1, 0) + log_p(2, 1)) / 2, 1e-14);
    values(e, lh__grad_of(e, loss, x, 0), g, N * C);
    for (int c = 0; c < C; c++) {
        cr_expect_eq(g[c], 0);
        cr_expect_float_eq(g[C + c], (exp(log_p(1, c)) - (c == 0)) / 2, 1e-14);
    }
    t = lh__tensor_new(e, LH_I64, 1, shape, (const int64_t[]){-100, -100, -100, -100});
    cr_expect(isnan(lh__item(e, call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), NONE, NONE))));
    cr_expect_eq(
        lh__item(e, call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), INTS(LH_REDUCE_SUM), NONE)), 0);
}

/* (n, classes, d) is (n d, classes), whichever way it is computed; a one-hot row is its class. */
Test(losses, more_axes_and_probabilities) {
    const int64_t wide[] = {2, C, 2}, flat[] = {2, 2}, index[] = {2, 0, 0, 1};
    double x[2 * C * 2], hot[2 * C * 2] = {0}, expected = 0, each[4];
    lh_tensor *in, *t, *p;

    for (int i = 0; i < N; i++) {
        for (int c = 0; c < C; c++)
            x[(i / 2 * C + c) * 2 + i % 2] = logits[i][c];
        hot[(i / 2 * C + index[i]) * 2 + i % 2] = 1;
        expected -= log_p(i, (int)index[i]) / N;
    }
    in = tensor(3, wide, x), p = tensor(3, wide, hot);
    t = lh__tensor_new(e, LH_I64, 2, flat, index);
    cr_expect_float_eq(lh__item(e, call(e, LH_OP_CROSS_ENTROPY, TENSORS(in, t), NONE, NONE)),
                       expected, 1e-14);
    cr_expect_float_eq(lh__item(e, call(e, LH_OP_CROSS_ENTROPY, TENSORS(in, p), NONE, NONE)),
                       expected, 1e-14);
    in = call(e, LH_OP_CROSS_ENTROPY, TENSORS(in, p), INTS(LH_REDUCE_NONE), NONE);
    cr_assert(in->view.ndim == 2 && in->view.shape[0] == 2 && in->view.shape[1] == 2);
    values(e, in, each, 4);
    for (int i = 0; i < N; i++)
        cr_expect_float_eq(each[i], -log_p(i, (int)index[i]), 1e-14);
}

/* Far out the loss stays finite and its gradient sigmoid(x) - t exact, at 0 too. */
Test(losses, bce_with_logits_far_out_and_at_0) {
    static const double x[] = {-800, -20, 0, 20, 800}, t[] = {1, 0.25, 1, 1, 0};
    lh_tensor *in = VECTOR(-800, -20, 0, 20, 800), *target = VECTOR(1, 0.25, 1, 1, 0), *y;
    lh_tensor *positive = VECTOR(1, 1, 3, 1, 1);
    double each[5], g[5];

    in->requires_grad = 1;
    y = call(e, LH_OP_BCE_WITH_LOGITS, TENSORS(in, target), INTS(LH_REDUCE_NONE), NONE);
    values(e, y, each, 5);
    y = call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
    values(e, lh__grad_of(e, y, in, 0), g, 5);
    for (int i = 0; i < 5; i++) {
        cr_expect_float_eq(each[i], fmax(x[i], 0) - x[i] * t[i] + log1p(exp(-fabs(x[i]))), 1e-15);
        cr_expect_float_eq(g[i], 1 / (1 + exp(-x[i])) - t[i], 1e-15);
    }
    y = call(e, LH_OP_BCE_WITH_LOGITS, TENSORS(in, target, positive), INTS(LH_REDUCE_NONE), NONE);
    values(e, y, each, 5);
    cr_expect_float_eq(each[2], 3 * log(2), 1e-14);
    cr_expect_float_eq(each[0], 800, 1e-12);
}

/* Logarithms end at -100; the gradient's divisor at 1e-12. */
Test(losses, bce_of_certainties) {
    lh_tensor *p = VECTOR(0, 0, 1, 0.25), *t = VECTOR(1, 0, 0, 0.5), *loss;
    double each[4], g[4];

    p->requires_grad = 1;
    loss = call(e, LH_OP_BCE_LOSS, TENSORS(p, t), INTS(LH_REDUCE_NONE), NONE);
    values(e, loss, each, 4);
    cr_expect(each[0] == 100 && each[1] == 0 && each[2] == 100);
    cr_expect_float_eq(each[3], -(log(0.25) + log(0.75)) / 2, 1e-15);
    loss = call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    values(e, lh__grad_of(e, loss, p, 0), g, 4);
    cr_expect_float_eq(g[0], -1e12, 1);
    cr_expect_eq(g[1], 0);
    cr_expect_float_eq(g[3], -0.25 / (0.25 * 0.75), 1e-14);
}

Test(losses, near_and_far_from_the_target) {
    lh_tensor *a = VECTOR(0, 1, -3, 2), *b = VECTOR(0.5, 1, 1, 0);
    double each[4];

    values(e, call(e, LH_OP_L1_LOSS, TENSORS(a, b), INTS(LH_REDUCE_NONE), NONE), each, 4);
    cr_expect_arr_eq(each, ((double[]){0.5, 0, 4, 2}), sizeof each);
    values(e, call(e, LH_OP_HUBER_LOSS, TENSORS(a, b), INTS(LH_REDUCE_NONE), REALS(2)), each, 4);
    cr_expect_arr_eq(each, ((double[]){0.125, 0, 6, 2}), sizeof each);
    values(e, call(e, LH_OP_SMOOTH_L1_LOSS, TENSORS(a, b), INTS(LH_REDUCE_NONE), REALS(2)), each,
           4);
    cr_expect_arr_eq(each, ((double[]){0.0625, 0, 3, 1}), sizeof each);
    values(e, call(e, LH_OP_MSE_LOSS, TENSORS(a, b), INTS(LH_REDUCE_NONE), NONE), each, 4);
    cr_expect_arr_eq(each, ((double[]){0.25, 0, 16, 4}), sizeof each);
    cr_expect_eq(lh__item(e, call(e, LH_OP_MSE_LOSS, TENSORS(a, b), NONE, NONE)), 20.25 / 4);
    cr_expect_eq(lh__item(e, call(e, LH_OP_L1_LOSS, TENSORS(a, b), INTS(LH_REDUCE_SUM), NONE)),
                 6.5);
}

/* A target of 0 adds nothing, whatever log(0) is. */
Test(losses, kl_div_reductions) {
    const int64_t two[] = {2, 2};
    double q[] = {log(0.5), log(0.5), log(0.25), log(0.75)}, t[] = {0, 1, 0.5, 0.5}, sum, got;
    lh_tensor *a = tensor(2, two, q), *b = tensor(2, two, t);

    sum = log(2) + 0.5 * (log(0.5) - q[2]) + 0.5 * (log(0.5) - q[3]);
    got = lh__item(e, call(e, LH_OP_KL_DIV, TENSORS(a, b), INTS(LH_REDUCE_BATCHMEAN, 0), NONE));
    cr_expect_float_eq(got, sum / 2, 1e-15);
    got = lh__item(e, call(e, LH_OP_KL_DIV, TENSORS(a, b), NONE, NONE));
    cr_expect_float_eq(got, sum / 4, 1e-15);
    b = tensor(2, two, (const double[]){-INFINITY, 0, log(0.5), log(0.5)});
    b = call(e, LH_OP_CLAMP, TENSORS(b), NONE, REALS(-700, 0));
    got = lh__item(e, call(e, LH_OP_KL_DIV, TENSORS(a, b), INTS(LH_REDUCE_SUM, 1), NONE));
    cr_expect_float_eq(got, sum, 1e-14);
}

Test(losses, directions) {
    const int64_t two[] = {2, 2};
    lh_tensor *a = tensor(2, two, (const double[]){3, 4, 0, 0}), *loss;
    lh_tensor *b = tensor(2, two, (const double[]){4, 3, 1, 2}), *t = VECTOR(1, -1);
    double y[2], g[4];

    a->requires_grad = 1;
    loss = call(e, LH_OP_COSINE_SIMILARITY, TENSORS(a, b), INTS(1), REALS(1e-8));
    values(e, loss, y, 2);
    cr_expect_float_eq(y[0], 24.0 / 25, 1e-15);
    cr_expect_eq(y[1], 0);
    values(e, lh__grad_of(e, call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE), a, 0), g, 4);
    cr_expect_float_eq(g[0], 4.0 / 25 - 24.0 / 25 * 3 / 25, 1e-15);
    cr_expect(isfinite(g[2]) && isfinite(g[3]));
    loss =
        call(e, LH_OP_COSINE_EMBEDDING_LOSS, TENSORS(a, b, t), INTS(LH_REDUCE_NONE), REALS(-0.5));
    values(e, loss, y, 2);
    cr_expect_float_eq(y[0], 1 - 24.0 / 25, 1e-12);
    cr_expect_float_eq(y[1], 0.5, 1e-12);
}

/* Distances are of a - b + 1e-6. */
Test(losses, triplets) {
    const int64_t one[] = {1, 4};
    lh_tensor *a = full(e, LH_F64, 1, 2, one), *n = full(e, LH_F64, 3, 2, one), *y;

    y = call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(a, a, n), NONE, REALS(5, 2));
    cr_expect_float_eq(lh__item(e, y), 5 + 2e-6 - 2 * (2 - 1e-6), 1e-14);
    y = call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(a, a, n), NONE, REALS(9, 1));
    cr_expect_float_eq(lh__item(e, y), 9 + 4e-6 - 4 * (2 - 1e-6), 1e-14);
    y = call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(a, a, n), NONE, REALS(1, 2));
    cr_expect_eq(lh__item(e, y), 0);
}

static void expect_rejected(const lh_tensor *result, lh_status code, const char *part) {
    cr_expect_null(result, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s", err.text);
    cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
    err = (lh__error){0};
}

Test(losses, calls_that_do_not_fit_are_rejected) {
    lh_tensor *x = tensor(2, shape, &logits[0][0]), *v = VECTOR(1, 2, 3, 4), *p = VECTOR(0.5, 1.5);
    lh_tensor *t = lh__tensor_new(e, LH_I64, 1, shape, (const int64_t[]){0, 1, 3, 2});

    expect_rejected(call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), INTS(LH_REDUCE_MEAN, -1), NONE),
                    LH_EINVAL, "target 3 at element 2 is outside 0 ... 2 and not -1");
    expect_rejected(call(e, LH_OP_NLL_LOSS, TENSORS(x, v), NONE, NONE), LH_EDTYPE, "int64");
    expect_rejected(call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, v), NONE, NONE), LH_ESHAPE,
                    "probabilities");
    expect_rejected(call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t, v), NONE, NONE), LH_ESHAPE,
                    "each of 3 classes");
    expect_rejected(
        call(e, LH_OP_CROSS_ENTROPY, TENSORS(x, t), INTS(LH_REDUCE_MEAN, 3), REALS(1.5)), LH_EINVAL,
        "label smoothing 1.5");
    expect_rejected(call(e, LH_OP_MSE_LOSS, TENSORS(v, v), INTS(LH_REDUCE_BATCHMEAN), NONE),
                    LH_EINVAL, "3 is no reduction");
    expect_rejected(call(e, LH_OP_L1_LOSS, TENSORS(v, p), NONE, NONE), LH_ESHAPE, "one shape");
    expect_rejected(call(e, LH_OP_BCE_LOSS, TENSORS(p, p), NONE, NONE), LH_EINVAL,
                    "1.5 at element 1 is no probability");
    expect_rejected(call(e, LH_OP_BCE_WITH_LOGITS, TENSORS(v, v, x), NONE, NONE), LH_ESHAPE,
                    "broadcast");
    expect_rejected(call(e, LH_OP_HUBER_LOSS, TENSORS(v, v), NONE, REALS(0)), LH_EINVAL,
                    "positive");
    expect_rejected(call(e, LH_OP_COSINE_SIMILARITY, TENSORS(v, v), INTS(1), REALS(0)), LH_ESHAPE,
                    "axis 1");
    expect_rejected(call(e, LH_OP_COSINE_EMBEDDING_LOSS, TENSORS(x, x, v), NONE, NONE), LH_EINVAL,
                    "target 2 at element 1 has to be 1 or -1");
    expect_rejected(call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(v, v, p), NONE, REALS(1, 2)),
                    LH_ESHAPE, "three of one shape");
}
