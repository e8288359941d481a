/* predicts.c - a module whose predict_step has several outputs: 10 items in batches of 4.
 *
 * It returns the first column of the data, (n); beside it "index", I64 (n); "maps.1", (n, 4, 8);
 * "batch", one number of each batch; and a last one under the name that it is given, but in the
 * first batch.
 */
#include "boring.h"

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("name", "last", "of the last output"),
    LH_HPARAM_INT("loaders", 1, 1, 2, "all alike"),
};

static lh_status configure_model(lh_ctx *c, void *self) {
    return LH_OK;
}

static lh_status predict_dataloader(lh_ctx *c, void *self) {
    for (int64_t i = 0; i < lh_hparam_int(c, "loaders"); i++)
        lh_loader(c, .dataset = boring_dataset(c, 10), .batch_size = 4, .num_workers = 0);
    return LH_OK;
}

static lh_tensor *predict_step(lh_ctx *c, void *self, const lh_batch *b, int64_t idx) {
    lh_tensor *x = lh_batch_get(c, b, 0), *first = lh_slice(c, x, 1, 0, 1);

    lh_output(c, "index", lh_batch_get(c, b, 1));
    lh_output(c, "maps.1", lh_reshape(c, x, -1, 4, 8));
    lh_output(c, "batch", lh_full(c, (double)idx, LH_F32));
    if (idx > 0)
        lh_output(c, lh_hparam_text(c, "name"), lh_permute(c, x, 1, 0));
    return lh_reshape(c, first, -1);
}

LH_EXPORT_MODULE("predicts", "1.0.0", LH_HPARAMS(hparams), .state_size = 8,
                 .configure_model = configure_model, .predict_dataloader = predict_dataloader,
                 .predict_step = predict_step);
