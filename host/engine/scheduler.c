/* scheduler.c - the schedules of scheduler.h.
 *
 * Where PyTorch computes a rate from the one before it (so that what a callback did to the rate
 * lasts), so does this file, with the operations in PyTorch's order: torch/optim/lr_scheduler.py.
 * A warm-up is SequentialLR([LinearLR(warmup_start, 1, warmup), schedule], [warmup]).
 */
#include "engine/scheduler.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state.h"

struct lh__scheduler {
    lh_optimizer *optimizer;
    lh_scheduler_options o; /* its strings and milestones are owned */
    int64_t last_epoch;     /* steps so far, those of the warm-up counted in */
    int64_t num_bad_epochs, cooldown_counter;
    double best;
};

/* ---- Rates: the next one at `epoch` (0: the first) from the current `lr` and the initial `base`
 */

typedef double rate_fn(const lh_scheduler_options *o, int64_t epoch, double lr, double base);

static double step_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)base;
    return epoch == 0 || epoch % o->step_size != 0 ? lr : lr * o->gamma;
}

static double multistep_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    int64_t hits = 0;

    (void)base;
    for (int64_t i = 0; i < o->n_milestones; i++)
        hits += o->milestones[i] == epoch;
    return hits ? lr * pow(o->gamma, (double)hits) : lr;
}

static double exponential_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)base;
    return epoch == 0 ? lr : lr * o->gamma;
}

static double cosine_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    double t_max = (double)o->total, t = (double)epoch;

    if (epoch == 0)
        return lr;
    if ((epoch - 1 - o->total) % (2 * o->total) == 0)
        return lr + (base - o->eta_min) * (1 - cos(M_PI / t_max)) / 2;
    return (1 + cos(M_PI * t / t_max)) / (1 + cos(M_PI * (t - 1) / t_max)) * (lr - o->eta_min) +
           o->eta_min;
}

static double linear(double start, double end, int64_t total, int64_t epoch, double lr) {
    if (epoch == 0)
        return lr * start;
    if (epoch > total)
        return lr;
    return lr * (1 + (end - start) / ((double)total * start + (double)(epoch - 1) * (end - start)));
}

static double linear_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)base;
    return linear(o->start_factor, o->end_factor, o->total, epoch, lr);
}

static double lambda_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)lr;
    return base * o->lambda(o->user, epoch);
}

/* From start to end as pct goes from 0 to 1. */
static double anneal(const lh_scheduler_options *o, double start, double end, double pct) {
    if (o->anneal_linear)
        return (end - start) * pct + start;
    return end + (start - end) / 2 * (cos(M_PI * pct) + 1);
}

/* A cycle: low to high, back to low when there are three phases, to final. A phase of no length is
 * at its end. */
static double cycle(const lh_scheduler_options *o, int64_t epoch, double low, double high,
                    double final) {
    struct phase {
        double end, from, to;
    };
    const double up = o->pct_start * (double)o->total, end = (double)(o->total - 1);
    const struct phase two[] = {{up - 1, low, high}, {end, high, final}};
    const struct phase three[] = {{up - 1, low, high}, {2 * up - 2, high, low}, {end, low, final}};
    const struct phase *p = o->three_phase ? three : two;
    const struct phase *last = o->three_phase ? &three[2] : &two[1];
    double start = 0, t = (double)epoch;

    for (; p < last && t > p->end; p++)
        start = p->end;
    return anneal(o, p->from, p->to, p->end == start ? 1 : (t - start) / (p->end - start));
}

static double onecycle_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)lr;
    return cycle(o, epoch, base, o->max_lr, base / o->final_div_factor);
}

static double plateau_lr(const lh_scheduler_options *o, int64_t epoch, double lr, double base) {
    (void)o, (void)epoch, (void)base;
    return lr; /* until the metric says otherwise: judge */
}

/* ---- What options may be: NULL, or what is wrong with them */

static const char *check_gamma(const lh_scheduler_options *o) {
    return isfinite(o->gamma) ? NULL : ".gamma is missing or not finite";
}

static const char *check_step(const lh_scheduler_options *o) {
    return o->step_size < 1 ? ".step_size must be at least 1" : check_gamma(o);
}

static const char *check_multistep(const lh_scheduler_options *o) {
    if (o->n_milestones < 0 || (o->n_milestones && !o->milestones))
        return ".milestones and .n_milestones do not agree";
    for (int64_t i = 1; i < o->n_milestones; i++)
        if (o->milestones[i] < o->milestones[i - 1])
            return ".milestones must be ascending";
    return check_gamma(o);
}

static const char *check_cosine(const lh_scheduler_options *o) {
    return o->total < 1 ? ".total (T_max) must be at least 1" : NULL;
}

static const char *check_linear(const lh_scheduler_options *o) {
    if (o->total < 1)
        return ".total (total_iters) must be at least 1";
    if (!(o->start_factor > 0 && o->start_factor <= 1))
        return "Starting multiplicative factor expected to be greater than 0 and less or equal "
               "to 1: set .start_factor so";
    return o->end_factor >= 0 && o->end_factor <= 1
               ? NULL
               : "Ending multiplicative factor expected to be between 0 and 1: set .end_factor so";
}

static const char *check_onecycle(const lh_scheduler_options *o) {
    if (o->total < 1)
        return "Expected positive integer total_steps: set .total to the number of steps of the "
               "run, lh_int(c, LH_ESTIMATED_STEPPING_BATCHES)";
    if (!(o->pct_start >= 0 && o->pct_start <= 1))
        return "Expected float between 0 and 1 pct_start: set .pct_start so";
    if (!(o->max_lr >= 0 && isfinite(o->max_lr)))
        return ".max_lr must be finite and at least 0";
    return o->div_factor > 0 && o->final_div_factor > 0
               ? NULL
               : ".div_factor and .final_div_factor must be above 0";
}

static const char *check_lambda(const lh_scheduler_options *o) {
    return o->lambda ? NULL : ".lambda is missing: a function of the epoch or step";
}

static const char *check_plateau(const lh_scheduler_options *o) {
    if (!(o->factor < 1))
        return "Factor should be < 1.0: set .factor so";
    if (o->mode != LH_MODE_MIN && o->mode != LH_MODE_MAX)
        return ".mode must be LH_MODE_MIN or LH_MODE_MAX";
    return o->patience < 0 || o->cooldown < 0 ? ".patience and .cooldown must be at least 0" : NULL;
}

static const struct kind {
    const char *name;
    rate_fn *rate;
    const char *(*check)(const lh_scheduler_options *o);
} kinds[] = {
    [LH_STEP_LR] = {"StepLR", step_lr, check_step},
    [LH_MULTISTEP_LR] = {"MultiStepLR", multistep_lr, check_multistep},
    [LH_EXPONENTIAL_LR] = {"ExponentialLR", exponential_lr, check_gamma},
    [LH_COSINE_LR] = {"CosineAnnealingLR", cosine_lr, check_cosine},
    [LH_LINEAR_LR] = {"LinearLR", linear_lr, check_linear},
    [LH_ONECYCLE_LR] = {"OneCycleLR", onecycle_lr, check_onecycle},
    [LH_LAMBDA_LR] = {"LambdaLR", lambda_lr, check_lambda},
    [LH_PLATEAU_LR] = {"ReduceLROnPlateau", plateau_lr, check_plateau},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

static lh_status check(const lh_optimizer *opt, const lh_scheduler_options *o, lh__error *err) {
    const char *wrong;

    if (o->kind < LH_STEP_LR || o->kind >= N_KINDS)
        return lh__fail(err, LH_EUNSUPPORTED, "this host knows no schedule of kind %u", o->kind);
    wrong = kinds[o->kind].check(o);
    if (!wrong && o->interval > LH_PER_STEP)
        wrong = ".interval must be LH_PER_EPOCH or LH_PER_STEP";
    if (!wrong && o->frequency < 0)
        wrong = ".frequency must be at least 1";
    if (!wrong && o->warmup && !(o->warmup > 0 && o->warmup_start > 0 && o->warmup_start <= 1))
        wrong = ".warmup must be at least 0 and .warmup_start above 0 and at most 1";
    if (!wrong && o->kind == LH_ONECYCLE_LR && o->cycle_momentum &&
        isnan(lh__group_get(opt, 0, "momentum")) && isnan(lh__group_get(opt, 0, "beta1")))
        wrong = "optimizer must support momentum or beta1 with `cycle_momentum` option enabled: "
                "set .cycle_momentum = 0";
    return wrong ? lh__fail(err, LH_EINVAL, "%s: %s", kinds[o->kind].name, wrong) : LH_OK;
}

/* ---- Birth and death ---- */

static void scheduler_free(void *arg) {
    lh__scheduler *s = arg;

    free((void *)s->o.milestones);
    free((void *)s->o.monitor);
    free((void *)s->o.name);
    free(s);
}

/* Replaces the author's memory by copies. */
static lh_status own(lh_scheduler_options *o) {
    const int64_t *milestones = o->milestones;
    const char *monitor = o->monitor, *name = o->name;
    size_t size = (size_t)o->n_milestones * sizeof *milestones;

    o->milestones = milestones ? malloc(size + 1) : NULL;
    o->monitor = monitor ? strdup(monitor) : NULL;
    o->name = name ? strdup(name) : NULL;
    if (o->milestones && size)
        memcpy((void *)o->milestones, milestones, size);
    return !o->milestones != !milestones || !o->monitor != !monitor || !o->name != !name ? LH_ENOMEM
                                                                                         : LH_OK;
}

static lh_status set_momentum(lh__scheduler *s, int32_t group, double momentum) {
    const char *key = isnan(lh__group_get(s->optimizer, group, "beta1")) ? "momentum" : "beta1";

    return lh__group_set(s->optimizer, group, key, momentum);
}

/* Sets the rates (and the cycled momentum) of all groups for s->last_epoch. */
static lh_status set_rates(lh__scheduler *s) {
    const lh_scheduler_options *o = &s->o;
    int64_t epoch = s->last_epoch - o->warmup;
    lh_status status = LH_OK;

    for (int32_t g = 0; g < lh__group_count(s->optimizer) && status == LH_OK; g++) {
        double base = lh__group_get(s->optimizer, g, "initial_lr");
        double lr = lh__group_get(s->optimizer, g, "lr");

        if (o->warmup && (s->last_epoch == 0 || epoch == 0))
            lr = base; /* each part of a sequence begins at the initial rate */
        lr = epoch < 0 ? linear(o->warmup_start, 1, o->warmup, s->last_epoch, lr)
                       : kinds[o->kind].rate(o, epoch, lr, base);
        status = lh__group_set(s->optimizer, g, "lr", lr);
        if (status == LH_OK && o->kind == LH_ONECYCLE_LR && o->cycle_momentum)
            status = set_momentum(s, g,
                                  cycle(o, epoch < 0 ? 0 : epoch, o->max_momentum, o->base_momentum,
                                        o->max_momentum));
    }
    return status;
}

static lh_status set_initial_rates(lh__scheduler *s) {
    const lh_scheduler_options *o = &s->o;
    lh_status status = LH_OK;

    for (int32_t g = 0; g < lh__group_count(s->optimizer) && status == LH_OK; g++) {
        double base = lh__group_get(s->optimizer, g, "initial_lr");

        if (isnan(base))
            base = lh__group_get(s->optimizer, g, "lr");
        if (o->kind == LH_ONECYCLE_LR)
            base = o->max_lr / o->div_factor;
        status = lh__group_set(s->optimizer, g, "initial_lr", base);
    }
    return status == LH_OK ? set_rates(s) : status;
}

lh__scheduler *lh__scheduler_new(lh_optimizer *opt, const lh_scheduler_options *o) {
    lh__engine *e = lh__optimizer_engine(opt);
    lh__scheduler *s = calloc(1, sizeof *s);
    lh_scheduler_options known = {0};
    lh_status status;

    if (!s) {
        lh__fail(e->err, LH_ENOMEM, "out of memory for a schedule");
        return NULL;
    }
    memcpy(&known, o, o->struct_size < sizeof known ? o->struct_size : sizeof known);
    status = check(opt, &known, e->err);
    if (status != LH_OK)
        goto fail;
    s->optimizer = opt;
    s->o = known;
    s->best = known.mode == LH_MODE_MIN ? INFINITY : -INFINITY;
    status = own(&s->o);
    if (status == LH_OK)
        status = set_initial_rates(s);
    if (status == LH_OK)
        status = lh__list_add(&e->schedulers, s);
    if (status != LH_OK)
        goto fail;
    e->free_scheduler = scheduler_free;
    return s;
fail:
    lh__fail(e->err, status, "out of memory for a schedule");
    scheduler_free(s);
    return NULL;
}

/* ---- Steps ---- */

static int32_t is_better(const lh_scheduler_options *o, double a, double best) {
    if (o->mode == LH_MODE_MIN)
        return a < (o->threshold_abs ? best - o->threshold : best * (1 - o->threshold));
    return a > (o->threshold_abs ? best + o->threshold : best * (o->threshold + 1));
}

static lh_status reduce(lh__scheduler *s) {
    lh_status status = LH_OK;

    for (int32_t g = 0; g < lh__group_count(s->optimizer) && status == LH_OK; g++) {
        double old = lh__group_get(s->optimizer, g, "lr");
        double lr = fmax(old * s->o.factor, s->o.min_lr);

        if (old - lr > s->o.eps)
            status = lh__group_set(s->optimizer, g, "lr", lr);
    }
    return status;
}

/* ReduceLROnPlateau.step(metric). */
static lh_status judge(lh__scheduler *s, double metric) {
    if (is_better(&s->o, metric, s->best)) {
        s->best = metric;
        s->num_bad_epochs = 0;
    } else {
        s->num_bad_epochs++;
    }
    if (s->cooldown_counter > 0) {
        s->cooldown_counter--;
        s->num_bad_epochs = 0;
    }
    if (s->num_bad_epochs <= s->o.patience)
        return LH_OK;
    s->cooldown_counter = s->o.cooldown;
    s->num_bad_epochs = 0;
    return reduce(s);
}

lh_status lh__scheduler_step(lh__scheduler *s, double metric) {
    int64_t epoch = ++s->last_epoch - s->o.warmup;

    if (s->o.kind == LH_PLATEAU_LR && epoch > 0)
        return judge(s, metric);
    if (s->o.kind == LH_ONECYCLE_LR && epoch > s->o.total)
        return lh__fail(lh__optimizer_engine(s->optimizer)->err, LH_EINVAL,
                        "OneCycleLR: Tried to step %lld times. The specified number of total steps "
                        "is %lld: set .total to the number of steps of the run, "
                        "lh_int(c, LH_ESTIMATED_STEPPING_BATCHES)",
                        (long long)epoch, (long long)s->o.total);
    return set_rates(s);
}

/* ---- Looking at schedules ---- */

const lh_scheduler_options *lh__scheduler_options_of(const lh__scheduler *s) {
    return &s->o;
}

lh_optimizer *lh__scheduler_optimizer(const lh__scheduler *s) {
    return s->optimizer;
}

int32_t lh__scheduler_count(const lh__engine *e) {
    return (int32_t)e->schedulers.count;
}

lh__scheduler *lh__scheduler_at(const lh__engine *e, int32_t i) {
    return i >= 0 && i < e->schedulers.count ? e->schedulers.items[i] : NULL;
}

int32_t lh__scheduler_state(lh__scheduler *s, lh__number out[8]) {
    out[0] = (lh__number){"last_epoch", NULL, &s->last_epoch};
    out[1] = (lh__number){"best", &s->best, NULL};
    out[2] = (lh__number){"num_bad_epochs", NULL, &s->num_bad_epochs};
    out[3] = (lh__number){"cooldown_counter", NULL, &s->cooldown_counter};
    return s->o.kind == LH_PLATEAU_LR ? 4 : 1;
}
