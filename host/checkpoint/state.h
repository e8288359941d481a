/* state.h - what a checkpoint is: an ordered set of named tensors, and a JSON object of all else
 * (counters, hyper-parameters, optimizer and callback state, random counters, plugin digests).
 *
 * Invariants: names are UTF-8 and unique; a tensor's `size` is the product of its shape times its
 * element size; `data` is aligned to the element size and NULL only where `size` is 0; `meta` is
 * always an object. A state belongs to one thread at a time.
 */
#ifndef LH_CHECKPOINT_STATE_H
#define LH_CHECKPOINT_STATE_H

#include "engine/error.h"

#include <jansson.h>
#include <stdbool.h>

typedef struct lh__state_tensor {
    char *name;
    int32_t dtype, ndim; /* ndim 0: a scalar */
    int64_t shape[LH_MAX_DIMS];
    size_t size; /* in bytes */
    const void *data;
    void *copy; /* `data` where the tensor owns it, else NULL */
} lh__state_tensor;

typedef struct lh__state {
    lh__state_tensor *tensors; /* in the order in which they were put */
    size_t n_tensors, capacity;
    json_t *meta;  /* numbers in it: see checkpoint/json.h */
    json_t *index; /* name -> position in `tensors` */
    void *storage; /* memory that the tensors of a file point into, else NULL */
    bool foreign;  /* read from a file that lhost did not write: weights, and nothing in `meta` */
} lh__state;

/* An empty state, or NULL when out of memory. */
lh__state *lh__state_new(void);

/* Releases the state, its copies and the storage behind it. NULL is allowed. */
void lh__state_free(lh__state *s);

/* Adds a tensor whose row-major data the caller keeps alive and unchanged while the state is in
 * use. LH_EINVAL: bad name, dtype or shape, or a second tensor of that name. */
lh_status lh__state_put(lh__state *s, const char *name, int32_t dtype, int32_t ndim,
                        const int64_t *shape, const void *data, lh__error *e);

/* The same, with a copy of the data that lives with the state. `data` needs no alignment. */
lh_status lh__state_put_copy(lh__state *s, const char *name, int32_t dtype, int32_t ndim,
                             const int64_t *shape, const void *data, lh__error *e);

/* The tensor of that name, or NULL. O(1). Valid until the next put. */
const lh__state_tensor *lh__state_find(const lh__state *s, const char *name);

/* An element type, with its name in the safetensors format. */
typedef struct lh__stored_dtype {
    int32_t dtype; /* LH_F32 ... */
    uint32_t size; /* of an element, in bytes: 1, 2, 4 or 8 */
    const char *name;
} lh__stored_dtype;

/* NULL: no such dtype. */
const lh__stored_dtype *lh__stored_dtype_of(int32_t dtype);
const lh__stored_dtype *lh__stored_dtype_named(const char *name);

#endif
