/* looks.h - values that were logged, or given to meters, before they were computed.
 *
 * Invariant: they are taken in the order in which they were logged, and before anybody asks for a
 * metric, so that nothing shows that computing was put off. In the steady state nothing is
 * allocated.
 */
#ifndef LH_TRAINER_LOOKS_H
#define LH_TRAINER_LOOKS_H

#include "trainer/instance.h"
#include "trainer/metrics.h"

typedef struct lh__look {
    lh__instance *who; /* who logged it, in which hook */
    lh__hook hook;
    lh_log_options options;
    lh__logged logged;
    lh_tensor *value;           /* of the log; NULL: logged.value is it */
    lh_meter *meter;            /* of an update; then scores and target are its operands */
    lh_tensor *scores, *target; /* target may be NULL */
    int32_t is_training, reserved;
} lh__look;

typedef struct lh__looks {
    lh__look *items;
    int32_t n, room;
} lh__looks;

/* Logs now, or later when `value` isn't computed yet or others are before it. */
lh_status lh__look_log(struct lh__trainer *t, lh__instance *who, const lh__logged *l,
                       lh_tensor *value);

/* Updates a meter now or later, likewise. */
lh_status lh__look_update(struct lh__trainer *t, lh__instance *who, lh_meter *m, lh_tensor *scores,
                          lh_tensor *target);

/* Takes all that wait, computing what they need. An error is reported as that of the hook that
 * logged the value. */
lh_status lh__look_all(struct lh__trainer *t);

void lh__looks_free(lh__looks *l);

#endif
