/* autoencoder.c - digits squeezed through a few numbers and back.
 *
 *     lhost run --model autoencoder.so --max_epochs 5
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

struct autoencoder {
    lh_linear encoder_0, encoder_2, decoder_0, decoder_2;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("dim", 3, 1, 784, "numbers that an image becomes"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct autoencoder *m = self;
    int64_t dim = lh_hparam_int(c, "dim");

    m->encoder_0 = lh_linear_make(c, "encoder.0", 28 * 28, 64);
    m->encoder_2 = lh_linear_make(c, "encoder.2", 64, dim);
    m->decoder_0 = lh_linear_make(c, "decoder.0", dim, 64);
    m->decoder_2 = lh_linear_make(c, "decoder.2", 64, 28 * 28);
    return LH_OK;
}

/* The embedding of images (n, 28, 28): (n, dim). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct autoencoder *m = self;

    x = lh_relu(c, lh_linear_apply(c, m->encoder_0, lh_flatten(c, x)));
    return lh_linear_apply(c, m->encoder_2, x);
}

static lh_tensor *decode(lh_ctx *c, const struct autoencoder *m, lh_tensor *z) {
    return lh_linear_apply(c, m->decoder_2, lh_relu(c, lh_linear_apply(c, m->decoder_0, z)));
}

static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *x = lh_batch_get(c, batch, 0);

    return lh_mse_loss(c, decode(c, self, forward(c, self, x)), lh_flatten(c, x));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *loss = loss_of(c, self, batch);

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

/* The first batch of a validation is also drawn: images above, what came back below. */
static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    if (batch_idx == 0 && !lh_int(c, LH_SANITY_CHECKING)) {
        int64_t size = lh_batch_size(c, batch), n = size < 16 ? size : 16;
        lh_tensor *x = lh_slice(c, lh_batch_get(c, batch, 0), 0, 0, n);
        lh_tensor *y = lh_reshape(c, decode(c, self, forward(c, self, x)), -1, 28, 28);

        picture_save(c, "reconstructions.png", lh_concat(c, 0, 2, LH_TENSORS_(x, y)), n);
    }
    return lh_log(c, "val_loss", loss_of(c, self, batch), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = 1e-3);
    return LH_OK;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct autoencoder),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
};

LH_EXPORT_PLUGIN("autoencoder", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
