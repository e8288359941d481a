/* schedule.c - when training is over, when validation is due, when metrics reach the loggers.
 *
 * Invariant: every decision is a function of the counters, the options and, where the user asked
 * for it, the clock; so a resumed run decides as the uninterrupted one did.
 */
#include "trainer/run.h"

#include <math.h>
#include <signal.h>

int64_t lh__global_step(const lh__trainer *t) {
    return t->progress.optimizer_step.total.completed;
}

int64_t lh__current_epoch(const lh__trainer *t) {
    return t->progress.epoch.current.completed;
}

int32_t lh__may_stop(const lh__trainer *t) {
    const lh__options *o = t->options;

    return t->progress.epoch.current.processed >= o->min_epochs &&
           lh__global_step(t) >= o->min_steps;
}

static int steps_are_done(const lh__trainer *t) {
    return t->options->max_steps >= 0 && lh__global_step(t) >= t->options->max_steps;
}

int32_t lh__fit_is_done(const lh__trainer *t) {
    const lh__options *o = t->options;

    return t->sources[LH_TRAIN_LOADERS].batches == 0 || steps_are_done(t) ||
           (o->max_epochs >= 0 && t->progress.epoch.current.processed >= o->max_epochs) ||
           (t->should_stop && lh__may_stop(t));
}

int32_t lh__epoch_is_done(lh__trainer *t) {
    if (steps_are_done(t) || t->progress.is_last_batch ||
        t->progress.batch.current.completed >= t->sources[LH_TRAIN_LOADERS].batches)
        return 1;
    if (!t->should_stop)
        return 0;
    if (lh__may_stop(t))
        return 1;
    if (!t->has_said_minimum) {
        t->has_said_minimum = 1;
        lh__say(t, LH_INFO,
                "stop requested (%s), but min_epochs=%lld or min_steps=%lld is not "
                "reached: training goes on",
                t->stop_reason, (long long)t->options->min_epochs,
                (long long)t->options->min_steps);
    }
    return 0;
}

int32_t lh__can_validate(lh__trainer *t) {
    const lh_module *m = t->cast.module->hooks;
    const lh__instance *dm = t->cast.datamodule;
    int has_loader =
        m->val_dataloader != NULL || (dm && ((const lh_datamodule *)dm->hooks)->val_dataloader);

    return m->validation_step && has_loader && t->options->limit_val_batches.value > 0;
}

lh_status lh__validation_plan(lh__trainer *t) {
    const lh__options *o = t->options;
    int64_t batches = t->sources[LH_TRAIN_LOADERS].batches;
    double interval = o->val_check_interval.value;

    t->val_check_batch = 0;
    if (o->val_check_interval.unit == LH__SECONDS)
        return LH_OK;
    if (o->val_check_interval.unit == LH__FRACTION) {
        t->val_check_batch = (int64_t)fmax(1, floor((double)batches * interval));
        return LH_OK;
    }
    t->val_check_batch = (int64_t)interval;
    if (t->val_check_batch > batches && o->check_val_every_n_epoch && lh__can_validate(t))
        return lh__run_fail(t, LH_EINVAL,
                            "val_check_interval %lld is more than the %lld training batches of an "
                            "epoch: lower it, or set check_val_every_n_epoch to null to count "
                            "batches across epochs",
                            (long long)t->val_check_batch, (long long)batches);
    return LH_OK;
}

int32_t lh__validation_is_due(const lh__trainer *t) {
    const lh__options *o = t->options;
    int64_t every = o->check_val_every_n_epoch;
    int64_t batches =
        every ? t->progress.batch.current.completed : t->progress.batch.total.completed;

    if (!lh__can_validate((lh__trainer *)t) || (every && (lh__current_epoch(t) + 1) % every != 0))
        return 0;
    if (t->should_stop && lh__may_stop(t))
        return 1;
    if (t->val_check_batch == 0)
        return lh__now() - t->last_val_time >= o->val_check_interval.value;
    return batches % t->val_check_batch == 0;
}

int32_t lh__should_log(const lh__trainer *t) {
    int64_t every = t->options->log_every_n_steps;

    if (every == 0)
        return 0;
    return (t->progress.batches_that_stepped + 1) % every == 0 || t->should_stop ||
           t->options->fast_dev_run > 0;
}

lh_status lh__interrupted(lh__trainer *t) {
    int number = atomic_load_explicit(&t->signal, memory_order_relaxed);

    if (number == 0)
        return LH_OK;
    return lh__run_fail(t, LH_EINTR, "stopped by %s in epoch %lld, step %lld",
                        number == SIGINT ? "SIGINT" : "SIGTERM", (long long)lh__current_epoch(t),
                        (long long)lh__global_step(t));
}
