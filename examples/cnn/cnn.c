/* cnn.c - a convolutional network that reads MNIST's digits.
 *
 *     lhost run --model cnn.so --max_epochs 8 --test
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

struct cnn {
    lh_conv conv1, conv2;
    lh_batch_norm norm1, norm2;
    lh_linear fc1, fc2;
    lh_meter *confusion;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
    LH_HPARAM_REAL("dropout", 0.5, 0, 1, "share of the hidden layer that is dropped"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct cnn *m = self;

    m->conv1 = lh_conv2d_make(c, "conv1", 1, 32, 5, .bias = 0);
    m->norm1 = lh_batch_norm_make(c, "norm1", 32);
    m->conv2 = lh_conv2d_make(c, "conv2", 32, 64, 5, .bias = 0);
    m->norm2 = lh_batch_norm_make(c, "norm2", 64);
    m->fc1 = lh_linear_make(c, "fc1", 64 * 4 * 4, 128);
    m->fc2 = lh_linear_make(c, "fc2", 128, 10);
    m->confusion = lh_confusion_meter(c, "confusion", .classes = 10);
    return LH_OK;
}

/* Images (n, 28, 28) from 0 to 1 to the scores of the ten digits. */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct cnn *m = self;

    x = lh_reshape(c, x, -1, 1, 28, 28);
    x = lh_relu(c, lh_batch_norm_apply(c, m->norm1, lh_conv_apply(c, m->conv1, x)));
    x = lh_max_pool2d(c, x, 2, 2);
    x = lh_relu(c, lh_batch_norm_apply(c, m->norm2, lh_conv_apply(c, m->conv2, x)));
    x = lh_flatten(c, lh_max_pool2d(c, x, 2, 2));
    x = lh_dropout(c, lh_relu(c, lh_linear_apply(c, m->fc1, x)), lh_hparam(c, "dropout"));
    return lh_linear_apply(c, m->fc2, x);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *loss = lh_cross_entropy(c, logits, lh_batch_get(c, batch, 1));

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *labels = lh_batch_get(c, batch, 1);

    lh_log(c, "val_loss", lh_cross_entropy(c, logits, labels), LH_LOG_EPOCH);
    return lh_log(c, "val_acc", lh_accuracy(c, logits, labels), LH_LOG_EPOCH | LH_LOG_BAR);
}

/* The misread images are kept, as "misread", for the end of the epoch. */
static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct cnn *m = self;
    lh_tensor *x = lh_batch_get(c, batch, 0), *labels = lh_batch_get(c, batch, 1);
    lh_tensor *logits = forward(c, self, x);
    lh_tensor *wrong = lh_cast(c, lh_ne(c, lh_argmax(c, logits, 1), labels), LH_F32);
    int64_t n = (int64_t)lh_item(c, lh_sum_all(c, wrong));

    lh_meter_update(c, m->confusion, logits, labels);
    lh_log(c, "test_loss", lh_cross_entropy(c, logits, labels), LH_LOG_EPOCH);
    lh_log(c, "test_acc", lh_accuracy(c, logits, labels), LH_LOG_EPOCH | LH_LOG_BAR);
    if (n > 0) {
        lh_tensor *first = lh_slice(c, lh_argsort(c, wrong, 0, 1), 0, 0, n);
        lh_output(c, "misread", lh_index_select(c, x, 0, first));
    }
    return LH_OK;
}

static void print_confusion(lh_ctx *c, lh_meter *confusion) {
    int64_t counts[10][10];

    if (c->host->read(c, lh_meter_compute(c, confusion), counts, sizeof counts) != LH_OK)
        return;
    lh_print(c, LH_INFO, "rows: the digit; columns: what it was read as");
    for (int i = 0; i < 10; i++) {
        char row[128];
        int at = 0;

        for (int k = 0; k < 10; k++)
            at += snprintf(row + at, sizeof row - (size_t)at, "%6lld", (long long)counts[i][k]);
        lh_print(c, LH_INFO, "%d%s", i, row);
    }
}

static lh_status test_epoch_end(lh_ctx *c, void *self, const lh_outputs *outputs) {
    struct cnn *m = self;
    lh_tensor *all = NULL;

    print_confusion(c, m->confusion);
    for (int64_t i = 0; i < lh_outputs_count(c, outputs); i++) {
        lh_tensor *some = lh_outputs_get(c, outputs, i, "misread");
        all = all && some ? lh_concat(c, 0, 2, LH_TENSORS_(all, some)) : all ? all : some;
    }
    if (all)
        picture_save(c, "misread.png", all, 12);
    return lh_meter_reset(c, m->confusion);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_optimizer *adam = lh_adam(c, .lr = lh_hparam(c, "lr"));

    return lh_exponential_lr(c, adam, .gamma = 0.7);
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct cnn),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .test_epoch_end = test_epoch_end,
};

LH_EXPORT_PLUGIN("cnn", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
