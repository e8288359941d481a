/* logging.c - the rules of logging.h: a table of the hooks, and what it says of a call. */
#include "trainer/logging.h"

#include <string.h>

static const char times[LH__N_HOOKS] = {
    [LH__HOOK_training_step] = LH__LOG_PER_STEP,
    [LH__HOOK_training_step_end] = LH__LOG_PER_STEP,
    [LH__HOOK_on_train_batch_start] = LH__LOG_PER_STEP,
    [LH__HOOK_on_train_batch_end] = LH__LOG_PER_STEP,
    [LH__HOOK_on_batch_start] = LH__LOG_PER_STEP,
    [LH__HOOK_on_batch_end] = LH__LOG_PER_STEP,
    [LH__HOOK_on_before_backward] = LH__LOG_PER_STEP,
    [LH__HOOK_backward] = LH__LOG_PER_STEP,
    [LH__HOOK_on_after_backward] = LH__LOG_PER_STEP,
    [LH__HOOK_on_before_zero_grad] = LH__LOG_PER_STEP,
    [LH__HOOK_optimizer_zero_grad] = LH__LOG_PER_STEP,
    [LH__HOOK_on_before_optimizer_step] = LH__LOG_PER_STEP,
    [LH__HOOK_optimizer_step] = LH__LOG_PER_STEP,
    [LH__HOOK_configure_gradient_clipping] = LH__LOG_PER_STEP,
    [LH__HOOK_validation_step] = LH__LOG_PER_BATCH,
    [LH__HOOK_validation_step_end] = LH__LOG_PER_BATCH,
    [LH__HOOK_test_step] = LH__LOG_PER_BATCH,
    [LH__HOOK_test_step_end] = LH__LOG_PER_BATCH,
    [LH__HOOK_on_validation_batch_start] = LH__LOG_PER_BATCH,
    [LH__HOOK_on_validation_batch_end] = LH__LOG_PER_BATCH,
    [LH__HOOK_on_test_batch_start] = LH__LOG_PER_BATCH,
    [LH__HOOK_on_test_batch_end] = LH__LOG_PER_BATCH,
    [LH__HOOK_on_train_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_epoch_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_train_epoch_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_train_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_training_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_validation_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_validation_epoch_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_validation_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_validation_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_test_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_test_epoch_start] = LH__LOG_PER_EPOCH,
    [LH__HOOK_on_test_epoch_end] = LH__LOG_PER_EPOCH,
    [LH__HOOK_test_epoch_end] = LH__LOG_PER_EPOCH,
};

int32_t lh__log_times(lh__hook hook) {
    return times[hook];
}

uint32_t lh__log_flags(lh__hook hook, uint32_t flags) {
    const uint32_t all = LH_LOG_STEP | LH_LOG_EPOCH | LH_LOG_STEP_OFF | LH_LOG_EPOCH_OFF;
    int step =
        (flags & LH_LOG_STEP) || (times[hook] == LH__LOG_PER_STEP && !(flags & LH_LOG_STEP_OFF));
    int epoch =
        (flags & LH_LOG_EPOCH) || (times[hook] != LH__LOG_PER_STEP && !(flags & LH_LOG_EPOCH_OFF));

    return (flags & ~all) | (step ? LH_LOG_STEP : 0u) | (epoch ? LH_LOG_EPOCH : 0u);
}

lh_status lh__log_check(const lh__logged *l, uint32_t flags, lh__error *e) {
    int32_t how = times[l->hook];

    if (how == LH__LOG_NEVER)
        return lh__fail(e, LH_ESTATE,
                        "lh_log \"%s\": %s may not log; log in a step or in the "
                        "hooks of an epoch",
                        l->name, lh__hooks[l->hook].name);
    if (!(flags & (LH_LOG_STEP | LH_LOG_EPOCH)))
        return lh__fail(e, LH_EINVAL,
                        "lh_log \"%s\": neither per step nor per epoch: set "
                        "LH_LOG_STEP or LH_LOG_EPOCH",
                        l->name);
    if (how == LH__LOG_PER_EPOCH && (flags & LH_LOG_STEP))
        return lh__fail(e, LH_EINVAL,
                        "lh_log \"%s\": %s runs once per epoch and cannot log per "
                        "step: drop LH_LOG_STEP",
                        l->name, lh__hooks[l->hook].name);
    if (l->options->reduce > LH_MAX)
        return lh__fail(e, LH_EINVAL,
                        "lh_log \"%s\": unknown reduction %u: use LH_MEAN, LH_SUM, "
                        "LH_MIN or LH_MAX",
                        l->name, (unsigned)l->options->reduce);
    if (!*l->name || strlen(l->name) > 200)
        return lh__fail(e, LH_EINVAL, "lh_log: a name has 1 to 200 characters, not %zu",
                        strlen(l->name));
    if (strstr(l->name, "/dataloader_idx_") && !(flags & LH_LOG_NO_DATALOADER))
        return lh__fail(e, LH_EINVAL,
                        "lh_log \"%s\": the suffix /dataloader_idx_ is added by the "
                        "host: choose another name or set LH_LOG_NO_DATALOADER",
                        l->name);
    return LH_OK;
}
