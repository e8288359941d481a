/* torch_code.c - operators as calls of torch, in the Python that TorchScript reads.
 *
 * Most are a template: $0 the first input, $* all of them as a list, #0 the first integer, #1* the
 * integers from the second on as a list, %0 the first real, @ the shape of the result, & its dtype,
 * ~ a reduction's axes as a list and ^ whether it keeps them.
 */
#include "torch.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

struct torch {
    lh_ctx *c;
    struct buffer *code;
    const lh_draft_graph *graph;
    const lh_draft_node *node;
};

int torch_dtype(int32_t dtype) {
    static const int codes[] = {[LH_F32] = 6,   [LH_F64] = 7,   [LH_I64] = 4, [LH_U8] = 0,
                                [LH_BOOL] = 11, [LH_BF16] = 15, [LH_F16] = 5, [LH_I32] = 3};
    return codes[dtype];
}

void torch_size(struct buffer *b, int64_t base, int64_t per_batch) {
    if (per_batch == 0)
        buffer_print(b, "%lld", (long long)base);
    else if (base == 0 && per_batch == 1)
        buffer_text(b, "batch");
    else
        buffer_print(b, "torch.add(torch.mul(batch, %lld), %lld)", (long long)per_batch,
                     (long long)base);
}

static void add_real(struct buffer *b, double v) {
    char text[LH_REAL_SIZE];

    if (isnan(v) || isinf(v)) {
        buffer_print(b, "float(\"%s\")", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
        return;
    }
    lh_real_text(text, v);
    buffer_text(b, text);
    if (!strpbrk(text, ".e"))
        buffer_text(b, ".");
}

static void add_value(struct torch *t, int32_t value) {
    buffer_print(t->code, "v%d", value);
}

/* Integers [first, end) of the node as a list. */
static void add_ints(struct torch *t, int32_t first, int32_t end) {
    buffer_text(t->code, "[");
    for (int32_t i = first; i < end; i++) {
        buffer_text(t->code, i > first ? ", " : "");
        torch_size(t->code, t->node->ints[i], t->node->per_batch[i]);
    }
    buffer_text(t->code, "]");
}

/* ints: keepdim, (correction,) axes; none: all */
static void add_axes(struct torch *t) {
    int32_t is_variance = t->node->op == LH_OP_VAR || t->node->op == LH_OP_STD;
    int32_t first = 1 + is_variance, ndim = t->graph->values[t->node->inputs[0]].ndim;

    if (t->node->n_ints > first) {
        add_ints(t, first, t->node->n_ints);
        return;
    }
    buffer_text(t->code, "[");
    for (int32_t d = 0; d < ndim; d++)
        buffer_print(t->code, "%s%d", d ? ", " : "", d);
    buffer_text(t->code, "]");
}

static void add_shape(struct torch *t) {
    const lh_draft_value *v = &t->graph->values[t->node->output];

    buffer_text(t->code, "[");
    for (int32_t d = 0; d < v->ndim; d++) {
        buffer_text(t->code, d ? ", " : "");
        torch_size(t->code, v->shape[d], v->per_batch[d]);
    }
    buffer_text(t->code, "]");
}

/* The digit behind template[*i], at which i is left. */
static int32_t digit(const char *template, size_t *i) {
    return template[++*i] - '0';
}

static void fill(struct torch *t, const char *template) {
    const lh_draft_node *n = t->node;

    for (size_t i = 0; template[i]; i++) {
        switch (template[i]) {
        case '$':
            if (template[i + 1] != '*') {
                add_value(t, n->inputs[digit(template, &i)]);
                break;
            }
            i++;
            buffer_text(t->code, "[");
            for (int32_t k = 0; k < n->n_inputs; k++) {
                buffer_text(t->code, k ? ", " : "");
                add_value(t, n->inputs[k]);
            }
            buffer_text(t->code, "]");
            break;
        case '#': {
            int32_t k = digit(template, &i);

            if (template[i + 1] == '*')
                i++, add_ints(t, k, n->n_ints);
            else if (k < n->n_ints)
                torch_size(t->code, n->ints[k], n->per_batch[k]);
            else
                buffer_text(t->code, "0");
            break;
        }
        case '%':
            add_real(t->code, n->reals[digit(template, &i)]);
            break;
        case '@':
            add_shape(t);
            break;
        case '&':
            buffer_print(t->code, "%d", torch_dtype(t->graph->values[n->output].dtype));
            break;
        case '~':
            add_axes(t);
            break;
        case '^':
            buffer_text(t->code, n->ints[0] ? "True" : "False");
            break;
        default:
            buffer_add(t->code, template + i, 1);
        }
    }
}

/* ---- operators that a template can't say */

static const char *truth(int64_t v) {
    return v ? "True" : "False";
}

/* Input i, or None where there is none. */
static void add_optional(struct torch *t, int32_t i) {
    if (i >= 0 && i < t->node->n_inputs)
        add_value(t, t->node->inputs[i]);
    else
        buffer_text(t->code, "None");
}

static int32_t spatial(const struct torch *t) {
    return t->graph->values[t->node->inputs[0]].ndim - 2;
}

/* One axis after the other, from the last on, so that the others keep their places. */
static void write_prod(struct torch *t) {
    int32_t ndim = t->graph->values[t->node->inputs[0]].ndim, n = t->node->n_ints - 1;

    for (int32_t d = 0; d < ndim; d++) {
        int32_t is_reduced = n == 0;

        for (int32_t k = 1; k <= n; k++)
            is_reduced |= t->node->ints[k] == d;
        buffer_text(t->code, is_reduced ? "torch.prod(" : "");
    }
    add_value(t, t->node->inputs[0]);
    for (int32_t d = ndim; d-- > 0;) {
        int32_t is_reduced = n == 0;

        for (int32_t k = 1; k <= n; k++)
            is_reduced |= t->node->ints[k] == d;
        if (is_reduced)
            buffer_print(t->code, ", %d, %s)", d, truth(t->node->ints[0]));
    }
}

static void write_variance(struct torch *t) {
    fill(t, t->node->op == LH_OP_VAR ? "torch.var($0, ~, correction=#1, keepdim=^)"
                                     : "torch.std($0, ~, correction=#1, keepdim=^)");
}

static void write_argmax(struct torch *t) {
    fill(t, t->node->op == LH_OP_ARGMAX ? "torch.argmax($0, #0, " : "torch.argmin($0, #0, ");
    buffer_print(t->code, "%s)", truth(t->node->n_ints > 1 && t->node->ints[1]));
}

static void write_cumsum(struct torch *t) {
    fill(t, t->node->n_ints > 1 && t->node->ints[1]
                ? "torch.flip(torch.cumsum(torch.flip($0, [#0]), #0), [#0])"
                : "torch.cumsum($0, #0)");
}

static void write_argsort(struct torch *t) {
    fill(t, "torch.argsort($0, stable=True, dim=#0, descending=");
    buffer_print(t->code, "%s)", truth(t->node->n_ints > 1 && t->node->ints[1]));
}

static void write_topk(struct torch *t) {
    fill(t, "(torch.topk($0, #0, #1, ");
    buffer_print(t->code, "%s, True))[1]", truth(t->node->n_ints < 3 || t->node->ints[2]));
}

/* Modes other than constant take pairs for all axes of x but the first or the first two: zeros are
 * added, and a leading axis where all are padded. */
static void write_pad(struct torch *t) {
    int32_t ndim = t->graph->values[t->node->inputs[0]].ndim, pairs = (t->node->n_ints - 1) / 2;
    int32_t is_whole = pairs == ndim;

    if (t->node->ints[0] == LH_PAD_CONSTANT) {
        fill(t, t->node->n_reals ? "torch.constant_pad_nd($0, #1*, %0)"
                                 : "torch.constant_pad_nd($0, #1*, 0)");
        return;
    }
    fill(t, is_whole ? "torch.squeeze(torch.pad(torch.unsqueeze($0, 0), [" : "torch.pad($0, [");
    for (int32_t i = 1; i < t->node->n_ints; i++)
        buffer_print(t->code, "%lld, ", (long long)t->node->ints[i]);
    for (; pairs < ndim - 2; pairs++)
        buffer_text(t->code, "0, 0, ");
    buffer_print(t->code, "], \"%s\")%s",
                 t->node->ints[0] == LH_PAD_REFLECT ? "reflect" : "replicate",
                 is_whole ? ", 0)" : "");
}

static void write_linear(struct torch *t) {
    fill(t, t->node->n_inputs > 2 ? "torch.linear($0, $1, $2)" : "torch.linear($0, $1)");
}

static void write_gelu(struct torch *t) {
    fill(t, t->node->n_ints && t->node->ints[0] ? "torch.gelu($0, approximate=\"tanh\")"
                                                : "torch.gelu($0)");
}

static void write_conv(struct torch *t) {
    int32_t n = spatial(t), is_transposed = t->node->op == LH_OP_CONV_TRANSPOSE;

    buffer_print(t->code, "torch.%s%dd(", is_transposed ? "conv_transpose" : "conv", n);
    fill(t, "$0, $1, ");
    add_optional(t, 2);
    for (int32_t k = 0; k < 2 + is_transposed; k++) {
        buffer_text(t->code, ", ");
        add_ints(t, k * n, (k + 1) * n);
    }
    if (is_transposed) {
        buffer_print(t->code, ", %lld, ", (long long)t->node->ints[4 * n]);
        add_ints(t, 3 * n, 4 * n);
        buffer_text(t->code, ")");
    } else {
        buffer_text(t->code, ", ");
        add_ints(t, 2 * n, 3 * n);
        buffer_print(t->code, ", %lld)", (long long)t->node->ints[3 * n]);
    }
}

static void write_pool(struct torch *t) {
    int32_t n = spatial(t), is_average = t->node->op == LH_OP_AVG_POOL;
    int32_t wants_indices = t->node->op == LH_OP_MAX_POOL_INDICES, lists = is_average ? 3 : 4;

    buffer_print(t->code, "%storch.%s_pool%dd%s(", wants_indices ? "(" : "",
                 is_average ? "avg" : "max", n, wants_indices ? "_with_indices" : "");
    fill(t, "$0");
    for (int32_t k = 0; k < lists; k++) {
        buffer_text(t->code, ", ");
        add_ints(t, k * n, (k + 1) * n);
    }
    buffer_print(t->code, ", %s", truth(t->node->ints[lists * n]));
    if (is_average)
        buffer_print(t->code, ", %s", truth(t->node->ints[lists * n + 1]));
    buffer_text(t->code, wants_indices ? "))[1]" : ")");
}

static void write_adaptive_pool(struct torch *t) {
    int32_t is_max = t->node->op == LH_OP_ADAPTIVE_MAX_POOL;

    buffer_print(t->code, "%storch.adaptive_%s_pool%dd(", is_max ? "(" : "", is_max ? "max" : "avg",
                 spatial(t));
    fill(t, is_max ? "$0, #0*))[0]" : "$0, #0*)");
}

static void write_upsample(struct torch *t) {
    static const char *const linear[] = {"linear1d", "bilinear2d", "trilinear3d"};
    int32_t n = spatial(t);

    if (t->node->op == LH_OP_UPSAMPLE_NEAREST) {
        buffer_print(t->code, "torch.upsample_nearest%dd(", n);
        fill(t, "$0, #0*)");
        return;
    }
    buffer_print(t->code, "torch.upsample_%s(", linear[n - 1]);
    fill(t, "$0, #1*, ");
    buffer_print(t->code, "%s)", truth(t->node->ints[0]));
}

/* (x[, weight, bias], running_mean, running_var[, num_batches_tracked]) */
static void write_batch_norm(struct torch *t) {
    int32_t is_affine = t->node->n_inputs > 4;

    fill(t, is_affine ? "torch.batch_norm($0, $1, $2, $3, $4, False, %1, %0, False)"
                      : "torch.batch_norm($0, None, None, $1, $2, False, %1, %0, False)");
}

/* torch.layer_norm and torch.rms_norm, over the last axes. */
static void write_row_norm(struct torch *t) {
    const lh_draft_value *x = &t->graph->values[t->node->inputs[0]];
    int32_t is_rms = t->node->op == LH_OP_RMS_NORM;

    fill(t, is_rms ? "torch.rms_norm($0, [" : "torch.layer_norm($0, [");
    for (int32_t d = x->ndim - (int32_t)t->node->ints[0]; d < x->ndim; d++)
        buffer_print(t->code, "%lld, ", (long long)x->shape[d]);
    buffer_text(t->code, "], ");
    add_optional(t, 1);
    buffer_text(t->code, ", ");
    if (!is_rms) {
        add_optional(t, 2);
        buffer_text(t->code, ", ");
    }
    fill(t, "%0)");
}

static void write_group_norm(struct torch *t) {
    int32_t is_group = t->node->op == LH_OP_GROUP_NORM;

    fill(t, is_group ? "torch.group_norm($0, #0, " : "torch.instance_norm($0, ");
    add_optional(t, 1);
    buffer_text(t->code, ", ");
    add_optional(t, 2);
    fill(t, is_group ? ", %0)" : ", None, None, True, 0.1, %0, False)");
}

/* Of a mask and causal together one mask is made. */
static void write_attention(struct torch *t) {
    const lh_draft_value *q = &t->graph->values[t->node->inputs[0]];
    const lh_draft_value *k = &t->graph->values[t->node->inputs[1]];
    int32_t has_mask = t->node->n_inputs > 3, causal = t->node->ints[0] != 0;
    double scale =
        t->node->reals[0] != 0 ? t->node->reals[0] : 1 / sqrt((double)q->shape[q->ndim - 1]);

    fill(t, "torch.scaled_dot_product_attention($0, $1, $2, ");
    if (has_mask && causal) {
        int32_t is_bool = t->graph->values[t->node->inputs[3]].dtype == LH_BOOL;

        fill(t, is_bool ? "torch.logical_and($3, " : "torch.masked_fill($3, torch.logical_not(");
        buffer_print(t->code, "torch.tril(torch.ones([%lld, %lld], dtype=11))",
                     (long long)q->shape[q->ndim - 2], (long long)k->shape[k->ndim - 2]);
        buffer_text(t->code, is_bool ? ")" : "), float(\"-inf\"))");
    } else {
        add_optional(t, 3);
    }
    buffer_print(t->code, ", 0., %s, scale=", truth(causal && !has_mask));
    add_real(t->code, scale);
    buffer_text(t->code, ")");
}

/* A loop over time that appends each step's row, of the layout that ops.h tells, to the list l: x
 * is the step's input, r what comes from h; a, b and g their parts per gate and the gates. */
static void write_recurrent(struct torch *t) {
    const lh_draft_node *n = t->node;
    int32_t at = n->op == LH_OP_LSTM ? 3 : 2, gates = n->op == LH_OP_LSTM ? 4 : 3;
    int64_t hidden = t->graph->values[n->inputs[1]].shape[1];
    int32_t y = n->output;

    buffer_print(t->code, "annotate(List[Tensor], [])\n    h%d = v%d\n", y, n->inputs[1]);
    if (n->op == LH_OP_LSTM)
        buffer_print(t->code, "    c%d = v%d\n", y, n->inputs[2]);
    buffer_print(t->code, "    for i%d in range(torch.size(v%d, 0)):\n", y, n->inputs[0]);
    buffer_print(t->code, "      x%d = torch.select(v%d, 0, i%d)\n", y, n->inputs[0], y);
    buffer_print(t->code, "      r%d = torch.linear(h%d, v%d, v%d)\n", y, y, n->inputs[at],
                 n->inputs[at + 1]);
    if (n->op == LH_OP_RNN) {
        buffer_print(t->code, "      h%d = torch.%s(torch.add(x%d, r%d))\n", y,
                     n->ints[0] ? "relu" : "tanh", y, y);
        buffer_print(t->code, "      _%d = torch.append(l%d, h%d)\n", y, y, y);
    } else {
        for (int32_t k = 0; k < gates; k++) {
            long long begin = k * hidden, end = begin + hidden;

            buffer_print(t->code, "      a%d_%d = torch.slice(x%d, 1, %lld, %lld)\n", y, k, y,
                         begin, end);
            buffer_print(t->code, "      b%d_%d = torch.slice(r%d, 1, %lld, %lld)\n", y, k, y,
                         begin, end);
            if (n->op == LH_OP_LSTM || k < 2)
                buffer_print(t->code, "      g%d_%d = torch.%s(torch.add(a%d_%d, b%d_%d))\n", y, k,
                             n->op == LH_OP_LSTM && k == 2 ? "tanh" : "sigmoid", y, k, y, k);
            else
                buffer_print(
                    t->code,
                    "      g%d_2 = torch.tanh(torch.add(a%d_2, torch.mul(g%d_0, b%d_2)))\n", y, y,
                    y, y);
        }
        if (n->op == LH_OP_LSTM) {
            buffer_print(t->code,
                         "      c%d = torch.add(torch.mul(g%d_1, c%d), torch.mul(g%d_0, g%d_2))\n"
                         "      h%d = torch.mul(g%d_3, torch.tanh(c%d))\n",
                         y, y, y, y, y, y, y, y);
            buffer_print(t->code,
                         "      _%d = torch.append(l%d, torch.cat([h%d, c%d, g%d_0, g%d_1, g%d_2, "
                         "g%d_3], 1))\n",
                         y, y, y, y, y, y, y, y);
        } else {
            buffer_print(t->code,
                         "      h%d = torch.add(torch.mul(torch.sub(h%d, g%d_2), g%d_1), g%d_2)\n",
                         y, y, y, y, y);
            buffer_print(t->code,
                         "      _%d = torch.append(l%d, torch.cat([h%d, g%d_0, g%d_1, g%d_2, "
                         "b%d_2], 1))\n",
                         y, y, y, y, y, y, y);
        }
    }
    buffer_print(t->code, "    v%d = torch.stack(l%d, 0)", y, y);
}

/* ---- the table */

static const struct mapping {
    uint32_t op;
    const char *template;
    void (*write)(struct torch *t);
} mappings[] = {
    {LH_OP_ADD, "torch.add($0, $1)", NULL},
    {LH_OP_SUB, "torch.sub($0, $1)", NULL},
    {LH_OP_MUL, "torch.mul($0, $1)", NULL},
    {LH_OP_DIV, "torch.div($0, $1)", NULL},
    {LH_OP_POW, "torch.pow($0, $1)", NULL},
    {LH_OP_MAXIMUM, "torch.maximum($0, $1)", NULL},
    {LH_OP_MINIMUM, "torch.minimum($0, $1)", NULL},
    {LH_OP_EQ, "torch.eq($0, $1)", NULL},
    {LH_OP_NE, "torch.ne($0, $1)", NULL},
    {LH_OP_LT, "torch.lt($0, $1)", NULL},
    {LH_OP_LE, "torch.le($0, $1)", NULL},
    {LH_OP_GT, "torch.gt($0, $1)", NULL},
    {LH_OP_GE, "torch.ge($0, $1)", NULL},
    {LH_OP_WHERE, "torch.where($0, $1, $2)", NULL},
    {LH_OP_ADD_SCALAR, "torch.add($0, %0)", NULL},
    {LH_OP_MUL_SCALAR, "torch.mul($0, %0)", NULL},
    {LH_OP_POW_SCALAR, "torch.pow($0, %0)", NULL},
    {LH_OP_NEG, "torch.neg($0)", NULL},
    {LH_OP_EXP, "torch.exp($0)", NULL},
    {LH_OP_LOG, "torch.log($0)", NULL},
    {LH_OP_SQRT, "torch.sqrt($0)", NULL},
    {LH_OP_SQUARE, "torch.mul($0, $0)", NULL},
    {LH_OP_ABS, "torch.abs($0)", NULL},
    {LH_OP_RELU, "torch.relu($0)", NULL},
    {LH_OP_SIGMOID, "torch.sigmoid($0)", NULL},
    {LH_OP_TANH, "torch.tanh($0)", NULL},
    {LH_OP_CLAMP, "torch.clamp($0, %0, %1)", NULL},
    {LH_OP_GELU, NULL, write_gelu},
    {LH_OP_SILU, "torch.silu($0)", NULL},
    {LH_OP_LEAKY_RELU, "torch.leaky_relu($0, %0)", NULL},
    {LH_OP_ELU, "torch.elu($0, %0)", NULL},
    {LH_OP_SOFTPLUS, "torch.softplus($0, %0, %1)", NULL},
    {LH_OP_SIN, "torch.sin($0)", NULL},
    {LH_OP_COS, "torch.cos($0)", NULL},
    {LH_OP_RSQRT, "torch.rsqrt($0)", NULL},
    {LH_OP_ERF, "torch.erf($0)", NULL},
    {LH_OP_SIGN, "torch.sign($0)", NULL},
    {LH_OP_FLOOR, "torch.floor($0)", NULL},
    {LH_OP_MASKED_FILL, "torch.masked_fill($0, $1, %0)", NULL},
    {LH_OP_SUM, "torch.sum($0, ~, ^)", NULL},
    {LH_OP_MEAN, "torch.mean($0, ~, ^)", NULL},
    {LH_OP_AMAX, "torch.amax($0, ~, ^)", NULL},
    {LH_OP_AMIN, "torch.amin($0, ~, ^)", NULL},
    {LH_OP_PROD, NULL, write_prod},
    {LH_OP_VAR, NULL, write_variance},
    {LH_OP_STD, NULL, write_variance},
    {LH_OP_LOGSUMEXP, "torch.logsumexp($0, ~, ^)", NULL},
    {LH_OP_NORM, "torch.norm($0, %0, ~, ^)", NULL},
    {LH_OP_ANY, "torch.any($0, ~, ^)", NULL},
    {LH_OP_ALL, "torch.all($0, ~, ^)", NULL},
    {LH_OP_ARGMAX, NULL, write_argmax},
    {LH_OP_ARGMIN, NULL, write_argmax},
    {LH_OP_CUMSUM, NULL, write_cumsum},
    {LH_OP_ARGSORT, NULL, write_argsort},
    {LH_OP_TOPK, NULL, write_topk},
    {LH_OP_RESHAPE, "torch.reshape($0, #0*)", NULL},
    {LH_OP_PERMUTE, "torch.permute($0, #0*)", NULL},
    {LH_OP_EXPAND, "torch.expand($0, #0*)", NULL},
    {LH_OP_SLICE, "torch.slice($0, #0, #1, #2, #3)", NULL},
    {LH_OP_CONCAT, "torch.cat($*, #0)", NULL},
    {LH_OP_GATHER, "torch.gather($0, #0, $1)", NULL},
    {LH_OP_INDEX_SELECT, "torch.index_select($0, #0, $1)", NULL},
    {LH_OP_EMBEDDING, "torch.embedding($0, $1)", NULL},
    {LH_OP_SCATTER_ADD, "torch.scatter_add($0, #0, $1, $2)", NULL},
    {LH_OP_ONE_HOT, "torch.one_hot($0, #0)", NULL},
    {LH_OP_TRIL, "torch.tril($0, #0)", NULL},
    {LH_OP_TRIU, "torch.triu($0, #0)", NULL},
    {LH_OP_FLIP, "torch.flip($0, #0*)", NULL},
    {LH_OP_PAD, NULL, write_pad},
    {LH_OP_FULL, "torch.full(@, %0, dtype=&)", NULL},
    {LH_OP_ARANGE, "torch.to(torch.add(torch.mul(torch.arange(#1, dtype=7), %1), %0), &)", NULL},
    {LH_OP_CAST, "torch.to($0, &)", NULL},
    {LH_OP_CONTIGUOUS, "torch.contiguous($0)", NULL},
    {LH_OP_DETACH, "torch.detach($0)", NULL},
    {LH_OP_REQUIRE_GRAD, "torch.detach($0)", NULL},
    {LH_OP_MATMUL, "torch.matmul($0, $1)", NULL},
    {LH_OP_LINEAR, NULL, write_linear},
    {LH_OP_SOFTMAX, "torch.softmax($0, #0)", NULL},
    {LH_OP_LOG_SOFTMAX, "torch.log_softmax($0, #0)", NULL},
    {LH_OP_CONV, NULL, write_conv},
    {LH_OP_CONV_TRANSPOSE, NULL, write_conv},
    {LH_OP_MAX_POOL, NULL, write_pool},
    {LH_OP_MAX_POOL_INDICES, NULL, write_pool},
    {LH_OP_AVG_POOL, NULL, write_pool},
    {LH_OP_ADAPTIVE_AVG_POOL, NULL, write_adaptive_pool},
    {LH_OP_ADAPTIVE_MAX_POOL, NULL, write_adaptive_pool},
    {LH_OP_UPSAMPLE_NEAREST, NULL, write_upsample},
    {LH_OP_UPSAMPLE_LINEAR, NULL, write_upsample},
    {LH_OP_BATCH_NORM, NULL, write_batch_norm},
    {LH_OP_LAYER_NORM, NULL, write_row_norm},
    {LH_OP_RMS_NORM, NULL, write_row_norm},
    {LH_OP_GROUP_NORM, NULL, write_group_norm},
    {LH_OP_INSTANCE_NORM, NULL, write_group_norm},
    {LH_OP_ATTENTION, NULL, write_attention},
    {LH_OP_RNN, NULL, write_recurrent},
    {LH_OP_LSTM, NULL, write_recurrent},
    {LH_OP_GRU, NULL, write_recurrent},
};

static const struct mapping *mapping_of(uint32_t op) {
    for (size_t i = 0; i < sizeof mappings / sizeof *mappings; i++)
        if (mappings[i].op == op)
            return &mappings[i];
    return NULL;
}

int32_t torch_maps(uint32_t op) {
    return mapping_of(op) != NULL;
}

void torch_statement(lh_ctx *c, struct buffer *code, const lh_draft_graph *graph,
                     const lh_draft_node *node) {
    const struct mapping *m = mapping_of(node->op);
    struct torch t = {c, code, graph, node};

    if (!m) {
        c->host->fail(c, LH_EUNSUPPORTED, node->file, node->line,
                      "TorchScript has nothing for the operator %s; compute it with others in "
                      "forward",
                      node->name);
        return;
    }
    buffer_print(code, "    %c%d = ", m->write == write_recurrent ? 'l' : 'v', node->output);
    if (m->template)
        fill(&t, m->template);
    else
        m->write(&t);
    buffer_text(code, "\n");
}
