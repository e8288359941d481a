/* other.c - initial values of layers large enough to tell, dropped channels, and misuse. */
#include "layers.h"

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
MAKE(same_strided) {
    b->conv = lh_conv2d_make(c, "l", 2, 2, 3, .strides = {1, 2}, .padding = LH_SAME);
}
MAKE(same_transposed) {
    b->conv = lh_conv_transpose2d_make(c, "l", 2, 2, 3, .padding = LH_SAME);
}
MAKE(conv3d) {
    b->conv = lh_conv3d_make(c, "l", 2, 3, 2, .padding = 1);
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

const test_case other_cases[] = {
    {"large", make_large, apply_large, SHAPE(1), SHAPE(1)},
    {"dropout", make_nothing, apply_dropout, SHAPE(4, 5, 3), SHAPE(4, 5, 3), .is_bare = 1},
    {"bad_groups", make_bad_groups, apply_large, SHAPE(1), SHAPE(1)},
    {"same_strided", make_same_strided, apply_large, SHAPE(1), SHAPE(1)},
    {"same_transposed", make_same_transposed, apply_large, SHAPE(1), SHAPE(1)},
    {"bad_heads", make_bad_heads, apply_large, SHAPE(1), SHAPE(1)},
    {"bad_padding", make_bad_padding, apply_large, SHAPE(1), SHAPE(1)},
    {"long_name", make_long_name, apply_large, SHAPE(1), SHAPE(1)},
    {"two_axes", make_tail, apply_two_axes, SHAPE(5, 3), SHAPE(1)},
    {"no_memory", make_tail, apply_no_memory, SHAPE(5, 2, 6), SHAPE(1)},
    {"wrong_channels", make_conv3d, apply_wrong_channels, SHAPE(2, 3, 3, 4, 3), SHAPE(1)},
    {0},
};
