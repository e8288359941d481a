/* shapes.c - the macros of ops.h that are more than one operator call, once each on small numbers:
 * the one step compares shapes and elements with what they have to be. With `misuse` it makes that
 * mistake instead.
 */
#include "one_step.h"

#include <math.h>
#include <string.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("misuse", "", "transpose, unsqueeze, squeeze, select or stack"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    lh_param(c, "weight", NULL, 2, 3);
    return LH_OK;
}

#define SHAPE(...) LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__)
#define FLOATS(...) ((const float[]){__VA_ARGS__})

/* `got`, F32, has this shape and these elements. */
static void expect(lh_ctx *c, const char *what, lh_tensor *got, int32_t ndim, const int64_t *shape,
                   const float *elements) {
    int64_t n = lh_numel(c, got);
    float values[256];

    if (!got || lh_ndim(c, got) != ndim)
        lh_fail(c, LH_ESHAPE, "%s has %d axes", what, (int)lh_ndim(c, got));
    for (int32_t d = 0; d < ndim; d++)
        if (lh_dim(c, got, d) != shape[d])
            lh_fail(c, LH_ESHAPE, "%s: axis %d is %d long", what, (int)d, (int)lh_dim(c, got, d));
    if (lh_status_of(c) != LH_OK || lh_read(c, got, values, (uint64_t)n * sizeof *values) != LH_OK)
        return;
    for (int64_t i = 0; i < n; i++)
        if (!(fabsf(values[i] - elements[i]) <= 1e-6f))
            lh_fail(c, LH_EINVAL, "%s: element %d is %g", what, (int)i, (double)values[i]);
}

static void views(lh_ctx *c, lh_tensor *x) {
    lh_tensor *column = lh_unsqueeze(c, x, -1);

    expect(c, "transpose", lh_transpose(c, x, 0, -1), SHAPE(3, 2), FLOATS(0, 3, 1, 4, 2, 5));
    expect(c, "transpose of an axis with itself", lh_transpose(c, x, 1, 1), SHAPE(2, 3),
           FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "unsqueeze -1", column, SHAPE(2, 3, 1), FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "unsqueeze 0", lh_unsqueeze(c, x, 0), SHAPE(1, 2, 3), FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "squeeze", lh_squeeze(c, column, 2), SHAPE(2, 3), FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "squeeze of a longer axis", lh_squeeze(c, column, 0), SHAPE(2, 3, 1),
           FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "select", lh_select(c, x, 0, 1), SHAPE(3), FLOATS(3, 4, 5));
    expect(c, "select -1", lh_select(c, x, 1, -1), SHAPE(2), FLOATS(2, 5));
    expect(c, "select -2", lh_select(c, x, -1, -2), SHAPE(2), FLOATS(1, 4));
    expect(c, "flatten", lh_flatten(c, lh_unsqueeze(c, column, 1)), SHAPE(2, 3),
           FLOATS(0, 1, 2, 3, 4, 5));
    expect(c, "flatten of none", lh_flatten(c, lh_zeros(c, LH_F32, 0, 3, 2)), SHAPE(0, 6), NULL);
}

static void stacks(lh_ctx *c, lh_tensor *x) {
    lh_tensor *pair[2] = {x, lh_neg(c, x)}, *many[130];
    float numbers[130];

    for (int i = 0; i < 130; i++) {
        numbers[i] = (float)i;
        many[i] = lh_full(c, i, LH_F32);
    }
    expect(c, "stack 0", lh_stack(c, 0, 2, pair), SHAPE(2, 2, 3),
           FLOATS(0, 1, 2, 3, 4, 5, 0, -1, -2, -3, -4, -5));
    expect(c, "stack 1", lh_stack(c, 1, 2, pair), SHAPE(2, 2, 3),
           FLOATS(0, 1, 2, 0, -1, -2, 3, 4, 5, -3, -4, -5));
    expect(c, "stack -1", lh_stack(c, -1, 2, pair), SHAPE(2, 3, 2),
           FLOATS(0, 0, 1, -1, 2, -2, 3, -3, 4, -4, 5, -5));
    expect(c, "stack of many", lh_stack(c, 0, 130, many), SHAPE(130), numbers);
}

static void no_bias(lh_ctx *c, lh_tensor *x) {
    lh_tensor *image = lh_reshape(c, x, 1, 1, 2, 3), *kernel = lh_ones(c, LH_F32, 1, 1, 2, 2);
    lh_tensor *bias = lh_full(c, 10, LH_F32, 1), *weight = lh_ones(c, LH_F32, 1, 3);

    expect(c, "linear", lh_linear_op(c, x, weight, bias), SHAPE(2, 1), FLOATS(13, 22));
    expect(c, "linear without bias", lh_linear_op(c, x, weight, NULL), SHAPE(2, 1), FLOATS(3, 12));
    expect(c, "conv2d", lh_conv2d(c, image, kernel, bias, 1, 0), SHAPE(1, 1, 1, 2), FLOATS(18, 22));
    expect(c, "conv2d without bias", lh_conv2d(c, image, kernel, NULL, 1, 0), SHAPE(1, 1, 1, 2),
           FLOATS(8, 12));
}

static void losses(lh_ctx *c) {
    lh_tensor *a = lh_tensor_of(c, LH_F32, FLOATS(1, 2), 2);
    lh_tensor *b = lh_tensor_of(c, LH_F32, FLOATS(3, 1), 2);
    lh_tensor *logits = lh_tensor_of(c, LH_F32, FLOATS(0, 0, 5, 0), 2, 2);
    lh_tensor *target = lh_tensor_of(c, LH_I64, ((const int64_t[]){0, 1}), 2), *loss;

    expect(c, "losses of elements", lh_loss(c, LH_OP_MSE_LOSS, a, b, LH_REDUCE_NONE), SHAPE(2),
           FLOATS(4, 1));
    expect(c, "sum of losses", lh_loss(c, LH_OP_MSE_LOSS, a, b, LH_REDUCE_SUM), 0, NULL, FLOATS(5));
    loss = lh_cross_entropy_ignoring(c, logits, target, 1);
    expect(c, "cross-entropy of the first", loss, 0, NULL, FLOATS(logf(2)));
}

static void writes(lh_ctx *c, lh_tensor *x) {
    lh_tensor *weight = c->host->param_at(c, 0);

    lh_assign(c, weight, x);
    expect(c, "the parameter", weight, SHAPE(2, 3), FLOATS(0, 1, 2, 3, 4, 5));
    if (lh_set_grad_enabled(c, 0) != 1 || lh_set_grad_enabled(c, 1) != 0)
        lh_fail(c, LH_EINVAL, "set_grad_enabled returns something else than what it was");
}

static void misuse(lh_ctx *c, const char *what, lh_tensor *x) {
    if (strcmp(what, "transpose") == 0)
        lh_transpose(c, x, 0, 2);
    else if (strcmp(what, "unsqueeze") == 0)
        lh_unsqueeze(c, x, 3);
    else if (strcmp(what, "squeeze") == 0)
        lh_squeeze(c, x, -3);
    else if (strcmp(what, "select") == 0)
        lh_select(c, x, 0, 2);
    else
        lh_stack(c, 0, 0, &x);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t idx) {
    lh_tensor *x = lh_reshape(c, lh_arange(c, LH_F32, 0, 6), 2, 3);
    const char *what = lh_hparam_text(c, "misuse");

    if (*what) {
        misuse(c, what, x);
        return NULL;
    }
    views(c, x);
    stacks(c, x);
    no_bias(c, x);
    losses(c);
    writes(c, x);
    return NULL;
}

LH_EXPORT_MODULE("shapes", "1.0.0", LH_HPARAMS(hparams), .configure_model = configure_model,
                 .configure_optimizers = configure_optimizers, .train_dataloader = train_dataloader,
                 .training_step = training_step, .manual_optimization = 1);
