/* test_overwritten.c - parameters and buffers that change between their use and the backward pass.
 */
#include "engine/optimizer.h"
#include "fixture.h"

static lh__engine *e;
static lh__error err;
static lh_tensor *w, *bias, *statistic;
static const double new_values[] = {5, 6};

static void setup(void) {
    lh_init one = {.kind = LH_INIT_CONSTANT, .a = 1};

    e = new_engine("ref", LH_F64, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
    w = lh__param_new(e, "w", 0, 1, (int64_t[]){2}, &one);
    bias = lh__param_new(e, "bias", 0, 1, (int64_t[]){2}, &one);
    statistic = lh__buffer_new(e, "statistic", 0, 1, (int64_t[]){2}, 3);
    lh__params_seal(e);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(overwritten, .init = setup, .fini = teardown);

/* sum((w bias) + bias): the gradient to either reads the other. */
static lh_tensor *loss_of(lh_tensor *a, lh_tensor *b) {
    lh_tensor *y = call(e, LH_OP_MUL, TENSORS(a, b), NONE, NONE);

    return call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_ADD, TENSORS(y, b), NONE, NONE)), INTS(0),
                NONE);
}

static void write_to(lh_tensor *t) {
    cr_assert_eq(lh__tensor_write(e, t, new_values, sizeof new_values), LH_OK);
}

static void expect_rejected(lh_tensor *loss, const char *who) {
    cr_expect_eq(lh__backward(e, loss, 1.0, 0), LH_ESTATE);
    cr_expect(strstr(err.text, who), "%s", err.text);
    cr_expect(strstr(err.text, "mnist.c:31: gradient of mul"), "%s", err.text);
    cr_expect(strstr(err.text, "overwritten"), "%s", err.text);
    err = (lh__error){0};
}

Test(overwritten, a_write_is_named) {
    lh_tensor *loss = loss_of(w, bias);

    write_to(w);
    expect_rejected(loss, "parameter w ");
}

Test(overwritten, an_assignment_is_named) {
    lh_tensor *loss = loss_of(w, bias);

    cr_assert_eq(lh__tensor_assign(e, bias, statistic), LH_OK);
    expect_rejected(loss, "parameter bias ");
}

Test(overwritten, a_step_is_named) {
    lh_tensor *loss = loss_of(w, bias);
    lh_optimizer_options o = {LH_SIZED(lh_optimizer_options), .kind = LH_SGD, .lr = 0.1,
                              .params = "w"};
    lh_optimizer *opt = lh__optimizer_new(e, &o);

    cr_assert_not_null(opt, "%s", err.text);
    cr_assert_eq(lh__backward(e, loss, 1.0, 1), LH_OK);
    cr_assert_eq(lh__optimizer_step(opt, &(lh__terms){.scale = 1}), LH_OK);
    expect_rejected(loss, "parameter w ");
    /* What is computed after the step is as good as ever. */
    cr_expect_eq(lh__backward(e, loss_of(w, bias), 1.0, 0), LH_OK, "%s", err.text);
}

Test(overwritten, views_are_of_their_parameter) {
    lh_tensor *seen = call(e, LH_OP_RESHAPE, TENSORS(w), INTS(2, 1), NONE), *loss;

    seen = call(e, LH_OP_PERMUTE, TENSORS(seen), INTS(1, 0), NONE);
    loss = loss_of(seen, bias);
    write_to(w);
    expect_rejected(loss, "parameter w ");
    loss = loss_of(w, bias);
    cr_assert_eq(lh__tensor_write(e, seen, new_values, sizeof new_values), LH_OK);
    expect_rejected(loss, "parameter w ");
}

Test(overwritten, a_buffer_that_a_gradient_reads) {
    lh_tensor *loss = loss_of(w, statistic);

    write_to(statistic);
    expect_rejected(loss, "buffer statistic ");
}

/* The gradient of a sum or of a running statistic's update reads no values. */
Test(overwritten, what_no_gradient_reads_may_change) {
    lh_tensor *y = call(e, LH_OP_ADD, TENSORS(w, statistic), NONE, NONE), *loss;
    lh_tensor *detached = call(e, LH_OP_DETACH, TENSORS(y), NONE, NONE);

    loss = call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
    cr_assert_eq(lh__tensor_assign(e, statistic, detached), LH_OK);
    write_to(w);
    cr_expect_eq(lh__backward(e, loss, 1.0, 0), LH_OK, "%s", err.text);
    cr_expect_eq(((double *)w->param->grad.data)[1], 1);
}

Test(overwritten, before_the_use_and_after_the_backward_pass) {
    lh_tensor *loss;

    write_to(w);
    loss = loss_of(w, bias);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK, "%s", err.text);
    cr_expect_eq(((double *)bias->param->grad.data)[0], 6); /* w + 1 */
    write_to(bias);
}
