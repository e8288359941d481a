/* sequence.c - recurrent layers, attention, Transformers. */
#include "layers.h"

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

const test_case sequence_cases[] = {
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
    {0},
};
