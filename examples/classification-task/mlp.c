/* mlp.c - a backbone for task.h: a perceptron with one hidden layer. */
#include "task.h"

struct mlp {
    struct task task;
    lh_linear fc1, fc2;
};

static const lh_hparam_spec hparams[] = {
    TASK_HPARAMS,
    LH_HPARAM_INT("width", 256, 1, 65536, "of the hidden layer"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct mlp *m = self;
    int64_t width = lh_hparam_int(c, "width");

    m->fc1 = lh_linear_make(c, "model.fc1", 28 * 28, width);
    m->fc2 = lh_linear_make(c, "model.fc2", width, CLASSES);
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct mlp *m = self;

    x = lh_relu(c, lh_linear_apply(c, m->fc1, lh_flatten(c, x)));
    return lh_linear_apply(c, m->fc2, x);
}

EXPORT_CLASSIFIER("mlp", "1.0.0", struct mlp);
