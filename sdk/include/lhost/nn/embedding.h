/* embedding.h - torch.nn.Embedding. */
#ifndef LHOST_NN_EMBEDDING_H
#define LHOST_NN_EMBEDDING_H

#include "param.h"

LH_EXTERN_C_BEGIN

typedef struct lh_embedding_options {
    int64_t padding_idx; /* -1: none */
} lh_embedding_options;

/* NAME.weight (n, features), N(0, 1); the row at padding_idx is 0 and gets no gradient. */
typedef struct lh_embedding {
    lh_tensor *weight;
    int64_t padding_idx;
} lh_embedding;

/* weight[row, :] = 0 */
static inline void lh_clear_row_(lh_ctx *c, const char *file, int32_t line, lh_tensor *weight,
                                 int64_t n, int64_t row) {
    const double range[2] = {0, 1}, wanted = (double)row, zero = 0;
    const int64_t count[2] = {LH_I64, n}, one[2] = {LH_I64, 1}, column[2] = {n, 1};
    lh_tensor *inputs[2];

    inputs[0] = lh_op_(c, file, line, LH_OP_ARANGE, NULL, 0, count, 2, range, 2);
    inputs[1] = lh_op_(c, file, line, LH_OP_FULL, NULL, 0, one, 2, &wanted, 1);
    inputs[1] = lh_op2_(c, file, line, LH_OP_EQ, inputs[0], inputs[1]);
    inputs[1] = lh_op1_(c, file, line, LH_OP_RESHAPE, inputs[1], 2, column, 0, NULL);
    inputs[0] = weight;
    inputs[0] = lh_op_(c, file, line, LH_OP_MASKED_FILL, inputs, 2, NULL, 0, &zero, 1);
    c->host->assign(c, weight, inputs[0]);
}

static inline lh_embedding lh_embedding_make_(lh_ctx *c, const char *file, int32_t line,
                                              const char *name, int64_t n, int64_t features,
                                              const lh_embedding_options *o) {
    const int64_t shape[2] = {n, features};
    lh_embedding layer;

    layer.weight = lh_param_of_(c, 1, name, "weight", 2, shape, lh_init_(LH_INIT_NORMAL, 0, 1));
    layer.padding_idx = o->padding_idx;
    if (o->padding_idx >= n)
        c->host->fail(c, LH_EINVAL, file, line, "%s: .padding_idx %lld is beyond its %lld rows",
                      name, (long long)o->padding_idx, (long long)n);
    else if (o->padding_idx >= 0)
        lh_clear_row_(c, file, line, layer.weight, n, o->padding_idx);
    return layer;
}

/* (c, name, n, features). Options: .padding_idx -1. */
#define lh_embedding_make(c, ...) LH_EMBEDDING_(c, __VA_ARGS__, )
#define LH_EMBEDDING_(c, name, n, features, ...)               \
    lh_embedding_make_((c), LH_HERE_, (name), (n), (features), \
                       &(const lh_embedding_options){.padding_idx = -1, __VA_ARGS__})

static inline lh_tensor *lh_embedding_apply_(lh_ctx *c, const char *file, int32_t line,
                                             const lh_embedding *layer, lh_tensor *index) {
    lh_tensor *inputs[2];

    inputs[0] = layer->weight;
    inputs[1] = index;
    return lh_op_(c, file, line, LH_OP_EMBEDDING, inputs, 2, &layer->padding_idx, 1, NULL, 0);
}

/* index (...) to (..., features). */
#define lh_embedding_apply(c, layer, index) lh_embedding_apply_((c), LH_HERE_, &(layer), (index))

LH_EXTERN_C_END
#endif
