/* seq2seq.c - reads a date as people write it and writes it as ISO 8601 does, character by
 * character: a GRU that reads forth and back, attention, a GRU that writes (Luong, Pham and Manning
 * 2015).
 *
 *     lhost run --model seq2seq.so --max_epochs 2 --test
 *
 * Padding has no influence: the attention may not look at it, the reader's state is that after the
 * last character of each direction, and the loss leaves it out.
 */
#include "dates.h"

#include <lhost/lhost.h>

enum { STEPS = DATES_TARGET - 1 };

struct seq2seq {
    lh_embedding source, target;
    lh_recurrent forth, back, decoder; /* forth and back: the encoder's two directions */
    lh_linear attention, combine, output;
};

/* What the decoder knows of a batch of texts. */
struct memory {
    lh_tensor *states, *keys; /* (n, source, hidden) */
    lh_tensor *padding;       /* (n, 1, source) */
    lh_tensor *last;          /* (1, n, hidden): the state of each direction after all characters */
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("embedding", 64, 1, 65536, "numbers that a character becomes"),
    LH_HPARAM_INT("hidden", 128, 2, 65536, "width of the encoder and the decoder; even"),
    LH_HPARAM_REAL("lr", 2e-3, 0, 1, "learning rate"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct seq2seq *m = self;
    int64_t width = lh_hparam_int(c, "embedding"), hidden = lh_hparam_int(c, "hidden");

    m->source = lh_embedding_make(c, "source", DATES_SOURCE_SYMBOLS, width);
    m->target = lh_embedding_make(c, "target", DATES_TARGET_SYMBOLS, width);
    m->forth = m->back =
        lh_gru_make(c, "encoder", width, hidden / 2, .bidirectional = 1, .batch_first = 1);
    m->forth.o.bidirectional = m->back.o.bidirectional = 0; /* applied one by one: see encode */
    m->back.cells++;
    m->decoder = lh_gru_make(c, "decoder", width, hidden, .batch_first = 1);
    m->attention = lh_linear_make_nobias(c, "attention", hidden, hidden);
    m->combine = lh_linear_make(c, "combine", 2 * hidden, hidden);
    m->output = lh_linear_make(c, "output", hidden, DATES_TARGET_SYMBOLS);
    return LH_OK;
}

/* x (n, t, features) at the places of order (n, k, 1): (n, k, features). */
static lh_tensor *take(lh_ctx *c, lh_tensor *x, lh_tensor *order) {
    int64_t n = lh_dim(c, order, 0), k = lh_dim(c, order, 1), features = lh_dim(c, x, 2);

    return lh_gather(c, x, 1, lh_expand(c, order, n, k, features));
}

/* Reads source (n, source) forth, and back from each text's own last character: `order` turns a
 * text around. What the directions make of padding is nonsense that nobody looks at. */
static struct memory encode(lh_ctx *c, const struct seq2seq *m, lh_tensor *source) {
    lh_tensor *x = lh_embedding_apply(c, m->source, source), *forth, *back, *states;
    int64_t n = lh_dim(c, source, 0), t = lh_dim(c, source, 1);
    lh_tensor *padding = lh_sum(c, dates_padding(c, source), 1, 1); /* (n, 1): how much */
    lh_tensor *order = lh_sub(c, lh_flip(c, lh_arange(c, LH_I64, 0, t), 0), padding), *first;

    padding = lh_lt(c, order, lh_zeros(c, LH_I64, 1));
    order = lh_reshape(c, lh_masked_fill(c, order, padding, 0), n, t, 1);
    first = lh_slice(c, order, 1, 0, 1);
    forth = lh_recurrent_apply(c, m->forth, x, NULL);
    back = lh_recurrent_apply(c, m->back, take(c, x, order), NULL);
    states = lh_concat(c, 2, 2, LH_TENSORS_(forth, take(c, back, order)));
    return (struct memory){
        .states = states,
        .keys = lh_linear_apply(c, m->attention, states),
        .padding = lh_reshape(c, padding, n, 1, t),
        .last = lh_permute(
            c, lh_concat(c, 2, 2, LH_TENSORS_(take(c, forth, first), take(c, back, first))), 1, 0,
            2),
    };
}

/* The scores (n, t, symbols) of what follows each of tokens (n, t); `state` moves on. `*weights`:
 * what each looked at, (n, t, source). */
static lh_tensor *decode(lh_ctx *c, const struct seq2seq *m, const struct memory *memory,
                         lh_tensor *tokens, lh_tensor **state, lh_tensor **weights) {
    lh_recurrent_state hidden = {.h = *state};
    lh_tensor *x = lh_embedding_apply(c, m->target, tokens), *scores, *context;

    x = lh_recurrent_apply(c, m->decoder, x, &hidden);
    *state = hidden.h;
    scores = lh_matmul(c, x, lh_transpose(c, memory->keys, 1, 2));
    *weights = lh_softmax(c, lh_masked_fill(c, scores, memory->padding, -INFINITY), 2);
    context = lh_matmul(c, *weights, memory->states);
    x = lh_linear_apply(c, m->combine, lh_concat(c, 2, 2, LH_TENSORS_(x, context)));
    return lh_linear_apply(c, m->output, lh_tanh(c, x));
}

/* Teacher forcing: every symbol is to follow from the right ones before it. */
static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *target = lh_batch_get(c, batch, 1), *labels, *logits, *weights;
    struct memory memory = encode(c, self, lh_batch_get(c, batch, 0));
    int64_t t = lh_dim(c, target, 1);

    logits = decode(c, self, &memory, lh_slice(c, target, 1, 0, t - 1), &memory.last, &weights);
    labels = lh_reshape(c, lh_slice(c, target, 1, 1, t), -1);
    logits = lh_reshape(c, logits, -1, DATES_TARGET_SYMBOLS);
    return lh_cross_entropy_ignoring(c, logits, labels, DATES_PAD);
}

/* Writes greedily: (n, STEPS) symbols. `weights`: (n, STEPS, source), or NULL. */
static lh_tensor *translate(lh_ctx *c, const struct seq2seq *m, lh_tensor *source,
                            lh_tensor **weights) {
    struct memory memory = encode(c, m, source);
    lh_tensor *symbols[STEPS], *looks[STEPS];
    lh_tensor *token = lh_full(c, DATES_START, LH_I64, lh_dim(c, source, 0), 1);

    for (int i = 0; i < STEPS; i++)
        symbols[i] = token = lh_argmax(c, decode(c, m, &memory, token, &memory.last, &looks[i]), 2);
    if (weights)
        *weights = lh_concat(c, 1, STEPS, looks);
    return lh_concat(c, 1, STEPS, symbols);
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *source) {
    return translate(c, self, source, NULL);
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
    lh_tensor *weights, *written = translate(c, self, lh_batch_get(c, batch, 0), &weights);

    if (batch_idx == 0)
        dates_show_attention(c, batch, written, weights, 3);
    return lh_log(c, "test_exact", dates_exact(c, batch, written), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    return lh_exponential_lr(c, lh_adam(c, .lr = lh_hparam(c, "lr")), .gamma = 0.5);
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct seq2seq),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
};

LH_EXPORT_PLUGIN("seq2seq", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &dates_data);
