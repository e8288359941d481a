/* update.h - an optimizer's update as the call of a kernel, LH__OP_UPDATE: its operands' names and
 * what devices make of them.
 *
 * The parameter is the output, n contiguous elements of one dtype (F32 or F64), and is written in
 * place, as are its states and its members' counts of steps; the gradient is left as it is. The
 * update does not happen, nor does it count, where a guard is not finite: what decides is computed
 * by calls before this one, and nobody has to wait for it.
 *
 * State, absent where the options do not need it:
 *
 *   SGD             state 1 momentum buffer, set to the gradient at step 1
 *   Adam, AdamW     state 1 exp_avg, state 2 exp_avg_sq, state 3 max_exp_avg_sq (amsgrad)
 *   RMSprop         state 1 square_avg, state 2 momentum buffer, state 3 grad_avg (centered)
 *   Adagrad         state 1 sum, set to initial_accumulator at step 1
 */
#ifndef LH_KERNELS_UPDATE_H
#define LH_KERNELS_UPDATE_H

#include <stdbool.h>

#include "kernels/kernel.h"

/* Inputs. */
enum {
    LH__UPDATE_GRAD,
    LH__UPDATE_STATE1,
    LH__UPDATE_STATE2,
    LH__UPDATE_STATE3,
    LH__UPDATE_STEPS,  /* I64, strided: how many updates there were, equal for all members */
    LH__UPDATE_GUARD1, /* 0-d, real */
    LH__UPDATE_GUARD2,
    LH__UPDATE_SQUARES, /* 0-d, F64: the sum of the squares of all gradients, for max_norm */
    LH__UPDATE_INPUTS
};

enum { LH__UPDATE_INTS = 5, LH__UPDATE_REALS = 12 };

/* A call and what it points to. */
typedef struct lh__update_call {
    lh__kernel_call call;
    lh__view inputs[LH__UPDATE_INPUTS]; /* to be filled in; without an address: absent */
    const lh__view *in[LH__UPDATE_INPUTS];
    int64_t ints[LH__UPDATE_INTS];
    double reals[LH__UPDATE_REALS];
} lh__update_call;

/* An update of `param`, borrowed, all of whose inputs are absent. `scale` multiplies gradients
 * first; then they are clipped to `max_norm` as torch.nn.utils.clip_grad_norm_ does, 0: they
 * aren't. The call stays where it is written. */
void lh__update_write(lh__update_call *u, const lh_optimizer_options *o, double scale,
                      double max_norm, const lh__view *param, lh__pool *pool);

/* What a call is, read. The formulas are those of torch.optim's single-tensor code. */
typedef struct lh__update {
    lh_optimizer_options options; /* kind, hyper-parameters and flags only */
    int32_t dtype;
    int64_t n, step; /* step: of this update, from 1 */
    void *param, *state1, *state2, *state3;
    const void *grad;
    double grad_scale; /* what the gradient is multiplied by, in all */
} lh__update;

/* False: the update is not to happen. */
bool lh__update_read(const lh__kernel_call *call, lh__update *u);

/* It has happened. */
void lh__update_count(const lh__kernel_call *call);

/* max_norm / (norm + 1e-6), at most 1; NaN when the norm is. */
double lh__clip_coef(double norm, double max_norm);

#endif
