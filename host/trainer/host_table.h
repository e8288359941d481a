/* host_table.h - the functions behind lh_host, for the files that make up the table.
 *
 * Invariant: every function records its errors in the calling plugin's instance, never in the run;
 * lh__call_end turns them into the run's failure.
 */
#ifndef LH_TRAINER_HOST_TABLE_H
#define LH_TRAINER_HOST_TABLE_H

#include "trainer/run.h"

#include <string.h>

/* The instance behind a context, and its trainer. */
static inline lh__instance *lh__of(lh_ctx *c) {
    return (lh__instance *)(void *)c;
}

/* The `size` bytes of options as this host knows them, from a struct that begins with its own size:
 * what an older plugin's has not is 0. */
static inline void lh__known(void *known, size_t size, const void *options) {
    uint32_t given;

    memcpy(&given, options, sizeof given);
    memset(known, 0, size);
    memcpy(known, options, given < size ? given : size);
}

#define LH__ENGINE(c) (lh__of(c)->trainer->engine)

/* Logs a number, or a meter: fills in what the moment says, the hook, the loader, the weight. */
lh_status lh__log(lh__instance *i, lh__logged l, lh_tensor *value);

/* Fill in their parts of the table. */
void lh__host_model(lh_host *h);
void lh__host_data(lh_host *h);
void lh__host_run(lh_host *h);
void lh__host_state(lh_host *h);
void lh__host_meter(lh_host *h);
void lh__host_tbptt(lh_host *h);
void lh__host_weights(lh_host *h);

#endif
