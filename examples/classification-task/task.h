/* task.h - image classification, for any backbone: losses, metrics, optimizer, data.
 *
 * A backbone is a .c file that includes this header and holds
 *     its state, a struct whose first member is `struct task task;`
 *     configure_model, the layers, under names that begin with "model."
 *     forward, images (n, 28, 28) from 0 to 1 to the scores (n, CLASSES)
 *     `hparams`, a table that begins with TASK_HPARAMS
 * and ends with EXPORT_CLASSIFIER(name, version, state). All else is here, once.
 */
#ifndef TASK_H
#define TASK_H

#include "data/digits.h"

#include <lhost/lhost.h>

enum { CLASSES = 10 };

struct task {
    lh_meter *val_acc, *test_acc, *test_f1;
};

#define TASK_HPARAMS                                            \
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),          \
        LH_HPARAM_REAL("weight_decay", 1e-2, 0, 1, "of AdamW"), \
        LH_HPARAM_REAL("label_smoothing", 0.1, 0, 1, "share of every class in the target")

/* The backbone's. */
static lh_status configure_model(lh_ctx *c, void *self);
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x);

static lh_status task_setup(lh_ctx *c, void *self, int32_t stage) {
    struct task *t = self;

    t->val_acc = lh_accuracy_meter(c, "val_acc", .classes = CLASSES);
    t->test_acc = lh_accuracy_meter(c, "test_acc", .classes = CLASSES);
    t->test_f1 = lh_f1_meter(c, "test_f1", .classes = CLASSES);
    return LH_OK;
}

static lh_tensor *task_training_step(lh_ctx *c, void *self, const lh_batch *batch,
                                     int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *loss = lh_cross_entropy_smoothed(c, logits, lh_batch_get(c, batch, 1),
                                                lh_hparam(c, "label_smoothing"));

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status task_validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct task *t = self;
    lh_tensor *labels = lh_batch_get(c, batch, 1);
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));

    lh_log(c, "val_loss", lh_cross_entropy(c, logits, labels), LH_LOG_EPOCH);
    lh_meter_update(c, t->val_acc, logits, labels);
    return lh_log_meter(c, "val_acc", t->val_acc, LH_LOG_BAR);
}

static lh_status task_test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct task *t = self;
    lh_tensor *labels = lh_batch_get(c, batch, 1);
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));

    lh_meter_update(c, t->test_acc, logits, labels);
    lh_meter_update(c, t->test_f1, logits, labels);
    lh_log_meter(c, "test_acc", t->test_acc, 0);
    return lh_log_meter(c, "test_f1", t->test_f1, 0);
}

/* The scores; beside them how sure the model is of every class, and the class. */
static lh_tensor *task_predict_step(lh_ctx *c, void *self, const lh_batch *batch,
                                    int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));

    lh_output(c, "probability", lh_softmax(c, logits, 1));
    lh_output(c, "class", lh_argmax(c, logits, 1));
    return logits;
}

static lh_status task_configure_optimizers(lh_ctx *c, void *self) {
    lh_adamw(c, .lr = lh_hparam(c, "lr"), .weight_decay = lh_hparam(c, "weight_decay"));
    return LH_OK;
}

#define EXPORT_CLASSIFIER(name, version, state)                                             \
    static const lh_module module = {                                                       \
        LH_SIZED(lh_module),                                                                \
        LH_HPARAMS(hparams),                                                                \
        .state_size = sizeof(state),                                                        \
        .setup = task_setup,                                                                \
        .configure_model = configure_model,                                                 \
        .configure_optimizers = task_configure_optimizers,                                  \
        .forward = forward,                                                                 \
        .training_step = task_training_step,                                                \
        .validation_step = task_validation_step,                                            \
        .test_step = task_test_step,                                                        \
        .predict_step = task_predict_step,                                                  \
    };                                                                                      \
    LH_EXPORT_PLUGIN(name, version, LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module, \
                     .datamodule = &digits_data)

#endif
