/* labelled.c - a linear classifier of the IDX files `images` and `labels` in the data root. */
#include <lhost/lhost.h>

struct labelled {
    lh_linear layer;
    lh_dataset *data;
};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct labelled *l = self;

    l->data = lh_normalize(c, lh_dataset_idx(c, "images", "labels"), 0, 1 / 255.0, 0, 1);
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct labelled *l = self;

    l->layer = lh_linear_make(c, "layer", 16, 10);
    return LH_OK;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct labelled *l = self;
    lh_tensor *x = lh_flatten(c, lh_batch_get(c, batch, 0));

    return lh_cross_entropy(c, lh_linear_apply(c, l->layer, x), lh_batch_get(c, batch, 1));
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0.1);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    struct labelled *l = self;

    return lh_loader(c, .dataset = l->data, .batch_size = 4);
}

LH_EXPORT_MODULE("labelled", "1.0.0", .state_size = sizeof(struct labelled), .setup = setup,
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step);
