/* metrics.h - what lh_log records: values of the step, reductions over the epoch, and the three
 * dictionaries that users of Lightning know (logged, callback and progress-bar metrics).
 *
 * Invariant: a metric is known by (hook, name, loader); its reduction over an epoch is a function
 * of the values and weights in the order in which they were logged, kept in double, so that a
 * resumed epoch ends with the same bits. Names are interned and live with the run. Logging a metric
 * that was logged before allocates nothing.
 */
#ifndef LH_TRAINER_METRICS_H
#define LH_TRAINER_METRICS_H

#include "engine/error.h"
#include "plugin/hooks.h"
#include "trainer/meters.h"

#include <jansson.h>

typedef struct lh__metrics lh__metrics;

lh__metrics *lh__metrics_new(void); /* NULL: out of memory */
void lh__metrics_free(lh__metrics *m);

typedef struct lh__logged {
    const char *name;
    lh_meter *meter;      /* whose value over the epoch is meant; NULL: `value` is */
    double value, weight; /* weight: the batch size */
    const lh_log_options *options;
    lh__hook hook;
    int32_t loader;      /* -1: no suffix */
    int32_t is_training; /* of the training epoch, not of an evaluation */
} lh__logged;

/* Records one value. Errors say what to change. */
lh_status lh__metrics_log(lh__metrics *m, const lh__logged *l, lh__error *e);

/* A batch begins: forgets which step values were logged. */
void lh__metrics_begin_step(lh__metrics *m);

/* Reduces the metrics of the epoch of training or of evaluation that have values, publishes them,
 * adds them to the epoch values, and begins anew. begin_epoch_values: none are in it yet. reset:
 * throws away what is under way. clear: also the dictionaries. Meters are computed by reduce, or,
 * where logged for each loader, by end_loader; they keep what they hold for the hooks of the
 * epoch's end, until reset_meters. */
void lh__metrics_begin_epoch_values(lh__metrics *m);
lh_status lh__metrics_reduce(lh__metrics *m, int32_t is_training, lh__error *e);
lh_status lh__metrics_end_loader(lh__metrics *m, int32_t loader, lh__error *e);
void lh__metrics_reset_meters(lh__metrics *m, int32_t is_training);
void lh__metrics_reset(lh__metrics *m, int32_t is_training);
void lh__metrics_clear(lh__metrics *m);

/* The dictionaries. Arrays live until the next call of any function here. */
double lh__metrics_callback(const lh__metrics *m, const char *name, int32_t *found);
const char *lh__metrics_callback_name(const lh__metrics *m, int32_t i); /* NULL past the end */
void lh__metrics_set_callback(lh__metrics *m, const char *name, double value);
int32_t lh__metrics_bar(lh__metrics *m, const lh_scalar **out);
void lh__metrics_set_bar(lh__metrics *m, const char *name, double value, int32_t show);

/* What goes to the loggers: the step values of this batch, the epoch values reduced last. Names are
 * interned. */
int32_t lh__metrics_step_values(lh__metrics *m, const lh_scalar **out);
int32_t lh__metrics_epoch_values(lh__metrics *m, const lh_scalar **out);

/* Those of the epoch values that belong to loader `loader` (-1: of no loader in
 * particular), for result tables. */
int32_t lh__metrics_results(lh__metrics *m, int32_t loader, const lh_scalar **out);

/* All callback metrics as a JSON object (result.json); everything, for a checkpoint. NULL: out of
 * memory. */
json_t *lh__metrics_json(const lh__metrics *m);
json_t *lh__metrics_save(const lh__metrics *m);
lh_status lh__metrics_load(lh__metrics *m, const json_t *saved, const lh__meters *meters,
                           lh__error *e);

/* A copy of `name` that lives as long as the metrics. NULL: out of memory. */
const char *lh__metrics_intern(lh__metrics *m, const char *name);

#endif
