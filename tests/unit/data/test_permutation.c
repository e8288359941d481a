/* test_permutation.c - the keyed order is a bijection, differs between keys and prefers nothing. */
#include "data/permutation.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static lh__permutation of(uint64_t n, uint64_t seed, uint64_t epoch) {
    return lh__permutation_of(n, (lh__philox_key){seed, LH__STREAM_SHUFFLE, epoch});
}

static void expect_bijective(uint64_t n, uint64_t seed) {
    lh__permutation p = of(n, seed, 0);
    uint8_t *seen = calloc(n + 1, 1);

    for (uint64_t i = 0; i < n; i++) {
        uint64_t to = lh__permute(&p, i);

        cr_assert_lt(to, n);
        cr_assert_eq(seen[to]++, 0, "n %llu: %llu twice", (unsigned long long)n,
                     (unsigned long long)to);
    }
    free(seen);
}

Test(permutation, bijective_for_every_small_n) {
    for (uint64_t n = 0; n <= 2000; n++)
        expect_bijective(n, n);
}

Test(permutation, bijective_for_large_n) {
    static const uint64_t sizes[] = {55000, 60000, 65536, 65537, 262144, 1000003};

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        expect_bijective(sizes[i], 42 + i);
}

/* Injectivity can't be tabulated here: distinct arguments must lead to distinct places below n. */
Test(permutation, huge_n) {
    lh__permutation p = of((1ull << 62) - 57, 1, 0);
    uint64_t last = 0;

    for (uint64_t i = 0; i < 1000; i++) {
        uint64_t to = lh__permute(&p, i);

        cr_assert_lt(to, p.n);
        cr_assert_neq(to, last);
        last = to;
    }
}

Test(permutation, depends_on_seed_epoch_and_loader_alone) {
    static const lh__philox_key keys[] = {{7, 0, 0}, {8, 0, 0}, {7, 1, 0}, {7, 0, 1}};

    for (int a = 0; a < 4; a++)
        for (int b = 0; b < 4; b++) {
            lh__permutation p = lh__permutation_of(1000, keys[a]);
            lh__permutation q = lh__permutation_of(1000, keys[b]);
            int same = 0;

            for (uint64_t i = 0; i < 1000; i++)
                same += lh__permute(&p, i) == lh__permute(&q, i);
            /* Two independent permutations agree in 1 place on average. */
            cr_assert(a == b ? same == 1000 : same < 10, "%d %d: %d", a, b, same);
        }
}

/* Chi-square over all 120 orders of 5 items: 119 degrees of freedom, 99.99 % below 183. */
Test(permutation, every_order_is_as_likely) {
    enum { TRIALS = 120 * 500 };
    int counts[3125] = {0};
    double chi = 0;

    for (uint64_t t = 0; t < TRIALS; t++) {
        lh__permutation p = of(5, 99, t);
        int code = 0;

        for (uint64_t i = 0; i < 5; i++)
            code = code * 5 + (int)lh__permute(&p, i);
        counts[code]++;
    }
    for (int i = 0; i < 3125; i++)
        if (counts[i])
            chi += (counts[i] - 500.0) * (counts[i] - 500.0) / 500.0;
    cr_assert_lt(chi, 183, "chi-square %g", chi);
}

/* Where item 0 lands among 64: 63 degrees of freedom, 99.99 % below 111. Neighbours likewise. */
Test(permutation, every_place_is_as_likely) {
    enum { TRIALS = 64 * 500 };
    int place[64] = {0}, gap[64] = {0};
    double chi_place = 0, chi_gap = 0;

    for (uint64_t t = 0; t < TRIALS; t++) {
        lh__permutation p = of(64, 5, t);
        uint64_t a = lh__permute(&p, 0), b = lh__permute(&p, 1);

        place[a]++;
        gap[(b - a) & 63]++;
    }
    for (int i = 0; i < 64; i++)
        chi_place += (place[i] - 500.0) * (place[i] - 500.0) / 500.0;
    for (int i = 1; i < 64; i++) {
        double expected = TRIALS / 63.0;

        chi_gap += (gap[i] - expected) * (gap[i] - expected) / expected;
    }
    cr_assert_lt(chi_place, 111, "chi-square %g", chi_place);
    cr_assert_lt(chi_gap, 111, "chi-square %g", chi_gap);
}
