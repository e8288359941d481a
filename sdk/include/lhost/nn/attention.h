/* attention.h - torch.nn.MultiheadAttention.
 *
 *     m->attention = lh_multihead_attention_make(c, "attn", 512, 8, .batch_first = 1);
 *     y = lh_multihead_attention_apply(c, m->attention, x, x, x, .causal = 1);
 */
#ifndef LHOST_NN_ATTENTION_H
#define LHOST_NN_ATTENTION_H

#include <math.h>

#include "linear.h"

LH_EXTERN_C_BEGIN

typedef struct lh_multihead_options {
    double dropout;      /* of the attention weights; 0 */
    int64_t kdim, vdim;  /* features of keys and values; 0: as of queries */
    int32_t bias;        /* 1 */
    int32_t batch_first; /* 0: (t, n, features); 1: (n, t, features) */
} lh_multihead_options;

/* NAME.in_proj_weight (3 features, features), Xavier's uniform; NAME.in_proj_bias (3 features),
 * zeros; NAME.out_proj.weight (features, features), as a linear layer's; NAME.out_proj.bias, zeros.
 * With .kdim or .vdim NAME.q_proj_weight, NAME.k_proj_weight and NAME.v_proj_weight instead of
 * in_proj_weight. */
typedef struct lh_multihead_attention {
    lh_tensor *in_proj_weight; /* NULL: three of their own */
    lh_tensor *proj_weight[3]; /* of q, k, v */
    lh_tensor *in_proj_bias;   /* NULL: no biases */
    lh_linear out_proj;
    int64_t features, heads;
    lh_multihead_options o;
} lh_multihead_attention;

static inline lh_multihead_attention lh_multihead_make_(lh_ctx *c, const char *file, int32_t line,
                                                        const char *name, int64_t features,
                                                        int64_t heads,
                                                        const lh_multihead_options *o) {
    const lh_init xavier = lh_init_(LH_INIT_XAVIER_UNIFORM, 1, 0);
    const lh_init zeros = lh_init_(LH_INIT_CONSTANT, 0, 0);
    const lh_init fan = lh_init_(LH_INIT_FAN_UNIFORM, (double)features, 0);
    const int64_t packed[2] = {3 * features, features}, square[2] = {features, features};
    const int64_t k[2] = {features, o->kdim ? o->kdim : features};
    const int64_t v[2] = {features, o->vdim ? o->vdim : features};
    int apart = k[1] != features || v[1] != features;
    lh_multihead_attention layer;

    if (heads < 1 || features % heads != 0)
        c->host->fail(c, LH_EINVAL, file, line, "%s: %lld features can't be split into %lld heads",
                      name, (long long)features, (long long)heads);
    layer.features = features;
    layer.heads = heads;
    layer.o = *o;
    layer.in_proj_weight = lh_param_of_(c, !apart, name, "in_proj_weight", 2, packed, xavier);
    layer.proj_weight[0] = lh_param_of_(c, apart, name, "q_proj_weight", 2, square, xavier);
    layer.proj_weight[1] = lh_param_of_(c, apart, name, "k_proj_weight", 2, k, xavier);
    layer.proj_weight[2] = lh_param_of_(c, apart, name, "v_proj_weight", 2, v, xavier);
    layer.in_proj_bias = lh_param_of_(c, o->bias, name, "in_proj_bias", 1, packed, zeros);
    layer.out_proj.weight = lh_param_of_(c, 1, name, "out_proj.weight", 2, square, fan);
    layer.out_proj.bias = lh_param_of_(c, o->bias, name, "out_proj.bias", 1, square, zeros);
    return layer;
}

/* (c, name, features, heads). Options: .dropout 0, .kdim, .vdim, .bias 1, .batch_first 0. Errors:
 * features that heads don't divide. */
#define lh_multihead_attention_make(c, ...) LH_MULTIHEAD_(c, __VA_ARGS__, )
#define LH_MULTIHEAD_(c, name, features, heads, ...)               \
    lh_multihead_make_((c), LH_HERE_, (name), (features), (heads), \
                       &(const lh_multihead_options){.bias = 1, __VA_ARGS__})

/* What a query may not look at; PyTorch's meaning of the masks, all of which hold together: BOOL
 * masks are 1 where looking is forbidden, real ones are added to the scores. */
typedef struct lh_attention_options {
    lh_tensor *mask;             /* attn_mask: (t, s) or (n heads, t, s); NULL: none */
    lh_tensor *key_padding_mask; /* (n, s); NULL: none */
    int32_t causal;              /* 1: nor at what comes later */
} lh_attention_options;

/* A call under way. */
typedef struct lh_attention_call_ {
    lh_ctx *c;
    const char *file;
    int32_t line, dtype;
    const lh_multihead_attention *layer;
    int64_t batch;
} lh_attention_call_;

/* Input i of q, k, v projected and split: (n, heads, t, features/heads). */
static inline lh_tensor *lh_attention_head_(const lh_attention_call_ *a, int32_t i, lh_tensor *x) {
    const lh_multihead_attention *layer = a->layer;
    const int64_t e = layer->features, third[4] = {0, i * e, (i + 1) * e, 1};
    const int64_t order[4] = {layer->o.batch_first ? 0 : 1, 2, layer->o.batch_first ? 1 : 0, 3};
    int64_t shape[4];
    lh_linear proj;

    proj.weight = layer->in_proj_weight ? lh_op1_(a->c, a->file, a->line, LH_OP_SLICE,
                                                  layer->in_proj_weight, 4, third, 0, NULL)
                                        : layer->proj_weight[i];
    proj.bias = layer->in_proj_bias ? lh_op1_(a->c, a->file, a->line, LH_OP_SLICE,
                                              layer->in_proj_bias, 4, third, 0, NULL)
                                    : NULL;
    x = lh_linear_apply_(a->c, a->file, a->line, &proj, x);
    shape[0] = lh_dim(a->c, x, 0);
    shape[1] = lh_dim(a->c, x, 1);
    shape[2] = layer->heads;
    shape[3] = e / layer->heads;
    x = lh_op1_(a->c, a->file, a->line, LH_OP_RESHAPE, x, 4, shape, 0, NULL);
    return lh_op1_(a->c, a->file, a->line, LH_OP_PERMUTE, x, 4, order, 0, NULL);
}

/* A mask as numbers to add to the scores, in the shape that broadcasts to (n, heads, t, s). */
static inline lh_tensor *lh_attention_mask_(const lh_attention_call_ *a, lh_tensor *mask,
                                            int is_padding) {
    const int64_t none[2] = {a->dtype, 1};
    const double zero = 0, never = -INFINITY;
    int32_t ndim = lh_ndim(a->c, mask);
    int64_t shape[4];
    lh_tensor *inputs[2];

    shape[0] = ndim == 3 || is_padding ? a->batch : 1;
    shape[1] = ndim == 3 ? a->layer->heads : 1;
    shape[2] = is_padding ? 1 : lh_dim(a->c, mask, -2);
    shape[3] = lh_dim(a->c, mask, -1);
    mask = lh_op1_(a->c, a->file, a->line, LH_OP_RESHAPE, mask, 4, shape, 0, NULL);
    if (lh_dtype_(a->c, mask) != LH_BOOL)
        return mask;
    inputs[0] = lh_op_(a->c, a->file, a->line, LH_OP_FULL, NULL, 0, none, 2, &zero, 1);
    inputs[1] = mask;
    return lh_op_(a->c, a->file, a->line, LH_OP_MASKED_FILL, inputs, 2, NULL, 0, &never, 1);
}

static inline lh_tensor *lh_multihead_apply_(lh_ctx *c, const char *file, int32_t line,
                                             const lh_multihead_attention *layer, lh_tensor *q,
                                             lh_tensor *k, lh_tensor *v,
                                             const lh_attention_options *o) {
    const int64_t causal = o->causal,
                  back[4] = {layer->o.batch_first ? 0 : 2, layer->o.batch_first ? 2 : 0, 1, 3};
    const double reals[2] = {0, layer->o.dropout};
    lh_tensor *inputs[4], *mask = NULL, *out;
    int64_t shape[3];
    lh_attention_call_ a;

    if (!q || !k || !v)
        return NULL;
    if (lh_ndim(c, q) != 3 || lh_ndim(c, k) != 3 || lh_ndim(c, v) != 3) {
        c->host->fail(c, LH_ESHAPE, file, line,
                      "multi-head attention takes queries, keys and values of three axes, not "
                      "%d, %d and %d; reshape them",
                      (int)lh_ndim(c, q), (int)lh_ndim(c, k), (int)lh_ndim(c, v));
        return NULL;
    }
    a.c = c;
    a.file = file;
    a.line = line;
    a.dtype = lh_dtype_(c, layer->out_proj.weight);
    a.layer = layer;
    a.batch = lh_dim(c, q, layer->o.batch_first ? 0 : 1);
    if (o->mask)
        mask = lh_attention_mask_(&a, o->mask, 0);
    if (o->key_padding_mask) {
        lh_tensor *padding = lh_attention_mask_(&a, o->key_padding_mask, 1);

        mask = o->mask ? lh_op2_(c, file, line, LH_OP_ADD, mask, padding) : padding;
    }
    inputs[0] = lh_attention_head_(&a, 0, q);
    inputs[1] = lh_attention_head_(&a, 1, k);
    inputs[2] = lh_attention_head_(&a, 2, v);
    inputs[3] = mask;
    out = lh_op_(c, file, line, LH_OP_ATTENTION, inputs, o->mask || o->key_padding_mask ? 4 : 3,
                 &causal, 1, reals, 2);
    out = lh_op1_(c, file, line, LH_OP_PERMUTE, out, 4, back, 0, NULL);
    shape[0] = lh_dim(c, q, 0);
    shape[1] = lh_dim(c, q, 1);
    shape[2] = layer->features;
    out = lh_op1_(c, file, line, LH_OP_RESHAPE, out, 3, shape, 0, NULL);
    return lh_linear_apply_(c, file, line, &layer->out_proj, out);
}

/* (c, layer, q, k, v): queries (t, n, features), keys (s, n, kdim), values (s, n, vdim), to
 * (t, n, features); axes 0 and 1 swapped with .batch_first. Options: .mask, .key_padding_mask,
 * .causal. A query that may look at nothing becomes NaN, as in PyTorch. */
#define lh_multihead_attention_apply(c, layer, q, ...) \
    LH_MULTIHEAD_APPLY_(c, layer, q, __VA_ARGS__, )
#define LH_MULTIHEAD_APPLY_(c, layer, q, k, v, ...)             \
    lh_multihead_apply_((c), LH_HERE_, &(layer), (q), (k), (v), \
                        &(const lh_attention_options){.causal = 0, __VA_ARGS__})

LH_EXTERN_C_END
#endif
