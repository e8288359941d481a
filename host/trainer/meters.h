/* meters.h - the meters of a run: whose they are, and how they get into a checkpoint and out of it.
 *
 * Invariant: keys are unique. What is saved is what training goes on with: of a validation that is
 * cut short nothing, since it will run again from its beginning.
 */
#ifndef LH_TRAINER_METERS_H
#define LH_TRAINER_METERS_H

#include "checkpoint/state.h"
#include "metrics/meter.h"

/* Zeroed: empty. */
typedef struct lh__meters {
    struct lh__meter_slot *slots;
    int32_t n, capacity;
} lh__meters;

void lh__meters_free(lh__meters *all);

/* Adds a meter, which the list then owns. LH_EINVAL: the key is taken. */
lh_status lh__meters_add(lh__meters *all, lh_meter *m, lh__error *e);
lh_meter *lh__meters_find(const lh__meters *all, const char *key); /* NULL: none */

/* Notes what the meter was updated in last. */
void lh__meters_updated(lh__meters *all, const lh_meter *m, int32_t is_training);

void lh__meters_reset(lh__meters *all);

/* Those that hold something as tensors "state.meter.KEY.PART"; and back. without_evaluation: those
 * that an evaluation updated last are left out. */
lh_status lh__meters_save(lh__meters *all, lh__state *s, int32_t without_evaluation, lh__error *e);
lh_status lh__meters_load(lh__meters *all, const lh__state *s, lh__error *e);

#endif
