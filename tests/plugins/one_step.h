/* one_step.h - hooks of a plugin whose one step needs no data and no optimizer's work. */
#ifndef LH_TESTS_PLUGINS_ONE_STEP_H
#define LH_TESTS_PLUGINS_ONE_STEP_H

#include <lhost/lhost.h>

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_sgd(c, .lr = 0);
    return LH_OK;
}

static lh_status item(void *user, int64_t index, void *const *fields) {
    *(float *)fields[0] = 0;
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    lh_dataset *d = lh_dataset_map(c, .length = 1, .get_item = item, .n_fields = 1,
                                   .fields = (const lh_field[]){LH_FIELD(LH_F32, 0, 0)});

    return lh_loader(c, .dataset = d, .batch_size = 1);
}

#endif
