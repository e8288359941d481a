/* rules.c - see rules.h. */
#include "engine/operators/rules.h"

#include "kernels/view.h"

lh_status lh__set_shape(lh__check *c, int32_t ndim, const int64_t *shape) {
    c->out.ndim = ndim;
    for (int32_t d = 0; d < ndim; d++)
        c->out.shape[d] = shape[d];
    return LH_OK;
}

lh_status lh__set_scalar(lh__check *c) {
    c->out.ndim = 0;
    return LH_OK;
}

lh_status lh__fix_axis(const lh__check *c, int64_t *axis, int32_t ndim) {
    if (*axis < -ndim || *axis >= ndim)
        return lh__reject(c, LH_ESHAPE, "axis %lld doesn't exist; the first operand has %d axes",
                          (long long)*axis, ndim);
    *axis += *axis < 0 ? ndim : 0;
    return LH_OK;
}

lh_status lh__broadcast_into(lh__check *c, const lh__view *v) {
    int32_t lead = c->out.ndim - v->ndim;

    if (lead < 0) {
        for (int32_t d = c->out.ndim - 1; d >= 0; d--)
            c->out.shape[d - lead] = c->out.shape[d];
        for (int32_t d = 0; d < -lead; d++)
            c->out.shape[d] = 1;
        c->out.ndim = v->ndim;
        lead = 0;
    }
    for (int32_t d = 0; d < v->ndim; d++) {
        int64_t *have = &c->out.shape[d + lead], extent = v->shape[d];

        if (*have != extent && *have != 1 && extent != 1)
            return lh__reject(c, LH_ESHAPE,
                              "the shapes don't broadcast: %lld and %lld on axis %d; counted from "
                              "the last, axes have to be equal or 1",
                              (long long)*have, (long long)extent, d + lead - c->out.ndim);
        if (*have == 1)
            *have = extent;
    }
    return LH_OK;
}

lh_status lh__shape_broadcast(lh__check *c) {
    lh_status status = LH_OK;

    lh__set_shape(c, lh__in(c, 0)->ndim, lh__in(c, 0)->shape);
    for (int32_t i = 1; i < c->n_in && status == LH_OK; i++)
        status = lh__broadcast_into(c, lh__in(c, i));
    return status;
}

lh_status lh__shape_same(lh__check *c) {
    return lh__set_shape(c, lh__in(c, 0)->ndim, lh__in(c, 0)->shape);
}

lh_status lh__shape_second(lh__check *c) {
    return lh__set_shape(c, lh__in(c, 1)->ndim, lh__in(c, 1)->shape);
}

lh_status lh__shape_axis(lh__check *c) {
    lh_status status = lh__fix_axis(c, &c->ints[0], lh__in(c, 0)->ndim);

    return status == LH_OK ? lh__shape_same(c) : status;
}

lh_status lh__check_range(const lh__check *c, int32_t k, int64_t limit, const char *what) {
    const lh__view *index = lh__in(c, k);
    int64_t n = lh__view_numel(index);
    int32_t contiguous = lh__view_is_contiguous(index);
    const int32_t is_known = c->in[k]->limit > 0 && c->in[k]->limit <= limit;
    lh_status status = is_known ? LH_OK : lh__computed(c->e, c->in[k]);
    const int64_t *data = index->data;

    for (int64_t i = 0; status == LH_OK && !is_known && i < n; i++) {
        int64_t value = data[contiguous ? i : lh__view_offset(index, i)];

        if (value < 0 || value >= limit)
            return lh__reject(c, LH_EINVAL, "%s %lld at element %lld is outside 0 ... %lld", what,
                              (long long)value, (long long)i, (long long)limit - 1);
    }
    return status;
}

int32_t lh__is_probability(const lh_tensor *t) {
    const uint32_t op = t->node ? t->node->row->op : 0;

    return op == LH_OP_SIGMOID;
}

lh_status lh__shape_from(lh__check *c, int32_t first) {
    int32_t ndim = c->n_ints - first;

    if (ndim < 0 || ndim > LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "%d axes asked for; 0 to %d are possible", ndim,
                          LH_MAX_DIMS);
    for (int32_t d = 0; d < ndim; d++)
        if (c->ints[first + d] < 0)
            return lh__reject(c, LH_ESHAPE, "axis %d can't have length %lld", d,
                              (long long)c->ints[first + d]);
    return lh__set_shape(c, ndim, c->ints + first);
}

lh_status lh__shape_tail(lh__check *c) {
    return lh__shape_from(c, c->row->ints.min);
}

lh_status lh__shape_view(lh__check *c) {
    c->out = *lh__in(c, 0);
    c->is_view = 1;
    return LH_OK;
}

lh_tensor *lh__compose_contiguous(lh__check *c) {
    for (int32_t k = 0; k < c->n_in; k++) {
        if (lh__view_is_contiguous(lh__in(c, k)))
            continue;
        c->in[k] = op1(c->e, LH_OP_CONTIGUOUS, c->in[k]);
        if (!c->in[k])
            break; /* recorded */
    }
    return NULL;
}

/* Axes d and the last, swapped. */
static lh_tensor *swapped(lh__engine *e, lh_tensor *t, int64_t d) {
    int64_t axes[LH_MAX_DIMS];

    for (int32_t k = 0; t && k < t->view.ndim; k++)
        axes[k] = k;
    if (t)
        axes[d] = t->view.ndim - 1, axes[t->view.ndim - 1] = d;
    return t ? op1_ints(e, LH_OP_PERMUTE, t, t->view.ndim, axes) : NULL;
}

lh_tensor *lh__compose_lines(lh__check *c, int32_t which) {
    lh_tensor *in[LH__MAX_INPUTS], *out;
    int64_t axis = c->ints[which], ints[LH__MAX_INTS];

    if (axis == lh__in(c, 0)->ndim - 1)
        return lh__compose_contiguous(c);
    for (int32_t k = 0; k < c->n_in; k++)
        in[k] = op1(c->e, LH_OP_CONTIGUOUS, swapped(c->e, c->in[k], axis));
    for (int32_t k = 0; k < c->n_ints; k++)
        ints[k] = k == which ? lh__in(c, 0)->ndim - 1 : c->ints[k];
    out = op(c->e, c->row->op, c->n_in, in, c->n_ints, ints, c->call->n_reals, c->call->reals);
    return swapped(c->e, out, axis);
}

lh_tensor *lh__d_zero(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    const lh__view *x = &n->in[i]->view;
    int64_t ints[1 + LH_MAX_DIMS] = {x->dtype};
    const double zero = 0.0;

    for (int32_t d = 0; d < x->ndim; d++)
        ints[1 + d] = x->shape[d];
    return op(e, LH_OP_FULL, 0, NULL, 1 + x->ndim, ints, 1, &zero);
}

lh_tensor *lh__d_same(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op(e, n->row->op, 2, (lh_tensor *[]){g, n->in[1]}, n->n_ints, n->ints, n->n_reals,
              n->reals);
}

lh_tensor *lh__d_identity(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return g;
}
