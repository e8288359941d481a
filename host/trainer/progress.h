/* progress.h - the counters of the loops, as they stand in a checkpoint.
 *
 * Invariant: what is saved and loaded is one table of fields; a field that is missing in the file
 * is an error, so a file from another layout cannot be half believed.
 */
#ifndef LH_TRAINER_PROGRESS_H
#define LH_TRAINER_PROGRESS_H

#include "trainer/run.h"

/* A JSON object (new reference); NULL: out of memory. */
json_t *lh__progress_save(const lh__fit_progress *p);
lh_status lh__progress_load(lh__fit_progress *p, const json_t *saved, lh__error *e);

#endif
