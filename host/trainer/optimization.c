/* optimization.c - one training batch: the closure, clipping, the update, the schedules.
 *
 * Entry order of a stepping batch: optimizer_step { closure { training_step; zero_grad hooks;
 * backward hooks }; on_before_optimizer_step; configure_gradient_clipping; update }. The closure
 * runs once per optimizer however often it is asked for. Unless a hook looks at something, nothing
 * is computed before all of it has been called: a step is one plan, the update its end.
 */
#include "trainer/run.h"

#include <math.h>
#include <string.h>

int32_t lh__is_stepping_batch(const lh__trainer *t) {
    return t->progress.batch.current.ready % t->options->accumulate_grad_batches == 0 ||
           t->progress.is_last_batch;
}

/* A part of the batch, as a phase of the profile. */
static lh_status phase(lh__trainer *t, const char *name, lh_status (*part)(lh__trainer *t)) {
    lh_status status;

    lh__phase_begin(t->lane, name);
    status = part(t);
    lh__phase_end(t->lane);
    return status;
}

static lh_status put_loss(lh__trainer *t, lh_tensor *loss) {
    lh__hold(t->engine, loss);
    if (loss && lh__outputs_put(t->outputs, "loss", loss) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    t->closure.loss = loss;
    return LH_OK;
}

/* The loss of the step: training_step's, or what training_step_end makes of it. NULL: skipped. */
static lh_status training_step(lh__trainer *t) {
    lh__instance *m = t->cast.module;
    const lh_module *hooks = m->hooks;
    lh__frame frame = lh__call_begin(t, m, LH__HOOK_training_step);
    lh_tensor *loss =
        hooks->training_step(&m->ctx, m->self, t->closure.batch, t->closure.batch_idx);

    if (lh__call_end(t, frame, LH_OK) != LH_OK || put_loss(t, loss) != LH_OK)
        return lh__failed(t);
    lh__step_named(t, t->closure.batch, !t->names_end || lh__optimizer_count(t->engine) > 1);
    if (!hooks->training_step_end)
        return LH_OK;
    frame = lh__call_begin(t, m, LH__HOOK_training_step_end);
    loss = hooks->training_step_end(&m->ctx, m->self, t->outputs);
    return lh__call_end(t, frame, LH_OK) == LH_OK ? put_loss(t, loss) : lh__failed(t);
}

/* A loss that cannot be minimized is refused here, with what to do about it. */
static lh_status check_loss(lh__trainer *t, const lh_tensor *loss) {
    if (lh__view_numel(&loss->view) != 1)
        return lh__run_fail(t, LH_ESHAPE,
                            "%s: training_step returned a tensor of %lld elements; the loss is a "
                            "scalar: reduce it, with lh_mean_all for instance",
                            t->cast.module->plugin->name, (long long)lh__view_numel(&loss->view));
    if (!loss->requires_grad)
        return lh__run_fail(t, LH_EINVAL,
                            "%s: the loss depends on no parameter that requires a gradient: check "
                            "lh_detach, lh_freeze, and that the loss is computed from parameters",
                            t->cast.module->plugin->name);
    return LH_OK;
}

/* The same of its value, once the step is computed. The update, which is computed along with it,
 * has left the parameters alone where it is not finite (lh__terms.guards). */
static lh_status check_value(lh__trainer *t) {
    double value = t->closure.loss ? lh__item(t->engine, t->closure.loss) : 0;

    if (isfinite(value) || t->scaler.is_on) /* else it is the scaler's to mend */
        return LH_OK;
    return lh__run_fail(t, LH_ENAN,
                        "%s: the loss is %g in epoch %lld, batch %lld: the data or the learning "
                        "rate; --trainer.detect_anomaly true names the operator",
                        t->cast.module->plugin->name, value, (long long)lh__current_epoch(t),
                        (long long)t->closure.batch_idx);
}

/* Gradients of a window add up to those of its mean, also where the last window is shorter. */
static lh_status divide_loss(lh__trainer *t) {
    const double factor = 1.0 / (double)t->options->accumulate_grad_batches;
    const lh_op_call scale = {
        LH_SIZED(lh_op_call),  .op = LH_OP_MUL_SCALAR,     .n_inputs = 1,   .n_reals = 1,
        .file = "the trainer", .inputs = &t->closure.loss, .reals = &factor};

    if (t->options->accumulate_grad_batches == 1)
        return LH_OK;
    return put_loss(t, lh__op(t->engine, &scale)) == LH_OK && t->closure.loss ? LH_OK
                                                                              : lh__failed(t);
}

static lh_status zero_grad(lh__trainer *t, lh_optimizer *opt) {
    t->progress.zero_grad.total.ready++;
    if (lh__call_optimizer(t, LH__HOOK_on_before_zero_grad, opt) < 0 ||
        lh__call_one_optimizer(t, t->cast.module, LH__HOOK_optimizer_zero_grad, opt) < 0)
        return lh__failed(t);
    if (!lh__module_has(t, LH__HOOK_optimizer_zero_grad))
        lh__optimizer_zero_grad(opt);
    t->progress.zero_grad.total.completed++;
    return LH_OK;
}

static lh_status backward(lh__trainer *t) {
    lh_tensor *loss = lh__scaler_scale(t, t->closure.loss);

    if (!loss || lh__call_tensor(t, LH__HOOK_on_before_backward, loss) < 0 ||
        lh__call_one_tensor(t, t->cast.module, LH__HOOK_backward, loss) < 0)
        return lh__failed(t);
    if (!lh__module_has(t, LH__HOOK_backward) && lh__backward(t->engine, loss, 1, 0) != LH_OK)
        return lh__failed(t);
    return lh__call_plain(t, LH__HOOK_on_after_backward);
}

/* A window's first batch; and, of a batch in pieces, every piece that follows an update. */
static int gradients_begin(const lh__trainer *t) {
    if (t->tbptt.piece > 0)
        return lh__is_stepping_batch(t);
    return t->closure.batch_idx % t->options->accumulate_grad_batches == 0;
}

lh_status lh__run_closure(lh__trainer *t) {
    lh_optimizer *opt = lh__optimizer_at(t->engine, t->optimizer_idx);

    if (t->closure.is_done)
        return LH_OK;
    t->closure.is_done = 1;
    if (phase(t, "training_step", training_step) != LH_OK)
        return lh__failed(t);
    if (!t->closure.loss && !t->has_warned_skip) {
        t->has_warned_skip = 1;
        lh__say(t, LH_WARNING,
                "training_step returned no loss: the update of such a step is "
                "skipped");
    }
    if (t->closure.loss && (check_loss(t, t->closure.loss) != LH_OK || divide_loss(t) != LH_OK))
        return lh__failed(t);
    if (gradients_begin(t) && zero_grad(t, opt) != LH_OK)
        return lh__failed(t);
    if (t->closure.loss && phase(t, "backward", backward) != LH_OK)
        return lh__failed(t);
    if (t->names_end)
        lh__graph_end(t->engine);
    return LH_OK;
}

lh_status lh__clip(lh__trainer *t, lh_optimizer *opt, double value, int32_t by_value) {
    if (value <= 0)
        return LH_OK;
    lh__scaler_unscale(t, opt);
    if (by_value)
        lh__clip_grad_value(t->engine, opt, value);
    else
        lh__clip_grad_norm(t->engine, opt, value);
    return LH_OK;
}

/* Clips as the module or the options say. Clipping by norm leaves the gradients alone: the update
 * applies it. */
static lh_status clip(lh__trainer *t, lh_optimizer *opt, lh__terms *terms) {
    const lh__options *o = t->options;

    if (lh__module_has(t, LH__HOOK_configure_gradient_clipping))
        return lh__call_one_optimizer(t, t->cast.module, LH__HOOK_configure_gradient_clipping, opt);
    if (o->gradient_clip_val <= 0)
        return LH_OK;
    if (strcmp(o->gradient_clip_algorithm, "value") == 0)
        lh__clip_grad_value(t->engine, opt, o->gradient_clip_val);
    else
        terms->max_norm = o->gradient_clip_val;
    return LH_OK;
}

/* Whether anybody may see the gradients between the backward pass and the update. */
static int are_seen(const lh__trainer *t) {
    const lh__options *o = t->options;

    return t->cast.hooks[LH__HOOK_on_before_optimizer_step].n > 0 ||
           lh__module_has(t, LH__HOOK_configure_gradient_clipping) ||
           (o->gradient_clip_val > 0 && strcmp(o->gradient_clip_algorithm, "value") == 0);
}

static lh_status step_optimizer(lh__trainer *t, lh_optimizer *opt) {
    int32_t is_manual = ((const lh_module *)t->cast.module->hooks)->manual_optimization;
    int32_t is_lost; /* scaled gradients of earlier batches, and no loss in this one: no update */
    lh__terms terms = {.scale = 1};

    t->progress.optimizer_step.total.ready++;
    if (!is_manual && lh__run_closure(t) < 0)
        return lh__failed(t);
    is_lost = t->scaler.is_on && !is_manual && !t->closure.loss;
    if (!is_lost && are_seen(t))
        lh__scaler_unscale(t, opt);
    if (lh__call_optimizer(t, LH__HOOK_on_before_optimizer_step, opt) < 0 ||
        (!is_manual && clip(t, opt, &terms) < 0))
        return lh__failed(t);
    terms.guards[0] = t->scaler.is_on ? NULL : t->closure.loss;
    if (!is_lost && lh__scaler_may_step(t, opt, &terms) && lh__optimizer_step(opt, &terms) != LH_OK)
        return lh__failed(t);
    t->progress.optimizer_step.total.completed++;
    t->crumb->step = t->progress.optimizer_step.total.completed;
    return LH_OK;
}

lh_status lh__step_optimizer(lh__trainer *t, lh_optimizer *opt) {
    lh_status status;

    lh__phase_begin(t->lane, "optimizer");
    status = step_optimizer(t, opt);
    lh__phase_end(t->lane);
    return status;
}

/* The closure alone while accumulating, else the whole update. */
static lh_status close_and_step(lh__trainer *t, lh_optimizer *opt) {
    lh__instance *m = t->cast.module;

    if (!lh__is_stepping_batch(t))
        return lh__run_closure(t);
    if (!lh__module_has(t, LH__HOOK_optimizer_step))
        return lh__step_optimizer(t, opt);
    if (lh__call_one_optimizer(t, m, LH__HOOK_optimizer_step, opt) < 0)
        return lh__failed(t);
    if (!t->closure.is_done)
        return lh__run_fail(t, LH_EINVAL,
                            "%s: optimizer_step did not call lh_optimizer_step, so training_step "
                            "and backward never ran",
                            m->plugin->name);
    return LH_OK;
}

/* One optimizer's part of a batch. */
static lh_status optimize(lh__trainer *t, lh_optimizer *opt) {
    t->closure.is_done = 0;
    t->closure.loss = NULL;
    return close_and_step(t, opt) == LH_OK ? phase(t, "compute", check_value) : lh__failed(t);
}

/* Optimizers with a frequency take turns, each so many batches in a row; -1: all, every batch. */
static int32_t whose_turn(const lh__trainer *t) {
    int32_t n = lh__optimizer_count(t->engine);
    int64_t round = 0, place;

    for (int32_t i = 0; i < n; i++)
        round += lh__group_options(lh__optimizer_at(t->engine, i), 0)->frequency;
    if (round == 0)
        return -1;
    place = t->closure.batch_idx % round;
    for (int32_t i = 0; i < n; i++) {
        place -= lh__group_options(lh__optimizer_at(t->engine, i), 0)->frequency;
        if (place < 0)
            return i;
    }
    return -1;
}

/* What is left to do once all optimizers had their part. */
static lh_status finish(lh__trainer *t, const lh_batch *batch) {
    return lh__step_computed(t, batch) == LH_OK ? lh__scaler_update(t) : lh__failed(t);
}

lh_status lh__training_batch(lh__trainer *t, lh_batch *batch, int64_t batch_idx) {
    int32_t n = lh__optimizer_count(t->engine), turn;

    t->closure = (lh__closure){.batch = batch, .batch_idx = batch_idx};
    if (((const lh_module *)t->cast.module->hooks)->manual_optimization)
        return phase(t, "training_step", training_step) == LH_OK ? finish(t, batch) : lh__failed(t);
    turn = whose_turn(t);
    for (int32_t i = 0; i < n; i++) {
        lh_optimizer *opt = lh__optimizer_at(t->engine, i);

        if (turn >= 0 && i != turn)
            continue;
        t->optimizer_idx = i;
        if (n > 1)
            lh__optimizer_toggle(opt, 1);
        if (optimize(t, opt) < 0)
            return lh__failed(t);
        if (n > 1)
            lh__optimizer_toggle(opt, 0);
    }
    return finish(t, batch);
}

void lh__step_named(lh__trainer *t, const lh_batch *batch, int32_t may_name) {
    for (int32_t i = 0; i < batch->n_fields; i++)
        lh__hold(t->engine, batch->fields[i]);
    if (!may_name)
        lh__names_end(t->engine);
}

lh_status lh__step_computed(lh__trainer *t, const lh_batch *batch) {
    for (int32_t i = 0; i < batch->n_fields; i++)
        lh__hold(t->engine, batch->fields[i]);
    if (lh__settle(t->engine) != LH_OK)
        return lh__failed(t);
    return lh__look_all(t);
}

/* The metric that a plateau schedule watches. LH_SKIP: not there, and that is allowed. */
static lh_status monitored(lh__trainer *t, const lh_scheduler_options *o, double *metric) {
    int32_t found;

    *metric = lh__metrics_callback(t->metrics, o->monitor ? o->monitor : "val_loss", &found);
    if (found)
        return LH_OK;
    if (!o->strict) {
        lh__say(t, LH_WARNING, "schedule: metric %s was not logged; not stepped", o->monitor);
        return LH_SKIP;
    }
    return lh__run_fail(t, LH_EINVAL,
                        "the plateau schedule watches \"%s\", which nobody logged: log it, or set "
                        ".monitor to a metric that is",
                        o->monitor ? o->monitor : "val_loss");
}

/* Is it this schedule's time? Schedules of an optimizer that takes turns rest with it. */
static int is_due(lh__trainer *t, const lh__scheduler *s, int32_t interval, int32_t plateau,
                  int64_t count) {
    const lh_scheduler_options *o = lh__scheduler_options_of(s);
    int32_t turn = interval == LH_PER_STEP ? whose_turn(t) : -1;

    return (int32_t)o->interval == interval && (o->kind == LH_PLATEAU_LR) == plateau &&
           count % (o->frequency > 0 ? o->frequency : 1) == 0 &&
           (turn < 0 || turn == lh__optimizer_index(lh__scheduler_optimizer(s)));
}

lh_status lh__step_schedulers(lh__trainer *t, int32_t interval, int32_t plateau, int64_t count) {
    lh__instance *m = t->cast.module;

    if (((const lh_module *)m->hooks)->manual_optimization)
        return LH_OK;
    for (int32_t i = 0; i < lh__scheduler_count(t->engine); i++) {
        lh__scheduler *s = lh__scheduler_at(t->engine, i);
        double metric = NAN;
        lh_status status = LH_OK;

        if (!is_due(t, s, interval, plateau, count))
            continue;
        if (plateau)
            status = monitored(t, lh__scheduler_options_of(s), &metric);
        if (status == LH_SKIP)
            continue;
        if (status == LH_OK)
            status = lh__module_has(t, LH__HOOK_lr_scheduler_step)
                         ? lh__call_one_scheduler(t, m, LH__HOOK_lr_scheduler_step, i, metric)
                         : lh__scheduler_step(s, metric);
        if (status < 0)
            return lh__run_fail(t, status, "schedule %d could not be stepped", (int)i);
    }
    return LH_OK;
}
