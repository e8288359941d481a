/* transformer.h - torch.nn.TransformerEncoderLayer, TransformerDecoderLayer and stacks of them.
 *
 *     m->encoder = lh_transformer_encoder_make(c, "encoder", 6, 512, 8, .batch_first = 1);
 *     y = lh_transformer_apply(c, m->encoder, x, NULL, .causal = 1);
 */
#ifndef LHOST_NN_TRANSFORMER_H
#define LHOST_NN_TRANSFORMER_H

#include "attention.h"
#include "norm.h"

LH_EXTERN_C_BEGIN

typedef struct lh_transformer_options {
    int64_t dim_feedforward; /* 2048 */
    double dropout;          /* 0.1 */
    double layer_norm_eps;   /* 1e-5 */
    int32_t gelu;            /* 0: relu between the linear layers */
    int32_t batch_first;     /* 0: (t, n, features); 1: (n, t, features) */
    int32_t norm_first;      /* 1: each block normalizes its input, 0: its output */
    int32_t bias;            /* 1 */
    int32_t final_norm;      /* of stacks: NAME.norm at the end; 0 */
} lh_transformer_options;

/* NAME.self_attn.*, NAME.linear1.*, NAME.linear2.*, NAME.norm1.*, NAME.norm2.*; a decoder also
 * NAME.multihead_attn.* and NAME.norm3.*. */
typedef struct lh_transformer_layer {
    lh_multihead_attention self_attn, multihead_attn;
    lh_linear linear1, linear2;
    lh_layer_norm norm1, norm2, norm3;
    int32_t is_decoder;
    lh_transformer_options o;
} lh_transformer_layer;

/* `n` layers NAME.layers.0.* ..., each with its own start, and NAME.norm if asked for. */
typedef struct lh_transformer {
    lh_transformer_layer *layers; /* lives with the run */
    int32_t n;
    lh_layer_norm norm;
} lh_transformer;

static inline lh_layer_norm lh_transformer_norm_(lh_ctx *c, const char *name, const char *part,
                                                 int64_t features,
                                                 const lh_transformer_options *o) {
    char key[LH_NAME_SIZE];
    lh_norm_options norm;

    memset(&norm, 0, sizeof norm);
    norm.eps = o->layer_norm_eps;
    norm.affine = 1;
    norm.bias = o->bias;
    lh_name_(c, key, "%s.%s", name, part);
    return lh_layer_norm_make_(c, key, LH_OP_LAYER_NORM, features, &norm);
}

static inline lh_transformer_layer lh_transformer_layer_make_(lh_ctx *c, const char *file,
                                                              int32_t line, const char *name,
                                                              int is_decoder, int64_t features,
                                                              int64_t heads,
                                                              const lh_transformer_options *o) {
    char key[LH_NAME_SIZE];
    lh_multihead_options attention;
    lh_transformer_layer layer;

    memset(&layer, 0, sizeof layer);
    memset(&attention, 0, sizeof attention);
    attention.dropout = o->dropout;
    attention.bias = o->bias;
    attention.batch_first = o->batch_first;
    layer.is_decoder = is_decoder;
    layer.o = *o;
    lh_name_(c, key, "%s.self_attn", name);
    layer.self_attn = lh_multihead_make_(c, file, line, key, features, heads, &attention);
    lh_name_(c, key, "%s.multihead_attn", name);
    if (is_decoder)
        layer.multihead_attn = lh_multihead_make_(c, file, line, key, features, heads, &attention);
    lh_name_(c, key, "%s.linear1", name);
    layer.linear1 = lh_linear_make_(c, key, features, o->dim_feedforward, o->bias);
    lh_name_(c, key, "%s.linear2", name);
    layer.linear2 = lh_linear_make_(c, key, o->dim_feedforward, features, o->bias);
    layer.norm1 = lh_transformer_norm_(c, name, "norm1", features, o);
    layer.norm2 = lh_transformer_norm_(c, name, "norm2", features, o);
    if (is_decoder)
        layer.norm3 = lh_transformer_norm_(c, name, "norm3", features, o);
    return layer;
}

static inline lh_transformer lh_transformer_make_(lh_ctx *c, const char *file, int32_t line,
                                                  const char *name, int32_t n, int is_decoder,
                                                  int64_t features, int64_t heads,
                                                  const lh_transformer_options *o) {
    char key[LH_NAME_SIZE];
    lh_transformer stack;

    memset(&stack, 0, sizeof stack);
    stack.layers = (lh_transformer_layer *)c->host->alloc(c, (uint64_t)n * sizeof *stack.layers);
    stack.n = stack.layers ? n : 0;
    for (int32_t i = 0; i < stack.n; i++) {
        lh_name_(c, key, "%s.layers.%d", name, (int)i);
        stack.layers[i] =
            lh_transformer_layer_make_(c, file, line, key, is_decoder, features, heads, o);
    }
    if (o->final_norm)
        stack.norm = lh_transformer_norm_(c, name, "norm", features, o);
    return stack;
}

/* (c, name, features, heads); of stacks (c, name, layers, features, heads). Options:
 * .dim_feedforward 2048, .dropout 0.1, .layer_norm_eps 1e-5, .gelu 0, .batch_first 0, .norm_first
 * 0, .bias 1; of stacks .final_norm 0. */
#define lh_transformer_encoder_layer_make(c, ...) LH_TRANSFORMER_LAYER_(c, 0, __VA_ARGS__, )
#define lh_transformer_decoder_layer_make(c, ...) LH_TRANSFORMER_LAYER_(c, 1, __VA_ARGS__, )
#define LH_TRANSFORMER_LAYER_(c, is_decoder, name, features, heads, ...)               \
    lh_transformer_layer_make_((c), LH_HERE_, (name), is_decoder, (features), (heads), \
                               LH_TRANSFORMER_OPTIONS_(__VA_ARGS__))
#define lh_transformer_encoder_make(c, ...) LH_TRANSFORMER_(c, 0, __VA_ARGS__, )
#define lh_transformer_decoder_make(c, ...) LH_TRANSFORMER_(c, 1, __VA_ARGS__, )
#define LH_TRANSFORMER_(c, is_decoder, name, layers, features, heads, ...)                 \
    lh_transformer_make_((c), LH_HERE_, (name), (layers), is_decoder, (features), (heads), \
                         LH_TRANSFORMER_OPTIONS_(__VA_ARGS__))
#define LH_TRANSFORMER_OPTIONS_(...)                                                            \
    &(const lh_transformer_options) {                                                           \
        .dim_feedforward = 2048, .dropout = 0.1, .layer_norm_eps = 1e-5, .bias = 1, __VA_ARGS__ \
    }

/* Masks of self-attention; of a decoder also those of its attention to the memory. */
typedef struct lh_transformer_masks {
    lh_tensor *mask, *key_padding_mask;
    lh_tensor *memory_mask, *memory_key_padding_mask;
    int32_t causal;
} lh_transformer_masks;

/* A call under way. */
typedef struct lh_transformer_call_ {
    lh_ctx *c;
    const char *file;
    int32_t line;
    const lh_transformer_layer *layer;
} lh_transformer_call_;

static inline lh_tensor *lh_transformer_dropout_(const lh_transformer_call_ *t, lh_tensor *x) {
    return lh_op1_(t->c, t->file, t->line, LH_OP_DROPOUT, x, 0, NULL, 1, &t->layer->o.dropout);
}

/* Attention of x to itself, or to the memory. */
static inline lh_tensor *lh_transformer_attend_(const lh_transformer_call_ *t, lh_tensor *x,
                                                lh_tensor *memory,
                                                const lh_transformer_masks *masks) {
    lh_attention_options o;

    o.mask = memory ? masks->memory_mask : masks->mask;
    o.key_padding_mask = memory ? masks->memory_key_padding_mask : masks->key_padding_mask;
    o.causal = memory ? 0 : masks->causal;
    x = lh_multihead_apply_(t->c, t->file, t->line,
                            memory ? &t->layer->multihead_attn : &t->layer->self_attn, x,
                            memory ? memory : x, memory ? memory : x, &o);
    return lh_transformer_dropout_(t, x);
}

static inline lh_tensor *lh_transformer_feed_(const lh_transformer_call_ *t, lh_tensor *x) {
    const int64_t exact = 0;

    x = lh_linear_apply_(t->c, t->file, t->line, &t->layer->linear1, x);
    x = t->layer->o.gelu ? lh_op1_(t->c, t->file, t->line, LH_OP_GELU, x, 1, &exact, 0, NULL)
                         : lh_op1_(t->c, t->file, t->line, LH_OP_RELU, x, 0, NULL, 0, NULL);
    x = lh_transformer_dropout_(t, x);
    x = lh_linear_apply_(t->c, t->file, t->line, &t->layer->linear2, x);
    return lh_transformer_dropout_(t, x);
}

/* Block i (0: self-attention, 1: attention to the memory, 2: feed-forward) around x. */
static inline lh_tensor *lh_transformer_block_(const lh_transformer_call_ *t, int i,
                                               const lh_layer_norm *norm, lh_tensor *x,
                                               lh_tensor *memory,
                                               const lh_transformer_masks *masks) {
    int first = t->layer->o.norm_first;
    lh_tensor *y = first ? lh_layer_norm_apply_(t->c, t->file, t->line, norm, x) : x;

    y = i == 2   ? lh_transformer_feed_(t, y)
        : i == 1 ? lh_transformer_attend_(t, y, memory, masks)
                 : lh_transformer_attend_(t, y, NULL, masks);
    x = lh_op2_(t->c, t->file, t->line, LH_OP_ADD, x, y);
    return first ? x : lh_layer_norm_apply_(t->c, t->file, t->line, norm, x);
}

static inline lh_tensor *lh_transformer_layer_apply_(lh_ctx *c, const char *file, int32_t line,
                                                     const lh_transformer_layer *layer,
                                                     lh_tensor *x, lh_tensor *memory,
                                                     const lh_transformer_masks *masks) {
    lh_transformer_call_ t;

    if (layer->is_decoder && !memory) {
        c->host->fail(c, LH_EINVAL, file, line,
                      "a decoder layer needs the encoder's output as its memory, not NULL");
        return NULL;
    }
    t.c = c;
    t.file = file;
    t.line = line;
    t.layer = layer;
    x = lh_transformer_block_(&t, 0, &layer->norm1, x, NULL, masks);
    if (!layer->is_decoder)
        return lh_transformer_block_(&t, 2, &layer->norm2, x, NULL, masks);
    x = lh_transformer_block_(&t, 1, &layer->norm2, x, memory, masks);
    return lh_transformer_block_(&t, 2, &layer->norm3, x, NULL, masks);
}

static inline lh_tensor *lh_transformer_apply_(lh_ctx *c, const char *file, int32_t line,
                                               const lh_transformer *stack, lh_tensor *x,
                                               lh_tensor *memory,
                                               const lh_transformer_masks *masks) {
    for (int32_t i = 0; i < stack->n; i++)
        x = lh_transformer_layer_apply_(c, file, line, &stack->layers[i], x, memory, masks);
    return stack->norm.weight ? lh_layer_norm_apply_(c, file, line, &stack->norm, x) : x;
}

/* (c, layer, x, memory): of one layer; of a stack. x (t, n, features); memory (s, n, features) of a
 * decoder, else NULL; axes 0 and 1 swapped with .batch_first. Options: .mask, .key_padding_mask,
 * .causal, .memory_mask, .memory_key_padding_mask, as in attention.h. */
#define lh_transformer_layer_apply(c, layer, x, ...) \
    LH_TRANSFORMER_APPLY_(lh_transformer_layer_apply_, c, layer, x, __VA_ARGS__, )
#define lh_transformer_apply(c, stack, x, ...) \
    LH_TRANSFORMER_APPLY_(lh_transformer_apply_, c, stack, x, __VA_ARGS__, )
#define LH_TRANSFORMER_APPLY_(apply, c, layer, x, memory, ...) \
    apply((c), LH_HERE_, &(layer), (x), (memory),              \
          &(const lh_transformer_masks){.causal = 0, __VA_ARGS__})

LH_EXTERN_C_END
#endif
