/* test_loss.c - softmax, losses, accuracy and their gradients: the cpu device agrees with the
 * oracle, the oracle with closed forms, and a bad target becomes NaN. */
#include <criterion/criterion.h>
#include <math.h>

#include "operands.h"

static const int32_t dtypes[] = {LH_F32, LH_F64};

static void check_softmax(uint32_t op, int32_t dtype, int32_t ndim, const int64_t *shape,
                          int64_t axis, int layout) {
    bool grad = op == LH__OP_SOFTMAX_GRAD || op == LH__OP_LOG_SOFTMAX_GRAD;
    trial t = trial_of(op, grad ? 2 : 1, dtype, ndim, shape);
    lh__view a = operand(dtype, ndim, shape, layout);
    lh__view b = operand(dtype, ndim, shape, CONTIGUOUS);

    t.in[0] = &a, t.in[1] = &b;
    t.call.n_ints = 1;
    t.ints[0] = axis;
    t.ulps = 8;
    t.size = op == LH_OP_SOFTMAX ? 0 : grad ? (double)shape[axis] * 9 : 9;
    expect_agreement(&t, "softmax");
}

Test(loss, softmax_agrees) {
    static const uint32_t ops[] = {LH_OP_SOFTMAX, LH_OP_LOG_SOFTMAX, LH__OP_SOFTMAX_GRAD,
                                   LH__OP_LOG_SOFTMAX_GRAD};
    int64_t wide[] = {5, 3001}, long_[] = {6007, 10};

    for (int round = 0; round < 120; round++) {
        int32_t ndim = 1 + (int32_t)draw_below(3);
        int64_t shape[LH_MAX_DIMS], axis = round % 3 ? ndim - 1 : draw_below(ndim);

        draw_shape(ndim, shape, true);
        check_softmax(ops[round % 4], dtypes[round / 4 % 2], ndim, shape, axis,
                      round % 5 ? CONTIGUOUS : round / 5 % LAYOUTS);
    }
    for (int i = 0; i < 4; i++) {
        check_softmax(ops[i], LH_F32, 2, wide, 1, CONTIGUOUS);
        check_softmax(ops[i], LH_F32, 2, long_, 1, CONTIGUOUS);
        check_softmax(ops[i], LH_F64, 2, long_, 1, CONTIGUOUS);
    }
}

/* A loss over (rows, classes) scores and targets in [lo, hi), or its gradient. */
static void check_classes(uint32_t op, int32_t dtype, int64_t rows, int64_t classes, int layout,
                          bool bad) {
    bool grad = op == LH__OP_NLL_GRAD || op == LH__OP_CE_GRAD;
    int64_t shape[] = {rows, classes};
    lh__view x = operand(dtype, 2, shape, layout), g = scalar(dtype, 0.7);
    lh__view target = indices(rows, 0, classes);
    trial t = trial_of(op, 2, op == LH_OP_ACCURACY ? LH_F32 : dtype, grad ? 2 : 0, shape);

    if (bad && rows > 0)
        put(&target, rows / 2, draw_below(2) ? (double)classes : -1);
    t.in[0] = grad ? &g : &x;
    t.in[1] = op == LH__OP_CE_GRAD ? &x : &target;
    t.in[2] = &target;
    t.call.n_in = op == LH__OP_CE_GRAD ? 3 : 2;
    t.call.n_ints = 2;
    t.ints[0] = rows, t.ints[1] = classes;
    t.ulps = op == LH_OP_ACCURACY ? 1 : 8;
    t.size = grad ? 0.7 / (double)(rows ? rows : 1) : 3;
    expect_agreement(&t, "loss");
}

Test(loss, class_losses_agree) {
    static const uint32_t ops[] = {LH_OP_NLL_LOSS, LH_OP_CROSS_ENTROPY, LH_OP_ACCURACY,
                                   LH__OP_NLL_GRAD, LH__OP_CE_GRAD};
    static const int64_t rows[] = {0, 1, 7, 64, 200}, classes[] = {1, 2, 10, 17, 100};

    for (int i = 0; i < 5; i++) {
        for (int round = 0; round < 30; round++)
            check_classes(ops[i], dtypes[round % 2], rows[draw_below(5)], classes[draw_below(5)],
                          round % 4 ? CONTIGUOUS : round / 4 % LAYOUTS, round % 7 == 0);
        check_classes(ops[i], LH_F32, 6007, 10, CONTIGUOUS, false);
        check_classes(ops[i], LH_F32, 3, 5003, CONTIGUOUS, false);
        check_classes(ops[i], LH_F64, 33, 1025, CONTIGUOUS, true);
    }
}

Test(loss, pair_losses_agree) {
    static const uint32_t ops[] = {LH_OP_MSE_LOSS, LH_OP_BCE_WITH_LOGITS};
    int64_t large[] = {100003};

    for (int i = 0; i < 2; i++)
        for (int round = 0; round < 40; round++) {
            int32_t ndim = round == 0 ? 1 : (int32_t)draw_below(4), dtype = dtypes[round % 2];
            int64_t shape[LH_MAX_DIMS];
            lh__view a, b;
            trial t;

            draw_shape(ndim, shape, true);
            if (round == 0)
                shape[0] = large[0];
            a = operand(dtype, ndim, shape, round % 3 ? CONTIGUOUS : round % LAYOUTS);
            b = operand(dtype, ndim, shape, CONTIGUOUS);
            t = trial_of(ops[i], 2, dtype, 0, shape);
            t.in[0] = &a, t.in[1] = &b;
            t.ulps = 8;
            t.size = 3;
            expect_agreement(&t, "loss");
        }
}

static double loss_of(const lh__device *device, uint32_t op, lh__view *x, lh__view *target) {
    int64_t none[1] = {0};
    trial t = trial_of(op, 2, LH_F32, 0, none);
    lh__view y;

    t.in[0] = x, t.in[1] = target;
    y = run_trial(&t, device, NULL);
    return at(&y, 0);
}

/* Equal scores: the loss is log(classes), whatever the targets; the first class is the guess. */
Test(loss, closed_forms) {
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    int64_t shape[] = {12, 10}, line[] = {5};

    for (int i = 0; i < 2; i++) {
        lh__view x = operand(LH_F32, 2, shape, CONTIGUOUS), target = indices(12, 0, 10);
        lh__view z = operand(LH_F32, 1, line, CONTIGUOUS), t = operand(LH_F32, 1, line, CONTIGUOUS);

        for (int64_t j = 0; j < 120; j++)
            put(&x, j, 1000);
        for (int64_t j = 0; j < 12; j++)
            put(&target, j, j < 9 ? 0 : 3);
        for (int64_t j = 0; j < 5; j++)
            put(&z, j, 200), put(&t, j, 0);
        cr_assert_float_eq(loss_of(devices[i], LH_OP_CROSS_ENTROPY, &x, &target), log(10), 1e-6);
        cr_assert_float_eq(loss_of(devices[i], LH_OP_NLL_LOSS, &x, &target), -1000, 1e-9);
        cr_assert_float_eq(loss_of(devices[i], LH_OP_ACCURACY, &x, &target), 0.75, 1e-9);
        cr_assert_float_eq(loss_of(devices[i], LH_OP_MSE_LOSS, &z, &t), 40000, 1e-9);
        cr_assert_float_eq(loss_of(devices[i], LH_OP_BCE_WITH_LOGITS, &z, &t), 200, 1e-9);
    }
}

Test(loss, bad_target_is_nan) {
    static const uint32_t ops[] = {LH_OP_NLL_LOSS, LH_OP_CROSS_ENTROPY, LH_OP_ACCURACY};
    const lh__device *devices[] = {lh__device_ref(), lh__device_cpu()};
    static const double bad[] = {-1, 10, 1e18, -1e18};
    int64_t shape[] = {12, 10};

    for (int i = 0; i < 2; i++)
        for (int j = 0; j < 3; j++)
            for (int k = 0; k < 4; k++) {
                lh__view x = operand(LH_F32, 2, shape, CONTIGUOUS), target = indices(12, 0, 10);

                put(&target, 11, bad[k]);
                cr_assert(isnan(loss_of(devices[i], ops[j], &x, &target)));
            }
}
