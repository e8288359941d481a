/* embedding.c - rows of a table by number. */
#include "engine/operators/rules.h"

static lh_status shape_embedding(lh__check *c) {
    const lh__view *weight = lh__in(c, 0), *index = lh__in(c, 1);
    int64_t padding = c->ints[0];

    if (weight->ndim != 2)
        return lh__reject(c, LH_ESHAPE, "the weight has to be (rows, features)");
    if (index->ndim == LH_MAX_DIMS)
        return lh__reject(c, LH_ESHAPE, "the index has %d axes; the result can't have one more",
                          LH_MAX_DIMS);
    if (padding < -1 || padding >= weight->shape[0])
        return lh__reject(c, LH_EINVAL,
                          "padding index %lld is outside 0 ... %lld; -1 stands for none",
                          (long long)padding, (long long)weight->shape[0] - 1);
    lh__set_shape(c, index->ndim, index->shape);
    c->out.shape[c->out.ndim++] = weight->shape[1];
    return lh__check_range(c, 1, weight->shape[0], "index");
}

/* The rows, those at the padding index without a gradient. */
static lh_tensor *compose_embedding(lh__check *c) {
    const int64_t rows = lh__view_numel(lh__in(c, 1));
    lh__engine *e = c->e;
    lh_tensor *index = reshaped(e, c->in[1], 1, &rows), *y;

    y = selected(e, c->in[0], 0, index);
    if (index && c->ints[0] >= 0) {
        lh_tensor *padding = op2(e, LH_OP_EQ, index, number(e, index, (double)c->ints[0]));

        padding = reshaped(e, padding, 2, (int64_t[]){rows, 1});
        y = op3(e, LH_OP_WHERE, padding, op1(e, LH_OP_DETACH, y), y);
    }
    return reshaped(e, y, c->out.ndim, c->out.shape);
}

/* clang-format off */
static const lh__row rows[] = {
    {LH_OP_EMBEDDING, "embedding", "weight index", {2, 2}, {1, 1}, {0, 0}, 0, LH__REAL_INDEX,
     shape_embedding, {0}, compose_embedding},
};
/* clang-format on */

const lh__family lh__embedding = {rows, sizeof rows / sizeof *rows};
