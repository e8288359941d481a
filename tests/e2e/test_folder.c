/* test_folder.c - what a run leaves in its folder, and that this is enough to repeat it. */
#include "folder.h"

#include "plugin/plugin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define VERSION_0 "a/lightning_logs/version_0"
#define TRAIN "run --model p/steady.so --enable_progress_bar false --log_every_n_steps 5"

static json_t *result;

static void train(void) {
    enter_folder();
    cr_assert_eq(run(TRAIN " --max_epochs 2 --default_root_dir a --model.hidden 12"), 0, "%s",
                 said());
    result = result_of("a", 0);
}

static void clean(void) {
    json_decref(result);
    leave_folder();
}

TestSuite(folder, .init = train, .fini = clean, .timeout = 60);

static char *text_of(const char *name) {
    char path[256], *text;

    snprintf(path, sizeof path, VERSION_0 "/%s", name);
    text = read_text(path, NULL);
    cr_assert(text, "there is no %s", path);
    return text;
}

static void expect_words(const char *name, const char *words) {
    char *text = text_of(name);

    cr_assert(strstr(text, words), "%s lacks '%s': %s", name, words, text);
    free(text);
}

/* 203 points in batches of 8 are 26 steps an epoch. */
Test(folder, result_tells_how_it_ended) {
    cr_assert_str_eq(text_in(result, "status"), "finished");
    cr_assert_str_eq(text_in(result, "stage"), "fit");
    cr_assert_eq(number_in(result, "epoch"), 2);
    cr_assert_eq(number_in(result, "global_step"), 52);
    cr_assert(number_in(result, "metrics.val_loss") > 0);
    cr_assert(number_in(result, "seconds.total") > 0);
    cr_assert_eq(access(text_in(result, "last_checkpoint"), R_OK), 0);
    cr_assert_eq(access(text_in(result, "best_checkpoint"), R_OK), 0);
}

Test(folder, checkpoint_is_named_by_epoch_and_step) {
    cr_assert_eq(step_of(VERSION_0 "/checkpoints/epoch=1-step=52.safetensors"), 52);
}

Test(folder, settings_are_kept) {
    expect_words("config.yaml", "hidden: 12");
    expect_words("hparams.yaml", "hidden: 12");
    expect_words("hparams.yaml", "lr: 0.01");
}

Test(folder, metrics_are_logged) {
    char *text = text_of("metrics.csv");
    int lines = 0;

    for (const char *c = text; *c; c++)
        lines += *c == '\n';
    cr_assert(strstr(text, "val_loss") && strstr(text, "train_loss_step"), "%s", text);
    cr_assert_geq(lines, 1 + 52 / 5, "%s", text);
    cr_assert(file_like(VERSION_0, "events.out.tfevents.", ""));
    free(text);
}

Test(folder, messages_are_kept) {
    expect_words("log.txt", "info: steady: torn down after step 52");
}

/* Each plugin that result.json names is in plugins/, and has the digest that it says. */
Test(folder, plugins_that_ran_are_kept) {
    json_t *plugins = json_object_get(result, "plugins"), *one;
    const char *model = NULL;
    size_t i;

    json_array_foreach(plugins, i, one) {
        const char *name = text_in(one, "name"),
                   *path = file_like(VERSION_0 "/plugins", name, ".so");
        lh__error e = {0};
        lh__plugin *p;

        cr_assert(path, "%s is not kept", name);
        p = lh__plugin_open(path, NULL, &e);
        cr_assert(p, "%s", e.text);
        cr_assert_str_eq(p->sha256, text_in(one, "sha256"));
        cr_assert_str_eq(p->version, text_in(one, "version"));
        model = strcmp(name, "steady") == 0 ? name : model;
        lh__plugin_free(p);
    }
    cr_assert(model, "the model is not named");
}

/* The configuration of a run repeats it; another seed would not. */
Test(folder, configuration_repeats_the_run) {
    char which[128];

    cr_assert_eq(run("run --config " VERSION_0 "/config.yaml --default_root_dir b"), 0, "%s",
                 said());
    expect_same_tensors(final_checkpoint("a"), final_checkpoint("b"));
    cr_assert_eq(
        run("run --config " VERSION_0 "/config.yaml --default_root_dir c --seed_everything 8"), 0);
    cr_assert(tensors_differ(final_checkpoint("a"), final_checkpoint("c"), which, sizeof which));
}

/* So does the copy of the model that ran. Another model gets its own hyper-parameters. */
Test(folder, kept_plugin_repeats_the_run) {
    cr_assert_eq(run("run --config " VERSION_0 "/config.yaml --default_root_dir b --model %s "
                     "--model.hidden 12",
                     file_like(VERSION_0 "/plugins", "steady", ".so")),
                 0, "%s", said());
    expect_same_tensors(final_checkpoint("a"), final_checkpoint("b"));
}

Test(folder, every_run_gets_its_own) {
    pid_t first = start(TRAIN " --max_epochs 1 --default_root_dir a");
    pid_t second = start(TRAIN " --max_epochs 1 --default_root_dir a");

    cr_assert_eq(ends(second), 0, "%s", said());
    (void)first;
    for (int version = 1; version <= 2; version++) {
        json_t *r = result_of("a", version);
        cr_assert_eq(number_in(r, "global_step"), 26);
        cr_assert_str_eq(text_in(r, "status"), "finished");
        json_decref(r);
    }
    cr_assert_neq(access("a/lightning_logs/version_3", F_OK), 0);
}

/* The test stage is a run of its own, on the best checkpoint. */
Test(folder, test_stage_follows) {
    json_t *r;

    cr_assert_eq(run(TRAIN " --max_epochs 1 --default_root_dir d --test"), 0, "%s", said());
    r = result_of("d", 1);
    cr_assert_str_eq(text_in(r, "stage"), "test");
    cr_assert(number_in(r, "metrics.test_loss") > 0);
    json_decref(r);
}
