/* fit.c - the training loop: epochs, batches, and the validations between them.
 *
 * Every batch goes through train_batch, end_batch and validate; every epoch through begin_epoch,
 * its batches and end_epoch. A checkpoint keeps which of these comes next (progress.position), and
 * resume enters the loop there: what the uninterrupted run would have done is done, once.
 */
#include "trainer/logwriter.h"
#include "trainer/run.h"

static lh_status begin_epoch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    p->epoch.current.ready++, p->epoch.total.ready++;
    p->batch.current = (lh__count){0};
    p->is_last_batch = 0;
    lh__outputs_clear(t->epoch_outputs);
    if (t->options->reload_dataloaders_every_n_epochs > 0 && lh__current_epoch(t) > 0 &&
        lh__current_epoch(t) % t->options->reload_dataloaders_every_n_epochs == 0) {
        lh__sources_free(t, LH_TRAIN_LOADERS);
        lh__sources_free(t, LH_VAL_LOADERS);
        if (lh__sources_request(t, LH_TRAIN_LOADERS) != LH_OK || lh__validation_plan(t) != LH_OK)
            return lh__failed(t);
    }
    if (lh__train_begin(t, lh__current_epoch(t), 0) != LH_OK ||
        lh__call_plain(t, LH__HOOK_on_epoch_start) < 0 ||
        lh__call_plain(t, LH__HOOK_on_train_epoch_start) < 0)
        return lh__failed(t);
    p->epoch.current.started++, p->epoch.total.started++;
    lh__show_progress(t, 0, t->sources[LH_TRAIN_LOADERS].batches);
    return LH_OK;
}

/* From the transfer hooks to on_train_batch_end. LH_SKIP: a hook ended the epoch. */
static lh_status run_batch(lh__trainer *t, lh_batch *batch, int64_t idx) {
    lh__fit_progress *p = &t->progress;
    lh_status status;

    if (lh__transfer(t, batch, 0) != LH_OK)
        return lh__failed(t);
    p->batch.current.ready++, p->batch.total.ready++;
    p->is_last_batch = p->batch.current.ready == t->sources[LH_TRAIN_LOADERS].batches;
    if (lh__call_plain(t, LH__HOOK_on_batch_start) < 0)
        return lh__failed(t);
    status = lh__call_batch(t, LH__HOOK_on_train_batch_start, batch, idx);
    if (status < 0)
        return status;
    if (status == LH_SKIP) {
        p->is_last_batch = 1;
        status = lh__step_schedulers(t, LH_PER_EPOCH, 0, lh__current_epoch(t) + 1);
        return status < 0 ? status : LH_SKIP;
    }
    p->batch.current.started++, p->batch.total.started++;
    if (lh__train_batch(t, batch, idx) != LH_OK)
        return lh__failed(t);
    p->batch.current.processed++, p->batch.total.processed++;
    if (lh__is_stepping_batch(t) &&
        lh__step_schedulers(t, LH_PER_STEP, 0, p->batches_that_stepped + 1) != LH_OK)
        return lh__failed(t);
    if (p->is_last_batch &&
        lh__step_schedulers(t, LH_PER_EPOCH, 0, lh__current_epoch(t) + 1) != LH_OK)
        return lh__failed(t);
    p->position = LH__AT_BATCH_END;
    return lh__call_batch_end(t, LH__HOOK_on_train_batch_end, lh__batch_outputs(t), batch, idx);
}

static lh_status train_batch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;
    lh_batch batch;
    lh_status status;

    t->batch_idx = p->batch.current.ready;
    p->position = LH__AT_BATCH;
    lh__metrics_begin_step(t->metrics);
    lh__step_begin(t->engine, LH__PHASE_TRAIN, (uint64_t)p->batch.total.ready);
    t->has_begun = 1;
    status = lh__train_next(t, &batch);
    t->batch = &batch;
    if (status == LH_OK)
        status = run_batch(t, &batch, t->batch_idx);
    lh__settle(t->engine); /* what reads the batch */
    t->batch = NULL;
    lh__batch_done(&batch);
    return status;
}

/* What is left of a batch after on_train_batch_end, validation excepted. */
static lh_status end_batch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    if (lh__call_plain(t, LH__HOOK_on_batch_end) < 0)
        return lh__failed(t);
    p->batch.current.completed++, p->batch.total.completed++;
    if (t->first_step_seconds == 0)
        t->first_step_seconds = lh__now() - t->start_time;
    if (lh__is_stepping_batch(t) && lh__should_log(t)) {
        const lh_scalar *values;
        int32_t n = lh__metrics_step_values(t->metrics, &values);

        if (n > 0)
            lh__log_values(t, values, n, p->batches_that_stepped);
    }
    if (lh__call_one(t, t->cast.module, LH__HOOK_get_progress_bar_dict) < 0)
        return lh__failed(t);
    lh__show_progress(t, p->batch.current.completed, t->sources[LH_TRAIN_LOADERS].batches);
    p->position = LH__AT_VALIDATION;
    return LH_OK;
}

/* The validation that is due after the batch. */
static lh_status validate(lh__trainer *t) {
    t->progress.position = LH__AT_VALIDATION;
    if (!lh__validation_is_due(t))
        return LH_OK;
    if (lh__is_stepping_batch(t)) {
        if (!lh__module_has(t, LH__HOOK_on_validation_model_zero_grad))
            lh__params_zero_grad(t->engine);
        else if (lh__call_one(t, t->cast.module, LH__HOOK_on_validation_model_zero_grad) < 0)
            return lh__failed(t);
    }
    if (lh__evaluation_loop(t, LH__VALIDATING) != LH_OK)
        return lh__failed(t);
    t->phase = LH__TRAINING;
    return LH_OK;
}

/* What comes after the validation, or where there was none. */
static lh_status close_batch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    if (lh__is_stepping_batch(t)) {
        if (lh__step_schedulers(t, LH_PER_STEP, 1, p->batches_that_stepped + 1) != LH_OK)
            return lh__failed(t);
        p->batches_that_stepped++;
    }
    p->position = LH__AT_BATCH;
    return LH_OK;
}

/* The hooks of the end of an epoch. */
static lh_status end_epoch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    if (p->batch.current.completed < t->sources[LH_TRAIN_LOADERS].batches)
        lh__show_progress(t, p->batch.current.completed, p->batch.current.completed);
    p->epoch.current.processed++, p->epoch.total.processed++;
    lh__metrics_begin_epoch_values(t->metrics);
    if (lh__call_one_outputs(t, t->cast.module, LH__HOOK_training_epoch_end, t->epoch_outputs) < 0)
        return lh__failed(t);
    if (lh__metrics_reduce(t->metrics, 1, &t->failure) != LH_OK)
        return lh__failed(t);
    p->position = LH__AT_EPOCH_END;
    return lh__call_plain(t, LH__HOOK_on_train_epoch_end);
}

/* What is left of an epoch after on_train_epoch_end. */
static lh_status close_epoch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;
    const lh_scalar *values;
    int32_t n;

    if (lh__call_plain(t, LH__HOOK_on_epoch_end) < 0)
        return lh__failed(t);
    if (lh__metrics_reduce(t->metrics, 1, &t->failure) != LH_OK ||
        lh__step_schedulers(t, LH_PER_EPOCH, 1, lh__current_epoch(t) + 1) != LH_OK)
        return lh__failed(t);
    lh__metrics_reset_meters(t->metrics, 1);
    n = lh__metrics_epoch_values(t->metrics, &values);
    if (n > 0)
        lh__log_values(t, values, n, p->batches_that_stepped - 1);
    lh__logwriter_flush(t->logwriter);
    p->epoch.current.completed++, p->epoch.total.completed++;
    t->crumb->epoch = lh__current_epoch(t);
    p->position = LH__AT_BATCH;
    return lh__interrupted(t);
}

/* The rest of the epoch, from wherever `position` says. */
static lh_status run_epoch(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;

    while (p->position != LH__AT_EPOCH_END) {
        lh_status status = LH_OK;

        if (p->position == LH__AT_BATCH) {
            if (lh__epoch_is_done(t))
                return end_epoch(t);
            status = train_batch(t);
        }
        if (status == LH_OK && p->position == LH__AT_BATCH_END)
            status = end_batch(t);
        if (status == LH_OK && p->position == LH__AT_VALIDATION)
            status = validate(t);
        if (status == LH_OK)
            status = close_batch(t);
        if (status < 0)
            return status;
        if (!lh__epoch_is_done(t) && lh__interrupted(t) != LH_OK)
            return lh__failed(t);
    }
    return LH_OK;
}

/* Forgets the batch or epoch whose start hooks were running when the checkpoint was taken: they
 * will run again. */
static void rewind_counters(lh__trainer *t, int is_under_way) {
    lh__fit_progress *p = &t->progress;
    lh__count *now = &p->batch.current, *all = &p->batch.total;

    if (!is_under_way) {
        p->epoch.total.ready -= p->epoch.current.ready - p->epoch.current.completed;
        p->epoch.current.ready = p->epoch.current.completed;
    }
    if (p->position == LH__AT_BATCH && is_under_way) {
        all->ready -= now->ready - now->processed;
        all->started -= now->started - now->processed;
        now->ready = now->started = now->processed;
        p->is_last_batch = 0;
    }
    t->batch_idx = now->processed > 0 ? now->processed - 1 : 0;
}

/* Sanity check: a few validation batches that leave no trace. */
static lh_status sanity_check(lh__trainer *t) {
    if (!lh__can_validate(t) || t->options->num_sanity_val_steps == 0 || t->is_resumed)
        return LH_OK;
    if (lh__call_plain(t, LH__HOOK_on_sanity_check_start) < 0 ||
        lh__evaluation_loop(t, LH__SANITY) != LH_OK ||
        lh__call_plain(t, LH__HOOK_on_sanity_check_end) < 0)
        return lh__failed(t);
    lh__metrics_clear(t->metrics);
    lh__meters_reset(&t->meters);
    return LH_OK;
}

lh_status lh__fit_loop(lh__trainer *t) {
    lh__fit_progress *p = &t->progress;
    int32_t is_under_way = t->is_resumed && p->epoch.current.started > p->epoch.current.completed;

    if (lh__call_plain(t, LH__HOOK_on_pretrain_routine_start) < 0 ||
        lh__call_plain(t, LH__HOOK_on_pretrain_routine_end) < 0 || sanity_check(t) != LH_OK)
        return lh__failed(t);
    t->phase = LH__TRAINING;
    if (lh__sources_request(t, LH_TRAIN_LOADERS) != LH_OK || lh__validation_plan(t) != LH_OK)
        return lh__failed(t);
    if (t->sources[LH_TRAIN_LOADERS].batches == 0) {
        if (t->options->limit_train_batches.value == 0) {
            lh__say(t, LH_INFO, "limit_train_batches is 0: nothing is trained");
            return LH_OK;
        }
        return lh__run_fail(t, LH_EINVAL,
                            "%s: there is no training data: its train_dataloader, or that of "
                            "--data, must call lh_loader",
                            t->cast.module->plugin->name);
    }
    if (!is_under_way && lh__fit_is_done(t))
        return LH_OK;
    if (t->is_resumed)
        rewind_counters(t, is_under_way);
    t->last_val_time = lh__now();
    t->data_seconds = lh__now() - t->start_time;
    if (is_under_way && p->position != LH__AT_EPOCH_END &&
        lh__train_begin(t, lh__current_epoch(t), p->batch.current.processed) != LH_OK)
        return lh__failed(t);
    lh__set_training(t->engine, 1);
    if (lh__call_plain(t, LH__HOOK_on_train_start) < 0)
        return lh__failed(t);
    while (is_under_way || !lh__fit_is_done(t)) {
        if ((!is_under_way && begin_epoch(t) != LH_OK) || run_epoch(t) < 0 ||
            close_epoch(t) != LH_OK)
            return lh__failed(t);
        is_under_way = 0;
    }
    return lh__call_plain(t, LH__HOOK_on_train_end);
}
