/* logwriter.h - the thread on which loggers write.
 *
 * Invariant: pushing costs a copy into a ring allocated once and never waits, unless the ring is
 * full; loggers are called from this thread alone, in the order of the pushes. What a logger fails
 * at is reported once and does not end the run; the others go on.
 */
#ifndef LH_TRAINER_LOGWRITER_H
#define LH_TRAINER_LOGWRITER_H

#include "trainer/run.h"

/* Sets the loggers up on the new thread and hands them the hyper-parameters. NULL on failure, which
 * is on record. */
lh__logwriter *lh__logwriter_start(lh__trainer *t);

/* Queues one row. Names must live with the run. [trainer] */
void lh__logwriter_push(lh__logwriter *w, const lh_scalar *values, int32_t n, int64_t step);

/* Asks for after_save_checkpoint of every logger. [any] */
void lh__logwriter_saved(lh__logwriter *w, const char *path);

/* Has what was pushed so far saved at once, behind the caller. NULL allowed. */
void lh__logwriter_flush(lh__logwriter *w);

/* Writes everything, finalizes the loggers with `outcome`, ends the thread. NULL allowed. */
void lh__logwriter_stop(lh__logwriter *w, int32_t outcome);

#endif
