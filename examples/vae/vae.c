/* vae.c - a variational autoencoder (Kingma and Welling 2014) that invents digits.
 *
 *     lhost run --model vae.so --max_epochs 15
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

enum { PIXELS = 28 * 28 };

struct vae {
    lh_linear encoder_0, encoder_2, mean, log_var, decoder_0, decoder_2, decoder_4;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("dim", 12, 1, 784, "numbers that an image becomes"),
    LH_HPARAM_INT("hidden", 400, 1, 65536, "width of the hidden layers"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct vae *m = self;
    int64_t dim = lh_hparam_int(c, "dim"), hidden = lh_hparam_int(c, "hidden");

    m->encoder_0 = lh_linear_make(c, "encoder.0", PIXELS, hidden);
    m->encoder_2 = lh_linear_make(c, "encoder.2", hidden, hidden);
    m->mean = lh_linear_make(c, "mean", hidden, dim);
    m->log_var = lh_linear_make(c, "log_var", hidden, dim);
    m->decoder_0 = lh_linear_make(c, "decoder.0", dim, hidden);
    m->decoder_2 = lh_linear_make(c, "decoder.2", hidden, hidden);
    m->decoder_4 = lh_linear_make(c, "decoder.4", hidden, PIXELS);
    return LH_OK;
}

/* The normal distribution over codes (n, dim) that images (n, 28, 28) stand for. */
struct codes {
    lh_tensor *mean, *log_var;
};

static struct codes encode(lh_ctx *c, const struct vae *m, lh_tensor *x) {
    x = lh_relu(c, lh_linear_apply(c, m->encoder_0, lh_flatten(c, x)));
    x = lh_relu(c, lh_linear_apply(c, m->encoder_2, x));
    return (struct codes){lh_linear_apply(c, m->mean, x), lh_linear_apply(c, m->log_var, x)};
}

/* Codes (n, dim) to the logits of pixels (n, 784). */
static lh_tensor *decode(lh_ctx *c, const struct vae *m, lh_tensor *z) {
    z = lh_relu(c, lh_linear_apply(c, m->decoder_0, z));
    z = lh_relu(c, lh_linear_apply(c, m->decoder_2, z));
    return lh_linear_apply(c, m->decoder_4, z);
}

/* The mean of an image's code: (n, dim). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    return encode(c, self, x).mean;
}

/* A draw from the codes through which gradients flow: mean + std noise. */
static lh_tensor *draw(lh_ctx *c, struct codes q) {
    lh_tensor *std = lh_exp(c, lh_mul_scalar(c, q.log_var, 0.5));
    lh_tensor *noise = lh_randn(c, LH_F32, lh_dim(c, std, 0), lh_dim(c, std, 1));

    return lh_add(c, q.mean, lh_mul(c, std, noise));
}

/* How far the codes are from standard normal ones, KL(q || N(0, 1)), in nats per image. */
static lh_tensor *divergence(lh_ctx *c, struct codes q) {
    lh_tensor *kl = lh_add(c, lh_square(c, q.mean), lh_exp(c, q.log_var));

    kl = lh_add_scalar(c, lh_sub(c, kl, q.log_var), -1);
    return lh_mul_scalar(c, lh_mean_all(c, lh_sum(c, kl, 0, 1)), 0.5);
}

/* Minus the ELBO, in nats per image: the price of the pixels given the code, and of the code. */
static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *x = lh_flatten(c, lh_batch_get(c, batch, 0));
    struct codes q = encode(c, self, x);
    lh_tensor *pixel = lh_bce_with_logits(c, decode(c, self, draw(c, q)), x);

    return lh_add(c, lh_mul_scalar(c, pixel, PIXELS), divergence(c, q));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *loss = loss_of(c, self, batch);

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

/* Codes (n, dim) to images (n, 28, 28). */
static lh_tensor *images_of(lh_ctx *c, const struct vae *m, lh_tensor *z) {
    return lh_reshape(c, lh_sigmoid(c, decode(c, m, z)), -1, 28, 28);
}

/* The first batch of a validation is also drawn: images above, what came back below; and digits
 * that no image was behind. */
static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    if (batch_idx == 0 && !lh_int(c, LH_SANITY_CHECKING)) {
        int64_t size = lh_batch_size(c, batch), n = size < 16 ? size : 16;
        lh_tensor *x = lh_slice(c, lh_batch_get(c, batch, 0), 0, 0, n);
        lh_tensor *y = images_of(c, self, draw(c, encode(c, self, x)));
        lh_tensor *z = lh_randn(c, LH_F32, 64, lh_hparam_int(c, "dim"));

        picture_save(c, "reconstructions.png", lh_concat(c, 0, 2, LH_TENSORS_(x, y)), n);
        picture_save(c, "samples.png", images_of(c, self, z), 16);
    }
    return lh_log(c, "val_loss", loss_of(c, self, batch), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct vae),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
};

LH_EXPORT_PLUGIN("vae", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
