/* scaled.c - four weights whose gradient is known, `factor` times (1, 2, 3, 4), for tests of loss
 * scaling. It logs the loss, what on_before_backward is given, and the first weight's gradient
 * after backward and before the update. With BY_HAND it optimizes by itself; with UNSEEN it has no
 * hook before the update.
 */
#include <lhost/lhost.h>
#include <math.h>

enum { N = 4 };

struct scaled {
    lh_tensor *w;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_REAL("factor", 1, 0, 1e38, "of the loss"),
    LH_HPARAM_REAL("lr", 0.125, 0, 1, "learning rate"),
    LH_HPARAM_INT("batches", 8, 1, 100000, "in an epoch"),
    LH_HPARAM_INT("infinite_at", -1, -1, 100000, "every so many batches, the loss is infinite"),
    LH_HPARAM_INT("none_at", -1, -1, 100000, "batch without a loss"),
    LH_HPARAM_FLAG("watch", 1, "log gradients"),
    LH_HPARAM_REAL("clip", 0, 0, 100, "by hand: clip the norm"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    const lh_init ones = {LH_SIZED(lh_init), .kind = LH_INIT_CONSTANT, .a = 1};
    const int64_t shape[] = {N};

    ((struct scaled *)self)->w = c->host->param(c, "w", 0, 1, shape, &ones);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_optimizer *sgd = lh_sgd(c, .lr = lh_hparam(c, "lr"));

    return lh_step_lr(c, sgd, .step_size = 1, .gamma = 0.5, .interval = LH_PER_EPOCH);
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    for (int i = 0; i < N; i++)
        ((float *)fields[0])[i] = (float)(i + 1);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    static const lh_field field = LH_FIELD(LH_F32, 1, N);

    return lh_loader(c, .batch_size = 1, .num_workers = 0,
                     .dataset = lh_dataset_map(c, .length = lh_hparam_int(c, "batches"),
                                               .get_item = item, .n_fields = 1, .fields = &field));
}

/* The first weight's gradient; NaN: none. */
static double gradient(lh_ctx *c, void *self) {
    lh_tensor *g = lh_grad(c, ((struct scaled *)self)->w);

    return g ? lh_item(c, lh_slice(c, g, 0, 0, 1)) : NAN;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct scaled *s = self;
    int64_t every = lh_hparam_int(c, "infinite_at");
    lh_tensor *x = lh_mul(c, s->w, lh_flatten(c, lh_batch_get(c, b, 0)));
    lh_tensor *loss = lh_mul_scalar(c, lh_sum_all(c, x), lh_hparam(c, "factor"));

    if (every > 0 && (idx + 1) % every == 0)
        loss = lh_mul_scalar(c, loss, INFINITY);
    lh_log(c, "loss", loss, LH_LOG_STEP);
#ifdef BY_HAND
    lh_optimizer *opt = lh_optimizer_at(c, 0);

    lh_zero_grad(c, opt);
    lh_backward(c, loss);
    lh_log_value(c, "after_backward", gradient(c, self), LH_LOG_STEP);
    if (lh_hparam(c, "clip") > 0)
        lh_clip_gradients_norm(c, opt, lh_hparam(c, "clip"));
    lh_optimizer_step(c, opt);
#endif
    return idx == lh_hparam_int(c, "none_at") ? NULL : loss;
}

static lh_status on_before_backward(lh_ctx *c, void *self, lh_tensor *loss) {
    return lh_log(c, "scaled_loss", loss, LH_LOG_STEP);
}

static lh_status on_after_backward(lh_ctx *c, void *self) {
    return lh_hparam(c, "watch") ? lh_log_value(c, "after_backward", gradient(c, self), LH_LOG_STEP)
                                 : LH_OK;
}

#ifdef UNSEEN
#define BEFORE_STEP NULL
#else
#define BEFORE_STEP on_before_optimizer_step
static lh_status on_before_optimizer_step(lh_ctx *c, void *self, lh_optimizer *opt) {
    return lh_hparam(c, "watch") ? lh_log_value(c, "before_step", gradient(c, self), LH_LOG_STEP)
                                 : LH_OK;
}
#endif

#ifdef BY_HAND
#define MANUAL 1
#else
#define MANUAL 0
#endif

LH_EXPORT_MODULE("scaled", "1.0.0", LH_HPARAMS(hparams), .manual_optimization = MANUAL,
                 .state_size = sizeof(struct scaled), .configure_model = configure_model,
                 .configure_optimizers = configure_optimizers, .train_dataloader = train_dataloader,
                 .training_step = training_step, .on_before_backward = on_before_backward,
                 .on_after_backward = on_after_backward, .on_before_optimizer_step = BEFORE_STEP);
