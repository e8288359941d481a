/* test_predictions.c - predict_step with several outputs: all of them are in one file, by name. */
#include "lhost.h"

#define PREDICTS "predict --model " PLUGINS "/trainer_predicts.so " BARE

TestSuite(predictions, .init = enter_folder, .fini = leave_folder, .timeout = 60);

static const lh__state *predicted(void) {
    return checkpoint("lightning_logs/version_0/predictions.safetensors");
}

/* The tensor `name` with this dtype and shape, which ends with 0. */
static const void *tensor(const lh__state *s, const char *name, int32_t dtype,
                          const int64_t *shape) {
    const lh__state_tensor *t = lh__state_find(s, name);
    int32_t ndim = 0;

    cr_assert_not_null(t, "%s", name);
    while (shape[ndim])
        ndim++;
    cr_assert(t->dtype == dtype && t->ndim == ndim, "%s", name);
    cr_assert_arr_eq(t->shape, shape, (size_t)ndim * sizeof *shape, "%s", name);
    return t->data;
}

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__, 0})

/* Column j of item i, as boring.h makes it. */
static float value(int64_t i, int64_t j) {
    return (float)((i * 37 + j * 101) % 201 - 100) / 100.0f;
}

/* Batches of 4, 4 and 2 items, put together along the first axis. */
Test(predictions, outputs_are_beside_what_is_returned) {
    const float *first, *maps;
    const int64_t *index;
    const lh__state *s;

    lhost_works(PREDICTS);
    s = predicted();
    first = tensor(s, "prediction", LH_F32, SHAPE(10));
    index = tensor(s, "index", LH_I64, SHAPE(10));
    maps = tensor(s, "maps.1", LH_F32, SHAPE(10, 4, 8));
    for (int64_t i = 0; i < 10; i++) {
        cr_expect_eq(index[i], i);
        cr_expect_float_eq(first[i], value(i, 0), 1e-6);
        for (int64_t j = 0; j < 32; j++)
            cr_expect_float_eq(maps[i * 32 + j], value(i, j), 1e-6);
    }
}

/* Numbers, and batches of 4 and 2 along the second axis, can't be put together. An output that not
 * every batch has is of those that have it. */
Test(predictions, what_does_not_fit_stays_apart) {
    const float *one, *last;
    const lh__state *s;

    lhost_works(PREDICTS);
    s = predicted();
    one = tensor(s, "batch/batch_2", LH_F32, SHAPE(0));
    cr_expect_eq(*one, 2);
    cr_expect_null(lh__state_find(s, "batch"));
    last = tensor(s, "last/batch_2", LH_F32, SHAPE(32, 2));
    cr_expect_float_eq(last[5 * 2 + 1], value(9, 5), 1e-6);
    tensor(s, "last/batch_1", LH_F32, SHAPE(32, 4));
    cr_expect_null(lh__state_find(s, "last/batch_0"));
}

Test(predictions, every_loader_has_its_own) {
    const lh__state *s;

    lhost_works(PREDICTS "--model.loaders 2");
    s = predicted();
    tensor(s, "maps.1/dataloader_idx_0", LH_F32, SHAPE(10, 4, 8));
    tensor(s, "maps.1/dataloader_idx_1", LH_F32, SHAPE(10, 4, 8));
    tensor(s, "last/dataloader_idx_1/batch_2", LH_F32, SHAPE(32, 2));
    cr_expect_null(lh__state_find(s, "maps.1"));
}

/* Two long names that begin alike are not one. */
Test(predictions, a_name_is_not_cut) {
    char name[60] = "";

    memset(name, 'x', 47);
    lhost_works(PREDICTS "--model.name %s", name);
    cr_expect_not_null(lh__state_find(predicted(), strcat(name, "/batch_1")));
    memset(name, 'x', 48);
    name[48] = 0;
    cr_expect_eq(lhost(PREDICTS "--model.name %s", name), 1);
    cr_expect_not_null(strstr(slurp("err"), "too long"), "%s", slurp("err"));
}
