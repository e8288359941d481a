/* named.c - a model that keeps names of its step's tensors: a later hook of the same batch looks at
 * what training_step made. For tests of steps that are put off and planned.
 */
#include "boring.h"

struct named {
    lh_linear first, second;
    lh_tensor *hidden; /* of the step under way */
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct named *n = self;

    n->first = lh_linear_make(c, "first", BORING_WIDTH, 8);
    n->second = lh_linear_make(c, "second", 8, 2);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = 0.01);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = boring_dataset(c, 24), .batch_size = 4);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct named *n = self;

    n->hidden = lh_relu(c, lh_linear_apply(c, n->first, lh_batch_get(c, b, 0)));
    return boring_loss(c, lh_linear_apply(c, n->second, n->hidden));
}

static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *o, lh_batch *b,
                                    int64_t idx) {
    struct named *n = self;

    return lh_log(c, "hidden", lh_mean_all(c, n->hidden), LH_LOG_STEP);
}

LH_EXPORT_MODULE("named", "1.0.0", .state_size = sizeof(struct named),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step,
                 .on_train_batch_end = on_train_batch_end);
