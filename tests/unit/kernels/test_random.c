/* test_random.c - filled and random tensors: the cpu device gives the oracle's bits, and one key
 * gives one mask. */
#include <criterion/criterion.h>
#include <math.h>

#include "operands.h"

static const int64_t lengths[] = {0, 1, 3, 7, 17, 63, 64, 65, 1000, 40001};

Test(random, same_bits_as_the_oracle) {
    static const uint32_t ops[] = {LH_OP_FULL,      LH_OP_UNIFORM, LH_OP_NORMAL,
                                   LH_OP_BERNOULLI, LH_OP_DROPOUT, LH__OP_DROPOUT_MASK};
    static const int32_t dtypes[] = {LH_F32, LH_F64};

    for (int i = 0; i < 6; i++)
        for (int l = 0; l < 10; l++)
            for (int d = 0; d < 4; d++) {
                bool takes_x = ops[i] >= LH_OP_BERNOULLI;
                trial t = trial_of(ops[i], takes_x, dtypes[d % 2], 1, &lengths[l]);
                lh__view x = operand(dtypes[d % 2], 1, &lengths[l], d < 2 ? CONTIGUOUS : STEPPED);

                t.in[0] = &x;
                t.call.n_reals = 2;
                t.reals[0] = 0.3, t.reals[1] = 1.7;
                t.call.key = (lh__philox_key){.seed = draw(), .stream = draw(), .step = draw()};
                expect_agreement(&t, "random");
            }
}

/* DROPOUT and its mask keep the same elements, each with its own probability. */
Test(random, one_key_one_mask) {
    int64_t shape[] = {300, 200};
    lh__view ones = operand(LH_F32, 2, shape, CONTIGUOUS), y, mask;
    trial forward = trial_of(LH_OP_DROPOUT, 1, LH_F32, 2, shape);
    trial backward = trial_of(LH__OP_DROPOUT_MASK, 1, LH_F32, 2, shape);
    double kept = 0, n = 60000, p = 0.2;

    for (int64_t i = 0; i < 60000; i++)
        put(&ones, i, 1);
    forward.in[0] = backward.in[0] = &ones;
    forward.reals[0] = backward.reals[0] = p;
    y = run_trial(&forward, lh__device_cpu(), NULL);
    mask = run_trial(&backward, lh__device_cpu(), NULL);
    for (int64_t i = 0; i < 60000; i++) {
        bool keep = lh__philox_uniform(forward.call.key, (uint64_t)i) >= p;

        cr_assert_eq(at(&y, i), keep ? (float)(1 / (1 - p)) : 0);
        cr_assert_eq(at(&y, i), at(&mask, i));
        kept += keep;
    }
    cr_assert_float_eq(kept / n, 1 - p, 5 * sqrt(p * (1 - p) / n));
}

Test(random, dropout_at_its_ends) {
    int64_t shape[] = {100};
    lh__view x = operand(LH_F32, 1, shape, CONTIGUOUS), y;
    trial t = trial_of(LH_OP_DROPOUT, 1, LH_F32, 1, shape);

    t.in[0] = &x;
    t.reals[0] = 0;
    y = run_trial(&t, lh__device_cpu(), NULL);
    for (int64_t i = 0; i < 100; i++)
        cr_assert_eq(at(&y, i), at(&x, i));
    t.reals[0] = 1;
    y = run_trial(&t, lh__device_cpu(), NULL);
    for (int64_t i = 0; i < 100; i++)
        cr_assert_eq(at(&y, i), 0);
}
