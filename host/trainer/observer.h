/* observer.h - what the trainer tells whoever shows a run to a person.
 *
 * Invariant: the trainer never waits for an observer and never depends on what it does; every
 * function may be NULL. Texts and arrays live until the call returns. [trainer]
 */
#ifndef LH_TRAINER_OBSERVER_H
#define LH_TRAINER_OBSERVER_H

#include <lhost/types.h>

/* One row of the model summary: a layer is the parameters that share the name before the dot. */
typedef struct lh__summary_row {
    const char *name;  /* "fc1" */
    const char *shape; /* of its weight: "128 x 784" */
    int64_t params;
    int64_t trainable;
} lh__summary_row;

typedef struct lh__summary {
    const char *model;
    const lh__summary_row *rows;
    int32_t n_rows;
    int64_t params, trainable, bytes;
} lh__summary;

enum { LH__TRAINING, LH__SANITY, LH__VALIDATING, LH__TESTING, LH__PREDICTING };

typedef struct lh__progress {
    int32_t phase; /* LH__TRAINING ... */
    int32_t n_metrics;
    int64_t epoch, max_epochs; /* max_epochs -1: no limit */
    int64_t batch, n_batches;  /* batches done; batch 0: the loop begins; n_batches: it is over,
                                  perhaps after fewer than it began with */
    const lh_scalar *metrics;  /* those marked for the bar */
} lh__progress;

/* One column of the result table: the metrics of one loader. */
typedef struct lh__result {
    const char *stage; /* "validate", "test" */
    int32_t loader, n_metrics;
    const lh_scalar *metrics;
} lh__result;

typedef struct lh__observer {
    void *self;
    void (*summary)(void *self, const lh__summary *s);
    void (*progress)(void *self, const lh__progress *p); /* after every batch */
    void (*results)(void *self, const lh__result *results, int32_t n);
    void (*profile)(void *self, const char *text); /* at the end of a run that was profiled */
    void (*message)(void *self, int32_t level, const char *text); /* LH_INFO ...; one line */
} lh__observer;

#endif
