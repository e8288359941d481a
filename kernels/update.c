/* update.c - see update.h. */
#include "kernels/update.h"

#include <math.h>

#include "kernels/ref/ref.h"

void lh__update_write(lh__update_call *u, const lh_optimizer_options *o, double scale,
                      double max_norm, const lh__view *param, lh__pool *pool) {
    *u = (lh__update_call){.call = {.op = LH__OP_UPDATE,
                                    .n_in = LH__UPDATE_INPUTS,
                                    .n_ints = LH__UPDATE_INTS,
                                    .n_reals = LH__UPDATE_REALS,
                                    .in = u->in,
                                    .out = param,
                                    .ints = u->ints,
                                    .reals = u->reals,
                                    .pool = pool},
                           .ints = {o->kind, o->nesterov, o->amsgrad, o->centered, o->maximize},
                           .reals = {o->lr, o->weight_decay, o->momentum, o->dampening, o->beta1,
                                     o->beta2, o->eps, o->alpha, o->lr_decay,
                                     o->initial_accumulator, scale, max_norm}};
    for (int i = 0; i < LH__UPDATE_INPUTS; i++) {
        u->inputs[i] = lh__line(param->dtype, NULL, 0);
        u->in[i] = &u->inputs[i];
    }
}

static lh_optimizer_options options_of(const lh__kernel_call *call) {
    const int64_t *i = call->ints;
    const double *r = call->reals;

    return (lh_optimizer_options){.kind = (uint32_t)i[0],
                                  .nesterov = (int32_t)i[1],
                                  .amsgrad = (int32_t)i[2],
                                  .centered = (int32_t)i[3],
                                  .maximize = (int32_t)i[4],
                                  .lr = r[0],
                                  .weight_decay = r[1],
                                  .momentum = r[2],
                                  .dampening = r[3],
                                  .beta1 = r[4],
                                  .beta2 = r[5],
                                  .eps = r[6],
                                  .alpha = r[7],
                                  .lr_decay = r[8],
                                  .initial_accumulator = r[9]};
}

static bool is_open(const lh__view *guard) {
    return !guard->data || isfinite(lh__load(guard, 0));
}

/* What the gradient is multiplied by. */
static double factor_of(const lh__kernel_call *call) {
    const double scale = call->reals[10], max_norm = call->reals[11];
    double factor = scale;

    if (max_norm > 0) {
        const double squares = *(const double *)call->in[LH__UPDATE_SQUARES]->data;

        factor *= lh__clip_coef(sqrt(squares) * fabs(scale), max_norm);
    }
    return call->ints[4] ? -factor : factor;
}

bool lh__update_read(const lh__kernel_call *call, lh__update *u) {
    const lh__view *const *in = call->in;

    if (!is_open(in[LH__UPDATE_GUARD1]) || !is_open(in[LH__UPDATE_GUARD2]))
        return false;
    *u = (lh__update){.options = options_of(call),
                      .dtype = call->out->dtype,
                      .n = lh__view_numel(call->out),
                      .step = *(const int64_t *)in[LH__UPDATE_STEPS]->data + 1,
                      .param = call->out->data,
                      .state1 = in[LH__UPDATE_STATE1]->data,
                      .state2 = in[LH__UPDATE_STATE2]->data,
                      .state3 = in[LH__UPDATE_STATE3]->data,
                      .grad = in[LH__UPDATE_GRAD]->data,
                      .grad_scale = factor_of(call)};
    return true;
}

void lh__update_count(const lh__kernel_call *call) {
    const lh__view *steps = call->in[LH__UPDATE_STEPS];
    int64_t *step = steps->data;

    for (int64_t i = 0; i < steps->shape[0]; i++)
        step[i * steps->stride[0]]++;
}

double lh__clip_coef(double norm, double max_norm) {
    double coef = max_norm / (norm + 1e-6);

    return coef > 1 ? 1 : coef;
}
