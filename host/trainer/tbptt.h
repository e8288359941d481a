/* tbptt.h - truncated back-propagation through time: a training batch in pieces along time.
 *
 * Invariants: between pieces nothing of the engine's step lives on: the batch's fields and what
 * steps keep are copied, so memory is that of one piece; after the longest batch nothing is
 * allocated any more. At the end of a batch nothing is left that the next one depends on, so a
 * checkpoint holds nothing of this.
 */
#ifndef LH_TRAINER_TBPTT_H
#define LH_TRAINER_TBPTT_H

#include "trainer/outputs.h"

typedef struct lh__tbptt {
    int64_t steps;       /* of a piece; 0: batches are not cut */
    int64_t piece;       /* under way; 0 in between */
    lh__outputs *fields; /* of the whole batch */
    lh__outputs *pieces; /* what the pieces of the batch so far kept, a step each */
} lh__tbptt;

struct lh__trainer;

/* Trains one batch, in pieces if asked for. Each piece, in order: training_step with the same
 * batch_idx, backward, and in a stepping batch an update, after which the gradients begin at zero;
 * so with accumulate_grad_batches the first update of a window has the gradients of all pieces
 * since the last. Schedules and the log count batches. */
lh_status lh__train_batch(struct lh__trainer *t, lh_batch *batch, int64_t batch_idx);

/* What the batch's steps handed on: a step for each piece. */
const lh__outputs *lh__batch_outputs(const struct lh__trainer *t);

/* tbptt_split_batch without lh_tbptt would never be called: refused. */
lh_status lh__tbptt_check(struct lh__trainer *t);
void lh__tbptt_free(lh__tbptt *b);

#endif
