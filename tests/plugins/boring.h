/* boring.h - Lightning's BoringModel for the tests of the trainer: one layer, 32 to 2, on vectors
 * that are a function of their index.
 */
#ifndef TESTS_PLUGINS_BORING_H
#define TESTS_PLUGINS_BORING_H

#include <lhost/lhost.h>

enum { BORING_WIDTH = 32 };

/* 32 numbers in [-1, 1]. */
static inline void boring_vector(int64_t index, float *x) {
    for (int64_t j = 0; j < BORING_WIDTH; j++)
        x[j] = (float)((index * 37 + j * 101) % 201 - 100) / 100.0f;
}

/* Field 0: the vector; field 1: the index. */
static inline lh_status boring_item(void *user, int64_t index, void *const *fields) {
    boring_vector(index, fields[0]);
    *(int64_t *)fields[1] = index;
    return LH_OK;
}

static inline lh_dataset *boring_dataset(lh_ctx *c, int64_t length) {
    return lh_dataset_map(
        c, .length = length, .get_item = boring_item, .n_fields = 2,
        .fields = (const lh_field[]){LH_FIELD(LH_F32, 1, BORING_WIDTH), LH_FIELD(LH_I64, 0, 0)});
}

/* Mean squared distance of the outputs to one. */
static inline lh_tensor *boring_loss(lh_ctx *c, lh_tensor *y) {
    return lh_mean_all(c, lh_square(c, lh_add_scalar(c, y, -1.0)));
}

#endif
