/* resnet.c - ResNet-18 (He, Zhang, Ren and Sun 2015) for images of 32 x 32: its stem is a
 * convolution of 3 x 3 and no pooling. Parameters are called as torchvision's resnet18 calls them.
 *
 *     lhost run --model resnet.so --max_epochs 10 --test
 */
#include "data/cifar.h"

#include <lhost/lhost.h>

enum { CLASSES = 10, STAGES = 4, BLOCKS = 2 };

/* Two convolutions and what goes around them. */
struct block {
    lh_conv conv1, conv2, shortcut;
    lh_batch_norm bn1, bn2, shortcut_bn;
    int has_shortcut; /* 0: the input itself goes around */
};

struct resnet {
    lh_conv conv1;
    lh_batch_norm bn1;
    struct block layers[STAGES][BLOCKS];
    lh_linear fc;
    lh_meter *confusion;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("width", 16, 1, 1024, "channels of the first stage; 64 in the paper"),
    LH_HPARAM_REAL("lr", 0.1, 0, 10, "highest learning rate of the cycle"),
    LH_HPARAM_REAL("weight_decay", 5e-4, 0, 1, "weight decay"),
};

static struct block block_make(lh_ctx *c, const char *name, int64_t in, int64_t out,
                               int64_t stride) {
    struct block b = {.has_shortcut = stride != 1 || in != out};

    b.conv1 = lh_conv2d_make(c, lh_name(c, "%s.conv1", name), in, out, 3, .stride = stride,
                             .padding = 1, .bias = 0);
    b.bn1 = lh_batch_norm_make(c, lh_name(c, "%s.bn1", name), out);
    b.conv2 = lh_conv2d_make(c, lh_name(c, "%s.conv2", name), out, out, 3, .padding = 1, .bias = 0);
    b.bn2 = lh_batch_norm_make(c, lh_name(c, "%s.bn2", name), out);
    if (b.has_shortcut) {
        b.shortcut = lh_conv2d_make(c, lh_name(c, "%s.downsample.0", name), in, out, 1,
                                    .stride = stride, .bias = 0);
        b.shortcut_bn = lh_batch_norm_make(c, lh_name(c, "%s.downsample.1", name), out);
    }
    return b;
}

static lh_tensor *block_apply(lh_ctx *c, const struct block *b, lh_tensor *x) {
    lh_tensor *y = lh_relu(c, lh_batch_norm_apply(c, b->bn1, lh_conv_apply(c, b->conv1, x)));

    y = lh_batch_norm_apply(c, b->bn2, lh_conv_apply(c, b->conv2, y));
    if (b->has_shortcut)
        x = lh_batch_norm_apply(c, b->shortcut_bn, lh_conv_apply(c, b->shortcut, x));
    return lh_relu(c, lh_add(c, y, x));
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct resnet *m = self;
    int64_t width = lh_hparam_int(c, "width"), in = width;

    m->conv1 = lh_conv2d_make(c, "conv1", 3, width, 3, .padding = 1, .bias = 0);
    m->bn1 = lh_batch_norm_make(c, "bn1", width);
    for (int s = 0; s < STAGES; s++)
        for (int b = 0; b < BLOCKS; b++) {
            int64_t stride = s > 0 && b == 0 ? 2 : 1;

            m->layers[s][b] =
                block_make(c, lh_name(c, "layer%d.%d", s + 1, b), in, width << s, stride);
            in = width << s;
        }
    m->fc = lh_linear_make(c, "fc", in, CLASSES);
    m->confusion = lh_confusion_meter(c, "confusion", .classes = CLASSES);
    return LH_OK;
}

/* Images (n, 3, 32, 32) to the scores of the classes. */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    struct resnet *m = self;

    x = lh_relu(c, lh_batch_norm_apply(c, m->bn1, lh_conv_apply(c, m->conv1, x)));
    for (int s = 0; s < STAGES; s++)
        for (int b = 0; b < BLOCKS; b++)
            x = block_apply(c, &m->layers[s][b], x);
    return lh_linear_apply(c, m->fc, lh_mean(c, x, 0, 2, 3));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *loss = lh_cross_entropy(c, logits, lh_batch_get(c, batch, 1));

    lh_log(c, "train_loss", loss, LH_LOG_STEP | LH_LOG_BAR);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *labels = lh_batch_get(c, batch, 1);

    lh_log(c, "val_loss", lh_cross_entropy(c, logits, labels), LH_LOG_EPOCH);
    return lh_log(c, "val_acc", lh_accuracy(c, logits, labels), LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    struct resnet *m = self;
    lh_tensor *logits = forward(c, self, lh_batch_get(c, batch, 0));
    lh_tensor *labels = lh_batch_get(c, batch, 1);

    lh_meter_update(c, m->confusion, logits, labels);
    return lh_log(c, "test_acc", lh_accuracy(c, logits, labels), LH_LOG_EPOCH);
}

/* Prints what was taken for what: a row per class. */
static lh_status on_test_epoch_end(lh_ctx *c, void *self) {
    struct resnet *m = self;
    const char *const *names = cifar_classes(c);
    int64_t counts[CLASSES][CLASSES];

    if (c->host->read(c, lh_meter_compute(c, m->confusion), counts, sizeof counts) != LH_OK)
        return lh_status_of(c);
    lh_print(c, LH_INFO, "images of a class (rows) that were taken for one (columns)");
    for (int i = 0; i < CLASSES; i++) {
        char line[256];
        int n = snprintf(line, sizeof line, "%10s", names[i]);

        for (int j = 0; j < CLASSES; j++)
            n += snprintf(line + n, sizeof line - (size_t)n, "%5lld", (long long)counts[i][j]);
        lh_print(c, LH_INFO, "%s", line);
    }
    return lh_meter_reset(c, m->confusion);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    double lr = lh_hparam(c, "lr");
    lh_optimizer *sgd = lh_sgd(c, .lr = lr, .momentum = 0.9, .nesterov = 1,
                               .weight_decay = lh_hparam(c, "weight_decay"));

    return lh_onecycle_lr(c, sgd, .max_lr = lr, .total = lh_int(c, LH_ESTIMATED_STEPPING_BATCHES));
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct resnet),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .on_test_epoch_end = on_test_epoch_end,
};

LH_EXPORT_PLUGIN("resnet", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &cifar_data);
