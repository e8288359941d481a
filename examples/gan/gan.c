/* gan.c - a DCGAN (Radford, Metz and Chintala 2015): a generator invents digits until a
 * discriminator can't tell them from real ones.
 *
 *     lhost run --model gan.so --max_epochs 5
 */
#include "data/digits.h"
#include "picture/picture.h"

#include <lhost/lhost.h>

struct generator {
    lh_conv conv1, conv2, conv3;
    lh_batch_norm norm1, norm2;
};

struct discriminator {
    lh_conv conv1, conv2, conv3;
    lh_batch_norm norm2;
};

struct gan {
    struct generator g;
    struct discriminator d;
    lh_tensor *shown_z; /* what the pictures show, epoch by epoch */
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("dim", 64, 1, 4096, "random numbers that become an image"),
    LH_HPARAM_INT("width", 32, 1, 1024, "channels of the widest images; twice as many of smaller"),
    LH_HPARAM_REAL("lr", 2e-4, 0, 1, "learning rate of both"),
    LH_HPARAM_REAL("beta1", 0.5, 0, 1, "first beta of Adam"),
};

/* DCGAN's initial weights: N(0, 0.02^2). */
static lh_conv normal(lh_ctx *c, lh_conv layer) {
    lh_tensor *w = layer.weight;

    lh_assign(c, w,
              lh_normal(c, 0, 0.02, LH_F32, lh_dim(c, w, 0), lh_dim(c, w, 1), lh_dim(c, w, 2),
                        lh_dim(c, w, 3)));
    return layer;
}

#define CONV(c, ...) normal(c, lh_conv2d_make(c, __VA_ARGS__, .bias = 0))
#define CONV_TRANSPOSE(c, ...) normal(c, lh_conv_transpose2d_make(c, __VA_ARGS__, .bias = 0))

static lh_status configure_model(lh_ctx *c, void *self) {
    struct gan *m = self;
    struct generator *g = &m->g;
    struct discriminator *d = &m->d;
    int64_t dim = lh_hparam_int(c, "dim"), width = lh_hparam_int(c, "width");

    g->conv1 = CONV_TRANSPOSE(c, "generator.0", dim, 2 * width, 7);
    g->norm1 = lh_batch_norm_make(c, "generator.1", 2 * width);
    g->conv2 = CONV_TRANSPOSE(c, "generator.3", 2 * width, width, 4, .stride = 2, .padding = 1);
    g->norm2 = lh_batch_norm_make(c, "generator.4", width);
    g->conv3 = CONV_TRANSPOSE(c, "generator.6", width, 1, 4, .stride = 2, .padding = 1);

    d->conv1 = CONV(c, "discriminator.0", 1, width, 4, .stride = 2, .padding = 1);
    d->conv2 = CONV(c, "discriminator.2", width, 2 * width, 4, .stride = 2, .padding = 1);
    d->norm2 = lh_batch_norm_make(c, "discriminator.3", 2 * width);
    d->conv3 = CONV(c, "discriminator.5", 2 * width, 1, 7);

    m->shown_z = lh_buffer(c, "shown_z", 0, 64, dim);
    return lh_assign(c, m->shown_z, lh_randn(c, LH_F32, 64, dim));
}

/* Random numbers z (n, dim) to images (n, 1, 28, 28) from -1 to 1: by way of 7x7 and 14x14. */
static lh_tensor *generate(lh_ctx *c, void *self, lh_tensor *z) {
    const struct generator *g = &((struct gan *)self)->g;
    lh_tensor *x = lh_conv_apply(c, g->conv1, lh_reshape(c, z, lh_dim(c, z, 0), -1, 1, 1));

    x = lh_relu(c, lh_batch_norm_apply(c, g->norm1, x));
    x = lh_relu(c, lh_batch_norm_apply(c, g->norm2, lh_conv_apply(c, g->conv2, x)));
    return lh_tanh(c, lh_conv_apply(c, g->conv3, x));
}

/* The loss of taking images for real (target 1) or for invented (0). */
static lh_tensor *judge(lh_ctx *c, const struct discriminator *d, lh_tensor *x, double target) {
    x = lh_leaky_relu(c, lh_conv_apply(c, d->conv1, x), 0.2);
    x = lh_batch_norm_apply(c, d->norm2, lh_conv_apply(c, d->conv2, x));
    x = lh_flatten(c, lh_conv_apply(c, d->conv3, lh_leaky_relu(c, x, 0.2)));
    return lh_bce_with_logits(c, x, lh_full(c, target, LH_F32, lh_dim(c, x, 0), 1));
}

static void update(lh_ctx *c, lh_optimizer *optimizer, lh_tensor *loss) {
    lh_zero_grad(c, optimizer);
    lh_backward(c, loss);
    lh_optimizer_step(c, optimizer);
}

/* One step of the discriminator, then one of the generator against it, on the same images. */
static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct gan *m = self;
    lh_optimizer *opt_g = lh_optimizer_at(c, 0), *opt_d = lh_optimizer_at(c, 1);
    lh_tensor *x = lh_reshape(c, lh_batch_get(c, batch, 0), -1, 1, 28, 28);
    lh_tensor *real = lh_add_scalar(c, lh_mul_scalar(c, x, 2), -1);
    lh_tensor *z = lh_randn(c, LH_F32, lh_batch_size(c, batch), lh_hparam_int(c, "dim"));
    lh_tensor *fake = generate(c, m, z), *d_loss, *g_loss;

    lh_toggle_optimizer(c, opt_d);
    d_loss = lh_add(c, judge(c, &m->d, real, 1), judge(c, &m->d, lh_detach(c, fake), 0));
    update(c, opt_d, d_loss);

    lh_toggle_optimizer(c, opt_g);
    g_loss = judge(c, &m->d, fake, 1);
    update(c, opt_g, g_loss);
    lh_untoggle_optimizer(c, opt_g);

    lh_log(c, "d_loss", d_loss, LH_LOG_STEP | LH_LOG_BAR);
    lh_log(c, "g_loss", g_loss, LH_LOG_STEP | LH_LOG_BAR);
    return g_loss;
}

/* After every epoch a picture of what became of the same random numbers. */
static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    struct gan *m = self;
    lh_tensor *images;

    lh_eval(c);
    images = lh_add_scalar(c, lh_mul_scalar(c, generate(c, m, m->shown_z), 0.5), 0.5);
    lh_train(c);
    return picture_save(c, lh_name(c, "epoch-%02d.png", (int)lh_current_epoch(c)), images, 16);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    double lr = lh_hparam(c, "lr"), beta1 = lh_hparam(c, "beta1");

    lh_adam(c, .params = "generator.*", .lr = lr, .beta1 = beta1);
    lh_adam(c, .params = "discriminator.*", .lr = lr, .beta1 = beta1);
    return LH_OK;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .manual_optimization = 1,
    .state_size = sizeof(struct gan),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = generate,
    .training_step = training_step,
    .on_train_epoch_end = on_train_epoch_end,
};

LH_EXPORT_PLUGIN("gan", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &digits_data);
