/* steady.c - learns a function of made-up points: a small model with all that a resumed run has to
 * restore: fetch threads, dropout, Adam, a schedule per step, one per epoch, metrics under way.
 */
#include <lhost/lhost.h>

#include <unistd.h>

enum { INPUTS = 8 };

struct steady {
    lh_linear body, head;
    int64_t items, pause_us;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("items", 203, 0, 100000, "points to learn from"),
    LH_HPARAM_INT("val_items", 24, 0, 100000, "points to validate and test on"),
    LH_HPARAM_INT("inputs", INPUTS, 1, 64, "what the first layer expects; points have 8"),
    LH_HPARAM_INT("hidden", 16, 1, 4096, "width of the hidden layer"),
    LH_HPARAM_TEXT("head", "head", "name of the last layer"),
    LH_HPARAM_INT("pause_us", 0, 0, 10000000, "how long a training step sleeps"),
    LH_HPARAM_REAL("lr", 1e-2, 0, 1, "learning rate"),
};

/* A number in [-1, 1) that `key` decides (SplitMix64). */
static float noise(uint64_t key) {
    uint64_t z = (key + 1) * 0x9e3779b97f4a7c15u;

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (float)((z ^ (z >> 31)) >> 40) / (1 << 23) - 1;
}

static lh_status point(void *user, int64_t index, void *const *fields) {
    float *x = fields[0], *y = fields[1];

    for (int i = 0; i < INPUTS; i++)
        x[i] = noise((uint64_t)index * INPUTS + (uint64_t)i);
    *y = 0;
    for (int i = 1; i < INPUTS; i++)
        *y += x[i - 1] * x[i];
    return LH_OK;
}

static lh_dataset *points(lh_ctx *c, int64_t n) {
    return lh_dataset_map(
        c, .length = n, .get_item = point, .n_fields = 2,
        .fields = (const lh_field[]){LH_FIELD(LH_F32, 1, INPUTS), LH_FIELD(LH_F32, 1, 1)});
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct steady *s = self;
    int64_t hidden = lh_hparam_int(c, "hidden");

    s->body = lh_linear_make(c, "body", lh_hparam_int(c, "inputs"), hidden);
    s->head = lh_linear_make(c, lh_hparam_text(c, "head"), hidden, 1);
    s->pause_us = lh_hparam_int(c, "pause_us");
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct steady *s = self;

    x = lh_dropout(c, lh_tanh(c, lh_linear_apply(c, s->body, x)), 0.1);
    return lh_linear_apply(c, s->head, x);
}

static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    return lh_mse_loss(c, forward(c, self, lh_batch_get(c, batch, 0)), lh_batch_get(c, batch, 1));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct steady *s = self;
    lh_tensor *loss = loss_of(c, self, batch);

    if (s->pause_us > 0)
        usleep((useconds_t)s->pause_us);
    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_EPOCH);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_log(c, "val_loss", loss_of(c, self, batch), LH_LOG_EPOCH);
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_log(c, "test_loss", loss_of(c, self, batch), LH_LOG_EPOCH);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_optimizer *adam = lh_adam(c, .lr = lh_hparam(c, "lr"));

    lh_exponential_lr(c, adam, .gamma = 0.999, .interval = LH_PER_STEP);
    lh_plateau_lr(c, adam, .monitor = "train_loss", .patience = 1, .factor = 0.9, .strict = 0);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = points(c, lh_hparam_int(c, "items")), .batch_size = 8,
                     .shuffle = 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = points(c, lh_hparam_int(c, "val_items")), .batch_size = 8);
}

static lh_status teardown(lh_ctx *c, void *self, int32_t stage) {
    lh_print(c, LH_INFO, "torn down after step %lld", (long long)lh_global_step(c));
    return LH_OK;
}

LH_EXPORT_MODULE("steady", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct steady),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .val_dataloader = val_dataloader,
                 .test_dataloader = val_dataloader, .predict_dataloader = val_dataloader,
                 .forward = forward, .training_step = training_step,
                 .validation_step = validation_step, .test_step = test_step, .teardown = teardown);
