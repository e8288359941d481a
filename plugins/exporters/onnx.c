/* onnx.c - the exporter plugin `onnx`: arithmetic, reductions, shapes; layers are in onnx_layers.c.
 *
 * One row per operator: a node of ONNX with the same inputs, or a function that writes several.
 */
#include "onnx_graph.h"

#include <math.h>
#include <stdlib.h>

#define IN(i) (o->node->inputs[i])
#define OUT (o->node->output)
#define INT(i) (o->node->ints[i])
#define REAL(i) (o->node->reals[i])

static int32_t scalar_like(struct onnx *o, double v) {
    return onnx_scalar(o, onnx_input(o, 0)->dtype, v);
}

/* ---- elementwise */

static void write_ne(struct onnx *o) {
    ONNX(o, "Not", OUT, ONNX(o, "Equal", NONE, IN(0), IN(1)));
}

static void write_add_scalar(struct onnx *o) {
    ONNX(o, "Add", OUT, IN(0), scalar_like(o, REAL(0)));
}

static void write_mul_scalar(struct onnx *o) {
    ONNX(o, "Mul", OUT, IN(0), scalar_like(o, REAL(0)));
}

static void write_pow_scalar(struct onnx *o) {
    ONNX(o, "Pow", OUT, IN(0), scalar_like(o, REAL(0)));
}

static void write_square(struct onnx *o) {
    ONNX(o, "Mul", OUT, IN(0), IN(0));
}

static void write_clamp(struct onnx *o) {
    ONNX(o, "Clip", OUT, IN(0), scalar_like(o, REAL(0)), scalar_like(o, REAL(1)));
}

static void write_gelu(struct onnx *o) {
    onnx_text(o, "approximate", o->node->n_ints && INT(0) ? "tanh" : "none");
    ONNX(o, "Gelu", OUT, IN(0));
}

static void write_silu(struct onnx *o) {
    ONNX(o, "Mul", OUT, IN(0), ONNX(o, "Sigmoid", NONE, IN(0)));
}

static void write_leaky_relu(struct onnx *o) {
    onnx_float(o, "alpha", REAL(0));
    ONNX(o, "LeakyRelu", OUT, IN(0));
}

static void write_elu(struct onnx *o) {
    onnx_float(o, "alpha", REAL(0));
    ONNX(o, "Elu", OUT, IN(0));
}

/* ln(1 + e^(beta x)) / beta, x itself where beta x is above the threshold */
static void write_softplus(struct onnx *o) {
    int32_t beta = scalar_like(o, REAL(0)), bx = ONNX(o, "Mul", NONE, IN(0), beta);
    int32_t soft = ONNX(o, "Div", NONE, ONNX(o, "Softplus", NONE, bx), beta);

    ONNX(o, "Where", OUT, ONNX(o, "Greater", NONE, bx, scalar_like(o, REAL(1))), IN(0), soft);
}

static void write_rsqrt(struct onnx *o) {
    ONNX(o, "Reciprocal", OUT, ONNX(o, "Sqrt", NONE, IN(0)));
}

static void write_masked_fill(struct onnx *o) {
    ONNX(o, "Where", OUT, IN(1), scalar_like(o, REAL(0)), IN(0));
}

static void write_cast(struct onnx *o) {
    onnx_int(o, "to", onnx_dtype(o->graph->values[OUT].dtype));
    ONNX(o, "Cast", OUT, IN(0));
}

/* ---- reductions: ints keepdim, axes (none: all) */

/* A reduction of `x` over the axes among the node's integers from `first` on. */
static int32_t reduce(struct onnx *o, const char *type, int32_t out, int32_t x, int32_t first) {
    onnx_int(o, "keepdims", INT(0) != 0);
    if (o->node->n_ints <= first)
        return ONNX(o, type, out, x);
    return ONNX(o, type, out, x, onnx_list(o, o->node->n_ints - first, o->node->ints + first));
}

#define REDUCTION(name, type)                  \
    static void write_##name(struct onnx *o) { \
        reduce(o, type, OUT, IN(0), 1);        \
    }
REDUCTION(sum, "ReduceSum")
REDUCTION(mean, "ReduceMean")
REDUCTION(amax, "ReduceMax")
REDUCTION(amin, "ReduceMin")
REDUCTION(prod, "ReduceProd")
REDUCTION(logsumexp, "ReduceLogSumExp")

static void write_norm(struct onnx *o) {
    double p = REAL(0);
    int32_t sum;

    if (p == 1.0) {
        reduce(o, "ReduceL1", OUT, IN(0), 1);
    } else if (p == 2.0) {
        reduce(o, "ReduceL2", OUT, IN(0), 1);
    } else if (isinf(p)) {
        reduce(o, "ReduceMax", OUT, ONNX(o, "Abs", NONE, IN(0)), 1);
    } else {
        sum = ONNX(o, "Pow", NONE, ONNX(o, "Abs", NONE, IN(0)), scalar_like(o, p));
        ONNX(o, "Pow", OUT, reduce(o, "ReduceSum", NONE, sum, 1), scalar_like(o, 1.0 / p));
    }
}

static void write_any_or_all(struct onnx *o) {
    int32_t x;

    onnx_int(o, "to", onnx_dtype(LH_BOOL));
    x = ONNX(o, "Cast", NONE, IN(0));
    onnx_int(o, "to", onnx_dtype(LH_I32));
    x = ONNX(o, "Cast", NONE, x);
    x = reduce(o, o->node->op == LH_OP_ANY ? "ReduceMax" : "ReduceMin", NONE, x, 1);
    onnx_int(o, "to", onnx_dtype(LH_BOOL));
    ONNX(o, "Cast", OUT, x);
}

/* ints: keepdim, correction, axes. The sum of squared deviations over count - correction. */
static void write_variance(struct onnx *o) {
    const lh_draft_value *v = onnx_input(o, 0);
    int64_t count = 1, is_dynamic = 0;
    int32_t axes = o->node->n_ints - 2, list, mean, d;

    for (int32_t i = 0; i < (axes ? axes : v->ndim); i++) {
        count *= v->shape[axes ? INT(2 + i) : i];
        is_dynamic |= v->per_batch[axes ? INT(2 + i) : i];
    }
    if (is_dynamic) {
        onnx_fail(o, "%s: over an axis that grows with the batch it can't be exported",
                  o->node->name);
        return;
    }
    list = axes ? onnx_list(o, axes, o->node->ints + 2) : NONE;
    onnx_int(o, "keepdims", 1);
    mean = axes ? ONNX(o, "ReduceMean", NONE, IN(0), list) : ONNX(o, "ReduceMean", NONE, IN(0));
    d = ONNX(o, "Sub", NONE, IN(0), mean);
    d = reduce(o, "ReduceSum", NONE, ONNX(o, "Mul", NONE, d, d), 2);
    d = ONNX(o, "Div", o->node->op == LH_OP_VAR ? OUT : NONE, d,
             scalar_like(o, fmax(0.0, (double)(count - INT(1)))));
    if (o->node->op == LH_OP_STD)
        ONNX(o, "Sqrt", OUT, d);
}

static void write_argmax(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    onnx_int(o, "keepdims", o->node->n_ints > 1 && INT(1));
    ONNX(o, o->node->op == LH_OP_ARGMAX ? "ArgMax" : "ArgMin", OUT, IN(0));
}

static void write_cumsum(struct onnx *o) {
    onnx_int(o, "reverse", o->node->n_ints > 1 && INT(1));
    ONNX(o, "CumSum", OUT, IN(0), onnx_scalar(o, LH_I64, (double)INT(0)));
}

static void write_argsort(struct onnx *o) {
    const lh_draft_value *v = onnx_input(o, 0);
    int32_t in[2] = {IN(0), onnx_dims(o, 1, &v->shape[INT(0)], &v->per_batch[INT(0)])};

    onnx_int(o, "axis", INT(0));
    onnx_int(o, "largest", o->node->n_ints > 1 && INT(1));
    onnx_second(o, "TopK", OUT, 2, in);
}

static void write_topk(struct onnx *o) {
    int32_t in[2] = {IN(0), onnx_list(o, 1, o->node->ints)};

    onnx_int(o, "axis", INT(1));
    onnx_int(o, "largest", o->node->n_ints < 3 || INT(2));
    onnx_second(o, "TopK", OUT, 2, in);
}

/* ---- shapes and indices */

/* The shape of the result as a tensor. Where one axis depends on the batch, -1 will do. */
static int32_t result_shape(struct onnx *o, int32_t allows_unknown) {
    const lh_draft_value *v = &o->graph->values[OUT];
    int64_t shape[LH_MAX_DIMS];
    int32_t unknown = 0, zeros = 0;

    for (int32_t d = 0; d < v->ndim; d++) {
        shape[d] = v->per_batch[d] ? -1 : v->shape[d];
        unknown += v->per_batch[d] != 0;
        zeros += shape[d] == 0;
    }
    if (allows_unknown && unknown == 1 && !zeros)
        return onnx_list(o, v->ndim, shape);
    return onnx_dims(o, v->ndim, v->shape, v->per_batch);
}

static void write_reshape(struct onnx *o) {
    int32_t shape = result_shape(o, 1);

    onnx_int(o, "allowzero", 1);
    ONNX(o, "Reshape", OUT, IN(0), shape);
}

static void write_expand(struct onnx *o) {
    ONNX(o, "Expand", OUT, IN(0), result_shape(o, 0));
}

static void write_full(struct onnx *o) {
    const lh_draft_value *v = &o->graph->values[OUT];

    ONNX(o, "Expand", OUT, onnx_scalar(o, v->dtype, REAL(0)), result_shape(o, 0));
}

static void write_permute(struct onnx *o) {
    onnx_ints(o, "perm", o->node->n_ints, o->node->ints);
    ONNX(o, "Transpose", OUT, IN(0));
}

static void write_slice(struct onnx *o) {
    const int64_t *ints = o->node->ints, *per = o->node->per_batch;
    int32_t start = onnx_dims(o, 1, ints + 1, per + 1), end = onnx_dims(o, 1, ints + 2, per + 2);

    ONNX(o, "Slice", OUT, IN(0), start, end, onnx_list(o, 1, ints), onnx_list(o, 1, ints + 3));
}

static void write_concat(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    onnx_node(o, "Concat", OUT, o->node->n_inputs, o->node->inputs);
}

static void write_gather(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    ONNX(o, "GatherElements", OUT, IN(0), IN(1));
}

static void write_index_select(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    ONNX(o, "Gather", OUT, IN(0), IN(1));
}

static void write_embedding(struct onnx *o) {
    onnx_int(o, "axis", 0);
    ONNX(o, "Gather", OUT, IN(0), IN(1));
}

static void write_scatter_add(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    onnx_text(o, "reduction", "add");
    ONNX(o, "ScatterElements", OUT, IN(0), IN(1), IN(2));
}

static void write_one_hot(struct onnx *o) {
    static const int64_t off_on[2] = {0, 1};

    onnx_int(o, "axis", -1);
    ONNX(o, "OneHot", OUT, IN(0), onnx_list(o, 1, o->node->ints), onnx_list(o, 2, off_on));
}

static void write_triangle(struct onnx *o) {
    onnx_int(o, "upper", o->node->op == LH_OP_TRIU);
    ONNX(o, "Trilu", OUT, IN(0), onnx_scalar(o, LH_I64, (double)INT(0)));
}

static void write_flip(struct onnx *o) {
    int64_t starts[LH_MAX_DIMS], ends[LH_MAX_DIMS], steps[LH_MAX_DIMS];
    int32_t n = o->node->n_ints;

    for (int32_t i = 0; i < n; i++)
        starts[i] = -1, ends[i] = INT64_MIN, steps[i] = -1;
    ONNX(o, "Slice", OUT, IN(0), onnx_list(o, n, starts), onnx_list(o, n, ends),
         onnx_list(o, n, o->node->ints), onnx_list(o, n, steps));
}

/* ints: mode, then (before, after) from the last axis on; ONNX has all before, then all after. */
static void write_pad(struct onnx *o) {
    static const char *const modes[] = {"constant", "reflect", "edge"};
    int64_t pads[2 * LH_MAX_DIMS] = {0};
    int32_t ndim = onnx_input(o, 0)->ndim, list;

    for (int32_t i = 1; i + 1 < o->node->n_ints; i += 2) {
        pads[ndim - 1 - i / 2] = INT(i);
        pads[2 * ndim - 1 - i / 2] = INT(i + 1);
    }
    list = onnx_list(o, 2 * ndim, pads);
    onnx_text(o, "mode", modes[INT(0)]);
    if (INT(0) == LH_PAD_CONSTANT)
        ONNX(o, "Pad", OUT, IN(0), list, scalar_like(o, o->node->n_reals ? REAL(0) : 0.0));
    else
        ONNX(o, "Pad", OUT, IN(0), list);
}

/* start + step * (0, 1, ...) */
static void write_arange(struct onnx *o) {
    const lh_draft_value *v = &o->graph->values[OUT];
    int32_t end = onnx_dims(o, 1, v->shape, v->per_batch), x;
    int32_t real = v->dtype == LH_F64 || v->dtype == LH_F32 ? v->dtype : LH_F64;

    end = ONNX(o, "Squeeze", NONE, end);
    x = ONNX(o, "Range", NONE, onnx_scalar(o, LH_I64, 0), end, onnx_scalar(o, LH_I64, 1));
    onnx_int(o, "to", onnx_dtype(real));
    x = ONNX(o, "Cast", NONE, x);
    x = ONNX(o, "Mul", NONE, x, onnx_scalar(o, real, REAL(1)));
    x = ONNX(o, "Add", NONE, x, onnx_scalar(o, real, REAL(0)));
    onnx_int(o, "to", onnx_dtype(v->dtype));
    ONNX(o, "Cast", OUT, x);
}

static void write_softmax(struct onnx *o) {
    onnx_int(o, "axis", INT(0));
    ONNX(o, o->node->op == LH_OP_SOFTMAX ? "Softmax" : "LogSoftmax", OUT, IN(0));
}

/* x weight^T + bias */
static void write_linear(struct onnx *o) {
    static const int64_t swap[2] = {1, 0};
    int32_t has_bias = o->node->n_inputs > 2, product;

    if (onnx_input(o, 0)->ndim == 2) {
        onnx_int(o, "transB", 1);
        onnx_node(o, "Gemm", OUT, o->node->n_inputs, o->node->inputs);
        return;
    }
    onnx_ints(o, "perm", 2, swap);
    product = ONNX(o, "Transpose", NONE, IN(1));
    product = ONNX(o, "MatMul", has_bias ? NONE : OUT, IN(0), product);
    if (has_bias)
        ONNX(o, "Add", OUT, product, IN(2));
}

const struct onnx_mapping onnx_basics[] = {
    {LH_OP_ADD, "Add", NULL, 0},
    {LH_OP_SUB, "Sub", NULL, 0},
    {LH_OP_MUL, "Mul", NULL, 0},
    {LH_OP_DIV, "Div", NULL, 0},
    {LH_OP_POW, "Pow", NULL, 0},
    {LH_OP_MAXIMUM, "Max", NULL, 0},
    {LH_OP_MINIMUM, "Min", NULL, 0},
    {LH_OP_EQ, "Equal", NULL, 0},
    {LH_OP_NE, NULL, write_ne, 0},
    {LH_OP_LT, "Less", NULL, 0},
    {LH_OP_LE, "LessOrEqual", NULL, 0},
    {LH_OP_GT, "Greater", NULL, 0},
    {LH_OP_GE, "GreaterOrEqual", NULL, 0},
    {LH_OP_WHERE, "Where", NULL, 0},
    {LH_OP_ADD_SCALAR, NULL, write_add_scalar, 0},
    {LH_OP_MUL_SCALAR, NULL, write_mul_scalar, 0},
    {LH_OP_POW_SCALAR, NULL, write_pow_scalar, 0},
    {LH_OP_NEG, "Neg", NULL, 0},
    {LH_OP_EXP, "Exp", NULL, 0},
    {LH_OP_LOG, "Log", NULL, 0},
    {LH_OP_SQRT, "Sqrt", NULL, 0},
    {LH_OP_SQUARE, NULL, write_square, 0},
    {LH_OP_ABS, "Abs", NULL, 0},
    {LH_OP_RELU, "Relu", NULL, 0},
    {LH_OP_SIGMOID, "Sigmoid", NULL, 0},
    {LH_OP_TANH, "Tanh", NULL, 0},
    {LH_OP_CLAMP, NULL, write_clamp, 0},
    {LH_OP_GELU, NULL, write_gelu, 0},
    {LH_OP_SILU, NULL, write_silu, 0},
    {LH_OP_LEAKY_RELU, NULL, write_leaky_relu, 0},
    {LH_OP_ELU, NULL, write_elu, 0},
    {LH_OP_SOFTPLUS, NULL, write_softplus, 0},
    {LH_OP_SIN, "Sin", NULL, 0},
    {LH_OP_COS, "Cos", NULL, 0},
    {LH_OP_RSQRT, NULL, write_rsqrt, 0},
    {LH_OP_ERF, "Erf", NULL, 0},
    {LH_OP_SIGN, "Sign", NULL, 0},
    {LH_OP_FLOOR, "Floor", NULL, 0},
    {LH_OP_MASKED_FILL, NULL, write_masked_fill, 0},
    {LH_OP_SUM, NULL, write_sum, 0},
    {LH_OP_MEAN, NULL, write_mean, 0},
    {LH_OP_AMAX, NULL, write_amax, 0},
    {LH_OP_AMIN, NULL, write_amin, 0},
    {LH_OP_PROD, NULL, write_prod, 0},
    {LH_OP_VAR, NULL, write_variance, 0},
    {LH_OP_STD, NULL, write_variance, 0},
    {LH_OP_LOGSUMEXP, NULL, write_logsumexp, 0},
    {LH_OP_NORM, NULL, write_norm, 0},
    {LH_OP_ANY, NULL, write_any_or_all, 0},
    {LH_OP_ALL, NULL, write_any_or_all, 0},
    {LH_OP_ARGMAX, NULL, write_argmax, 0},
    {LH_OP_ARGMIN, NULL, write_argmax, 0},
    {LH_OP_CUMSUM, NULL, write_cumsum, 0},
    {LH_OP_ARGSORT, NULL, write_argsort, 0},
    {LH_OP_TOPK, NULL, write_topk, 0},
    {LH_OP_RESHAPE, NULL, write_reshape, 1},
    {LH_OP_EXPAND, NULL, write_expand, 1},
    {LH_OP_FULL, NULL, write_full, 1},
    {LH_OP_PERMUTE, NULL, write_permute, 0},
    {LH_OP_SLICE, NULL, write_slice, 1},
    {LH_OP_CONCAT, NULL, write_concat, 0},
    {LH_OP_GATHER, NULL, write_gather, 0},
    {LH_OP_INDEX_SELECT, NULL, write_index_select, 0},
    {LH_OP_EMBEDDING, NULL, write_embedding, 0},
    {LH_OP_SCATTER_ADD, NULL, write_scatter_add, 0},
    {LH_OP_ONE_HOT, NULL, write_one_hot, 0},
    {LH_OP_TRIL, NULL, write_triangle, 0},
    {LH_OP_TRIU, NULL, write_triangle, 0},
    {LH_OP_FLIP, NULL, write_flip, 0},
    {LH_OP_PAD, NULL, write_pad, 0},
    {LH_OP_ARANGE, NULL, write_arange, 1},
    {LH_OP_CAST, NULL, write_cast, 0},
    {LH_OP_CONTIGUOUS, "Identity", NULL, 0},
    {LH_OP_DETACH, "Identity", NULL, 0},
    {LH_OP_REQUIRE_GRAD, "Identity", NULL, 0},
    {LH_OP_MATMUL, "MatMul", NULL, 0},
    {LH_OP_LINEAR, NULL, write_linear, 0},
    {LH_OP_SOFTMAX, NULL, write_softmax, 0},
    {LH_OP_LOG_SOFTMAX, NULL, write_softmax, 0},
    {0, NULL, NULL, 0},
};

/* ---- the plugin */

static const struct onnx_mapping *mapping_of(uint32_t op) {
    const struct onnx_mapping *const lists[] = {onnx_basics, onnx_layers};

    for (int i = 0; i < 2; i++)
        for (const struct onnx_mapping *m = lists[i]; m->op; m++)
            if (m->op == op)
                return m;
    return NULL;
}

static int32_t maps(uint32_t op) {
    return mapping_of(op) != NULL;
}

static void write_node(struct onnx *o, const lh_draft_node *n) {
    const struct onnx_mapping *m = mapping_of(n->op);
    int32_t is_dynamic = 0;

    o->node = n;
    for (int32_t i = 0; i < n->n_ints; i++)
        is_dynamic |= n->per_batch[i] != 0;
    if (!m)
        onnx_fail(o, "ONNX has nothing for the operator %s; compute it with others in forward",
                  n->name);
    else if (is_dynamic && !m->is_dynamic)
        onnx_fail(o, "%s: an integer that depends on the size of the batch can't be exported",
                  n->name);
    else if (onnx_is_absorbed(o, n))
        return;
    else if (m->type)
        onnx_node(o, m->type, n->output, n->n_inputs, n->inputs);
    else
        m->write(o);
}

static lh_status write(lh_ctx *c, void *self, const char *path, const lh_draft_graph *graph) {
    struct onnx o = {.c = c, .graph = graph, .n_tensors = graph->n_values, .batch = NONE};

    o.uses = calloc((size_t)graph->n_values, sizeof *o.uses);
    if (!o.uses)
        return lh_fail(c, LH_ENOMEM, "out of memory for %s", path);
    for (int32_t i = 0; i < graph->n_nodes; i++)
        for (int32_t k = 0; k < graph->nodes[i].n_inputs; k++)
            o.uses[graph->nodes[i].inputs[k]]++;
    for (int32_t i = 0; i < graph->n_nodes && lh_status_of(c) == LH_OK; i++)
        write_node(&o, &graph->nodes[i]);
    if (lh_status_of(c) == LH_OK)
        onnx_save(&o, path);
    free(o.uses);
    buffer_free(&o.nodes);
    buffer_free(&o.initializers);
    buffer_free(&o.attributes);
    return lh_status_of(c);
}

LH_EXPORT_EXPORTER("onnx", "1.0.0", .maps = maps, .write = write);
