/* workbench.c - a small model with everything that can differ between runs as a hyper-parameter:
 * for tests of loops, schedules, metrics and resuming.
 *
 * It logs per step: "item", the index of the batch's first item; "lr", as the step finds it.
 */
#include "boring.h"

#include <math.h>
#include <string.h>

struct bench {
    lh_linear first, second;
    lh_dataset *train, *val;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("items", 24, 0, 100000, "training items"),
    LH_HPARAM_INT("val_items", 6, 0, 100000, "validation, test and prediction items"),
    LH_HPARAM_INT("batch_size", 4, 1, 1000, "items per batch"),
    LH_HPARAM_FLAG("shuffle", 0, "of the training items"),
    LH_HPARAM_INT("workers", 0, 0, 16, "fetch threads"),
    LH_HPARAM_INT("train_loaders", 1, 0, 4, "loader i has items / (i + 1)"),
    LH_HPARAM_INT("val_loaders", 1, 0, 4, "loader i has val_items / (i + 1)"),
    LH_HPARAM_TEXT("optimizer", "sgd", "sgd, adam, or none"),
    LH_HPARAM_REAL("lr", 0.1, 0, 10, "learning rate"),
    LH_HPARAM_REAL("momentum", 0, 0, 1, "of SGD"),
    LH_HPARAM_REAL("dropout", 0, 0, 1, "between the layers"),
    LH_HPARAM_TEXT("schedule", "", "words: step plateau"),
    LH_HPARAM_FLAG("per_step", 0, "step the schedules per optimizer step"),
    LH_HPARAM_INT("frequency", 1, 1, 100, "of the schedules"),
    LH_HPARAM_TEXT("monitor", "val_loss", "metric of the plateau schedule"),
    LH_HPARAM_FLAG("strict", 1, "a missing metric is an error"),
    LH_HPARAM_TEXT("loss", "scalar", "scalar, vector, detached, none, nan, fails"),
    LH_HPARAM_INT("loss_at", -1, -1, 1000, "the batch with that loss; -1: all"),
    LH_HPARAM_INT("stop_at", -1, -1, 1000, "global step at which to ask for the end"),
    LH_HPARAM_INT("width", 8, 1, 1000, "of the hidden layer"),
};

static int has_word(lh_ctx *c, const char *hparam, const char *word) {
    return strstr(lh_hparam_text(c, hparam), word) != NULL;
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct bench *b = self;

    b->train = boring_dataset(c, lh_hparam_int(c, "items"));
    b->val = boring_dataset(c, lh_hparam_int(c, "val_items"));
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct bench *b = self;
    int64_t width = lh_hparam_int(c, "width");

    b->first = lh_linear_make(c, "first", BORING_WIDTH, width);
    b->second = lh_linear_make(c, "second", width, 2);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    uint32_t interval = lh_hparam(c, "per_step") ? LH_PER_STEP : LH_PER_EPOCH;
    int32_t frequency = (int32_t)lh_hparam_int(c, "frequency");
    lh_optimizer *opt;

    if (has_word(c, "optimizer", "none"))
        return LH_OK;
    opt = has_word(c, "optimizer", "adam")
              ? lh_adam(c, .lr = lh_hparam(c, "lr"))
              : lh_sgd(c, .lr = lh_hparam(c, "lr"), .momentum = lh_hparam(c, "momentum"));
    if (has_word(c, "schedule", "step"))
        lh_step_lr(c, opt, .step_size = 1, .gamma = 0.5, .interval = interval,
                   .frequency = frequency);
    if (has_word(c, "schedule", "plateau"))
        lh_plateau_lr(c, opt, .monitor = lh_hparam_text(c, "monitor"), .patience = 0, .factor = 0.5,
                      .threshold = 10, .interval = interval, .frequency = frequency,
                      .strict = (int32_t)lh_hparam(c, "strict"));
    return LH_OK;
}

static lh_status loaders(lh_ctx *c, lh_dataset *d, int64_t n, int32_t shuffle) {
    for (int64_t i = 0; i < n; i++) {
        int64_t length = lh_dataset_length(c, d) / (i + 1);

        lh_loader(c, .dataset = i ? boring_dataset(c, length) : d,
                  .batch_size = lh_hparam_int(c, "batch_size"), .shuffle = shuffle,
                  .num_workers = (int32_t)lh_hparam_int(c, "workers"));
    }
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    struct bench *b = self;

    return loaders(c, b->train, lh_hparam_int(c, "train_loaders"),
                   (int32_t)lh_hparam(c, "shuffle"));
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    struct bench *b = self;

    return loaders(c, b->val, lh_hparam_int(c, "val_loaders"), 0);
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct bench *b = self;
    double p = lh_hparam(c, "dropout");

    x = lh_relu(c, lh_linear_apply(c, b->first, x));
    if (p > 0)
        x = lh_dropout(c, x, p);
    return lh_linear_apply(c, b->second, x);
}

/* The loss that `loss` asks for. */
static lh_tensor *spoil(lh_ctx *c, lh_tensor *y, lh_tensor *loss) {
    if (has_word(c, "loss", "vector"))
        return lh_square(c, y);
    if (has_word(c, "loss", "detached"))
        return lh_detach(c, loss);
    if (has_word(c, "loss", "none"))
        return NULL;
    if (has_word(c, "loss", "nan"))
        return lh_mul(c, loss, lh_ln(c, lh_full(c, -1.0, 1))); /* the line that anomaly names */
    if (has_word(c, "loss", "fails"))
        lh_fail(c, LH_EINVAL, "told to fail");
    return loss;
}

static double first_index(lh_ctx *c, const lh_batch *b, int32_t field) {
    lh_tensor *indices = lh_batch_get(c, b, field);

    return lh_item(c, lh_slice(c, indices, 0, 0, 1));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    lh_tensor *y = forward(c, self, lh_batch_get(c, b, 0));
    lh_tensor *loss = boring_loss(c, y);
    int64_t at = lh_hparam_int(c, "loss_at");
    lh_optimizer *opt = c->host->optimizer_at(c, 0);

    lh_log_value(c, "item", first_index(c, b, 1), LH_LOG_STEP);
    if (lh_hparam_int(c, "train_loaders") > 1)
        lh_log_value(c, "item_1", first_index(c, b, 3), LH_LOG_STEP);
    lh_log_value(c, "lr", c->host->group_get(c, opt, 0, "lr"), LH_LOG_STEP);
    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_EPOCH);
    if (lh_global_step(c) == lh_hparam_int(c, "stop_at"))
        lh_stop(c, "told to");
    return at < 0 || at == idx ? spoil(c, y, loss) : loss;
}

static lh_status evaluate(lh_ctx *c, void *self, const lh_batch *b, const char *name) {
    lh_log_value(c, "val_item", first_index(c, b, 1), LH_LOG_EPOCH, .reduce = LH_MAX);
    return lh_log(c, name, boring_loss(c, forward(c, self, lh_batch_get(c, b, 0))), LH_LOG_EPOCH);
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *b, int64_t idx) {
    return evaluate(c, self, b, "val_loss");
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *b, int64_t idx) {
    return evaluate(c, self, b, "test_loss");
}

/* Of the outputs of all steps: their number and mean loss. */
static lh_status training_epoch_end(lh_ctx *c, void *self, const lh_outputs *o) {
    int64_t n = c->host->outputs_count(c, o);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        lh_tensor *loss = c->host->outputs_get(c, o, i, "loss");

        sum += loss ? lh_item(c, loss) : 0;
    }
    lh_log_value(c, "steps_of_epoch", (double)n, LH_LOG_EPOCH);
    return lh_log_value(c, "mean_of_losses", n ? sum / (double)n : 0, LH_LOG_EPOCH);
}

LH_EXPORT_MODULE("workbench", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct bench),
                 .setup = setup, .configure_model = configure_model,
                 .configure_optimizers = configure_optimizers, .train_dataloader = train_dataloader,
                 .val_dataloader = val_dataloader, .test_dataloader = val_dataloader,
                 .predict_dataloader = val_dataloader, .forward = forward,
                 .training_step = training_step, .training_epoch_end = training_epoch_end,
                 .validation_step = validation_step, .test_step = test_step);
