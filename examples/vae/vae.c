/* vae.c - a variational autoencoder (Kingma and Welling 2014) that invents digits.
 *
 *     lhost run --model vae.so --max_epochs 15
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

enum { PIXELS = 28 * 28, SHOWN = 16 };

struct vae {
    lh_linear encoder_0, mean, log_var, decoder_0, decoder_2;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("dim", 20, 1, 784, "numbers that an image becomes"),
    LH_HPARAM_INT("hidden", 400, 1, 65536, "width of the hidden layers"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct vae *m = self;
    int64_t dim = lh_hparam_int(c, "dim"), hidden = lh_hparam_int(c, "hidden");

    m->encoder_0 = lh_linear_make(c, "encoder.0", PIXELS, hidden);
    m->mean = lh_linear_make(c, "mean", hidden, dim);
    m->log_var = lh_linear_make(c, "log_var", hidden, dim);
    m->decoder_0 = lh_linear_make(c, "decoder.0", dim, hidden);
    m->decoder_2 = lh_linear_make(c, "decoder.2", hidden, PIXELS);
    return LH_OK;
}

/* The normal distribution over codes (n, dim) that images (n, 28, 28) stand for. */
struct codes {
    lh_tensor *mean, *log_var;
};

static struct codes encode(lh_ctx *c, const struct vae *m, lh_tensor *x) {
    lh_tensor *h = lh_relu(c, lh_linear_apply(c, m->encoder_0, lh_flatten(c, x)));

    return (struct codes){lh_linear_apply(c, m->mean, h), lh_linear_apply(c, m->log_var, h)};
}

/* Codes (n, dim) to the logits of pixels (n, 784). */
static lh_tensor *decode(lh_ctx *c, const struct vae *m, lh_tensor *z) {
    return lh_linear_apply(c, m->decoder_2, lh_relu(c, lh_linear_apply(c, m->decoder_0, z)));
}

/* A draw from the codes through which gradients flow: mean + std * noise. */
static lh_tensor *draw(lh_ctx *c, struct codes q) {
    lh_tensor *std = lh_exp(c, lh_mul_scalar(c, q.log_var, 0.5));

    return lh_add(c, q.mean, lh_mul(c, std, lh_randn_like(c, std)));
}

/* The mean of an image's code: (n, dim). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    return encode(c, self, x).mean;
}
