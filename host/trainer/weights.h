/* weights.h - weights of a file against parameters and buffers of the model, by name.
 *
 * Invariant: a file that does not fit changes nothing, and the message names what does not fit.
 */
#ifndef LH_TRAINER_WEIGHTS_H
#define LH_TRAINER_WEIGHTS_H

#include "checkpoint/state.h"
#include "engine/engine.h"

/* Which weights, and how they have to fit. */
typedef struct lh__weights {
    const lh__state *state;
    const char *from, *to; /* names in the file that begin with `from`, in the model with `to` */
    int32_t strict;        /* a weight on one side only is a misfit */
    int32_t same_dtypes;   /* another dtype is a misfit, even if it converts */
} lh__weights;

/* How many misfits there are. `text` gets "missing a, unexpected b, F32 8x32 instead of F32 9x32:
 * c", the first few of each. */
int64_t lh__weights_misfits(const lh__engine *e, const lh__weights *w, char *text, size_t size);

/* Writes those that both sides have; there are no misfits. How many, or a negative status with the
 * reason in the engine's error. */
int64_t lh__weights_write(lh__engine *e, const lh__weights *w);

struct lh__trainer;

/* load_weights of lhost/host.h; `err` gets the reason of a negative status. */
int64_t lh__weights_load(struct lh__trainer *t, const char *path, const char *from, const char *to,
                         int32_t strict, lh__error *err);

#endif
