/* gpt.c - a small GPT that writes like Shakespeare, one character after the other.
 *
 *     lhost run --model gpt.so --max_steps 2000 --val_check_interval 500 --gradient_clip_val 1
 */
#include "data/text.h"

#include <lhost/lhost.h>

struct block {
    lh_layer_norm ln_1, ln_2;
    lh_linear attn_qkv, attn_proj, mlp_fc, mlp_proj;
};

struct gpt {
    lh_embedding wte;
    lh_tensor *wpe;
    struct block *h;
    lh_layer_norm ln_f;
    lh_linear lm_head;
    int64_t layers, heads, width, block_size, vocab_size;
    const struct text *text; /* NULL: other data than ours */
    int64_t *sample;         /* block_size of what there was before, then what the model wrote */
    int64_t written;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("n_layer", 4, 1, 256, "blocks"),
    LH_HPARAM_INT("n_head", 4, 1, 256, "heads of a block's attention"),
    LH_HPARAM_INT("n_embd", 128, 1, 65536, "width"),
    LH_HPARAM_INT("block_size", 64, 1, 65536, "characters that are looked at"),
    LH_HPARAM_INT("vocab_size", 65, 1, 256, "different characters"),
    LH_HPARAM_REAL("dropout", 0, 0, 1, "share of the embedding and of each block that is dropped"),
    LH_HPARAM_INT("batch_size", 12, 1, 65536, "windows per batch"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate after the warm-up"),
    LH_HPARAM_REAL("min_lr", 1e-4, 0, 1, "learning rate at the end"),
    LH_HPARAM_INT("warmup", 100, 0, 1e9, "steps of linear warm-up"),
    LH_HPARAM_INT("decay", 2000, 1, 1e9, "step at which the learning rate is at its end"),
    LH_HPARAM_INT("sample", 500, 0, 100000, "characters to write at every validation"),
    LH_HPARAM_REAL("temperature", 0.8, 0.01, 100, "what the logits are divided by"),
    LH_HPARAM_INT("top_k", 200, 1, 256, "only the likeliest characters are drawn"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    return text_prepare(c);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct gpt *m = self;

    m->text = text_read(c, lh_hparam_int(c, "vocab_size"));
    return LH_OK;
}

/* A linear layer without bias, whose weight begins as N(0, std^2). */
static lh_linear linear(lh_ctx *c, const char *name, int64_t in, int64_t out, double std) {
    const lh_init normal = {LH_SIZED(lh_init), .kind = LH_INIT_NORMAL, .b = std};

    return (lh_linear){lh_param(c, name, &normal, out, in), NULL};
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct gpt *m = self;
    int64_t width = m->width = lh_hparam_int(c, "n_embd");
    double last = 0.02 / sqrt(2 * lh_hparam(c, "n_layer")); /* what is added to the residual */

    m->layers = lh_hparam_int(c, "n_layer");
    m->heads = lh_hparam_int(c, "n_head");
    m->block_size = lh_hparam_int(c, "block_size");
    m->vocab_size = lh_hparam_int(c, "vocab_size");
    m->lm_head = linear(c, "wte.weight", width, m->vocab_size, 0.02);
    m->wte = (lh_embedding){m->lm_head.weight, -1};
    m->wpe = linear(c, "wpe.weight", width, m->block_size, 0.02).weight;
    m->h = lh_alloc(c, (uint64_t)m->layers * sizeof *m->h);
    for (int i = 0; m->h && i < m->layers; i++) {
        struct block *h = &m->h[i];

        h->ln_1 = lh_layer_norm_make(c, lh_name(c, "h.%d.ln_1", i), width, .bias = 0);
        h->attn_qkv = linear(c, lh_name(c, "h.%d.attn.c_attn.weight", i), width, 3 * width, 0.02);
        h->attn_proj = linear(c, lh_name(c, "h.%d.attn.c_proj.weight", i), width, width, last);
        h->ln_2 = lh_layer_norm_make(c, lh_name(c, "h.%d.ln_2", i), width, .bias = 0);
        h->mlp_fc = linear(c, lh_name(c, "h.%d.mlp.c_fc.weight", i), width, 4 * width, 0.02);
        h->mlp_proj = linear(c, lh_name(c, "h.%d.mlp.c_proj.weight", i), 4 * width, width, last);
    }
    m->ln_f = lh_layer_norm_make(c, "ln_f", width, .bias = 0);
    m->sample = lh_alloc(c, (uint64_t)(m->block_size + lh_hparam_int(c, "sample")) * 8);
    return LH_OK;
}

/* Part i of the projections (n, t, 3 width): (n, heads, t, width / heads). */
static lh_tensor *split_heads(lh_ctx *c, const struct gpt *m, lh_tensor *qkv, int64_t i) {
    lh_tensor *x = lh_slice(c, qkv, 2, i * m->width, (i + 1) * m->width);

    x = lh_reshape(c, x, lh_dim(c, x, 0), lh_dim(c, x, 1), m->heads, m->width / m->heads);
    return lh_permute(c, x, 0, 2, 1, 3);
}

static lh_tensor *attend(lh_ctx *c, const struct gpt *m, const struct block *h, lh_tensor *x) {
    int64_t n = lh_dim(c, x, 0), t = lh_dim(c, x, 1);
    lh_tensor *qkv = lh_linear_apply(c, h->attn_qkv, x);
    lh_tensor *y = lh_attention(c, split_heads(c, m, qkv, 0), split_heads(c, m, qkv, 1),
                                split_heads(c, m, qkv, 2), 1);

    y = lh_reshape(c, lh_permute(c, y, 0, 2, 1, 3), n, t, m->width);
    return lh_dropout(c, lh_linear_apply(c, h->attn_proj, y), lh_hparam(c, "dropout"));
}

static lh_tensor *feed(lh_ctx *c, const struct block *h, lh_tensor *x) {
    x = lh_gelu(c, lh_linear_apply(c, h->mlp_fc, x));
    return lh_dropout(c, lh_linear_apply(c, h->mlp_proj, x), lh_hparam(c, "dropout"));
}

/* Characters (n, t) to the logits of those that follow, (n, t, vocab_size). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct gpt *m = self;
    lh_tensor *position = lh_slice(c, m->wpe, 0, 0, lh_dim(c, x, 1));

    x = lh_add(c, lh_embedding_apply(c, m->wte, x), position);
    x = lh_dropout(c, x, lh_hparam(c, "dropout"));
    for (struct block *h = m->h; h < m->h + m->layers; h++) {
        x = lh_add(c, x, attend(c, m, h, lh_layer_norm_apply(c, h->ln_1, x)));
        x = lh_add(c, x, feed(c, h, lh_layer_norm_apply(c, h->ln_2, x)));
    }
    return lh_linear_apply(c, m->lm_head, lh_layer_norm_apply(c, m->ln_f, x));
}

static lh_tensor *loss_of(lh_ctx *c, void *self, const lh_batch *batch) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));

    return lh_cross_entropy(c, lh_reshape(c, logits, -1, lh_dim(c, logits, 2)),
                            lh_reshape(c, lh_batch_get(c, batch, 1), -1));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *loss = loss_of(c, self, batch);

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

/* Appends a character to the sample. */
static void write_character(lh_ctx *c, struct gpt *m) {
    int64_t seen = m->written + 1 < m->block_size ? m->written + 1 : m->block_size;
    int64_t *end = m->sample + m->block_size + m->written; /* before it, a line's end */
    lh_tensor *x = c->host->tensor(c, LH_I64, 2, (int64_t[]){1, seen}, end - seen);
    lh_tensor *logits = lh_slice(c, forward(c, m, x), 1, seen - 1, seen);

    *end = text_draw(c, lh_reshape(c, logits, -1), lh_hparam(c, "temperature"),
                     lh_hparam_int(c, "top_k"));
    m->written++;
}

/* Tensors live until the step ends: every step of a validation writes a bit of the sample. */
static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct gpt *m = self;
    int64_t n = lh_hparam_int(c, "sample"), batches = lh_int(c, LH_NUM_VAL_BATCHES);

    if (m->text && !lh_int(c, LH_SANITY_CHECKING))
        for (int64_t end = n * (batch_idx + 1) / batches; m->written < end;)
            write_character(c, m);
    return lh_log(c, "val_loss", loss_of(c, self, batch), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status on_validation_epoch_end(lh_ctx *c, void *self) {
    struct gpt *m = self;
    int64_t n = m->written;

    m->written = 0;
    return n > 0 ? text_show(c, m->text, m->sample + m->block_size, n) : LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    int64_t warmup = lh_hparam_int(c, "warmup"), decay = lh_hparam_int(c, "decay");
    lh_optimizer *adamw = lh_adamw(c, .lr = lh_hparam(c, "lr"), .beta2 = 0.99, .weight_decay = 0.1);

    lh_param_group(c, adamw, .params = "*ln_*", .weight_decay = 0);
    return lh_cosine_lr(c, adamw, .total = decay - warmup, .eta_min = lh_hparam(c, "min_lr"),
                        .interval = LH_PER_STEP, .warmup = warmup, .warmup_start = 0.01);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    struct gpt *m = self;

    return lh_loader(c, .dataset = text_windows(c, m->text, 0, m->block_size),
                     .batch_size = lh_hparam_int(c, "batch_size"), .shuffle = 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    struct gpt *m = self;

    return lh_loader(c, .dataset = text_windows(c, m->text, 1, m->block_size),
                     .batch_size = lh_hparam_int(c, "batch_size"));
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct gpt),
    .prepare_data = prepare_data,
    .setup = setup,
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .on_validation_epoch_end = on_validation_epoch_end,
};

LH_EXPORT_PLUGIN("gpt", "1.0.0", LH_KIND_MODULE, .module = &module);
