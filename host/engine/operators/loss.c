/* loss.c - losses of pairs: of numbers, of probabilities, of directions and distances. */
#include <math.h>

#include "engine/operators/loss.h"
#include "engine/state.h"
#include "kernels/ref/ref.h"

/* Shape rules. */

/* The result of a loss: a number, or one per element, which are as many as `v` has. */
static lh_status shape_reduced(lh__check *c, const lh__view *v) {
    return reduction_of(c) == LH_REDUCE_NONE ? lh__set_shape(c, v->ndim, v->shape)
                                             : lh__set_scalar(c);
}

static lh_status check_pair(lh__check *c, int64_t last_reduction) {
    if (!lh__same_shape(lh__in(c, 0), lh__in(c, 1)))
        return lh__reject(c, LH_ESHAPE, "both have to be of one shape; reshape or expand one");
    return check_reduction(c, last_reduction);
}

static lh_status shape_pair(lh__check *c) {
    lh_status status = check_pair(c, LH_REDUCE_SUM);

    return status == LH_OK ? shape_reduced(c, lh__in(c, 0)) : status;
}

/* A third operand broadcasts to the others. */
static lh_status shape_weighted_pair(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    lh_status status = check_pair(c, LH_REDUCE_SUM);

    lh__set_shape(c, x->ndim, x->shape);
    if (status == LH_OK && c->n_in > 2) {
        status = lh__broadcast_into(c, lh__in(c, 2));
        if (status == LH_OK && !lh__same_shape(&c->out, x))
            return lh__reject(c, LH_ESHAPE, "the third operand has to broadcast to the first");
    }
    return status == LH_OK ? shape_reduced(c, x) : status;
}

static lh_status shape_bce(lh__check *c) {
    const lh__view *p = lh__in(c, 0);
    lh_status status = shape_weighted_pair(c);

    if (status != LH_OK || lh__is_probability(c->in[0]))
        return status;
    status = lh__computed(c->e, c->in[0]);
    for (int64_t i = 0, n = lh__view_numel(p); status == LH_OK && i < n; i++) {
        double x = lh__get(p, i);

        if (x < 0.0 || x > 1.0)
            return lh__reject(c, LH_EINVAL,
                              "%g at element %lld is no probability; give logits to "
                              "bce_with_logits",
                              x, (long long)i);
    }
    return status;
}

static lh_status shape_positive(lh__check *c) {
    double limit = c->call->n_reals > 0 ? c->call->reals[0] : 1.0;

    if (!(limit >= 0.0) || (limit == 0.0 && c->call->op == LH_OP_HUBER_LOSS))
        return lh__reject(c, LH_EINVAL, "%g has to be positive", limit);
    return shape_pair(c);
}

static lh_status shape_kl_div(lh__check *c) {
    lh_status status = check_pair(c, LH_REDUCE_BATCHMEAN);

    if (status == LH_OK && reduction_of(c) == LH_REDUCE_BATCHMEAN && lh__in(c, 0)->ndim == 0)
        return lh__reject(c, LH_ESHAPE, "the mean over a batch needs a first axis");
    return status == LH_OK ? shape_reduced(c, lh__in(c, 0)) : status;
}

static lh_status shape_cosine(lh__check *c) {
    lh_status status = lh__shape_broadcast(c);

    if (status == LH_OK)
        status = lh__fix_axis(c, &c->ints[0], c->out.ndim);
    if (status != LH_OK)
        return status;
    c->out.ndim--;
    for (int32_t d = (int32_t)c->ints[0]; d < c->out.ndim; d++)
        c->out.shape[d] = c->out.shape[d + 1];
    return LH_OK;
}

static lh_status shape_cosine_embedding(lh__check *c) {
    const lh__view *a = lh__in(c, 0), *target = lh__in(c, 2);
    lh_status status = check_pair(c, LH_REDUCE_SUM);

    if (status != LH_OK)
        return status;
    if (a->ndim < 1 || a->ndim > 2 || target->ndim != a->ndim - 1 ||
        (a->ndim == 2 && target->shape[0] != a->shape[0]))
        return lh__reject(c, LH_ESHAPE, "needs two of (n, features) and a target of (n)");
    if (lh__computed(c->e, c->in[2]) != LH_OK)
        return LH_ENOMEM;
    for (int64_t i = 0, n = lh__view_numel(target); i < n; i++) {
        double x = lh__get(target, i);

        if (x != 1.0 && x != -1.0 && !isnan(x))
            return lh__reject(c, LH_EINVAL, "target %g at element %lld has to be 1 or -1", x,
                              (long long)i);
    }
    return shape_reduced(c, target);
}

static lh_status shape_triplet(lh__check *c) {
    lh__view rows = *lh__in(c, 0);
    lh_status status = check_pair(c, LH_REDUCE_SUM);

    if (status != LH_OK)
        return status;
    if (rows.ndim < 1 || !lh__same_shape(&rows, lh__in(c, 2)))
        return lh__reject(c, LH_ESHAPE, "needs three of one shape (..., features)");
    if (!(c->call->reals[1] > 0.0))
        return lh__reject(c, LH_EINVAL, "p %g has to be positive", c->call->reals[1]);
    rows.ndim--;
    return shape_reduced(c, &rows);
}

/* Gradients. */

static double one_over_numel(const lh_tensor *x) {
    return 1.0 / (double)lh__view_numel(&x->view);
}

/* 2 g (own - other) / numel */
static lh_tensor *d_mse_loss(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *difference = op2(e, LH_OP_SUB, n->in[i], n->in[1 - i]);

    return mul(e, difference, scaled(e, g, 2.0 * one_over_numel(n->in[0])));
}

/* g (sigmoid(logits) - target), of the mean's each element a numel-th */
static lh_tensor *d_logits(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *excess = op2(e, LH_OP_SUB, op1(e, LH_OP_SIGMOID, n->in[0]), n->in[1]);

    return mul(e, excess, g);
}

static lh_tensor *d_bce_logits(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return d_logits(e, n, i, scaled(e, g, one_over_numel(n->in[0])));
}

/* -g logits */
static lh_tensor *d_logits_target(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return mul(e, n->in[0], op1(e, LH_OP_NEG, g));
}

static lh_tensor *d_bce_target(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return d_logits_target(e, n, i, scaled(e, g, one_over_numel(n->in[0])));
}

static lh_tensor *d_bce_p(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op3(e, LH__OP_BCE_GRAD, g, n->in[0], n->in[1]);
}

static lh_tensor *one_minus(lh__engine *e, lh_tensor *x) {
    return op1_real(e, LH_OP_ADD_SCALAR, op1(e, LH_OP_NEG, x), 1.0);
}

/* max(x, least) */
static lh_tensor *at_least(lh__engine *e, lh_tensor *x, double least) {
    return op(e, LH_OP_CLAMP, 1, &x, 0, NULL, 2, (double[]){least, INFINITY});
}

/* g (log(1 - p) - log(p)), both at least -100 */
static lh_tensor *d_bce_t(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *p = n->in[0], *yes = at_least(e, op1(e, LH_OP_LOG, p), -100.0);
    lh_tensor *no = at_least(e, op1(e, LH_OP_LOG, one_minus(e, p)), -100.0);

    return mul(e, g, op2(e, LH_OP_SUB, no, yes));
}

/* Gradients of gradients; h is what arrives. */

static lh_tensor *d_bce_grad_g(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    return op3(e, LH__OP_BCE_GRAD, h, n->in[1], n->in[2]);
}

/* max(p (1 - p), 1e-12) */
static lh_tensor *variance(lh__engine *e, lh_tensor *p) {
    return at_least(e, mul(e, p, one_minus(e, p)), 1e-12);
}

/* h g (t + p^2 - 2 p t) / (p (1 - p))^2 */
static lh_tensor *d_bce_grad_p(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    lh_tensor *p = n->in[1], *t = n->in[2], *difference = op2(e, LH_OP_SUB, p, scaled(e, t, 2.0));
    lh_tensor *above = op2(e, LH_OP_ADD, t, mul(e, p, difference));
    lh_tensor *below = op1(e, LH_OP_SQUARE, variance(e, p));

    return mul(e, mul(e, h, n->in[0]), op2(e, LH_OP_DIV, above, below));
}

static lh_tensor *d_bce_grad_t(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *h) {
    return op1(e, LH_OP_NEG, op2(e, LH_OP_DIV, mul(e, h, n->in[0]), variance(e, n->in[1])));
}

/* Compositions. */

static int32_t is_mean(const lh__check *c) {
    return reduction_of(c) == LH_REDUCE_MEAN && c->n_in == 2;
}

static lh_tensor *difference(lh__check *c) {
    return op2(c->e, LH_OP_SUB, c->in[0], c->in[1]);
}

static lh_tensor *compose_mse(lh__check *c) {
    return is_mean(c) ? NULL : reduced(c, op1(c->e, LH_OP_SQUARE, difference(c)));
}

/* With a weight w of the positives: (1 - t) x + (1 + (w - 1) t) loss(x, 1). */
static lh_tensor *compose_bce_logits(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0], *t = c->in[1], *w, *one, *log_weight;

    if (is_mean(c))
        return NULL;
    if (c->n_in == 2)
        return reduced(c, op2(e, LH__OP_BCE_LOGITS, x, t));
    one = number(e, x, 1.0);
    w = op1_real(e, LH_OP_ADD_SCALAR, c->in[2], -1.0);
    log_weight = op1_real(e, LH_OP_ADD_SCALAR, mul(e, w, t), 1.0);
    return reduced(c, op2(e, LH_OP_ADD, mul(e, one_minus(e, t), x),
                          mul(e, log_weight, op2(e, LH__OP_BCE_LOGITS, x, one))));
}

static lh_tensor *compose_bce(lh__check *c) {
    lh_tensor *losses = op2(c->e, LH__OP_BCE, c->in[0], c->in[1]);

    return reduced(c, c->n_in > 2 ? mul(c->e, losses, c->in[2]) : losses);
}

static lh_tensor *compose_l1(lh__check *c) {
    return reduced(c, op1(c->e, LH_OP_ABS, difference(c)));
}

/* d^2 / 2 up to `limit`, from there on limit (d - limit / 2). */
static lh_tensor *huber(lh__check *c, double limit) {
    lh__engine *e = c->e;
    lh_tensor *d = op1(e, LH_OP_ABS, difference(c));
    lh_tensor *far = scaled(e, op1_real(e, LH_OP_ADD_SCALAR, d, -limit / 2.0), limit);
    lh_tensor *near = scaled(e, op1(e, LH_OP_SQUARE, d), 0.5);

    return d ? op3(e, LH_OP_WHERE, op2(e, LH_OP_LE, d, number(e, d, limit)), near, far) : NULL;
}

static lh_tensor *compose_huber(lh__check *c) {
    return reduced(c, huber(c, c->call->n_reals > 0 ? c->call->reals[0] : 1.0));
}

/* A Huber loss over its limit. */
static lh_tensor *compose_smooth_l1(lh__check *c) {
    double beta = c->call->n_reals > 0 ? c->call->reals[0] : 1.0;

    return beta == 0.0 ? compose_l1(c) : reduced(c, scaled(c->e, huber(c, beta), 1.0 / beta));
}

/* t (log t - x), 0 where t is 0; with log_target exp(t) (t - x). */
static lh_tensor *compose_kl_div(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0], *t = c->in[1], *safe;

    if (c->n_ints > 1 && c->ints[1])
        return reduced(c, mul(e, op1(e, LH_OP_EXP, t), op2(e, LH_OP_SUB, t, x)));
    safe = op3(e, LH_OP_WHERE, op2(e, LH_OP_EQ, t, number(e, t, 0.0)), number(e, t, 1.0), t);
    return reduced(c, op2(e, LH_OP_SUB, mul(e, t, op1(e, LH_OP_LOG, safe)), mul(e, t, x)));
}

static lh_tensor *dot(lh__engine *e, lh_tensor *a, lh_tensor *b, int64_t axis) {
    return op1_ints(e, LH_OP_SUM, mul(e, a, b), 2, (int64_t[]){0, axis});
}

/* a b / (max(|a|, eps) max(|b|, eps)) */
static lh_tensor *compose_cosine(lh__check *c) {
    double eps = c->call->n_reals > 0 ? c->call->reals[0] : 1e-8;
    lh__engine *e = c->e;
    lh_tensor *along = mul(e, c->in[0], c->in[1]), *norm[2];

    for (int32_t i = 0; along && i < 2; i++) {
        lh_tensor *x = op1_ints(e, LH_OP_EXPAND, c->in[i], along->view.ndim, along->view.shape);

        norm[i] = op1(e, LH_OP_SQRT, at_least(e, dot(e, x, x, c->ints[0]), eps * eps));
    }
    return along ? op2(e, LH_OP_DIV, op1_ints(e, LH_OP_SUM, along, 2, (int64_t[]){0, c->ints[0]}),
                       mul(e, norm[0], norm[1]))
                 : NULL;
}

/* 1 - cos where the target is 1, max(cos - margin, 0) where it is -1. */
static lh_tensor *compose_cosine_embedding(lh__check *c) {
    double margin = c->call->n_reals > 0 ? c->call->reals[0] : 0.0;
    int64_t axis = lh__in(c, 0)->ndim - 1;
    lh__engine *e = c->e;
    lh_tensor *a = c->in[0], *b = c->in[1], *aa = dot(e, a, a, axis), *bb = dot(e, b, b, axis);
    lh_tensor *below, *cosine, *apart, *alike;

    below =
        mul(e, op1_real(e, LH_OP_ADD_SCALAR, aa, 1e-12), op1_real(e, LH_OP_ADD_SCALAR, bb, 1e-12));
    cosine = op2(e, LH_OP_DIV, dot(e, a, b, axis), op1(e, LH_OP_SQRT, below));
    apart = at_least(e, op1_real(e, LH_OP_ADD_SCALAR, cosine, -margin), 0.0);
    alike = op2(e, LH_OP_EQ, c->in[2], number(e, c->in[2], 1.0));
    return reduced(c, op3(e, LH_OP_WHERE, alike, one_minus(e, cosine), apart));
}

/* |a - b + 1e-6| of the last axis, in the norm p; torch.nn.functional.pairwise_distance. */
static lh_tensor *distance(lh__engine *e, lh_tensor *a, lh_tensor *b, double p) {
    lh_tensor *d = op1_real(e, LH_OP_ADD_SCALAR, op2(e, LH_OP_SUB, a, b), 1e-6);

    return op(e, LH_OP_NORM, 1, &d, 2, (int64_t[]){0, -1}, 1, &p);
}

/* max(margin + distance to the positive - distance to the negative, 0) */
static lh_tensor *compose_triplet(lh__check *c) {
    const double *reals = c->call->reals;
    lh_tensor *near = distance(c->e, c->in[0], c->in[1], reals[1]);
    lh_tensor *far = distance(c->e, c->in[0], c->in[2], reals[1]);
    lh_tensor *margin = op1_real(c->e, LH_OP_ADD_SCALAR, op2(c->e, LH_OP_SUB, near, far), reals[0]);

    return reduced(c, at_least(c->e, margin, 0.0));
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_MSE_LOSS, "mse_loss", "a b", {2, 2}, {0, 1}, {0, 0}, 0, LH__REALS,
     shape_pair, {d_mse_loss, d_mse_loss}, compose_mse},
    {LH_OP_BCE_WITH_LOGITS, "bce_with_logits", "logits target pos_weight", {2, 3}, {0, 1}, {0, 0},
     0, LH__REALS, shape_weighted_pair, {d_bce_logits, d_bce_target}, compose_bce_logits},
    {LH_OP_L1_LOSS, "l1_loss", "a b", {2, 2}, {0, 1}, {0, 0}, 0, LH__REALS,
     shape_pair, {0}, compose_l1},
    {LH_OP_SMOOTH_L1_LOSS, "smooth_l1_loss", "a b", {2, 2}, {0, 1}, {0, 1}, 0, LH__REALS,
     shape_positive, {0}, compose_smooth_l1},
    {LH_OP_HUBER_LOSS, "huber_loss", "a b", {2, 2}, {0, 1}, {0, 1}, 0, LH__REALS,
     shape_positive, {0}, compose_huber},
    {LH_OP_BCE_LOSS, "bce_loss", "probabilities target weight", {2, 3}, {0, 1}, {0, 0}, 0,
     LH__REALS, shape_bce, {0}, compose_bce},
    {LH_OP_KL_DIV, "kl_div", "log_probabilities target", {2, 2}, {0, 2}, {0, 0}, 0, LH__REALS,
     shape_kl_div, {0}, compose_kl_div},
    {LH_OP_COSINE_SIMILARITY, "cosine_similarity", "a b", {2, 2}, {1, 1}, {0, 1}, 0, LH__REALS,
     shape_cosine, {0}, compose_cosine},
    {LH_OP_COSINE_EMBEDDING_LOSS, "cosine_embedding_loss", "a b target", {3, 3}, {0, 1}, {0, 1}, 0,
     LH__REALS, shape_cosine_embedding, {0}, compose_cosine_embedding},
    {LH_OP_TRIPLET_MARGIN_LOSS, "triplet_margin_loss", "anchor positive negative", {3, 3}, {0, 1},
     {2, 2}, 0, LH__REALS, shape_triplet, {0}, compose_triplet},

    /* what gradients are made of */
    {LH__OP_BCE, "bce", "probabilities target", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_broadcast, {d_bce_p, d_bce_t}, NULL},
    {LH__OP_BCE_GRAD, "bce_grad", "g probabilities target", {3, 3}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_broadcast, {d_bce_grad_g, d_bce_grad_p, d_bce_grad_t}, NULL},
    {LH__OP_BCE_LOGITS, "bce_logits", "logits target", {2, 2}, {0, 0}, {0, 0}, 0, LH__REALS,
     lh__shape_broadcast, {d_logits, d_logits_target}, NULL},
};
/* clang-format on */

const lh__family lh__loss = {rows, sizeof rows / sizeof *rows};
