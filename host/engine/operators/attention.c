/* attention.c - scaled dot-product attention and rotary positions.
 *
 * Attention has a kernel that doesn't store the scores, and is made of other operators where that
 * isn't enough: where a gradient flows to the mask, where gradients are themselves derived, for
 * half precision, and while somebody watches. Invariant: a row without a key has a result and
 * gradients of 0, as torch's scaled_dot_product_attention has it; in compositions no softmax runs
 * over it.
 */
#include <math.h>

#include "engine/operators/rules.h"
#include "engine/state.h"
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

/* What the weights are made of: softmax(scale q k^T + mask). */
typedef struct form {
    lh_tensor *q, *k, *mask; /* mask BOOL, or added, or NULL */
    int64_t causal;
    double scale, p;
} form;

/* What is added to the scores, of any shape that broadcasts to them; NULL: nothing. */
static lh_tensor *score_bias(lh__engine *e, const form *f) {
    const lh__view *q = &f->q->view, *k = &f->k->view;
    lh_tensor *bias = f->mask;

    if (bias && bias->view.dtype == LH_BOOL)
        bias = kept(e, bias, NULL, f->q);
    if (!f->causal)
        return bias;
    return kept(e, causal_mask(e, q->shape[q->ndim - 2], k->shape[k->ndim - 2]), bias, f->q);
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

/* The weights, before dropout; those of the rows that *alive leaves out mean nothing. */
static lh_tensor *weights(lh__engine *e, const form *f, lh_tensor **alive) {
    lh_tensor *bias = f->causal || f->mask ? score_bias(e, f) : NULL, *y;
    const int64_t last = -1;

    *alive = NULL;
    if ((f->causal || f->mask) &&
        (!bias || lh__computed(e, bias) != LH_OK || find_alive(e, &bias->view, alive) != LH_OK))
        return NULL;
    y = op2(e, LH_OP_MATMUL, scaled(e, f->q, f->scale), transposed(e, f->k));
    if (bias)
        y = op2(e, LH_OP_ADD, y, bias);
    if (*alive)
        y = op3(e, LH_OP_WHERE, *alive, y, number(e, f->q, 0));
    return op1_ints(e, LH_OP_SOFTMAX, y, 1, &last);
}

/* x, 0 in the rows that `alive` leaves out; NULL: all are alive. */
static lh_tensor *living(lh__engine *e, lh_tensor *alive, lh_tensor *x) {
    return alive ? op3(e, LH_OP_WHERE, alive, x, number(e, x, 0)) : x;
}

/* As the kernel takes it: (n, heads, ...), with the batch axes of the result. */
static lh_tensor *by_heads(lh__check *c, lh_tensor *x) {
    int32_t batch = c->out.ndim - 2, ndim = batch + 2;
    int64_t full[LH_MAX_DIMS], shape[4] = {1, 1};

    if (!x)
        return NULL;
    for (int32_t d = 0; d < batch; d++) {
        full[d] = c->out.shape[d];
        shape[d > 0 && d == batch - 1] *= full[d];
    }
    for (int32_t d = 0; d < 2; d++)
        shape[2 + d] = full[batch + d] = x->view.shape[x->view.ndim - 2 + d];
    x = op1_ints(c->e, LH_OP_EXPAND, x, ndim, full);
    return ndim == 4 ? x : reshaped(c->e, x, 4, shape);
}

/* The mask for all scores. */
static lh_tensor *mask_by_heads(lh__check *c, lh_tensor *mask, int64_t t, int64_t s) {
    int64_t full[LH_MAX_DIMS];

    for (int32_t d = 0; d + 2 < c->out.ndim; d++)
        full[d] = c->out.shape[d];
    full[c->out.ndim - 2] = t, full[c->out.ndim - 1] = s;
    return by_heads(c, op1_ints(c->e, LH_OP_EXPAND, mask, c->out.ndim, full));
}

/* How many of n and heads lie before the positions of q in memory: results do as it does, so that
 * heads that were split without a copy are joined without one. */
static int64_t axes_before(const lh__view *q) {
    if (q->shape[0] > 1 && q->stride[2] > q->stride[0])
        return 0;
    return q->shape[1] > 1 && q->stride[2] > q->stride[1] ? 1 : 2;
}

/* The tensor (n, heads, positions, features) in a vector of the kernels' from element *at on, which
 * moves behind it. */
static lh_tensor *part_of(lh__engine *e, lh_tensor *vector, int64_t *at, const lh__view *q,
                          int64_t positions, int64_t features, int64_t before) {
    static const int64_t order[3][4] = {{1, 2, 0, 3}, {0, 2, 1, 3}, {0, 1, 2, 3}};
    int64_t shape[4], end = *at + q->shape[0] * q->shape[1] * positions * features, axis = 0;
    lh_tensor *part = op1_ints(e, LH_OP_SLICE, vector, 4, (int64_t[]){0, *at, end, 1});

    for (int32_t d = 0; d < 3; d++)
        shape[d] = d == before ? positions : q->shape[axis++];
    shape[3] = features;
    *at = end;
    return op1_ints(e, LH_OP_PERMUTE, reshaped(e, part, 4, shape), 4, order[before]);
}

/* Whether the positions of q, k and v lie side by side, n outermost, as rows of one projection do:
 * then so do those of their gradients. */
static int32_t are_joined(const lh__view *q, const lh__view *k, const lh__view *v) {
    const lh__view *const all[] = {q, k, v};
    const int64_t heads = q->shape[1], row = heads * (2 * q->shape[3] + v->shape[3]);
    int32_t are = q->shape[2] == v->shape[2];

    for (int32_t i = 0; are && i < 3; i++) {
        const lh__view *x = all[i];

        are = x->stride[3] == 1 && x->stride[2] == row &&
              (heads == 1 || x->stride[1] == x->shape[3]) &&
              (x->shape[0] == 1 || x->stride[0] == x->shape[2] * row);
    }
    return are;
}

/* Part i of the gradients, (n, heads, positions, features), where these lie side by side. */
static lh_tensor *joined_part(lh__engine *e, lh_tensor *vector, int32_t i, const lh__view *q,
                              const lh__view *v) {
    const int64_t n = q->shape[0], heads = q->shape[1], t = q->shape[2], d = q->shape[3];
    const int64_t row = heads * (2 * d + v->shape[3]), first = i * heads * d;
    const int64_t features = i < 2 ? d : v->shape[3];
    lh_tensor *part = reshaped(e, vector, 3, (int64_t[]){n, t, row});

    part = op1_ints(e, LH_OP_SLICE, part, 4, (int64_t[]){2, first, first + heads * features, 1});
    part = reshaped(e, part, 4, (int64_t[]){n, t, heads, features});
    return op1_ints(e, LH_OP_PERMUTE, part, 4, (int64_t[]){0, 2, 1, 3});
}

/* The kernel's way. */
static lh_tensor *attended(lh__check *c, const form *f) {
    lh__engine *e = c->e;
    lh_tensor *in[6] = {NULL, NULL, by_heads(c, f->q), by_heads(c, f->k), by_heads(c, c->in[2])},
              *y;
    const int64_t t = c->out.shape[c->out.ndim - 2], features = c->out.shape[c->out.ndim - 1];
    const uint32_t ordinal = e->ordinal;
    int64_t ints[2] = {f->causal}, first = 0;
    int32_t n_in = f->mask ? 6 : 5, recording;

    if (f->mask)
        in[5] = mask_by_heads(c, f->mask, t, lh__in(c, 1)->shape[lh__in(c, 1)->ndim - 2]);
    if (!in[2])
        return NULL;
    ints[1] = axes_before(&in[2]->view);
    recording = lh__set_grad_enabled(e, 0);
    in[1] = op(e, LH__OP_ATTENTION, n_in - 2, in + 2, 2, ints, 2, (double[]){f->scale, f->p});
    in[0] = part_of(e, in[1], &first, &in[2]->view, t, features, ints[1]);
    lh__set_grad_enabled(e, recording);
    e->ordinal = ordinal; /* the gradient draws what the result drew */
    y = op(e, LH__OP_ATTENDED, n_in, in, 2, ints, 2, (double[]){f->scale, f->p});
    if (f->p == 0)
        e->ordinal = ordinal;
    return c->out.ndim == 4 ? y : reshaped(e, y, c->out.ndim, c->out.shape);
}

/* Gradients that can be derived again: with weights w, a = dropout(w) and s the scores,
 * dv = a^T g, da = g v^T, dq = scale ds k, dk = scale ds^T q. */
static lh_tensor *derivable(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const form f = {.q = n->in[2],
                    .k = n->in[3],
                    .mask = n->n_in > 5 ? n->in[5] : NULL,
                    .causal = n->ints[0],
                    .scale = n->reals[0],
                    .p = n->reals[1]};
    const int64_t last = 3;
    lh_tensor *alive, *w = weights(e, &f, &alive), *ds;

    g = living(e, alive, g);
    if (i == 4) {
        w = f.p > 0 ? op1_real(e, LH__OP_DROPOUT_MASK, w, f.p) : w;
        return op2(e, LH_OP_MATMUL, transposed(e, w), g);
    }
    ds = op2(e, LH_OP_MATMUL, g, transposed(e, n->in[4]));
    if (f.p > 0)
        ds = op1_real(e, LH__OP_DROPOUT_MASK, ds, f.p);
    ds = op(e, LH__OP_SOFTMAX_GRAD, 2, (lh_tensor *[]){ds, w}, 1, &last, 0, NULL);
    ds = scaled(e, ds, f.scale);
    return i == 2 ? op2(e, LH_OP_MATMUL, ds, f.k) : op2(e, LH_OP_MATMUL, transposed(e, ds), f.q);
}

static lh_tensor *d_attended(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *q = &n->in[2]->view, *v = &n->in[4]->view;
    const int64_t ints[] = {n->ints[0], n->ints[1], are_joined(q, &n->in[3]->view, v)};
    lh_tensor *in[6], *part = NULL;
    int64_t at = 0;

    if (e->grad_enabled)
        return derivable(e, n, i, g);
    in[0] = g;
    for (int32_t k = 1; k < n->n_in; k++)
        in[k] = n->in[k];
    if (!*n->joint)
        *n->joint = op(e, LH__OP_ATTENTION_GRAD, n->n_in, in, 3, ints, n->n_reals, n->reals);
    if (ints[2])
        return joined_part(e, *n->joint, i - 2, q, v);
    for (int32_t k = 2; k <= i; k++)
        part = part_of(e, *n->joint, &at, q, n->in[k]->view.shape[2], n->in[k]->view.shape[3],
                       n->ints[1]);
    return part;
}

static lh_tensor *compose_attention(lh__check *c) {
    lh__engine *e = c->e;
    const lh__view *q = lh__in(c, 0);
    lh_tensor *given = c->n_in > 3 ? c->call->inputs[3] : NULL, *alive, *y;
    form f = {.q = c->in[0], .k = c->in[1], .causal = c->ints[0]};
    int32_t whole = q->dtype == LH_F32 || q->dtype == LH_F64;

    f.mask = given && given->view.dtype != LH_BOOL ? c->in[3] : given;
    f.scale = c->call->reals[0];
    f.scale = f.scale != 0 ? f.scale : 1 / sqrt((double)q->shape[q->ndim - 1]);
    f.p = e->training ? c->call->reals[1] : 0;
    if (whole && !e->watcher && !(e->grad_enabled && f.mask && f.mask->requires_grad))
        return attended(c, &f);
    y = weights(e, &f, &alive);
    if (f.p > 0)
        y = op1_real(e, LH_OP_DROPOUT, y, f.p);
    return living(e, alive, op2(e, LH_OP_MATMUL, y, c->in[2]));
}

/* A vector of the result and a number for each of its rows. */
static lh_status shape_vector(lh__check *c) {
    const lh__view *q = lh__in(c, 0), *v = lh__in(c, 2);

    return lh__set_shape(c, 1,
                         (int64_t[]){q->shape[0] * q->shape[1] * q->shape[2] * (v->shape[3] + 1)});
}

/* A vector of all gradients. */
static lh_status shape_vector_grad(lh__check *c) {
    int64_t n = 0;

    for (int32_t i = 2; i < 5; i++)
        n += lh__view_numel(lh__in(c, i));
    return lh__set_shape(c, 1, &n);
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

    /* what these are made of */
    {LH__OP_ATTENTION, "attention_kernel", "q k v mask", {3, 4}, {2, 2}, {2, 2}, LH__RANDOM,
     LH__AS_IS, shape_vector, {0}, NULL},
    {LH__OP_ATTENDED, "attended", "y vector q k v mask", {5, 6}, {2, 2}, {2, 2}, LH__RANDOM,
     LH__AS_IS, lh__shape_view, {NULL, NULL, d_attended, d_attended, d_attended}, NULL},
    {LH__OP_ATTENTION_GRAD, "attention_grad", "g vector q k v mask", {5, 6}, {3, 3}, {2, 2},
     LH__REPLAYS, LH__AS_IS, shape_vector_grad, {0}, NULL},
};
/* clang-format on */

const lh__family lh__attention = {rows, sizeof rows / sizeof *rows};
