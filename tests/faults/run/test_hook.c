/* test_hook.c - hooks that crash, abort, exit or fail: the message names plugin, hook, epoch and
 * step, the exit code is no success, result.json says so, and checkpoints stay.
 */
#include "folder.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* 26 steps an epoch, a checkpoint at the end of each; slow enough for it to get on disk within 14.
 */
#define TRAIN \
    "run --model p/steady.so --enable_progress_bar false --max_epochs 3 --model.pause_us 10000 "

TestSuite(hook, .init = enter_folder, .fini = leave_folder, .timeout = 60);

static void expect_failed_result(const char *error, int epoch, int step) {
    json_t *result = result_of(".", 0);

    cr_assert_str_eq(text_in(result, "status"), "failed");
    cr_assert(strstr(text_in(result, "error"), error), "%s", text_in(result, "error"));
    cr_assert_eq(number_in(result, "epoch"), epoch);
    cr_assert_eq(number_in(result, "global_step"), step);
    json_decref(result);
}

static void expect_checkpoint_of_first_epoch(void) {
    json_t *result = result_of(".", 0);
    const char *last = text_in(result, "last_checkpoint");

    cr_assert_geq(count_checkpoints("lightning_logs/version_0/checkpoints"), 1);
    cr_assert_eq(step_of(last), 26, "%s", last);
    json_decref(result);
}

static const struct {
    const char *how, *words, *error;
} deaths[] = {
    {"how=crash", "SIGSEGV", "was ended by SIGSEGV"},
    {"how=abort", "SIGABRT", "was ended by SIGABRT"},
    {"how=exit,code=0", "called exit(0)", "called exit(0)"},
    {"how=exit,code=3", "called exit(3)", "called exit(3)"},
};

static void expect_death(size_t i) {
    char words[256];

    snprintf(words, sizeof words,
             "plugin 'breaks' in on_train_batch_start|%s|epoch 1, step 40|"
             "lightning_logs/version_0",
             deaths[i].words);
    expect(1, words, TRAIN "--callback p/breaks.so:step=40,%s", deaths[i].how);
    expect_failed_result(deaths[i].error, 1, 40);
    expect_checkpoint_of_first_epoch();
}

Test(hook, crashes) {
    expect_death(0);
}

Test(hook, aborts) {
    expect_death(1);
}

Test(hook, calls_exit_with_success) {
    expect_death(2);
}

Test(hook, calls_exit_with_failure) {
    expect_death(3);
}

Test(hook, returns_an_error) {
    expect(1, "breaks: on_train_batch_start (epoch 1, step 40)|breaks.c:|the tape is full",
           TRAIN "--callback p/breaks.so:step=40,how=error");
    expect_failed_result("the tape is full", 1, 40);
    expect_checkpoint_of_first_epoch();
    cr_assert(strstr(said(), "steady: torn down"), "%s", said());
}

Test(hook, returns_a_status_without_a_message) {
    expect(1, "breaks: on_train_batch_start (epoch 1, step 40)|lh_fail",
           TRAIN "--callback p/breaks.so:step=40,how=status");
    expect_failed_result("on_train_batch_start", 1, 40);
}

/* The same in other hooks. Before training a plugin's failure is bad input. */
Test(hook, every_loop_is_guarded) {
    static const struct {
        const char *in, *how;
        int code;
    } cases[] = {
        {"setup", "error", 2},
        {"setup", "crash", 1},
        {"on_fit_start", "error", 2},
        {"on_fit_start", "exit", 1},
        {"on_validation_epoch_end", "error", 1},
        {"on_validation_epoch_end", "abort", 1},
        {"on_train_epoch_end", "error", 1},
        {"on_save_checkpoint", "error", 1},
        {"on_save_checkpoint", "crash", 1},
        {"teardown", "error", 1},
        {"teardown", "crash", 1},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char words[64];
        json_t *result;
        int step =
            cases[i].code == 2 || strstr(cases[i].in, "start") || strcmp(cases[i].in, "setup") == 0
                ? 0
                : 1;

        snprintf(words, sizeof words, "breaks|%s", cases[i].in);
        expect(cases[i].code, words, TRAIN "--callback p/breaks.so:in=%s,how=%s,step=%d",
               cases[i].in, cases[i].how, step);
        result = result_of(".", (int)i);
        cr_assert_str_eq(text_in(result, "status"), "failed", "%s %s", cases[i].in, cases[i].how);
        json_decref(result);
    }
}

/* With the callback gone the run goes on where it was. */
Test(hook, a_run_that_crashed_can_be_resumed) {
    cr_assert_eq(run(TRAIN "--callback p/breaks.so:step=40,how=crash"), 1);
    cr_assert_eq(run(TRAIN "--ckpt_path last"), 0, "%s", said());
    cr_assert_eq(run(TRAIN "--default_root_dir whole"), 0, "%s", said());
    expect_same_tensors(final_checkpoint("lightning_logs"), final_checkpoint("whole"));
}

/* The operator, both shapes, and the author's line. */
Test(hook, mismatched_shapes) {
    expect(1, "steady: |steady.c:|linear|(8, 8)|(16, 9)",
           TRAIN "--model.inputs 9 --num_sanity_val_steps 0");
}
