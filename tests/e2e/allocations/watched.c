/* watched.c - a model whose steps use what steps use: several operators, dropout, metrics, a meter,
 * an optimizer, a schedule, a fetch thread; with `steps` pieces of a sequence of 2. Between batches 50 and 150 nobody in the process may
 * allocate; the count comes from counter.c. */
#include <dlfcn.h>
#include <lhost/lhost.h>

struct watched {
    lh_linear hidden, out;
    lh_meter *accuracy;
    long (*allocations)(void);
    long before;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("steps", 0, 0, 2, "of truncated back-propagation; 0: none"),
};

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct watched *w = self;

    *(void **)&w->allocations = dlsym(RTLD_DEFAULT, "lh_test_allocations");
    return w->allocations ? LH_OK : lh_fail(c, LH_ENOTFOUND, "the counter is not preloaded");
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct watched *w = self;

    w->hidden = lh_linear_make(c, "hidden", 32, 64);
    w->out = lh_linear_make(c, "out", 64, 4);
    w->accuracy = lh_accuracy_meter(c, "accuracy", .classes = 4);
    return lh_hparam_int(c, "steps") ? lh_tbptt(c, lh_hparam_int(c, "steps")) : LH_OK;
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct watched *w = self;
    lh_tensor *x = lh_mean(c, lh_batch_get(c, batch, 0), 0, 1), *before = lh_hidden(c, "h"), *loss;

    x = lh_relu(c, lh_linear_apply(c, w->hidden, x));
    x = before ? lh_add(c, x, before) : x;
    lh_output(c, "h", x);
    x = lh_linear_apply(c, w->out, lh_dropout(c, x, 0.5));
    loss = lh_cross_entropy(c, x, lh_batch_get(c, batch, 1));
    lh_log(c, "loss", loss, LH_LOG_STEP | LH_LOG_EPOCH | LH_LOG_BAR);
    lh_log(c, "acc", lh_accuracy(c, x, lh_batch_get(c, batch, 1)), LH_LOG_EPOCH);
    lh_meter_update(c, w->accuracy, x, lh_batch_get(c, batch, 1));
    lh_log_meter(c, "accuracy", w->accuracy, 0);
    return loss;
}

static lh_status on_train_batch_start(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct watched *w = self;

    if (batch_idx == 50)
        w->before = w->allocations();
    if (batch_idx == 150 && w->allocations() != w->before)
        return lh_fail(c, LH_ESTATE, "%ld allocations in 100 steps", w->allocations() - w->before);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_step_lr(c, lh_adam(c, .lr = 1e-3), .step_size = 10, .interval = LH_PER_STEP);
    return LH_OK;
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    for (int i = 0; i < 64; i++)
        ((float *)fields[0])[i] = (float)((index * 64 + i) % 17) / 17;
    *(int64_t *)fields[1] = index % 4;
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    static const lh_field fields[] = {LH_FIELD(LH_F32, 2, 2, 32), LH_FIELD(LH_I64, 0, 0)};
    lh_dataset *d = lh_dataset_map(c, .length = 200 * 16, .n_fields = 2, .fields = fields,
                                   .get_item = item);

    return lh_loader(c, .dataset = d, .batch_size = 16, .shuffle = 1);
}

LH_EXPORT_MODULE("watched", "1.0.0", LH_HPARAMS(hparams),
    .state_size = sizeof(struct watched),
    .setup = setup,
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .training_step = training_step,
    .on_train_batch_start = on_train_batch_start);
