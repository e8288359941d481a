/* test_hooks.c - the list of hooks. That it is complete and typed is asserted where it is defined.
 */
#include "plugin/hooks.h"

#include <criterion/criterion.h>

static lh_status one(lh_ctx *c, void *self) {
    return 1;
}

static lh_status two(lh_ctx *c, void *self, int32_t stage) {
    return 2;
}

static lh_status three(lh_ctx *c, void *self) {
    return 3;
}

Test(hooks, are_found_in_the_table_that_has_them) {
    lh_module module = {.setup = two, .on_train_start = one};
    lh_callback callback = {.on_train_start = three};
    lh__hook_fn fn = lh__hook_of(&module, LH__TABLE_MODULE, LH__HOOK_on_train_start);

    cr_assert_eq(((lh__PLAIN_hook *)fn)(NULL, NULL), 1);
    fn = lh__hook_of(&callback, LH__TABLE_CALLBACK, LH__HOOK_on_train_start);
    cr_assert_eq(((lh__PLAIN_hook *)fn)(NULL, NULL), 3);
    fn = lh__hook_of(&module, LH__TABLE_MODULE, LH__HOOK_setup);
    cr_assert_eq(((lh__STAGE_hook *)fn)(NULL, NULL, 0), 2);
}

Test(hooks, unset_absent_and_no_table_are_null) {
    lh_callback callback = {.on_train_start = three};

    cr_assert_null(lh__hook_of(&callback, LH__TABLE_CALLBACK, LH__HOOK_on_train_end));
    cr_assert_null(lh__hook_of(&callback, LH__TABLE_CALLBACK, LH__HOOK_training_step));
    cr_assert_null(lh__hook_of(NULL, LH__TABLE_CALLBACK, LH__HOOK_on_train_start));
}

Test(hooks, setup_of_a_logger_is_a_hook_of_its_own) {
    cr_assert_eq(lh__hook_named("setup", LH__TABLE_MODULE), LH__HOOK_setup);
    cr_assert_eq(lh__hook_named("setup", LH__TABLE_LOGGER), LH__HOOK_logger_setup);
    cr_assert_eq(lh__hook_named("training_step", LH__TABLE_CALLBACK), -1);
    cr_assert_eq(lh__hook_named("no_such_hook", LH__TABLE_MODULE), -1);
}

/* Every slot of every table is reached by exactly one row. */
Test(hooks, rows_cover_each_slot_once) {
    for (int t = 0; t < LH__N_TABLES; t++) {
        unsigned char seen[1024] = {0};

        for (int h = 0; h < LH__N_HOOKS; h++)
            if (lh__hooks[h].offset[t] >= 0)
                seen[lh__hooks[h].offset[t]]++;
        for (uint32_t i = 0; i < lh__tables[t].size; i++)
            cr_assert_eq(seen[i], i >= lh__tables[t].head && i % sizeof(void *) == 0, "%s, byte %u",
                         lh__tables[t].name, i);
    }
}
