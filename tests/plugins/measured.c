/* measured.c - a module with meters: of training, of its predictions; of validation, of the data,
 * whose scores and classes are known. `wrong` says what it does wrong, if anything.
 */
#include "measured.h"
#include "boring.h"

#include <stddef.h>
#include <string.h>

struct measured {
    lh_linear layer;
    lh_meter *train_accuracy, *train_auroc, *auroc, *f1, *mean, *matrix;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("items", 26, 1, 1000, "of training"),
    LH_HPARAM_INT("val_items", 23, 1, 1000, "of validation loader 0; half of them of loader 1"),
    LH_HPARAM_INT("val_loaders", 1, 1, 2, "of validation"),
    LH_HPARAM_FLAG("together", 0, "LH_LOG_NO_DATALOADER"),
    LH_HPARAM_TEXT("wrong", "", "twice short late step both matrix unused shape"),
};

static int is_wrong(lh_ctx *c, const char *how) {
    return strcmp(lh_hparam_text(c, "wrong"), how) == 0;
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    boring_vector(index, fields[0]);
    *(float *)fields[1] = (float)measured_score(index);
    *(int64_t *)fields[2] = measured_class(index);
    return LH_OK;
}

static lh_dataset *dataset(lh_ctx *c, int64_t length) {
    static const lh_field fields[] = {LH_FIELD(LH_F32, 1, BORING_WIDTH), LH_FIELD(LH_F32, 0, 0),
                                      LH_FIELD(LH_I64, 0, 0)};

    return lh_dataset_map(c, .length = length, .get_item = item, .n_fields = 3, .fields = fields);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct measured *s = self;

    s->train_accuracy = lh_accuracy_meter(c, "train_accuracy", .classes = 2);
    s->train_auroc = lh_auroc_meter(c, "train_auroc", .classes = 2);
    s->auroc = lh_auroc_meter(c, is_wrong(c, "twice") ? "train_auroc" : "auroc");
    if (is_wrong(c, "short")) /* a name that lies beyond what is given */
        c->host->meter(c, &(const lh_meter_options){.struct_size = offsetof(lh_meter_options, name),
                                                    .kind = LH_METER_MEAN,
                                                    .name = "beyond"});
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct measured *s = self;

    s->layer = lh_linear_make(c, "layer", BORING_WIDTH, 2);
    s->f1 = lh_f1_meter(c, "f1");
    s->mean = lh_mean_meter(c, "mean");
    s->matrix = lh_confusion_meter(c, "matrix");
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = 0.01);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = dataset(c, lh_hparam_int(c, "items")), .batch_size = 4,
                     .shuffle = 1, .num_workers = 0);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    for (int64_t i = 0; i < lh_hparam_int(c, "val_loaders"); i++)
        lh_loader(c, .dataset = dataset(c, lh_hparam_int(c, "val_items") / (i + 1)),
                  .batch_size = 4, .num_workers = 0);
    return LH_OK;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct measured *s = self;
    lh_tensor *y = lh_linear_apply(c, s->layer, lh_batch_get(c, b, 0));
    lh_tensor *target = lh_batch_get(c, b, 2);
    lh_tensor *loss = lh_cross_entropy(c, y, target);

    if (is_wrong(c, "late"))
        lh_mean_meter(c, "late");
    lh_meter_update(c, s->train_accuracy, y, target);
    lh_meter_update(c, s->train_auroc, y, target);
    lh_log_meter(c, "train_accuracy", s->train_accuracy,
                 LH_LOG_BAR | (is_wrong(c, "step") ? LH_LOG_STEP : 0));
    lh_log(c, "train_loss", loss, LH_LOG_EPOCH);
    return loss;
}

/* Logged at the epoch's end only. */
static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    struct measured *s = self;

    return lh_log_meter(c, "train_auroc", s->train_auroc, 0);
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *b, int64_t idx) {
    struct measured *s = self;
    lh_tensor *score = lh_batch_get(c, b, 1), *target = lh_batch_get(c, b, 2);
    uint32_t flags = lh_hparam(c, "together") ? LH_LOG_NO_DATALOADER : 0;

    lh_meter_update(c, s->auroc, score, is_wrong(c, "shape") ? lh_batch_get(c, b, 0) : target);
    lh_meter_update(c, s->f1, score, target);
    lh_meter_update(c, s->mean, score, NULL);
    lh_meter_update(c, s->matrix, score, target);
    if (!is_wrong(c, "unused"))
        lh_log_meter(c, "auroc", s->auroc, flags);
    if (is_wrong(c, "both"))
        lh_log_meter(c, "accuracy", s->train_accuracy, flags);
    if (is_wrong(c, "matrix"))
        lh_log_meter(c, "matrix", s->matrix, flags);
    return lh_log_meter(c, "f1", s->f1, flags);
}

/* The mean is logged here alone; the AUROC can still be read; the matrix is kept by hand. */
static lh_status on_validation_epoch_end(lh_ctx *c, void *self) {
    struct measured *s = self;
    lh_tensor *n = lh_sum_all(c, lh_cast(c, lh_meter_compute(c, s->matrix), LH_F64));

    if (lh_hparam_int(c, "val_loaders") == 1)
        lh_log(c, "auroc_read", lh_meter_compute(c, s->auroc), 0);
    lh_log(c, "elements", n, 0);
    lh_meter_reset(c, s->matrix);
    return lh_log_meter(c, "mean", s->mean, 0);
}

LH_EXPORT_MODULE("measured", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct measured),
                 .setup = setup, .configure_model = configure_model,
                 .configure_optimizers = configure_optimizers, .train_dataloader = train_dataloader,
                 .val_dataloader = val_dataloader, .training_step = training_step,
                 .on_train_epoch_end = on_train_epoch_end, .validation_step = validation_step,
                 .on_validation_epoch_end = on_validation_epoch_end);
