/* resmlp.c - a backbone for task.h: a perceptron of residual blocks, x + fc2(gelu(fc1(norm(x)))).
 */
#include "task.h"

enum { MOST_BLOCKS = 64 };

struct resmlp {
    struct task task;
    lh_linear stem, head;
    struct block {
        lh_layer_norm norm;
        lh_linear fc1, fc2;
    } blocks[MOST_BLOCKS];
};

static const lh_hparam_spec hparams[] = {
    TASK_HPARAMS,
    LH_HPARAM_INT("width", 128, 1, 65536, "of the stream that the blocks add to"),
    LH_HPARAM_INT("depth", 3, 1, MOST_BLOCKS, "blocks"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct resmlp *m = self;
    int64_t width = lh_hparam_int(c, "width");

    m->stem = lh_linear_make(c, "model.stem", 28 * 28, width);
    for (int i = 0; i < lh_hparam_int(c, "depth"); i++) {
        m->blocks[i].norm = lh_layer_norm_make(c, lh_name(c, "model.blocks.%d.norm", i), width);
        m->blocks[i].fc1 = lh_linear_make(c, lh_name(c, "model.blocks.%d.fc1", i), width, width);
        m->blocks[i].fc2 = lh_linear_make(c, lh_name(c, "model.blocks.%d.fc2", i), width, width);
    }
    m->head = lh_linear_make(c, "model.head", width, CLASSES);
    return LH_OK;
}

static lh_tensor *block(lh_ctx *c, const struct block *b, lh_tensor *x) {
    lh_tensor *y = lh_gelu(c, lh_linear_apply(c, b->fc1, lh_layer_norm_apply(c, b->norm, x)));

    return lh_add(c, x, lh_linear_apply(c, b->fc2, y));
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct resmlp *m = self;

    x = lh_linear_apply(c, m->stem, lh_flatten(c, x));
    for (int i = 0; i < lh_hparam_int(c, "depth"); i++)
        x = block(c, &m->blocks[i], x);
    return lh_linear_apply(c, m->head, x);
}

EXPORT_CLASSIFIER("resmlp", "1.0.0", struct resmlp);
