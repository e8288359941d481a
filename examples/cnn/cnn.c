/* cnn.c - a convolutional network that reads MNIST's digits.
 *
 *     lhost run --model cnn.so --max_epochs 4 --test
 */
#include "data/digits.h"

#include <lhost/lhost.h>

struct cnn {
    lh_conv conv1, conv2;
    lh_linear fc1, fc2;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
    LH_HPARAM_REAL("dropout", 0.5, 0, 1, "share of the hidden layer that is dropped"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct cnn *m = self;

    m->conv1 = lh_conv2d_make(c, "conv1", 1, 32, 3);
    m->conv2 = lh_conv2d_make(c, "conv2", 32, 64, 3);
    m->fc1 = lh_linear_make(c, "fc1", 64 * 12 * 12, 128);
    m->fc2 = lh_linear_make(c, "fc2", 128, 10);
    return LH_OK;
}

/* Images (n, 28, 28) from 0 to 1 to the scores of the ten digits. */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct cnn *m = self;

    x = lh_reshape(c, x, -1, 1, 28, 28);
    x = lh_relu(c, lh_conv_apply(c, m->conv1, x));
    x = lh_relu(c, lh_conv_apply(c, m->conv2, x));
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

static lh_status evaluate(lh_ctx *c, void *self, const lh_batch *batch, const char *loss_name,
                          const char *acc_name) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *labels = lh_batch_get(c, batch, 1);

    lh_log(c, loss_name, lh_cross_entropy(c, logits, labels), LH_LOG_EPOCH);
    return lh_log(c, acc_name, lh_accuracy(c, logits, labels), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return evaluate(c, self, batch, "val_loss", "val_acc");
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return evaluate(c, self, batch, "test_loss", "test_acc");
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
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
};

LH_EXPORT_PLUGIN("cnn", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
