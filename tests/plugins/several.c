/* several.c - two optimizers, one per layer, that the host runs: every batch both, or in turns.
 *
 * It logs per step: "loss_0" and "loss_1", of the optimizer whose step it is; "frozen": how many
 * layers do not require a gradient in that step.
 */
#include "boring.h"

struct state {
    lh_linear layers[2];
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("first", 0, 0, 100, "batches in a row of the first optimizer; 0: all"),
    LH_HPARAM_INT("second", 0, 0, 100, "batches in a row of the second optimizer; 0: all"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct state *s = self;

    s->layers[0] = lh_linear_make(c, "first", BORING_WIDTH, 2);
    s->layers[1] = lh_linear_make(c, "second", BORING_WIDTH, 2);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0.1, .params = "first.*", .frequency = (int32_t)lh_hparam_int(c, "first"));
    lh_sgd(c, .lr = 0.1, .params = "second.*", .frequency = (int32_t)lh_hparam_int(c, "second"));
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = boring_dataset(c, 24), .batch_size = 4, .num_workers = 0);
}

static int is_frozen(lh_ctx *c, const lh_tensor *t) {
    lh_tensor_info info = {LH_SIZED(lh_tensor_info)};

    c->host->tensor_info(c, t, &info);
    return !info.requires_grad;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct state *s = self;
    int64_t i = lh_int(c, LH_OPTIMIZER_IDX);
    lh_tensor *loss = boring_loss(c, lh_linear_apply(c, s->layers[i], lh_batch_get(c, b, 0)));

    lh_log(c, i ? "loss_1" : "loss_0", loss, LH_LOG_STEP);
    lh_log_value(c, "frozen", is_frozen(c, s->layers[0].weight) + is_frozen(c, s->layers[1].weight),
                 LH_LOG_STEP);
    return loss;
}

LH_EXPORT_MODULE("several", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct state),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step);
