/* metrics.h - meters: metrics that accumulate over batches, for authors, with torchmetrics'
 * definitions.
 *
 *     s->acc = lh_accuracy_meter(c, "val_acc", .classes = 10);          (setup, configure_model)
 *     lh_meter_update(c, s->acc, logits, labels);                       (validation_step)
 *     lh_log_meter(c, "val_acc", s->acc, LH_LOG_BAR);
 *
 * A meter has a name that is unique in the plugin, is saved in checkpoints under it, and lives with
 * the run. Values are of all elements since it was made or reset, however they were batched, and
 * float64. The mean of the batches' values is something else: precision or AUROC of an epoch is not
 * the mean of those of its batches. [trainer]
 *
 * Of classes: scores are (n, C) or (n, C, ...), targets (n) or (n, ...), I64; predicted classes
 * (I64, of the targets' shape) are taken as well, except by top-k accuracy and AUROC. With
 * `.classes = 1`, the default, one score tells two classes apart: scores have the targets' shape,
 * are probabilities of class 1, or, if one of the batch lies outside [0, 1], logits. Targets equal
 * to `.ignore_index` (negative) don't count.
 */
#ifndef LHOST_METRICS_H
#define LHOST_METRICS_H

#include "host.h"

LH_EXTERN_C_BEGIN

/* Averages over classes: LH_AVERAGE_MICRO (all elements alike), _MACRO (all classes alike that
 * occur), _WEIGHTED (classes by their targets), _NONE (a value for each: not to be logged). */

/* How many are right: .classes 1, .top_k 1, .average micro, .threshold 0.5, .ignore_index. */
#define lh_accuracy_meter(c, ...) \
    LH_CLASS_METER_(c, LH_METER_ACCURACY, LH_AVERAGE_MICRO, __VA_ARGS__, )

/* tp / (tp + fp), tp / (tp + fn), and their harmonic mean: .classes 1, .average macro, .threshold
 * 0.5, .ignore_index. */
#define lh_precision_meter(c, ...) \
    LH_CLASS_METER_(c, LH_METER_PRECISION, LH_AVERAGE_MACRO, __VA_ARGS__, )
#define lh_recall_meter(c, ...) LH_CLASS_METER_(c, LH_METER_RECALL, LH_AVERAGE_MACRO, __VA_ARGS__, )
#define lh_f1_meter(c, ...) LH_CLASS_METER_(c, LH_METER_F1, LH_AVERAGE_MACRO, __VA_ARGS__, )

/* Area under the ROC curve, exact: keeps every score. Several classes: each against the others.
 * .classes 1, .average macro, .ignore_index. */
#define lh_auroc_meter(c, ...) LH_CLASS_METER_(c, LH_METER_AUROC, LH_AVERAGE_MACRO, __VA_ARGS__, )

/* (classes, classes) counts, I64: rows are targets. .classes 1, .threshold 0.5, .ignore_index. */
#define lh_confusion_meter(c, ...) \
    LH_CLASS_METER_(c, LH_METER_CONFUSION, LH_AVERAGE_MICRO, __VA_ARGS__, )

/* Of predictions and targets of one shape. R2 needs two elements. */
#define lh_mse_meter(c, name_) LH_METER_(c, LH_METER_MSE, .name = (name_))
#define lh_mae_meter(c, name_) LH_METER_(c, LH_METER_MAE, .name = (name_))
#define lh_r2_meter(c, name_) LH_METER_(c, LH_METER_R2, .name = (name_))

/* exp of the mean cross-entropy: logits (..., C), targets (...); .ignore_index. */
#define lh_perplexity_meter(c, ...) LH_PERPLEXITY_METER_(c, __VA_ARGS__, )
#define LH_PERPLEXITY_METER_(c, name_, ...) \
    LH_METER_(c, LH_METER_PERPLEXITY, .name = (name_), __VA_ARGS__)

/* The mean of all elements; lh_meter_update with target NULL. */
#define lh_mean_meter(c, name_) LH_METER_(c, LH_METER_MEAN, .name = (name_))

#define LH_CLASS_METER_(c, kind_, average_, name_, ...) \
    LH_METER_(c, kind_, .classes = 1, .average = (average_), .name = (name_), __VA_ARGS__)
#define LH_METER_(c, kind_, ...) \
    (c)->host->meter(            \
        (c), &(const lh_meter_options){LH_SIZED(lh_meter_options), .kind = (kind_), __VA_ARGS__})

/* Takes a batch. An update that is refused changes nothing. */
static inline lh_status lh_meter_update(lh_ctx *c, lh_meter *m, lh_tensor *scores,
                                        lh_tensor *target) {
    return c->host->meter_update(c, m, scores, target);
}

/* The value of all batches so far; an error while there were none. */
static inline lh_tensor *lh_meter_compute(lh_ctx *c, lh_meter *m) {
    return c->host->meter_compute(c, m);
}

static inline lh_status lh_meter_reset(lh_ctx *c, lh_meter *m) {
    return c->host->meter_reset(c, m);
}

/* Logs the value over the epoch, in the step or at the epoch's end: like lh_log with LH_LOG_EPOCH,
 * but computed from all batches, once, when the epoch (with several evaluation loaders: the loader)
 * ends; then reset, after the hooks of the epoch's end. A meter is logged in training or in
 * evaluation, not in both. `flags`: LH_LOG_BAR and others of lh_log, or 0. */
static inline lh_status lh_log_meter(lh_ctx *c, const char *name, lh_meter *m, uint32_t flags) {
    return c->host->log_meter(c, name, m, flags);
}

LH_EXTERN_C_END
#endif
