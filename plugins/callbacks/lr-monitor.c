/* lr-monitor.c - logs learning rates, and momentum and weight decay if asked: LearningRateMonitor.
 *
 *     --callback lr-monitor:logging_interval=step
 *
 * Names: the schedule's own, else lr-CLASS, with -1, -2 ... for further ones of a class, and /pg1,
 * /pg2 ... when an optimizer has several groups.
 */
#include <lhost/lhost.h>

#include <string.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("logging_interval", "", "step or epoch; nothing: as each schedule is stepped"),
    LH_HPARAM_FLAG("log_momentum", 0, "also NAME-momentum: momentum, or beta1"),
    LH_HPARAM_FLAG("log_weight_decay", 0, "also NAME-weight_decay"),
    LH_HPARAM_TEXT("log_key_prefix", "", "before every name"),
};

enum { PER_STEP = 1, PER_EPOCH = 2, MAX_ROW = 240, MAX_NAME = 96, MAX_CLASSES = 32 };

struct lr_monitor {
    int32_t when; /* PER_STEP or PER_EPOCH if that was asked for, else 0 */
};

/* What is logged now, and how often each class of optimizers was met. */
struct row {
    lh_scalar values[MAX_ROW];
    char names[MAX_ROW][MAX_NAME];
    int32_t n;
    struct {
        const char *class;
        int32_t met;
    } classes[MAX_CLASSES];
};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    const char *interval = lh_hparam_text(c, "logging_interval");
    struct lr_monitor *m = self;

    m->when = strcmp(interval, "step") == 0    ? PER_STEP
              : strcmp(interval, "epoch") == 0 ? PER_EPOCH
                                               : 0;
    if (!m->when && *interval && strcmp(interval, "null") != 0)
        return lh_fail(c, LH_EINVAL, "logging_interval is \"%s\": give step, epoch or nothing",
                       interval);
    if (stage == LH_FIT && !lh_int(c, LH_FAST_DEV_RUN) && lh_int(c, LH_NUM_LOGGERS) == 0)
        return lh_fail(c, LH_EINVAL,
                       "there is no logger to log learning rates to: add one, such "
                       "as --logger csv, or leave lr-monitor out");
    return LH_OK;
}

/* How many of that class were met before; counts this one. */
static int32_t met_before(struct row *r, const char *class) {
    for (int32_t i = 0; i < MAX_CLASSES; i++) {
        if (!r->classes[i].class)
            r->classes[i].class = class;
        if (strcmp(r->classes[i].class, class) == 0)
            return r->classes[i].met++;
    }
    return 0;
}

static void add(struct row *r, const char *name, const char *suffix, double value) {
    if (r->n == MAX_ROW)
        return;
    snprintf(r->names[r->n], MAX_NAME, "%s%s", name, suffix);
    r->values[r->n] = (lh_scalar){r->names[r->n], value};
    r->n++;
}

/* Momentum under either of its names; 0 for optimizers that have none. */
static double momentum_of(lh_ctx *c, const lh_optimizer *opt, int32_t group) {
    double beta1 = lh_group_get(c, opt, group, "beta1");
    double momentum = lh_group_get(c, opt, group, "momentum");

    return !isnan(beta1) ? beta1 : !isnan(momentum) ? momentum : 0;
}

/* The groups of an optimizer under the name of one of its schedules, or its own. */
static void add_groups(lh_ctx *c, struct row *r, const lh_optimizer *opt, const char *name) {
    int32_t groups = lh_group_count(c, opt);

    for (int32_t g = 0; g < groups; g++) {
        double decay = lh_group_get(c, opt, g, "weight_decay");
        char key[MAX_NAME - 16], suffix[16] = "";

        if (groups > 1)
            snprintf(suffix, sizeof suffix, "/pg%d", (int)g + 1);
        snprintf(key, sizeof key, "%s%s%s", lh_hparam_text(c, "log_key_prefix"), name, suffix);
        add(r, key, "", lh_group_get(c, opt, g, "lr"));
        if (lh_hparam_int(c, "log_momentum"))
            add(r, key, "-momentum", momentum_of(c, opt, g));
        if (lh_hparam_int(c, "log_weight_decay"))
            add(r, key, "-weight_decay", isnan(decay) ? 0 : decay);
    }
}

static void class_name(lh_ctx *c, struct row *r, const lh_optimizer *opt, char name[64]) {
    const char *class = lh_optimizer_name(c, opt);
    int32_t before = met_before(r, class);

    if (before)
        snprintf(name, 64, "lr-%s-%d", class, (int)before);
    else
        snprintf(name, 64, "lr-%s", class);
}

/* Optimizers with schedules come first, as they do in the numbering of names. */
static void collect(lh_ctx *c, const struct lr_monitor *m, struct row *r, int32_t when) {
    lh_optimizer *opt;
    const char *given;
    int32_t interval;
    char name[64];

    for (int32_t i = 0; (opt = lh_optimizer_at(c, i)); i++)
        for (int32_t k = 0; given = NULL, lh_scheduler_of(c, opt, k, &given, &interval); k++) {
            int is_now = m->when || interval == (when == PER_STEP ? LH_PER_STEP : LH_PER_EPOCH);

            if (!given || !*given)
                class_name(c, r, opt, name);
            if (is_now)
                add_groups(c, r, opt, given && *given ? given : name);
        }
    for (int32_t i = 0; (opt = lh_optimizer_at(c, i)); i++)
        if (!lh_scheduler_of(c, opt, 0, &given, &interval)) {
            class_name(c, r, opt, name);
            add_groups(c, r, opt, name);
        }
}

static lh_status log_rates(lh_ctx *c, const struct lr_monitor *m, int32_t when) {
    struct row r;

    if (m->when && m->when != when)
        return LH_OK;
    r.n = 0;
    memset(r.classes, 0, sizeof r.classes);
    collect(c, m, &r, when);
    return r.n ? c->host->log_to_loggers(c, r.values, r.n, -1) : LH_OK;
}

static lh_status on_train_batch_start(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_int(c, LH_SHOULD_LOG) ? log_rates(c, self, PER_STEP) : LH_OK;
}

static lh_status on_train_epoch_start(lh_ctx *c, void *self) {
    return log_rates(c, self, PER_EPOCH);
}

/* clang-format off */
LH_EXPORT_CALLBACK("lr-monitor", "1.0.0",
    .state_size = sizeof(struct lr_monitor),
    LH_HPARAMS(hparams),
    .setup = setup,
    .on_train_batch_start = on_train_batch_start,
    .on_train_epoch_start = on_train_epoch_start);
