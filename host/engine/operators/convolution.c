/* convolution.c - convolution, its transpose, and what their gradients are made of.
 *
 * Invariant: the three operators are closed under differentiation. With L the large side, S the
 * small one and W the weight: CONV is (L, W) -> S, CONV_TRANSPOSE (S, W) -> L, CONV_WEIGHT_GRAD
 * (S, L) -> W; each gradient is one of the others, so there are derivatives of any order.
 */
#include "engine/operators/rules.h"

#include "kernels/view.h"

/* Where the call's integers begin, one per spatial axis; groups follow the last. */
typedef struct places {
    int32_t axes, stride, padding, output_padding, dilation, groups;
} places;

static places places_of(uint32_t op, int32_t axes) {
    int32_t transpose = op == LH_OP_CONV_TRANSPOSE;

    return (places){.axes = axes,
                    .padding = axes,
                    .output_padding = 2 * axes,
                    .dilation = (2 + transpose) * axes,
                    .groups = (3 + transpose) * axes};
}

/* Ranks, integers and channels: what both directions ask for. */
static lh_status check_operands(const lh__check *c, places *at) {
    const lh__view *x = lh__in(c, 0), *weight = lh__in(c, 1);
    int32_t transpose = c->call->op == LH_OP_CONV_TRANSPOSE, axes = x->ndim - 2;
    int64_t groups;

    if (axes < 1 || axes > 3)
        return lh__reject(c, LH_ESHAPE, "x needs 3 to 5 axes, (n, channels, 1 to 3 spatial ones)");
    if (weight->ndim != x->ndim)
        return lh__reject(c, LH_ESHAPE, "weight needs as many axes as x: %d", x->ndim);
    *at = places_of(c->call->op, axes);
    if (c->n_ints != at->groups + 1)
        return lh__reject(c, LH_EINVAL, "%d integers given; %d spatial axes take %d", c->n_ints,
                          axes, at->groups + 1);
    for (int32_t d = 0; d < axes; d++) {
        if (c->ints[at->stride + d] < 1 || c->ints[at->dilation + d] < 1)
            return lh__reject(c, LH_EINVAL, "stride and dilation have to be at least 1");
        if (c->ints[at->padding + d] < 0)
            return lh__reject(c, LH_EINVAL, "padding can't be negative; slice x instead");
        if (weight->shape[2 + d] < 1)
            return lh__reject(c, LH_ESHAPE, "the kernel has no extent on spatial axis %d", d);
        if (c->ints[at->stride + d] > INT32_MAX || c->ints[at->dilation + d] > INT32_MAX ||
            c->ints[at->padding + d] > INT32_MAX || x->shape[2 + d] > INT32_MAX ||
            weight->shape[2 + d] > INT32_MAX)
            return lh__reject(c, LH_EINVAL,
                              "extents, stride, padding and dilation have to be below 2^31");
    }
    groups = c->ints[at->groups];
    if (groups < 1 || x->shape[1] % groups || weight->shape[0] % groups)
        return lh__reject(c, LH_EINVAL,
                          "%lld groups: the channels of x, %lld, and the first axis of weight, "
                          "%lld, have to be multiples of it",
                          (long long)groups, (long long)x->shape[1], (long long)weight->shape[0]);
    if (!transpose && x->shape[1] != weight->shape[1] * groups)
        return lh__reject(c, LH_ESHAPE,
                          "x has %lld channels; a weight (out, in / groups, ...) of this shape "
                          "with %lld groups takes %lld",
                          (long long)x->shape[1], (long long)groups,
                          (long long)(weight->shape[1] * groups));
    if (transpose && x->shape[1] != weight->shape[0])
        return lh__reject(c, LH_ESHAPE,
                          "x has %lld channels; a weight (in, out / groups, ...) of this shape "
                          "takes %lld",
                          (long long)x->shape[1], (long long)weight->shape[0]);
    return LH_OK;
}

static lh_status check_bias(const lh__check *c, int64_t channels) {
    if (c->n_in == 3 && (lh__in(c, 2)->ndim != 1 || lh__in(c, 2)->shape[0] != channels))
        return lh__reject(c, LH_ESHAPE, "bias doesn't fit weight: it has to be (%lld)",
                          (long long)channels);
    return LH_OK;
}

static lh_status shape_conv(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *weight = lh__in(c, 1);
    places at;
    lh_status status = check_operands(c, &at);

    if (status != LH_OK || (status = check_bias(c, weight->shape[0])) != LH_OK)
        return status;
    lh__set_shape(c, x->ndim, x->shape);
    c->out.shape[1] = weight->shape[0];
    for (int32_t d = 0; d < at.axes; d++) {
        int64_t reach = (weight->shape[2 + d] - 1) * c->ints[at.dilation + d] + 1;
        int64_t have = x->shape[2 + d] + 2 * c->ints[at.padding + d];

        if (reach > have)
            return lh__reject(c, LH_ESHAPE,
                              "the kernel reaches over %lld positions of spatial axis %d; x with "
                              "its padding has %lld",
                              (long long)reach, d, (long long)have);
        c->out.shape[2 + d] = (have - reach) / c->ints[at.stride + d] + 1;
    }
    return LH_OK;
}

/* Extent of a transposed convolution without its output padding. */
static int64_t transposed_extent(int64_t extent, int64_t kernel, int64_t stride, int64_t padding,
                                 int64_t dilation) {
    return (extent - 1) * stride - 2 * padding + (kernel - 1) * dilation + 1;
}

static lh_status shape_conv_transpose(lh__check *c) {
    const lh__view *x = lh__in(c, 0), *weight = lh__in(c, 1);
    places at;
    lh_status status = check_operands(c, &at);
    int64_t channels = status == LH_OK ? weight->shape[1] * c->ints[at.groups] : 0;

    if (status != LH_OK || (status = check_bias(c, channels)) != LH_OK)
        return status;
    lh__set_shape(c, x->ndim, x->shape);
    c->out.shape[1] = channels;
    for (int32_t d = 0; d < at.axes; d++) {
        int64_t stride = c->ints[at.stride + d], dilation = c->ints[at.dilation + d];
        int64_t extra = c->ints[at.output_padding + d];
        int64_t extent = transposed_extent(x->shape[2 + d], weight->shape[2 + d], stride,
                                           c->ints[at.padding + d], dilation);

        if (extra < 0 || (extra >= stride && extra >= dilation))
            return lh__reject(c, LH_EINVAL,
                              "output_padding %lld has to be at least 0, and smaller than the "
                              "stride or the dilation",
                              (long long)extra);
        if (x->shape[2 + d] < 1 || extent + extra < 1)
            return lh__reject(c, LH_ESHAPE, "nothing is left of spatial axis %d: lower the padding",
                              d);
        c->out.shape[2 + d] = extent + extra;
    }
    return LH_OK;
}

/* (g, x) ints as CONV, then the shape of weight. */
static lh_status shape_weight_grad(lh__check *c) {
    return lh__shape_from(c, 3 * (lh__in(c, 0)->ndim - 2) + 1);
}

/* Gradients. Every node's spatial integers, in the order of CONV. */

typedef struct spatial {
    int32_t axes;
    int64_t ints[LH__MAX_INTS]; /* stride.., padding.., dilation.., groups */
} spatial;

static spatial spatial_of(const lh__node *n) {
    spatial s = {.axes = n->in[0]->view.ndim - 2};
    places at = places_of(n->row->op, s.axes);

    for (int32_t d = 0; d < s.axes; d++) {
        s.ints[d] = n->ints[at.stride + d];
        s.ints[s.axes + d] = n->ints[at.padding + d];
        s.ints[2 * s.axes + d] = n->ints[at.dilation + d];
    }
    s.ints[3 * s.axes] = n->ints[at.groups];
    return s;
}

/* The small side, of the shape of `like`: an output padding as large as the stride may have left
 * room for more positions than it has. */
static lh_tensor *to_small(lh__engine *e, const spatial *s, lh_tensor *large, lh_tensor *weight,
                           const lh_tensor *like) {
    lh_tensor *t =
        op(e, LH_OP_CONV, 2, (lh_tensor *[]){large, weight}, 3 * s->axes + 1, s->ints, 0, NULL);

    for (int32_t d = 2; t && d < like->view.ndim; d++)
        if (t->view.shape[d] != like->view.shape[d])
            t = op1_ints(e, LH_OP_SLICE, t, 4, (int64_t[]){d, 0, like->view.shape[d], 1});
    return t;
}

/* The large side, of the shape of `like`, which sets the output padding. */
static lh_tensor *to_large(lh__engine *e, const spatial *s, lh_tensor *small, lh_tensor *weight,
                           const lh_tensor *like) {
    int64_t ints[LH__MAX_INTS];
    int32_t axes = s->axes;

    if (!small || !weight)
        return NULL;
    for (int32_t d = 0; d < axes; d++) {
        int64_t stride = s->ints[d], padding = s->ints[axes + d], dilation = s->ints[2 * axes + d];

        ints[d] = stride;
        ints[axes + d] = padding;
        ints[2 * axes + d] = like->view.shape[2 + d] - transposed_extent(small->view.shape[2 + d],
                                                                         weight->view.shape[2 + d],
                                                                         stride, padding, dilation);
        ints[3 * axes + d] = dilation;
    }
    ints[4 * axes] = s->ints[3 * axes];
    return op(e, LH_OP_CONV_TRANSPOSE, 2, (lh_tensor *[]){small, weight}, 4 * axes + 1, ints, 0,
              NULL);
}

static lh_tensor *to_weight(lh__engine *e, const spatial *s, lh_tensor *small, lh_tensor *large,
                            const lh_tensor *like) {
    int64_t ints[LH__MAX_INTS];
    int32_t n = 3 * s->axes + 1;

    for (int32_t k = 0; k < n; k++)
        ints[k] = s->ints[k];
    for (int32_t d = 0; d < like->view.ndim; d++)
        ints[n + d] = like->view.shape[d];
    return op(e, LH__OP_CONV_WEIGHT_GRAD, 2, (lh_tensor *[]){small, large}, n + like->view.ndim,
              ints, 0, NULL);
}

static lh_tensor *d_conv_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_large(e, &s, g, n->in[1], n->in[i]);
}

static lh_tensor *d_conv_weight(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_weight(e, &s, g, n->in[0], n->in[i]);
}

static lh_tensor *d_transpose_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_small(e, &s, g, n->in[1], n->in[i]);
}

static lh_tensor *d_transpose_weight(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_weight(e, &s, n->in[0], g, n->in[i]);
}

/* Sum over images and positions. */
static lh_tensor *d_bias(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    return op1_ints(e, LH_OP_SUM, g, g->view.ndim, (int64_t[]){0, 0, 2, 3, 4});
}

static lh_tensor *d_weight_grad_g(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_small(e, &s, n->in[1], g, n->in[i]);
}

static lh_tensor *d_weight_grad_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    spatial s = spatial_of(n);

    return to_large(e, &s, n->in[0], g, n->in[i]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_CONV, "conv", "x weight bias", {2, 3}, {4, 10}, {0, 0}, 0, LH__REALS,
     shape_conv, {d_conv_x, d_conv_weight, d_bias}, lh__compose_contiguous},
    {LH_OP_CONV_TRANSPOSE, "conv_transpose", "x weight bias", {2, 3}, {5, 13}, {0, 0}, 0, LH__REALS,
     shape_conv_transpose, {d_transpose_x, d_transpose_weight, d_bias}, lh__compose_contiguous},

    /* what gradients are made of */
    {LH__OP_CONV_WEIGHT_GRAD, "conv_weight_grad", "g x", {2, 2}, {7, 15}, {0, 0}, LH__LANDS,
     LH__REALS, shape_weight_grad, {d_weight_grad_g, d_weight_grad_x}, lh__compose_contiguous},
};
/* clang-format on */

const lh__family lh__convolution = {rows, sizeof rows / sizeof *rows};
