/* lenet.c - a backbone for task.h: LeNet-5 with ReLU and maxima. */
#include "task.h"

struct lenet {
    struct task task;
    lh_conv conv1, conv2;
    lh_linear fc1, fc2, fc3;
};

static const lh_hparam_spec hparams[] = {TASK_HPARAMS};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct lenet *m = self;

    m->conv1 = lh_conv2d_make(c, "model.conv1", 1, 6, 5, .padding = 2);
    m->conv2 = lh_conv2d_make(c, "model.conv2", 6, 16, 5);
    m->fc1 = lh_linear_make(c, "model.fc1", 16 * 5 * 5, 120);
    m->fc2 = lh_linear_make(c, "model.fc2", 120, 84);
    m->fc3 = lh_linear_make(c, "model.fc3", 84, CLASSES);
    return LH_OK;
}

static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct lenet *m = self;

    x = lh_reshape(c, x, -1, 1, 28, 28);
    x = lh_max_pool2d(c, lh_relu(c, lh_conv_apply(c, m->conv1, x)), 2, 2);
    x = lh_max_pool2d(c, lh_relu(c, lh_conv_apply(c, m->conv2, x)), 2, 2);
    x = lh_relu(c, lh_linear_apply(c, m->fc1, lh_flatten(c, x)));
    x = lh_relu(c, lh_linear_apply(c, m->fc2, x));
    return lh_linear_apply(c, m->fc3, x);
}

EXPORT_CLASSIFIER("lenet", "1.0.0", struct lenet);
