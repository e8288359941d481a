/* empty.c - a module and a callback that do nothing, for the host's own cost per step and per hook.
 * Built twice: with HOOKS 1 the callback defines the six hooks that a batch of such a module runs.
 */
#include <lhost/lhost.h>

static lh_status nothing(lh_ctx *c, void *self) {
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    const lh_init zero = lh_init_(LH_INIT_CONSTANT, 0, 0);

    lh_param(c, "unused", &zero, 1);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0.1);
    return LH_OK;
}

/* 100,000 batches of one number. */
static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = lh_dataset_tensors(c, lh_zeros(c, LH_F32, 100000)));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    return NULL;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .training_step = training_step,
};

#if HOOKS
static lh_status on_batch(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return LH_OK;
}

static lh_status on_batch_end(lh_ctx *c, void *self, const lh_outputs *outputs, lh_batch *batch,
                              int64_t batch_idx) {
    return LH_OK;
}

static lh_status on_optimizer(lh_ctx *c, void *self, lh_optimizer *optimizer) {
    return LH_OK;
}
#endif

static const lh_callback callback = {
    LH_SIZED(lh_callback),
    .on_fit_start = nothing,
#if HOOKS
    .on_batch_start = nothing,
    .on_train_batch_start = on_batch,
    .on_before_zero_grad = on_optimizer,
    .on_before_optimizer_step = on_optimizer,
    .on_train_batch_end = on_batch_end,
    .on_batch_end = nothing,
#endif
};

LH_EXPORT_PLUGIN("empty", "1.0.0", LH_KIND_MODULE | LH_KIND_CALLBACK, .module = &module,
                 .callback = &callback);
