/* transformer.c - reads a date as people write it and writes it as ISO 8601 does, by a Transformer
 * (Vaswani et al. 2017); the task of ../seq2seq.
 *
 *     lhost run --model transformer.so --max_epochs 1 --test
 */
#include "seq2seq/dates.h"

#include <lhost/lhost.h>

enum { STEPS = DATES_TARGET - 1 };

struct transformer {
    lh_embedding source, target, source_position, target_position;
    lh_transformer encoder, decoder;
    lh_linear output;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("width", 64, 4, 65536, "numbers that a character becomes; a multiple of 4"),
    LH_HPARAM_INT("layers", 2, 1, 100, "of the encoder and of the decoder"),
    LH_HPARAM_REAL("dropout", 0.1, 0, 1, "share of each block's output that is dropped"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct transformer *m = self;
    int64_t width = lh_hparam_int(c, "width");
    int32_t layers = (int32_t)lh_hparam_int(c, "layers");
    double dropout = lh_hparam(c, "dropout");

    m->source = lh_embedding_make(c, "source", DATES_SOURCE_SYMBOLS, width);
    m->target = lh_embedding_make(c, "target", DATES_TARGET_SYMBOLS, width);
    m->source_position = lh_embedding_make(c, "source_position", DATES_SOURCE, width);
    m->target_position = lh_embedding_make(c, "target_position", STEPS, width);
    m->encoder =
        lh_transformer_encoder_make(c, "encoder", layers, width, 4, .dim_feedforward = 4 * width,
                                    .dropout = dropout, .batch_first = 1, .norm_first = 1);
    m->decoder = lh_transformer_decoder_make(c, "decoder", layers, width, 4,
                                             .dim_feedforward = 4 * width, .dropout = dropout,
                                             .batch_first = 1, .norm_first = 1, .final_norm = 1);
    m->output = lh_linear_make(c, "output", width, DATES_TARGET_SYMBOLS);
    return LH_OK;
}

/* Symbols (n, t) to (n, t, width): what they are and where. */
static lh_tensor *embed(lh_ctx *c, const lh_embedding *what, const lh_embedding *where,
                        lh_tensor *symbols) {
    lh_tensor *position = lh_arange(c, LH_I64, 0, lh_dim(c, symbols, 1));

    return lh_add(c, lh_embedding_apply(c, *what, symbols),
                  lh_embedding_apply(c, *where, position));
}

static lh_tensor *encode(lh_ctx *c, const struct transformer *m, lh_tensor *source) {
    return lh_transformer_apply(c, m->encoder, embed(c, &m->source, &m->source_position, source),
                                NULL, .key_padding_mask = dates_padding(c, source));
}

/* The scores (n, t, symbols) of what follows each of tokens (n, t), given what is before it. */
static lh_tensor *decode(lh_ctx *c, const struct transformer *m, lh_tensor *memory,
                         lh_tensor *source, lh_tensor *tokens) {
    lh_tensor *x = embed(c, &m->target, &m->target_position, tokens);

    x = lh_transformer_apply(c, m->decoder, x, memory, .causal = 1,
                             .memory_key_padding_mask = dates_padding(c, source));
    return lh_linear_apply(c, m->output, x);
}

/* Teacher forcing: every symbol is to follow from the right ones before it. */
static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *source = lh_batch_get(c, batch, 0), *target = lh_batch_get(c, batch, 1);
    lh_tensor *labels = lh_reshape(c, lh_slice(c, target, 1, 1, DATES_TARGET), -1);
    lh_tensor *logits =
        decode(c, self, encode(c, self, source), source, lh_slice(c, target, 1, 0, STEPS));

    logits = lh_reshape(c, logits, -1, DATES_TARGET_SYMBOLS);
    return lh_cross_entropy_ignoring(c, logits, labels, DATES_PAD);
}

/* Writes greedily: texts (n, source) to (n, STEPS) symbols. */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *source) {
    lh_tensor *memory = encode(c, self, source);
    lh_tensor *tokens = lh_full(c, DATES_START, LH_I64, lh_dim(c, source, 0), 1);

    for (int i = 0; i < STEPS; i++) {
        lh_tensor *logits = lh_slice(c, decode(c, self, memory, source, tokens), 1, i, i + 1);

        tokens = lh_concat(c, 1, 2, LH_TENSORS_(tokens, lh_argmax(c, logits, 2)));
    }
    return lh_slice(c, tokens, 1, 1, DATES_TARGET);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *loss = loss_of(c, self, batch);

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    lh_tensor *written = forward(c, self, lh_batch_get(c, batch, 0));

    if (batch_idx == 0 && !lh_int(c, LH_SANITY_CHECKING))
        dates_show(c, batch, written, 10);
    lh_log(c, "val_loss", loss_of(c, self, batch), LH_LOG_EPOCH);
    return lh_log(c, "val_exact", dates_exact(c, batch, written), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    lh_tensor *written = forward(c, self, lh_batch_get(c, batch, 0));

    return lh_log(c, "test_exact", dates_exact(c, batch, written), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct transformer),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
};

LH_EXPORT_PLUGIN("transformer", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &dates_data);
