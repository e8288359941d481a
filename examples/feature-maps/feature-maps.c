/* feature-maps.c - what the layers of a convolutional network make of a digit.
 *
 *     lhost run --model feature-maps.so --max_epochs 1
 *     lhost predict --model feature-maps.so --ckpt_path best --limit_predict_batches 1
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

enum { LAYERS = 3 };

struct net {
    lh_conv features[LAYERS];
    lh_linear classifier;
};

static lh_status configure_model(lh_ctx *c, void *self) {
    static const int64_t channels[] = {1, 8, 16, 32};
    struct net *m = self;

    for (int i = 0; i < LAYERS; i++)
        m->features[i] = lh_conv2d_make(c, lh_name(c, "features.%d", i), channels[i],
                                        channels[i + 1], 3, .padding = 1);
    m->classifier = lh_linear_make(c, "classifier", 32 * 3 * 3, 10);
    return LH_OK;
}

/* Images (n, 28, 28) to scores (n, 10); maps[i] becomes what layer i made, (n, channels, h, w). */
static lh_tensor *compute(lh_ctx *c, const struct net *m, lh_tensor *x, lh_tensor **maps) {
    x = lh_reshape(c, x, -1, 1, 28, 28);
    for (int i = 0; i < LAYERS; i++) {
        maps[i] = lh_relu(c, lh_conv_apply(c, m->features[i], x));
        x = lh_max_pool2d(c, maps[i], 2, 2);
    }
    return lh_linear_apply(c, m->classifier, lh_flatten(c, x));
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    lh_tensor *maps[LAYERS];

    return compute(c, self, x, maps);
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

/* The maps of the batch's first image as a picture, each from black to its brightest point. */
static void draw(lh_ctx *c, const char *name, lh_tensor *maps) {
    lh_tensor *first = lh_slice(c, maps, 0, 0, 1);
    lh_tensor *top = lh_add_scalar(c, lh_amax(c, first, 1, 2, 3), 1e-6);
    lh_tensor *large = lh_upsample_nearest2d(c, lh_div(c, first, top), 56, 56);

    picture_save(c, name, lh_permute(c, large, 1, 0, 2, 3), 8);
}

/* The scores; beside them, as "features.0" ..., the maps of every layer. */
static lh_tensor *predict_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *x = lh_batch_get(c, batch, 0), *maps[LAYERS], *logits;

    logits = compute(c, self, x, maps);
    for (int i = 0; i < LAYERS; i++) {
        lh_output(c, lh_name(c, "features.%d", i), maps[i]);
        if (batch_idx == 0)
            draw(c, lh_name(c, "features.%d.png", i), maps[i]);
    }
    return logits;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = 1e-3);
    return LH_OK;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    .state_size = sizeof(struct net),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .predict_step = predict_step,
};

LH_EXPORT_PLUGIN("feature-maps", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
