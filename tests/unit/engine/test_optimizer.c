/* test_optimizer.c - which parameters a step touches, groups, toggling, errors, no allocation. */
#include "training.h"

/* Counts what the engine and the test allocate: the linker sends their calls here (--wrap). */
static int64_t allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);

void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size) {
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size) {
    allocations++;
    return __real_realloc(p, size);
}

/* encoder.weight (20), encoder.bias (5), head.weight (7), all 1, F64. */
struct model {
    struct training *t;
    lh_ctx *c;
    lh__param *weight, *bias, *head;
};

static struct model model_begin(void) {
    struct model m = {.t = training_begin("cpu", LH_F64)};

    m.c = &m.t->ctx;
    m.weight = add_param(m.t, "encoder.weight", 0, 20, 1);
    m.bias = add_param(m.t, "encoder.bias", 0, 5, 1);
    m.head = add_param(m.t, "head.weight", 0, 7, 1);
    cr_assert_eq(lh__params_seal(m.t->engine), LH_OK);
    return m;
}

static void fill_grads(struct model *m, double value) {
    fill_grad(m->weight, value);
    fill_grad(m->bias, value);
    fill_grad(m->head, value);
}

static void expect_values(const struct model *m, double weight, double bias, double head) {
    cr_expect_float_eq(value_at(m->weight, 19), weight, 1e-15);
    cr_expect_float_eq(value_at(m->bias, 4), bias, 1e-15);
    cr_expect_float_eq(value_at(m->head, 6), head, 1e-15);
}

Test(optimizer, skips_parameters_without_gradient) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_adamw(m.c, .lr = 0.5, .weight_decay = 0.5);

    fill_grad(m.weight, 1);
    fill_grad(m.head, 1);
    cr_assert_eq(lh__optimizer_step(opt, &(lh__terms){.scale = 1}), LH_OK);
    cr_expect_eq(value_at(m.bias, 0), 1, "neither updated nor decayed");
    cr_expect_lt(value_at(m.weight, 0), 1);
    cr_expect_lt(value_at(m.head, 0), 1);
    training_end(m.t);
}

static int64_t bias_step;
static lh_status find_step(void *arg, const lh__param *param, const char *name, const lh__view *v) {
    if (param == arg && strcmp(name, "step") == 0)
        bias_step = *(const int64_t *)v->data;
    return LH_OK;
}

Test(optimizer, counts_steps_per_parameter) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_adam(m.c);

    for (int i = 0; i < 5; i++) {
        lh__optimizer_zero_grad(opt);
        fill_grad(m.weight, 1);
        if (i >= 3)
            fill_grad(m.bias, 1);
        lh__optimizer_step(opt, &(lh__terms){.scale = 1});
    }
    lh__optimizer_visit(opt, 0, find_step, m.bias);
    cr_expect_eq(bias_step, 2);
    training_end(m.t);
}

Test(optimizer, scales_gradients) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_sgd(m.c, .lr = 1);

    fill_grads(&m, 4);
    lh__optimizer_step(opt, &(lh__terms){.scale = 0.125});
    expect_values(&m, 0.5, 0.5, 0.5);
    cr_expect_eq(element(&m.weight->grad, 0), 4, "the gradient itself stays");
    training_end(m.t);
}

/* An update whose guard is not finite leaves weights, state and counts as they are. */
Test(optimizer, hangs_on_guards) {
    static const double numbers[] = {7, INFINITY, NAN};

    for (int i = 0; i < 3; i++)
        for (int k = 0; k < 2; k++) {
            struct model m = model_begin();
            lh_optimizer *opt = lh_sgd(m.c, .lr = 0.5, .momentum = 0.5);
            lh__terms terms = {.scale = 1};

            fill_grads(&m, 1);
            terms.guards[k] = lh__tensor_new(m.t->engine, LH_F64, 0, NULL, &numbers[i]);
            cr_assert_eq(lh__optimizer_step(opt, &terms), LH_OK);
            expect_values(&m, i ? 1 : 0.5, i ? 1 : 0.5, i ? 1 : 0.5);
            bias_step = -1;
            lh__optimizer_visit(opt, 1, find_step, m.bias);
            cr_expect_eq(bias_step, i ? 0 : 1);
            training_end(m.t);
        }
}

Test(optimizer, zero_grad_forgets) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_sgd(m.c, .params = "encoder.*");

    fill_grads(&m, 1);
    lh__optimizer_zero_grad(opt);
    cr_expect_eq(m.weight->has_grad + m.bias->has_grad, 0);
    cr_expect_eq(m.head->has_grad, 1, "not its parameter");
    training_end(m.t);
}

/* Neighbours may share an update with the zeros between them; with eps 0 that would be 0 / 0. */
Test(optimizer, leaves_gaps_alone) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_adam(m.c, .lr = 0.5, .eps = 0);

    fill_grads(&m, 1);
    lh__optimizer_step(opt, &(lh__terms){.scale = 1});
    expect_values(&m, 0.5, 0.5, 0.5);
    for (int64_t i = 5; i < 16; i++)
        cr_expect_eq(value_at(m.bias, i), 0);
    training_end(m.t);
}

Test(optimizer, updates_both_dtypes) {
    struct training *t = training_begin("cpu", LH_F32);
    lh__param *a = add_param(t, "a", LH_F32, 20, 1), *b = add_param(t, "b", LH_F64, 20, 1);
    lh_optimizer *opt;

    cr_assert_eq(lh__params_seal(t->engine), LH_OK);
    opt = lh_sgd(&t->ctx, .lr = 0.5, .momentum = 0.5);
    for (int i = 0; i < 2; i++) {
        fill_grad(a, 1);
        fill_grad(b, 1);
        lh__optimizer_step(opt, &(lh__terms){.scale = 1}); /* buffer 1, 1.5: -0.5, -0.75 */
    }
    cr_expect_eq(value_at(a, 19), -0.25);
    cr_expect_eq(value_at(b, 19), -0.25);
    training_end(t);
}

/* ---- Groups */

Test(optimizer, groups_have_their_own_rates) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_sgd(m.c, .lr = 0.5, .weight_decay = 0.25);

    cr_assert_eq(lh_param_group(m.c, opt, .params = "head.*", .lr = 0.25), LH_OK);
    cr_assert_eq(lh_param_group(m.c, opt, .params = "*.bias", .weight_decay = 0), LH_OK);
    fill_grads(&m, 1);
    lh__optimizer_step(opt, &(lh__terms){.scale = 1});
    expect_values(&m, 1 - 0.5 * 1.25, 1 - 0.5, 1 - 0.25 * 1.25);
    cr_expect_eq(lh_group_count(m.c, opt), 3);
    cr_expect_eq(lh_group_get(m.c, opt, 1, "weight_decay"), 0.25, "left out: the optimizer's");
    cr_expect_eq(lh_lr(m.c, opt), 0.5);
    cr_assert_eq(lh_set_lr(m.c, opt, 0.125), LH_OK);
    cr_expect_eq(lh_group_get(m.c, opt, 2, "lr"), 0.125);
    training_end(m.t);
}

Test(optimizer, groups_know_only_their_keys) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_adam(m.c);

    cr_expect(isnan(lh_group_get(m.c, opt, 0, "momentum")));
    cr_expect(isnan(lh_group_get(m.c, opt, 0, "initial_lr")), "no schedule yet");
    cr_expect(isnan(lh_group_get(m.c, opt, 1, "lr")));
    cr_expect_eq(lh_group_set(m.c, opt, 0, "beta1", 0.5), LH_OK);
    cr_expect_eq(lh_group_get(m.c, opt, 0, "beta1"), 0.5);
    cr_expect_eq(lh_group_set(m.c, opt, 0, "momentum", 0.5), LH_EINVAL);
    cr_expect_str_eq(m.t->err.text, "Adam: groups have no \"momentum\"");
    for (int i = 0; lh__group_keys[i]; i++)
        cr_expect_eq(isnan(lh_group_get(m.c, opt, 0, lh__group_keys[i])),
                     strstr("initial_lr momentum dampening alpha lr_decay", lh__group_keys[i]) &&
                         strcmp(lh__group_keys[i], "lr") != 0,
                     "%s", lh__group_keys[i]);
    training_end(m.t);
}

Test(optimizer, a_group_may_not_starve_another) {
    struct model m = model_begin();
    lh_optimizer *opt = lh_sgd(m.c, .params = "head.*");

    cr_expect_eq(lh_param_group(m.c, opt, .params = "*.weight"), LH_EINVAL);
    cr_expect_eq(lh_group_count(m.c, opt), 1);
    cr_expect_eq(lh__optimizer_param_count(opt), 1);
    training_end(m.t);
}

/* ---- Several optimizers */

Test(optimizer, touches_its_own_parameters_only) {
    struct model m = model_begin();
    lh_optimizer *a = lh_sgd(m.c, .params = "encoder.*", .lr = 0.5);
    lh_optimizer *b = lh_sgd(m.c, .params = "head.*", .lr = 0.25);

    fill_grads(&m, 1);
    lh__optimizer_step(a, &(lh__terms){.scale = 1});
    expect_values(&m, 0.5, 0.5, 1);
    lh__optimizer_step(b, &(lh__terms){.scale = 1});
    expect_values(&m, 0.5, 0.5, 0.75);
    cr_expect_eq(lh__optimizer_count(m.t->engine), 2);
    cr_expect_eq(lh__optimizer_at(m.t->engine, 1), b);
    cr_expect_eq(lh__optimizer_index(b), 1);
    training_end(m.t);
}

static void expect_required(const struct model *m, int weight, int bias, int head) {
    cr_expect_eq(m->weight->tensor.requires_grad, weight);
    cr_expect_eq(m->bias->tensor.requires_grad, bias);
    cr_expect_eq(m->head->tensor.requires_grad, head);
}

Test(optimizer, toggles) {
    struct model m = model_begin();
    lh_optimizer *a = lh_sgd(m.c, .params = "encoder.*");
    lh_optimizer *b = lh_sgd(m.c, .params = "*.weight");

    lh__params_require_grad(m.t->engine, "encoder.bias", 0); /* frozen by the author */
    lh__optimizer_toggle(a, 1);
    expect_required(&m, 1, 0, 0);
    lh__optimizer_toggle(a, 0);
    expect_required(&m, 1, 0, 1);
    lh__optimizer_toggle(a, 1);
    lh__optimizer_toggle(b, 1);
    expect_required(&m, 1, 0, 1);
    lh__optimizer_toggle(b, 0);
    expect_required(&m, 1, 0, 1);
    training_end(m.t);
}

/* ---- Errors */

Test(optimizer, refuses_what_pytorch_refuses) {
    const struct {
        lh_optimizer_options o;
        const char *message;
    } cases[] = {
        {{.kind = LH_SGD, .lr = -1}, "SGD: Invalid learning rate: -1"},
        {{.kind = LH_SGD, .lr = NAN}, "SGD: Invalid learning rate: nan"},
        {{.kind = LH_SGD, .momentum = -0.5}, "SGD: Invalid momentum value: -0.5"},
        {{.kind = LH_SGD, .weight_decay = -2}, "SGD: Invalid weight_decay value: -2"},
        {{.kind = LH_SGD, .nesterov = 1}, "SGD: Nesterov momentum requires a momentum and zero"},
        {{.kind = LH_SGD, .nesterov = 1, .momentum = 0.9, .dampening = 0.1},
         "SGD: Nesterov momentum requires a momentum and zero"},
        {{.kind = LH_ADAM, .beta1 = 1}, "Adam: Invalid beta parameter at index 0: 1"},
        {{.kind = LH_ADAMW, .beta2 = -0.1}, "AdamW: Invalid beta parameter at index 1: -0.1"},
        {{.kind = LH_ADAM, .eps = -1e-8}, "Adam: Invalid epsilon value: -1e-08"},
        {{.kind = LH_RMSPROP, .alpha = -1}, "RMSprop: Invalid alpha value: -1"},
        {{.kind = LH_ADAGRAD, .lr_decay = -1}, "Adagrad: Invalid lr_decay value: -1"},
        {{.kind = LH_ADAGRAD, .initial_accumulator = -1},
         "Adagrad: Invalid initial_accumulator_value value: -1"},
        {{.kind = LH_SGD, .params = "decoder.*"}, "SGD: no parameter's name matches \"decoder.*\""},
        {{.kind = 77}, "this host knows no optimizer of kind 77"},
    };
    struct model m = model_begin();

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_optimizer_options o = cases[i].o;

        o.struct_size = sizeof o;
        m.t->err.code = LH_OK;
        cr_expect_null(lh__optimizer_new(m.t->engine, &o), "%s", cases[i].message);
        cr_expect_eq(strncmp(m.t->err.text, cases[i].message, strlen(cases[i].message)), 0,
                     "\"%s\" is not \"%s\"", m.t->err.text, cases[i].message);
    }
    cr_expect_eq(lh__optimizer_count(m.t->engine), 0);
    training_end(m.t);
}

Test(optimizer, needs_the_model_first) {
    struct training *t = training_begin("cpu", LH_F64);

    add_param(t, "a", 0, 3, 1);
    cr_expect_null(lh_sgd(&t->ctx));
    cr_expect_eq(t->err.code, LH_ESTATE);
    training_end(t);
}

/* A plugin of an older minor has a shorter struct: what it has not is 0. */
Test(optimizer, reads_shorter_options) {
    struct model m = model_begin();
    lh_optimizer_options o = {.kind = LH_SGD, .lr = 0.5, .weight_decay = 77};
    lh_optimizer *opt;

    o.struct_size = offsetof(lh_optimizer_options, weight_decay);
    opt = lh__optimizer_new(m.t->engine, &o);
    cr_assert(opt);
    cr_expect_eq(lh_group_get(m.c, opt, 0, "lr"), 0.5);
    cr_expect_eq(lh_group_get(m.c, opt, 0, "weight_decay"), 0);
    training_end(m.t);
}

/* ---- Memory */

Test(optimizer, steps_without_allocating) {
    struct model m = model_begin();
    lh_optimizer *opts[] = {
        lh_sgd(m.c, .momentum = 0.9),
        lh_adam(m.c, .amsgrad = 1),
        lh_rmsprop(m.c, .centered = 1, .momentum = 0.9),
        lh_adagrad(m.c),
    };

    for (int i = 0; i < 4; i++) {
        fill_grads(&m, 1);
        allocations = 0;
        lh__optimizer_step(opts[i], &(lh__terms){.scale = 1});
        cr_expect_gt(allocations, 0, "the first step makes the state");
        allocations = 0;
        for (int step = 0; step < 3; step++) {
            lh__clip_grad_norm(m.t->engine, opts[i], 0.5);
            lh__optimizer_step(opts[i], &(lh__terms){.scale = 0.5});
        }
        cr_expect_eq(allocations, 0);
    }
    training_end(m.t);
}
