/* exported.c - a model whose forward uses every operator that exporters know, by groups.
 *
 * Its output has the input in its first columns, then each result, one sample a row: whoever reads
 * predictions can repeat them. What can't be exported are the last groups.
 */
#include <lhost/lhost.h>

#include <math.h>

enum { CHANNELS = 4, SIDE = 6, SAMPLES = 7, HIDDEN = 5, MAX_RESULTS = 64 };

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("group", 0, 0, 8, "which operators forward uses"),
};

struct exported {
    lh_tensor *weight, *bias, *kernel, *kernel_3, *kernel_t, *channel_w, *channel_b, *mean, *var;
    lh_tensor *w_ih, *b_ih, *w_hh, *b_hh, *table, *row_w, *row_b;
    lh_tensor *results[MAX_RESULTS];
    int n;
};

static lh_tensor *param(lh_ctx *c, const char *name, double a, double b, int32_t ndim,
                        const int64_t *shape) {
    const lh_init init = {LH_SIZED(lh_init), LH_INIT_UNIFORM, .a = a, .b = b};

    return c->host->param(c, name, 0, ndim, shape, &init);
}
#define PARAM(name, a, b, ...) \
    param(c, name, a, b, LH_COUNT_INTS_(__VA_ARGS__), LH_INTS_(__VA_ARGS__))

static lh_status configure_model(lh_ctx *c, void *self) {
    struct exported *m = self;

    m->weight = PARAM("head.weight", -1, 1, 3, SIDE);
    m->bias = PARAM("head.bias", -1, 1, 3);
    m->kernel = PARAM("conv.0.weight", -1, 1, 8, 2, 3, 3);
    m->kernel_3 = PARAM("conv.1.weight", -1, 1, 2, CHANNELS, 3);
    m->kernel_t = PARAM("conv.2.weight", -1, 1, CHANNELS, 2, 3, 3);
    m->channel_w = PARAM("norm.weight", 0.5, 2, CHANNELS);
    m->channel_b = PARAM("norm.bias", -1, 1, CHANNELS);
    m->mean = lh_buffer(c, "norm.running_mean", 0.25, CHANNELS);
    m->var = lh_buffer(c, "norm.running_var", 1.5, CHANNELS);
    m->w_ih = PARAM("cell.w_ih", -0.5, 0.5, 4 * HIDDEN, SIDE * SIDE);
    m->b_ih = PARAM("cell.b_ih", -0.5, 0.5, 4 * HIDDEN);
    m->w_hh = PARAM("cell.w_hh", -0.5, 0.5, 4 * HIDDEN, HIDDEN);
    m->b_hh = PARAM("cell.b_hh", -0.5, 0.5, 4 * HIDDEN);
    m->table = PARAM("table", -1, 1, 5, 3);
    m->row_w = PARAM("row.weight", 0.5, 2, SIDE);
    m->row_b = PARAM("row.bias", -1, 1, SIDE);
    return LH_OK;
}

/* Keeps a result whose first axis is the batch. */
static void keep(lh_ctx *c, struct exported *m, lh_tensor *y) {
    y = lh_reshape(c, lh_cast(c, y, LH_F32), lh_dim(c, y, 0), -1);
    if (m->n < MAX_RESULTS)
        m->results[m->n++] = y;
    else
        lh_fail(c, LH_EINVAL, "more results than there is room for");
}
#define KEEP(y) keep(c, m, y)

static void elementwise(lh_ctx *c, struct exported *m, lh_tensor *x) {
    lh_tensor *positive = lh_add_scalar(c, lh_abs(c, x), 0.5), *flat = lh_flatten(c, x);
    lh_tensor *column = lh_slice(c, flat, 1, 3, 4),
              *mask = lh_gt(c, x, column = lh_reshape(c, column, -1, 1, 1, 1));

    KEEP(lh_add(c, x, column));
    KEEP(lh_sub(c, x, column));
    KEEP(lh_mul(c, x, positive));
    KEEP(lh_div(c, x, positive));
    KEEP(lh_pow(c, positive, x));
    KEEP(lh_maximum(c, x, column));
    KEEP(lh_minimum(c, x, column));
    KEEP(lh_eq(c, x, column));
    KEEP(lh_ne(c, x, column));
    KEEP(lh_lt(c, x, column));
    KEEP(lh_le(c, x, column));
    KEEP(lh_ge(c, x, column));
    KEEP(lh_where(c, mask, x, positive));
    KEEP(lh_mul_scalar(c, lh_pow_scalar(c, positive, 1.5), -2.25));
    KEEP(lh_neg(c, x));
    KEEP(lh_exp(c, x));
    KEEP(lh_ln(c, positive));
    KEEP(lh_sqrt(c, positive));
    KEEP(lh_square(c, x));
    KEEP(lh_relu(c, x));
    KEEP(lh_sigmoid(c, x));
    KEEP(lh_tanh(c, x));
    KEEP(lh_clamp(c, x, -0.5, INFINITY));
    KEEP(lh_gelu(c, x));
    KEEP(lh_gelu_tanh(c, x));
    KEEP(lh_silu(c, x));
    KEEP(lh_leaky_relu(c, x, 0.1));
    KEEP(lh_elu(c, x, 1.5));
    KEEP(lh_op_(c, LH_HERE_, LH_OP_SOFTPLUS, &x, 1, NULL, 0, LH_REALS_(2.0, 1.0), 2));
    KEEP(lh_sin(c, x));
    KEEP(lh_cos(c, x));
    KEEP(lh_rsqrt(c, positive));
    KEEP(lh_erf(c, x));
    KEEP(lh_sign(c, x));
    KEEP(lh_floor(c, lh_mul_scalar(c, x, 3)));
    KEEP(lh_masked_fill(c, x, mask, 7));
    KEEP(lh_dropout(c, x, 0.5));
    KEEP(lh_softmax(c, x, 1));
    KEEP(lh_log_softmax(c, x, -1));
    KEEP(lh_cast(c, lh_mul_scalar(c, x, 3), LH_I64));
    KEEP(lh_detach(c, lh_contiguous(c, lh_permute(c, x, 0, 3, 1, 2))));
}

static void reductions(lh_ctx *c, struct exported *m, lh_tensor *x) {
    lh_tensor *mask = lh_gt(c, x, lh_zeros(c, LH_F32, 1));
    lh_tensor *half = lh_add_scalar(c, lh_mul_scalar(c, x, 0.25), 1);

    KEEP(lh_sum(c, x, 0, 1, 3));
    KEEP(lh_sum(c, lh_cast(c, mask, LH_I64), 1, -1));
    KEEP(lh_mean(c, x, 1, 2));
    KEEP(lh_sub(c, x, lh_mean_all(c, x)));
    KEEP(lh_amax(c, x, 0, 1, 2));
    KEEP(lh_amin(c, x, 1, 3));
    KEEP(lh_prod(c, half, 0, 2, 3));
    KEEP(lh_var(c, x, 0, 1, 2, 3));
    KEEP(lh_std(c, x, 1, 0, 1));
    KEEP(lh_logsumexp(c, lh_mul_scalar(c, x, 50), 0, 2, 3));
    KEEP(lh_norm(c, x, 1.0, 0, 3));
    KEEP(lh_norm(c, x, 2.0, 0, 2, 3));
    KEEP(lh_norm(c, x, INFINITY, 1, 1));
    KEEP(lh_norm(c, x, 3.0, 0, 1));
    KEEP(lh_any(c, lh_gt(c, x, lh_full(c, 1.5, LH_F32, 1)), 0, 3));
    KEEP(lh_all(c, mask, 1, 2));
    KEEP(lh_argmax(c, x, 3));
    KEEP(lh_argmin(c, x, 1));
    KEEP(lh_cumsum(c, x, 2));
    KEEP(LH_OP1I_(c, LH_OP_CUMSUM, x, 3, 1));
    KEEP(lh_argsort(c, x, 3, 0));
    KEEP(lh_argsort(c, x, 2, 1));
    KEEP(lh_topk(c, x, 3, 3));
    KEEP(LH_OP1I_(c, LH_OP_TOPK, x, 2, 1, 0));
}

static void shapes(lh_ctx *c, struct exported *m, lh_tensor *x) {
    lh_tensor *all = lh_reshape(c, x, -1), *order = lh_argsort(c, x, 3, 0);
    lh_tensor *rows = lh_reshape(c, x, -1, SIDE), *copies[3] = {x, x, lh_neg(c, x)};
    int64_t n = lh_dim(c, x, 0), picked[3] = {2, 0, 3};
    lh_tensor *pick = c->host->tensor(c, LH_I64, 1, (int64_t[]){3}, picked);
    lh_tensor *positions = lh_arange(c, LH_F32, 1.0, n), *index;

    KEEP(lh_reshape(c, all, n, SIDE, CHANNELS * SIDE));
    KEEP(lh_slice(c, lh_reshape(c, rows, n * CHANNELS, SIDE, SIDE), 0, 0, n));
    KEEP(lh_reshape(c, lh_slice(c, all, 0, n * 2, n * 5), n, 3));
    KEEP(lh_slice_step(c, x, 3, 1, 6, 2));
    KEEP(lh_slice(c, x, 2, -3, -1));
    KEEP(lh_permute(c, x, 0, 2, 3, 1));
    KEEP(lh_expand(c, lh_reshape(c, positions, n, 1), n, 3));
    KEEP(lh_expand(c, m->bias, n, 3));
    KEEP(lh_concat(c, 2, 3, copies));
    KEEP(lh_slice(c, lh_concat(c, 0, 3, copies), 0, n, 2 * n));
    KEEP(lh_gather(c, x, 3, order));
    KEEP(lh_index_select(c, x, 1, pick));
    KEEP(lh_add(c, x, lh_full(c, 0.5, LH_F32, n, 1, 1, SIDE)));
    KEEP(lh_mul(c, x, c->host->tensor(c, LH_F32, 4, (int64_t[]){n, 1, 1, 1}, NULL)));
    KEEP(lh_pad(c, x, 1.5, 1, 2, 0, 3));
    KEEP(lh_pad_mode(c, x, LH_PAD_REFLECT, 2, 1));
    KEEP(lh_pad_mode(c, x, LH_PAD_REPLICATE, 1, 2, 3, 0));
    KEEP(lh_flip(c, x, 1, 3));
    KEEP(lh_tril(c, x, 1));
    KEEP(lh_triu(c, x, -1));
    KEEP(lh_matmul(c, x, lh_permute(c, x, 0, 1, 3, 2)));
    KEEP(lh_matmul(c, x, m->row_b));
    KEEP(lh_linear_op(c, x, m->weight, m->bias));
    KEEP(lh_linear_nobias(c, lh_slice(c, lh_flatten(c, x), 1, 0, SIDE), m->weight));
    index = lh_clamp(c, lh_add_scalar(c, lh_mul_scalar(c, lh_slice(c, x, 3, 0, 2), 2), 2), 0, 4);
    index = lh_cast(c, index, LH_I64);
    KEEP(lh_embedding_op(c, m->table, index));
    KEEP(lh_one_hot(c, index, 5));
    KEEP(lh_scatter_add(c, x, 3, index, lh_slice(c, x, 3, 2, 4)));
}

static void layers(lh_ctx *c, struct exported *m, lh_tensor *x) {
    lh_tensor *line = lh_reshape(c, x, -1, CHANNELS, SIDE * SIDE);

    KEEP(LH_OP2I_(c, LH_OP_CONV, x, m->kernel, 2, 1, 1, 2, 1, 2, 2));
    KEEP(lh_op_(c, LH_HERE_, LH_OP_CONV, LH_TENSORS_(line, m->kernel_3), 2, LH_INTS_(1, 1, 1, 1), 4,
                NULL, 0));
    KEEP(LH_OP2I_(c, LH_OP_CONV_TRANSPOSE, x, m->kernel_t, 2, 1, 1, 1, 1, 0, 1, 1, 1));
    KEEP(LH_OP1I_(c, LH_OP_MAX_POOL, x, 3, 2, 2, 1, 1, 1, 1, 2, 1));
    KEEP(LH_OP1I_(c, LH_OP_MAX_POOL_INDICES, x, 2, 2, 2, 2, 0, 0, 1, 1, 0));
    KEEP(LH_OP1I_(c, LH_OP_AVG_POOL, x, 3, 3, 2, 2, 1, 1, 0, 0));
    KEEP(LH_OP1I_(c, LH_OP_AVG_POOL, x, 2, 3, 2, 1, 1, 0, 1, 1));
    KEEP(LH_OP1I_(c, LH_OP_ADAPTIVE_AVG_POOL, x, 1, 1));
    KEEP(LH_OP1I_(c, LH_OP_ADAPTIVE_AVG_POOL, x, 4, 3));
    KEEP(LH_OP1I_(c, LH_OP_ADAPTIVE_MAX_POOL, x, 2, 3));
    KEEP(LH_OP1I_(c, LH_OP_ADAPTIVE_MAX_POOL, x, 4, 5));
    KEEP(LH_OP1I_(c, LH_OP_UPSAMPLE_NEAREST, x, 9, 12));
    KEEP(LH_OP1I_(c, LH_OP_UPSAMPLE_LINEAR, x, 0, 9, 4));
    KEEP(LH_OP1I_(c, LH_OP_UPSAMPLE_LINEAR, x, 1, 11, 12));
    KEEP(LH_OP1I_(c, LH_OP_UPSAMPLE_LINEAR, line, 0, 50));
}

static void norms(lh_ctx *c, struct exported *m, lh_tensor *x) {
#define NORM(op, ints, n_ints, reals, n_reals, ...)                                              \
    KEEP(lh_op_(c, LH_HERE_, op, LH_TENSORS_(__VA_ARGS__),                                       \
                (int32_t)(sizeof(LH_TENSORS_(__VA_ARGS__)) / sizeof(lh_tensor *)), ints, n_ints, \
                reals, n_reals))
    const int64_t one = 1, two = 2;
    const double reals[2] = {1e-3, 0.1};

    NORM(LH_OP_BATCH_NORM, NULL, 0, reals, 2, x, m->channel_w, m->channel_b, m->mean, m->var);
    NORM(LH_OP_BATCH_NORM, NULL, 0, reals, 2, x, m->mean, m->var);
    NORM(LH_OP_LAYER_NORM, &one, 1, reals, 1, x, m->row_w, m->row_b);
    NORM(LH_OP_LAYER_NORM, &two, 1, reals, 1, x);
    NORM(LH_OP_RMS_NORM, &one, 1, reals, 1, x, m->row_w);
    NORM(LH_OP_RMS_NORM, &two, 1, reals, 1, x);
    NORM(LH_OP_GROUP_NORM, &two, 1, reals, 1, x, m->channel_w, m->channel_b);
    NORM(LH_OP_GROUP_NORM, &two, 1, reals, 1, x);
    NORM(LH_OP_INSTANCE_NORM, NULL, 0, reals, 1, x, m->channel_w, m->channel_b);
    NORM(LH_OP_INSTANCE_NORM, NULL, 0, reals, 1, x);
}

/* The outputs h of a recurrent layer, the batch first. */
static lh_tensor *outputs(lh_ctx *c, lh_tensor *y) {
    return lh_permute(c, lh_slice(c, y, 2, 0, HIDDEN), 1, 0, 2);
}

static void sequences(lh_ctx *c, struct exported *m, lh_tensor *x) {
    int64_t n = lh_dim(c, x, 0);
    lh_tensor *keep_if = lh_gt(c, x, lh_full(c, 1.0, LH_F32, 1)), *h, *s;
    lh_tensor *steps = lh_permute(c, lh_reshape(c, x, n, CHANNELS, SIDE * SIDE), 1, 0, 2);
    lh_tensor *gates = lh_linear_op(c, steps, m->w_ih, m->b_ih);

    KEEP(lh_attention(c, x, lh_neg(c, x), lh_flip(c, x, 2), 0));
    KEEP(lh_attention(c, x, lh_slice(c, x, 2, 0, 4), lh_slice(c, x, 2, 1, 5), 1));
    KEEP(lh_attention_masked(c, x, x, x, keep_if)); /* some rows have no key */
    KEEP(lh_attention_masked(c, x, x, x, lh_mul_scalar(c, x, 3)));
    KEEP(lh_rope(c, x, 2));
    h = lh_zeros(c, LH_F32, n, HIDDEN);
    s = lh_full(c, 0.5, LH_F32, n, HIDDEN);
    KEEP(outputs(c, lh_op_(c, LH_HERE_, LH_OP_LSTM, LH_TENSORS_(gates, h, s, m->w_hh, m->b_hh), 5,
                           NULL, 0, NULL, 0)));
    gates = lh_slice(c, lh_linear_op(c, steps, m->w_ih, m->b_ih), 2, 0, 3 * HIDDEN);
    KEEP(outputs(c, lh_op_(c, LH_HERE_, LH_OP_GRU,
                           LH_TENSORS_(gates, h, lh_slice(c, m->w_hh, 0, 0, 3 * HIDDEN),
                                       lh_slice(c, m->b_hh, 0, 0, 3 * HIDDEN)),
                           4, NULL, 0, NULL, 0)));
    gates = lh_linear_nobias(c, lh_flip(c, steps, 0), lh_slice(c, m->w_ih, 0, 0, HIDDEN));
    KEEP(outputs(c, lh_op_(c, LH_HERE_, LH_OP_RNN,
                           LH_TENSORS_(gates, s, lh_slice(c, m->w_hh, 0, 0, HIDDEN),
                                       lh_slice(c, m->b_hh, 0, 0, HIDDEN)),
                           4, LH_INTS_(0), 1, NULL, 0)));
}

/* An axis whose length is the square of the batch's. */
static void square(lh_ctx *c, struct exported *m, lh_tensor *x) {
    lh_tensor *rows = lh_flatten(c, x), *pairs = lh_matmul(c, rows, lh_permute(c, rows, 1, 0));
    int64_t n = lh_dim(c, x, 0);

    KEEP(lh_slice(c, lh_reshape(c, pairs, n * n, 1), 0, 0, n));
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    static void (*const groups[])(lh_ctx *, struct exported *, lh_tensor *) = {
        elementwise, reductions, shapes, layers, norms, sequences};
    struct exported *m = self;
    int64_t group = lh_hparam_int(c, "group");

    m->n = 0;
    KEEP(x);
    if (group < 6)
        groups[group](c, m, x);
    else if (group == 6)
        KEEP(lh_mul(c, x, lh_rand(c, LH_F32, SIDE))); /* random */
    else if (group == 7)
        KEEP(lh_mul_scalar(c, x, 1.0 / (double)lh_dim(c, x, 0))); /* a real from the batch */
    else
        square(c, m, x);
    return lh_concat(c, 1, m->n, m->results);
}

/* Numbers in (-2, 2), no two of a sample the same. */
static lh_status item(void *user, int64_t index, void *const *fields) {
    float *x = fields[0];

    for (int i = 0; i < CHANNELS * SIDE * SIDE; i++)
        x[i] = (float)((double)((i * 61 + (int)index * 37 + 11) % 149) / 37.25 - 1.99);
    return LH_OK;
}

static lh_status predict_dataloader(lh_ctx *c, void *self) {
    const lh_field field = LH_FIELD(LH_F32, 3, CHANNELS, SIDE, SIDE);
    lh_dataset *d =
        lh_dataset_map(c, .length = SAMPLES, .get_item = item, .n_fields = 1, .fields = &field);

    return lh_loader(c, .dataset = d); /* of --data.batch_size */
}

LH_EXPORT_MODULE("exported", "1.0.0", LH_HPARAMS(hparams), .state_size = sizeof(struct exported),
                 .configure_model = configure_model, .predict_dataloader = predict_dataloader,
                 .forward = forward);
