/* test_kill.c - runs killed at random moments and resumed, over and over: in the end the weights
 * are those of the run that nobody disturbed, bit for bit, and no checkpoint was ever unreadable.
 */
#include "folder.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* 26 batches an epoch, two to a step: 182 steps, with a checkpoint every 7, the last one included.
 * Others are taken by the clock, so also between the two batches of a step. */
#define TRAIN                                                                                 \
    "run --model p/steady.so --enable_progress_bar false --enable_model_summary false "       \
    "--max_epochs 14 --accumulate_grad_batches 2 --data.num_workers 2 --model.pause_us 2000 " \
    "--gradient_clip_val 1 --callback model-checkpoint:every_n_train_steps=7,save_last=true " \
    "--callback model-checkpoint:train_time_interval=0.03,filename=timed-{step} "

TestSuite(kill, .init = enter_folder, .fini = leave_folder, .timeout = 280);

/* A generator of its own, so that the moments are the same on every machine. */
static uint32_t random_state = 1;

static double draw(void) {
    random_state = random_state * 1664525u + 1013904223u; /* Numerical Recipes */
    return (random_state >> 8) / (double)(1 << 24);
}

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds from the start of a run to its first checkpoint. */
static double time_to_checkpoint(void) {
    pid_t pid = start(TRAIN "--default_root_dir first");
    double then = now(), seconds;

    while (!file_like("first/lightning_logs/version_0/checkpoints", "", ".safetensors") &&
           now() - then < 30)
        usleep(1000);
    seconds = now() - then;
    kill(-pid, SIGKILL);
    ends(pid);
    return seconds;
}

/* Every other time only the program that watches is killed; the one that trains goes with it. */
static int run_and_kill(const char *root, int i, double seconds) {
    pid_t pid = start(TRAIN "--ckpt_path last --default_root_dir %s", root);

    usleep((useconds_t)(seconds * 1e6));
    kill(i % 2 ? pid : -pid, SIGKILL);
    return ends(pid);
}

Test(kill, killed_runs_end_as_the_undisturbed_one) {
    int kills = count_of("LHOST_TEST_KILLS", 50), ended, survivors = 0, lives = 0;
    double reach = 2 * time_to_checkpoint();
    char root[24] = "life_0";

    cr_assert_eq(run(TRAIN "--default_root_dir whole"), 0, "%s", said());
    for (int i = 0; i < kills;) {
        ended = run_and_kill(root, i, draw() * reach);
        if (ended == -SIGKILL) {
            const int survived = count_checkpoints(root) > 0;

            survivors += survived;
            reach *= survived ? 1 : 1.2; /* others may have begun to use the machine */
            i++;
            continue;
        }
        cr_assert_eq(ended, 0, "%s", said());
        expect_same_tensors(final_checkpoint("whole"), final_checkpoint(root));
        snprintf(root, sizeof root, "life_%d", ++lives);
    }
    cr_assert_geq(survivors, kills / 4, "most kills came before the first checkpoint");
    cr_assert_eq(run(TRAIN "--ckpt_path last --default_root_dir %s", root), 0, "%s", said());
    expect_same_tensors(final_checkpoint("whole"), final_checkpoint(root));
}
