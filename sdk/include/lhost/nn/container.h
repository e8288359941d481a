/* container.h - torch.nn.Sequential and ModuleList.
 *
 * A list of modules is an array of layers with numbered names (lh_name). What runs one after the
 * other is straight-line code, or a list of stages:
 *
 *     m->conv = lh_conv2d_make(c, "net.0", 3, 16, 3);
 *     m->out = lh_linear_make(c, "net.3", 16 * 26 * 26, 10);
 *     ...
 *     y = lh_sequential(c, x, LH_STAGE(conv, &m->conv), LH_STAGE_OP(LH_OP_RELU),
 *                       LH_STAGE_FN(flatten, NULL), LH_STAGE(linear, &m->out));
 */
#ifndef LHOST_NN_CONTAINER_H
#define LHOST_NN_CONTAINER_H

#include "conv.h"
#include "embedding.h"
#include "linear.h"
#include "norm.h"

LH_EXTERN_C_BEGIN

/* What a stage does; file and line are the author's. */
typedef lh_tensor *lh_stage_fn(lh_ctx *c, const char *file, int32_t line, const void *layer,
                               lh_tensor *x);

typedef struct lh_stage {
    lh_stage_fn *fn;   /* NULL: operator `op`, of one operand and no attributes */
    const void *layer; /* what fn gets */
    uint32_t op;
} lh_stage;

#define LH_STAGE_OF_(layer)                                                                 \
    static inline lh_tensor *lh_stage_##layer##_(lh_ctx *c, const char *file, int32_t line, \
                                                 const void *of, lh_tensor *x) {            \
        return lh_##layer##_apply_(c, file, line, (const lh_##layer *)of, x);               \
    }
LH_STAGE_OF_(linear)
LH_STAGE_OF_(conv)
LH_STAGE_OF_(batch_norm)
LH_STAGE_OF_(layer_norm) /* and the other norms */
LH_STAGE_OF_(embedding)

static inline lh_tensor *lh_stage_dropout_(lh_ctx *c, const char *file, int32_t line, const void *p,
                                           lh_tensor *x) {
    return lh_op1_(c, file, line, LH_OP_DROPOUT, x, 0, NULL, 1, (const double *)p);
}

/* A layer: linear, conv, batch_norm, layer_norm, embedding; dropout, of a pointer to its p. An
 * operator. A function of the author's own. */
#define LH_STAGE(kind, layer_) \
    { .fn = lh_stage_##kind##_, .layer = (layer_) }
#define LH_STAGE_OP(op_) \
    { .op = (op_) }
#define LH_STAGE_FN(fn_, layer_) \
    { .fn = (fn_), .layer = (layer_) }

static inline lh_tensor *lh_sequential_(lh_ctx *c, const char *file, int32_t line, lh_tensor *x,
                                        const lh_stage *stages, size_t n) {
    for (size_t i = 0; i < n; i++)
        x = stages[i].fn ? stages[i].fn(c, file, line, stages[i].layer, x)
                         : lh_op1_(c, file, line, stages[i].op, x, 0, NULL, 0, NULL);
    return x;
}

#define lh_sequential(c, x, ...)                                        \
    lh_sequential_((c), LH_HERE_, (x), (const lh_stage[]){__VA_ARGS__}, \
                   sizeof((const lh_stage[]){__VA_ARGS__}) / sizeof(lh_stage))

LH_EXTERN_C_END
#endif
