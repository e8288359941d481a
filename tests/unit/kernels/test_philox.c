/* test_philox.c - Philox4x32-10 against the known-answer vectors that Random123 publishes, and the
 * numbers made of it. */
#include <criterion/criterion.h>
#include <math.h>

#include "kernels/philox.h"

Test(philox, known_answers) {
    static const struct {
        uint32_t counter[4], key[2], want[4];
    } cases[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t x[4];

        for (int j = 0; j < 4; j++)
            x[j] = cases[i].counter[j];
        lh__philox4x32(x, cases[i].key[0], cases[i].key[1]);
        for (int j = 0; j < 4; j++)
            cr_assert_eq(x[j], cases[i].want[j], "case %zu, word %d: %08x", i, j, x[j]);
    }
}

/* The wrapper: element in the low, step in the high half of the counter, stream folded into seed.
 */
Test(philox, key_fills_counter_and_key) {
    lh__philox_key key = {.seed = 0x123456789abcdef0u, .stream = 5, .step = 0x1122334455667788u};
    uint64_t fold = key.seed ^ 6 * 0x9e3779b97f4a7c15u;
    uint32_t got[4], want[4] = {0x89abcdef, 0x01234567, 0x55667788, 0x11223344};

    lh__philox(key, 0x0123456789abcdefu, got);
    lh__philox4x32(want, (uint32_t)fold, (uint32_t)(fold >> 32));
    for (int j = 0; j < 4; j++)
        cr_assert_eq(got[j], want[j]);
}

Test(philox, moments) {
    enum { N = 200000 };
    lh__philox_key key = {.seed = 42};
    double u1 = 0, u2 = 0, z1 = 0, z2 = 0, z4 = 0;

    for (uint64_t i = 0; i < N; i++) {
        double u = lh__philox_uniform(key, i), z = lh__philox_normal(key, i);

        cr_assert(u >= 0 && u < 1 && isfinite(z));
        u1 += u, u2 += u * u, z1 += z, z2 += z * z, z4 += z * z * z * z;
    }
    /* Five standard errors each. */
    cr_assert_float_eq(u1 / N, 0.5, 5 * sqrt(1.0 / 12 / N));
    cr_assert_float_eq(u2 / N, 1.0 / 3, 5 * sqrt(4.0 / 45 / N));
    cr_assert_float_eq(z1 / N, 0, 5 * sqrt(1.0 / N));
    cr_assert_float_eq(z2 / N, 1, 5 * sqrt(2.0 / N));
    cr_assert_float_eq(z4 / N, 3, 5 * sqrt(96.0 / N));
}
