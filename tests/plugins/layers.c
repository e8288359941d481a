/* layers.c - every layer of nn.h, one case per run: for tests of names, shapes and initial values,
 * and of results and gradients against PyTorch's (tests/golden/layers.py has the same cases).
 *
 * With `golden` the case's weights come from that file, strictly by name, and so do x, y, r and the
 * gradients, as buffers; the one step then compares what it computes. Without it the step only
 * runs.
 */
#include <lhost/lhost.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct bench bench;

typedef struct test_case {
    const char *name;
    void (*make)(lh_ctx *c, bench *b);
    lh_tensor *(*apply)(lh_ctx *c, bench *b, lh_tensor *x);
    int64_t x[6], y[6]; /* shapes, ended by -1 */
    int is_index;       /* x is int64 */
    int is_evaluation;
    int is_bare; /* no parameters */
} test_case;

struct bench {
    const test_case *t;
    lh_linear linear;
    lh_conv conv;
    lh_batch_norm batch_norm;
    lh_layer_norm norm;
    lh_embedding embedding;
    lh_recurrent recurrent;
    lh_multihead_attention attention;
    lh_transformer_layer layer;
    lh_transformer transformer;
    lh_tensor *x, *y, *r, *grad_x;
    lh_tensor *params[64], *grads[64];
    int n_params;
};

#define SHAPE(...) \
    { __VA_ARGS__, -1 }
#define FLAT(n) \
    { (n), -1 }
#define MAKE(what) static void make_##what(lh_ctx *c, bench *b)
#define APPLY(what) static lh_tensor *apply_##what(lh_ctx *c, bench *b, lh_tensor *x)

static lh_tensor *flat(lh_ctx *c, int n, lh_tensor **parts) {
    for (int i = 0; i < n; i++)
        parts[i] = lh_reshape(c, parts[i], -1);
    return lh_concat(c, 0, n, parts);
}

/* Linear and convolution. */

MAKE(linear) {
    b->linear = lh_linear_make(c, "l", 7, 5);
}
MAKE(linear_nobias) {
    b->linear = lh_linear_make_nobias(c, "l", 7, 5);
}
APPLY(linear) {
    return lh_linear_apply(c, b->linear, x);
}
MAKE(conv1d) {
    b->conv = lh_conv1d_make(c, "l", 4, 6, 3, .stride = 2, .padding = 1, .groups = 2);
}
MAKE(conv2d) {
    b->conv = lh_conv2d_make(c, "l", 3, 4, 0, .kernels = {3, 2}, .strides = {2, 1},
                             .paddings = {1, 0}, .dilations = {1, 2});
}
MAKE(conv2d_nobias) {
    b->conv = lh_conv2d_make(c, "l", 2, 3, 3, .padding = 1, .bias = 0);
}
MAKE(conv3d) {
    b->conv = lh_conv3d_make(c, "l", 2, 3, 2, .padding = 1);
}
MAKE(conv_transpose1d) {
    b->conv = lh_conv_transpose1d_make(c, "l", 4, 6, 3, .stride = 2, .padding = 1,
                                       .output_padding = 1, .groups = 2);
}
MAKE(conv_transpose2d) {
    b->conv = lh_conv_transpose2d_make(c, "l", 3, 4, 3, .kernels = {3, 2}, .strides = {2, 1},
                                       .dilation = 2);
}
MAKE(conv_transpose3d) {
    b->conv = lh_conv_transpose3d_make(c, "l", 2, 3, 2, .bias = 0);
}
APPLY(conv) {
    return lh_conv_apply(c, b->conv, x);
}

/* Normalization. */

MAKE(batch_norm) {
    b->batch_norm = lh_batch_norm_make(c, "l", 3);
}
MAKE(batch_norm_plain) {
    b->batch_norm = lh_batch_norm_make(c, "l", 3, .eps = 1e-3, .momentum = 0.3, .affine = 0);
}
APPLY(batch_norm) {
    lh_tensor *parts[4] = {lh_batch_norm_apply(c, b->batch_norm, x), b->batch_norm.running_mean,
                           b->batch_norm.running_var,
                           lh_cast(c, b->batch_norm.num_batches_tracked, LH_F64)};

    return flat(c, 4, parts);
}
MAKE(layer_norm) {
    b->norm = lh_layer_norm_make(c, "l", 6);
}
MAKE(layer_norm_shape) {
    b->norm = lh_layer_norm_make(c, "l", 0, .shape = {3, 6}, .eps = 1e-3);
}
MAKE(layer_norm_nobias) {
    b->norm = lh_layer_norm_make(c, "l", 6, .bias = 0);
}
MAKE(layer_norm_plain) {
    b->norm = lh_layer_norm_make(c, "l", 6, .affine = 0);
}
MAKE(rms_norm) {
    b->norm = lh_rms_norm_make(c, "l", 6);
}
MAKE(group_norm) {
    b->norm = lh_group_norm_make(c, "l", 2, 6);
}
MAKE(instance_norm) {
    b->norm = lh_instance_norm_make(c, "l", 3);
}
MAKE(instance_norm_affine) {
    b->norm = lh_instance_norm_make(c, "l", 3, .affine = 1);
}
APPLY(norm) {
    return lh_layer_norm_apply(c, b->norm, x);
}

/* Embedding. */

MAKE(embedding) {
    b->embedding = lh_embedding_make(c, "l", 11, 4);
}
MAKE(embedding_padded) {
    b->embedding = lh_embedding_make(c, "l", 11, 4, .padding_idx = 2);
}
MAKE(tied) {
    b->embedding = lh_embedding_make(c, "l", 11, 4);
    b->linear = (lh_linear){b->embedding.weight, NULL};
}
APPLY(embedding) {
    return lh_embedding_apply(c, b->embedding, x);
}
APPLY(tied) {
    return lh_linear_apply(c, b->linear, lh_embedding_apply(c, b->embedding, x));
}

/* Recurrence. */

MAKE(rnn) {
    b->recurrent = lh_rnn_make(c, "l", 3, 4);
}
MAKE(rnn_relu) {
    b->recurrent = lh_rnn_make(c, "l", 3, 4, .layers = 2, .relu = 1, .bidirectional = 1, .bias = 0);
}
MAKE(lstm) {
    b->recurrent = lh_lstm_make(c, "l", 3, 4);
}
MAKE(lstm_deep) {
    b->recurrent = lh_lstm_make(c, "l", 3, 4, .layers = 2, .batch_first = 1, .bidirectional = 1);
}
MAKE(lstm_state) {
    b->recurrent = lh_lstm_make(c, "l", 4, 4, .layers = 2, .bidirectional = 1);
}
MAKE(lstm_nobias) {
    b->recurrent = lh_lstm_make(c, "l", 3, 4, .bias = 0);
}
MAKE(gru) {
    b->recurrent = lh_gru_make(c, "l", 3, 4);
}
MAKE(gru_deep) {
    b->recurrent = lh_gru_make(c, "l", 3, 4, .layers = 3, .batch_first = 1, .bidirectional = 1,
                               .dropout = 0.5);
}
MAKE(gru_state) {
    b->recurrent = lh_gru_make(c, "l", 4, 4);
}

static lh_tensor *with_state(lh_ctx *c, bench *b, lh_tensor *x, lh_recurrent_state state) {
    lh_tensor *parts[3] = {lh_recurrent_apply(c, b->recurrent, x, &state)};

    parts[1] = state.h;
    parts[2] = state.c;
    return flat(c, b->recurrent.op == LH_OP_LSTM ? 3 : 2, parts);
}

APPLY(recurrent) {
    return with_state(c, b, x, (lh_recurrent_state){NULL, NULL});
}
APPLY(recurrent_state) {
    int64_t n = b->recurrent.o.layers * (b->recurrent.o.bidirectional ? 2 : 1);
    int64_t all = lh_dim(c, x, 0), steps = all - 2 * n;
    lh_recurrent_state state = {lh_slice(c, x, 0, steps, steps + n), NULL};

    if (b->recurrent.op == LH_OP_LSTM)
        state.c = lh_slice(c, x, 0, steps + n, all);
    return with_state(c, b, lh_slice(c, x, 0, 0, steps), state);
}

/* Attention. */

MAKE(attention) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 2);
}
MAKE(attention_masked) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 2, .batch_first = 1);
}
MAKE(attention_added) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 2, .bias = 0);
}
MAKE(attention_causal) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 3, .dropout = 0.5);
}
MAKE(attention_across) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 2, .kdim = 3, .vdim = 5);
}

/* Where key 5 of sequence 1, of 2, is. */
static lh_tensor *padding(lh_ctx *c) {
    uint8_t mask[10] = {0};

    mask[9] = 1;
    return c->host->tensor(c, LH_BOOL, 2, (const int64_t[]){2, 5}, mask);
}

APPLY(attention) {
    return lh_multihead_attention_apply(c, b->attention, x, x, x);
}
APPLY(attention_masked) {
    uint8_t mask[25];

    for (int i = 0; i < 25; i++)
        mask[i] = i > 0 && i % 6 == 0;
    return lh_multihead_attention_apply(
        c, b->attention, x, x, x,
        .mask = c->host->tensor(c, LH_BOOL, 2, (const int64_t[]){5, 5}, mask),
        .key_padding_mask = padding(c));
}
APPLY(attention_added) {
    double mask[100];

    for (int i = 0; i < 100; i++)
        mask[i] = i % 25 / 10.0;
    return lh_multihead_attention_apply(
        c, b->attention, x, x, x,
        .mask = c->host->tensor(c, LH_F64, 3, (const int64_t[]){4, 5, 5}, mask));
}
APPLY(attention_causal) {
    return lh_multihead_attention_apply(c, b->attention, x, x, x, .causal = 1);
}
APPLY(attention_across) {
    lh_tensor *memory = lh_slice(c, x, 0, 3, 7);

    return lh_multihead_attention_apply(c, b->attention, lh_slice(c, x, 0, 0, 3),
                                        lh_slice(c, memory, 2, 0, 3), lh_slice(c, memory, 2, 0, 5));
}

/* Transformers. */

MAKE(encoder_layer) {
    b->layer =
        lh_transformer_encoder_layer_make(c, "l", 6, 2, .dim_feedforward = 10, .batch_first = 1);
}
MAKE(encoder_layer_first) {
    b->layer =
        lh_transformer_encoder_layer_make(c, "l", 6, 2, .dim_feedforward = 10, .dropout = 0,
                                          .gelu = 1, .norm_first = 1, .bias = 0, .batch_first = 1);
}
MAKE(decoder_layer) {
    b->layer = lh_transformer_decoder_layer_make(c, "l", 6, 3, .dim_feedforward = 10, .dropout = 0);
}
MAKE(encoder) {
    b->transformer = lh_transformer_encoder_make(c, "l", 2, 6, 2, .dim_feedforward = 8,
                                                 .dropout = 0, .norm_first = 1, .final_norm = 1);
}
MAKE(decoder) {
    b->transformer = lh_transformer_decoder_make(c, "l", 2, 6, 2, .dim_feedforward = 8,
                                                 .dropout = 0, .batch_first = 1);
}
APPLY(encoder_layer) {
    return lh_transformer_layer_apply(c, b->layer, x, NULL, .causal = 1);
}
APPLY(encoder_layer_first) {
    return lh_transformer_layer_apply(c, b->layer, x, NULL, .key_padding_mask = padding(c));
}
APPLY(decoder_layer) {
    return lh_transformer_layer_apply(c, b->layer, lh_slice(c, x, 0, 0, 3), lh_slice(c, x, 0, 3, 7),
                                      .causal = 1);
}
APPLY(encoder) {
    return lh_transformer_apply(c, b->transformer, x, NULL);
}
APPLY(decoder) {
    return lh_transformer_apply(c, b->transformer, lh_slice(c, x, 1, 0, 3),
                                lh_slice(c, x, 1, 3, 7));
}

/* A list of stages. */

MAKE(sequential) {
    b->conv = lh_conv2d_make(c, lh_name(c, "l.%d", 0), 1, 2, 3);
    b->batch_norm = lh_batch_norm_make(c, lh_name(c, "l.%d", 1), 2);
    b->linear = lh_linear_make(c, lh_name(c, "l.%d", 5), 18, 4);
}

static lh_tensor *flatten(lh_ctx *c, const char *file, int32_t line, const void *layer,
                          lh_tensor *x) {
    return lh_flatten(c, x);
}

APPLY(sequential) {
    const double p = 0;

    return lh_sequential(c, x, LH_STAGE(conv, &b->conv), LH_STAGE(batch_norm, &b->batch_norm),
                         LH_STAGE_OP(LH_OP_RELU), LH_STAGE_FN(flatten, NULL), LH_STAGE(dropout, &p),
                         LH_STAGE(linear, &b->linear));
}

/* Initial values of layers large enough to tell, and misuse. */

MAKE(large) {
    b->linear = lh_linear_make(c, "linear", 100, 30);
    b->conv = lh_conv2d_make(c, "conv", 8, 64, 3, .groups = 2);
    b->conv = lh_conv_transpose1d_make(c, "transposed", 16, 8, 4);
    b->batch_norm = lh_batch_norm_make(c, "batch_norm", 5);
    b->norm = lh_layer_norm_make(c, "layer_norm", 5);
    b->embedding = lh_embedding_make(c, "embedding", 100, 30, .padding_idx = 3);
    b->recurrent = lh_lstm_make(c, "lstm", 9, 25);
    b->attention = lh_multihead_attention_make(c, "attention", 32, 4);
}
APPLY(large) {
    return x;
}

/* Whole channels of ones are dropped or doubled; nothing in evaluation mode. */
APPLY(dropout) {
    lh_tensor *y = lh_dropout_channels(c, x, 0.5);
    double values[60];
    int dropped = 0;

    c->host->read(c, y, values, sizeof values);
    for (int i = 0; i < 60; i++) {
        dropped += values[i] == 0;
        if (values[i] != values[i - i % 3] || (values[i] != 0 && values[i] != 2))
            lh_fail(c, LH_EINVAL, "element %d is %g beside %g", i, values[i], values[i - i % 3]);
    }
    if (dropped == 0 || dropped == 60)
        lh_fail(c, LH_EINVAL, "%d of 60 dropped", dropped);
    if (!lh_is_training(c))
        lh_fail(c, LH_EINVAL, "this is training");
    lh_eval(c);
    if (lh_is_training(c))
        lh_fail(c, LH_EINVAL, "this is evaluation");
    c->host->read(c, lh_dropout_channels(c, x, 0.5), values, sizeof values);
    for (int i = 0; i < 60; i++)
        if (values[i] != 1)
            lh_fail(c, LH_EINVAL, "evaluation: element %d is %g", i, values[i]);
    lh_train(c);
    return y;
}
MAKE(nothing) {
}
MAKE(bad_groups) {
    b->conv = lh_conv2d_make(c, "l", 3, 4, 3, .groups = 2);
}
MAKE(bad_heads) {
    b->attention = lh_multihead_attention_make(c, "l", 6, 4);
}
MAKE(bad_padding) {
    b->embedding = lh_embedding_make(c, "l", 4, 2, .padding_idx = 4);
}
MAKE(long_name) {
    b->linear = lh_linear_make(c, lh_name(c, "%300d", 1), 2, 2);
}
MAKE(tail) {
    b->layer = lh_transformer_decoder_layer_make(c, "l", 6, 3, .dim_feedforward = 10);
    b->recurrent = lh_gru_make(c, "gru", 3, 4);
}
APPLY(two_axes) {
    return lh_recurrent_apply(c, b->recurrent, x, NULL); /* the line that the error names */
}
APPLY(no_memory) {
    return lh_transformer_layer_apply(c, b->layer, x, NULL);
}
APPLY(wrong_channels) {
    return lh_conv_apply(c, b->conv, x);
}

static const test_case cases[] = {
    {"linear", make_linear, apply_linear, SHAPE(2, 3, 7), SHAPE(2, 3, 5)},
    {"linear_nobias", make_linear_nobias, apply_linear, SHAPE(4, 7), SHAPE(4, 5)},
    {"conv1d", make_conv1d, apply_conv, SHAPE(2, 4, 9), SHAPE(2, 6, 5)},
    {"conv2d", make_conv2d, apply_conv, SHAPE(2, 3, 7, 6), SHAPE(2, 4, 4, 4)},
    {"conv2d_nobias", make_conv2d_nobias, apply_conv, SHAPE(1, 2, 5, 5), SHAPE(1, 3, 5, 5)},
    {"conv3d", make_conv3d, apply_conv, SHAPE(2, 2, 3, 4, 3), SHAPE(2, 3, 4, 5, 4)},
    {"conv_transpose1d", make_conv_transpose1d, apply_conv, SHAPE(2, 4, 5), SHAPE(2, 6, 10)},
    {"conv_transpose2d", make_conv_transpose2d, apply_conv, SHAPE(2, 3, 4, 3), SHAPE(2, 4, 11, 5)},
    {"conv_transpose3d", make_conv_transpose3d, apply_conv, SHAPE(1, 2, 2, 3, 2),
     SHAPE(1, 3, 3, 4, 3)},
    {"batch_norm", make_batch_norm, apply_batch_norm, SHAPE(2, 3, 4, 5), FLAT(127)},
    {"batch_norm_plain", make_batch_norm_plain, apply_batch_norm, SHAPE(6, 3), FLAT(25),
     .is_bare = 1},
    {"batch_norm_eval", make_batch_norm, apply_batch_norm, SHAPE(4, 3, 5), FLAT(67),
     .is_evaluation = 1},
    {"layer_norm", make_layer_norm, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_shape", make_layer_norm_shape, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_nobias", make_layer_norm_nobias, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"layer_norm_plain", make_layer_norm_plain, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6),
     .is_bare = 1},
    {"rms_norm", make_rms_norm, apply_norm, SHAPE(2, 3, 6), SHAPE(2, 3, 6)},
    {"group_norm", make_group_norm, apply_norm, SHAPE(2, 6, 3, 2), SHAPE(2, 6, 3, 2)},
    {"instance_norm", make_instance_norm, apply_norm, SHAPE(2, 3, 4, 2), SHAPE(2, 3, 4, 2),
     .is_bare = 1},
    {"instance_norm_affine", make_instance_norm_affine, apply_norm, SHAPE(2, 3, 5), SHAPE(2, 3, 5)},
    {"embedding", make_embedding, apply_embedding, SHAPE(3, 5), SHAPE(3, 5, 4), .is_index = 1},
    {"embedding_padded", make_embedding_padded, apply_embedding, SHAPE(2, 3), SHAPE(2, 3, 4),
     .is_index = 1},
    {"tied", make_tied, apply_tied, SHAPE(2, 3), SHAPE(2, 3, 11), .is_index = 1},
    {"rnn", make_rnn, apply_recurrent, SHAPE(5, 2, 3), FLAT(48)},
    {"rnn_relu", make_rnn_relu, apply_recurrent, SHAPE(5, 2, 3), FLAT(112)},
    {"lstm", make_lstm, apply_recurrent, SHAPE(5, 2, 3), FLAT(56)},
    {"lstm_deep", make_lstm_deep, apply_recurrent, SHAPE(2, 5, 3), FLAT(144)},
    {"lstm_state", make_lstm_state, apply_recurrent_state, SHAPE(11, 2, 4), FLAT(112)},
    {"lstm_nobias", make_lstm_nobias, apply_recurrent, SHAPE(1, 1, 3), FLAT(12)},
    {"gru", make_gru, apply_recurrent, SHAPE(5, 2, 3), FLAT(48)},
    {"gru_deep", make_gru_deep, apply_recurrent, SHAPE(2, 5, 3), FLAT(128), .is_evaluation = 1},
    {"gru_state", make_gru_state, apply_recurrent_state, SHAPE(5, 2, 4), FLAT(32)},
    {"attention", make_attention, apply_attention, SHAPE(5, 2, 6), SHAPE(5, 2, 6)},
    {"attention_masked", make_attention_masked, apply_attention_masked, SHAPE(2, 5, 6),
     SHAPE(2, 5, 6)},
    {"attention_added", make_attention_added, apply_attention_added, SHAPE(5, 2, 6),
     SHAPE(5, 2, 6)},
    {"attention_causal", make_attention_causal, apply_attention_causal, SHAPE(5, 2, 6),
     SHAPE(5, 2, 6), .is_evaluation = 1},
    {"attention_across", make_attention_across, apply_attention_across, SHAPE(7, 2, 6),
     SHAPE(3, 2, 6)},
    {"encoder_layer", make_encoder_layer, apply_encoder_layer, SHAPE(2, 5, 6), SHAPE(2, 5, 6),
     .is_evaluation = 1},
    {"encoder_layer_first", make_encoder_layer_first, apply_encoder_layer_first, SHAPE(2, 5, 6),
     SHAPE(2, 5, 6)},
    {"decoder_layer", make_decoder_layer, apply_decoder_layer, SHAPE(7, 2, 6), SHAPE(3, 2, 6)},
    {"encoder", make_encoder, apply_encoder, SHAPE(4, 2, 6), SHAPE(4, 2, 6)},
    {"decoder", make_decoder, apply_decoder, SHAPE(2, 7, 6), SHAPE(2, 3, 6)},
    {"sequential", make_sequential, apply_sequential, SHAPE(3, 1, 5, 5), SHAPE(3, 4)},
    {"large", make_large, apply_large, SHAPE(1), SHAPE(1)},
    {"dropout", make_nothing, apply_dropout, SHAPE(4, 5, 3), SHAPE(4, 5, 3), .is_bare = 1},
    {"bad_groups", make_bad_groups, apply_large, SHAPE(1), SHAPE(1)},
    {"bad_heads", make_bad_heads, apply_large, SHAPE(1), SHAPE(1)},
    {"bad_padding", make_bad_padding, apply_large, SHAPE(1), SHAPE(1)},
    {"long_name", make_long_name, apply_large, SHAPE(1), SHAPE(1)},
    {"two_axes", make_tail, apply_two_axes, SHAPE(5, 3), SHAPE(1)},
    {"no_memory", make_tail, apply_no_memory, SHAPE(5, 2, 6), SHAPE(1)},
    {"wrong_channels", make_conv3d, apply_wrong_channels, SHAPE(2, 3, 3, 4, 3), SHAPE(1)},
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("case", "linear", "of the table"),
    LH_HPARAM_TEXT("golden", "", "the file to load and compare with"),
    LH_HPARAM_TEXT("weights", "", "a file to load weights from, in place of golden"),
    LH_HPARAM_TEXT("from", "", "how names in it begin"),
    LH_HPARAM_TEXT("to", "", "how they begin here"),
    LH_HPARAM_FLAG("strict", 1, "both sides have to match"),
    LH_HPARAM_INT("expect", -1, -1, 1000, "how many weights that loads"),
};

static lh_tensor *buffer(lh_ctx *c, const char *name, const int64_t *shape, int32_t dtype,
                         double fill) {
    int32_t ndim = 0;

    while (shape[ndim] >= 0)
        ndim++;
    return c->host->buffer(c, name, dtype, ndim, shape, fill);
}

/* Places for what golden says. */
static void expectations(lh_ctx *c, bench *b) {
    lh_tensor_info info = {LH_SIZED(lh_tensor_info)};
    int64_t n = c->host->param_count(c);

    for (int64_t i = 0; i < n; i++) {
        lh_tensor *p = c->host->param_at(c, i);

        if (c->host->tensor_info(c, p, &info) != LH_OK || !info.requires_grad)
            continue;
        b->params[b->n_params] = p;
        b->grads[b->n_params++] = c->host->buffer(
            c, lh_name(c, "grad.%s", c->host->param_name(c, i)), 0, info.ndim, info.shape, 0);
    }
    if (!b->t->is_index)
        b->grad_x = buffer(c, "grad.x", b->t->x, 0, 0);
    b->x = buffer(c, "x", b->t->x, b->t->is_index ? LH_I64 : 0, 1);
    b->y = buffer(c, "y", b->t->y, 0, 0);
    b->r = buffer(c, "r", b->t->y, 0, 0);
}

static lh_status configure_model(lh_ctx *c, void *self) {
    bench *b = self;
    const char *name = lh_hparam_text(c, "case"), *golden = lh_hparam_text(c, "golden");
    const char *weights = lh_hparam_text(c, "weights");

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (strcmp(cases[i].name, name) == 0)
            b->t = &cases[i];
    if (!b->t)
        return lh_fail(c, LH_ENOTFOUND, "there is no case %s", name);
    b->t->make(c, b);
    if (*golden) {
        expectations(c, b);
        lh_load_weights_from(c, golden, lh_name(c, "%s.", name), "", 1);
    }
    if (*weights) {
        int64_t n = lh_load_weights_from(c, weights, lh_hparam_text(c, "from"),
                                         lh_hparam_text(c, "to"), (int)lh_hparam(c, "strict"));

        if (n >= 0 && n != lh_hparam_int(c, "expect"))
            lh_fail(c, LH_EINVAL, "%d weights were loaded", (int)n);
    }
    if (b->t->is_bare)
        lh_param(c, "unused", NULL, 1); /* for the optimizer */
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0);
    return LH_OK;
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    *(float *)fields[0] = 0;
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    lh_dataset *d = lh_dataset_map(c, .length = 1, .get_item = item, .n_fields = 1,
                                   .fields = (const lh_field[]){LH_FIELD(LH_F32, 0, 0)});

    return lh_loader(c, .dataset = d, .batch_size = 1);
}

/* `got` is `expected` to 1e-10 of its size, element by element. */
static void compare(lh_ctx *c, const char *what, lh_tensor *got, lh_tensor *expected) {
    size_t n = (size_t)lh_numel(c, expected);
    double *a = malloc((n + 1) * sizeof *a), *b = malloc((n + 1) * sizeof *b);

    if (!got)
        lh_fail(c, LH_EINVAL, "there is no %s", what);
    else if (c->host->read(c, got, a, n * sizeof *a) == LH_OK &&
             c->host->read(c, expected, b, n * sizeof *b) == LH_OK)
        for (size_t i = 0; i < n; i++)
            if (!(fabs(a[i] - b[i]) <= 1e-10 * (1 + fabs(b[i])))) {
                lh_fail(c, LH_ENAN, "%s: element %d is %.12g, PyTorch's is %.12g", what, (int)i,
                        a[i], b[i]);
                break;
            }
    free(a);
    free(b);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t idx) {
    bench *b = self;
    int is_golden = b->y != NULL;
    lh_tensor *x, *y, *loss;
    double ones[4096];

    for (int i = 0; i < 4096; i++)
        ones[i] = 1;
    if (is_golden) {
        x = b->t->is_index ? b->x : lh_require_grad(c, b->x);
    } else {
        int32_t ndim = 0;

        while (b->t->x[ndim] >= 0)
            ndim++;
        x = c->host->tensor(c, LH_F64, ndim, b->t->x, ones);
    }
    if (b->t->is_evaluation)
        lh_eval(c);
    y = b->t->apply(c, b, x);
    lh_train(c);
    if (!is_golden)
        return NULL;
    compare(c, "y", y, b->y);
    loss = lh_sum_all(c, lh_mul(c, y, b->r));
    if (b->grad_x)
        compare(c, "grad.x", lh_grad_of(c, loss, x, 0), b->grad_x);
    if (b->n_params)
        lh_backward(c, loss);
    for (int i = 0; i < b->n_params; i++)
        compare(c, "the gradient of a parameter", c->host->grad(c, b->params[i]), b->grads[i]);
    return NULL;
}

LH_EXPORT_MODULE("layers", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(bench),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step,
                 .manual_optimization = 1);
