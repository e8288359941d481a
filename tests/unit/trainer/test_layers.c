/* test_layers.c - the layers of nn.h: names and shapes are those of PyTorch's state_dict, results
 * and gradients are PyTorch's (tests/golden/layers.py, float64, 1e-10), and so are initial values;
 * misuse is an error at the author's line.
 *
 * The plugin (tests/plugins/layers) compares what it computes and fails where it differs.
 */
#include "lhost.h"

TestSuite(layers, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define MODEL "run --model " PLUGINS "/trainer_layers.so --max_epochs 1 --precision 64-true "
#define RUN MODEL BARE

/* Cases named in `names`, separated by blanks. */
static void equal_pytorch(const char *names) {
    char *list = copy(names);

    for (char *name = strtok(list, " "); name; name = strtok(NULL, " ")) {
        int code = lhost(RUN "--model.case %s --model.golden " GOLDEN "/layers.safetensors", name);

        cr_expect_eq(code, 0, "%s: %s", name, slurp("err"));
    }
}

Test(layers, linear) {
    equal_pytorch("linear linear_nobias");
}

Test(layers, convolution) {
    equal_pytorch("conv1d conv2d conv2d_nobias conv3d conv1d_same conv2d_same conv3d_same "
                  "conv_transpose1d conv_transpose2d conv_transpose3d");
}

Test(layers, batch_normalization) {
    equal_pytorch("batch_norm batch_norm_plain batch_norm_eval");
}

Test(layers, normalization) {
    equal_pytorch("layer_norm layer_norm_shape layer_norm_nobias layer_norm_plain rms_norm "
                  "group_norm instance_norm instance_norm_affine");
}

Test(layers, embedding) {
    equal_pytorch("embedding embedding_padded tied");
}

Test(layers, recurrence) {
    equal_pytorch("rnn rnn_relu lstm lstm_deep lstm_state lstm_nobias gru gru_deep gru_state");
}

Test(layers, attention) {
    equal_pytorch("attention attention_masked attention_added attention_causal attention_across");
}

Test(layers, transformers) {
    equal_pytorch("encoder_layer encoder_layer_first decoder_layer encoder decoder");
}

Test(layers, sequence_of_stages) {
    equal_pytorch("sequential");
}

Test(layers, dropout_of_channels) {
    lhost_works(RUN "--model.case dropout");
}

static double value(const lh__state_tensor *t, size_t i) {
    return t->dtype == LH_F64 ? ((const double *)t->data)[i]
                              : (double)((const int64_t *)t->data)[i];
}

/* All of U(-bound, bound): within it, and both ends come near. */
static void expect_uniform(const lh__state *s, const char *name, double bound) {
    const lh__state_tensor *t = lh__state_find(s, name);
    double lo = 0, hi = 0;

    cr_assert(t, "there is no %s", name);
    for (size_t i = 0; i < t->size / 8; i++) {
        lo = fmin(lo, value(t, i));
        hi = fmax(hi, value(t, i));
    }
    cr_expect(lo >= -bound && hi <= bound && lo < -0.8 * bound && hi > 0.8 * bound,
              "%s: %g ... %g, bound %g", name, lo, hi, bound);
}

static void expect_all(const lh__state *s, const char *name, double all) {
    const lh__state_tensor *t = lh__state_find(s, name);

    cr_assert(t, "there is no %s", name);
    for (size_t i = 0; i < t->size / 8; i++)
        cr_expect_eq(value(t, i), all, "%s: element %zu is %g", name, i, value(t, i));
}

Test(layers, initial_values) {
    lh__state *s;
    const lh__state_tensor *t;
    double sum = 0, squares = 0;

    lhost_works(MODEL SAVING "--model.case large --callback $S:dir=$D,hooks=on_train_start");
    s = checkpoint("on_train_start-0.safetensors");
    expect_uniform(s, "linear.weight", 1 / sqrt(100));
    expect_uniform(s, "linear.bias", 1 / sqrt(100));
    expect_uniform(s, "conv.weight", 1 / sqrt(4 * 9)); /* in/groups, kernel */
    expect_uniform(s, "conv.bias", 1 / sqrt(4 * 9));
    expect_uniform(s, "transposed.weight", 1 / sqrt(8 * 4)); /* out, kernel */
    expect_uniform(s, "lstm.weight_ih_l0", 1 / sqrt(25));    /* hidden */
    expect_uniform(s, "lstm.weight_hh_l0", 1 / sqrt(25));
    expect_uniform(s, "lstm.bias_ih_l0", 1 / sqrt(25));
    expect_uniform(s, "lstm.bias_hh_l0", 1 / sqrt(25));
    expect_uniform(s, "attention.in_proj_weight", sqrt(6.0 / (32 + 96))); /* Xavier's */
    expect_uniform(s, "attention.out_proj.weight", 1 / sqrt(32));
    expect_all(s, "attention.in_proj_bias", 0);
    expect_all(s, "attention.out_proj.bias", 0);
    expect_all(s, "batch_norm.weight", 1);
    expect_all(s, "batch_norm.bias", 0);
    expect_all(s, "batch_norm.running_mean", 0);
    expect_all(s, "batch_norm.running_var", 1);
    expect_all(s, "batch_norm.num_batches_tracked", 0);
    expect_all(s, "layer_norm.weight", 1);
    expect_all(s, "layer_norm.bias", 0);
    t = lh__state_find(s, "embedding.weight");
    cr_assert(t && t->size == 3000 * 8);
    for (size_t i = 0; i < 3000; i++) {
        sum += value(t, i);
        squares += value(t, i) * value(t, i);
        cr_expect_eq(value(t, i) == 0, i / 30 == 3, "row %zu", i / 30); /* the padding's */
    }
    cr_expect(fabs(sum / 2970) < 0.08 && fabs(squares / 2970 - 1) < 0.1, "N(%g, %g)", sum / 2970,
              squares / 2970);
}

static void fails_with(const char *name, const char *text) {
    cr_expect_eq(lhost(RUN "--model.case %s", name) != 0, 1, "%s works", name);
    assert_says(text);
}

Test(layers, misuse_is_an_error) {
    fails_with("bad_groups", "l: 3 and 4 channels can't be split into 2 groups");
    fails_with("same_strided", "l: LH_SAME is padding of a convolution with stride 1");
    fails_with("same_transposed", "l: LH_SAME is padding of a convolution with stride 1");
    fails_with("bad_heads", "l: 6 features can't be split into 4 heads");
    fails_with("bad_padding", "l: .padding_idx 4 is beyond its 4 rows");
    fails_with("long_name", "a name of 300 characters");
    fails_with("two_axes", "a recurrent layer takes three axes, (t, n, in)");
    fails_with("no_memory", "a decoder layer needs the encoder's output");
}

Test(layers, errors_name_the_authors_line) {
    fails_with("wrong_channels", "other.c:");
    fails_with("two_axes", "other.c:");
    fails_with("bad_heads", "other.c:");
}
