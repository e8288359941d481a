/* test_backward.c - where gradients go: parameters, sums over uses and calls, tapes used up. */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("ref", LH_F64, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    cr_expect_eq(err.code, LH_OK, "%s", err.text);
    lh__engine_free(e);
}

TestSuite(backward, .init = setup, .fini = teardown);

/* A parameter (n) with these values. */
static lh_tensor *vector(const char *name, int64_t n, const double *data) {
    lh_tensor *t = lh__param_new(e, name, LH_F64, 1, &n, NULL);

    cr_assert_not_null(t, "%s", err.text);
    lh__tensor_write(e, t, data, (uint64_t)n * sizeof *data);
    return t;
}

static double gradient(const lh_tensor *t, int64_t i) {
    return ((double *)t->param->grad.data)[i];
}

static lh_tensor *sum_of_squares(lh_tensor *x) {
    x = call(e, LH_OP_SQUARE, TENSORS(x), NONE, NONE);
    return call(e, LH_OP_SUM, TENSORS(x), INTS(0), NONE);
}

Test(backward, accumulates_over_calls_scaled) {
    lh_tensor *w = vector("w", 3, (double[]){1, -2, 3});

    lh__params_seal(e);
    cr_assert_eq(w->param->has_grad, 0);
    cr_assert_eq(lh__backward(e, sum_of_squares(w), 0.5, 0), LH_OK);
    cr_assert_eq(w->param->has_grad, 1);
    cr_expect_float_eq(gradient(w, 1), 0.5 * 2 * -2, 1e-15);
    lh__step_begin(e, LH__PHASE_TRAIN, 1);
    cr_assert_eq(lh__backward(e, sum_of_squares(w), 2.0, 0), LH_OK);
    cr_expect_float_eq(gradient(w, 1), 2.5 * 2 * -2, 1e-14);
    cr_expect_float_eq(gradient(w, 2), 2.5 * 2 * 3, 1e-14);
    lh__params_zero_grad(e);
    cr_assert_eq(w->param->has_grad, 0);
    cr_assert_eq(lh__backward(e, sum_of_squares(w), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(w, 2), 2 * 3, 1e-14);
}

/* loss = sum(w w^2 + w): the same parameter on several ways. */
Test(backward, adds_up_uses_of_one_parameter) {
    lh_tensor *w = vector("w", 2, (double[]){3, -1}), *cube;

    lh__params_seal(e);
    cube =
        call(e, LH_OP_MUL, TENSORS(w, call(e, LH_OP_SQUARE, TENSORS(w), NONE, NONE)), NONE, NONE);
    cube = call(e, LH_OP_ADD, TENSORS(cube, w), NONE, NONE);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(cube), INTS(0), NONE), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(w, 0), 3 * 9 + 1, 1e-13);
    cr_expect_float_eq(gradient(w, 1), 3 * 1 + 1, 1e-13);
}

/* Gradients whose last operator is a view of what was written in place: (w^T x)^T and slices. */
Test(backward, views_of_a_parameter) {
    int64_t shape[] = {2, 2};
    double data[] = {1, 2, 3, 4};
    lh_tensor *w = lh__param_new(e, "w", LH_F64, 2, shape, NULL), *x, *y;

    lh__tensor_write(e, w, data, sizeof data);
    lh__params_seal(e);
    x = lh__tensor_new(e, LH_F64, 2, shape, (double[]){5, 6, 7, 8});
    y = call(e, LH_OP_MATMUL, TENSORS(x, call(e, LH_OP_PERMUTE, TENSORS(w), INTS(1, 0), NONE)),
             NONE, NONE);
    y = call(e, LH_OP_SLICE, TENSORS(y), INTS(1, 0, 1, 1), NONE);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE), 1.0, 0), LH_OK);
    /* d/dw[j][k] sum_i (x w^T)[i][0] = (j == 0) sum_i x[i][k] */
    cr_expect_float_eq(gradient(w, 0), 12, 1e-13);
    cr_expect_float_eq(gradient(w, 1), 14, 1e-13);
    cr_expect_float_eq(gradient(w, 2), 0, 1e-13);
    cr_expect_float_eq(gradient(w, 3), 0, 1e-13);
}

/* w appears as a broadcast operand whose formula negates after summing. */
Test(backward, formulas_that_end_after_the_sum) {
    lh_tensor *w = vector("w", 2, (double[]){1, 2}), *x;

    lh__params_seal(e);
    x = full(e, LH_F64, 1.0, 2, (int64_t[]){3, 2});
    x = call(e, LH_OP_SUB, TENSORS(x, w), NONE, NONE);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(x), INTS(0), NONE), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(w, 0), -3, 1e-13);
    cr_expect_float_eq(gradient(w, 1), -3, 1e-13);
}

Test(backward, frozen_parameters_and_buffers_get_none) {
    lh_tensor *a = vector("a", 1, (double[]){2}), *b = vector("b.x", 1, (double[]){5});
    lh_tensor *k = lh__buffer_new(e, "k", LH_F64, 1, (int64_t[]){1}, 7.0), *loss;

    lh__params_seal(e);
    cr_expect_eq(lh__params_require_grad(e, "b.*", 0), 1);
    loss =
        call(e, LH_OP_MUL, TENSORS(call(e, LH_OP_MUL, TENSORS(a, b), NONE, NONE), k), NONE, NONE);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 35, 1e-13);
    cr_expect_eq(b->param->has_grad, 0);
    cr_expect_eq(k->param->has_grad, 0);
}

/* What needs a gradient is settled when the operator is called, as in PyTorch. */
Test(backward, freezing_after_the_call_changes_nothing) {
    lh_tensor *a = vector("a", 1, (double[]){2}), *loss;

    lh__params_seal(e);
    loss = sum_of_squares(a);
    lh__params_require_grad(e, "*", 0);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 4, 1e-13);
}

Test(backward, nothing_is_recorded_while_gradients_are_off) {
    lh_tensor *a = vector("a", 1, (double[]){2}), *y;

    lh__params_seal(e);
    cr_expect_eq(lh__set_grad_enabled(e, 0), 1);
    y = sum_of_squares(a);
    cr_expect_eq(lh__set_grad_enabled(e, 1), 0);
    cr_expect_eq(y->requires_grad, 0);
    cr_expect_null(y->node);
}

Test(backward, a_tape_is_used_up_unless_retained) {
    lh_tensor *a = vector("a", 1, (double[]){3}), *loss;

    lh__params_seal(e);
    loss = sum_of_squares(a);
    cr_assert_eq(lh__backward(e, loss, 1.0, 1), LH_OK);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 12, 1e-13);
    cr_expect_eq(lh__backward(e, loss, 1.0, 0), LH_ESTATE);
    cr_expect(strstr(err.text, "retain_graph"), "%s", err.text);
    err = (lh__error){0};
}

Test(backward, gradient_of_an_intermediate_and_of_an_input) {
    lh_tensor *w = vector("w", 2, (double[]){2, 3}), *x, *y, *loss;
    double g[2];

    lh__params_seal(e);
    x = lh__tensor_new(e, LH_F64, 1, (int64_t[]){2}, (double[]){5, 7});
    x->requires_grad = 1;
    y = call(e, LH_OP_MUL, TENSORS(w, x), NONE, NONE);
    loss = sum_of_squares(y);
    values(e, lh__grad_of(e, loss, y, 0), g, 2);
    cr_expect_float_eq(g[0], 2 * 10, 1e-12);
    values(e, lh__grad_of(e, loss, x, 0), g, 2);
    cr_expect_float_eq(g[1], 2 * 21 * 3, 1e-12);
    values(e, lh__grad_of(e, loss, w, 0), g, 2);
    cr_expect_float_eq(g[1], 2 * 21 * 7, 1e-12);
    cr_expect_eq(w->param->has_grad, 0);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(w, 0), 2 * 10 * 5, 1e-12);
}

/* Ties: maximum gives each side half, amax shares equally. */
Test(backward, ties) {
    lh_tensor *a = vector("a", 3, (double[]){1, 4, 4}), *b = vector("b", 3, (double[]){1, 2, 5});
    lh_tensor *loss;

    lh__params_seal(e);
    loss = call(e, LH_OP_MAXIMUM, TENSORS(a, b), NONE, NONE);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 0.5, 1e-15);
    cr_expect_float_eq(gradient(b, 0), 0.5, 1e-15);
    cr_expect_float_eq(gradient(a, 1), 1, 1e-15);
    cr_expect_float_eq(gradient(a, 2), 0, 1e-15);
    lh__params_zero_grad(e);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_AMAX, TENSORS(a), INTS(0), NONE), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 0, 1e-15);
    cr_expect_float_eq(gradient(a, 1), 0.5, 1e-15);
    cr_expect_float_eq(gradient(a, 2), 0.5, 1e-15);
}

/* Parameters of two dtypes meet by casts; each gradient comes back in its own. */
Test(backward, mixed_dtypes) {
    int64_t one = 1;
    lh_tensor *a = vector("a", 1, (double[]){3}), *b = lh__param_new(e, "b", LH_F32, 1, &one, NULL);

    lh__tensor_write(e, b, &(float){4}, sizeof(float));
    lh__params_seal(e);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_MUL, TENSORS(a, b), NONE, NONE), 1.0, 0), LH_OK);
    cr_expect_float_eq(gradient(a, 0), 4, 1e-15);
    cr_expect_float_eq(*(float *)b->param->grad.data, 3, 1e-6);
}

Test(backward, dropout_passes_what_it_kept) {
    double data[64], y[64], g[64];
    lh_tensor *w, *d;

    for (int i = 0; i < 64; i++)
        data[i] = i + 1;
    w = vector("w", 64, data);
    lh__params_seal(e);
    d = call(e, LH_OP_DROPOUT, TENSORS(w), NONE, REALS(0.25));
    values(e, d, y, 64);
    values(e, lh__grad_of(e, call(e, LH_OP_SUM, TENSORS(d), INTS(0), NONE), w, 0), g, 64);
    for (int i = 0; i < 64; i++)
        cr_expect_float_eq(g[i] * data[i], y[i], 1e-12);
    lh__set_training(e, 0);
    cr_expect_eq(call(e, LH_OP_DROPOUT, TENSORS(w), NONE, REALS(0.25)), w);
}

/* The weight's gradient goes straight to its flat buffer: the step needs less memory than it. */
Test(backward, first_gradients_are_written_in_place) {
    enum { WIDE = 512 };
    int64_t shape[] = {WIDE, WIDE};
    lh_tensor *w = lh__param_new(e, "w", LH_F64, 2, shape, NULL), *x, *y;

    lh__params_seal(e);
    lh__step_begin(e, LH__PHASE_TRAIN, 0);
    x = full(e, LH_F64, 2.0, 2, (int64_t[]){1, WIDE});
    y = call(e, LH_OP_LINEAR, TENSORS(x, w), NONE, NONE);
    cr_assert_eq(lh__backward(e, call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE), 1.0, 0), LH_OK);
    for (int64_t i = 0; i < WIDE * WIDE; i++)
        cr_assert_eq(gradient(w, i), 2.0);
    cr_expect_lt(lh__engine_arena(e).used, WIDE * WIDE * (int64_t)sizeof(double) / 4);
}
