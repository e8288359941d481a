/* meter.h - metrics that accumulate over batches: accuracy, precision, recall, F1, AUROC, confusion
 * matrix, MSE, MAE, R2, perplexity, mean; with the definitions of torchmetrics.
 *
 * Invariants: the state is a function of the elements in the order in which they came, however they
 * were cut into updates; an update that is refused changes nothing. All of the state is counts in
 * int64, sums in double, and, of AUROC, the rows themselves, so that the states of several ranks
 * can be put together: counts and sums are added (R2's mean and sum of squared deviations by Chan's
 * formula), rows are appended in the order of ranks. Memory is constant but for AUROC's rows.
 */
#ifndef LH_METRICS_METER_H
#define LH_METRICS_METER_H

#include "engine/error.h"
#include "kernels/kernel.h"

/* A meter, or NULL with the reason in `e`. `key`, copied: what lh__meter_key gives. Errors: options
 * without meaning for the kind. */
lh_meter *lh__meter_new(const lh_meter_options *o, const char *key, lh__error *e);
void lh__meter_free(lh_meter *m); /* NULL allowed */

const char *lh__meter_key(const lh_meter *m);
const char *lh__meter_name(const lh_meter *m);
int32_t lh__meter_is_empty(const lh_meter *m); /* nothing came since it was made or reset */
int64_t lh__meter_numel(const lh_meter *m);    /* of its value */

/* Takes one batch. Views are contiguous; scores F32, F64 or I64, targets likewise; `target` is NULL
 * for LH_METER_MEAN alone. With classes C > 1 scores are (n, C, ...) and targets (n, ...) of class
 * numbers; or predicted class numbers of the targets' shape. With one class scores have the
 * targets' shape. Scores outside [0, 1] anywhere in the batch are taken for logits where it matters
 * (classes 1, AUROC). Perplexity: logits (..., C), targets (...). Errors name value and place. */
lh_status lh__meter_update(lh_meter *m, const lh__view *scores, const lh__view *target,
                           lh__error *e);

/* The value of all that came: one F64; with LH_AVERAGE_NONE one per class; the confusion matrix is
 * I64 (C, C), (2, 2) for classes 1. Without elements that count: 0 where torchmetrics has 0, else
 * NaN. Lives until the meter is used again. LH_ESTATE: it is empty. */
typedef struct lh__meter_value {
    const void *data;
    int32_t dtype, ndim;
    int64_t shape[2];
} lh__meter_value;
lh_status lh__meter_compute(lh_meter *m, lh__meter_value *out, lh__error *e);

void lh__meter_reset(lh_meter *m);

/* The state, as flat arrays; data and numel may be NULL and 0. To put one back: resize to the saved
 * number of rows (the numel of "targets"), and copy into the parts. */
enum { LH__METER_PARTS = 4 };
typedef struct lh__meter_part {
    const char *name; /* counts, sums, scores, targets */
    void *data;
    int32_t dtype, reserved;
    int64_t numel;
} lh__meter_part;
void lh__meter_parts(lh_meter *m, lh__meter_part parts[LH__METER_PARTS]);
lh_status lh__meter_resize(lh_meter *m, int64_t rows, lh__error *e);

#endif
