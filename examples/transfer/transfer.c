/* transfer.c - what was learned from five digits helps to learn five others from few images.
 *
 *     lhost run --model transfer.so --max_epochs 3
 *     lhost run --model transfer.so --model.backbone CHECKPOINT --data.first 5 --data.shots 10 \
 *         --data.batch_size 10 --max_epochs 40 --test
 *
 * With a backbone to begin from, a new head is trained on it while it is frozen; then its blocks
 * are unfrozen from the top, one every `unfreeze_every` epochs, to learn more slowly than the head.
 */
#include "some_digits.h"

#include <lhost/lhost.h>

enum { BLOCKS = 3 };

struct transfer {
    lh_conv conv[BLOCKS];
    lh_batch_norm norm[BLOCKS];
    lh_linear head;
    int is_frozen[BLOCKS];
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("backbone", "", "checkpoint to take the backbone from; none: from scratch"),
    LH_HPARAM_INT("unfreeze_every", 10, 0, 1000000, "epochs between blocks; 0: stay frozen"),
    LH_HPARAM_REAL("lr", 3e-3, 0, 1, "learning rate; of a block below the head, a third of it"),
    LH_HPARAM_FLAG("train_norm", 0, "frozen batch norms follow the statistics of the new images"),
};

static int is_transfer(lh_ctx *c) {
    return *lh_hparam_text(c, "backbone") != '\0';
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct transfer *m = self;

    for (int i = 0; i < BLOCKS; i++) {
        int64_t in = i == 0 ? 1 : 8 << i, out = 16 << i;

        m->conv[i] = lh_conv2d_make(c, lh_name(c, "backbone.%d.conv", i), in, out, 3, .padding = 1,
                                    .bias = 0);
        m->norm[i] = lh_batch_norm_make(c, lh_name(c, "backbone.%d.norm", i), out);
    }
    m->head = lh_linear_make(c, "head", 16 << (BLOCKS - 1), N_DIGITS);
    if (!is_transfer(c) || lh_int(c, LH_STAGE) != LH_FIT)
        return LH_OK;
    lh_load_weights_from(c, lh_hparam_text(c, "backbone"), "backbone.", "backbone.", 1);
    lh_freeze(c, "backbone.*");
    for (int i = 0; i < BLOCKS; i++)
        m->is_frozen[i] = 1;
    return LH_OK;
}

/* The head's rate for the head; every block below has a third of what is above it. */
static lh_status configure_optimizers(lh_ctx *c, void *self) {
    double lr = lh_hparam(c, "lr");
    lh_optimizer *adam = lh_adam(c, .lr = lr);

    for (int i = BLOCKS - 1; i >= 0 && is_transfer(c); i--) {
        lr /= 3;
        lh_param_group(c, adam, .params = lh_name(c, "backbone.%d.*", i), .lr = lr);
    }
    return LH_OK;
}

/* Unfreezes what the epoch asks for, from the top; a resumed run comes to the same. */
static lh_status on_train_epoch_start(lh_ctx *c, void *self) {
    struct transfer *m = self;
    int64_t every = lh_hparam_int(c, "unfreeze_every");

    for (int i = BLOCKS - 1; i >= 0; i--)
        if (m->is_frozen[i] && every > 0 && lh_current_epoch(c) >= (BLOCKS - i) * every) {
            const char *glob = lh_name(c, "backbone.%d.*", i);

            lh_unfreeze(c, glob);
            m->is_frozen[i] = 0;
            lh_print(c, LH_INFO, "%s learns as well now", glob);
        }
    return LH_OK;
}

/* A block halves the image. While it is frozen its batch norm works as in evaluation: by the
 * statistics it came with, which stay as they are. */
static lh_tensor *block(lh_ctx *c, struct transfer *m, int i, lh_tensor *x) {
    int is_training = lh_is_training(c);

    if (m->is_frozen[i] && !lh_hparam_int(c, "train_norm"))
        lh_eval(c);
    x = lh_batch_norm_apply(c, m->norm[i], lh_conv_apply(c, m->conv[i], x));
    if (is_training)
        lh_train(c);
    return lh_max_pool2d(c, lh_relu(c, x), 2, 2);
}

/* Images (n, 28, 28) to the scores of the five digits. */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct transfer *m = self;

    x = lh_reshape(c, x, -1, 1, 28, 28);
    for (int i = 0; i < BLOCKS; i++)
        x = block(c, m, i, x);
    return lh_linear_apply(c, m->head, lh_mean(c, x, 0, 2, 3));
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

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct transfer),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .on_train_epoch_start = on_train_epoch_start,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
};

LH_EXPORT_PLUGIN("transfer", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &some_digits);
