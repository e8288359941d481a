/* test_plan.c - whole runs planned and plain: the same weights, metrics and what hooks see; and
 * what --explain-plan says.
 */
#include "lhost.h"

static void enter(void) {
    enter_folder();
    setenv("N", PLUGINS "/trainer_named.so", 1);
    setenv("U", PLUGINS "/trainer_scaled_unseen.so", 1);
}

TestSuite(plan, .init = enter, .fini = leave_folder, .timeout = 60);

#define KEPT(dir) SAVING "--callback $S:dir=$D/" dir ",hooks=on_train_end "
#define LOGGED(file) \
    QUIET "--enable_checkpointing false --logger $R:file=" file " --log_every_n_steps 1 "

static void assert_same_end(const char *a, const char *b) {
    static const char *const keys[] = {NULL};
    char why[400];

    cr_assert(same_state(a, b, keys, why), "%s", why);
}

Test(plan, same_weights) {
    const char *const more = "--model.optimizer adam --model.dropout 0.5 --max_epochs 2 "
                             "--accumulate_grad_batches 2 --gradient_clip_val 0.1 ";

    lhost_works("fit --model $W " KEPT("a") "%s", more);
    lhost_works("fit --model $W --plan false " KEPT("b") "%s", more);
    assert_same_end("a/on_train_end-0.safetensors", "b/on_train_end-0.safetensors");
}

Test(plan, what_a_hook_kept_a_name_of) {
    lhost_works("fit --model $N --max_epochs 1 " LOGGED("a"));
    lhost_works("fit --model $N --max_epochs 1 --plan false " LOGGED("b"));
    cr_assert_str_eq(copy(logged("a", "hidden")), logged("b", "hidden"));
    cr_assert_neq(*logged("a", "hidden"), 0);
}

Test(plan, explained) {
    lhost_works("fit --model $W --max_steps 3 --explain-plan " BARE);
    cr_assert_not_null(strstr(slurp("err"), "joined to the call before"));
    cr_assert_not_null(strstr(slurp("err"), "workbench.c:"));
    cr_assert_not_null(strstr(slurp("err"), "linear ("), "no word of how products are taken");
    lhost_works("fit --model $W --max_steps 3 " BARE);
    cr_assert_null(strstr(slurp("err"), "joined to the call before"));
}

/* From the first operator to the update, with the norm that it is clipped by: one plan a step. */
Test(plan, a_step_is_one_plan) {
    char *plan, *next;

    lhost_works("fit --model $U --model.watch false --max_steps 3 --gradient_clip_val 0.1 "
                "--explain-plan " BARE);
    plan = strstr(slurp("err"), "plan: ");
    cr_assert_not_null(plan);
    next = strstr(plan + 1, "plan: ");
    if (next)
        *next = '\0';
    cr_assert_not_null(strstr(plan, "scaled.c:"), "%s", plan);
    cr_assert_not_null(strstr(plan, "  squares  "), "%s", plan);
    cr_assert_not_null(strstr(plan, "  update  "), "%s", plan);
}
