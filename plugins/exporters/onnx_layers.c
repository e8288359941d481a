/* onnx_layers.c - convolution, pooling, normalization, attention and recurrent layers in ONNX. */
#include "onnx_graph.h"

#include <math.h>
#include <stdlib.h>

#define IN(i) (o->node->inputs[i])
#define OUT (o->node->output)
#define INT(i) (o->node->ints[i])
#define REAL(i) (o->node->reals[i])

static int32_t spatial(const struct onnx *o) {
    return onnx_input(o, 0)->ndim - 2;
}

static int32_t scalar_like(struct onnx *o, double v) {
    return onnx_scalar(o, o->graph->values[OUT].dtype, v);
}

/* ints: per spatial axis and attribute */
static void ints_at(struct onnx *o, const char *name, int32_t n, int32_t first) {
    onnx_ints(o, name, n, o->node->ints + first);
}

/* The same before and after. */
static void pads_at(struct onnx *o, int32_t n, int32_t first) {
    int64_t pads[6];

    for (int32_t i = 0; i < n; i++)
        pads[i] = pads[n + i] = INT(first + i);
    onnx_ints(o, "pads", 2 * n, pads);
}

/* Records an error where the operands are not of one dtype. */
static int is_of_one_dtype(struct onnx *o, int32_t n) {
    for (int32_t i = 0; i < n; i++)
        if (onnx_input(o, i)->dtype != o->graph->values[OUT].dtype) {
            onnx_fail(o, "%s: its operands are of several dtypes; cast them to one in forward",
                      o->node->name);
            return 0;
        }
    return 1;
}

/* ---- convolution and pooling */

static void write_conv(struct onnx *o) {
    int32_t n = spatial(o), is_transposed = o->node->op == LH_OP_CONV_TRANSPOSE;

    ints_at(o, "strides", n, 0);
    pads_at(o, n, n);
    if (is_transposed)
        ints_at(o, "output_padding", n, 2 * n);
    ints_at(o, "dilations", n, (2 + is_transposed) * n);
    onnx_int(o, "group", INT((3 + is_transposed) * n));
    onnx_node(o, is_transposed ? "ConvTranspose" : "Conv", OUT, o->node->n_inputs, o->node->inputs);
}

static void pool_attributes(struct onnx *o, int32_t n) {
    ints_at(o, "kernel_shape", n, 0);
    ints_at(o, "strides", n, n);
    pads_at(o, n, 2 * n);
}

/* Of a pool with indices those within the spatial axes; ONNX counts through the whole tensor. */
static void write_max_pool(struct onnx *o) {
    const lh_draft_value *x = onnx_input(o, 0);
    int32_t n = spatial(o), in = IN(0), indices;
    int64_t size = 1;

    for (int32_t d = 2; d < x->ndim; d++)
        size *= x->shape[d];
    pool_attributes(o, n);
    ints_at(o, "dilations", n, 3 * n);
    onnx_int(o, "ceil_mode", INT(4 * n));
    if (o->node->op == LH_OP_MAX_POOL) {
        ONNX(o, "MaxPool", OUT, in);
        return;
    }
    indices = onnx_second(o, "MaxPool", NONE, 1, &in);
    ONNX(o, "Mod", OUT, indices, onnx_scalar(o, LH_I64, (double)size));
}

static void write_avg_pool(struct onnx *o) {
    int32_t n = spatial(o);

    pool_attributes(o, n);
    onnx_int(o, "ceil_mode", INT(3 * n));
    onnx_int(o, "count_include_pad", INT(3 * n + 1));
    ONNX(o, "AveragePool", OUT, IN(0));
}

/* The means of the parts of axis `axis`: a product with the (length, parts) matrix of weights. */
static int32_t average_axis(struct onnx *o, int32_t x, int32_t axis, int64_t length,
                            int64_t parts) {
    int32_t ndim = onnx_input(o, 0)->ndim, dtype = onnx_input(o, 0)->dtype, matrix;
    int64_t perm[LH_MAX_DIMS], shape[2] = {length, parts};
    double *weights = calloc((size_t)(length * parts) + 1, sizeof *weights);

    if (!weights) {
        lh_fail(o->c, LH_ENOMEM, "out of memory");
        return x;
    }
    for (int64_t k = 0; k < parts; k++) {
        int64_t begin = k * length / parts, end = ((k + 1) * length + parts - 1) / parts;

        for (int64_t i = begin; i < end; i++)
            weights[i * parts + k] = 1.0 / (double)(end - begin);
    }
    matrix = onnx_tensor(o, LH_F64, 2, shape, weights);
    free(weights);
    onnx_int(o, "to", onnx_dtype(dtype));
    matrix = ONNX(o, "Cast", NONE, matrix);
    for (int32_t d = 0; d < ndim; d++)
        perm[d] = d;
    perm[axis] = ndim - 1, perm[ndim - 1] = axis;
    onnx_ints(o, "perm", ndim, perm);
    x = ONNX(o, "MatMul", NONE, ONNX(o, "Transpose", NONE, x), matrix);
    onnx_ints(o, "perm", ndim, perm);
    return ONNX(o, "Transpose", NONE, x);
}

/* The greatest of each part of axis `axis`. */
static int32_t greatest_axis(struct onnx *o, int32_t x, int64_t axis, int64_t length,
                             int64_t parts) {
    int32_t *part = calloc((size_t)parts + 1, sizeof *part), list = onnx_list(o, 1, &axis);

    if (!part) {
        lh_fail(o->c, LH_ENOMEM, "out of memory");
        return x;
    }
    for (int64_t k = 0; k < parts; k++) {
        int64_t begin = k * length / parts, end = ((k + 1) * length + parts - 1) / parts;

        part[k] = ONNX(o, "Slice", NONE, x, onnx_list(o, 1, &begin), onnx_list(o, 1, &end), list);
        onnx_int(o, "keepdims", 1);
        part[k] = ONNX(o, "ReduceMax", NONE, part[k], list);
    }
    onnx_int(o, "axis", axis);
    x = onnx_node(o, "Concat", NONE, (int32_t)parts, part);
    free(part);
    return x;
}

/* ints: output extents. Parts of one length are an ordinary pool. */
static void write_adaptive_pool(struct onnx *o) {
    const lh_draft_value *x = onnx_input(o, 0);
    int32_t is_max = o->node->op == LH_OP_ADAPTIVE_MAX_POOL, y = IN(0), is_even = 1;
    int64_t kernel[3];

    for (int32_t d = 0; d < spatial(o); d++) {
        is_even &= INT(d) > 0 && x->shape[2 + d] % INT(d) == 0;
        kernel[d] = is_even ? x->shape[2 + d] / INT(d) : 0;
    }
    if (is_even) {
        onnx_ints(o, "kernel_shape", spatial(o), kernel);
        onnx_ints(o, "strides", spatial(o), kernel);
        ONNX(o, is_max ? "MaxPool" : "AveragePool", OUT, y);
        return;
    }
    for (int32_t d = 0; d < spatial(o); d++)
        y = is_max ? greatest_axis(o, y, 2 + d, x->shape[2 + d], INT(d))
                   : average_axis(o, y, 2 + d, x->shape[2 + d], INT(d));
    ONNX(o, "Identity", OUT, y);
}

static void write_upsample(struct onnx *o) {
    const lh_draft_value *y = &o->graph->values[OUT];
    int32_t is_linear = o->node->op == LH_OP_UPSAMPLE_LINEAR;

    onnx_text(o, "mode", is_linear ? "linear" : "nearest");
    onnx_text(o, "coordinate_transformation_mode",
              !is_linear ? "asymmetric"
              : INT(0)   ? "align_corners"
                         : "half_pixel");
    if (!is_linear)
        onnx_text(o, "nearest_mode", "floor");
    ONNX(o, "Resize", OUT, IN(0), NONE, NONE, onnx_dims(o, y->ndim, y->shape, y->per_batch));
}

/* ---- normalization */

/* A vector of n times the same number. */
static int32_t uniform(struct onnx *o, int64_t n, double v) {
    return ONNX(o, "Expand", NONE, scalar_like(o, v), onnx_list(o, 1, &n));
}

/* (x[, weight, bias], running_mean, running_var[, num_batches_tracked]) */
static void write_batch_norm(struct onnx *o) {
    int32_t n = o->node->n_inputs, is_affine = n > 4, mean = is_affine ? 3 : 1;
    int64_t channels = onnx_input(o, 0)->shape[1];
    int32_t weight = is_affine ? IN(1) : NONE, bias = is_affine ? IN(2) : NONE;

    if (!is_of_one_dtype(o, mean + 2))
        return;
    if (!is_affine)
        weight = uniform(o, channels, 1.0), bias = uniform(o, channels, 0.0);
    onnx_float(o, "epsilon", REAL(0));
    ONNX(o, "BatchNormalization", OUT, IN(0), weight, bias, IN(mean), IN(mean + 1));
}

static void write_layer_norm(struct onnx *o) {
    const lh_draft_value *x = onnx_input(o, 0);
    int32_t axes = (int32_t)INT(0), weight;

    if (o->node->n_inputs < 2)
        weight = ONNX(o, "Expand", NONE, scalar_like(o, 1.0),
                      onnx_list(o, axes, x->shape + x->ndim - axes));
    else
        weight = IN(1);
    onnx_int(o, "axis", x->ndim - axes);
    onnx_float(o, "epsilon", REAL(0));
    if (o->node->n_inputs > 2)
        ONNX(o, "LayerNormalization", OUT, IN(0), weight, IN(2));
    else
        ONNX(o, "LayerNormalization", OUT, IN(0), weight);
}

/* x / sqrt(mean(x^2) + eps) weight */
static void write_rms_norm(struct onnx *o) {
    int32_t ndim = onnx_input(o, 0)->ndim, has_weight = o->node->n_inputs > 1, m;
    int64_t axes[LH_MAX_DIMS];

    for (int32_t i = 0; i < INT(0); i++)
        axes[i] = ndim - 1 - i;
    m = ONNX(o, "Mul", NONE, IN(0), IN(0));
    onnx_int(o, "keepdims", 1);
    m = ONNX(o, "ReduceMean", NONE, m, onnx_list(o, (int32_t)INT(0), axes));
    m = ONNX(o, "Sqrt", NONE, ONNX(o, "Add", NONE, m, scalar_like(o, REAL(0))));
    m = ONNX(o, "Div", has_weight ? NONE : OUT, IN(0), m);
    if (has_weight)
        ONNX(o, "Mul", OUT, m, IN(1));
}

/* x weight + bias, per channel, axis 1. */
static void scale_channels(struct onnx *o, int32_t x) {
    int64_t shape[LH_MAX_DIMS];
    int32_t ndim = onnx_input(o, 0)->ndim, list;

    for (int32_t d = 0; d < ndim; d++)
        shape[d] = d == 1 ? -1 : 1;
    list = onnx_list(o, ndim, shape);
    x = ONNX(o, "Mul", NONE, x, ONNX(o, "Reshape", NONE, IN(1), list));
    ONNX(o, "Add", OUT, x, ONNX(o, "Reshape", NONE, IN(2), list));
}

/* Groups as the channels of an instance normalization without weights, (n, groups, rest). */
static void write_group_norm(struct onnx *o) {
    const lh_draft_value *v = onnx_input(o, 0);
    int64_t groups = o->node->op == LH_OP_GROUP_NORM ? INT(0) : v->shape[1];
    int64_t shape[3] = {0, groups, -1}; /* 0: as it was */
    int32_t is_affine = o->node->n_inputs > 2, x, one, zero;

    if (!is_of_one_dtype(o, o->node->n_inputs))
        return;
    x = ONNX(o, "Reshape", NONE, IN(0), onnx_list(o, 3, shape));
    one = uniform(o, groups, 1.0), zero = uniform(o, groups, 0.0);
    onnx_float(o, "epsilon", REAL(0));
    x = ONNX(o, "InstanceNormalization", NONE, x, one, zero);
    x = ONNX(o, "Reshape", is_affine ? NONE : OUT, x,
             onnx_dims(o, v->ndim, v->shape, v->per_batch));
    if (is_affine)
        scale_channels(o, x);
}

/* ---- attention: softmax(scale q k^T + bias) v, 0 for a query without a key */

/* (t, s): 0 where a position may look, -infinity where not. */
static int32_t causal_bias(struct onnx *o, int64_t t, int64_t s) {
    int64_t shape[2] = {t, s};
    int32_t ones = ONNX(o, "Expand", NONE, scalar_like(o, 1.0), onnx_list(o, 2, shape));

    onnx_int(o, "upper", 0);
    ones = ONNX(o, "Trilu", NONE, ones);
    onnx_int(o, "to", onnx_dtype(LH_BOOL));
    ones = ONNX(o, "Cast", NONE, ones);
    return ONNX(o, "Where", NONE, ones, scalar_like(o, 0.0), scalar_like(o, -INFINITY));
}

/* What is added to the scores, or NONE. */
static int32_t score_bias(struct onnx *o, int64_t t, int64_t s) {
    int32_t bias = o->node->n_inputs > 3 ? IN(3) : NONE, causal;

    if (bias != NONE && onnx_input(o, 3)->dtype == LH_BOOL)
        bias = ONNX(o, "Where", NONE, bias, scalar_like(o, 0.0), scalar_like(o, -INFINITY));
    if (!INT(0))
        return bias;
    causal = causal_bias(o, t, s);
    return bias == NONE ? causal : ONNX(o, "Add", NONE, bias, causal);
}

static void write_attention(struct onnx *o) {
    const lh_draft_value *q = onnx_input(o, 0), *k = onnx_input(o, 1);
    int64_t d = q->shape[q->ndim - 1], perm[LH_MAX_DIMS], last = -1;
    double scale = REAL(0) != 0 ? REAL(0) : 1 / sqrt((double)d);
    int32_t y, bias, alive = NONE, zero = NONE;

    if (!is_of_one_dtype(o, 3))
        return;
    bias = score_bias(o, q->shape[q->ndim - 2], k->shape[k->ndim - 2]);
    for (int32_t i = 0; i < k->ndim; i++)
        perm[i] = i;
    perm[k->ndim - 1] = k->ndim - 2, perm[k->ndim - 2] = k->ndim - 1;
    onnx_ints(o, "perm", k->ndim, perm);
    y = ONNX(o, "Transpose", NONE, IN(1));
    y = ONNX(o, "MatMul", NONE, ONNX(o, "Mul", NONE, IN(0), scalar_like(o, scale)), y);
    if (bias != NONE)
        y = ONNX(o, "Add", NONE, y, bias);
    if (o->node->n_inputs > 3) {
        onnx_int(o, "keepdims", 1);
        alive = ONNX(o, "ReduceMax", NONE, bias, onnx_list(o, 1, &last));
        alive = ONNX(o, "Greater", NONE, alive, scalar_like(o, -INFINITY));
        zero = scalar_like(o, 0.0);
        y = ONNX(o, "Where", NONE, alive, y, zero);
    }
    onnx_int(o, "axis", -1);
    y = ONNX(o, "Softmax", NONE, y);
    y = ONNX(o, "MatMul", alive == NONE ? OUT : NONE, y, IN(2));
    if (alive != NONE)
        ONNX(o, "Where", OUT, alive, y, zero);
}

/* ---- recurrent layers */

static int is_recurrent(uint32_t op) {
    return op == LH_OP_RNN || op == LH_OP_LSTM || op == LH_OP_GRU;
}

/* The node that makes a value; NULL: a leaf. */
static const lh_draft_node *maker_of(const struct onnx *o, int32_t value) {
    for (int32_t i = 0; i < o->graph->n_nodes; i++)
        if (o->graph->nodes[i].output == value)
            return &o->graph->nodes[i];
    return NULL;
}

int onnx_is_absorbed(const struct onnx *o, const lh_draft_node *n) {
    if (n->op != LH_OP_LINEAR || o->uses[n->output] != 1 || o->graph->output == n->output)
        return 0;
    for (int32_t i = 0; i < o->graph->n_nodes; i++)
        if (is_recurrent(o->graph->nodes[i].op) && o->graph->nodes[i].inputs[0] == n->output)
            return 1;
    return 0;
}

/* The blocks of `h` rows of a matrix or vector in the order of ONNX, with a leading axis of 1. */
static int32_t in_order(struct onnx *o, int32_t x, int32_t gates, const int32_t *order, int64_t h) {
    const int64_t axis = 0;
    int32_t part[4], list = onnx_list(o, 1, &axis);

    for (int32_t k = 0; k < gates; k++) {
        int64_t begin = order[k] * h, end = begin + h;

        part[k] = ONNX(o, "Slice", NONE, x, onnx_list(o, 1, &begin), onnx_list(o, 1, &end), list);
    }
    onnx_int(o, "axis", 0);
    x = onnx_node(o, "Concat", NONE, gates, part);
    return ONNX(o, "Unsqueeze", NONE, x, list);
}

/* The (n, n) identity. */
static int32_t identity(struct onnx *o, int64_t n) {
    int64_t shape[2] = {n, n};
    int32_t zeros = ONNX(o, "Expand", NONE, scalar_like(o, 0.0), onnx_list(o, 2, shape));

    return ONNX(o, "EyeLike", NONE, zeros);
}

/* Whoever reads the result takes the outputs h from it, the first `hidden` of its last axis. */
static int only_h_is_read(const struct onnx *o, int64_t hidden) {
    if (o->node->op == LH_OP_RNN)
        return 1;
    for (int32_t i = 0; i < o->graph->n_nodes; i++) {
        const lh_draft_node *n = &o->graph->nodes[i];

        for (int32_t k = 0; k < n->n_inputs; k++)
            if (n->inputs[k] == OUT &&
                (n->op != LH_OP_SLICE || n->ints[0] != 2 || n->ints[2] > hidden))
                return 0;
    }
    return o->graph->output != OUT;
}

/* (x, h[, c], w_hh, b_hh), x being W_ih x + b_ih: where a linear layer made it, ONNX's own layer
 * takes its place; else W is the identity. */
static void write_recurrent(struct onnx *o) {
    static const int32_t orders[3][4] = {{0}, {0, 3, 1, 2}, {1, 0, 2}}; /* iofc, zrh */
    static const char *const types[3] = {"RNN", "LSTM", "GRU"};
    int32_t kind = o->node->op == LH_OP_RNN ? 0 : o->node->op == LH_OP_LSTM ? 1 : 2;
    int32_t gates = kind == 0 ? 1 : kind == 1 ? 4 : 3, at = kind == 1 ? 3 : 2;
    const lh_draft_node *maker = maker_of(o, IN(0));
    int64_t h = onnx_input(o, 1)->shape[1], zero = 0, one = 1;
    int32_t x = IN(0), w, b, r, rb, in[7], y, first = onnx_list(o, 1, &zero);

    if (!only_h_is_read(o, h)) {
        onnx_fail(o,
                  "%s: ONNX gives its outputs h only, the first %lld of the last axis; the "
                  "cell's state and gates can't be exported",
                  o->node->name, (long long)h);
        return;
    }
    b = NONE;
    if (maker && onnx_is_absorbed(o, maker)) {
        x = maker->inputs[0];
        w = maker->inputs[1];
        b = maker->n_inputs > 2 ? maker->inputs[2] : NONE;
    } else {
        w = identity(o, gates * h);
    }
    w = in_order(o, w, gates, orders[kind], h);
    b = b == NONE ? uniform(o, gates * h, 0.0) : b;
    b = in_order(o, b, gates, orders[kind], h);
    r = in_order(o, IN(at), gates, orders[kind], h);
    rb = in_order(o, IN(at + 1), gates, orders[kind], h);
    onnx_int(o, "axis", 1);
    b = ONNX(o, "Concat", NONE, b, rb);
    in[0] = x, in[1] = w, in[2] = r, in[3] = b, in[4] = NONE;
    in[5] = ONNX(o, "Unsqueeze", NONE, IN(1), first);
    if (kind == 1)
        in[6] = ONNX(o, "Unsqueeze", NONE, IN(2), first);
    onnx_int(o, "hidden_size", h);
    if (kind == 2)
        onnx_int(o, "linear_before_reset", 1);
    if (kind == 0)
        onnx_texts(o, "activations", INT(0) ? "Relu" : "Tanh");
    y = onnx_node(o, types[kind], NONE, kind == 1 ? 7 : 6, in);
    ONNX(o, "Squeeze", OUT, y, onnx_list(o, 1, &one));
}

const struct onnx_mapping onnx_layers[] = {
    {LH_OP_CONV, NULL, write_conv, 0},
    {LH_OP_CONV_TRANSPOSE, NULL, write_conv, 0},
    {LH_OP_MAX_POOL, NULL, write_max_pool, 0},
    {LH_OP_MAX_POOL_INDICES, NULL, write_max_pool, 0},
    {LH_OP_AVG_POOL, NULL, write_avg_pool, 0},
    {LH_OP_ADAPTIVE_AVG_POOL, NULL, write_adaptive_pool, 0},
    {LH_OP_ADAPTIVE_MAX_POOL, NULL, write_adaptive_pool, 0},
    {LH_OP_UPSAMPLE_NEAREST, NULL, write_upsample, 0},
    {LH_OP_UPSAMPLE_LINEAR, NULL, write_upsample, 0},
    {LH_OP_BATCH_NORM, NULL, write_batch_norm, 0},
    {LH_OP_LAYER_NORM, NULL, write_layer_norm, 0},
    {LH_OP_RMS_NORM, NULL, write_rms_norm, 0},
    {LH_OP_GROUP_NORM, NULL, write_group_norm, 0},
    {LH_OP_INSTANCE_NORM, NULL, write_group_norm, 0},
    {LH_OP_ATTENTION, NULL, write_attention, 0},
    {LH_OP_RNN, NULL, write_recurrent, 0},
    {LH_OP_LSTM, NULL, write_recurrent, 0},
    {LH_OP_GRU, NULL, write_recurrent, 0},
    {0, NULL, NULL, 0},
};
