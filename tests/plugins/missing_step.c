/* missing_step.c - a module that makes parameters and does nothing with them. */
#include "minimal.h"

static lh_status on_fit_end(lh_ctx *c, void *self) {
    return forward(c, self, NULL) ? LH_EINVAL : LH_OK;
}
LH_EXPORT_MODULE("missing-step", "1", .configure_model = configure_model, .on_fit_end = on_fit_end);
