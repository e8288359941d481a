/* mnist.c - LitMNIST: a three-layer perceptron on the MNIST digits.
 *
 *     lhost run --model mnist.so --max_epochs 3 --test
 */
#include "data/digits.h"

#include <lhost/lhost.h>

struct mnist {
    lh_linear layer_1, layer_2, layer_3;
    lh_dataset *train, *val, *test;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("layer_1_dim", 128, 1, 65536, "width of the first hidden layer"),
    LH_HPARAM_INT("layer_2_dim", 256, 1, 65536, "width of the second hidden layer"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate at the start"),
    LH_HPARAM_INT("batch_size", 64, 1, 60000, "images per batch"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    return digits_prepare(c);
}

/* Bytes to numbers of mean 0 and standard deviation 1 over MNIST. */
static lh_dataset *normalized(lh_ctx *c, const char *images, const char *labels) {
    return lh_normalize(c, lh_dataset_idx(c, images, labels), 0, 1 / 255.0, 0.1307, 0.3081);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct mnist *m = self;
    const struct digits *files = digits_files(c);

    if (stage == LH_FIT || stage == LH_VALIDATE) {
        lh_dataset *all = normalized(c, files->train_images, files->train_labels), *parts[2];
        int64_t val = lh_dataset_length(c, all) / 12; /* 5,000 of 60,000 */
        int64_t sizes[2] = {lh_dataset_length(c, all) - val, val};

        if (lh_random_split(c, all, sizes, 2, 42, parts) != LH_OK)
            return lh_status_of(c);
        m->train = parts[0];
        m->val = parts[1];
    } else {
        m->test = normalized(c, files->test_images, files->test_labels);
    }
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct mnist *m = self;
    int64_t dim_1 = lh_hparam_int(c, "layer_1_dim"), dim_2 = lh_hparam_int(c, "layer_2_dim");

    m->layer_1 = lh_linear_make(c, "layer_1", 28 * 28, dim_1);
    m->layer_2 = lh_linear_make(c, "layer_2", dim_1, dim_2);
    m->layer_3 = lh_linear_make(c, "layer_3", dim_2, 10);
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct mnist *m = self;

    x = lh_flatten(c, x); /* (n, 28, 28) to (n, 784) */
    x = lh_relu(c, lh_linear_apply(c, m->layer_1, x));
    x = lh_relu(c, lh_linear_apply(c, m->layer_2, x));
    return lh_log_softmax(c, lh_linear_apply(c, m->layer_3, x), 1);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *loss = lh_nll_loss(c, logits, lh_batch_get(c, batch, 1));

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status evaluate(lh_ctx *c, void *self, const lh_batch *batch, const char *loss_name,
                          const char *acc_name) {
    lh_tensor *labels = lh_batch_get(c, batch, 1);
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));

    lh_log(c, loss_name, lh_nll_loss(c, logits, labels), LH_LOG_EPOCH);
    return lh_log(c, acc_name, lh_accuracy(c, logits, labels), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return evaluate(c, self, batch, "val_loss", "val_acc");
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return evaluate(c, self, batch, "test_loss", "test_acc");
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    double lr = lh_hparam(c, "lr");
    lh_optimizer *adam = lh_adam(c, .lr = lr);
    int64_t steps = lh_int(c, LH_ESTIMATED_STEPPING_BATCHES);

    if (steps > 0) /* of a run that has an end: up to 3 lr, then down to next to nothing */
        lh_onecycle_lr(c, adam, .max_lr = 3 * lr, .div_factor = 3, .total = steps);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    struct mnist *m = self;
    return lh_loader(c, .dataset = m->train, .batch_size = lh_hparam_int(c, "batch_size"),
                     .shuffle = 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    struct mnist *m = self;
    return lh_loader(c, .dataset = m->val, .batch_size = lh_hparam_int(c, "batch_size"));
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    struct mnist *m = self;
    return lh_loader(c, .dataset = m->test, .batch_size = lh_hparam_int(c, "batch_size"));
}

LH_EXPORT_MODULE("mnist", "1.0.0",
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct mnist),
    .prepare_data = prepare_data,
    .setup = setup,
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step);
