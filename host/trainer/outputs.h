/* outputs.h - what steps hand on: the loss, predictions, named tensors.
 *
 * Invariant: entries of the step under way are tensors of that step; kept entries are copies and
 * live until lh__outputs_clear. Keeping happens only where a hook or a caller wants it.
 */
#ifndef LH_TRAINER_OUTPUTS_H
#define LH_TRAINER_OUTPUTS_H

#include "engine/engine.h"

typedef struct lh_outputs lh__outputs;

lh__outputs *lh__outputs_new(void); /* NULL: out of memory */
void lh__outputs_free(lh__outputs *o);
void lh__outputs_clear(lh__outputs *o);

/* Begins the outputs of one step. */
lh_status lh__outputs_begin_step(lh__outputs *o);

/* Adds a tensor under `name` (copied) to the step begun last. */
lh_status lh__outputs_add(lh__outputs *o, const char *name, lh_tensor *t);

/* Appends copies of all of `step`'s entries as one more step of `o`. */
lh_status lh__outputs_keep(lh__outputs *o, lh__engine *e, const lh__outputs *step);

int64_t lh__outputs_count(const lh__outputs *o);

/* Entry `name` of step `i`, as a tensor of the step under way; NULL when there is none. */
lh_tensor *lh__outputs_get(lh__engine *e, const lh__outputs *o, int64_t i, const char *name);

#endif
