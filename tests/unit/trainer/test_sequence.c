/* test_sequence.c - hooks come in the order that Lightning's own tests assert, and the older ones
 * where their documents have them.
 *
 * A module and a callback that define every hook record each at its completion. Lightning's lists
 * also hold zero_grad and train(False), which are no hooks here. lhost differs on purpose in one
 * thing: a callback that saves checkpoints comes last in every hook, behind the module.
 */
#include "lhost.h"

TestSuite(sequence, .init = enter_folder, .fini = leave_folder, .timeout = 20);

/* Hooks of Lightning before 2.0, which its lists do not hold. */
static const char *const older[] = {
    "on_init_start",           "on_init_end",    "on_pretrain_routine_start",
    "on_pretrain_routine_end", "on_epoch_start", "on_epoch_end",
    "on_batch_start",          "on_batch_end",   "training_step_end",
    "validation_step_end",     "test_step_end",  "training_epoch_end",
    "validation_epoch_end",    "test_epoch_end", "on_post_move_to_device",
    "get_progress_bar_dict"};

static int is_older(const char *event) {
    size_t n = strcspn(event + 2, "(");

    for (size_t i = 0; i < sizeof older / sizeof *older; i++)
        if (strlen(older[i]) == n && strncmp(event + 2, older[i], n) == 0)
            return 1;
    return 0;
}

/* The recorded events with this mark, the older hooks left out, one per line. */
static char *recorded(char mark) {
    char *text = slurp("rec"), *line, *out = room(1 << 18);

    while ((line = next_line(&text)))
        if (line[0] == mark && !is_older(line + 2))
            strcat(strcat(out, line + 2), "\n");
    return out;
}

/* Line by line, so that a failure names the first difference. */
static void assert_same_lines(char *got, char *expected) {
    for (int i = 1;; i++) {
        char *a = next_line(&got), *b = next_line(&expected);

        while (b && *b == '#')
            b = next_line(&expected);
        if (!a && !b)
            return;
        cr_assert(a && b && strcmp(a, b) == 0, "event %d is %s, expected %s", i, a ? a : "(none)",
                  b ? b : "(none)");
    }
}

static void assert_sequence(const char *file) {
    char path[512];

    snprintf(path, sizeof path, "%s/%s", SEQUENCES, file);
    assert_same_lines(recorded('<'), slurp(path));
}

#define RECORDED " --model $N --model.file rec --callback $R:file=rec "
#define TWO                                                                 \
    " --limit_train_batches 2 --limit_val_batches 2 --limit_test_batches 2" \
    " --limit_predict_batches 2 "

Test(sequence, fit) {
    lhost_works("fit" RECORDED SAVING TWO "--callback $S:dir=$D --max_epochs 1");
    assert_sequence("fit.txt");
}

Test(sequence, fit_resumed_at_the_end_of_an_epoch) {
    lhost_works("fit" RECORDED SAVING TWO "--callback $S:dir=$D --limit_val_batches 0 "
                "--max_epochs 1");
    cr_assert_eq(remove("rec"), 0);
    lhost_works("fit" RECORDED SAVING TWO "--callback $S:dir=$D --limit_val_batches 0 "
                "--max_epochs 2 --ckpt_path on_train_epoch_end-0.safetensors");
    assert_sequence("resume.txt");
    cr_assert_eq(result_int(1, "global_step"), 4);
}

/* Fresh and without validation: the resumed run's list less the loading of the checkpoint. */
Test(sequence, fit_without_validation) {
    char *expected, *loading;

    lhost_works("fit" RECORDED SAVING TWO "--callback $S:dir=$D --limit_val_batches 0 "
                "--max_epochs 1");
    expected = slurp(SEQUENCES "/resume.txt");
    loading = strstr(expected, "M.on_load_checkpoint");
    memmove(loading, strstr(loading, "M.configure_optimizers"),
            strlen(strstr(loading, "M.configure_optimizers")) + 1);
    assert_same_lines(recorded('<'), expected);
}

Test(sequence, validate) {
    lhost_works("validate" RECORDED BARE TWO);
    assert_sequence("validate.txt");
}

Test(sequence, test) {
    lhost_works("test" RECORDED BARE TWO);
    assert_sequence("test.txt");
}

Test(sequence, predict) {
    lhost_works("predict" RECORDED BARE TWO);
    assert_sequence("predict.txt");
}

Test(sequence, no_batches_no_loop) {
    static const char *const stages[] = {"validate", "test", "predict"};

    for (size_t i = 0; i < 3; i++) {
        char expected[300];

        remove("rec");
        lhost_works("%s" RECORDED BARE "--limit_%s_batches 0", stages[i],
                    i == 0 ? "val" : stages[i]);
        snprintf(expected, sizeof expected,
                 "M.configure_callbacks\nM.prepare_data\nC.setup(%s)\nM.setup(%s)\n"
                 "M.configure_model\nC.teardown(%s)\nM.teardown(%s)\n",
                 stages[i], stages[i], stages[i], stages[i]);
        assert_same_lines(recorded('<'), expected);
    }
}

/* No training batches: fit begins and ends, without a training loop. */
Test(sequence, no_training_batches) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 0 --max_epochs 1");
    cr_assert_eq(entries("rec", "M.on_fit_start"), 1);
    cr_assert_eq(entries("rec", "M.on_train_start"), 0);
    cr_assert_eq(entries("rec", "M.on_train_epoch_end"), 0);
    cr_assert_eq(entries("rec", "M.on_fit_end"), 1);
    cr_assert_eq(entries("rec", "C.teardown"), 1);
}

/* The data module: before everybody, and its loaders instead of the module's. */
Test(sequence, data_module) {
    char *text, *line, *got = room(4096);

    lhost_works("fit --model $N --model.file rec --data $R --data.file rec " BARE TWO
                "--max_epochs 1");
    text = recorded('<');
    while ((line = next_line(&text)))
        if (*line == 'D' && !strstr(line, "transfer"))
            strcat(strcat(got, line), "\n");
    assert_same_lines(got, copy("D.prepare_data\nD.setup(fit)\nD.val_dataloader\n"
                                "D.train_dataloader\nD.teardown(fit)\n"));
    cr_assert_eq(entries("rec", "M.train_dataloader"), 0);
    cr_assert_eq(entries("rec", "M.transfer_batch_to_device"), 0);
    cr_assert_eq(entries("rec", "D.transfer_batch_to_device"), 6);
}

/* ---- in order of entry ---- */

/* The lines of `file` from the one that holds `from` to the one that holds `to`, marks included. */
static char *cut(char *text, const char *from, const char *to) {
    char *begin = strstr(text, from), *end;

    cr_assert_not_null(begin);
    end = strstr(begin, to);
    cr_assert_not_null(end);
    end[strcspn(end, "\n") + 1] = 0;
    return begin;
}

/* One batch that steps: what is inside of what. */
Test(sequence, nesting_of_a_training_batch) {
    static const char expected[] =
        "> M.on_before_batch_transfer\n> M.transfer_batch_to_device\n> M.on_after_batch_transfer\n"
        "> C.on_batch_start\n> M.on_batch_start\n"
        "> C.on_train_batch_start(0)\n> M.on_train_batch_start(0)\n"
        "> M.optimizer_step(0)\n"
        "> M.training_step(0)\n> M.forward\n< M.forward\n< M.training_step(0)\n"
        "> M.training_step_end\n"
        "> C.on_before_zero_grad\n> M.on_before_zero_grad\n> M.optimizer_zero_grad(0)\n"
        "> C.on_before_backward\n> M.on_before_backward\n> M.backward\n"
        "> C.on_after_backward\n> M.on_after_backward\n"
        "> C.on_before_optimizer_step\n> M.on_before_optimizer_step\n"
        "> M.configure_gradient_clipping\n> M.clip_gradients\n"
        "< M.optimizer_step(0)\n"
        "> M.lr_scheduler_step\n"
        "> C.on_train_batch_end(0)\n> M.on_train_batch_end(0)\n"
        "> C.on_batch_end\n> M.on_batch_end\n";
    char *text, *line, *got = room(8192);

    lhost_works("fit" RECORDED BARE "--limit_train_batches 1 --limit_val_batches 0 --max_epochs 1");
    text = cut(slurp("rec"), "> M.on_before_batch_transfer", "> M.on_batch_end");
    while ((line = next_line(&text)))
        if (line[0] == '>' || strstr(line, "forward") || strstr(line, "training_step(") ||
            strstr(line, "optimizer_step("))
            strcat(strcat(got, line), "\n");
    assert_same_lines(got, copy(expected));
}

/* Entry order of one window after the other; the last batch of the epoch always steps. */
static void assert_accumulated(int accumulate, const char *expected) {
    static const struct {
        const char *hook, *as;
    } shown[] = {{"M.optimizer_step(", "step"},
                 {"M.training_step(", "training_step"},
                 {"M.optimizer_zero_grad(", "zero_grad"},
                 {"M.backward", "backward"}};
    char *text, *line, *got = room(4096);

    lhost_works("fit" RECORDED BARE "--limit_train_batches 5 --limit_val_batches 0 --max_epochs 1 "
                "--accumulate_grad_batches %d",
                accumulate);
    text = slurp("rec");
    while ((line = next_line(&text)))
        for (size_t i = 0; i < 4; i++)
            if (line[0] == '>' && strncmp(line + 2, shown[i].hook, strlen(shown[i].hook)) == 0)
                strcat(strcat(got, shown[i].as), " ");
    cr_assert_str_eq(got, expected);
}

Test(sequence, every_batch_steps) {
    assert_accumulated(1, "step training_step zero_grad backward "
                          "step training_step zero_grad backward "
                          "step training_step zero_grad backward "
                          "step training_step zero_grad backward "
                          "step training_step zero_grad backward ");
}

Test(sequence, three_batches_per_step) {
    assert_accumulated(3, "training_step zero_grad backward "
                          "training_step backward "
                          "step training_step backward "
                          "training_step zero_grad backward "
                          "step training_step backward ");
}

/* ---- older hooks ---- */

static void assert_before(const char *first, const char *second) {
    char *text = slurp("rec"), *a = strstr(text, first), *b = strstr(text, second);

    cr_assert(a && b && a < b, "%s comes not before %s", first, second);
}

Test(sequence, older_hooks) {
    lhost_works("fit" RECORDED BARE TWO "--max_epochs 1");
    assert_before("< C.on_init_start", "> C.on_init_end");
    assert_before("< C.on_init_end", "> C.setup(fit)");
    assert_before("< M.on_fit_start", "> C.on_pretrain_routine_start");
    assert_before("< M.on_pretrain_routine_end", "> C.on_sanity_check_start");
    assert_before("< M.on_epoch_start", "> C.on_validation_epoch_start");
    assert_before("< M.validation_epoch_end", "> C.on_validation_epoch_end");
    assert_before("< M.on_train_start", "> C.on_train_epoch_start");
    assert_before("< M.training_epoch_end", "> C.on_train_epoch_end");
    assert_before("< M.configure_model", "> M.on_post_move_to_device");
    cr_assert_eq(entries("rec", "M.on_epoch_start"), 3); /* sanity check, training, validation */
    cr_assert_eq(entries("rec", "M.on_epoch_end"), 3);
    cr_assert_eq(entries("rec", "M.validation_step_end"), 4);
    cr_assert_eq(entries("rec", "M.training_step_end"), 2);
    cr_assert_eq(entries("rec", "M.get_progress_bar_dict"), 2);
}

/* Callbacks that watch metrics come behind the module in on_train_epoch_end, and nowhere else. */
Test(sequence, callbacks_that_watch_metrics) {
    lhost_works("fit --model $N --model.file rec --callback " PLUGINS
                "/trainer_monitor.so:file=rec " BARE TWO "--max_epochs 1");
    assert_before("< M.on_train_epoch_end", "> C.on_train_epoch_end");
    assert_before("< C.on_train_epoch_start", "> M.on_train_epoch_start");
    assert_before("< C.on_validation_end", "> M.on_validation_end");
}

/* ---- skipping ---- */

/* LH_SKIP of on_train_batch_start: the rest of the epoch is left out, its end is not. */
Test(sequence, skipping_the_rest_of_the_epoch) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 5 --limit_val_batches 0 --max_epochs 2 "
                "--model.skip_at 2");
    cr_assert_eq(entries("rec", "M.on_train_batch_start"), 6);
    cr_assert_eq(entries("rec", "M.training_step"), 4);
    cr_assert_eq(entries("rec", "M.on_train_batch_end"), 4);
    cr_assert_eq(entries("rec", "M.on_train_epoch_end"), 2);
    cr_assert_eq(entries("rec", "M.lr_scheduler_step"), 2); /* of the epoch, all the same */
    cr_assert_eq(result_int(0, "global_step"), 4);
}

Test(sequence, skipping_every_epoch_at_once) {
    lhost_works("fit" RECORDED BARE "--limit_train_batches 5 --limit_val_batches 0 --max_epochs 2 "
                "--model.skip_at 0");
    cr_assert_eq(entries("rec", "M.training_step"), 0);
    cr_assert_eq(entries("rec", "M.on_train_epoch_end"), 2);
    cr_assert_eq(result_int(0, "epoch"), 2);
}
