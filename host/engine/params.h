/* params.h - the parameters and buffers of a model, by name, in flat buffers.
 *
 * Invariant: after lh__params_seal the values of all parameters of one dtype are one contiguous,
 * 64-byte aligned buffer, and so are their gradients, in the same layout (last declared first,
 * which is about the order in which backward fills them); each parameter begins at a multiple of 16
 * elements, the gap is zero. Buffers (running statistics) are not in it and never have gradients.
 */
#ifndef LH_ENGINE_PARAMS_H
#define LH_ENGINE_PARAMS_H

#include "engine/engine.h"

struct lh__param {
    lh_tensor tensor; /* first member: a parameter's tensor is the parameter */
    char *name;
    int32_t is_buffer;
    int32_t has_grad; /* the gradient holds something (PyTorch: grad is not None) */
    int64_t offset;   /* in elements, within the flat buffer of its dtype */
    lh__view grad;    /* of a parameter, after seal */
    uint64_t written; /* the number, among the engine's, of the last write of its values */
};

/* Declares a parameter (dtype 0: the engine's). Its initial values depend on the seed, its name,
 * its shape and `init` (NULL: zeros) only. NULL on error: duplicate or empty name, bad shape or
 * initialiser, after seal. */
lh_tensor *lh__param_new(lh__engine *e, const char *name, int32_t dtype, int32_t ndim,
                         const int64_t *shape, const lh_init *init);
lh_tensor *lh__buffer_new(lh__engine *e, const char *name, int32_t dtype, int32_t ndim,
                          const int64_t *shape, double fill);

/* Ends declaration: lays out the flat buffers. Drops the tensors of the step under way, which may
 * be views of parameters that have moved. */
lh_status lh__params_seal(lh__engine *e);

/* Parameters and buffers in order of declaration. */
int64_t lh__param_count(const lh__engine *e);
lh__param *lh__param_at(const lh__engine *e, int64_t i);
lh__param *lh__param_find(const lh__engine *e, const char *name); /* NULL when absent */

/* Sets requires_grad of the parameters whose name matches the glob (fnmatch); returns how many. */
int64_t lh__params_require_grad(lh__engine *e, const char *glob, int32_t on);

/* Its values have been overwritten: what was recorded before can't read them in a backward pass. */
void lh__param_overwritten(lh__engine *e, lh__param *p);

/* Forgets the gradients: PyTorch's zero_grad(set_to_none=True). O(parameters), touches no data. */
void lh__params_zero_grad(lh__engine *e);

/* Fills a contiguous tensor by PyTorch's definition of the initialiser, with the same bits on every
 * device and any number of threads. Exposed for tests. */
lh_status lh__init_fill(const lh_init *init, lh__philox_key key, const lh__view *to,
                        const lh__device *device, lh__pool *pool, lh__error *err);

#endif
