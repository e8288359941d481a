/* char-lstm.c - an LSTM that writes like Shakespeare, trained by truncated back-propagation.
 *
 *     lhost run --model char-lstm.so --max_epochs 4 --gradient_clip_val 5
 */
#include "data/text.h"

#include <lhost/lhost.h>

/* What the model remembers at the end of a batch, of every row: (layers, rows, hidden). */
struct memory {
    lh_tensor *h, *c;
};

struct char_lstm {
    lh_embedding embed;
    lh_recurrent lstm;
    lh_linear head;
    struct memory train, val;
    const struct text *text; /* NULL: other data than ours */
    int64_t *sample;         /* what it writes */
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("vocab_size", 65, 1, 256, "different characters"),
    LH_HPARAM_INT("embed", 64, 1, 65536, "numbers that a character becomes"),
    LH_HPARAM_INT("hidden", 256, 1, 65536, "width of the LSTM"),
    LH_HPARAM_INT("layers", 1, 1, 64, "of the LSTM"),
    LH_HPARAM_INT("batch_size", 32, 1, 65536, "streams side by side"),
    LH_HPARAM_INT("length", 128, 1, 65536, "characters of a stream in a batch"),
    LH_HPARAM_INT("steps", 32, 1, 65536, "characters that gradients go back"),
    LH_HPARAM_REAL("lr", 2e-3, 0, 1, "learning rate"),
    LH_HPARAM_INT("sample", 500, 0, 100000, "characters to write at every validation"),
    LH_HPARAM_REAL("temperature", 0.8, 0.01, 100, "what the logits are divided by"),
    LH_HPARAM_INT("top_k", 200, 1, 256, "only the likeliest characters are drawn"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    return text_prepare(c);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct char_lstm *m = self;

    m->text = text_read(c, lh_hparam_int(c, "vocab_size"));
    return LH_OK;
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct char_lstm *m = self;
    int64_t embed = lh_hparam_int(c, "embed"), hidden = lh_hparam_int(c, "hidden");
    int64_t vocab_size = lh_hparam_int(c, "vocab_size"), rows = lh_hparam_int(c, "batch_size");
    int32_t layers = (int32_t)lh_hparam_int(c, "layers");

    m->embed = lh_embedding_make(c, "embed", vocab_size, embed);
    m->lstm = lh_lstm_make(c, "lstm", embed, hidden, .layers = layers, .batch_first = 1);
    m->head = lh_linear_make(c, "head", hidden, vocab_size);
    m->train.h = lh_buffer(c, "train.h", 0, layers, rows, hidden);
    m->train.c = lh_buffer(c, "train.c", 0, layers, rows, hidden);
    m->val.h = lh_buffer(c, "val.h", 0, layers, rows, hidden);
    m->val.c = lh_buffer(c, "val.c", 0, layers, rows, hidden);
    m->sample = lh_alloc(c, (uint64_t)(lh_hparam_int(c, "sample") + 1) * sizeof *m->sample);
    return lh_tbptt(c, lh_hparam_int(c, "steps"));
}

/* Characters (n, t) to the logits of those that follow, (n, t, vocab_size). */
static lh_tensor *predict(lh_ctx *c, const struct char_lstm *m, lh_tensor *x,
                          lh_recurrent_state *state) {
    x = lh_recurrent_apply(c, m->lstm, lh_embedding_apply(c, m->embed, x), state);
    return lh_linear_apply(c, m->head, x);
}

static lh_tensor *loss_of(lh_ctx *c, const struct char_lstm *m, const lh_batch *batch,
                          lh_recurrent_state *state) {
    lh_tensor *logits = predict(c, m, lh_batch_get(c, batch, 0), state);

    return lh_cross_entropy(c, lh_reshape(c, logits, -1, lh_dim(c, logits, 2)),
                            lh_reshape(c, lh_batch_get(c, batch, 1), -1));
}

static void remember(lh_ctx *c, const struct memory *memory, lh_tensor *h, lh_tensor *cell) {
    lh_assign(c, memory->h, h);
    lh_assign(c, memory->c, cell);
}

/* A text begins with nothing remembered. */
static void forget(lh_ctx *c, const struct memory *memory) {
    lh_tensor *zeros =
        lh_zeros(c, 0, lh_dim(c, memory->h, 0), lh_dim(c, memory->h, 1), lh_dim(c, memory->h, 2));

    remember(c, memory, zeros, zeros);
}

static lh_status on_train_epoch_start(lh_ctx *c, void *self) {
    forget(c, &((struct char_lstm *)self)->train);
    return LH_OK;
}

/* One piece of the batch: it goes on from the one before, the first from the batch before. */
static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct char_lstm *m = self;
    lh_recurrent_state state = {lh_hidden(c, "h"), lh_hidden(c, "c")};
    lh_tensor *loss;

    if (!state.h)
        state = (lh_recurrent_state){m->train.h, m->train.c};
    loss = loss_of(c, m, batch, &state);
    lh_output(c, "h", state.h);
    lh_output(c, "c", state.c);
    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *outputs,
                                    lh_batch *batch, int64_t batch_idx) {
    struct char_lstm *m = self;
    int64_t last = lh_outputs_count(c, outputs) - 1;

    remember(c, &m->train, lh_outputs_get(c, outputs, last, "h"),
             lh_outputs_get(c, outputs, last, "c"));
    return LH_OK;
}

static lh_status on_validation_epoch_start(lh_ctx *c, void *self) {
    forget(c, &((struct char_lstm *)self)->val);
    return LH_OK;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct char_lstm *m = self;
    lh_recurrent_state state = {m->val.h, m->val.c};
    lh_tensor *loss = loss_of(c, m, batch, &state);

    remember(c, &m->val, state.h, state.c);
    return lh_log(c, "val_loss", loss, LH_LOG_EPOCH | LH_LOG_BAR);
}

/* The model writes, beginning a line. */
static lh_status on_validation_epoch_end(lh_ctx *c, void *self) {
    struct char_lstm *m = self;
    int64_t n = lh_hparam_int(c, "sample"), *sample = m->sample;
    lh_recurrent_state state = {0};

    if (!m->text || n == 0 || lh_int(c, LH_SANITY_CHECKING))
        return LH_OK;
    for (int64_t i = 0; i < n; i++) {
        lh_tensor *x = c->host->tensor(c, LH_I64, 2, (int64_t[]){1, 1}, &sample[i]);
        lh_tensor *logits = lh_reshape(c, predict(c, m, x, &state), -1);

        sample[i + 1] =
            text_draw(c, logits, lh_hparam(c, "temperature"), lh_hparam_int(c, "top_k"));
    }
    return text_show(c, m->text, sample + 1, n);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

static lh_status load(lh_ctx *c, const struct char_lstm *m, int is_val) {
    int64_t rows = lh_hparam_int(c, "batch_size");

    return lh_loader(c, .batch_size = rows,
                     .dataset = text_streams(c, m->text, is_val, rows, lh_hparam_int(c, "length")));
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return load(c, self, 0);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return load(c, self, 1);
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct char_lstm),
    .prepare_data = prepare_data,
    .setup = setup,
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .on_train_epoch_start = on_train_epoch_start,
    .training_step = training_step,
    .on_train_batch_end = on_train_batch_end,
    .on_validation_epoch_start = on_validation_epoch_start,
    .validation_step = validation_step,
    .on_validation_epoch_end = on_validation_epoch_end,
};

LH_EXPORT_PLUGIN("char-lstm", "1.0.0", LH_KIND_MODULE, .module = &module);
