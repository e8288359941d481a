/* outputs.h - what steps hand on: the loss, predictions, named tensors.
 *
 * Invariant: entries of the step under way are tensors of that step; kept entries are copies and
 * live until lh__outputs_clear. Keeping happens only where a hook or a caller wants it.
 */
#ifndef LH_TRAINER_OUTPUTS_H
#define LH_TRAINER_OUTPUTS_H

#include "checkpoint/state.h"
#include "engine/engine.h"

typedef struct lh_outputs lh__outputs;
enum { LH__OUTPUT_NAME_SIZE = 48 };

lh__outputs *lh__outputs_new(void); /* NULL: out of memory */
void lh__outputs_free(lh__outputs *o);
void lh__outputs_clear(lh__outputs *o);

/* Begins the outputs of one step. */
lh_status lh__outputs_begin_step(lh__outputs *o);

/* Puts a tensor under `name` (copied, cut to LH__OUTPUT_NAME_SIZE) into the step begun last, in
 * place of one of that name. */
lh_status lh__outputs_put(lh__outputs *o, const char *name, lh_tensor *t);

/* Appends copies of all of `step`'s entries as one more step of `o`. */
lh_status lh__outputs_keep(lh__outputs *o, lh__engine *e, const lh__outputs *step);

int64_t lh__outputs_count(const lh__outputs *o);

/* Entry `name` of step `i`, as a tensor of the step under way; NULL when there is none. */
lh_tensor *lh__outputs_get(lh__engine *e, const lh__outputs *o, int64_t i, const char *name);

/* Kept entries as the tensor "outputs" and a list in the metadata; and back. */
lh_status lh__outputs_save(const lh__outputs *o, lh__state *s, lh__error *e);
lh_status lh__outputs_load(lh__outputs *o, const lh__state *s, lh__error *e);

/* The kept entry `i` in the order of keeping; NULL past the end. The data is row-major and lives
 * until the next call that changes `o`. */
typedef struct lh__kept {
    const char *name;
    const void *data;
    int64_t step, size; /* size: in bytes */
    int32_t dtype, ndim;
    const int64_t *shape;
} lh__kept;
int lh__outputs_kept(const lh__outputs *o, int64_t i, lh__kept *out);

#endif
