/* optim.h - optimizers and learning-rate schedules, for authors, with PyTorch's names and defaults.
 *
 *     static lh_status configure_optimizers(lh_ctx *c, void *self) {
 *         lh_optimizer *adam = lh_adam(c, .lr = lh_hparam(c, "lr"));
 *
 *         lh_param_group(c, adam, .params = "*.bias", .weight_decay = 0);
 *         return lh_cosine_lr(c, adam, .total = lh_int(c, LH_MAX_EPOCHS));
 *     }
 *
 * Nothing has to be checked: errors stick (run.h), so a hook may as well `return LH_OK`, and what
 * is given a NULL optimizer passes on the failure that made it. Options are designated initialisers
 * after the fixed arguments; one that is left out has PyTorch's default. Optimizers, groups and
 * schedules are made in configure_optimizers and live with the run. [trainer]
 */
#ifndef LHOST_OPTIM_H
#define LHOST_OPTIM_H

#include <math.h>

#include "host.h"

LH_EXTERN_C_BEGIN

/* ---- Optimizers: an lh_optimizer * over the parameters matching .params, a glob ("encoder.*");
 * all of the model when left out. NULL on error: no parameter matches, a value out of PyTorch's
 * range. All know .lr, .weight_decay (an L2 term of the gradient, except AdamW's), .maximize, and
 * .frequency (how many batches in a row, when several optimizers alternate). */

/* torch.optim.SGD: .lr 1e-3, .momentum 0, .dampening 0, .weight_decay 0, .nesterov 0. Errors:
 * nesterov without momentum or with dampening. */
#define lh_sgd(...) LH_SGD_(__VA_ARGS__, )
#define LH_SGD_(c, ...) LH_OPTIMIZER_(c, LH_SGD, .lr = 1e-3, __VA_ARGS__)

/* torch.optim.Adam (Kingma and Ba 2015): .lr 1e-3, .beta1 0.9, .beta2 0.999, .eps 1e-8,
 * .weight_decay 0, .amsgrad 0. Errors: a beta outside [0, 1). */
#define lh_adam(...) LH_ADAM_(__VA_ARGS__, )
#define LH_ADAM_(c, ...) \
    LH_OPTIMIZER_(c, LH_ADAM, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, __VA_ARGS__)

/* torch.optim.AdamW (Loshchilov and Hutter 2019): Adam with decoupled .weight_decay 1e-2. */
#define lh_adamw(...) LH_ADAMW_(__VA_ARGS__, )
#define LH_ADAMW_(c, ...)                                                             \
    LH_OPTIMIZER_(c, LH_ADAMW, .lr = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, \
                  .weight_decay = 1e-2, __VA_ARGS__)

/* torch.optim.RMSprop (Hinton's lecture 6): .lr 1e-2, .alpha 0.99, .eps 1e-8, .weight_decay 0,
 * .momentum 0, .centered 0. */
#define lh_rmsprop(...) LH_RMSPROP_(__VA_ARGS__, )
#define LH_RMSPROP_(c, ...) \
    LH_OPTIMIZER_(c, LH_RMSPROP, .lr = 1e-2, .alpha = 0.99, .eps = 1e-8, __VA_ARGS__)

/* torch.optim.Adagrad (Duchi et al. 2011): .lr 1e-2, .lr_decay 0, .weight_decay 0,
 * .initial_accumulator 0, .eps 1e-10. */
#define lh_adagrad(...) LH_ADAGRAD_(__VA_ARGS__, )
#define LH_ADAGRAD_(c, ...) LH_OPTIMIZER_(c, LH_ADAGRAD, .lr = 1e-2, .eps = 1e-10, __VA_ARGS__)

#define LH_OPTIMIZER_(c, kind_, ...)                                                        \
    (c)->host->optimizer((c), &(const lh_optimizer_options){LH_SIZED(lh_optimizer_options), \
                                                            .kind = (kind_), __VA_ARGS__})

/* Optimizer.add_param_group: a group of its own for the parameters matching .params, which leave
 * the group they were in. What is left out is as the optimizer was made with. Errors: no parameter
 * matches; the optimizer's other groups would have none left. */
#define lh_param_group(c, ...) LH_PARAM_GROUP_(c, __VA_ARGS__, )
#define LH_PARAM_GROUP_(c, optimizer, ...)                                                         \
    (c)->host->param_group(                                                                        \
        (c), (optimizer),                                                                          \
        &(const lh_optimizer_options){LH_SIZED(lh_optimizer_options), .lr = NAN,                   \
                                      .weight_decay = NAN, .momentum = NAN, .dampening = NAN,      \
                                      .beta1 = NAN, .beta2 = NAN, .eps = NAN, .alpha = NAN,        \
                                      .lr_decay = NAN, .initial_accumulator = NAN, .nesterov = -1, \
                                      .amsgrad = -1, .centered = -1, .maximize = -1, __VA_ARGS__})

/* ---- Schedules: an lh_status each. The host steps them: .interval LH_PER_EPOCH or LH_PER_STEP,
 * every .frequency of these (1). `name` is what the learning-rate monitor calls the schedule.
 * .warmup steps, if any, go before: the rate rises linearly from .warmup_start (1/3) times the
 * initial one, then the schedule begins at its own step 0 (SequentialLR of LinearLR and it). */

/* torch.optim.lr_scheduler.StepLR: times .gamma (0.1) every .step_size (required). */
#define lh_step_lr(c, ...) LH_STEP_LR_(c, __VA_ARGS__, )
#define LH_STEP_LR_(c, optimizer, ...) \
    LH_SCHEDULER_(c, optimizer, LH_STEP_LR, .gamma = 0.1, __VA_ARGS__)

/* MultiStepLR: times .gamma (0.1) at each of .n_milestones .milestones, ascending;
 * LH_MILESTONES(30, 80) sets both. */
#define lh_multistep_lr(c, ...) LH_MULTISTEP_LR_(c, __VA_ARGS__, )
#define LH_MULTISTEP_LR_(c, optimizer, ...) \
    LH_SCHEDULER_(c, optimizer, LH_MULTISTEP_LR, .gamma = 0.1, __VA_ARGS__)
#define LH_MILESTONES(...)                        \
    .milestones = (const int64_t[]){__VA_ARGS__}, \
    .n_milestones = (int64_t)(sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* ExponentialLR: times .gamma (required) at every step. */
#define lh_exponential_lr(c, ...) LH_EXPONENTIAL_LR_(c, __VA_ARGS__, )
#define LH_EXPONENTIAL_LR_(c, optimizer, ...) \
    LH_SCHEDULER_(c, optimizer, LH_EXPONENTIAL_LR, .gamma = NAN, __VA_ARGS__)

/* CosineAnnealingLR: down to .eta_min (0) in .total steps (T_max, required), half a cosine. */
#define lh_cosine_lr(c, ...) LH_COSINE_LR_(c, __VA_ARGS__, )
#define LH_COSINE_LR_(c, optimizer, ...) LH_SCHEDULER_(c, optimizer, LH_COSINE_LR, __VA_ARGS__)

/* LinearLR: from .start_factor (1/3) to .end_factor (1) times the initial rate in .total (5). */
#define lh_linear_lr(c, ...) LH_LINEAR_LR_(c, __VA_ARGS__, )
#define LH_LINEAR_LR_(c, optimizer, ...)                                                \
    LH_SCHEDULER_(c, optimizer, LH_LINEAR_LR, .start_factor = 1.0 / 3, .end_factor = 1, \
                  .total = 5, __VA_ARGS__)

/* OneCycleLR (Smith and Topin 2018): up to .max_lr in .pct_start (0.3) of .total steps, then down,
 * from .max_lr / .div_factor (25) to that over .final_div_factor (1e4). Momentum or beta1 goes from
 * .max_momentum (0.95) to .base_momentum (0.85) and back unless .cycle_momentum is 0. Cosines, or
 * .anneal_linear; .three_phase. .max_lr and .total are required; lh_int(c,
 * LH_ESTIMATED_STEPPING_BATCHES) is the length of the run. Stepped LH_PER_STEP unless said
 * otherwise. Errors: an optimizer without momentum; later, steps beyond the total. */
#define lh_onecycle_lr(c, ...) LH_ONECYCLE_LR_(c, __VA_ARGS__, )
#define LH_ONECYCLE_LR_(c, optimizer, ...)                                              \
    LH_SCHEDULER_(c, optimizer, LH_ONECYCLE_LR, .interval = LH_PER_STEP, .max_lr = NAN, \
                  .pct_start = 0.3, .div_factor = 25, .final_div_factor = 1e4,          \
                  .base_momentum = 0.85, .max_momentum = 0.95, .cycle_momentum = 1, __VA_ARGS__)

/* LambdaLR: the initial rate times .lambda(.user, epoch or step). Code and data of .lambda must
 * live with the run. */
#define lh_lambda_lr(c, ...) LH_LAMBDA_LR_(c, __VA_ARGS__, )
#define LH_LAMBDA_LR_(c, optimizer, ...) LH_SCHEDULER_(c, optimizer, LH_LAMBDA_LR, __VA_ARGS__)

/* ReduceLROnPlateau: times .factor (0.1), not below .min_lr (0), when the logged metric .monitor
 * has been no better for more than .patience (10) looks, then no judgement for .cooldown (0).
 * Better is lower (.mode LH_MODE_MIN) or higher by .threshold (1e-4), relative or .threshold_abs; a
 * change of at most .eps (1e-8) is not made. .strict 0: a missing metric is skipped, not an error.
 */
#define lh_plateau_lr(c, ...) LH_PLATEAU_LR_(c, __VA_ARGS__, )
#define LH_PLATEAU_LR_(c, optimizer, ...)                                                        \
    LH_SCHEDULER_(c, optimizer, LH_PLATEAU_LR, .factor = 0.1, .patience = 10, .threshold = 1e-4, \
                  .eps = 1e-8, __VA_ARGS__)

#define LH_SCHEDULER_(c, optimizer, kind_, ...)                                               \
    (c)->host->scheduler((c), (optimizer),                                                    \
                         &(const lh_scheduler_options){                                       \
                             LH_SIZED(lh_scheduler_options), .kind = (kind_), .frequency = 1, \
                             .strict = 1, .warmup_start = 1.0 / 3, __VA_ARGS__})

/* ---- Manual optimization and overridden hooks */

/* The optimizers in order of making; NULL past the end. */
static inline lh_optimizer *lh_optimizer_at(lh_ctx *c, int32_t i) {
    return c->host->optimizer_at(c, i);
}

/* One update; in the optimizer_step hook of automatic optimization it runs the closure first. */
static inline lh_status lh_optimizer_step(lh_ctx *c, lh_optimizer *optimizer) {
    return c->host->optimizer_step(c, optimizer);
}

/* Forgets the gradients of the optimizer's parameters; of all parameters when NULL. */
static inline lh_status lh_zero_grad(lh_ctx *c, lh_optimizer *optimizer) {
    return c->host->zero_grad(c, optimizer);
}

/* LightningModule.toggle_optimizer: no gradients to the parameters of the other optimizers, until
 * lh_untoggle_optimizer or the next toggle. */
static inline lh_status lh_toggle_optimizer(lh_ctx *c, lh_optimizer *optimizer) {
    return c->host->toggle_optimizer(c, optimizer, 1);
}

static inline lh_status lh_untoggle_optimizer(lh_ctx *c, lh_optimizer *optimizer) {
    return c->host->toggle_optimizer(c, optimizer, 0);
}

/* torch.nn.utils.clip_grad_norm_ over all of the optimizer's gradients together, and
 * clip_grad_value_. A limit of 0 or less: nothing. */
static inline lh_status lh_clip_gradients_norm(lh_ctx *c, lh_optimizer *optimizer,
                                               double max_norm) {
    return c->host->clip_gradients(c, optimizer, max_norm, 0);
}

static inline lh_status lh_clip_gradients_value(lh_ctx *c, lh_optimizer *optimizer, double limit) {
    return c->host->clip_gradients(c, optimizer, limit, 1);
}

/* Steps schedule i of the run, in order of making; `metric` is what LH_PLATEAU_LR looks at. */
static inline lh_status lh_scheduler_step(lh_ctx *c, int32_t i, double metric) {
    return c->host->scheduler_step(c, i, metric);
}

/* The i-th schedule of the optimizer: 1, and its name and interval; 0 past the end. */
static inline int32_t lh_scheduler_of(lh_ctx *c, const lh_optimizer *optimizer, int32_t i,
                                      const char **name, int32_t *interval) {
    return c->host->scheduler_of(c, optimizer, i, name, interval);
}

/* ---- Groups. Keys: lr, initial_lr, weight_decay, momentum, dampening, beta1, beta2, eps, alpha,
 * lr_decay. A key that the kind of optimizer has not: NaN; LH_EINVAL. */

/* "SGD", "Adam", "AdamW", "RMSprop", "Adagrad". */
static inline const char *lh_optimizer_name(lh_ctx *c, const lh_optimizer *optimizer) {
    return c->host->optimizer_name(c, optimizer);
}

static inline int32_t lh_group_count(lh_ctx *c, const lh_optimizer *optimizer) {
    return c->host->group_count(c, optimizer);
}

static inline double lh_group_get(lh_ctx *c, const lh_optimizer *optimizer, int32_t group,
                                  const char *key) {
    return c->host->group_get(c, optimizer, group, key);
}

static inline lh_status lh_group_set(lh_ctx *c, lh_optimizer *optimizer, int32_t group,
                                     const char *key, double value) {
    return c->host->group_set(c, optimizer, group, key, value);
}

/* The learning rate of the first group; of all groups. */
static inline double lh_lr(lh_ctx *c, const lh_optimizer *optimizer) {
    return lh_group_get(c, optimizer, 0, "lr");
}

static inline lh_status lh_set_lr(lh_ctx *c, lh_optimizer *optimizer, double lr) {
    lh_status status = LH_OK;

    for (int32_t g = 0; g < lh_group_count(c, optimizer) && status == LH_OK; g++)
        status = lh_group_set(c, optimizer, g, "lr", lr);
    return status;
}

LH_EXTERN_C_END
#endif
