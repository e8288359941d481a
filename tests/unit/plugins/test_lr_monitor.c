/* test_lr_monitor.c - what learning rates are called, and when they are logged. */
#include "host.h"

#include <criterion/criterion.h>

#define OPEN(...) host_open(CALLBACKS "/lr-monitor.so", scratch(), __VA_ARGS__, NULL)

static const struct lh_optimizer sgd = {
    .class = "SGD", .groups = 1, .lr = {0.5}, .beta1 = NAN, .momentum = 0.9, .weight_decay = 0.01};
static const struct lh_optimizer adam = {.class = "Adam",
                                         .groups = 2,
                                         .lr = {0.1, 0.2},
                                         .beta1 = 0.8,
                                         .momentum = NAN,
                                         .weight_decay = 0};
static const struct lh_optimizer bare = {
    .class = "Bare", .groups = 1, .lr = {3}, .beta1 = NAN, .momentum = NAN, .weight_decay = NAN};

static struct lh_optimizer scheduled(struct lh_optimizer o, const char *name, int32_t interval) {
    o.schedule[o.schedules] = name;
    o.interval[o.schedules++] = interval;
    return o;
}

static const char *at_batch(struct host *h) {
    host_forget(h);
    cr_assert_eq(host_done(h, h->callback->on_train_batch_start(&h->ctx, h->self, NULL, 0)), LH_OK);
    return h->logged;
}

static const char *at_epoch(struct host *h) {
    host_forget(h);
    cr_assert_eq(CALL(h, callback, on_train_epoch_start), LH_OK);
    return h->logged;
}

static struct host *open_with(const char *option, struct lh_optimizer first,
                              struct lh_optimizer second) {
    struct host *h = OPEN(option);

    h->optimizers[0] = first;
    h->optimizers[1] = second;
    h->n_optimizers = second.class ? 2 : 1;
    h->ints[LH_SHOULD_LOG] = 1;
    cr_assert_eq(SETUP(h), LH_OK, "%s", h->error);
    return h;
}

static const struct lh_optimizer none;

Test(lr_monitor, names_optimizers) {
    static const struct {
        const struct lh_optimizer *first, *second;
        const char *logged;
    } rows[] = {
        {&sgd, &none, " lr-SGD=0.5"},
        {&sgd, &adam, " lr-SGD=0.5 lr-Adam/pg1=0.1 lr-Adam/pg2=0.2"},
        {&sgd, &sgd, " lr-SGD=0.5 lr-SGD-1=0.5"},
        {&adam, &adam, " lr-Adam/pg1=0.1 lr-Adam/pg2=0.2 lr-Adam-1/pg1=0.1 lr-Adam-1/pg2=0.2"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = open_with("logging_interval=", *rows[i].first, *rows[i].second);

        cr_expect_str_eq(at_batch(h), rows[i].logged);
        cr_expect_str_eq(at_epoch(h), rows[i].logged, "without a schedule: both");
        host_close(h);
    }
}

Test(lr_monitor, names_schedules_and_follows_their_interval) {
    struct host *h =
        open_with(NULL, scheduled(sgd, NULL, LH_PER_STEP), scheduled(sgd, "warm", LH_PER_EPOCH));

    cr_expect_str_eq(at_batch(h), " lr-SGD=0.5");
    cr_expect_str_eq(at_epoch(h), " warm=0.5");
    host_close(h);
}

/* Numbers of a class go to optimizers with schedules first. */
Test(lr_monitor, numbers_scheduled_ones_first) {
    struct host *h = open_with("logging_interval=step", sgd, scheduled(sgd, NULL, LH_PER_EPOCH));

    h->optimizers[0].lr[0] = 0.25;
    cr_expect_str_eq(at_batch(h), " lr-SGD=0.5 lr-SGD-1=0.25");
    cr_expect_str_eq(at_epoch(h), "", "only steps were asked for");
    host_close(h);
}

Test(lr_monitor, can_log_epochs_only) {
    struct host *h = open_with("logging_interval=epoch", scheduled(sgd, NULL, LH_PER_STEP), none);

    cr_expect_str_eq(at_batch(h), "");
    cr_expect_str_eq(at_epoch(h), " lr-SGD=0.5");
    host_close(h);
}

Test(lr_monitor, logs_steps_only_when_it_is_due) {
    struct host *h = open_with(NULL, sgd, none);

    h->ints[LH_SHOULD_LOG] = 0;
    cr_expect_str_eq(at_batch(h), "");
    host_close(h);
}

Test(lr_monitor, logs_momentum_and_decay) {
    static const struct {
        const struct lh_optimizer *optimizer;
        const char *logged;
    } rows[] = {
        {&sgd, " p/lr-SGD=0.5 p/lr-SGD-momentum=0.9 p/lr-SGD-weight_decay=0.01"},
        {&adam, " p/lr-Adam/pg1=0.1 p/lr-Adam/pg1-momentum=0.8 p/lr-Adam/pg1-weight_decay=0"
                " p/lr-Adam/pg2=0.2 p/lr-Adam/pg2-momentum=0.8 p/lr-Adam/pg2-weight_decay=0"},
        {&bare, " p/lr-Bare=3 p/lr-Bare-momentum=0 p/lr-Bare-weight_decay=0"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN("log_momentum=1", "log_weight_decay=1", "log_key_prefix=p/");

        h->optimizers[0] = *rows[i].optimizer;
        h->n_optimizers = 1;
        cr_assert_eq(SETUP(h), LH_OK);
        cr_expect_str_eq(at_epoch(h), rows[i].logged);
        host_close(h);
    }
}

Test(lr_monitor, needs_a_logger) {
    struct host *h = OPEN(NULL);

    h->ints[LH_NUM_LOGGERS] = 0;
    cr_expect_eq(SETUP(h), LH_EINVAL);
    cr_expect_not_null(strstr(h->error, "no logger"), "%s", h->error);
    host_close(h);
}

Test(lr_monitor, refuses_bad_options) {
    struct host *h = OPEN("logging_interval=batch");

    cr_expect_eq(SETUP(h), LH_EINVAL);
    host_close(h);
}
