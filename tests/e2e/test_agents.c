/* test_agents.c - the examples that learn by acting: what they have lived through, their world and
 * their chance are in every checkpoint, so that a run that goes on from one ends with the bits of
 * the run that was never stopped; and they do learn. */
#include "folder.h"

#include <glob.h>
#include <stdlib.h>
#include <unistd.h>

/* Small enough that a memory is full, rollouts are cut through and episodes end. */
#define DQN "x/dqn.so --model.capacity 90 --model.warm_start 80 --model.batch_size 8 --model.sync 7"
#define PPO "x/ppo.so --model.steps 8 --model.batch_size 16 --model.passes 2"
#define BRIEF                                                                                  \
    "run --model %s --data.steps 17 --max_epochs 2 --limit_val_batches 1 --log_every_n_steps " \
    "1 --logger csv --enable_progress_bar false --callback "                                   \
    "model-checkpoint:every_n_train_steps=5,save_top_k=-1 --default_root_dir %s %s"

static void enter(void) {
    enter_folder();
    cr_assert_eq(symlink(getenv("LHOST_TEST_EXAMPLES"), "x"), 0);
}

TestSuite(agents, .init = enter, .fini = leave_folder, .timeout = 300);

/* Goes on from each of the checkpoints of a whole run. */
static void resumes(const char *model) {
    glob_t found;
    char root[32];

    cr_assert_eq(run(BRIEF, model, "whole", ""), 0, "%s", said());
    cr_assert_eq(glob("whole/lightning_logs/version_0/checkpoints/*.safetensors", 0, NULL, &found),
                 0);
    cr_assert_geq(found.gl_pathc, 6);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        char from[512];

        if (step_of(found.gl_pathv[i]) == step_of(final_checkpoint("whole")))
            continue;
        snprintf(root, sizeof root, "part_%zu", i);
        snprintf(from, sizeof from, "--ckpt_path %s", found.gl_pathv[i]);
        cr_assert_eq(run(BRIEF, model, root, from), 0, "%s", said());
        cr_assert_eq(step_of(final_checkpoint("whole")), step_of(final_checkpoint(root)));
        expect_same_tensors(final_checkpoint("whole"), final_checkpoint(root));
    }
    globfree(&found);
}

Test(agents, dqn_goes_on_as_if_never_stopped) {
    resumes(DQN);
}

Test(agents, ppo_goes_on_as_if_never_stopped) {
    resumes(PPO);
}

/* The memory of a checkpoint fits a model of the same capacity only. */
Test(agents, dqn_refuses_the_memory_of_another) {
    const char *checkpoint;

    cr_assert_eq(run(BRIEF, DQN, "whole", ""), 0, "%s", said());
    checkpoint = final_checkpoint("whole");
    expect(2, "capacity of 90|--model.capacity 90",
           "run --model x/dqn.so --model.capacity 91 --max_epochs 1 --logger false "
           "--enable_checkpointing false --ckpt_path %s",
           checkpoint);
}

/* Seeds 0 to 4 all end with a test at 500, after 1,800 to 2,100 steps. */
Test(agents, ppo_solves_the_task) {
    json_t *result;

    cr_assert_eq(run("run --model x/ppo.so --data.steps 250 --max_epochs 20 --logger csv "
                     "--enable_progress_bar false --callback "
                     "model-checkpoint:monitor=val_return,mode=max --test --default_root_dir a"),
                 0, "%s", said());
    result = result_of("a", 1);
    cr_expect_geq(number_in(result, "metrics.test_return"), 475);
    json_decref(result);
    result = result_of("a", 0);
    cr_expect_lt(number_in(result, "global_step"), 5000, "it did not stop when it had solved it");
    json_decref(result);
}
