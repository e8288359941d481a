/* test_scheduler.c - rates equal PyTorch's (tests/golden/schedulers.py), closed forms, resuming. */
#include "training.h"

enum { STEPS = 60 };

/* One parameter in an optimizer of the engine's. */
static lh_optimizer *sgd(struct training **t, double lr) {
    *t = training_begin("cpu", LH_F64);
    add_param(*t, "a", 0, 3, 1);
    add_param(*t, "b", 0, 3, 1);
    cr_assert_eq(lh__params_seal((*t)->engine), LH_OK);
    return lh_sgd(&(*t)->ctx, .lr = lr);
}

static lh__scheduler *last(const struct training *t) {
    cr_assert_eq(t->err.code, LH_OK, "%s", t->err.text);
    return lh__scheduler_at(t->engine, lh__scheduler_count(t->engine) - 1);
}

/* ---- PyTorch's trajectories */

static int64_t milestones[16];

static void set_milestones(lh_scheduler_options *o, const json_t *list) {
    o->n_milestones = (int64_t)json_array_size(list);
    o->milestones = milestones;
    for (size_t i = 0; i < json_array_size(list); i++)
        milestones[i] = json_integer_value(json_array_get(list, i));
}

static void set_option(lh_scheduler_options *o, const char *key, const json_t *value) {
    const struct {
        const char *key;
        double *real;
        int64_t *integer;
        int32_t *small;
    } places[] = {
        {"step_size", NULL, &o->step_size, NULL},
        {"T_max", NULL, &o->total, NULL},
        {"total_iters", NULL, &o->total, NULL},
        {"total_steps", NULL, &o->total, NULL},
        {"gamma", &o->gamma, NULL, NULL},
        {"eta_min", &o->eta_min, NULL, NULL},
        {"start_factor", &o->start_factor, NULL, NULL},
        {"end_factor", &o->end_factor, NULL, NULL},
        {"max_lr", &o->max_lr, NULL, NULL},
        {"pct_start", &o->pct_start, NULL, NULL},
        {"div_factor", &o->div_factor, NULL, NULL},
        {"final_div_factor", &o->final_div_factor, NULL, NULL},
        {"factor", &o->factor, NULL, NULL},
        {"threshold", &o->threshold, NULL, NULL},
        {"min_lr", &o->min_lr, NULL, NULL},
        {"patience", NULL, NULL, &o->patience},
        {"cooldown", NULL, NULL, &o->cooldown},
        {"three_phase", NULL, NULL, &o->three_phase},
    };

    if (strcmp(key, "milestones") == 0)
        set_milestones(o, value);
    else if (strcmp(key, "mode") == 0)
        o->mode = strcmp(json_string_value(value), "max") ? LH_MODE_MIN : LH_MODE_MAX;
    else if (strcmp(key, "threshold_mode") == 0)
        o->threshold_abs = strcmp(json_string_value(value), "abs") == 0;
    else if (strcmp(key, "anneal_strategy") == 0)
        o->anneal_linear = strcmp(json_string_value(value), "linear") == 0;
    else
        for (size_t i = 0;; i++) {
            cr_assert_lt(i, sizeof places / sizeof *places, "option %s is unknown", key);
            if (strcmp(key, places[i].key))
                continue;
            if (places[i].real)
                *places[i].real = json_value(value);
            else if (places[i].integer)
                *places[i].integer = json_integer_value(value);
            else
                *places[i].small = (int32_t)json_value(value);
            break;
        }
}

/* Catches what a macro of optim.h gives to the host, its defaults. */
static lh_scheduler_options caught;
static lh_status catch_options(lh_ctx *c, lh_optimizer *opt, const lh_scheduler_options *o) {
    caught = *o;
    return LH_OK;
}

static void set_options(const char *name, const json_t *options) {
    const lh_host host = {.struct_size = sizeof host, .scheduler = catch_options};
    lh_ctx ctx = {&host}, *c = &ctx;
    json_t *value;
    const char *key;

    if (strcmp(name, "StepLR") == 0)
        lh_step_lr(c, NULL);
    else if (strcmp(name, "MultiStepLR") == 0)
        lh_multistep_lr(c, NULL);
    else if (strcmp(name, "ExponentialLR") == 0)
        lh_exponential_lr(c, NULL);
    else if (strcmp(name, "CosineAnnealingLR") == 0)
        lh_cosine_lr(c, NULL);
    else if (strcmp(name, "LinearLR") == 0)
        lh_linear_lr(c, NULL);
    else if (strcmp(name, "OneCycleLR") == 0)
        lh_onecycle_lr(c, NULL);
    else if (strcmp(name, "ReduceLROnPlateau") == 0)
        lh_plateau_lr(c, NULL);
    else
        cr_assert_fail("schedule %s is unknown", name);
    json_object_foreach((json_t *)(uintptr_t)options, key, value) set_option(&caught, key, value);
}

/* A chain of LinearLR and another is our warm-up. */
static lh_scheduler_options options_of(const json_t *about) {
    const char *name = json_string_value(json_object_get(about, "scheduler"));
    const json_t *part, *warmup;

    if (strcmp(name, "SequentialLR") != 0) {
        set_options(name, json_object_get(about, "options"));
        return caught;
    }
    part = json_array_get(json_object_get(about, "parts"), 1);
    warmup = json_object_get(json_array_get(json_object_get(about, "parts"), 0), "options");
    set_options(json_string_value(json_object_get(part, "scheduler")),
                json_object_get(part, "options"));
    caught.warmup = json_integer_value(json_object_get(warmup, "total_iters"));
    caught.warmup_start = json_value(json_object_get(warmup, "start_factor"));
    return caught;
}

static lh_optimizer *begin_case(struct training **t, const json_t *about) {
    lh_scheduler_options o = options_of(about);
    lh_optimizer *opt = sgd(t, json_value(json_object_get(about, "base_lr")));

    cr_assert(lh__scheduler_new(opt, &o), "%s", (*t)->err.text);
    return opt;
}

Test(scheduler, equals_pytorch) {
    struct golden g = golden_open("schedulers");
    const double *metric = golden_tensor(&g, "metric");
    const char *name;
    json_t *about;

    cr_assert_geq(json_object_size(json_object_get(g.about, "cases")), 16);
    json_object_foreach(json_object_get(g.about, "cases"), name, about) {
        const double *rates = golden_tensor(&g, name);
        struct training *t;
        lh_optimizer *opt = begin_case(&t, about);

        for (int i = 0; i < STEPS; i++) {
            cr_assert_float_eq(lh_lr(&t->ctx, opt), rates[i], 4e-16 * rates[i],
                               "%s, step %d: %.17g is not %.17g", name, i, lh_lr(&t->ctx, opt),
                               rates[i]);
            if (i < STEPS - 1)
                cr_assert_eq(lh__scheduler_step(last(t), metric[i]), LH_OK, "%s", t->err.text);
        }
        training_end(t);
    }
    golden_close(&g);
}

/* What scheduler_state and the groups show is all there is. */
static void copy_state(struct training *from, struct training *to) {
    lh__number a[8], b[8];
    int32_t n = lh__scheduler_state(last(from), a);

    cr_assert_eq(n, lh__scheduler_state(last(to), b));
    for (int32_t i = 0; i < n; i++)
        if (a[i].real)
            *b[i].real = *a[i].real;
        else
            *b[i].integer = *a[i].integer;
    for (int32_t i = 0; lh__group_keys[i]; i++) {
        double value = lh__group_get(lh__optimizer_at(from->engine, 0), 0, lh__group_keys[i]);

        if (!isnan(value))
            lh__group_set(lh__optimizer_at(to->engine, 0), 0, lh__group_keys[i], value);
    }
}

Test(scheduler, resumes) {
    struct golden g = golden_open("schedulers");
    const double *metric = golden_tensor(&g, "metric");
    const char *name;
    json_t *about;

    json_object_foreach(json_object_get(g.about, "cases"), name, about) for (int at = 3; at < 40;
                                                                             at += 18) {
        struct training *whole, *rest;
        lh_optimizer *a = begin_case(&whole, about), *b = begin_case(&rest, about);

        for (int i = 0; i < at; i++)
            lh__scheduler_step(last(whole), metric[i]);
        copy_state(whole, rest);
        for (int i = at; i < STEPS - 1; i++) {
            lh__scheduler_step(last(whole), metric[i]);
            lh__scheduler_step(last(rest), metric[i]);
            cr_assert_eq(lh_lr(&rest->ctx, b), lh_lr(&whole->ctx, a), "%s, step %d", name, i);
        }
        training_end(whole);
        training_end(rest);
    }
    golden_close(&g);
}

/* ---- Closed forms */

static double halves(void *user, int64_t i) {
    ++*(int *)user;
    return ldexp(1, -(int)i);
}

Test(scheduler, lambda) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 3);
    int calls = 0;

    cr_assert_eq(lh_lambda_lr(&t->ctx, opt, .lambda = halves, .user = &calls), LH_OK);
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(lh_lr(&t->ctx, opt), ldexp(3, -i));
        lh__scheduler_step(last(t), 0);
    }
    cr_expect_eq(calls, 6, "once a step and at the start, for one group");
    training_end(t);
}

Test(scheduler, every_group_from_its_own_rate) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);
    double factor[] = {0.5, 0.625, 0.75, 0.875, 1, 1, 0.25, 0.25};

    lh_param_group(&t->ctx, opt, .params = "b", .lr = 16);
    lh_step_lr(&t->ctx, opt, .step_size = 2, .gamma = 0.25, .warmup = 4, .warmup_start = 0.5);
    for (int i = 0; i < 8; i++) {
        cr_expect_float_eq(lh_group_get(&t->ctx, opt, 0, "lr"), factor[i], 1e-15);
        cr_expect_float_eq(lh_group_get(&t->ctx, opt, 1, "lr"), 16 * factor[i], 1e-14);
        lh__scheduler_step(last(t), 0);
    }
    cr_expect_eq(lh_group_get(&t->ctx, opt, 1, "initial_lr"), 16);
    training_end(t);
}

/* The momentum mirrors the rate: down while that goes up. */
Test(scheduler, one_cycle_cycles_momentum) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 7);

    lh_onecycle_lr(&t->ctx, opt, .max_lr = 1, .total = 21, .pct_start = 11.0 / 21, .div_factor = 10,
                   .final_div_factor = 100, .base_momentum = 0.8, .max_momentum = 0.9);
    cr_expect_eq(lh_group_get(&t->ctx, opt, 0, "initial_lr"), 0.1);
    for (int i = 0; i <= 20; i++) {
        double x = cos(M_PI * (i <= 10 ? i : i - 10) / 10), low = i <= 10 ? 0.1 : 0.001;
        double rise = i <= 10 ? (1 - x) / 2 : (1 + x) / 2; /* 0 at the ends, 1 at step 10 */

        cr_expect_float_eq(lh_lr(&t->ctx, opt), low + (1 - low) * rise, 1e-15, "%d", i);
        cr_expect_float_eq(lh_group_get(&t->ctx, opt, 0, "momentum"), 0.9 - 0.1 * rise, 1e-15);
        lh__scheduler_step(last(t), 0);
    }
    training_end(t);
}

Test(scheduler, one_cycle_cycles_beta1) {
    struct training *t;
    lh_optimizer *opt;

    sgd(&t, 1);
    opt = lh_adam(&t->ctx);
    lh_onecycle_lr(&t->ctx, opt, .max_lr = 1, .total = 11, .pct_start = 6.0 / 11,
                   .anneal_linear = 1, .three_phase = 0);
    cr_expect_eq(lh_group_get(&t->ctx, opt, 0, "beta1"), 0.95);
    for (int i = 0; i < 5; i++)
        lh__scheduler_step(last(t), 0);
    cr_expect_float_eq(lh_group_get(&t->ctx, opt, 0, "beta1"), 0.85, 1e-15);
    lh__scheduler_step(last(t), 0);
    cr_expect_float_eq(lh_group_get(&t->ctx, opt, 0, "beta1"), 0.87, 1e-15);
    training_end(t);
}

Test(scheduler, one_cycle_after_warmup_begins_low) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    lh_onecycle_lr(&t->ctx, opt, .max_lr = 8, .total = 10, .div_factor = 4, .warmup = 2,
                   .warmup_start = 0.5);
    cr_expect_eq(lh_lr(&t->ctx, opt), 1, "half of 8 / 4");
    lh__scheduler_step(last(t), 0);
    cr_expect_float_eq(lh_lr(&t->ctx, opt), 1.5, 1e-15);
    lh__scheduler_step(last(t), 0);
    cr_expect_eq(lh_lr(&t->ctx, opt), 2);
    lh__scheduler_step(last(t), 0);
    cr_expect_gt(lh_lr(&t->ctx, opt), 2);
    training_end(t);
}

Test(scheduler, plateau_looks_after_its_warmup) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);
    double rates[] = {0.25, 0.625, 1, 1, 0.5, 0.25};

    lh_plateau_lr(&t->ctx, opt, .factor = 0.5, .patience = 0, .warmup = 2, .warmup_start = 0.25);
    for (int i = 0; i < 6; i++) {
        cr_expect_float_eq(lh_lr(&t->ctx, opt), rates[i], 1e-15, "%d", i);
        lh__scheduler_step(last(t), i < 2 ? 0 : 5); /* the 0s would be best for ever */
    }
    training_end(t);
}

Test(scheduler, plateau_takes_nan_for_worse) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    lh_plateau_lr(&t->ctx, opt, .patience = 1, .factor = 0.5);
    for (int i = 0; i < 3; i++)
        lh__scheduler_step(last(t), i ? NAN : 1);
    cr_expect_eq(lh_lr(&t->ctx, opt), 0.5);
    training_end(t);
}

/* PyTorch's recursive forms keep what somebody else did to the rate. */
Test(scheduler, keeps_a_rate_that_was_changed) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    lh_exponential_lr(&t->ctx, opt, .gamma = 0.5);
    lh_set_lr(&t->ctx, opt, 8);
    lh__scheduler_step(last(t), 0);
    cr_expect_eq(lh_lr(&t->ctx, opt), 4);
    training_end(t);
}

/* ---- Errors */

Test(scheduler, refuses) {
    const struct {
        lh_scheduler_options o;
        const char *message;
    } cases[] = {
        {{.kind = LH_STEP_LR, .gamma = 0.1}, "StepLR: .step_size must be at least 1"},
        {{.kind = LH_STEP_LR, .step_size = 1, .gamma = NAN}, "StepLR: .gamma is missing"},
        {{.kind = LH_MULTISTEP_LR, .milestones = (const int64_t[]){4, 2}, .n_milestones = 2},
         "MultiStepLR: .milestones must be ascending"},
        {{.kind = LH_EXPONENTIAL_LR, .gamma = NAN}, "ExponentialLR: .gamma is missing"},
        {{.kind = LH_COSINE_LR}, "CosineAnnealingLR: .total (T_max) must be at least 1"},
        {{.kind = LH_LINEAR_LR, .total = 5}, "LinearLR: Starting multiplicative factor expected"},
        {{.kind = LH_LINEAR_LR, .total = 5, .start_factor = 1, .end_factor = 1.5},
         "LinearLR: Ending multiplicative factor expected"},
        {{.kind = LH_ONECYCLE_LR}, "OneCycleLR: Expected positive integer total_steps"},
        {{.kind = LH_ONECYCLE_LR, .total = 5, .pct_start = 1.5},
         "OneCycleLR: Expected float between 0 and 1 pct_start"},
        {{.kind = LH_LAMBDA_LR}, "LambdaLR: .lambda is missing"},
        {{.kind = LH_PLATEAU_LR, .factor = 1}, "ReduceLROnPlateau: Factor should be < 1.0"},
        {{.kind = LH_PLATEAU_LR, .warmup = 3}, "ReduceLROnPlateau: .warmup must be"},
        {{.kind = LH_PLATEAU_LR, .interval = 9}, "ReduceLROnPlateau: .interval must be"},
        {{.kind = 99}, "this host knows no schedule of kind 99"},
    };
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh_scheduler_options o = cases[i].o;

        o.struct_size = sizeof o;
        t->err.code = LH_OK;
        cr_expect_null(lh__scheduler_new(opt, &o), "%s", cases[i].message);
        cr_expect_eq(strncmp(t->err.text, cases[i].message, strlen(cases[i].message)), 0,
                     "\"%s\" is not \"%s\"", t->err.text, cases[i].message);
    }
    cr_expect_eq(lh__scheduler_count(t->engine), 0);
    training_end(t);
}

Test(scheduler, one_cycle_needs_momentum) {
    struct training *t;
    lh_optimizer *opt;

    sgd(&t, 1);
    opt = lh_adagrad(&t->ctx);
    cr_expect_neq(lh_onecycle_lr(&t->ctx, opt, .max_lr = 1, .total = 5), LH_OK);
    cr_expect(strstr(t->err.text, "must support momentum or beta1"), "%s", t->err.text);
    t->err.code = LH_OK;
    cr_expect_eq(lh_onecycle_lr(&t->ctx, opt, .max_lr = 1, .total = 5, .cycle_momentum = 0), LH_OK);
    training_end(t);
}

Test(scheduler, one_cycle_ends) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    lh_onecycle_lr(&t->ctx, opt, .max_lr = 1, .total = 5);
    for (int i = 0; i < 5; i++)
        cr_expect_eq(lh__scheduler_step(last(t), 0), LH_OK);
    cr_expect_eq(lh__scheduler_step(last(t), 0), LH_EINVAL);
    cr_expect(
        strstr(t->err.text, "Tried to step 6 times. The specified number of total steps is 5"),
        "%s", t->err.text);
    training_end(t);
}

static double no_number(void *user, int64_t i) {
    return i ? NAN : 1;
}

Test(scheduler, a_rate_must_be_finite) {
    struct training *t;
    lh_optimizer *opt = sgd(&t, 1);

    lh_lambda_lr(&t->ctx, opt, .lambda = no_number);
    cr_expect_eq(lh__scheduler_step(last(t), 0), LH_EINVAL);
    cr_expect_eq(lh_lr(&t->ctx, opt), 1, "it stays");
    training_end(t);
}
