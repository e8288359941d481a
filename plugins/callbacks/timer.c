/* timer.c - ends training when its time is up: Timer, and the trainer's max_time.
 *
 *     --callback timer:duration=00:12:00:00
 *
 * Invariant: the time of a run is the sum over its resumptions, without what lay between them.
 */
#include <lhost/lhost.h>

#include <string.h>
#include <time.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("duration", "", "DD:HH:MM:SS of training"),
    LH_HPARAM_REAL("seconds", NAN, 0, 0, "the same in seconds"),
    LH_HPARAM_TEXT("interval", "step", "step or epoch: when to look at the clock"),
};

struct timer {
    double limit;         /* seconds; NaN: none */
    double start, offset; /* of this run; of those before it. start 0: not begun */
    int32_t per_epoch;
};

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds of "DD:HH:MM:SS"; negative if it is not of that form. */
static double parse_duration(const char *text) {
    int days, hours, minutes, seconds;
    const char *rest = strchr(text, ':');

    if (!rest || strlen(rest) != 9 || text[strspn(text, "0123456789:")] ||
        sscanf(text, "%9d:%2d:%2d:%2d", &days, &hours, &minutes, &seconds) != 4)
        return -1;
    return 86400.0 * days + 3600 * hours + 60 * minutes + seconds;
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct timer *m = self;
    const char *duration = lh_hparam_text(c, "duration");
    const char *interval = lh_hparam_text(c, "interval");
    int is_given = *duration && strcmp(duration, "null") != 0;

    m->limit = lh_hparam(c, "seconds");
    m->per_epoch = strcmp(interval, "epoch") == 0;
    if (!m->per_epoch && strcmp(interval, "step") != 0)
        return lh_fail(c, LH_EINVAL, "interval is \"%s\": give step or epoch", interval);
    if (m->limit < 0)
        return lh_fail(c, LH_EINVAL, "seconds is %g: give 0 or more", m->limit);
    if (is_given && !isnan(m->limit))
        return lh_fail(c, LH_EINVAL, "duration and seconds are both given: leave one out");
    if (is_given) {
        m->limit = parse_duration(duration);
        if (m->limit < 0)
            return lh_fail(c, LH_EINVAL,
                           "duration is \"%s\": give DD:HH:MM:SS, such as 00:12:00:00 for twelve "
                           "hours",
                           duration);
    }
    return LH_OK;
}

static double elapsed(const struct timer *m) {
    return m->offset + (m->start > 0 ? now() - m->start : 0);
}

static lh_status check(lh_ctx *c, const struct timer *m) {
    double time = elapsed(m);
    char reason[96];

    if (isnan(m->limit) || time < m->limit || lh_int(c, LH_SHOULD_STOP))
        return LH_OK;
    snprintf(reason, sizeof reason, "the time is up: %.1f of %.1f seconds", time, m->limit);
    return lh_stop(c, reason);
}

/* Time that was used up before a resumption leaves none. */
static lh_status on_fit_start(lh_ctx *c, void *self) {
    return check(c, self);
}

static lh_status on_train_start(lh_ctx *c, void *self) {
    ((struct timer *)self)->start = now();
    return LH_OK;
}

static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *outputs,
                                    lh_batch *batch, int64_t batch_idx) {
    const struct timer *m = self;

    return m->per_epoch ? LH_OK : check(c, m);
}

static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    const struct timer *m = self;

    return m->per_epoch ? check(c, m) : LH_OK;
}

static lh_status on_train_end(lh_ctx *c, void *self) {
    struct timer *m = self;

    m->offset = elapsed(m);
    m->start = 0;
    return LH_OK;
}

static lh_status state_dict(lh_ctx *c, void *self) {
    return lh_state_put(c, "time_elapsed", elapsed(self));
}

static lh_status load_state_dict(lh_ctx *c, void *self) {
    lh_state_get(c, "time_elapsed", &((struct timer *)self)->offset);
    return LH_OK;
}

/* clang-format off */
LH_EXPORT_CALLBACK("timer", "1.0.0",
    .state_size = sizeof(struct timer),
    LH_HPARAMS(hparams),
    .setup = setup,
    .on_fit_start = on_fit_start,
    .on_train_start = on_train_start,
    .on_train_batch_end = on_train_batch_end,
    .on_train_epoch_end = on_train_epoch_end,
    .on_train_end = on_train_end,
    .state_dict = state_dict,
    .load_state_dict = load_state_dict);
