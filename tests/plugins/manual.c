/* manual.c - a module that optimizes by itself: two optimizers, one per layer, stepped in turn. */
#include "boring.h"

struct state {
    lh_linear first, second;
};

static lh_status configure_model(lh_ctx *c, void *self) {
    struct state *s = self;

    s->first = lh_linear_make(c, "first", BORING_WIDTH, 2);
    s->second = lh_linear_make(c, "second", BORING_WIDTH, 2);
    return LH_OK;
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0.1, .params = "first.*");
    lh_sgd(c, .lr = 0.1, .params = "second.*");
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = boring_dataset(c, 8), .batch_size = 4, .num_workers = 0);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    struct state *s = self;
    lh_linear *layers[] = {&s->first, &s->second};
    lh_tensor *x = lh_batch_get(c, b, 0), *loss = NULL;

    for (int32_t i = 0; i < 2; i++) {
        lh_optimizer *opt = c->host->optimizer_at(c, i);

        loss = boring_loss(c, lh_linear_apply(c, *layers[i], x));
        lh_zero_grad(c, opt);
        lh_backward(c, loss);
        lh_optimizer_step(c, opt);
    }
    return loss;
}

LH_EXPORT_MODULE("manual", "1.0.0", .manual_optimization = 1, .state_size = sizeof(struct state),
                 .configure_model = configure_model, .configure_optimizers = configure_optimizers,
                 .train_dataloader = train_dataloader, .training_step = training_step);
