/* digits_data.c - the digits as a data module; see digits.h. */
#include "digits.h"

struct state {
    lh_dataset *train, *val, *test;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("batch_size", 64, 1, 60000, "images per batch"),
};

static lh_status prepare_data(lh_ctx *c, void *self) {
    return digits_prepare(c);
}

/* Bytes to numbers from 0 to 1. */
static lh_dataset *scaled(lh_ctx *c, const char *images, const char *labels) {
    return lh_normalize(c, lh_dataset_idx(c, images, labels), 0, 1 / 255.0, 0, 1);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct state *s = self;
    const struct digits *files = digits_files(c);

    if (stage == LH_FIT || stage == LH_VALIDATE) {
        lh_dataset *all = scaled(c, files->train_images, files->train_labels), *parts[2];
        int64_t val = lh_dataset_length(c, all) / 12; /* 5,000 of 60,000 */
        int64_t sizes[2] = {lh_dataset_length(c, all) - val, val};

        if (lh_random_split(c, all, sizes, 2, 42, parts) != LH_OK)
            return lh_status_of(c);
        s->train = parts[0];
        s->val = parts[1];
    } else {
        s->test = scaled(c, files->test_images, files->test_labels);
    }
    return LH_OK;
}

static lh_status load(lh_ctx *c, lh_dataset *d, int32_t shuffle) {
    return lh_loader(c, .dataset = d, .batch_size = lh_hparam_int(c, "batch_size"),
                     .shuffle = shuffle);
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->train, 1);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->val, 0);
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    return load(c, ((struct state *)self)->test, 0);
}

const lh_datamodule digits_data = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct state),
    .prepare_data = prepare_data,
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
    .predict_dataloader = test_dataloader,
};
