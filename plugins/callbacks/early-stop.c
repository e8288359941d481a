/* early-stop.c - stops training when a metric has stopped getting better: EarlyStopping.
 *
 *     --callback early-stop:monitor=val_loss,patience=5
 *
 * Invariant: a metric is looked at once per check, in this order: is it finite, is it good enough,
 * is it hopeless, is it better than before. All of it is in checkpoints.
 */
#include "option.h"

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("monitor", "", "metric to watch; required"),
    LH_HPARAM_REAL("min_delta", 0, 0, 0, "better means better by more than this"),
    LH_HPARAM_INT("patience", 3, 0, 1e9, "checks without a better value before the end"),
    LH_HPARAM_FLAG("verbose", 0, "say when the metric gets better, or is missing"),
    LH_HPARAM_TEXT("mode", "min", "min or max: what better means"),
    LH_HPARAM_FLAG("strict", 1, "a missing metric is an error"),
    LH_HPARAM_FLAG("check_finite", 1, "stop when the metric is NaN or infinite"),
    LH_HPARAM_REAL("stopping_threshold", NAN, 0, 0,
                   "stop when the metric is better than this number"),
    LH_HPARAM_REAL("divergence_threshold", NAN, 0, 0,
                   "stop when the metric is worse than this number"),
    LH_HPARAM_TEXT("check_on_train_epoch_end", "",
                   "true: after the training epoch, false: after "
                   "validation; nothing: as validation runs"),
};

/* Numbers as in Lightning's checkpoints. */
enum reason { NOT_STOPPED, GOOD_ENOUGH, DIVERGED, OUT_OF_PATIENCE, NOT_FINITE };

struct early_stop {
    const char *monitor;
    double min_delta, stopping, divergence, best; /* thresholds: NaN when there is none */
    int64_t patience, wait, stopped_epoch, reason;
    int32_t mode, at_train_epoch_end;
    char message[256];
};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct early_stop *m = self;

    m->monitor = lh_hparam_text(c, "monitor");
    m->mode = option_mode(c);
    m->min_delta = lh_hparam(c, "min_delta");
    m->patience = lh_hparam_int(c, "patience");
    m->stopping = lh_hparam(c, "stopping_threshold");
    m->divergence = lh_hparam(c, "divergence_threshold");
    m->best = worst_score(m->mode);
    m->at_train_epoch_end =
        option_flag(c, "check_on_train_epoch_end", lh_int(c, LH_VAL_CHECK_INTERVAL_IS_EPOCH) != 0);
    if (!*m->monitor)
        return lh_fail(c, LH_EINVAL,
                       "monitor is missing: name the metric to watch, such as "
                       "early-stop:monitor=val_loss");
    return lh_status_of(c);
}

static lh_status is_missing(lh_ctx *c, const struct early_stop *m) {
    char names[400];

    metric_names(c, names, sizeof names);
    if (lh_hparam_int(c, "strict"))
        return lh_fail(c, LH_ENOTFOUND,
                       "monitor is \"%s\", but no such metric was logged; there are: %s",
                       m->monitor, names);
    if (lh_hparam_int(c, "verbose"))
        lh_print(c, LH_WARNING, "no metric \"%s\"; there are: %s", m->monitor, names);
    return LH_OK;
}

/* Judges one value; the reason to stop and its text go to `m`. */
static void judge(lh_ctx *c, struct early_stop *m, double value) {
    double margin = m->mode == LH_MODE_MAX ? -m->min_delta : m->min_delta;
    const size_t size = sizeof m->message;

    if (!isfinite(value) && lh_hparam_int(c, "check_finite")) {
        m->reason = NOT_FINITE;
        snprintf(m->message, size, "%s is %g, which is not finite; the best was %g", m->monitor,
                 value, m->best);
    } else if (!isnan(m->stopping) && is_better(m->mode, value, m->stopping)) {
        m->reason = GOOD_ENOUGH;
        snprintf(m->message, size, "%s is %g, better than stopping_threshold %g", m->monitor, value,
                 m->stopping);
    } else if (!isnan(m->divergence) && is_better(m->mode, m->divergence, value)) {
        m->reason = DIVERGED;
        snprintf(m->message, size, "%s is %g, worse than divergence_threshold %g", m->monitor,
                 value, m->divergence);
    } else if (is_better(m->mode, value + margin, m->best)) {
        if (lh_hparam_int(c, "verbose"))
            lh_print(c, LH_INFO, "%s improved from %g to %g", m->monitor, m->best, value);
        m->best = value;
        m->wait = 0;
    } else if (++m->wait >= m->patience) {
        m->reason = OUT_OF_PATIENCE;
        snprintf(m->message, size, "%s did not improve in the last %lld checks; the best was %g",
                 m->monitor, (long long)m->wait, m->best);
    }
}

static lh_status check(lh_ctx *c, struct early_stop *m) {
    if (lh_int(c, LH_STAGE) != LH_FIT || lh_int(c, LH_SANITY_CHECKING) ||
        lh_int(c, LH_FAST_DEV_RUN))
        return LH_OK;
    if (!lh_has_metric(c, m->monitor))
        return is_missing(c, m);
    m->reason = NOT_STOPPED;
    judge(c, m, lh_metric(c, m->monitor));
    if (m->reason == NOT_STOPPED)
        return LH_OK;
    m->stopped_epoch = lh_current_epoch(c);
    return lh_stop(c, m->message);
}

static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    struct early_stop *m = self;

    return m->at_train_epoch_end ? check(c, m) : LH_OK;
}

static lh_status on_validation_end(lh_ctx *c, void *self) {
    struct early_stop *m = self;

    return m->at_train_epoch_end ? LH_OK : check(c, m);
}

static lh_status state_dict(lh_ctx *c, void *self) {
    const struct early_stop *m = self;

    lh_state_put_int(c, "wait_count", m->wait);
    lh_state_put_int(c, "stopped_epoch", m->stopped_epoch);
    lh_state_put(c, "best_score", m->best);
    lh_state_put_int(c, "patience", m->patience);
    lh_state_put_int(c, "stopping_reason", m->reason);
    return lh_state_put_text(c, "stopping_reason_message", m->message);
}

static lh_status load_state_dict(lh_ctx *c, void *self) {
    struct early_stop *m = self;
    const char *message;

    lh_state_get_int(c, "wait_count", &m->wait);
    lh_state_get_int(c, "stopped_epoch", &m->stopped_epoch);
    lh_state_get(c, "best_score", &m->best);
    lh_state_get_int(c, "patience", &m->patience);
    lh_state_get_int(c, "stopping_reason", &m->reason);
    if (lh_state_get_text(c, "stopping_reason_message", &message) == LH_OK)
        snprintf(m->message, sizeof m->message, "%s", message);
    return LH_OK;
}

/* clang-format off */
LH_EXPORT_CALLBACK("early-stop", "1.0.0",
    .state_size = sizeof(struct early_stop),
    LH_HPARAMS(hparams),
    .order = LH_ORDER_MONITOR,
    .state_key = "monitor,mode",
    .setup = setup,
    .on_train_epoch_end = on_train_epoch_end,
    .on_validation_end = on_validation_end,
    .state_dict = state_dict,
    .load_state_dict = load_state_dict);
