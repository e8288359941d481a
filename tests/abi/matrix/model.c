/* model.c - one plugin, built against the contract as it was, is, and will be.
 *
 * CALL: calls the host function that only the next minor has; HOOK: sets its new hook.
 */
#include <lhost/abi.h>

static lh_status configure_model(lh_ctx *c, void *self) {
    return LH_OK;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_status status =
        c->host->log_value(c, "step", (double)c->host->get_int(c, LH_GLOBAL_STEP), NULL);
#ifdef CALL
    status = c->host->log_value(c, "tomorrow", lh_tomorrow(c), NULL);
#endif
    return status == LH_OK ? (lh_tensor *)self : NULL;
}

#ifdef HOOK
static lh_status on_tomorrow(lh_ctx *c, void *self) {
    return c->host->log_value(c, "hook", 1, NULL);
}
#define NEW_HOOK .on_tomorrow = on_tomorrow,
#else
#define NEW_HOOK
#endif

LH_EXPORT_MODULE("model", "1.0.0", NEW_HOOK .state_size = 8, .configure_model = configure_model,
                 .training_step = training_step);
