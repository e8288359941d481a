/* logging.h - when a hook may log, and what is meant when a call does not say.
 *
 * Invariant: what passes lh__log_check is published per step, per epoch or both, at times when its
 * hook runs.
 */
#ifndef LH_TRAINER_LOGGING_H
#define LH_TRAINER_LOGGING_H

#include "trainer/metrics.h"

/* How often a hook that may log runs. */
enum { LH__LOG_NEVER, LH__LOG_PER_STEP, LH__LOG_PER_BATCH, LH__LOG_PER_EPOCH };
int32_t lh__log_times(lh__hook hook);

/* The flags with the hook's defaults filled in: what was neither asked for nor switched off is on
 * where the hook has it on. */
uint32_t lh__log_flags(lh__hook hook, uint32_t flags);

/* Whether the hook may log so; `flags` are those of lh__log_flags. */
lh_status lh__log_check(const lh__logged *l, uint32_t flags, lh__error *e);

#endif
