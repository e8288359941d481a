/* kind.h - what a kind of meter is, and what a meter consists of; for the files of this room only.
 *
 * Invariant: meter.c has checked shapes, dtypes and every element that counts before a kind's
 * `update` runs, so that it can't fail but for memory.
 */
#ifndef LH_METRICS_KIND_H
#define LH_METRICS_KIND_H

#include "metrics/meter.h"

/* One batch. Score k of element i of the targets lies at (i / inner * classes + k) * inner +
 * i % inner. */
typedef struct lh__batch_of {
    const lh__view *scores, *target;
    int64_t n, inner, classes; /* n: elements of the targets */
    int32_t are_labels;        /* scores are predicted class numbers */
    int32_t are_logits;        /* a score that counts lies outside [0, 1] */
} lh__batch_of;

/* What the operands of a kind look like. */
enum { LH__VALUES = 0, LH__PAIRS = 1, LH__CLASSES = 2, LH__TOKENS = 3 };

typedef struct lh__meter_kind {
    const char *name;
    int32_t operands; /* LH__VALUES ... */
    int32_t n_sums;
    lh_status (*update)(lh_meter *m, const lh__batch_of *b, lh__error *e);
    lh_status (*compute)(lh_meter *m, lh__meter_value *out, lh__error *e);
} lh__meter_kind;

struct lh_meter {
    lh_meter_options options; /* with defaults filled in; `name` is owned */
    const lh__meter_kind *kind;
    char *key;
    int64_t *counts; /* updates; then the kind's */
    double *sums, *result;
    double *scores;   /* AUROC: (rows, classes) */
    int64_t *targets; /* AUROC: (rows) */
    int64_t n_counts, rows, capacity;
};

/* The rows of the table in meter.c. */
lh_status lh__stat_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__accuracy_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__precision_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__recall_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__f1_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__confusion_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__confusion_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__auroc_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__auroc_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__mean_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__mse_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__mae_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__mean_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__r2_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__r2_compute(lh_meter *m, lh__meter_value *out, lh__error *e);
lh_status lh__perplexity_update(lh_meter *m, const lh__batch_of *b, lh__error *e);
lh_status lh__perplexity_compute(lh_meter *m, lh__meter_value *out, lh__error *e);

/* Element i as a number. */
static inline double lh__real_at(const lh__view *v, int64_t i) {
    switch (v->dtype) {
    case LH_F32:
        return (double)((const float *)v->data)[i];
    case LH_F64:
        return ((const double *)v->data)[i];
    default:
        return (double)((const int64_t *)v->data)[i];
    }
}

static inline double lh__score(const lh__batch_of *b, int64_t i, int64_t k) {
    return lh__real_at(b->scores, (i / b->inner * b->classes + k) * b->inner + i % b->inner);
}

static inline int64_t lh__label_at(const lh__view *v, int64_t i) {
    return ((const int64_t *)v->data)[i];
}

static inline int32_t lh__is_ignored(const lh_meter *m, int64_t target) {
    return m->options.ignore_index < 0 && target == m->options.ignore_index;
}

/* Classes that targets may name. */
static inline int64_t lh__n_classes(const lh_meter *m) {
    return m->options.classes > 1 ? m->options.classes : 2;
}

/* The first value of the result, as what compute gives. */
static inline lh_status lh__give(lh_meter *m, double value, lh__meter_value *out) {
    m->result[0] = value;
    *out = (lh__meter_value){.data = m->result, .dtype = LH_F64};
    return LH_OK;
}

/* One result per class. */
static inline lh_status lh__give_classes(lh_meter *m, lh__meter_value *out) {
    *out = (lh__meter_value){m->result, LH_F64, 1, {m->options.classes}};
    return LH_OK;
}

#endif
