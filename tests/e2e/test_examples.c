/* test_examples.c - every example that is built, on the data it makes when there is none: neither
 * the number of threads changes a bit, nor whether steps are planned, nor having been interrupted
 * in the middle of an epoch.
 */
#include "folder.h"

#include <criterion/parameterized.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Eight small batches, a checkpoint after every second update. */
#define TRAIN                                                                           \
    "run --model x/%s.so --max_epochs 1 --limit_train_batches 8 --limit_val_batches 2 " \
    "--data.batch_size 16 --enable_progress_bar false "                                 \
    "--callback model-checkpoint:every_n_train_steps=2,save_top_k=-1 "                  \
    "--default_root_dir "
#define CHECKPOINTS "%s-%s/lightning_logs/version_0/checkpoints"

enum { MOST = 64 };

typedef struct example {
    char name[64];
} example;

static void enter(void) {
    enter_folder();
    without_data();
    cr_assert_eq(symlink(getenv("LHOST_TEST_EXAMPLES"), "x"), 0);
}

TestSuite(examples, .init = enter, .fini = leave_folder, .timeout = 600);

/* The checkpoint at the end of the epoch of a run in NAME-WHICH. */
static const char *final_in(const char *name, const char *which) {
    char folder[256];
    const char *path;

    snprintf(folder, sizeof folder, CHECKPOINTS, name, which);
    path = final_checkpoint(folder);
    cr_assert_gt(step_of(path), 4, "%s is not the end of the epoch", path);
    return path;
}

ParameterizedTestParameters(examples, same_bits) {
    DIR *dir = opendir(getenv("LHOST_TEST_EXAMPLES"));
    example *found = cr_malloc(MOST * sizeof *found);
    struct dirent *entry;
    size_t n = 0;

    while (dir && n < MOST && (entry = readdir(dir))) {
        size_t length = strlen(entry->d_name);

        if (length <= 3 || strcmp(entry->d_name + length - 3, ".so") != 0)
            continue;
        snprintf(found[n++].name, sizeof found->name, "%.*s", (int)length - 3, entry->d_name);
    }
    if (dir)
        closedir(dir);
    return cr_make_param_array(example, found, n);
}

ParameterizedTest(const example *e, examples, same_bits) {
    const char *name = e->name;
    char middle[256];

    cr_assert_eq(run(TRAIN "%s-1 --num_threads 1", name, name), 0, "%s: %s", name, said());
    cr_assert_eq(run(TRAIN "%s-3 --num_threads 3 --plan false", name, name), 0, "%s: %s", name,
                 said());
    expect_same_tensors(final_in(name, "1"), final_in(name, "3"));

    snprintf(middle, sizeof middle, CHECKPOINTS "/epoch=0-step=4.safetensors", name, "1");
    cr_assert_eq(run(TRAIN "%s-again --ckpt_path %s", name, name, middle), 0, "%s: %s", name,
                 said());
    expect_same_tensors(final_in(name, "1"), final_in(name, "again"));
}
