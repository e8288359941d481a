/* undefined.c - calls a function that nobody has. */
#include "minimal.h"

extern lh_status function_that_nobody_has(void);

static lh_status on_fit_start(lh_ctx *c, void *self) {
    return function_that_nobody_has();
}
LH_EXPORT_MODULE("undefined", "1", MINIMAL, .on_fit_start = on_fit_start);
