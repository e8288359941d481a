/* test_option.c - options that nobody knows or that cannot be meant: exit code 2, before anything
 * is made, and the nearest known name. */
#include "process.h"

#include <string.h>
#include <unistd.h>

#define WITH "run --model p/steady.so "

TestSuite(option, .init = enter_folder, .fini = leave_folder, .timeout = 60);

static const struct {
    const char *words, *options;
} cases[] = {
    {"--max_epoch|max_epochs", WITH "--max_epoch 3"},
    {"'max_epoch'|max_epochs", WITH "--trainer.max_epoch 3"},
    {"max_epochs|three", WITH "--max_epochs three"},
    {"max_epochs|1.5", WITH "--max_epochs 1.5"},
    {"enable_progress_bar|maybe", WITH "--enable_progress_bar maybe"},
    {"gradient_clip_algorithm|norm", WITH "--gradient_clip_algorithm nrom"},
    {"accumulate_grad_batches", WITH "--accumulate_grad_batches 0"},
    {"hiden|hidden", WITH "--model.hiden 16"},
    {"hidden|wide", WITH "--model.hidden wide"},
    {"hidden|4096", WITH "--model.hidden 5000"},
    {"batch_sise|batch_size", WITH "--data.batch_sise 16"},
    {"early-stop|monitr|monitor", WITH "--callback early-stop:monitr=val_loss"},
    {"erly-stop|early-stop", WITH "--callback erly-stop:monitor=val_loss"},
    {"no model", "run --max_epochs 3"},
    {"runn|run", "runn --model p/steady.so"},
    {"absent.yaml", WITH "--config absent.yaml"},
    {"precision", WITH "--precision 31"},
    {"accelerator", WITH "--accelerator abacus"},
};

Test(option, is_refused_with_a_suggestion) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect(2, cases[i].words, "%s", cases[i].options);
}

Test(option, in_a_file_is_refused_with_its_line) {
    static const char yaml[] = "trainer:\n  max_epochs: 1\n  max_step: 5\n";
    static const char broken[] = "trainer:\n  max_epochs: [1\n";

    write_bytes("bad.yaml", yaml, sizeof yaml - 1);
    expect(2, "bad.yaml:3|max_step|max_steps", WITH "--config bad.yaml");
    write_bytes("broken.yaml", broken, sizeof broken - 1);
    expect(2, "broken.yaml:", WITH "--config broken.yaml");
    cr_assert_neq(access("lightning_logs", F_OK), 0);
}
