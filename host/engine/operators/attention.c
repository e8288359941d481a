/* attention.c - scaled dot-product attention and rotary positions, made of other operators.
 *
 * Invariant: what is added to the scores is 0 or -infinity where a mask decides, and no softmax
 * runs over a row without a key: such a row's result and gradients are 0, as torch's
 * scaled_dot_product_attention has it.
 */
#include <math.h>

#include "engine/operators/rules.h"
#include "kernels/ref/ref.h"

/* The axes before the last two. */
static lh__view batch_of(const lh__view *x) {
    lh__view batch = *x;

    batch.ndim -= 2;
    return batch;
}

/* A mask has axes, and broadcasts to the scores, (..., t, s), without making them larger. */
static lh_status check_mask(lh__check *c, int64_t t, int64_t s) {
    const lh__view *mask = lh__in(c, 3);
    int32_t dtype = c->call->inputs[3]->view.dtype, ndim = c->out.ndim + 2;
    char text[LH__SHAPE_TEXT];
    int64_t scores[LH_MAX_DIMS];
    int32_t fits = mask->ndim > 0 && mask->ndim <= ndim;

    if (dtype != LH_BOOL && !lh__dtype_is_real(dtype))
        return lh__reject(c, LH_EDTYPE,
                          "the mask is %s; it has to be bool, 1 where a key is kept, or real, "
                          "added to the scores",
                          lh__dtype_name(dtype));
    for (int32_t d = 0; d < c->out.ndim; d++)
        scores[d] = c->out.shape[d];
    scores[ndim - 2] = t, scores[ndim - 1] = s;
    for (int32_t d = 0; fits && d < mask->ndim; d++)
        fits = mask->shape[d] == 1 || mask->shape[d] == scores[ndim - mask->ndim + d];
    if (!fits)
        return lh__reject(c, LH_ESHAPE, "the mask has to broadcast to the scores, %s",
                          lh__shape_text(ndim, scores, text));
    return LH_OK;
}

static lh_status shape_attention(lh__check *c) {
    static const char *const names[] = {"q", "k", "v"};
    const lh__view *q = lh__in(c, 0), *k = lh__in(c, 1), *v = lh__in(c, 2);
    lh__view batch_k = batch_of(k), batch_v = batch_of(v);
    double scale = c->call->reals[0], p = c->call->reals[1];
    lh_status status;

    for (int32_t i = 0; i < 3; i++)
        if (lh__in(c, i)->ndim < 2)
            return lh__reject(c, LH_ESHAPE, "%s needs two axes or more, (..., time, features)",
                              names[i]);
    if (q->shape[q->ndim - 1] != k->shape[k->ndim - 1])
        return lh__reject(c, LH_ESHAPE, "q has %lld features, k %lld; they have to be equal",
                          (long long)q->shape[q->ndim - 1], (long long)k->shape[k->ndim - 1]);
    if (k->shape[k->ndim - 2] != v->shape[v->ndim - 2])
        return lh__reject(c, LH_ESHAPE, "k has %lld positions, v %lld; they have to be equal",
                          (long long)k->shape[k->ndim - 2], (long long)v->shape[v->ndim - 2]);
    if (!isfinite(scale))
        return lh__reject(c, LH_EINVAL, "the scale %g is not finite; 0 is 1/sqrt(features)", scale);
    if (!(p >= 0.0 && p <= 1.0))
        return lh__reject(c, LH_EINVAL, "the dropout probability %g is not within 0 and 1", p);
    lh__set_shape(c, q->ndim - 2, q->shape);
    if ((status = lh__broadcast_into(c, &batch_k)) != LH_OK ||
        (status = lh__broadcast_into(c, &batch_v)) != LH_OK)
        return status;
    if (c->n_in > 3 &&
        (status = check_mask(c, q->shape[q->ndim - 2], k->shape[k->ndim - 2])) != LH_OK)
        return status;
    c->out.shape[c->out.ndim] = q->shape[q->ndim - 2];
    c->out.shape[c->out.ndim + 1] = v->shape[v->ndim - 1];
    c->out.ndim += 2;
    return LH_OK;
}

/* BOOL (t, s): a position sees itself and those before it, both counted from the first. */
static lh_tensor *causal_mask(lh__engine *e, int64_t t, int64_t s) {
    lh_tensor *mask = lh__tensor_new(e, LH_BOOL, 2, (int64_t[]){t, s}, NULL);

    for (int64_t i = 0; mask && i < t; i++)
        memset((uint8_t *)mask->view.data + i * s, 1, (size_t)(i + 1 < s ? i + 1 : s));
    return mask;
}

/* Where `keep`, BOOL, is 1: `bias`, a scalar 0 when NULL; elsewhere -infinity. */
static lh_tensor *kept(lh__engine *e, lh_tensor *keep, lh_tensor *bias, const lh_tensor *like) {
    return op3(e, LH_OP_WHERE, keep, bias ? bias : number(e, like, 0), number(e, like, -INFINITY));
}

/* What is added to the scores, of any shape that broadcasts to them; NULL: nothing. */
static lh_tensor *score_bias(const lh__check *c, int64_t t, int64_t s) {
    const lh_tensor *q = c->in[0];
    lh_tensor *given = c->n_in > 3 ? c->call->inputs[3] : NULL;
    lh_tensor *bias = given && given->view.dtype != LH_BOOL ? c->in[3] : NULL;

    if (given && !bias)
        bias = kept(c->e, given, NULL, q);
    return c->ints[0] ? kept(c->e, causal_mask(c->e, t, s), bias, q) : bias;
}

/* Whether row `row` of the bias has a key that isn't masked. O(1) for most masks. */
static int32_t is_alive(const lh__view *bias, int64_t row) {
    int64_t s = bias->shape[bias->ndim - 1], stride = bias->stride[bias->ndim - 1], at;
    lh__view rows = *bias;

    rows.ndim--;
    at = lh__view_offset(&rows, row);
    for (int64_t j = 0; j < s; j++)
        if (lh__load(bias, at + j * stride) != -INFINITY)
            return 1;
    return 0;
}

/* BOOL, of the bias's shape with 1 as its last extent: the rows with a key. *alive is NULL when all
 * have one. */
static lh_status find_alive(lh__engine *e, const lh__view *bias, lh_tensor **alive) {
    int64_t shape[LH_MAX_DIMS], rows = 1;
    uint8_t *flags;

    *alive = NULL;
    for (int32_t d = 0; d + 1 < bias->ndim; d++)
        rows *= shape[d] = bias->shape[d];
    for (int64_t i = 0; bias->ndim > 0 && i < rows; i++) {
        if (is_alive(bias, i))
            continue;
        if (!*alive) {
            shape[bias->ndim - 1] = 1;
            *alive = lh__tensor_new(e, LH_BOOL, bias->ndim, shape, NULL);
            if (!*alive)
                return LH_ENOMEM;
            memset((*alive)->view.data, 1, (size_t)rows);
        }
        flags = (*alive)->view.data;
        flags[i] = 0;
    }
    return LH_OK;
}

/* softmax(scale q k^T + bias) v */
static lh_tensor *compose_attention(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *q = c->in[0], *k = c->in[1], *v = c->in[2], *alive = NULL, *y, *bias;
    int64_t d = q->view.shape[q->view.ndim - 1], last = -1;
    double scale = c->call->reals[0], p = c->call->reals[1];
    int32_t biased = c->ints[0] || c->n_in > 3;

    bias = biased ? score_bias(c, q->view.shape[q->view.ndim - 2], k->view.shape[k->view.ndim - 2])
                  : NULL;
    if (biased && (!bias || lh__computed(e, bias) != LH_OK || find_alive(e, &bias->view, &alive) != LH_OK))
        return NULL;
    y = scaled(e, q, scale != 0 ? scale : 1 / sqrt((double)d));
    y = op2(e, LH_OP_MATMUL, y, transposed(e, k));
    if (bias)
        y = op2(e, LH_OP_ADD, y, bias);
    if (alive)
        y = op3(e, LH_OP_WHERE, alive, y, number(e, q, 0));
    y = op1_ints(e, LH_OP_SOFTMAX, y, 1, &last);
    if (p > 0)
        y = op1_real(e, LH_OP_DROPOUT, y, p);
    y = op2(e, LH_OP_MATMUL, y, v);
    return alive ? op3(e, LH_OP_WHERE, alive, y, number(e, q, 0)) : y;
}

static lh_status shape_rope(lh__check *c) {
    const lh__view *x = lh__in(c, 0);

    if (x->ndim < 2 || x->ndim == LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "x needs 2 to %d axes, (..., time, features)",
                          LH_MAX_DIMS - 1);
    if (x->shape[x->ndim - 1] % 2 != 0)
        return lh__reject(c, LH_ESHAPE, "features are turned in pairs: %lld of them is odd",
                          (long long)x->shape[x->ndim - 1]);
    if (!(c->call->reals[0] > 0 && isfinite(c->call->reals[0])))
        return lh__reject(c, LH_EINVAL, "the base %g has to be positive and finite",
                          c->call->reals[0]);
    return lh__shape_same(c);
}

/* cos and sin of the angle of each element, F64: (first + i) base^(-2j/d) of pair j at time i; the
 * sine of a pair's first element is negated. Shape (t, pairs, 2) or (t, 2, pairs). */
static lh_tensor *angles(const lh__check *c, int32_t ndim, const int64_t *shape, int32_t sine) {
    lh_tensor *table = lh__tensor_new(c->e, LH_F64, ndim, shape, NULL);
    const lh__view *x = lh__in(c, 0);
    int64_t t = x->shape[x->ndim - 2], d = x->shape[x->ndim - 1], half = d / 2;
    int64_t step = c->ints[1] ? 2 : 1, other = c->ints[1] ? 1 : half;

    for (int64_t j = 0; table && j < half; j++) {
        double frequency = pow(c->call->reals[0], -2.0 * (double)j / (double)d);

        for (int64_t i = 0; i < t; i++) {
            double *at = (double *)table->view.data + i * d + j * step;
            double angle = ((double)c->ints[0] + (double)i) * frequency;

            at[0] = sine ? -sin(angle) : cos(angle);
            at[other] = sine ? sin(angle) : cos(angle);
        }
    }
    return table ? cast_like(c->e, table, c->in[0]) : NULL;
}

/* Pair (a, b) becomes (a cos - b sin, b cos + a sin): x cos + (b, a) (-sin, sin). */
static lh_tensor *compose_rope(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *x = c->in[0], *swapped;
    int32_t ndim = x->view.ndim + 1;
    int64_t shape[LH_MAX_DIMS], axis = ndim - (c->ints[1] ? 1 : 2);

    for (int32_t d = 0; d + 1 < x->view.ndim; d++)
        shape[d] = x->view.shape[d];
    shape[ndim - 2] = shape[ndim - 1] = x->view.shape[x->view.ndim - 1] / 2;
    shape[axis] = 2;
    x = reshaped(e, op1(e, LH_OP_CONTIGUOUS, x), ndim, shape);
    swapped = op1_ints(e, LH_OP_FLIP, x, 1, &axis);
    x = mul(e, x, angles(c, 3, shape + ndim - 3, 0));
    x = op2(e, LH_OP_ADD, x, mul(e, swapped, angles(c, 3, shape + ndim - 3, 1)));
    return reshaped_like(e, x, c->in[0]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_ATTENTION, "attention", "q k v mask", {3, 4}, {1, 1}, {2, 2}, 0, LH__REALS,
     shape_attention, {0}, compose_attention},
    {LH_OP_ROPE, "rope", "x", {1, 1}, {2, 2}, {1, 1}, 0, LH__REALS,
     shape_rope, {0}, compose_rope},
};
/* clang-format on */

const lh__family lh__attention = {rows, sizeof rows / sizeof *rows};
