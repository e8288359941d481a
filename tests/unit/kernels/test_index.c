/* test_index.c - copies, casts, concatenation and selection agree with the oracle, and the oracle
 * with hand-made cases. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "operands.h"

static const int32_t dtypes[] = {LH_F32, LH_F64, LH_I64, LH_U8, LH_BOOL};

Test(index, copies_and_casts_agree) {
    static const uint32_t ops[] = {LH__OP_COPY, LH_OP_CAST, LH_OP_CONTIGUOUS, LH_OP_RESHAPE};
    int64_t large[] = {331, 257};

    for (int from = 0; from < 5; from++)
        for (int to = 0; to < 5; to++)
            for (int round = 0; round < 9; round++) {
                int32_t ndim = round == 8 ? 2 : (int32_t)draw_below(4);
                int64_t shape[LH_MAX_DIMS];
                lh__view x;
                trial t;

                draw_shape(ndim, shape, true);
                if (round == 8)
                    memcpy(shape, large, sizeof large);
                x = operand(dtypes[from], ndim, shape, round % LAYOUTS);
                t = trial_of(ops[round % 4], 1, dtypes[to], ndim, shape);
                t.in[0] = &x;
                expect_agreement(&t, "copy");
            }
}

/* A reshape of what is no view: the elements in the order of x. */
/* Matrices whose columns lie a multiple of 1 KiB apart, among other axes, of lengths that tiles
 * don't divide; and the same of columns nearby. */
Test(index, transposed_copies_agree) {
    static const struct {
        int64_t shape[4];
        int32_t order[4];
    } cases[] = {
        {{1, 1, 67, 256}, {0, 1, 3, 2}},  {{1, 1, 8, 1024}, {0, 1, 3, 2}},
        {{3, 19, 16, 32}, {0, 2, 3, 1}},  {{2, 33, 1, 512}, {3, 0, 2, 1}},
        {{2, 9, 7, 256}, {0, 2, 3, 1}},   {{2, 33, 5, 256}, {2, 3, 0, 1}},
        {{2, 3, 256, 256}, {1, 0, 3, 2}}, {{4, 40, 3, 31}, {0, 2, 3, 1}},
        {{0, 16, 1, 256}, {0, 2, 3, 1}},  {{5, 7, 7, 256}, {0, 3, 1, 2}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int d = 0; d < 5; d++) {
            lh__view base = operand(dtypes[d], 4, cases[i].shape, CONTIGUOUS), x = base;
            trial t;

            for (int32_t k = 0; k < 4; k++) {
                x.shape[k] = base.shape[cases[i].order[k]];
                x.stride[k] = base.stride[cases[i].order[k]];
            }
            t = trial_of(LH__OP_COPY, 1, dtypes[d], 4, x.shape);
            t.in[0] = &x;
            expect_agreement(&t, "transposed copy");
        }
}

Test(index, reshape_keeps_the_order) {
    int64_t shape[] = {3, 4}, flat[] = {12};
    lh__view x = operand(LH_F32, 2, shape, TRANSPOSED);
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};

    for (int i = 0; i < 2; i++) {
        trial t = trial_of(LH_OP_RESHAPE, 1, LH_F32, 1, flat);
        lh__view y;

        t.in[0] = &x;
        y = run_trial(&t, devices[i], NULL);
        for (int64_t j = 0; j < 12; j++)
            cr_assert_eq(at(&y, j), at(&x, j));
    }
}

/* Storage dtypes round to nearest even; every half survives the way through a double. */
Test(index, casts_half_precision) {
    static const double values[] = {1.0,   1 + 0x1p-11, 1 + 3 * 0x1p-11, 65504,     65519.9,
                                    65520, 0x1p-24,     0x1p-25,         0x1.8p-24, -2.5};
    static const double halves[] = {1.0,      1.0,     1 + 0x1p-9, 65504,   65504,
                                    INFINITY, 0x1p-24, 0,          0x1p-23, -2.5};
    int64_t shape[] = {10}, all[] = {65536};
    lh__view x = operand(LH_F64, 1, shape, CONTIGUOUS), y, h, back;
    trial t = trial_of(LH_OP_CAST, 1, LH_F16, 1, shape);

    for (int i = 0; i < 10; i++)
        put(&x, i, values[i]);
    t.in[0] = &x;
    y = run_trial(&t, lh__device_cpu(), NULL);
    for (int i = 0; i < 10; i++)
        cr_assert_eq(at(&y, i), halves[i], "%a became %a", values[i], at(&y, i));

    h = operand(LH_F16, 1, all, CONTIGUOUS);
    for (int i = 0; i < 65536; i++)
        ((uint16_t *)h.data)[i] = (uint16_t)i;
    t = trial_of(LH_OP_CAST, 1, LH_F16, 1, all);
    t.in[0] = &h;
    back = run_trial(&t, lh__device_cpu(), NULL);
    for (int i = 0; i < 65536; i++)
        if ((i & 0x7fff) <= 0x7c00)
            cr_assert_eq(((uint16_t *)back.data)[i], i);
        else
            cr_assert(isnan(at(&back, i)));
}

Test(index, concat_agrees) {
    for (int round = 0; round < 80; round++) {
        int32_t ndim = 1 + (int32_t)draw_below(3), n = 1 + (int32_t)draw_below(4);
        int32_t axis = (int32_t)draw_below(ndim), dtype = dtypes[round % 5];
        int64_t shape[LH_MAX_DIMS], total = 0;
        lh__view in[4];
        trial t;

        draw_shape(ndim, shape, false);
        for (int32_t k = 0; k < n; k++) {
            shape[axis] = draw_below(5);
            total += shape[axis];
            in[k] = operand(dtype, ndim, shape, round % 2 ? CONTIGUOUS : (int)draw_below(LAYOUTS));
        }
        shape[axis] = total;
        t = trial_of(LH_OP_CONCAT, n, dtype, ndim, shape);
        for (int32_t k = 0; k < n; k++)
            t.in[k] = &in[k];
        t.call.n_ints = 1;
        t.ints[0] = axis;
        expect_agreement(&t, "concat");
    }
}

Test(index, slice_grad_agrees) {
    for (int round = 0; round < 80; round++) {
        int32_t ndim = 1 + (int32_t)draw_below(3), axis = (int32_t)draw_below(ndim);
        int64_t shape[LH_MAX_DIMS], part[LH_MAX_DIMS], start, end, step = 1 + draw_below(3);
        lh__view g, prior;
        trial t;

        draw_shape(ndim, shape, false);
        memcpy(part, shape, sizeof part);
        start = draw_below(shape[axis] + 1);
        end = start + draw_below(shape[axis] - start + 1);
        part[axis] = (end - start + step - 1) / step;
        g = operand(dtypes[round % 2], ndim, part, round % 3 ? CONTIGUOUS : round % LAYOUTS);
        prior = operand(g.dtype, ndim, shape, round % 8 ? CONTIGUOUS : TRANSPOSED);
        t = trial_of(LH__OP_SLICE_GRAD, 1 + round / 2 % 2, g.dtype, ndim, shape);
        t.in[0] = &g, t.in[1] = &prior;
        t.ints[0] = axis, t.ints[1] = start, t.ints[2] = end, t.ints[3] = step;
        memcpy(t.ints + 4, shape, (size_t)ndim * sizeof *shape);
        t.call.n_ints = 4 + ndim;
        expect_agreement(&t, "slice");
    }
}

/* The slice itself: zeros around g. */
Test(index, slice_grad_by_hand) {
    static const double want[] = {0, 0, 1, 0, 0, 2, 0};
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    int64_t part[] = {2}, shape[] = {7};
    lh__view g = operand(LH_F32, 1, part, CONTIGUOUS);

    put(&g, 0, 1), put(&g, 1, 2);
    for (int i = 0; i < 2; i++) {
        trial t = trial_of(LH__OP_SLICE_GRAD, 1, LH_F32, 1, shape);
        lh__view y;

        t.in[0] = &g;
        t.ints[1] = 2, t.ints[2] = 6, t.ints[3] = 3, t.ints[4] = 7;
        y = run_trial(&t, devices[i], NULL);
        for (int64_t j = 0; j < 7; j++)
            cr_assert_eq(at(&y, j), want[j]);
    }
}

/* GATHER and INDEX_SELECT with their gradients; some indices are out of range. */
static void check_selection(uint32_t op, uint32_t grad_op, int round) {
    int32_t ndim = 1 + (int32_t)draw_below(3), axis = (int32_t)draw_below(ndim);
    int32_t dtype = dtypes[round % 5];
    int64_t shape[LH_MAX_DIMS], chosen[LH_MAX_DIMS], n = 1 + draw_below(9);
    int layout = round % 3 ? CONTIGUOUS : round % LAYOUTS;
    lh__view x, g, index;
    trial t;

    draw_shape(ndim, shape, false);
    memcpy(chosen, shape, sizeof chosen);
    for (int32_t d = 0; d < ndim && op == LH_OP_GATHER && round % 7 == 0; d++)
        chosen[d] = 1 + draw_below(shape[d]);
    chosen[axis] = n;
    x = operand(dtype, ndim, shape, layout);
    if (op == LH_OP_GATHER) {
        index = operand(LH_I64, ndim, chosen, CONTIGUOUS);
        for (int64_t i = 0; i < lh__view_numel(&index); i++)
            put(&index, i, (double)draw_below(shape[axis]));
    } else {
        index = indices(n, 0, shape[axis]);
    }
    if (round % 4 == 0)
        put(&index, 0, draw_below(2) ? -1 : (double)shape[axis]);
    t = trial_of(op, 2, dtype, ndim, chosen);
    t.in[0] = &x, t.in[1] = &index;
    t.call.n_ints = 1;
    t.ints[0] = axis;
    expect_agreement(&t, "selection");
    if (dtype != LH_F32 && dtype != LH_F64)
        return;
    g = operand(dtype, ndim, chosen, layout);
    t = trial_of(grad_op, 2, dtype, ndim, shape);
    t.in[0] = &g, t.in[1] = &index;
    t.call.n_ints = 1 + ndim;
    t.ints[0] = axis;
    memcpy(t.ints + 1, shape, (size_t)ndim * sizeof *shape);
    t.ulps = 4;
    t.size = 10;
    expect_agreement(&t, "selection's gradient");
    expect_after(&t, "selection's gradient");
}

Test(index, selections_agree) {
    for (int round = 0; round < 80; round++) {
        check_selection(LH_OP_GATHER, LH__OP_GATHER_GRAD, round);
        check_selection(LH_OP_INDEX_SELECT, LH__OP_INDEX_SELECT_GRAD, round);
    }
}

/* Images (n, channels, positions), looked into at an index with as many channels; many of its
 * elements are equal, some out of range. */
static void check_images(int64_t n, int64_t channels, int64_t positions, int64_t chosen) {
    const int64_t shape[] = {n, channels, positions}, picked[] = {n, channels, chosen};
    lh__view x = operand(LH_F32, 3, shape, CONTIGUOUS), g = operand(LH_F32, 3, picked, CONTIGUOUS);
    lh__view index = operand(LH_I64, 3, picked, CONTIGUOUS);
    trial t = trial_of(LH_OP_GATHER, 2, LH_F32, 3, picked);

    for (int64_t i = 0; i < lh__view_numel(&index); i++)
        put(&index, i,
            (double)(draw_below(9) ? draw_below(draw_below(2) ? positions : 2)
                                   : (draw_below(2) ? -1 : positions)));
    t.in[0] = &x, t.in[1] = &index;
    t.call.n_ints = 1, t.ints[0] = 2;
    expect_agreement(&t, "images");
    cr_assert_gt(expect_channels_last(&t, "images"), 0);
    t = trial_of(LH__OP_GATHER_GRAD, 2, LH_F32, 3, shape);
    t.in[0] = &g, t.in[1] = &index;
    t.call.n_ints = 4, t.ints[0] = 2;
    memcpy(t.ints + 1, shape, sizeof shape);
    t.ulps = 4, t.size = 3 * (double)chosen;
    expect_agreement(&t, "images' gradient");
    expect_after(&t, "images' gradient");
    cr_assert_gt(expect_channels_last(&t, "images' gradient"), 0);
}

Test(index, images_agree) {
    static const int64_t channels[] = {2, 3, 8, 19, 33};

    for (int i = 0; i < 5; i++) {
        check_images(1, channels[i], 2, 1);
        check_images(3, channels[i], 65, 0);
        check_images(2, channels[i], 7, 130);
        check_images(5, channels[i], 500, 97);
    }
    check_images(40, 16, 300, 70);
}

/* Rows to be added up that are parts of longer ones. */
Test(index, rows_that_lie_apart_agree) {
    for (int round = 0; round < 20; round++) {
        const int64_t shape[] = {1 + draw_below(9), 1 + draw_below(600)}, n = draw_below(40);
        lh__view g =
            operand(round % 2 ? LH_F32 : LH_F64, 2, (int64_t[]){n, shape[1] + 3}, CONTIGUOUS);
        lh__view index = indices(n, 0, shape[0]);
        trial t = trial_of(LH__OP_INDEX_SELECT_GRAD, 2, g.dtype, 2, shape);

        g.shape[1] = shape[1];
        t.in[0] = &g, t.in[1] = &index;
        t.call.n_ints = 3;
        t.ints[0] = 0, t.ints[1] = shape[0], t.ints[2] = shape[1];
        t.ulps = 4;
        t.size = 40;
        expect_agreement(&t, "rows that lie apart");
    }
}

Test(index, selections_by_hand) {
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    int64_t shape[] = {3, 2}, picked[] = {4, 2};
    lh__view x = operand(LH_F32, 2, shape, CONTIGUOUS), index = indices(4, 0, 1);
    static const double rows[] = {2, 0, 2, 7}, want[] = {4, 5, 0, 1, 4, 5};
    static const double grad[] = {1, 1, 0, 0, 2, 2};

    for (int64_t i = 0; i < 6; i++)
        put(&x, i, (double)i);
    for (int64_t i = 0; i < 4; i++)
        put(&index, i, rows[i]);
    for (int d = 0; d < 2; d++) {
        trial t = trial_of(LH_OP_INDEX_SELECT, 2, LH_F32, 2, picked);
        lh__view ones = operand(LH_F32, 2, picked, CONTIGUOUS), y;

        t.in[0] = &x, t.in[1] = &index;
        y = run_trial(&t, devices[d], NULL);
        for (int64_t i = 0; i < 6; i++)
            cr_assert_eq(at(&y, i), want[i]);
        cr_assert(isnan(at(&y, 6)) && isnan(at(&y, 7)));

        t = trial_of(LH__OP_INDEX_SELECT_GRAD, 2, LH_F32, 2, shape);
        for (int64_t i = 0; i < 8; i++)
            put(&ones, i, 1);
        t.in[0] = &ones, t.in[1] = &index;
        y = run_trial(&t, devices[d], NULL);
        for (int64_t i = 0; i < 6; i++)
            cr_assert_eq(at(&y, i), grad[i]);
    }
}
