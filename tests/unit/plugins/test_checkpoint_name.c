/* test_checkpoint_name.c - names of checkpoints; most rows are those of Lightning's own test. */
#include "host.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

struct row {
    const char *options[4];
    const char *metric;
    double value;
    int64_t epoch, step;
    const char *name;
};

/* The first name that the callback gives to a checkpoint under these circumstances. */
static void check(const struct row *r) {
    const char *const *o = r->options;
    struct host *h =
        host_open(CALLBACKS "/model-checkpoint.so", scratch(), o[0], o[1], o[2], o[3], NULL);
    char expected[300];

    if (r->metric)
        host_metric(h, r->metric, r->value);
    h->ints[LH_CURRENT_EPOCH] = r->epoch;
    h->ints[LH_GLOBAL_STEP] = r->step;
    cr_expect_eq(SETUP(h), LH_OK, "%s", h->error);
    cr_expect_eq(CALL(h, callback, on_train_epoch_end), LH_OK, "%s", h->error);
    snprintf(expected, sizeof expected, " +%s", r->name);
    cr_expect_str_eq(h->asked, expected);
    host_close(h);
}

Test(checkpoint_name, follows_the_template) {
    static const struct row rows[] = {
        {{NULL}, NULL, 0, 3, 2, "epoch=3-step=2"},
        {{"filename="}, NULL, 0, 3, 2, "epoch=3-step=2"},
        {{"prefix=test"}, NULL, 0, 3, 2, "test-epoch=3-step=2"},
        {{"filename=ckpt", "prefix=test"}, NULL, 0, 3, 2, "test-ckpt"},
        {{"filename={epoch:03d}-{acc}"}, "acc", 0.03, 3, 2, "epoch=003-acc=0.03"},
        {{"filename={epoch:03d}-{epoch_test:03d}"},
         "epoch_test",
         3,
         3,
         2,
         "epoch=003-epoch_test=003"},
        {{"filename={epoch},{acc:.5f}", "prefix=test", "join=@"},
         "acc",
         0.03,
         3,
         2,
         "test@epoch=3,acc=0.03000"},
        {{"filename={epoch:03d}-{acc}", "equals=:"}, "acc", 0.03, 3, 2, "epoch:003-acc:0.03"},
        {{"filename={epoch}_{val/loss:.5f}"}, "val/loss", 0.03, 4, 2, "epoch=4_val/loss=0.03000"},
        {{"filename=epoch={epoch:03d}-val_acc={val/acc}", "auto_insert_metric_name=0"},
         "val/acc",
         0.03,
         3,
         2,
         "epoch=003-val_acc=0.03"},
        {{"filename=mAP@0.50={val/mAP@0.50:.4f}", "auto_insert_metric_name=0"},
         "val/mAP@0.50",
         0.2,
         3,
         2,
         "mAP@0.50=0.2000"},
        {{"filename={missing:d}"}, NULL, 0, 3, 2, "missing=0"},
        /* Python's format() of the same values. */
        {{"filename={x}"}, "x", 4, 0, 1, "x=4.0"},
        {{"filename={x}"}, "x", 1e-5, 0, 1, "x=1e-05"},
        {{"filename={x}"}, "x", 0.1 + 0.2, 0, 1, "x=0.30000000000000004"},
        {{"filename={x}"}, "x", 123456789, 0, 1, "x=123456789.0"},
        {{"filename={x}"}, "x", 1e16, 0, 1, "x=1e+16"},
        {{"filename={x}"}, "x", -INFINITY, 0, 1, "x=-inf"},
        {{"filename={x:.2e}"}, "x", 1234.5678, 0, 1, "x=1.23e+03"},
        {{"filename={x:g}"}, "x", 0.0001, 0, 1, "x=0.0001"},
        {{"filename={x:08.2f}"}, "x", -3.14159, 0, 1, "x=-0003.14"},
        {{"filename={x:6.1f}"}, "x", 3.14159, 0, 1, "x=   3.1"},
        {{"filename={step:5d}"}, NULL, 0, 0, 42, "step=   42"},
        {{"filename={step:05}"}, NULL, 0, 0, 42, "step=00042"},
        /* A logged metric goes before the trainer's own number. */
        {{"filename={epoch}"}, "epoch", 7, 3, 2, "epoch=7"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        check(&rows[i]);
}

static void touch(const char *name) {
    char path[512];
    int fd;

    snprintf(path, sizeof path, "%s/checkpoints", scratch());
    mkdir(path, 0777);
    snprintf(path, sizeof path, "%s/checkpoints/%s.safetensors", scratch(), name);
    fd = open(path, O_WRONLY | O_CREAT, 0666);
    cr_assert_geq(fd, 0);
    close(fd);
}

Test(checkpoint_name, counts_versions) {
    static const struct row counted = {{"filename=name"}, NULL, 0, 3, 2, "name-v3"};
    static const struct row overwritten = {
        {"filename=name", "enable_version_counter=0"}, NULL, 0, 3, 2, "name"};

    touch("name");
    touch("name-v1");
    touch("name-v2");
    check(&counted);
    check(&overwritten);
}

/* Bad templates are refused before training. */
Test(checkpoint_name, refuses_what_it_cannot_read) {
    static const char *const templates[] = {
        "filename={epoch", "filename={}",      "filename={:d}",     "filename={x:q}",
        "filename={x:.3}", "filename={x:.2d}", "filename={x:999d}", "filename={x:dd}"};

    for (size_t i = 0; i < sizeof templates / sizeof *templates; i++) {
        struct host *h = host_open(CALLBACKS "/model-checkpoint.so", scratch(), templates[i], NULL);

        cr_expect_eq(SETUP(h), LH_EINVAL, "%s", templates[i]);
        cr_expect_not_null(strstr(h->error, "filename"), "%s", h->error);
        host_close(h);
    }
}

Test(checkpoint_name, refuses_a_fraction_as_an_integer) {
    struct host *h =
        host_open(CALLBACKS "/model-checkpoint.so", scratch(), "filename={val_loss:d}", NULL);

    host_metric(h, "val_loss", 0.5);
    h->ints[LH_GLOBAL_STEP] = 1;
    cr_assert_eq(SETUP(h), LH_EINVAL);
    cr_assert_not_null(strstr(h->error, "val_loss is 0.5"), "%s", h->error);
    host_close(h);
}
