/* classification.c - accuracy, precision, recall, F1 and the confusion matrix, from counts.
 *
 * Formulas: torchmetrics.functional.classification (stat_scores, accuracy, precision_recall,
 * f_beta); 0 / 0 is 0.
 */
#include <math.h>

#include "metrics/kind.h"

/* Class 1 of two: is the score, as a probability, above the threshold? */
static int64_t binary_label(const lh_meter *m, const lh__batch_of *b, int64_t i) {
    double p = lh__real_at(b->scores, i);

    if (b->are_logits)
        p = 1 / (1 + exp(-p));
    return p > m->options.threshold;
}

/* The class with the largest score, the first of equals; the target instead where fewer than top_k
 * classes come before it (with equal scores in order of class). */
static int64_t top_label(const lh_meter *m, const lh__batch_of *b, int64_t i, int64_t target) {
    double own = lh__score(b, i, target), most = lh__score(b, i, 0);
    int64_t best = 0, before = most > own || (most == own && target > 0);

    for (int64_t k = 1; k < b->classes; k++) {
        double s = lh__score(b, i, k);

        before += s > own || (s == own && k < target);
        if (s > most) {
            most = s;
            best = k;
        }
    }
    return before < m->options.top_k ? target : best;
}

static int64_t label(const lh_meter *m, const lh__batch_of *b, int64_t i, int64_t target) {
    if (b->are_labels)
        return lh__label_at(b->scores, i);
    return m->options.classes == 1 ? binary_label(m, b, i) : top_label(m, b, i, target);
}

/* Counts of every class c: true positives, false positives, false negatives, at 1 + 3c. */
lh_status lh__stat_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++) {
        int64_t target = lh__label_at(b->target, i), found;

        if (lh__is_ignored(m, target))
            continue;
        found = label(m, b, i, target);
        m->counts[1 + 3 * target + (found == target ? 0 : 2)]++;
        if (found != target)
            m->counts[1 + 3 * found + 1]++;
    }
    return LH_OK;
}

lh_status lh__confusion_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++) {
        int64_t target = lh__label_at(b->target, i);

        if (!lh__is_ignored(m, target))
            m->counts[1 + target * lh__n_classes(m) + label(m, b, i, target)]++;
    }
    return LH_OK;
}

lh_status lh__confusion_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    *out = (lh__meter_value){m->counts + 1, LH_I64, 2, {lh__n_classes(m), lh__n_classes(m)}};
    return LH_OK;
}

static double ratio(double a, double b) {
    return b != 0 ? a / b : 0;
}

/* A class's or all classes' counts to the number that the meter is. */
typedef struct stat {
    double tp, fp, fn;
} stat;
typedef double formula(stat s);

static double recall(stat s) {
    return ratio(s.tp, s.tp + s.fn);
}

static double precision(stat s) {
    return ratio(s.tp, s.tp + s.fp);
}

static double f1(stat s) {
    return ratio(2 * s.tp, 2 * s.tp + s.fn + s.fp);
}

static stat stat_of(const lh_meter *m, int64_t c) {
    const int64_t *n = m->counts + 1 + 3 * c;

    return (stat){(double)n[0], (double)n[1], (double)n[2]};
}

static lh_status average(lh_meter *m, formula *f, lh__meter_value *out) {
    stat all = {0};
    double sum = 0, weights = 0;

    if (m->options.classes == 1)
        return lh__give(m, f(stat_of(m, 1)), out);
    for (int64_t c = 0; c < m->options.classes; c++) {
        stat s = stat_of(m, c);
        /* macro: a class that is neither a target nor predicted is no class (torchmetrics looks at
         * targets alone when top_k is not 1) */
        double seen = m->options.top_k == 1 ? s.tp + s.fp + s.fn : s.tp + s.fn;
        double weight = m->options.average == LH_AVERAGE_WEIGHTED ? s.tp + s.fn : seen != 0;

        m->result[c] = f(s);
        sum += weight * m->result[c];
        weights += weight;
        all = (stat){all.tp + s.tp, all.fp + s.fp, all.fn + s.fn};
    }
    if (m->options.average == LH_AVERAGE_NONE)
        return lh__give_classes(m, out);
    return lh__give(m, m->options.average == LH_AVERAGE_MICRO ? f(all) : ratio(sum, weights), out);
}

/* Of classes: recall; of two told apart by one score: how many of both are right. */
lh_status lh__accuracy_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    stat zero = stat_of(m, 0), one = stat_of(m, 1);

    if (m->options.classes > 1)
        return average(m, recall, out);
    return lh__give(m, ratio(zero.tp + one.tp, zero.tp + one.tp + zero.fn + one.fn), out);
}

lh_status lh__precision_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    return average(m, precision, out);
}

lh_status lh__recall_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    return average(m, recall, out);
}

lh_status lh__f1_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    return average(m, f1, out);
}
