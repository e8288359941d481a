/* state.h - what an engine consists of; for the files of this room only.
 *
 * Invariant: whatever hangs on the engine and is not in the step arena is freed by lh__engine_free.
 */
#ifndef LH_ENGINE_STATE_H
#define LH_ENGINE_STATE_H

#include "engine/arena.h"
#include "engine/catalogue.h"
#include "engine/params.h"
#include "engine/plan/plan.h"

/* A growing list of objects that it owns. Zeroed: empty. */
typedef struct lh__list {
    void **items;
    int64_t count, room;
} lh__list;

lh_status lh__list_add(lh__list *list, void *item); /* LH_ENOMEM: not added */
void lh__list_free(lh__list *list, void (*free_item)(void *));

/* The values and the gradients of all parameters of one dtype. */
typedef struct lh__flat {
    void *data, *grad;
    int64_t numel; /* gaps counted in */
} lh__flat;

struct lh__engine {
    lh__engine_options options;
    const lh__device *device;
    lh__pool *pool;
    int32_t was_flushing; /* subnormal numbers: the thread that made the engine */
    lh__error *err;       /* where errors go */
    lh__error own_err;

    /* The step. */
    lh__arena arena;
    lh__node *tape; /* the newest node */
    uint64_t step, serial;
    uint32_t phase, ordinal; /* of the next random operator */
    int32_t training, grad_enabled;
    const lh__node *under;   /* the node whose gradient is being computed */
    lh__view *landing;       /* where the gradient being computed may be written, or NULL */
    const lh_op_call *outer; /* the call under way, not one that it is made of, or NULL */
    const lh__row *rows[LH__OP_LIMIT]; /* the catalogue by operator */
    const lh__watcher *watcher;        /* sees every call, or NULL */
    lh__stream stream;                 /* what was put off */
    lh__plans plans;
    const lh__node *settled; /* the newest node when calls ran last */
    void (*explain)(void *user, const char *text);
    void *explain_user;
    lh__lane *lane; /* of the thread that computes, or NULL */

    /* The model. */
    lh__list params;  /* lh__param, in order of declaration */
    uint64_t writes;  /* of values of parameters and buffers, so far */
    lh__flat flat[2]; /* of LH_F32, of LH_F64 */
    int32_t sealed;

    /* What trains it: appended to by lh__optimizer_new and lh__scheduler_new, which also set how
     * one is freed. */
    lh__list optimizers, schedulers;
    void (*free_optimizer)(void *);
    void (*free_scheduler)(void *);
};

/* lh__fail; where an operator is under way, it and its place come first. */
lh_status lh__fail_here(lh__engine *e, lh_status code, const char *fmt, ...) LH_PRINTF(3, 4);

/* Runs a kernel, or, where the engine defers and `values` is not NULL, puts its call off.
 * values[i]: lh_tensor.value of input i, the output's last. */
lh_status lh__invoke(lh__engine *e, const lh__kernel_call *k, const int32_t *values, int is_random);

/* A result of `bytes` bytes, which a call that is put off makes: its address, and its
 * lh_tensor.value. NULL: no memory. */
void *lh__result(lh__engine *e, int64_t bytes, int32_t *value);

/* Where a tensor of an operator lies, as far as that is known: pending, or at its address. */
lh_status lh__locate(lh__engine *e, lh_tensor *t);

/* A tensor of the step with nothing in its view; NULL on an error. */
lh_tensor *lh__tensor_alloc(lh__engine *e);

/* Whether elements and offsets can be counted without a look: the product of the extents, an empty
 * axis taken as 1, is at most 2^48. */
int32_t lh__is_countable(const lh__view *v);

/* Sets the strides of a contiguous view. Its size in bytes; -1 when that can't be counted. */
int64_t lh__view_make_contiguous(lh__view *v);

int32_t lh__same_shape(const lh__view *a, const lh__view *b);

/* A contiguous view without data; its size goes to *bytes. Errors: no such dtype or shape. */
lh_status lh__view_init(lh__engine *e, lh__view *v, int32_t dtype, int32_t ndim,
                        const int64_t *shape, int64_t *bytes);

/* Copies into contiguous, 64-byte aligned `to`, converting the dtype. */
void lh__copy(lh__engine *e, const lh__view *from, const lh__view *to);

void lh__params_free(lh__engine *e);

#endif
