/* trainer.c - a run from its first hook to its last; see trainer.h.
 *
 * The order is Lightning's: configure_callbacks, prepare_data, setup, configure_model, the
 * checkpoint's weights, configure_optimizers, on_fit_start, the rest of the checkpoint, the loops,
 * on_fit_end, teardown. Teardown runs in reverse order of setup after a failure as well.
 */
#include "trainer/trainer.h"

#include "trainer/host_table.h"
#include "trainer/logwriter.h"
#include "trainer/run.h"
#include "trainer/weights.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a stage needs of the module. */
static lh_status check_module(lh__trainer *t) {
    const lh_module *m = t->cast.module->hooks;
    const char *name = t->cast.module->plugin->name, *missing = NULL;

    if (t->exports)
        return m->forward
                   ? LH_OK
                   : lh__run_fail(t, LH_EPLUGIN,
                                  "%s does not define forward, which an export records", name);
    switch (t->stage) {
    case LH_FIT:
        missing = !m->training_step          ? "training_step"
                  : !m->configure_optimizers ? "configure_optimizers"
                                             : NULL;
        break;
    case LH_VALIDATE:
        missing = m->validation_step ? NULL : "validation_step";
        break;
    case LH_TEST:
        missing = m->test_step ? NULL : "test_step";
        break;
    default:
        missing = m->predict_step || m->forward ? NULL : "predict_step or forward";
    }
    if (missing)
        return lh__run_fail(t, LH_EPLUGIN, "%s does not define %s, which this stage needs", name,
                            missing);
    if (t->stage == LH_FIT && m->manual_optimization &&
        (t->options->accumulate_grad_batches != 1 || t->options->gradient_clip_val > 0))
        return lh__run_fail(t, LH_EINVAL,
                            "%s optimizes by itself: accumulate_grad_batches and gradient_clip_val "
                            "have no effect there; leave them out",
                            name);
    if (t->stage == LH_FIT && t->options->max_epochs == LH__DEFAULT_EPOCHS &&
        !lh__options_given(t->options, "max_epochs"))
        lh__say(t, LH_WARNING,
                "max_epochs was not set: training stops after %d epochs; --max_epochs -1 trains "
                "without limit",
                LH__DEFAULT_EPOCHS);
    if (t->stage == LH_FIT && !m->validation_step != !m->val_dataloader && !t->cast.datamodule)
        lh__say(t, LH_WARNING, "%s defines %s but not %s: validation is skipped", name,
                m->validation_step ? "validation_step" : "val_dataloader",
                m->validation_step ? "val_dataloader" : "validation_step");
    return LH_OK;
}

/* Whether a hook of the module can see what its training_step made, apart from its outputs. */
static void find_names_end(lh__trainer *t) {
    static const lh__hook seeing[] = {LH__HOOK_training_step_end,
                                      LH__HOOK_on_before_zero_grad,
                                      LH__HOOK_optimizer_zero_grad,
                                      LH__HOOK_on_before_backward,
                                      LH__HOOK_backward,
                                      LH__HOOK_on_after_backward,
                                      LH__HOOK_optimizer_step,
                                      LH__HOOK_on_before_optimizer_step,
                                      LH__HOOK_lr_scheduler_step,
                                      LH__HOOK_configure_gradient_clipping,
                                      LH__HOOK_on_train_batch_end,
                                      LH__HOOK_on_batch_end,
                                      LH__HOOK_on_save_checkpoint,
                                      LH__HOOK_get_progress_bar_dict,
                                      LH__HOOK_on_train_epoch_end,
                                      LH__HOOK_on_epoch_end,
                                      LH__HOOK_training_epoch_end,
                                      LH__HOOK_on_validation_model_zero_grad};

    t->names_end = !((const lh_module *)t->cast.module->hooks)->manual_optimization;
    for (size_t i = 0; i < sizeof seeing / sizeof *seeing; i++)
        t->names_end &= !lh__module_has(t, seeing[i]);
}

static void on_saved(void *user, const char *path, lh_status status) {
    lh__trainer *t = user;

    if (status == LH_OK)
        snprintf(t->crumb->last, sizeof t->crumb->last, "%s", path);
    if (status == LH_OK && t->logwriter)
        lh__logwriter_saved(t->logwriter, path);
}

static void explain(void *user, const char *text) {
    lh__say(user, LH_INFO, "%s", text);
}

/* How many cores the process may use. */
static int32_t core_count(void) {
    cpu_set_t cores;

    return sched_getaffinity(0, sizeof cores, &cores) == 0 ? CPU_COUNT(&cores)
                                                           : (int32_t)sysconf(_SC_NPROCESSORS_ONLN);
}

static lh_status make_parts(lh__trainer *t) {
    const lh__options *o = t->options;
    int32_t threads = t->config->num_threads;
    const lh__engine_options engine = {.device = o->accelerator,
                                       .threads = threads > 0 ? threads : core_count(),
                                       .dtype = o->dtype,
                                       .seed = t->config->seed,
                                       .detect_anomaly = o->detect_anomaly,
                                       .deferred = o->plan && !o->detect_anomaly && !t->exports,
                                       .products = lh__precision_products(o),
                                       .pin_threads = o->pin_threads,
                                       .flush_denormal = o->flush_denormal};

    t->engine = lh__engine_new(&engine, &t->failure);
    if (!t->engine)
        return lh__failed(t);
    lh__engine_set_error(t->engine, &t->failure);
    if (o->explain_plan)
        lh__explain(t->engine, explain, t);
    lh__engine_profile(t->engine, t->lane);
    t->metrics = lh__metrics_new();
    t->outputs = lh__outputs_new();
    t->epoch_outputs = lh__outputs_new();
    t->eval_outputs = lh__outputs_new();
    t->datasets = lh__datasets_new();
    if (!t->metrics || !t->outputs || !t->epoch_outputs || !t->eval_outputs || !t->datasets)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    t->writer = lh__writer_new(on_saved, t, &t->failure);
    if (!t->writer)
        return lh__failed(t);
    lh__writer_profile(t->writer, lh__profile_lane(t->profile, "Thread that writes checkpoints"));
    return LH_OK;
}

/* DM, callbacks, module. */
static lh_status set_up(lh__trainer *t) {
    lh__cast_list *c = &t->cast;
    int32_t n = c->n_callbacks;

    for (int32_t k = -1; k <= n; k++) {
        lh__instance *who = k < 0 ? c->datamodule : k < n ? c->callbacks[k] : c->module;

        if (!who)
            continue;
        who->is_set_up = 1;
        if (lh__call_one_stage(t, who, LH__HOOK_setup, t->stage) < 0)
            return lh__failed(t);
    }
    return LH_OK;
}

/* In reverse order of setup for whoever was set up; a failure does not stop the others. */
static void tear_down(lh__trainer *t) {
    lh__cast_list *c = &t->cast;
    int32_t n = c->n_callbacks;
    int failed = t->failure.code != LH_OK;

    for (int32_t i = -1; i <= n; i++) {
        int32_t k = failed ? n - 1 - i : i;
        lh__instance *who = k < 0 ? c->datamodule : k < n ? c->callbacks[k] : c->module;

        if (!who || !who->is_set_up)
            continue;
        who->is_set_up = 0;
        who->error.code = LH_OK;
        if (lh__call_one_stage(t, who, LH__HOOK_teardown, t->stage) < 0 && failed)
            lh__say(t, LH_ERROR, "%s: teardown: %s", who->plugin->name, who->error.text);
    }
}

/* Those of --weights, unless a checkpoint brings its own. */
static lh_status start_weights(lh__trainer *t) {
    const char *path = t->config->weights;

    if (!path || t->loaded)
        return LH_OK;
    if (lh__weights_load(t, path, NULL, NULL, 1, &t->failure) < 0)
        return lh__failed(t);
    lh__say(t, LH_INFO, "weights from %s", path);
    return LH_OK;
}

/* Everything before the loops. */
static lh_status prepare(lh__trainer *t, const char *ckpt_path) {
    lh__cast_list *c = &t->cast;

    find_names_end(t);
    if (lh__call_plain(t, LH__HOOK_on_init_start) < 0 ||
        lh__call_plain(t, LH__HOOK_on_init_end) < 0 || check_module(t) != LH_OK ||
        lh__checkpoint_open(t, ckpt_path) != LH_OK ||
        lh__call_one(t, c->datamodule, LH__HOOK_prepare_data) < 0 ||
        lh__call_one(t, c->module, LH__HOOK_prepare_data) < 0)
        return lh__failed(t);
    if (t->log_dir && c->n_loggers > 0 && !(t->logwriter = lh__logwriter_start(t)))
        return lh__failed(t);
    if (set_up(t) != LH_OK || lh__call_one(t, c->module, LH__HOOK_configure_model) < 0 ||
        lh__params_seal(t->engine) != LH_OK || start_weights(t) != LH_OK ||
        lh__restore_model(t) != LH_OK ||
        lh__call_one(t, c->module, LH__HOOK_on_post_move_to_device) < 0)
        return lh__failed(t);
    return LH_OK;
}

static lh_status configure_optimizers(lh__trainer *t) {
    if (lh__call_one(t, t->cast.module, LH__HOOK_configure_optimizers) < 0)
        return lh__failed(t);
    if (lh__optimizer_count(t->engine) == 0)
        return lh__run_fail(t, LH_EINVAL,
                            "%s: configure_optimizers made no optimizer: call lh_adam, lh_sgd or "
                            "another there",
                            t->cast.module->plugin->name);
    return lh__scaler_start(t);
}

static lh_status fit(lh__trainer *t) {
    if (lh__tbptt_check(t) != LH_OK || configure_optimizers(t) != LH_OK ||
        lh__call_plain(t, LH__HOOK_on_fit_start) < 0 || lh__restore_training(t) != LH_OK)
        return lh__failed(t);
    if (t->options->enable_model_summary)
        lh__show_summary(t);
    if (lh__fit_loop(t) < 0)
        return lh__failed(t);
    return lh__call_plain(t, LH__HOOK_on_fit_end);
}

/* validate, test, predict. The counters of the checkpoint give metrics their x value. */
static lh_status evaluate(lh__trainer *t) {
    static const int32_t phases[] = {
        [LH_VALIDATE] = LH__VALIDATING, [LH_TEST] = LH__TESTING, [LH_PREDICT] = LH__PREDICTING};
    static const char *const hooks[] = {
        [LH_VALIDATE] = "val", [LH_TEST] = "test", [LH_PREDICT] = "predict"};
    int32_t which = t->stage; /* LH_VAL_LOADERS == LH_VALIDATE, and so on */
    lh__amount limit = t->stage == LH_VALIDATE ? t->options->limit_val_batches
                       : t->stage == LH_TEST   ? t->options->limit_test_batches
                                               : t->options->limit_predict_batches;

    if (lh__restore_counters(t) != LH_OK)
        return lh__failed(t);
    if (limit.value == 0)
        return LH_OK;
    if (lh__sources_request(t, which) != LH_OK)
        return lh__failed(t);
    if (t->sources[which].n == 0)
        return lh__run_fail(t, LH_EINVAL,
                            "%s: there is no data: its %s_dataloader, or that of --data, must call "
                            "lh_loader",
                            t->cast.module->plugin->name, hooks[t->stage]);
    if (lh__evaluation_loop(t, phases[t->stage]) != LH_OK)
        return lh__failed(t);
    return t->stage == LH_PREDICT ? lh__predictions_write(t) : LH_OK;
}

/* Tells everyone that the run failed. Their own failures are not on record any more. */
static void tell_exception(lh__trainer *t) {
    lh__error first = t->failure;
    lh__cast_list *c = &t->cast;

    snprintf(t->exception, sizeof t->exception, "%s", first.text);
    for (int32_t k = 0; k < c->n_callbacks; k++) {
        c->callbacks[k]->error.code = LH_OK;
        t->failure.code = LH_OK;
        if (c->callbacks[k]->is_set_up)
            lh__call_one(t, c->callbacks[k], LH__HOOK_on_exception);
        if (t->failure.code != LH_OK)
            lh__say(t, LH_ERROR, "%s", t->failure.text);
    }
    t->failure.code = LH_OK;
    if (c->datamodule && c->datamodule->is_set_up)
        lh__call_one(t, c->datamodule, LH__HOOK_on_exception);
    t->failure = first;
}

/* Waits for what is being written. Its failure fails a run that was fine. */
static void drain_writer(lh__trainer *t) {
    lh__error e = {0};

    if (!t->writer || lh__writer_drain(t->writer, &e) == LH_OK)
        return;
    if (t->failure.code == LH_OK)
        t->failure = e;
    else
        lh__say(t, LH_ERROR, "%s", e.text);
}

/* Has all helpers finish, so that what they did can be told: their threads end or rest. */
static void finish(lh__trainer *t) {
    lh__phase_begin(t->lane, "finish");
    for (int i = 0; i < 4; i++)
        lh__sources_free(t, i);
    drain_writer(t);
    lh__logwriter_stop(t->logwriter, t->failure.code == LH_OK ? LH_SUCCESS : LH_FAILED);
    t->logwriter = NULL;
    lh__phase_end(t->lane);
    lh__profiling_end(t);
}

static void release(lh__trainer *t) {
    lh__writer_free(t->writer);
    lh__profile_free(t->profile);
    lh__cast_free(&t->cast);
    lh__datasets_free(t->datasets);
    lh__metrics_free(t->metrics);
    lh__meters_free(&t->meters);
    lh__looks_free(&t->looks);
    lh__outputs_free(t->outputs);
    lh__outputs_free(t->epoch_outputs);
    lh__outputs_free(t->eval_outputs);
    lh__tbptt_free(&t->tbptt);
    lh__state_free(t->loaded);
    lh__engine_free(t->engine);
    lh__allocations_free(t->allocations);
    free(t->ckpt_path);
    free(t->log_dir);
    free(t->best_path);
    free(t->predictions);
}

/* Before the first batch, whatever goes wrong is the user's to mend (2); then it is a failure (1).
 */
static int32_t exit_code(const lh__trainer *t) {
    int number = atomic_load(&t->signal);

    if (t->failure.code == LH_OK)
        return 0;
    if (t->failure.code == LH_EINTR && number)
        return 128 + number;
    return t->has_begun ? 1 : 2;
}

/* Everything before the stage itself. */
static lh_status begin(lh__trainer *t, const lh__cast *cast, const char *ckpt_path) {
    lh_status status = LH_OK;

    lh__phase_begin(t->lane, "set-up");
    if (make_parts(t) != LH_OK || lh__rundir_make(t) != LH_OK || lh__cast_make(t, cast) != LH_OK ||
        lh__call_one(t, t->cast.module, LH__HOOK_configure_callbacks) < 0 ||
        lh__cast_seal(t) != LH_OK || lh__rundir_begin(t) != LH_OK || prepare(t, ckpt_path) != LH_OK)
        status = lh__failed(t);
    lh__phase_end(t->lane);
    return status;
}

void lh__trainer_run(const lh__config *config, const lh__cast *cast, int32_t stage,
                     const char *ckpt_path, const lh__outcome *previous, const lh__observer *obs,
                     lh__breadcrumb *crumb, lh__outcome *out) {
    lh__trainer *t = calloc(1, sizeof *t);

    memset(out, 0, sizeof *out);
    out->exit_code = 1;
    if (!t) {
        lh__fail(&out->error, LH_ENOMEM, "out of memory");
        return;
    }
    t->config = config;
    t->options = &config->trainer;
    t->obs = obs;
    t->crumb = crumb;
    t->exports = cast->exports;
    t->stage = cast->exports ? lh__export_stage(cast) : stage;
    t->previous = previous;
    t->requesting = -1;
    t->start_time = lh__now();
    t->crumb->plugin = -1;
    *t->crumb->log_dir = *t->crumb->best = *t->crumb->last = 0;
    t->host = (lh_host){LH_SIZED(lh_host), .abi_major = LH_ABI_MAJOR, .abi_minor = LH_ABI_MINOR};
    lh__host_model(&t->host);
    lh__host_data(&t->host);
    lh__host_run(&t->host);
    lh__host_state(&t->host);
    lh__host_meter(&t->host);
    lh__host_tbptt(&t->host);
    lh__host_weights(&t->host);
    t->signals = lh__signals_start(t);
    if (lh__profiling_start(t) == LH_OK && begin(t, cast, ckpt_path) == LH_OK) {
        if (t->exports)
            lh__export_run(t);
        else if (stage == LH_FIT)
            fit(t);
        else
            evaluate(t);
    }
    if (t->failure.code != LH_OK && t->engine)
        tell_exception(t);
    if (t->engine)
        tear_down(t);
    finish(t);
    out->exit_code = exit_code(t);
    out->error = t->failure;
    if (t->log_dir && out->error.code != LH_OK)
        lh__record_message(t->log_dir, LH_ERROR, out->error.text);
    if (t->metrics) {
        out->result = lh__result_json(t, out->exit_code == 0     ? "finished"
                                         : out->exit_code >= 128 ? "interrupted"
                                                                 : "failed");
        lh__result_write(t, out->result);
    }
    out->best = t->best_path ? strdup(t->best_path) : NULL;
    out->last = *crumb->last ? strdup(crumb->last) : NULL;
    out->log_dir = t->log_dir ? strdup(t->log_dir) : NULL;
    lh__signals_stop(t->signals);
    release(t);
    free(t);
}

void lh__outcome_free(lh__outcome *out) {
    json_decref(out->result);
    free(out->best);
    free(out->last);
    free(out->log_dir);
    memset(out, 0, sizeof *out);
}
