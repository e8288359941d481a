/* optimizer.h - SGD, Adam, AdamW, RMSprop, Adagrad with PyTorch's formulas, over flat buffers.
 *
 * Invariant: an update touches exactly the parameters of its groups that have a gradient; runs of
 * them that are neighbours in the flat buffer and have the same step count are one kernel call.
 * State buffers have the layout of the flat parameter buffer and are made at the first step, after
 * which a step allocates nothing. A parameter belongs to at most one group of an optimizer, to any
 * number of optimizers.
 *
 * state1, state2, state3 of the kernels: SGD momentum_buffer; Adam and AdamW exp_avg, exp_avg_sq,
 * max_exp_avg_sq; RMSprop square_avg, momentum_buffer, grad_avg; Adagrad sum.
 */
#ifndef LH_ENGINE_OPTIMIZER_H
#define LH_ENGINE_OPTIMIZER_H

#include "engine/params.h"

/* The optimizer with its first group: the parameters matching o->params (NULL: all). NULL on error:
 * no parameter matches, a hyper-parameter out of PyTorch's range. Owned by the engine. */
lh_optimizer *lh__optimizer_new(lh__engine *e, const lh_optimizer_options *o);

/* One more group: the parameters matching o->params, taken from the groups they were in; none of
 * those may become empty. Kind 0, reals that are NaN and flags that are -1 are those given to
 * lh__optimizer_new. The optimizer is as it was after an error. */
lh_status lh__optimizer_add_group(lh_optimizer *opt, const lh_optimizer_options *o);

/* Its parameters, in the order of the flat buffers. */
int64_t lh__optimizer_param_count(const lh_optimizer *opt);
lh__param *lh__optimizer_param(const lh_optimizer *opt, int64_t i);

/* What an update does to the gradients, which stay as they are, and what it hangs on. */
typedef struct lh__terms {
    double scale;         /* multiplies them */
    double max_norm;      /* then clips them, as clip_grad_norm_ below; 0: not */
    lh_tensor *squares;   /* lh__grad_squares of the optimizer, where it is known; else NULL */
    lh_tensor *guards[2]; /* numbers; the update is left out where one is not finite; or NULL */
} lh__terms;

/* One update, put off like an operator. An update that is left out is not counted. */
lh_status lh__optimizer_step(lh_optimizer *opt, const lh__terms *terms);
void lh__optimizer_zero_grad(lh_optimizer *opt);

/* Requires_grad off for the parameters of every other optimizer that are not in this one (on: 1);
 * back to what they were (on: 0). The last toggle counts: it undoes the one before. */
void lh__optimizer_toggle(lh_optimizer *opt, int32_t on);

/* The sum of squares, an F64 that may be pending, and the 2-norm over the gradients of the
 * optimizer's parameters (NULL: of all parameters). NULL, NaN: an error. */
lh_tensor *lh__grad_squares(lh__engine *e, const lh_optimizer *opt);
double lh__grad_norm(lh__engine *e, const lh_optimizer *opt);

/* Multiplies the gradients of the optimizer's parameters (NULL: of all parameters). */
void lh__grad_scale(lh__engine *e, const lh_optimizer *opt, double factor);

/* torch.nn.utils.clip_grad_norm_: scales gradients by max_norm / (norm + 1e-6) when that is below
 * 1. Returns the norm before. clip_grad_value_: clamps to [-value, value]. */
double lh__clip_grad_norm(lh__engine *e, const lh_optimizer *opt, double max_norm);
void lh__clip_grad_value(lh__engine *e, const lh_optimizer *opt, double value);

/* Groups. Keys: lr, initial_lr, weight_decay, momentum, dampening, beta1, beta2, eps, alpha,
 * lr_decay. Get of a key that is unknown, that this kind of optimizer has not, or of initial_lr
 * before there is a schedule: NaN. Set of such a key (initial_lr excepted) or of a value out of
 * PyTorch's range: LH_EINVAL; lr and initial_lr need only be finite. */
const char *lh__optimizer_name(const lh_optimizer *opt); /* "SGD", "Adam" ... */
int32_t lh__optimizer_count(const lh__engine *e);
lh_optimizer *lh__optimizer_at(const lh__engine *e, int32_t i);
int32_t lh__optimizer_index(const lh_optimizer *opt);
lh__engine *lh__optimizer_engine(const lh_optimizer *opt);
int32_t lh__group_count(const lh_optimizer *opt);
double lh__group_get(const lh_optimizer *opt, int32_t group, const char *key);
lh_status lh__group_set(lh_optimizer *opt, int32_t group, const char *key, double value);
const lh_optimizer_options *lh__group_options(const lh_optimizer *opt, int32_t group);
extern const char *const lh__group_keys[]; /* NULL-terminated: what a checkpoint keeps per group */

/* Everything a checkpoint needs, one call per state tensor that exists: `param` and the state's
 * name ("exp_avg"); "step" is one I64 element. `v` points at live memory: read it to save, write it
 * to load (with create 1, states that do not exist yet are made first, zeroed; a parameter whose
 * step is left 0 is as new). Stops at the first status that is not LH_OK and returns it. */
typedef lh_status lh__state_visit(void *arg, const lh__param *param, const char *name,
                                  const lh__view *v);
lh_status lh__optimizer_visit(lh_optimizer *opt, int32_t create, lh__state_visit *fn, void *arg);

#endif
