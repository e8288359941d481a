/* splits.c - asks for truncated back-propagation through time, which the host does not have yet. */
#include "boring.h"

static lh_status configure(lh_ctx *c, void *self) {
    return LH_OK;
}

static lh_batch *split(lh_ctx *c, void *self, const lh_batch *b, int64_t size, int64_t part) {
    return NULL;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    return NULL;
}

LH_EXPORT_MODULE("splits", "1.0.0", .configure_model = configure, .configure_optimizers = configure,
                 .training_step = training_step, .tbptt_split_batch = split);
