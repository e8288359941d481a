/* my_model.c - a straight line fitted to points: the smallest model that trains.
 *
 *     make
 *     lhost inspect my_model.so
 *     lhost run --model my_model.so --max_epochs 5 --model.lr 0.1
 */
#include <lhost/lhost.h>

/* What one instance remembers: handles only. The host allocates it, zeroed, and frees it. */
struct my_model {
    lh_linear line;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_REAL("lr", 0.1, 0, 10, "learning rate"),
    LH_HPARAM_INT("points", 1000, 10, 1000000, "how many points the data has"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct my_model *m = self;

    m->line = lh_linear_make(c, "line", 1, 1);
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct my_model *m = self;
    return lh_linear_apply(c, m->line, x);
}

/* The mean squared error of a batch: field 0 holds x, field 1 holds y, both of shape (n, 1). */
static lh_tensor *error_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *y = forward(c, self, lh_batch_get(c, batch, 0));
    return lh_mse_loss(c, y, lh_batch_get(c, batch, 1));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *loss = error_of(c, self, batch);

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_log(c, "val_loss", error_of(c, self, batch), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

/* Point number `index` of y = 3 x + 1, x in [-1, 1). Fetch threads call this concurrently. */
static lh_status point(void *user, int64_t index, void *const *fields) {
    float x = (float)((uint64_t)index * 2654435761u % 65536) / 32768 - 1;

    *(float *)fields[0] = x;
    *(float *)fields[1] = 3 * x + 1;
    return LH_OK;
}

static lh_dataset *points(lh_ctx *c) {
    static const lh_field fields[] = {LH_FIELD(LH_F32, 1, 1), LH_FIELD(LH_F32, 1, 1)};

    return lh_dataset_map(c, .length = lh_hparam_int(c, "points"), .n_fields = 2, .fields = fields,
                          .get_item = point);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = points(c), .batch_size = 32, .shuffle = 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = points(c), .batch_size = 256);
}

LH_EXPORT_MODULE("my-model", "0.1.0",
    .state_size = sizeof(struct my_model),
    LH_HPARAMS(hparams),
    .configure_model = configure_model,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader);
