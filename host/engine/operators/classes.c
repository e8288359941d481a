/* classes.c - probabilities of classes, their losses, and the accuracy of scores.
 *
 * Invariant: a target that reaches a kernel is one of the classes.
 */
#include "engine/operators/loss.h"
#include "engine/state.h"
#include "kernels/view.h"

/* Shape rules. */

/* Scores (n, classes) and a target (n) within them. */
static lh_status shape_classes(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *target = lh__in(c, 1);

    if (x->ndim != 2 || target->ndim != 1 || x->shape[0] != target->shape[0])
        return lh__reject(c, LH_ESHAPE,
                          "needs (n, classes) and a target of (n); reshape or flatten them");
    c->out.ndim = 0;
    return lh__check_range(c, 1, x->shape[1], "target");
}

static int64_t ignored_target(const lh__check *c) {
    return c->n_ints > 1 ? c->ints[1] : -100;
}

/* Targets are classes or, some of them, the one to ignore: sets *some. */
static lh_status check_targets(const lh__check *c, int64_t classes, int32_t *some) {
    const lh__view *target = lh__in(c, 1);
    lh_status status = lh__computed(c->e, c->in[1]);
    const int64_t *data = target->data, ignored = ignored_target(c);

    *some = 0;
    for (int64_t i = 0, n = lh__view_numel(target); status == LH_OK && i < n; i++) {
        int64_t value = data[lh__view_offset(target, i)];

        if (value == ignored)
            *some = 1;
        else if (value < 0 || value >= classes)
            return lh__reject(c, LH_EINVAL,
                              "target %lld at element %lld is outside 0 ... %lld and not %lld, "
                              "the one to ignore",
                              (long long)value, (long long)i, (long long)classes - 1,
                              (long long)ignored);
    }
    return status;
}

static int32_t is_index(const lh__view *target) {
    return target->dtype == LH_I64;
}

static lh_status shape_class_loss(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *target = lh__in(c, 1);
    double smoothing = c->call->n_reals > 0 ? c->call->reals[0] : 0.0;
    int32_t fits = x->ndim >= 2 && target->ndim == x->ndim - 1, some;
    int64_t shape[LH_MAX_DIMS];
    lh_status status = check_reduction(c, LH_REDUCE_SUM);

    if (status != LH_OK)
        return status;
    for (int32_t d = 0; d + 1 < x->ndim; d++) {
        shape[d] = x->shape[d ? d + 1 : 0];
        fits = fits && target->shape[d] == shape[d];
    }
    if (!is_index(target) && c->call->op == LH_OP_NLL_LOSS)
        return lh__reject(c, LH_EDTYPE, "the target has to be int64, not %s; cast it",
                          lh__dtype_name(target->dtype));
    if (!is_index(target))
        fits = x->ndim >= 2 && lh__same_shape(x, target);
    if (!fits)
        return lh__reject(c, LH_ESHAPE,
                          "needs (n, classes) or (n, classes, ...) and a target of (n) or (n, ...) "
                          "of int64, or to cross_entropy probabilities of the shape of the logits");
    if (c->n_in > 2 && (lh__in(c, 2)->ndim != 1 || lh__in(c, 2)->shape[0] != x->shape[1]))
        return lh__reject(c, LH_ESHAPE, "weight has to hold one number for each of %lld classes",
                          (long long)x->shape[1]);
    if (!(smoothing >= 0.0 && smoothing <= 1.0))
        return lh__reject(c, LH_EINVAL, "label smoothing %g is outside 0 ... 1", smoothing);
    if (is_index(target) && (status = check_targets(c, x->shape[1], &some)) != LH_OK)
        return status;
    if (reduction_of(c) != LH_REDUCE_NONE)
        return lh__set_scalar(c);
    return lh__set_shape(c, x->ndim - 1, shape);
}

/* Gradients. */

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

/* Gradients of gradients; h is what arrives. */

static lh_tensor *total_along(lh__engine *e, lh_tensor *x, int64_t axis) {
    return op1_ints(e, LH_OP_SUM, x, 2, (int64_t[]){1, axis});
}

/* Of y (g - sum(g y)) to g: the same of h, for the Jacobian of softmax is symmetric. */
static lh_tensor *d_softmax_grad_g(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    return op(e, LH__OP_SOFTMAX_GRAD, 2, (lh_tensor *[]){h, n->in[1]}, 1, n->ints, 0, NULL);
}

/* h (g - sum(g y)) - g sum(h y) */
static lh_tensor *d_softmax_grad_y(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *g = n->in[0], *y = n->in[1];
    lh_tensor *centred = op2(e, LH_OP_SUB, g, total_along(e, mul(e, g, y), n->ints[0]));

    return op2(e, LH_OP_SUB, mul(e, h, centred),
               mul(e, g, total_along(e, mul(e, h, y), n->ints[0])));
}

/* Of g - exp(y) sum(g): h - sum(h exp(y)) */
static lh_tensor *d_log_softmax_grad_g(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *p = op1(e, LH_OP_EXP, n->in[1]);

    return op2(e, LH_OP_SUB, h, total_along(e, mul(e, h, p), n->ints[0]));
}

/* -h exp(y) sum(g) */
static lh_tensor *d_log_softmax_grad_y(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *p = op1(e, LH_OP_EXP, n->in[1]), *sum = total_along(e, n->in[0], n->ints[0]);

    return op1(e, LH_OP_NEG, mul(e, mul(e, h, p), sum));
}

/* The mean of -h at the targets. */
static lh_tensor *d_nll_grad(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    return op2(e, LH_OP_NLL_LOSS, h, n->in[1]);
}

/* Of g/n (softmax - one-hot) to g: sum(h softmax) / n - the mean of h at the targets. */
static lh_tensor *d_ce_grad_g(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    const int64_t axis = 1, all = 0;
    lh_tensor *p = op1_ints(e, LH_OP_SOFTMAX, n->in[1], 1, &axis);
    lh_tensor *sum = op1_ints(e, LH_OP_SUM, mul(e, h, p), 1, &all);
    lh_tensor *mean = scaled(e, sum, 1.0 / (double)n->in[1]->view.shape[0]);

    return reshaped_like(e, op2(e, LH_OP_ADD, mean, op2(e, LH_OP_NLL_LOSS, h, n->in[2])), n->in[0]);
}

static lh_tensor *d_ce_grad_logits(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    const int64_t axis = 1;
    lh_tensor *p = op1_ints(e, LH_OP_SOFTMAX, n->in[1], 1, &axis);
    lh_tensor *through = op(e, LH__OP_SOFTMAX_GRAD, 2, (lh_tensor *[]){h, p}, 1, &axis, 0, NULL);

    return mul(e, through, scaled(e, n->in[0], 1.0 / (double)n->in[1]->view.shape[0]));
}

/* Compositions. */

/* (n, classes, ...) as (n ..., classes). */
static lh_tensor *class_rows(lh__engine *e, lh_tensor *x) {
    const int32_t ndim = x->view.ndim;
    const int64_t classes = x->view.shape[1];
    int64_t axes[LH_MAX_DIMS], rows = 1;

    if (ndim == 2)
        return x;
    for (int32_t d = 0; d < ndim; d++) {
        axes[d] = d == 0 ? 0 : d + 1 < ndim ? d + 1 : 1;
        rows *= d == 1 ? 1 : x->view.shape[d];
    }
    return reshaped(e, op1_ints(e, LH_OP_PERMUTE, x, ndim, axes), 2, (int64_t[]){rows, classes});
}

/* Targets (rows) of log-probabilities (rows, classes), with what is made of them. */
typedef struct targets {
    lh_tensor *kept;    /* BOOL: not ignored */
    lh_tensor *classes; /* 0 where ignored */
    lh_tensor *weights; /* of the rows, 0 where ignored */
} targets;

static targets targets_of(lh__check *c, lh_tensor *target, const lh_tensor *like) {
    lh__engine *e = c->e;
    targets t = {0};

    if (!target || !like)
        return t;
    t.kept = op2(e, LH_OP_NE, target, number(e, target, (double)ignored_target(c)));
    t.classes = op3(e, LH_OP_WHERE, t.kept, target, number(e, target, 0.0));
    if (c->n_in > 2)
        t.weights = selected(e, c->in[2], 0, t.classes);
    else
        t.weights = number(e, like, 1.0);
    t.weights = op3(e, LH_OP_WHERE, t.kept, t.weights, number(e, like, 0.0));
    return t;
}

/* Per row -(1 - s) w_t log p_t - s / classes sum(w log p); the mean is one over sum(w_t). */
static lh_tensor *index_loss(lh__check *c, lh_tensor *log_p, lh_tensor *target, double s) {
    const int64_t axis = 1, rows = target ? target->view.shape[0] : 0;
    lh__engine *e = c->e;
    targets t = targets_of(c, target, log_p);
    lh_tensor *zero, *column, *losses, *smooth;

    if (!t.weights)
        return NULL;
    zero = number(e, log_p, 0.0);
    column = reshaped(e, t.classes, 2, (int64_t[]){rows, 1});
    losses = op(e, LH_OP_GATHER, 2, (lh_tensor *[]){log_p, column}, 1, &axis, 0, NULL);
    losses = op3(e, LH_OP_WHERE, t.kept, reshaped(e, losses, 1, &rows), zero);
    losses = mul(e, losses, scaled(e, t.weights, s - 1.0));
    if (s > 0.0) {
        smooth = c->n_in > 2 ? mul(e, log_p, c->in[2]) : log_p;
        smooth = op1_ints(e, LH_OP_SUM, smooth, 2, (int64_t[]){0, 1});
        smooth = op3(e, LH_OP_WHERE, t.kept, smooth, zero);
        smooth = scaled(e, smooth, -s / (double)log_p->view.shape[1]);
        losses = op2(e, LH_OP_ADD, losses, smooth);
    }
    if (reduction_of(c) == LH_REDUCE_NONE)
        return reshaped(e, losses, c->out.ndim, c->out.shape);
    losses = total(e, losses);
    return reduction_of(c) == LH_REDUCE_SUM ? losses
                                            : op2(e, LH_OP_DIV, losses, total(e, t.weights));
}

/* Per row -sum(w ((1 - s) p + s / classes) log p'); the mean is one over rows. */
static lh_tensor *probability_loss(lh__check *c, lh_tensor *log_p, double s) {
    lh__engine *e = c->e;
    lh_tensor *p = class_rows(e, c->in[1]), *losses;

    if (!p || !log_p)
        return NULL;
    if (s > 0.0)
        p = op1_real(e, LH_OP_ADD_SCALAR, scaled(e, p, 1.0 - s), s / (double)p->view.shape[1]);
    losses = mul(e, log_p, p);
    if (c->n_in > 2)
        losses = mul(e, losses, c->in[2]);
    losses = op1_ints(e, LH_OP_SUM, op1(e, LH_OP_NEG, losses), 2, (int64_t[]){0, 1});
    return reduction_of(c) == LH_REDUCE_NONE ? reshaped(e, losses, c->out.ndim, c->out.shape)
                                             : reduced(c, losses);
}

/* The kernels take (n, classes) and a target (n), all of it counted alike. */
static lh_tensor *compose_class_loss(lh__check *c) {
    const int64_t axis = 1, rows = lh__view_numel(lh__in(c, 1));
    double smoothing = c->call->n_reals > 0 ? c->call->reals[0] : 0.0;
    lh__engine *e = c->e;
    int32_t index = is_index(lh__in(c, 1)), some = 0, plain;
    lh_tensor *x, *target;

    if (index && check_targets(c, lh__in(c, 0)->shape[1], &some) != LH_OK)
        return NULL;
    plain = index && !some && c->n_in == 2 && smoothing == 0.0 && reduction_of(c) == LH_REDUCE_MEAN;
    if (plain && lh__in(c, 0)->ndim == 2)
        return NULL;
    x = class_rows(e, c->in[0]);
    target = index ? reshaped(e, c->in[1], 1, &rows) : NULL;
    if (plain)
        return op2(e, c->call->op, x, target);
    if (c->call->op == LH_OP_CROSS_ENTROPY)
        x = op1_ints(e, LH_OP_LOG_SOFTMAX, x, 1, &axis);
    return index ? index_loss(c, x, target, smoothing) : probability_loss(c, x, smoothing);
}

/* Softmax runs along contiguous lines. */
static lh_tensor *compose_lines(lh__check *c) {
    return lh__compose_lines(c, 0);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_SOFTMAX, "softmax", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_axis, {d_softmax}, compose_lines},
    {LH_OP_LOG_SOFTMAX, "log_softmax", "x", {1, 1}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_axis, {d_log_softmax}, compose_lines},
    {LH_OP_NLL_LOSS, "nll_loss", "log_probabilities target weight", {2, 3}, {0, 2}, {0, 0}, 0,
     LH__TARGET, shape_class_loss, {d_nll_loss}, compose_class_loss},
    {LH_OP_CROSS_ENTROPY, "cross_entropy", "logits target weight", {2, 3}, {0, 2}, {0, 1}, 0,
     LH__TARGET, shape_class_loss, {d_cross_entropy}, compose_class_loss},
    {LH_OP_ACCURACY, "accuracy", "scores target", {2, 2}, {0, 0}, {0, 0}, 0, LH__HITS,
     shape_classes, {0}, NULL},

    /* what gradients are made of */
    {LH__OP_SOFTMAX_GRAD, "softmax_grad", "g y", {2, 2}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_softmax_grad_g, d_softmax_grad_y}, compose_lines},
    {LH__OP_LOG_SOFTMAX_GRAD, "log_softmax_grad", "g y", {2, 2}, {1, 1}, {0, 0}, 0, LH__REALS,
     lh__shape_same, {d_log_softmax_grad_g, d_log_softmax_grad_y}, compose_lines},
    {LH__OP_NLL_GRAD, "nll_grad", "g target", {2, 2}, {0, LH__ANY}, {0, 0}, 0, LH__REAL_INDEX,
     lh__shape_tail, {d_nll_grad}, NULL},
    {LH__OP_CE_GRAD, "cross_entropy_grad", "g logits target", {3, 3}, {0, 0}, {0, 0}, 0,
     LH__REAL_INDEX, lh__shape_second, {d_ce_grad_g, d_ce_grad_logits}, NULL},
};
/* clang-format on */

const lh__family lh__classes = {rows, sizeof rows / sizeof *rows};
