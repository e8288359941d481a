/* test_shapes.c - the macros of ops.h that are more than one operator call: values and shapes are
 * those of torch.transpose, unsqueeze, squeeze, select, stack, flatten; a wrong axis is an error at
 * the author's line.
 *
 * The plugin (tests/plugins/shapes.c) compares what it computes and fails where it differs.
 */
#include "lhost.h"

TestSuite(shapes, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define RUN "run --model " PLUGINS "/trainer_shapes.so --max_epochs 1 " BARE

Test(shapes, values) {
    lhost_works(RUN);
}

static void fails_with(const char *misuse, const char *text) {
    cr_expect_neq(lhost(RUN "--model.misuse %s", misuse), 0, "%s works", misuse);
    assert_says(text);
    assert_says("shapes.c:");
}

Test(shapes, misuse_is_an_error) {
    fails_with("transpose", "axis 2 doesn't exist; there are 2 axes");
    fails_with("unsqueeze", "axis 3 doesn't exist; there are 3 axes");
    fails_with("squeeze", "axis -3 doesn't exist; there are 2 axes");
    fails_with("select", "outside axis 0 of length 2");
    fails_with("stack", "concat");
}
