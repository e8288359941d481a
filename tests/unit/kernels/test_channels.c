/* test_channels.c - normalization over channels and pooling agree with the oracle: runs of one
 * element, of less than a register, of more than a chunk; and with itself where channels are
 * last. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "operands.h"

static const int32_t dtypes[] = {LH_F32, LH_F64};

static lh__view positive(int32_t dtype, int32_t ndim, const int64_t *shape) {
    lh__view v = operand(dtype, ndim, shape, CONTIGUOUS);

    for (int64_t i = 0; i < lh__view_numel(&v); i++)
        put(&v, i, 0.5 + at(&v, i) * at(&v, i));
    return v;
}

static void check(trial *t, double size) {
    t->ulps = 16;
    t->size = size;
    expect_agreement(t, "channels");
    expect_after(t, "channels");
}

/* The same, and with channels last where that may be. */
static void check_layouts(trial *t, double size, bool turns) {
    check(t, size);
    cr_assert_eq(expect_channels_last(t, "channels") > 0, turns,
                 "operator %u: channels are last where they may not, or the reverse", t->call.op);
}

/* Every kernel of normalization for x of a shape. */
static void check_normalization(int32_t dtype, int32_t ndim, const int64_t *shape) {
    const int64_t pairs[] = {2, shape[1]}, *channels = shape + 1;
    lh__view x = operand(dtype, ndim, shape, CONTIGUOUS),
             g = operand(dtype, ndim, shape, CONTIGUOUS);
    lh__view moments = positive(dtype, 2, pairs), sums = operand(dtype, 2, pairs, CONTIGUOUS);
    lh__view weight = operand(dtype, 1, channels, CONTIGUOUS);
    lh__view bias = operand(dtype, 1, channels, CONTIGUOUS);
    const double count = (double)lh__view_numel(&x) / (double)shape[1];
    const bool turns = ndim > 2 && shape[1] > 1 && count > (double)shape[0];
    trial t = trial_of(LH__OP_CHANNEL_MOMENTS, 1, dtype, 2, pairs);

    t.in[0] = &x;
    check_layouts(&t, 9, turns);
    t = trial_of(LH__OP_CHANNEL_NORM, 4, dtype, ndim, shape);
    t.in[0] = &x, t.in[1] = &moments, t.in[2] = &weight, t.in[3] = &bias;
    t.call.n_reals = 1, t.reals[0] = 1e-5;
    check_layouts(&t, 60, turns);
    t.call.n_in = 2;
    check_layouts(&t, 60, turns);
    t = trial_of(LH__OP_CHANNEL_SUMS, 3, dtype, 2, pairs);
    t.in[0] = &g, t.in[1] = &x, t.in[2] = &moments;
    t.call.n_reals = 1, t.reals[0] = 1e-5;
    check_layouts(&t, 40 * count, turns);
    t = trial_of(LH__OP_CHANNEL_NORM_GRAD, 5, dtype, ndim, shape);
    t.in[0] = &g, t.in[1] = &x, t.in[2] = &moments, t.in[3] = &sums, t.in[4] = &weight;
    t.call.n_reals = 1, t.reals[0] = 1e-5;
    check_layouts(&t, 200, turns);
}

Test(channels, normalization_agrees) {
    static const int64_t shapes[][4] = {
        {3, 5, 1, 1},    {2, 70, 4, 4},  {4, 130, 2, 3},  {2, 3, 9, 31},   {1, 2, 70, 80},
        {40, 300, 1, 1}, {6, 1, 3, 3},   {2, 4, 1, 3},    {3, 17, 5, 7},   {5, 300, 5, 5},
        {3, 33, 40, 50}, {3, 2, 70, 80}, {2, 9, 50, 128}, {1, 1030, 3, 2}, {70, 16, 8, 8}};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 0; k < 2; k++) {
            check_normalization(dtypes[k], 4, shapes[i]);
            if (shapes[i][2] * shapes[i][3] == 1)
                check_normalization(dtypes[k], 2, shapes[i]);
            if (shapes[i][2] == 5)
                check_normalization(dtypes[k], 3, shapes[i]);
        }
}

/* ints: kernel, stride, padding, then what the operator takes. */
static void check_pooling(int32_t dtype, const int64_t *shape, int64_t kernel, int64_t stride,
                          int64_t padding) {
    lh__view x = operand(dtype, 4, shape, CONTIGUOUS), g;
    int64_t out[4] = {shape[0], shape[1]};
    trial t;

    for (int d = 2; d < 4; d++)
        out[d] = (shape[d] + 2 * padding - kernel) / stride + 1;
    t = trial_of(LH_OP_MAX_POOL_INDICES, 1, LH_I64, 4, out);
    memcpy(t.ints, (int64_t[]){kernel, kernel, stride, stride, padding, padding, 1, 1, 0},
           9 * sizeof(int64_t));
    t.call.n_ints = 9, t.in[0] = &x;
    expect_agreement(&t, "max pooling");
    cr_assert_eq(expect_channels_last(&t, "max pooling") > 0,
                 shape[1] > 1 && lh__view_numel(&x) > shape[0] * shape[1]);
    t = trial_of(LH_OP_AVG_POOL, 1, dtype, 4, out);
    memcpy(t.ints, (int64_t[]){kernel, kernel, stride, stride, padding, padding, 0, 1},
           8 * sizeof(int64_t));
    t.call.n_ints = 8, t.in[0] = &x;
    check(&t, 9);
    g = operand(dtype, 4, out, CONTIGUOUS);
    t.call.op = LH__OP_AVG_POOL_GRAD;
    t.call.n_ints = 12, t.in[0] = &g;
    memcpy(t.ints + 8, shape, 4 * sizeof *shape);
    memcpy(t.out.shape, shape, 4 * sizeof *shape);
    for (int64_t d = 3, n = 1; d >= 0; n *= shape[d--])
        t.out.stride[d] = n;
    check(&t, 9);
}

/* Maxima along 1 to 3 axes, of values many of which are equal or NaN; dilated; channels that fill
 * blocks, or don't. */
Test(channels, max_pooling_agrees) {
    static const int64_t channels[] = {3, 8, 19, 32, 33};

    for (int round = 0; round < 45; round++) {
        const int32_t axes = 1 + round % 3, ndim = 2 + axes;
        int64_t shape[5] = {1 + draw_below(3), channels[round % 5]}, out[5] = {shape[0], shape[1]};
        int64_t ints[13] = {0}; /* kernel, stride, padding, dilation of each axis; ceil_mode */
        lh__view x;
        trial t;

        for (int32_t d = 0; d < axes; d++) {
            const int64_t kernel = 1 + draw_below(3), dilation = 1 + draw_below(2);
            const int64_t padding = draw_below(kernel / 2 + 1), stride = 1 + draw_below(3);
            const int64_t reach = (kernel - 1) * dilation + 1;

            ints[d] = kernel, ints[axes + d] = stride;
            ints[2 * axes + d] = padding, ints[3 * axes + d] = dilation;
            shape[2 + d] = reach + draw_below(axes == 1 ? 300 : 9);
            out[2 + d] = (shape[2 + d] + 2 * padding - reach) / stride + 1;
        }
        x = operand(dtypes[round / 3 % 2], ndim, shape, CONTIGUOUS);
        for (int64_t i = 0; i < lh__view_numel(&x); i++)
            put(&x, i, draw_below(40) ? (double)draw_below(9) - 4 : NAN);
        put(&x, 0, -INFINITY);
        t = trial_of(LH_OP_MAX_POOL_INDICES, 1, LH_I64, ndim, out);
        memcpy(t.ints, ints, sizeof ints);
        t.call.n_ints = 4 * axes + 1, t.in[0] = &x;
        expect_agreement(&t, "max pooling");
        cr_assert_eq(expect_channels_last(&t, "max pooling") > 0,
                     lh__view_numel(&x) > shape[0] * shape[1]);
    }
}

Test(channels, pooling_agrees) {
    for (int round = 0; round < 40; round++) {
        const int64_t kernel = 1 + draw_below(3);
        const int64_t shape[] = {1 + draw_below(2), 1 + draw_below(5), kernel + draw_below(25),
                                 kernel + draw_below(25)};

        check_pooling(dtypes[round % 2], shape, kernel, 1 + draw_below(3),
                      draw_below(kernel / 2 + 1));
    }
}
