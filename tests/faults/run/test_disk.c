/* test_disk.c - disks that are full, broken or read-only while a run writes checkpoints: it stops
 * with exit code 1 and a message, and the last good checkpoint is whole. */
#include "folder.h"

#include <linux/capability.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define TRAIN                                                                                     \
    "run --model p/steady.so --enable_progress_bar false --max_epochs 4 --default_root_dir disk " \
    "--callback model-checkpoint:every_n_train_steps=10,save_top_k=-1"
#define CHECKPOINTS "disk/lightning_logs/version_0/checkpoints"

TestSuite(disk, .init = enter_folder, .fini = leave_folder, .timeout = 60);

/* A real file system too small for all of the run's checkpoints, of 240 kB each. */
Test(disk, fills_up) {
    json_t *result;

    cr_assert_eq(mkdir("full", 0777), 0);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", "full", "tmpfs", 0, "size=600k") != 0)
        cr_skip_test("mounting a tmpfs needs root");
    cr_assert_eq(run(TRAIN ",dirpath=full --model.hidden 2000"), 1, "%s", said());
    cr_assert(strstr(said(), "No space left on device") && strstr(said(), ".safetensors"), "%s",
              said());
    cr_assert_geq(count_checkpoints("full"), 1);
    cr_assert(!file_like("full", ".epoch", ""), "a part was left");
    result = result_of("disk", 0);
    cr_assert_str_eq(text_in(result, "status"), "failed");
    cr_assert_eq(access(text_in(result, "last_checkpoint"), R_OK), 0);
    json_decref(result);
    umount2("full", MNT_DETACH);
}

/* The n-th call of each kind fails, for every n until runs get through: whichever it was, what is
 * on disk is whole, and the run either failed and said why, or did not need the call. */
static void expect_survival(const char *call, const char *what, const char *words, int step) {
    int failures = 0, successes = 0;

    for (int n = 1, ended; successes < 4 && n < 400; n += step) {
        char spec[64], root[32];

        snprintf(spec, sizeof spec, "%s:%d:%s", call, n, what);
        snprintf(root, sizeof root, "%s_%d", call, n);
        set_fault(spec);
        ended = run("run --model p/steady.so --enable_progress_bar false --max_epochs 1 "
                    "--callback model-checkpoint:every_n_train_steps=6,save_top_k=-1 "
                    "--default_root_dir %s",
                    root);
        cr_assert(ended >= 0 && ended <= 2, "%s: ended with %d: %s", spec, ended, said());
        cr_assert(ended == 0 || strstr(said(), words), "%s: %s", spec, said());
        failures += ended == 1;
        successes = ended == 0 ? successes + 1 : 0;
        set_fault(NULL);
        count_checkpoints(root);
    }
    cr_assert_geq(failures, 1, "no %s during training failed", call);
}

Test(disk, fsync_fails) {
    expect_survival("fsync", "EIO", "Input/output error", 1);
}

Test(disk, rename_fails) {
    expect_survival("rename", "EROFS", "ead-only", 1);
}

Test(disk, write_fails) {
    expect_survival("write", "ENOSPC", "No space left on device", 3);
}

/* The last good checkpoint, by a fault that comes when there is one already. */
Test(disk, good_checkpoint_stays_and_can_be_resumed) {
    set_fault("fsync:20:EIO");
    cr_assert_eq(run(TRAIN), 1, "%s", said());
    cr_assert(strstr(said(), "Input/output error"), "%s", said());
    cr_assert_geq(count_checkpoints(CHECKPOINTS), 1);
    set_fault(NULL);
    cr_assert_eq(run(TRAIN " --ckpt_path last"), 0, "%s", said());
    cr_assert_eq(step_of(final_checkpoint("disk")), 100);
}

/* Permissions bind root, too, once what it starts can't have the capability to pass them by. */
Test(disk, read_only_folder) {
    cr_assert_eq(mkdir("disk", 0555), 0);
    if (geteuid() == 0 && prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE) != 0)
        cr_skip_test("cannot give up the capability to write everywhere");
    expect(2, "disk|Permission denied|default_root_dir", TRAIN);
}
