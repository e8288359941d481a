/* test_model_checkpoint.c - when checkpoints are saved, which are kept, and what they know. */
#include "host.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OPEN(...) host_open(CALLBACKS "/model-checkpoint.so", scratch(), __VA_ARGS__, NULL)

static double state_number(const struct host *h, const char *key) {
    for (int32_t i = 0; i < h->n_state; i++)
        if (strcmp(h->state[i].key, key) == 0)
            return h->state[i].number;
    cr_assert_fail("no state %s", key);
    return NAN;
}

/* Of a path: its last part. */
static const char *state_text(const struct host *h, const char *key) {
    for (int32_t i = 0; i < h->n_state; i++)
        if (strcmp(h->state[i].key, key) == 0) {
            const char *slash = strrchr(h->state[i].text, '/');

            return slash ? slash + 1 : h->state[i].text;
        }
    cr_assert_fail("no state %s", key);
    return NULL;
}

/* One epoch of 10 steps with validation at its end, in the trainer's order. */
static void epoch(struct host *h, int64_t e, const char *metric, double value) {
    h->ints[LH_CURRENT_EPOCH] = e;
    h->ints[LH_GLOBAL_STEP] = 10 * (e + 1);
    if (metric)
        host_metric(h, metric, value);
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK, "%s", h->error);
    cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK, "%s", h->error);
}

static void set_up(struct host *h) {
    h->ints[LH_ENABLE_VALIDATION] = 1;
    h->ints[LH_NUM_VAL_BATCHES] = 5;
    cr_assert_eq(SETUP(h), LH_OK, "%s", h->error);
    cr_assert_eq(CALL(h, callback, on_train_start), LH_OK);
}

Test(model_checkpoint, keeps_the_most_recent_by_default) {
    struct host *h = OPEN("verbose=0");

    set_up(h);
    for (int64_t e = 0; e < 3; e++)
        epoch(h, e, NULL, 0);
    cr_assert_eq(CALL(h, callback, on_train_end), LH_OK);
    cr_expect_str_eq(h->asked, " +epoch=0-step=10 +epoch=1-step=20 -epoch=0-step=10"
                               " +epoch=2-step=30 -epoch=1-step=20");
    cr_expect_str_eq(h->best, "epoch=2-step=30");
    host_close(h);
}

/* The losses and what is left of them are those of a test of Lightning's. */
Test(model_checkpoint, keeps_the_best_k) {
    static const double losses[] = {10, 9, 2.8, 5, 2.5};
    static const struct {
        const char *k, *asked, *best;
    } rows[] = {
        {"save_top_k=-1", " +e=0 +e=1 +e=2 +e=3 +e=4", "e=4"},
        {"save_top_k=0", "", ""},
        {"save_top_k=1", " +e=0 +e=1 -e=0 +e=2 -e=1 +e=4 -e=2", "e=4"},
        {"save_top_k=2", " +e=0 +e=1 +e=2 -e=0 +e=3 -e=1 +e=4 -e=3", "e=4"},
        {"save_top_k=3", " +e=0 +e=1 +e=2 +e=3 -e=0 +e=4 -e=1", "e=4"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h =
            OPEN("monitor=val_loss", rows[i].k, "filename=e={epoch}", "auto_insert_metric_name=0");

        set_up(h);
        for (int64_t e = 0; e < 5; e++)
            epoch(h, e, "val_loss", losses[e]);
        cr_expect_str_eq(h->asked, rows[i].asked);
        cr_expect_str_eq(h->best, rows[i].best);
        host_close(h);
    }
}

/* Ties do not replace; higher is better; NaN counts as the worst, and never displaces anything. */
Test(model_checkpoint, ranks_ties_and_nan) {
    static const double values[] = {NAN, 1, 2, 2, NAN, 3};
    struct host *h = OPEN("monitor=acc", "mode=max", "save_top_k=2", "filename={epoch}",
                          "auto_insert_metric_name=0");

    set_up(h);
    for (int64_t e = 0; e < 6; e++)
        epoch(h, e, "acc", values[e]);
    cr_expect_str_eq(h->asked, " +0 +1 +2 -0 +3 -1 +5 -2");
    cr_expect_str_eq(h->best, "5");
    cr_expect_eq(h->best_score, 3);
    cr_expect_eq(state_number(h, "kth_value"), 2);
    cr_expect_str_eq(state_text(h, "kth_best_model_path"), "3.safetensors");
    host_close(h);
}

/* A checkpoint knows itself: the state in it is that after it was taken in. */
Test(model_checkpoint, state_is_brought_up_to_date_before_writing) {
    struct host *h = OPEN("monitor=val_loss", "save_top_k=2", "save_last=true");

    set_up(h);
    epoch(h, 0, "val_loss", 0.5);
    cr_expect_str_eq(h->asked, " +epoch=0-step=10 +last");
    cr_expect_str_eq(state_text(h, "last_model_path"), "last.safetensors");
    epoch(h, 1, "val_loss", 0.25);
    cr_expect_str_eq(state_text(h, "best_model_path"), "epoch=1-step=20.safetensors");
    cr_expect_eq(state_number(h, "best_model_score"), 0.25);
    cr_expect_eq(state_number(h, "current_score"), 0.25);
    cr_expect_eq(state_number(h, "kth_value"), 0.5);
    cr_expect_eq(state_number(h, "best_k_models"), 2);
    cr_expect_str_eq(state_text(h, "best_k_models.0.path"), "epoch=0-step=10.safetensors");
    cr_expect_eq(state_number(h, "best_k_models.1.score"), 0.25);
    host_close(h);
}

/* Every so many steps; a window of accumulation does not save twice, and step 0 not at all. */
Test(model_checkpoint, saves_every_n_steps) {
    static const int64_t steps[] = {0, 0, 1, 1, 2, 2, 3, 4};
    struct host *h = OPEN("every_n_train_steps=2", "save_top_k=-1", "filename={step}");

    set_up(h);
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        h->ints[LH_GLOBAL_STEP] = steps[i];
        cr_assert_eq(BATCH_END(h), LH_OK);
    }
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
    cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
    cr_expect_str_eq(h->asked, " +step=2 +step=4");
    host_close(h);
}

Test(model_checkpoint, saves_every_n_epochs) {
    struct host *h = OPEN("every_n_epochs=2", "save_top_k=-1", "filename={epoch}");

    set_up(h);
    for (int64_t e = 0; e < 5; e++)
        epoch(h, e, NULL, 0);
    cr_expect_str_eq(h->asked, " +epoch=1 +epoch=3");
    host_close(h);
}

/* An interval of no time has always passed; a long one has not. */
Test(model_checkpoint, saves_by_the_clock) {
    struct host *now = OPEN("train_time_interval=0", "save_top_k=-1", "filename={step}");
    struct host *later = OPEN("train_time_interval=3600", "save_top_k=-1", "filename={step}");
    struct host *soon = OPEN("train_time_interval=0.02", "filename={step}");

    set_up(now);
    set_up(later);
    set_up(soon);
    for (int64_t s = 1; s < 3; s++) {
        now->ints[LH_GLOBAL_STEP] = later->ints[LH_GLOBAL_STEP] = s;
        cr_assert_eq(BATCH_END(now), LH_OK);
        cr_assert_eq(BATCH_END(later), LH_OK);
    }
    cr_expect_str_eq(now->asked, " +step=1 +step=2");
    cr_expect_str_eq(later->asked, "");
    nanosleep(&(struct timespec){.tv_nsec = 25 * 1000 * 1000}, NULL);
    soon->ints[LH_GLOBAL_STEP] = 7;
    cr_assert_eq(BATCH_END(soon), LH_OK);
    cr_expect_str_eq(soon->asked, " +step=7");
    host_close(now);
    host_close(later);
    host_close(soon);
}

/* A metric that only validation logs is waited for, also when it would be stale. */
Test(model_checkpoint, waits_for_validation) {
    struct host *h =
        OPEN("every_n_train_steps=5", "monitor=val_loss", "save_top_k=-1", "filename={step}");

    set_up(h);
    h->ints[LH_VAL_CHECK_INTERVAL_IS_EPOCH] = 0;
    h->ints[LH_GLOBAL_STEP] = 5;
    cr_assert_eq(BATCH_END(h), LH_OK);
    cr_expect_str_eq(h->asked, "", "no metric yet");
    host_metric(h, "val_loss", 1);
    h->ints[LH_GLOBAL_STEP] = 7;
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
    cr_expect_str_eq(h->asked, " +step=7");
    h->ints[LH_GLOBAL_STEP] = 10;
    h->ints[LH_LAST_BATCH] = 1;
    cr_assert_eq(BATCH_END(h), LH_OK);
    cr_expect_str_eq(h->asked, " +step=7", "validation follows");
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
    cr_expect_str_eq(h->asked, " +step=7 +step=10");
    host_close(h);
}

/* Where epochs are saved: as told, else as validation runs. */
Test(model_checkpoint, chooses_the_end_of_training_or_validation) {
    static const struct {
        const char *option;
        int64_t batches, per_epoch;
        int at_train_end;
    } rows[] = {
        {"save_on_train_epoch_end=", 5, 1, 1},      {"save_on_train_epoch_end=", 5, 0, 0},
        {"save_on_train_epoch_end=", 0, 0, 1},      {"save_on_train_epoch_end=true", 5, 0, 1},
        {"save_on_train_epoch_end=false", 5, 1, 0},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN(rows[i].option);

        set_up(h);
        h->ints[LH_NUM_VAL_BATCHES] = rows[i].batches;
        h->ints[LH_VAL_CHECK_INTERVAL_IS_EPOCH] = rows[i].per_epoch;
        h->ints[LH_GLOBAL_STEP] = 10;
        cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
        cr_expect_eq(*h->asked == 0, rows[i].at_train_end, "row %zu", i);
        cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
        cr_expect_str_eq(h->asked, " +epoch=0-step=10", "row %zu", i);
        host_close(h);
    }
}

Test(model_checkpoint, saves_nothing_where_it_may_not) {
    static const int32_t flags[] = {LH_FAST_DEV_RUN, LH_SANITY_CHECKING, LH_STAGE};

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        struct host *h = OPEN("save_last=true", "save_on_exception=1");

        h->ints[flags[i]] = 1;
        set_up(h);
        epoch(h, 0, NULL, 0);
        cr_assert_eq(CALL(h, callback, on_exception), LH_OK);
        cr_expect_str_eq(h->asked, "");
        host_close(h);
    }
}

Test(model_checkpoint, last_follows_what_was_saved) {
    struct host *h = OPEN("monitor=val_loss", "save_last=true", "filename={epoch}");

    set_up(h);
    epoch(h, 0, "val_loss", 1);
    epoch(h, 1, "val_loss", 2); /* not better: nothing is saved, so no last either */
    epoch(h, 2, "val_loss", 0);
    cr_assert_eq(CALL(h, callback, on_train_end), LH_OK);
    cr_expect_str_eq(h->asked, " +epoch=0 +last +epoch=2 -epoch=0 +last");
    host_close(h);
}

Test(model_checkpoint, last_can_be_a_copy) {
    struct host *h = OPEN("monitor=val_loss", "save_last=link", "filename={epoch}");

    set_up(h);
    epoch(h, 0, "val_loss", 1);
    epoch(h, 1, "val_loss", 2);
    cr_expect_str_eq(h->asked, " +epoch=0 epoch=0>last epoch=0>last");
    host_close(h);
}

Test(model_checkpoint, last_alone_is_written_at_the_end) {
    struct host *h = OPEN("save_top_k=0", "save_last=true");

    set_up(h);
    epoch(h, 0, NULL, 0);
    cr_expect_str_eq(h->asked, "");
    cr_assert_eq(CALL(h, callback, on_train_end), LH_OK);
    cr_expect_str_eq(h->asked, " +last");
    host_close(h);
}

Test(model_checkpoint, saves_on_exception_once) {
    struct host *h = OPEN("save_on_exception=1", "filename={step}", "save_weights_only=1");

    set_up(h);
    epoch(h, 0, NULL, 0);
    cr_assert_eq(CALL(h, callback, on_exception), LH_OK);
    cr_expect_str_eq(h->asked, " wstep=10", "it was saved at this step already");
    h->ints[LH_GLOBAL_STEP] = 11;
    cr_assert_eq(CALL(h, callback, on_exception), LH_OK);
    cr_expect_str_eq(h->asked, " wstep=10 wstep=11");
    host_close(h);
}

/* A fixed name: without monitor it is overwritten in place; among the best, names are counted by
 * what was asked for, though nothing is on the disk yet. */
Test(model_checkpoint, keeps_names_apart_before_they_are_written) {
    struct host *recent = OPEN("filename=it"), *all = OPEN("filename=it", "save_top_k=-1");

    set_up(recent);
    set_up(all);
    for (int64_t e = 0; e < 3; e++) {
        epoch(recent, e, NULL, 0);
        epoch(all, e, NULL, 0);
    }
    cr_expect_str_eq(recent->asked, " +it +it +it");
    cr_expect_str_eq(all->asked, " +it +it-v1 +it-v2");
    host_close(recent);
    host_close(all);
}

/* The file that the run started from stays, and so does what lies elsewhere. */
Test(model_checkpoint, never_removes_the_start_of_the_run) {
    struct host *h = OPEN("filename={epoch}");

    set_up(h);
    epoch(h, 0, NULL, 0);
    snprintf(h->texts[LH_CKPT_PATH], sizeof h->texts[0], "%.900s/epoch=0.safetensors", h->dir);
    epoch(h, 1, NULL, 0);
    epoch(h, 2, NULL, 0);
    cr_expect_str_eq(h->asked, " +epoch=0 +epoch=1 +epoch=2 -epoch=1");
    host_close(h);
}

Test(model_checkpoint, a_missing_metric_is_told_then_an_error) {
    struct host *h = OPEN("monitor=val_lss");

    h->ints[LH_NUM_VAL_BATCHES] = 0;
    cr_assert_eq(SETUP(h), LH_OK);
    host_metric(h, "val_loss", 1);
    h->ints[LH_GLOBAL_STEP] = 10;
    cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_OK);
    cr_expect_not_null(strstr(h->said, "val_lss"), "%s", h->said);
    cr_expect_str_eq(h->asked, "");
    cr_assert_eq(CALL(h, callback, on_validation_end), LH_OK);
    cr_assert_eq(CALL(h, callback, on_train_epoch_end), LH_ENOTFOUND);
    cr_expect_not_null(strstr(h->error, "there are: val_loss"), "%s", h->error);
    host_close(h);
}

Test(model_checkpoint, epoch_and_step_can_be_monitored) {
    struct host *h = OPEN("monitor=step", "mode=max", "save_top_k=2", "filename={step}");

    set_up(h);
    for (int64_t e = 0; e < 3; e++)
        epoch(h, e, NULL, 0);
    cr_expect_str_eq(h->asked, " +step=10 +step=20 +step=30 -step=10");
    host_close(h);
}

Test(model_checkpoint, refuses_contradictions) {
    static const char *const rows[][3] = {
        {"every_n_epochs=1", "every_n_train_steps=5"},
        {"every_n_train_steps=5", "train_time_interval=1"},
        {"save_top_k=2"},
        {"train_time_interval=-1"},
        {"mode=best"},
        {"save_last=perhaps"},
        {"save_on_train_epoch_end=sometimes"},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct host *h = OPEN(rows[i][0], rows[i][1]);

        cr_expect_eq(SETUP(h), LH_EINVAL, "%s", rows[i][0]);
        cr_expect_neq(*h->error, 0);
        host_close(h);
    }
}

/* In the same folder everything goes on; in another only the best is remembered. */
Test(model_checkpoint, resumes) {
    struct host *h = OPEN("monitor=val_loss", "save_top_k=2", "filename={epoch}"), *same, *other;
    char elsewhere[512];

    set_up(h);
    epoch(h, 0, "val_loss", 3);
    epoch(h, 1, "val_loss", 2);
    same = host_resume(h, scratch());
    set_up(same);
    cr_assert_eq(CALL(same, callback, load_state_dict), LH_OK);
    epoch(same, 2, "val_loss", 4);
    epoch(same, 3, "val_loss", 1);
    cr_expect_str_eq(same->asked, " +epoch=3 -epoch=0");

    snprintf(elsewhere, sizeof elsewhere, "%s/elsewhere", scratch());
    mkdir(elsewhere, 0777);
    other = host_resume(h, elsewhere);
    set_up(other);
    cr_assert_eq(CALL(other, callback, load_state_dict), LH_OK);
    epoch(other, 2, "val_loss", 4);
    epoch(other, 3, "val_loss", 1);
    cr_expect_str_eq(other->asked, " +epoch=2 +epoch=3");
    host_close(h);
    host_close(same);
    host_close(other);
}

/* ~ and relative folders become absolute, links resolved; a folder that is in use is told. */
Test(model_checkpoint, resolves_its_folder) {
    struct host *h;
    char option[600], path[600];

    setenv("HOME", scratch(), 1);
    snprintf(path, sizeof path, "%s/link", scratch());
    cr_assert_eq(symlink(scratch(), path), 0);
    h = OPEN("dirpath=~/link/new/deep");
    snprintf(h->dir, sizeof h->dir, "%s/new/deep", scratch());
    set_up(h);
    cr_expect_str_eq(h->said, "");
    epoch(h, 0, NULL, 0);
    cr_expect_str_eq(h->asked, " +epoch=0-step=10");
    host_close(h);

    cr_assert_eq(chdir(scratch()), 0);
    snprintf(option, sizeof option, "dirpath=.");
    h = OPEN(option);
    snprintf(h->dir, sizeof h->dir, "%s", scratch());
    set_up(h);
    cr_expect_not_null(strstr(h->said, "not empty"), "%s", h->said);
    epoch(h, 0, NULL, 0);
    cr_expect_str_eq(h->asked, " +epoch=0-step=10");
    host_close(h);
}
