/* loss.c - probabilities, losses, and the accuracy of scores. */
#include "engine/operators/rules.h"

#include <string.h>

#include "kernels/view.h"

static lh_status shape_classes(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *target = lh__in(c, 1);

    if (x->ndim != 2 || target->ndim != 1 || x->shape[0] != target->shape[0])
        return lh__reject(c, LH_ESHAPE,
                          "needs (n, classes) and a target of (n); reshape or flatten them");
    c->out.ndim = 0;
    return lh__check_range(c, target, x->shape[1], "target");
}

static lh_status shape_pair(lh__check *c) {
    const lh__view *a = lh__in(c, 0), *b = lh__in(c, 1);

    if (a->ndim != b->ndim || memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof *a->shape) != 0)
        return lh__reject(c, LH_ESHAPE, "both have to be of one shape; reshape or expand one");
    return lh__set_scalar(c);
}

static lh_tensor *d_softmax(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_SOFTMAX_GRAD, 2, (lh_tensor *[]){g, n->out}, 1, n->ints, 0, NULL);
}

static lh_tensor *d_log_softmax(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_LOG_SOFTMAX_GRAD, 2, (lh_tensor *[]){g, n->out}, 1, n->ints, 0, NULL);
}

static lh_tensor *d_nll_loss(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, LH__OP_NLL_GRAD, 2, (lh_tensor *[]){g, n->in[1]}, 2, n->in[0]->view.shape, 0,
              NULL);
}

static lh_tensor *d_cross_entropy(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op3(e, LH__OP_CE_GRAD, g, n->in[0], n->in[1]);
}

static double one_over_numel(const lh_tensor *x) {
    return 1.0 / (double)lh__view_numel(&x->view);
}

/* 2 g (own - other) / numel */
static lh_tensor *d_mse_loss(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *difference = op2(e, LH_OP_SUB, n->in[i], n->in[1 - i]);

    return mul(e, difference, scaled(e, g, 2.0 * one_over_numel(n->in[0])));
}

/* g (sigmoid(logits) - target) / numel */
static lh_tensor *d_bce_logits(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *excess = op2(e, LH_OP_SUB, op1(e, LH_OP_SIGMOID, n->in[0]), n->in[1]);

    return mul(e, excess, scaled(e, g, one_over_numel(n->in[0])));
}

/* -g logits / numel */
static lh_tensor *d_bce_target(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, n->in[0], scaled(e, g, -one_over_numel(n->in[0])));
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_SOFTMAX, "softmax", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_axis, {d_softmax}, NULL},
    {LH_OP_LOG_SOFTMAX, "log_softmax", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_axis, {d_log_softmax}, NULL},
    {LH_OP_NLL_LOSS, "nll_loss", "log_probabilities target", {2, 2}, {0, 0}, {0, 0}, 0,
     LH__REAL_INDEX, shape_classes, {d_nll_loss}, NULL},
    {LH_OP_CROSS_ENTROPY, "cross_entropy", "logits target", {2, 2}, {0, 0}, {0, 0}, 0,
     LH__REAL_INDEX, shape_classes, {d_cross_entropy}, NULL},
    {LH_OP_MSE_LOSS, "mse_loss", "a b", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     shape_pair, {d_mse_loss, d_mse_loss}, NULL},
    {LH_OP_BCE_WITH_LOGITS, "bce_with_logits", "logits target", {2, 2}, {0, 0}, {0, 0}, 0,
     LH__REALS, shape_pair, {d_bce_logits, d_bce_target}, NULL},
    {LH_OP_ACCURACY, "accuracy", "scores target", {2, 2}, {0, 0}, {0, 0}, 0, LH__HITS,
     shape_classes, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_SOFTMAX_GRAD, "softmax_grad", "g y", {2, 2}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {0}, NULL},
    {LH__OP_LOG_SOFTMAX_GRAD, "log_softmax_grad", "g y", {2, 2}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {0}, NULL},
    {LH__OP_NLL_GRAD, "nll_grad", "g target", {2, 2}, {0, LH__ANY}, {0, 0}, 0, LH__REAL_INDEX,
     lh__shape_tail, {0}, NULL},
    {LH__OP_CE_GRAD, "cross_entropy_grad", "g logits target", {3, 3}, {0, 0}, {0, 0}, 0,
     LH__REAL_INDEX, lh__shape_second, {0}, NULL},
};
/* clang-format on */

const lh__family lh__loss = {rows, sizeof rows / sizeof *rows};
