/* test_attention.c - attention and rotary positions: values by their definitions, masks, refusals.
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

TestSuite(attention, .init = setup, .fini = teardown);
TestSuite(rope, .init = setup, .fini = teardown);

enum { B = 2, T = 5, S = 7, D = 3, E = 4, HEADS = 2, ALL = B * T * HEADS * D };

static lh_tensor *normal(int32_t ndim, const int64_t *shape) {
    int64_t ints[1 + LH_MAX_DIMS] = {LH_F64};

    for (int32_t d = 0; d < ndim; d++)
        ints[1 + d] = shape[d];
    return call(e, LH_OP_NORMAL, NONE, 1 + ndim, ints, REALS(0, 1));
}

#define NORMAL(...) \
    normal((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]){__VA_ARGS__})

static const double *data(const lh_tensor *t) {
    cr_assert_not_null(t, "%s", err.text);
    return t->view.data;
}

/* Row `row` of softmax(scale q k^T + bias) v by definition; 0 where every bias is -infinity. */
static void expected_row(const double *q, const double *k, const double *v, const double *bias,
                         double scale, double out[E]) {
    double weight[S], sum = 0;

    for (int j = 0; j < S; j++) {
        double score = bias[j];

        for (int d = 0; d < D; d++)
            score += scale * q[d] * k[j * D + d];
        sum += weight[j] = exp(score);
    }
    for (int l = 0; l < E; l++) {
        out[l] = 0;
        for (int j = 0; j < S && sum > 0; j++)
            out[l] += weight[j] / sum * v[j * E + l];
    }
}

/* Compares with the definition; bias (T, S) belongs to all of the batch. */
static void check(lh_tensor *mask, int64_t causal, double scale, const double *bias) {
    lh_tensor *q = NORMAL(B, T, D), *k = NORMAL(B, S, D), *v = NORMAL(B, S, E);
    lh_tensor *in[] = {q, k, v, mask};
    lh_tensor *y = call(e, LH_OP_ATTENTION, mask ? 4 : 3, in, 1, &causal, REALS(scale, 0));
    const double *got = data(y);

    scale = scale != 0 ? scale : 1 / sqrt((double)D);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < T; i++) {
            double row[E];

            expected_row(data(q) + (b * T + i) * D, data(k) + b * S * D, data(v) + b * S * E,
                         bias + i * S, scale, row);
            for (int l = 0; l < E; l++)
                cr_expect_float_eq(got[(b * T + i) * E + l], row[l], 1e-12);
        }
}

Test(attention, is_a_softmax_of_scaled_products) {
    const double none[T * S] = {0};

    check(NULL, 0, 0, none);
    check(NULL, 0, 1.7, none);
    check(NULL, 0, -0.3, none);
}

Test(attention, causal_rows_see_what_came_before) {
    double bias[T * S];

    for (int i = 0; i < T * S; i++)
        bias[i] = i % S <= i / S ? 0 : -INFINITY;
    check(NULL, 1, 0, bias);
}

Test(attention, bool_masks_keep_where_true_and_rows_without_a_key_are_zero) {
    uint8_t keep[T * S];
    double bias[T * S];
    lh_tensor *mask;

    for (int i = 0; i < T * S; i++) {
        keep[i] = i / S != 2 && (i * 5) % 3 != 0;
        bias[i] = keep[i] ? 0 : -INFINITY;
    }
    mask = lh__tensor_new(e, LH_BOOL, 2, (int64_t[]){T, S}, keep);
    check(mask, 0, 0, bias);
    for (int i = 0; i < T * S; i++)
        bias[i] = keep[i] && i % S <= i / S ? 0 : -INFINITY;
    check(mask, 1, 0, bias);
}

Test(attention, real_masks_are_added) {
    lh_tensor *mask = NORMAL(T, S);
    double bias[T * S];

    memcpy(bias, mask->view.data, sizeof bias);
    check(mask, 0, 0, bias);
    for (int j = 0; j < S; j++)
        ((double *)mask->view.data)[3 * S + j] = bias[3 * S + j] = -INFINITY;
    check(mask, 0, 0, bias);
}

Test(attention, a_row_without_a_key_has_no_gradient) {
    const uint8_t keep[] = {0, 1};
    lh_tensor *mask = lh__tensor_new(e, LH_BOOL, 2, (int64_t[]){2, 1}, keep);
    lh_tensor *q = NORMAL(2, D), *k = NORMAL(S, D), *v = NORMAL(S, E), *y, *g;
    lh_tensor *in[] = {q, k, v, mask};

    q->requires_grad = v->requires_grad = 1;
    y = call(e, LH_OP_ATTENTION, 4, in, INTS(0), REALS(0, 0));
    y = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(y), NONE, NONE)), INTS(0), NONE);
    g = lh__grad_of(e, y, q, 0);
    for (int d = 0; d < D; d++) {
        cr_expect_eq(data(g)[d], 0.0);
        cr_expect_neq(data(g)[D + d], 0.0);
    }
    g = lh__grad_of(e, y, v, 0);
    for (int i = 0; i < S * E; i++)
        cr_expect(isfinite(data(g)[i]));
}

Test(attention, drops_weights_in_training_only) {
    lh_tensor *in[] = {NORMAL(1, T, D), NORMAL(1, S, D),
                       full(e, LH_F64, 1, 3, (int64_t[]){1, S, 1})};
    lh_tensor *plain = call(e, LH_OP_ATTENTION, 3, in, INTS(0), REALS(0, 0.5)), *quiet;
    double away = 0;

    lh__set_training(e, 0);
    quiet = call(e, LH_OP_ATTENTION, 3, in, INTS(0), REALS(0, 0.5));
    for (int i = 0; i < T; i++) {
        cr_expect_float_eq(data(quiet)[i], 1.0, 1e-12);
        away = fmax(away, fabs(data(plain)[i] - 1.0));
    }
    cr_expect_gt(away, 1e-3);
}

/* The gradients to q, k and v of a call with heads that were split by views, one after another. */
static void gradients(lh_tensor *const *qkv, lh_tensor *mask, double p, int32_t again,
                      double out[3][ALL]) {
    lh_tensor *in[4] = {NULL, NULL, NULL, mask}, *y, *g;

    lh__step_begin(e, LH__PHASE_TRAIN, 3);
    for (int i = 0; i < 3; i++)
        in[i] = call(e, LH_OP_PERMUTE, TENSORS(qkv[i]), INTS(0, 2, 1, 3), NONE);
    y = call(e, LH_OP_ATTENTION, mask ? 4 : 3, in, INTS(1), REALS(0.8, p));
    g = call(e, LH_OP_PERMUTE, TENSORS(y), INTS(0, 2, 1, 3), NONE);
    cr_assert_not_null(g, "%s", err.text);
    cr_expect(g->view.stride[1] == HEADS * D && g->view.stride[2] == D, "heads aren't joined");
    y = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(y), NONE, NONE)), INTS(0), NONE);
    for (int i = 0; i < 3; i++) {
        g = lh__grad_of(e, y, qkv[i], again);
        memcpy(out[i], data(call(e, LH_OP_CONTIGUOUS, TENSORS(g), NONE, NONE)), sizeof out[i]);
    }
}

/* What create_graph writes out in operators is what the kernel computes, dropout included. */
Test(attention, gradients_that_can_be_derived_again_are_the_kernels) {
    static const lh_init init = {.struct_size = sizeof init, .kind = LH_INIT_NORMAL, .b = 1};
    const int64_t shape[] = {B, T, HEADS, D};
    const uint8_t keeps[T * T] = {[5] = 1, [10] = 1, [12] = 1, [16] = 1, [17] = 1, [21] = 1};
    lh_tensor *qkv[3], *keep;
    double kernel[3][ALL], operators[3][ALL];

    qkv[0] = lh__param_new(e, "q", 0, 4, shape, &init);
    qkv[1] = lh__param_new(e, "k", 0, 4, shape, &init);
    qkv[2] = lh__param_new(e, "v", 0, 4, shape, &init);
    keep = lh__buffer_new(e, "keep", LH_BOOL, 2, (int64_t[]){T, T}, 0);
    cr_assert_eq(lh__params_seal(e), LH_OK);
    cr_assert_eq(lh__tensor_write(e, keep, keeps, sizeof keeps), LH_OK);
    for (int i = 0; i < 4; i++) {
        gradients(qkv, i % 2 ? keep : NULL, i / 2 ? 0.4 : 0, 0, kernel);
        gradients(qkv, i % 2 ? keep : NULL, i / 2 ? 0.4 : 0, 1, operators);
        for (int k = 0; k < 3; k++)
            for (int j = 0; j < ALL; j++)
                cr_expect_float_eq(kernel[k][j], operators[k][j], 1e-12);
    }
}

/* The call must have failed with this code and a text that holds both parts. */
static void refused(const lh_tensor *y, lh_status code, const char *part, const char *more) {
    cr_expect_null(y, "should have failed: %s", part);
    cr_expect_eq(err.code, code, "%s: code %d", err.text, err.code);
    cr_expect(strstr(err.text, part) && strstr(err.text, more), "\"%s\" lacks \"%s\" or \"%s\"",
              err.text, part, more);
    err = (lh__error){0};
}

static lh_tensor *attend(lh_tensor *q, lh_tensor *k, lh_tensor *v, lh_tensor *mask, double scale,
                         double p) {
    lh_tensor *in[] = {q, k, v, mask};

    return call(e, LH_OP_ATTENTION, mask ? 4 : 3, in, INTS(0), REALS(scale, p));
}

Test(attention, refuses_what_does_not_fit) {
    lh_tensor *q = NORMAL(B, T, D), *k = NORMAL(B, S, D), *v = NORMAL(B, S, E);

    refused(attend(NORMAL(D), k, v, NULL, 0, 0), LH_ESHAPE, "q needs two axes", "mnist.c:31");
    refused(attend(q, k, NORMAL(S), NULL, 0, 0), LH_ESHAPE, "v needs two axes", "attention(");
    refused(attend(q, NORMAL(B, S, 4), v, NULL, 0, 0), LH_ESHAPE, "q has 3 features", "k 4");
    refused(attend(q, k, NORMAL(B, 6, E), NULL, 0, 0), LH_ESHAPE, "k has 7 positions", "v 6");
    refused(attend(q, NORMAL(3, S, D), v, NULL, 0, 0), LH_ESHAPE, "broadcast", "3");
    refused(attend(q, k, v, NULL, NAN, 0), LH_EINVAL, "scale", "finite");
    refused(attend(q, k, v, NULL, 0, 1.5), LH_EINVAL, "1.5", "within 0 and 1");
    refused(attend(q, k, v, NORMAL(T, 6), 0, 0), LH_ESHAPE, "mask", "(2, 5, 7)");
    refused(attend(q, k, v, NORMAL(3, T, S), 0, 0), LH_ESHAPE, "mask", "(2, 5, 7)");
    refused(attend(q, k, v, NORMAL(1, B, T, S), 0, 0), LH_ESHAPE, "mask", "(2, 5, 7)");
    refused(attend(q, k, v, full(e, LH_I64, 1, 2, (int64_t[]){T, S}), 0, 0), LH_EDTYPE,
            "mask is int64", "bool");
    cr_expect_not_null(attend(q, k, v, NORMAL(S), 0, 0));
}

Test(rope, turns_pairs_by_their_position) {
    enum { FIRST = 3, TIME = 2, FEATURES = 6, HALF = FEATURES / 2 };
    lh_tensor *x = NORMAL(2, TIME, FEATURES);

    for (int64_t interleaved = 0; interleaved < 2; interleaved++) {
        lh_tensor *y = call(e, LH_OP_ROPE, TENSORS(x), INTS(FIRST, interleaved), REALS(500.0));
        const double *in = data(x), *out = data(y);

        for (int i = 0; i < 2 * TIME; i++)
            for (int j = 0; j < HALF; j++) {
                double angle = (FIRST + i % TIME) * pow(500.0, -2.0 * j / FEATURES);
                int64_t a = i * FEATURES + (interleaved ? 2 * j : j);
                int64_t b = interleaved ? a + 1 : a + HALF;

                cr_expect_float_eq(out[a], in[a] * cos(angle) - in[b] * sin(angle), 1e-12);
                cr_expect_float_eq(out[b], in[b] * cos(angle) + in[a] * sin(angle), 1e-12);
            }
    }
}

Test(rope, refuses_what_does_not_fit) {
    refused(call(e, LH_OP_ROPE, TENSORS(NORMAL(4)), INTS(0, 0), REALS(1e4)), LH_ESHAPE,
            "2 to 7 axes", "mnist.c:31: rope(");
    refused(call(e, LH_OP_ROPE, TENSORS(NORMAL(2, 5)), INTS(0, 0), REALS(1e4)), LH_ESHAPE, "pairs",
            "5");
    refused(call(e, LH_OP_ROPE, TENSORS(NORMAL(1, 1, 1, 1, 1, 1, 2, 4)), INTS(0, 0), REALS(1e4)),
            LH_ESHAPE, "2 to 7 axes", "rope");
    refused(call(e, LH_OP_ROPE, TENSORS(NORMAL(2, 4)), INTS(0, 0), REALS(-1)), LH_EINVAL, "base",
            "positive");
    refused(call(e, LH_OP_ROPE, TENSORS(NORMAL(2, 4)), INTS(0, 0), REALS(INFINITY)), LH_EINVAL,
            "base", "finite");
}
