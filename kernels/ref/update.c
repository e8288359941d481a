/* update.c - the oracle's optimizer updates: torch.optim's single-tensor code, in double.
 *
 * Invariant: an element is read once, computed in double, and rounded once when it is stored.
 */
#include <math.h>

#include "kernels/ref/ref.h"

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

    e->s1 += g * g;
    e->p -= lr * g / (sqrt(e->s1) + o->eps);
}

static rule *const rules[] = {
    [LH_SGD] = sgd,         [LH_ADAM] = adam_l2,    [LH_ADAMW] = adamw,
    [LH_RMSPROP] = rmsprop, [LH_ADAGRAD] = adagrad,
};

static lh__view line(int32_t dtype, const void *data, int64_t n) {
    return (lh__view){
        .data = (void *)(uintptr_t)data, .dtype = dtype, .ndim = 1, .shape = {n}, .stride = {1}};
}

void lh__ref_update(const lh__update *u) {
    lh__view p = line(u->dtype, u->param, u->n), g = line(u->dtype, u->grad, u->n);
    lh__view s[3] = {line(u->dtype, u->state1, u->n), line(u->dtype, u->state2, u->n),
                     line(u->dtype, u->state3, u->n)};
    double scale = u->options->maximize ? -u->grad_scale : u->grad_scale;

    for (int64_t i = 0; i < u->n; i++) {
        element e = {.p = lh__load(&p, i),
                     .g = lh__load(&g, i) * scale,
                     .s1 = s[0].data ? lh__load(&s[0], i) : 0,
                     .s2 = s[1].data ? lh__load(&s[1], i) : 0,
                     .s3 = s[2].data ? lh__load(&s[2], i) : 0};
        double state[3];

        rules[u->kind](&e, u->options, u->step);
        lh__store(&p, i, e.p);
        state[0] = e.s1, state[1] = e.s2, state[2] = e.s3;
        for (int k = 0; k < 3; k++)
            if (s[k].data)
                lh__store(&s[k], i, state[k]);
    }
}

double lh__ref_sum_squares(int32_t dtype, const void *x, int64_t n, lh__pool *pool) {
    lh__view v = line(dtype, x, n);
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += lh__load(&v, i) * lh__load(&v, i);
    return sum;
}

void lh__ref_scale(int32_t dtype, void *x, int64_t n, double factor, lh__pool *pool) {
    lh__view v = line(dtype, x, n);

    for (int64_t i = 0; i < n; i++)
        lh__store(&v, i, lh__load(&v, i) * factor);
}

void lh__ref_clamp(int32_t dtype, void *x, int64_t n, double lo, double hi, lh__pool *pool) {
    lh__view v = line(dtype, x, n);

    for (int64_t i = 0; i < n; i++) {
        double e = lh__load(&v, i), low = e < lo ? lo : e;

        lh__store(&v, i, low > hi ? hi : low);
    }
}
