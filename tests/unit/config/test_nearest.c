/* The distance between names and what it suggests. */
#include "config/nearest.h"

#include <criterion/criterion.h>

Test(nearest, distance) {
    cr_expect_eq(lh__edit_distance("kitten", "sitting"), 3);
    cr_expect_eq(lh__edit_distance("", "abc"), 3);
    cr_expect_eq(lh__edit_distance("abc", ""), 3);
    cr_expect_eq(lh__edit_distance("abc", "abc"), 0);
    cr_expect_eq(lh__edit_distance("ab", "ba"), 1); /* a transposition */
    cr_expect_eq(lh__edit_distance("max-epochs", "MAX_epochs"), 0);
    cr_expect_eq(lh__edit_distance("saturday", "sunday"), 3);
}

Test(nearest, suggests_only_what_is_near) {
    static const char *const known[] = {"max_epochs", "min_epochs", "max_steps"};
    static const struct {
        const char *name, *want;
    } cases[] = {{"max_epoch", "; did you mean 'max_epochs'?"},
                 {"mni_epochs", "; did you mean 'min_epochs'?"},
                 {"lr", ""},
                 {"completely_else", ""}};
    char buf[64];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__nearest n = lh__nearest_start(cases[i].name);
        for (size_t k = 0; k < 3; k++)
            lh__nearest_try(&n, known[k]);
        cr_expect_str_eq(lh__nearest_text(&n, buf, sizeof buf), cases[i].want);
    }
}
