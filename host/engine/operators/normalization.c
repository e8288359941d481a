/* normalization.c - batch, layer, group, instance and RMS normalization.
 *
 * Invariant: variances are biased and eps is added to them under the root, as in PyTorch. The
 * gradients have kernels of their own; where they are themselves recorded they are written out in
 * operators that can be derived again.
 */
#include "engine/operators/rules.h"
#include "engine/state.h"
#include "kernels/view.h"

static lh_status check_eps(const lh__check *c) {
    if (!(c->call->reals[0] >= 0.0))
        return lh__reject(c, LH_EINVAL, "eps %g can't be negative", c->call->reals[0]);
    return LH_OK;
}

/* Operands from `first` up to `end` are of shape (n). */
static lh_status check_vectors(const lh__check *c, int32_t first, int32_t end, int64_t n) {
    for (int32_t i = first; i < end; i++)
        if (lh__in(c, i)->ndim != 1 || lh__in(c, i)->shape[0] != n)
            return lh__reject(c, LH_ESHAPE,
                              "operand %d has to hold one number for each of the %lld channels, "
                              "the second axis of x",
                              i + 1, (long long)n);
    return LH_OK;
}

/* Values per channel of x (n, c, ...), apart from the first axis. */
static int64_t spatial(const lh__view *x) {
    int64_t n = 1;

    for (int32_t d = 2; d < x->ndim; d++)
        n *= x->shape[d];
    return n;
}

static lh_status check_channels(const lh__check *c) {
    if (lh__in(c, 0)->ndim < 2)
        return lh__reject(c, LH_ESHAPE, "x has to be (n, channels, ...)");
    return check_eps(c);
}

static lh_status shape_batch_norm(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int32_t tracked = c->n_in == 4 || c->n_in == 6;
    double momentum = c->call->reals[1];
    lh_status status = check_channels(c);

    if (status == LH_OK)
        status = check_vectors(c, 1, c->n_in - tracked, x->shape[1]);
    if (status != LH_OK)
        return status;
    if (tracked && lh__view_numel(lh__in(c, c->n_in - 1)) != 1)
        return lh__reject(c, LH_ESHAPE, "num_batches_tracked, the last operand, is one number");
    if (!(momentum >= 0.0 && momentum <= 1.0))
        return lh__reject(c, LH_EINVAL, "momentum %g is outside 0 ... 1", momentum);
    for (int32_t i = c->n_in > 4 ? 3 : 1; c->e->training && i < c->n_in; i++)
        if (!lh__view_is_contiguous(&c->call->inputs[i]->view))
            return lh__reject(c, LH_EINVAL,
                              "operand %d is written to and can't be a view with gaps; give the "
                              "buffer itself",
                              i + 1);
    if (c->e->training && x->shape[0] * spatial(x) < 2)
        return lh__reject(c, LH_ESHAPE,
                          "training mode needs more than one value per channel: a larger batch, "
                          "or evaluation mode");
    return lh__shape_same(c);
}

static lh_status shape_layer_norm(lh__check *c) {
    const lh__view *x = lh__in(c, 0);
    int64_t axes = c->ints[0];

    if (axes < 1 || axes > x->ndim)
        return lh__reject(c, LH_ESHAPE, "can't normalize over the last %lld of %d axes",
                          (long long)axes, x->ndim);
    for (int32_t i = 1; i < c->n_in; i++) {
        int32_t same = lh__in(c, i)->ndim == axes;

        for (int32_t d = 0; same && d < axes; d++)
            same = lh__in(c, i)->shape[d] == x->shape[x->ndim - axes + d];
        if (!same)
            return lh__reject(c, LH_ESHAPE, "operand %d needs the shape of the last %lld axes of x",
                              i + 1, (long long)axes);
    }
    return check_eps(c) == LH_OK ? lh__shape_same(c) : LH_EINVAL;
}

static lh_status check_affine(const lh__check *c) {
    if (c->n_in == 2)
        return lh__reject(c, LH_EINVAL, "weight and bias come together or not at all");
    return check_vectors(c, 1, c->n_in, lh__in(c, 0)->shape[1]);
}

static lh_status shape_group_norm(lh__check *c) {
    int64_t groups = c->ints[0];
    lh_status status = check_channels(c);

    if (status == LH_OK)
        status = check_affine(c);
    if (status == LH_OK && (groups < 1 || lh__in(c, 0)->shape[1] % groups != 0))
        return lh__reject(c, LH_EINVAL, "%lld channels can't be split into %lld groups",
                          (long long)lh__in(c, 0)->shape[1], (long long)groups);
    return status == LH_OK ? lh__shape_same(c) : status;
}

static lh_status shape_instance_norm(lh__check *c) {
    lh_status status = check_channels(c);

    if (status == LH_OK)
        status = check_affine(c);
    if (status == LH_OK && spatial(lh__in(c, 0)) == 1)
        return lh__reject(c, LH_ESHAPE, "it needs more than one value per channel and sample");
    return status == LH_OK ? lh__shape_same(c) : status;
}

/* (2, channels). */
static lh_status shape_channel_pairs(lh__check *c) {
    return lh__set_shape(c, 2, (int64_t[]){2, lh__in(c, 0)->shape[1]});
}

/* (parts, 2, columns). */
static lh_status shape_row_sums(lh__check *c) {
    const lh__view *x = lh__in(c, 1);
    int64_t columns = 1;

    for (int32_t d = x->ndim - (int32_t)c->ints[0]; d < x->ndim; d++)
        columns *= x->shape[d];
    return lh__set_shape(c, 3, (int64_t[]){c->ints[2], 2, columns});
}

static lh_tensor *contiguous(lh__engine *e, lh_tensor *x) {
    return op1(e, LH_OP_CONTIGUOUS, x);
}

/* Row i of a pair, in the shape of `like`. */
static lh_tensor *half(lh__engine *e, lh_tensor *pair, int64_t i, const lh_tensor *like) {
    lh_tensor *row = op1_ints(e, LH_OP_SLICE, pair, 4, (int64_t[]){0, i, i + 1, 1});

    return reshaped_like(e, row, like);
}

/* A vector over the channels of x, so that it broadcasts with x. */
static lh_tensor *over_channels(lh__engine *e, lh_tensor *v, const lh_tensor *x) {
    int64_t shape[LH_MAX_DIMS];

    for (int32_t d = 1; d < x->view.ndim; d++)
        shape[d - 1] = d == 1 ? x->view.shape[1] : 1;
    return reshaped(e, v, x->view.ndim - 1, shape);
}

/* x weight + bias, per channel. */
static lh_tensor *affine(lh__engine *e, lh_tensor *x, lh_tensor *weight, lh_tensor *bias) {
    if (!x)
        return NULL;
    return op2(e, LH_OP_ADD, mul(e, x, over_channels(e, weight, x)), over_channels(e, bias, x));
}

/* Gradients that can be derived again. */

/* What is normalized over which axes. */
typedef struct form {
    const lh__node *n;
    lh_tensor *weight;             /* broadcasts with x, or NULL */
    int64_t axes[1 + LH_MAX_DIMS]; /* keepdim, then the axes */
    int32_t n_ints, rms;
} form;

static lh_tensor *mean(lh__engine *e, const form *f, lh_tensor *x) {
    return op1_ints(e, LH_OP_MEAN, x, f->n_ints, f->axes);
}

/* With w the weight, x^ = d / s the normalized x, m the mean over the axes:
 * dx = (g w - m(g w) - x^ m(g w x^)) / s, dw = sum g x^, db = sum g; RMS leaves out m(g w). */
static lh_tensor *derivable(lh__engine *e, const form *f, int32_t i, int32_t i_x, int32_t i_weight,
                            lh_tensor *g) {
    lh_tensor *x = f->n->in[i_x], *d, *r, *hat, *gw, *along;

    if (i != i_x && i != i_weight)
        return g;
    d = f->rms ? x : op2(e, LH_OP_SUB, x, mean(e, f, x));
    r = op1_real(e, LH_OP_ADD_SCALAR, mean(e, f, op1(e, LH_OP_SQUARE, d)), f->n->reals[0]);
    r = op1_real(e, LH_OP_POW_SCALAR, r, -0.5);
    hat = mul(e, d, r);
    if (i == i_weight)
        return mul(e, g, hat);
    gw = f->weight ? mul(e, g, f->weight) : g;
    along = mul(e, hat, mean(e, f, mul(e, gw, hat)));
    if (!f->rms)
        gw = op2(e, LH_OP_SUB, gw, mean(e, f, gw));
    return mul(e, r, op2(e, LH_OP_SUB, gw, along));
}

static lh_tensor *derivable_channels(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *x = n->in[0], *part;
    form f = {.n = n, .axes = {1}};

    f.weight = n->n_in > 2 ? over_channels(e, n->in[2], x) : NULL;
    f.axes[1] = 0;
    for (int32_t d = 2; d < x->view.ndim; d++)
        f.axes[d] = d;
    f.n_ints = x->view.ndim;
    part = derivable(e, &f, i, 0, 2, g);
    if (i == 0 || !part)
        return part;
    f.axes[0] = 0;
    return op1_ints(e, LH_OP_SUM, part, f.n_ints, f.axes);
}

static lh_tensor *derivable_rows(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *part;
    form f = {.n = n, .axes = {1}, .rms = n->row->op == LH_OP_RMS_NORM};

    f.weight = n->n_in > 1 ? n->in[1] : NULL;
    f.n_ints = 1 + (int32_t)n->ints[0];
    for (int32_t k = 1; k < f.n_ints; k++)
        f.axes[k] = n->in[0]->view.ndim - k;
    part = derivable(e, &f, i, 0, 1, g);
    return i == 0 || !part ? part : summed_to(e, part, n->in[i]);
}

/* Batch normalization. */

/* target := (1 - momentum) target + momentum value. */
static void move(lh__engine *e, lh_tensor *target, lh_tensor *value, double momentum) {
    lh_tensor *kept = scaled(e, target, 1.0 - momentum), *t;

    t = op2(e, LH_OP_ADD, kept, scaled(e, value, momentum));
    if (t)
        lh__tensor_assign(e, target, t);
}

/* The running statistics, after a batch with these moments; the variance that they hold is
 * unbiased. They are written to, so it is the call's own operands that count, not casts of them. */
static void track(lh__check *c, lh_tensor *moments) {
    const lh__view *x = lh__in(c, 0);
    int32_t at = c->n_in > 4 ? 3 : 1, recording = lh__set_grad_enabled(c->e, 0);
    lh_tensor *const *to = c->call->inputs + at;
    double n = (double)(x->shape[0] * spatial(x)), momentum = c->call->reals[1];

    move(c->e, to[0], half(c->e, moments, 0, to[0]), momentum);
    move(c->e, to[1], scaled(c->e, half(c->e, moments, 1, to[1]), n / (n - 1.0)), momentum);
    if (at + 2 < c->n_in) {
        lh_tensor *count = op2(c->e, LH_OP_ADD, to[2], number(c->e, to[2], 1.0));

        if (count)
            lh__tensor_assign(c->e, to[2], count);
    }
    lh__set_grad_enabled(c->e, recording);
}

/* In evaluation mode x scale + shift with constants of the running statistics. */
static lh_tensor *running_norm(lh__check *c) {
    int32_t n_affine = c->n_in > 4 ? 3 : 1;
    lh__engine *e = c->e;
    lh_tensor *running_mean = c->in[n_affine], *scale, *shift;

    scale = op1_real(e, LH_OP_ADD_SCALAR, c->in[n_affine + 1], c->call->reals[0]);
    scale = op1_real(e, LH_OP_POW_SCALAR, scale, -0.5);
    if (n_affine == 3)
        scale = mul(e, scale, c->in[1]);
    shift = mul(e, running_mean, scale);
    shift = n_affine == 3 ? op2(e, LH_OP_SUB, c->in[2], shift) : op1(e, LH_OP_NEG, shift);
    return affine(e, c->in[0], scale, shift);
}

static lh_tensor *compose_batch_norm(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *in[4];
    int32_t n_in = 2;

    if (!e->training)
        return running_norm(c);
    in[0] = contiguous(e, c->in[0]);
    in[1] = op1(e, LH__OP_CHANNEL_MOMENTS, op1(e, LH_OP_DETACH, in[0]));
    if (c->n_in > 4)
        in[n_in++] = c->in[1], in[n_in++] = c->in[2];
    if (!in[1])
        return NULL;
    track(c, in[1]);
    return e->err->code != LH_OK ? NULL
                                 : op(e, LH__OP_CHANNEL_NORM, n_in, in, 0, NULL, 1, c->call->reals);
}

static lh_tensor *d_channel_norm(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    lh_tensor *x = n->in[0], *moments = n->in[1], *sums, *in[5];

    if (e->grad_enabled)
        return derivable_channels(e, n, i, g);
    g = contiguous(e, g);
    if (!*n->joint)
        *n->joint =
            op(e, LH__OP_CHANNEL_SUMS, 3, (lh_tensor *[]){g, x, moments}, 0, NULL, 1, n->reals);
    sums = *n->joint;
    if (!sums || i > 0)
        return half(e, sums, i - 2, n->in[i]);
    in[0] = g, in[1] = x, in[2] = moments, in[3] = sums;
    if (n->n_in > 2)
        in[4] = n->in[2];
    return op(e, LH__OP_CHANNEL_NORM_GRAD, n->n_in > 2 ? 5 : 4, in, 0, NULL, 1, n->reals);
}

/* Layer and RMS normalization. */

static lh_tensor *d_rows_x(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    uint32_t code = n->row->op == LH_OP_RMS_NORM ? LH__OP_RMS_NORM_GRAD : LH__OP_LAYER_NORM_GRAD;
    lh_tensor *in[3];

    if (e->grad_enabled)
        return derivable_rows(e, n, i, g);
    in[0] = contiguous(e, g), in[1] = contiguous(e, n->in[0]);
    if (n->n_in > 1)
        in[2] = n->in[1];
    return op(e, code, n->n_in > 1 ? 3 : 2, in, 1, n->ints, 1, n->reals);
}

/* Rows are summed in parts, so that threads share them; then the parts. */
static lh_tensor *row_sums(lh__engine *e, const lh__node *n, lh_tensor *g) {
    enum { ROWS = 64, MOST = 64 };
    int64_t rows = 1, parts;
    lh_tensor *in[2] = {contiguous(e, g), contiguous(e, n->in[0])}, *sums;

    for (int32_t d = 0; d < n->in[0]->view.ndim - n->ints[0]; d++)
        rows *= n->in[0]->view.shape[d];
    parts = (rows + ROWS - 1) / ROWS;
    parts = parts < 1 ? 1 : parts > MOST ? MOST : parts;
    sums = op(e, LH__OP_ROW_SUMS, 2, in, 3,
              (int64_t[]){n->ints[0], n->row->op == LH_OP_RMS_NORM, parts}, 1, n->reals);
    return op1_ints(e, LH_OP_SUM, sums, 2, (int64_t[]){0, 0});
}

static lh_tensor *d_rows_affine(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g) {
    if (e->grad_enabled)
        return derivable_rows(e, n, i, g);
    if (!*n->joint)
        *n->joint = row_sums(e, n, g);
    return half(e, *n->joint, i - 1, n->in[i]);
}

/* Group and instance normalization: rows of the elements of a group. */

static lh_tensor *grouped(lh__check *c, int64_t groups) {
    const lh__view *x = lh__in(c, 0);
    const int64_t axes = 1;
    int64_t size = groups ? x->shape[1] / groups * spatial(x) : 0;
    lh_tensor *y = reshaped(c->e, c->in[0], 3, (int64_t[]){x->shape[0], groups, size});

    y = op(c->e, LH_OP_LAYER_NORM, 1, &y, 1, &axes, 1, c->call->reals);
    y = reshaped_like(c->e, y, c->in[0]);
    return c->n_in == 3 ? affine(c->e, y, c->in[1], c->in[2]) : y;
}

static lh_tensor *compose_group_norm(lh__check *c) {
    return grouped(c, c->ints[0]);
}

static lh_tensor *compose_instance_norm(lh__check *c) {
    return grouped(c, lh__in(c, 0)->shape[1]);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_BATCH_NORM, "batch_norm", "x weight bias running_mean running_var num_batches_tracked",
     {3, 6}, {0, 0}, {2, 2}, 0, LH__REALS, shape_batch_norm, {0}, compose_batch_norm},
    {LH_OP_LAYER_NORM, "layer_norm", "x weight bias", {1, 3}, {1, 1}, {1, 1}, 0, LH__REALS,
     shape_layer_norm, {d_rows_x, d_rows_affine, d_rows_affine}, NULL},
    {LH_OP_GROUP_NORM, "group_norm", "x weight bias", {1, 3}, {1, 1}, {1, 1}, 0, LH__REALS,
     shape_group_norm, {0}, compose_group_norm},
    {LH_OP_INSTANCE_NORM, "instance_norm", "x weight bias", {1, 3}, {0, 0}, {1, 1}, 0, LH__REALS,
     shape_instance_norm, {0}, compose_instance_norm},
    {LH_OP_RMS_NORM, "rms_norm", "x weight", {1, 2}, {1, 1}, {1, 1}, 0, LH__REALS,
     shape_layer_norm, {d_rows_x, d_rows_affine}, NULL},

    /* what these are made of */
    {LH__OP_CHANNEL_MOMENTS, "channel_moments", "x", {1, 1}, {0, 0}, {0, 0}, 0, LH__REALS,
     shape_channel_pairs, {0}, NULL},
    {LH__OP_CHANNEL_NORM, "channel_norm", "x moments weight bias", {2, 4}, {0, 0}, {1, 1}, 0,
     LH__REALS, lh__shape_same, {d_channel_norm, NULL, d_channel_norm, d_channel_norm}, NULL},
    {LH__OP_CHANNEL_SUMS, "channel_sums", "g x moments", {3, 3}, {0, 0}, {1, 1}, 0, LH__REALS,
     shape_channel_pairs, {0}, NULL},
    {LH__OP_CHANNEL_NORM_GRAD, "channel_norm_grad", "g x moments sums weight", {4, 5}, {0, 0},
     {1, 1}, 0, LH__REALS, lh__shape_same, {0}, NULL},
    {LH__OP_ROW_SUMS, "row_sums", "g x", {2, 2}, {3, 3}, {1, 1}, 0, LH__REALS, shape_row_sums,
     {0}, NULL},
    {LH__OP_LAYER_NORM_GRAD, "layer_norm_grad", "g x weight", {2, 3}, {1, 1}, {1, 1}, 0,
     LH__REALS, lh__shape_same, {0}, NULL},
    {LH__OP_RMS_NORM_GRAD, "rms_norm_grad", "g x weight", {2, 3}, {1, 1}, {1, 1}, 0, LH__REALS,
     lh__shape_same, {0}, NULL},
};
/* clang-format on */

const lh__family lh__normalization = {rows, sizeof rows / sizeof *rows};
