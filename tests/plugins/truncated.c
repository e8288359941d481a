/* truncated.c - a recurrent net of one weight, h(t) = w h(t - 1) + x(t), trained to keep h small,
 * by truncated back-propagation through time. `split` names a hook of its own: uneven pieces of 1,
 * 2, 3 ... steps, or one that breaks its contract.
 */
#include "truncated.h"
#include "boring.h"

#include <string.h>

#ifndef SPLITS
#define SPLITS 0 /* 1: with tbptt_split_batch */
#endif

struct truncated {
    lh_tensor *w;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("steps", 3, -1, 100, "of a piece; 0: lh_tbptt is not called"),
    LH_HPARAM_INT("items", 8, 1, 1000, "sequences"),
    LH_HPARAM_INT("optimizers", 1, 1, 2, "of the one weight"),
    LH_HPARAM_REAL("lr", 0.1, 0, 1, "of SGD"),
    LH_HPARAM_REAL("dropout", 0, 0, 1, "of what is carried on"),
    LH_HPARAM_TEXT("keep", "h", "the name that the hidden state is kept under"),
    LH_HPARAM_TEXT("split", "", "uneven endless other nothing"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    static const lh_init half = {LH_SIZED(lh_init), .kind = LH_INIT_CONSTANT, .a = 0.5};
    struct truncated *s = self;

    s->w = lh_param(c, "w", &half, 1);
    return lh_hparam_int(c, "steps") ? lh_tbptt(c, lh_hparam_int(c, "steps")) : LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    for (int64_t i = 0; i < lh_hparam_int(c, "optimizers"); i++)
        lh_sgd(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    for (int64_t t = 0; t < TRUNCATED_STEPS; t++)
        ((float *)fields[0])[t] = (float)truncated_x(index, t);
    *(int64_t *)fields[1] = index;
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    static const lh_field fields[] = {LH_FIELD(LH_F32, 1, TRUNCATED_STEPS), LH_FIELD(LH_I64, 0, 0)};

    return lh_loader(c, .num_workers = 0, .batch_size = 4,
                     .dataset = lh_dataset_map(c, .length = lh_hparam_int(c, "items"),
                                               .n_fields = 2, .fields = fields, .get_item = item));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct truncated *s = self;
    lh_tensor *x = lh_batch_get(c, b, 0), *h = lh_hidden(c, "h"), *all[TRUNCATED_STEPS], *loss;
    int64_t n = lh_dim(c, x, 1);
    double p = lh_hparam(c, "dropout");

    lh_log_value(c, "steps", (double)n, LH_LOG_EPOCH, .reduce = LH_SUM);
    lh_log_value(c, "carried", h ? lh_item(c, lh_sum_all(c, h)) : 0, LH_LOG_STEP);
    if (lh_dim(c, lh_batch_get(c, b, 1), 0) != lh_batch_size(c, b))
        lh_fail(c, LH_ESHAPE, "field 1 was cut");
    for (int64_t t = 0; t < n && t < TRUNCATED_STEPS; t++) {
        lh_tensor *now = lh_slice(c, x, 1, t, t + 1);

        h = all[t] = h ? lh_add(c, lh_mul(c, h, s->w), now) : now;
    }
    loss = lh_mean_all(c, lh_square(c, lh_concat(c, 1, (int32_t)n, all)));
    loss = lh_add(c, loss, lh_mul_scalar(c, lh_sum_all(c, s->w), 0.0)); /* a piece of one step */
    lh_output(c, lh_hparam_text(c, "keep"), p > 0 ? lh_dropout(c, h, p) : h);
    return loss;
}

/* Of the batch: its pieces, and the sum of their losses. */
static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *o, lh_batch *b,
                                    int64_t idx) {
    int64_t n = c->host->outputs_count(c, o);
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += lh_item(c, c->host->outputs_get(c, o, i, "loss"));
    lh_log_value(c, "pieces", (double)n, LH_LOG_STEP);
    lh_log_value(c, "loss", sum, LH_LOG_STEP);
    return lh_dim(c, lh_batch_get(c, b, 0), 1) == TRUNCATED_STEPS
               ? LH_OK
               : lh_fail(c, LH_ESHAPE, "the batch is not whole again");
}

static lh_status training_epoch_end(lh_ctx *c, void *self, const lh_outputs *o) {
    return lh_log_value(c, "pieces_of_epoch", (double)c->host->outputs_count(c, o), LH_LOG_EPOCH);
}

/* Part p has p + 1 steps. */
static lh_batch *split(lh_ctx *c, void *self, lh_batch *b, int64_t size, int64_t part) {
    const char *how = lh_hparam_text(c, "split");
    int64_t from = part * (part + 1) / 2, to = from + part + 1;

    if (strcmp(how, "endless") == 0)
        from = 0, to = 1;
    if (strcmp(how, "other") == 0)
        return self;
    if (strcmp(how, "nothing") == 0 || from >= TRUNCATED_STEPS)
        return NULL;
    lh_batch_set(
        c, b, 0,
        lh_slice(c, lh_batch_get(c, b, 0), 1, from, to < TRUNCATED_STEPS ? to : TRUNCATED_STEPS));
    return b;
}

LH_EXPORT_MODULE("truncated", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct truncated),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step,
                 .training_epoch_end = training_epoch_end, .on_train_batch_end = on_train_batch_end,
                 .tbptt_split_batch = SPLITS ? split : NULL);
