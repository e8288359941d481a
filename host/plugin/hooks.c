/* hooks.c - the list of hooks as data, and the proof that it is complete.
 *
 * Invariant: a hook added to the contract without a row in hooks.h, or a row whose shape is not the
 * hook's type, does not compile.
 */
#include "plugin/hooks.h"

#include <string.h>

/* offsetof where the table has the hook, -1 where not. */
#define OFFSET_1(type, hook) (int16_t) offsetof(type, hook)
#define OFFSET_0(type, hook) -1

const lh__hook_info lh__hooks[LH__N_HOOKS] = {
#define X(hook, shape, m, d, c)                                                                    \
    {#hook,                                                                                        \
     LH__SHAPE_##shape,                                                                            \
     {OFFSET_##m(lh_module, hook), OFFSET_##d(lh_datamodule, hook), OFFSET_##c(lh_callback, hook), \
      -1}},
    LH__HOOKS(X)
#undef X
#define X(hook, shape) {#hook, LH__SHAPE_##shape, {-1, -1, -1, OFFSET_1(lh_logger, hook)}},
        LH__LOGGER_HOOKS(X)
#undef X
};

const lh__table_info lh__tables[LH__N_TABLES] = {
    [LH__TABLE_MODULE] = {"module", sizeof(lh_module), offsetof(lh_module, configure_callbacks)},
    [LH__TABLE_DATAMODULE] = {"datamodule", sizeof(lh_datamodule),
                              offsetof(lh_datamodule, prepare_data)},
    [LH__TABLE_CALLBACK] = {"callback", sizeof(lh_callback), offsetof(lh_callback, on_init_start)},
    [LH__TABLE_LOGGER] = {"logger", sizeof(lh_logger), offsetof(lh_logger, setup)},
};

/* Complete: head + rows * pointer = the whole struct. */
#define COUNT_MODULE(hook, shape, m, d, c) +m
#define COUNT_DATAMODULE(hook, shape, m, d, c) +d
#define COUNT_CALLBACK(hook, shape, m, d, c) +c
#define COUNT_LOGGER(hook, shape) +1
#define FILLED(type, first, rows) (offsetof(type, first) + (rows) * sizeof(void *) == sizeof(type))

_Static_assert(FILLED(lh_module, configure_callbacks, LH__HOOKS(COUNT_MODULE)),
               "a hook of lh_module has no row in hooks.h");
_Static_assert(FILLED(lh_datamodule, prepare_data, LH__HOOKS(COUNT_DATAMODULE)),
               "a hook of lh_datamodule has no row in hooks.h");
_Static_assert(FILLED(lh_callback, on_init_start, LH__HOOKS(COUNT_CALLBACK)),
               "a hook of lh_callback has no row in hooks.h");
_Static_assert(FILLED(lh_logger, setup, LH__LOGGER_HOOKS(COUNT_LOGGER)),
               "a hook of lh_logger has no row in hooks.h");

/* Typed: each row's shape is the type of the field. */
#define IS_1(table, hook, shape)                                                        \
    _Static_assert(_Generic(((table *)0)->hook, lh__##shape##_hook * : 1, default : 0), \
                   #table "." #hook " is not of shape " #shape);
#define IS_0(table, hook, shape)
#define TYPED(hook, shape, m, d, c)                                   \
    IS_##m(lh_module, hook, shape) IS_##d(lh_datamodule, hook, shape) \
        IS_##c(lh_callback, hook, shape)
#define TYPED_LOGGER(hook, shape) IS_1(lh_logger, hook, shape)
LH__HOOKS(TYPED)
LH__LOGGER_HOOKS(TYPED_LOGGER)

lh__hook_fn lh__hook_of(const void *table, lh__table t, lh__hook h) {
    lh__hook_fn fn = NULL;

    if (table && lh__hooks[h].offset[t] >= 0)
        memcpy(&fn, (const char *)table + lh__hooks[h].offset[t], sizeof fn);
    return fn;
}

int lh__hook_named(const char *name, lh__table t) {
    for (int h = 0; h < LH__N_HOOKS; h++)
        if (lh__hooks[h].offset[t] >= 0 && strcmp(lh__hooks[h].name, name) == 0)
            return h;
    return -1;
}
