/* update.c - the oracle's optimizer updates: torch.optim's single-tensor code, in double; and sums
 * of squares.
 *
 * Invariant: an element is read once, computed in double, and rounded once when it is stored.
 */
#include <math.h>

#include "kernels/ref/ref.h"
#include "kernels/update.h"

/* One element's quantities; `step` counts from 1. */
typedef struct element {
    double p, g, s1, s2, s3;
} element;

typedef void rule(element *e, const lh_optimizer_options *o, int64_t step);

static void sgd(element *e, const lh_optimizer_options *o, int64_t step) {
    double g = e->g + o->weight_decay * e->p;

    if (o->momentum != 0) {
        e->s1 = step == 1 ? g : o->momentum * e->s1 + (1 - o->dampening) * g;
        g = o->nesterov ? g + o->momentum * e->s1 : e->s1;
    }
    e->p -= o->lr * g;
}

static void adam(element *e, const lh_optimizer_options *o, int64_t step) {
    double correction1 = 1 - pow(o->beta1, (double)step);
    double correction2 = 1 - pow(o->beta2, (double)step);
    double v;

    e->s1 += (1 - o->beta1) * (e->g - e->s1);
    e->s2 = o->beta2 * e->s2 + (1 - o->beta2) * e->g * e->g;
    if (o->amsgrad)
        e->s3 = fmax(e->s3, e->s2);
    v = o->amsgrad ? e->s3 : e->s2;
    e->p -= o->lr / correction1 * e->s1 / (sqrt(v) / sqrt(correction2) + o->eps);
}

static void adam_l2(element *e, const lh_optimizer_options *o, int64_t step) {
    e->g += o->weight_decay * e->p;
    adam(e, o, step);
}

static void adamw(element *e, const lh_optimizer_options *o, int64_t step) {
    e->p *= 1 - o->lr * o->weight_decay;
    adam(e, o, step);
}

static void rmsprop(element *e, const lh_optimizer_options *o, int64_t step) {
    double g = e->g + o->weight_decay * e->p, average;

    e->s1 = o->alpha * e->s1 + (1 - o->alpha) * g * g;
    if (o->centered)
        e->s3 += (1 - o->alpha) * (g - e->s3);
    average = sqrt(o->centered ? e->s1 - e->s3 * e->s3 : e->s1) + o->eps;
    if (o->momentum > 0)
        e->s2 = o->momentum * e->s2 + g / average;
    e->p -= o->lr * (o->momentum > 0 ? e->s2 : g / average);
}

static void adagrad(element *e, const lh_optimizer_options *o, int64_t step) {
    double g = e->g + o->weight_decay * e->p;
    double lr = o->lr / (1 + (double)(step - 1) * o->lr_decay);

    e->s1 = (step == 1 ? o->initial_accumulator : e->s1) + g * g;
    e->p -= lr * g / (sqrt(e->s1) + o->eps);
}

static rule *const rules[] = {
    [LH_SGD] = sgd,         [LH_ADAM] = adam_l2,    [LH_ADAMW] = adamw,
    [LH_RMSPROP] = rmsprop, [LH_ADAGRAD] = adagrad,
};

static double load_state(const lh__view *s, int64_t i) {
    return s->data ? lh__load(s, i) : 0;
}

static void store_state(const lh__view *s, int64_t i, double value) {
    if (s->data)
        lh__store(s, i, value);
}

void lh__ref_update(const lh__kernel_call *call) {
    const lh__view *p = call->out, *g = call->in[LH__UPDATE_GRAD];
    const lh__view *s1 = call->in[LH__UPDATE_STATE1], *s2 = call->in[LH__UPDATE_STATE2],
                   *s3 = call->in[LH__UPDATE_STATE3];
    lh__update u;

    if (!lh__update_read(call, &u))
        return;
    for (int64_t i = 0; i < u.n; i++) {
        element e = {.p = lh__load(p, i),
                     .g = lh__load(g, i) * u.grad_scale,
                     .s1 = load_state(s1, i),
                     .s2 = load_state(s2, i),
                     .s3 = load_state(s3, i)};

        rules[u.options.kind](&e, &u.options, u.step);
        lh__store(p, i, e.p);
        store_state(s1, i, e.s1);
        store_state(s2, i, e.s2);
        store_state(s3, i, e.s3);
    }
    lh__update_count(call);
}

void lh__ref_squares(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    double sum = 0;

    for (int64_t i = 0, n = lh__view_numel(x); i < n; i++)
        sum += lh__load(x, i) * lh__load(x, i);
    lh__store(call->out, 0, sum + (call->n_in > 1 ? lh__load(call->in[1], 0) : 0));
}
