/* scheduler.h - learning-rate schedules with PyTorch's formulas.
 *
 * Invariant: the learning rates of a schedule's optimizer are a function of the options, the
 * initial rates and the numbers in lh__scheduler_state, so that saving those is enough to resume.
 */
#ifndef LH_ENGINE_SCHEDULER_H
#define LH_ENGINE_SCHEDULER_H

#include "engine/optimizer.h"

typedef struct lh__scheduler lh__scheduler;

/* Sets initial_lr where a group has none (LH_ONECYCLE_LR: always, to max_lr / div_factor), then the
 * first rate, as PyTorch's constructors do. NULL on error. Owned by the engine; copies what `o`
 * points at, save `user`. */
lh__scheduler *lh__scheduler_new(lh_optimizer *opt, const lh_scheduler_options *o);

/* scheduler.step(), or step(metric) for LH_PLATEAU_LR (a NaN metric is not better; the steps of its
 * warm-up do not look at it). Errors: a one-cycle schedule past its total; a rate not finite. */
lh_status lh__scheduler_step(lh__scheduler *s, double metric);

const lh_scheduler_options *lh__scheduler_options_of(const lh__scheduler *s);
lh_optimizer *lh__scheduler_optimizer(const lh__scheduler *s);
int32_t lh__scheduler_count(const lh__engine *e);
lh__scheduler *lh__scheduler_at(const lh__engine *e, int32_t i);

/* The numbers to save and restore, last_epoch first; they point at live memory. Rates are kept by
 * the groups. Returns how many; "best" of LH_PLATEAU_LR is infinite before the first metric. */
typedef struct lh__number {
    const char *name;
    double *real; /* one of the two is set */
    int64_t *integer;
} lh__number;
int32_t lh__scheduler_state(lh__scheduler *s, lh__number out[8]);

#endif
