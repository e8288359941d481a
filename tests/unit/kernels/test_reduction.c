/* test_reduction.c - the cpu device's reductions agree with the oracle, the oracle with closed
 * forms. */
#include <criterion/criterion.h>
#include <math.h>

#include "operands.h"

/* A reduction over the axes in mask; keepdim at random. Returns in how many ways the channels may
 * be last. */
static int check(uint32_t op, int32_t dtype, const lh__view *x, uint32_t mask) {
    bool keepdim = draw_below(2), to = op == LH__OP_SUM_TO;
    int64_t shape[LH_MAX_DIMS], count = 1;
    int32_t ndim = 0, n_ints = 1;
    trial t;

    for (int32_t d = 0; d < x->ndim; d++) {
        bool reduced = mask >> d & 1;

        if (!reduced)
            shape[ndim++] = x->shape[d];
        else if (keepdim || (to && d > 0)) /* SUM_TO: only leading axes may be missing */
            shape[ndim++] = 1;
        count *= reduced ? x->shape[d] : 1;
    }
    if (count == 0 && (op == LH_OP_AMAX || op == LH_OP_AMIN))
        return 0;
    t = trial_of(op, 1, dtype, ndim, shape);
    t.in[0] = x;
    if (to) {
        for (int32_t d = 0; d < ndim; d++)
            t.ints[d] = shape[d];
        n_ints = ndim;
    } else {
        t.ints[0] = keepdim;
        for (int32_t d = 0; d < x->ndim; d++)
            if (mask >> d & 1)
                t.ints[n_ints++] = d;
    }
    t.call.n_ints = n_ints;
    t.ulps = op == LH_OP_AMAX || op == LH_OP_AMIN ? 0 : 4;
    t.size = op == LH_OP_MEAN ? 3 : 3 + (double)count; /* elements are below 3 */
    expect_agreement(&t, "reduction");
    return lh__view_is_contiguous(x) ? expect_channels_last(&t, "reduction") : 0;
}

static const uint32_t ops[] = {LH_OP_SUM, LH_OP_MEAN, LH_OP_AMAX, LH_OP_AMIN, LH__OP_SUM_TO};

Test(reduction, agrees_on_all_axes_and_layouts) {
    static const int32_t dtypes[] = {LH_F32, LH_F64};

    for (int round = 0; round < 160; round++) {
        int32_t ndim = 1 + (int32_t)draw_below(4), dtype = dtypes[round % 2];
        int64_t shape[LH_MAX_DIMS];
        lh__view x;

        draw_shape(ndim, shape, true);
        if (ndim == 4)
            shape[1] = 3, shape[2] = 2;
        x = operand(dtype, ndim, shape, round % LAYOUTS);
        for (uint32_t mask = 1; mask < 1u << ndim; mask++)
            check(ops[round % 5], dtype, &x, mask);
    }
}

Test(reduction, agrees_when_cut_into_tiles) {
    int64_t line[] = {100003}, table[] = {331, 257}, box[] = {40, 50, 60};
    lh__view a = operand(LH_F32, 1, line, CONTIGUOUS), b = operand(LH_F32, 2, table, CONTIGUOUS);
    lh__view c = operand(LH_F32, 3, box, CONTIGUOUS), d = operand(LH_F64, 2, table, TRANSPOSED);

    for (int i = 0; i < 5; i++) {
        check(ops[i], LH_F32, &a, 1);
        for (uint32_t mask = 1; mask < 4; mask++)
            check(ops[i], LH_F32, &b, mask), check(ops[i], LH_F64, &d, mask);
        for (uint32_t mask = 1; mask < 8; mask++)
            check(ops[i], LH_F32, &c, mask);
    }
}

/* Planes of less than a register and of more than a chunk; channels that leave a remainder. */
Test(reduction, of_positions_has_the_same_bits_with_channels_last) {
    static const int64_t shapes[][4] = {{3, 8, 2, 3}, {2, 19, 7, 9}, {1, 33, 70, 71}, {5, 3, 4, 4}};
    static const uint32_t sums[] = {LH_OP_SUM, LH_OP_MEAN, LH__OP_SUM_TO};

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int k = 0; k < 3; k++) {
            lh__view x = operand(LH_F32, 4, shapes[i], CONTIGUOUS);

            cr_expect_gt(check(sums[k], LH_F32, &x, 0xc), 0);
            cr_expect_gt(check(sums[k], LH_F32, &x, 0xd), 0);
            cr_expect_eq(check(sums[k], LH_F32, &x, 0x4), 0);
        }
}

Test(reduction, no_axes_means_all) {
    int64_t shape[] = {17, 33};
    lh__view x = operand(LH_F32, 2, shape, CONTIGUOUS), y;
    trial t = trial_of(LH_OP_SUM, 1, LH_F32, 0, shape);

    for (int64_t i = 0; i < 17 * 33; i++)
        put(&x, i, (double)i);
    t.in[0] = &x;
    t.call.n_ints = 1;
    y = run_trial(&t, lh__device_cpu(), NULL);
    cr_assert_eq(at(&y, 0), 560 * 561 / 2);
    y = run_trial(&t, lh__device_ref(), NULL);
    cr_assert_eq(at(&y, 0), 560 * 561 / 2);
}

/* A plain running sum of F32 ones would stop at 2^24. */
Test(reduction, sums_beyond_the_precision_of_f32) {
    int64_t shape[] = {(1 << 24) + 4};
    lh__view x = {.dtype = LH_F32, .ndim = 1, .shape = {shape[0]}, .stride = {0}}, y;
    trial t = trial_of(LH_OP_SUM, 1, LH_F32, 0, shape);
    float one = 1;

    x.data = &one;
    t.in[0] = &x;
    t.call.n_ints = 1;
    y = run_trial(&t, lh__device_cpu(), NULL);
    cr_assert_eq(at(&y, 0), (double)shape[0]);
}

Test(reduction, integers_sum_to_i64) {
    int64_t shape[] = {7, 17};
    static const int32_t dtypes[] = {LH_I64, LH_U8, LH_BOOL};

    for (int i = 0; i < 3; i++) {
        lh__view x = operand(dtypes[i], 2, shape, TRANSPOSED);

        check(LH_OP_SUM, LH_I64, &x, 1);
        check(LH_OP_SUM, LH_I64, &x, 3);
    }
}

Test(reduction, argmax_agrees) {
    static const int32_t dtypes[] = {LH_F32, LH_F64, LH_I64};

    for (int round = 0; round < 60; round++) {
        int32_t ndim = 1 + (int32_t)draw_below(3);
        int64_t shape[LH_MAX_DIMS], kept[LH_MAX_DIMS];
        int32_t axis = (int32_t)draw_below(ndim), n = 0;
        lh__view x;
        trial t;

        draw_shape(ndim, shape, false);
        x = operand(dtypes[round % 3], ndim, shape, round % LAYOUTS);
        for (int32_t d = 0; d < ndim; d++)
            if (d != axis)
                kept[n++] = shape[d];
        if (round % 3 < 2 && round % LAYOUTS == CONTIGUOUS)
            put(&x, draw_below(lh__view_numel(&x)), NAN);
        t = trial_of(LH_OP_ARGMAX, 1, LH_I64, n, kept);
        t.in[0] = &x;
        t.call.n_ints = 2;
        t.ints[0] = axis;
        expect_agreement(&t, "argmax");
    }
}

Test(reduction, extremes_keep_nan) {
    int64_t shape[] = {40, 40};
    static const uint32_t extremes[] = {LH_OP_AMAX, LH_OP_AMIN};

    for (int i = 0; i < 2; i++)
        for (uint32_t mask = 1; mask < 4; mask++) {
            lh__view x = operand(LH_F32, 2, shape, CONTIGUOUS);

            put(&x, 5 * 40 + 17, NAN);
            put(&x, 6 * 40 + 39, -INFINITY);
            check(extremes[i], LH_F32, &x, mask);
        }
}
