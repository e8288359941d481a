/* ranking.c - AUROC, the area under the curve of true against false positives, exactly: the share
 * of pairs of a positive and a negative that the scores order rightly, an equal pair counting half
 * (Hanley and McNeil 1982). As in torchmetrics it is 0 where there are no such pairs.
 */
#include <math.h>
#include <stdlib.h>

#include "metrics/kind.h"

/* A row's scores as probabilities: sigmoid of one, softmax of several. */
static void normalize(double *row, int64_t n) {
    double most = row[0], sum = 0;

    if (n == 1) {
        row[0] = 1 / (1 + exp(-row[0]));
        return;
    }
    for (int64_t k = 1; k < n; k++)
        most = fmax(most, row[k]);
    for (int64_t k = 0; k < n; k++)
        sum += row[k] = exp(row[k] - most);
    for (int64_t k = 0; k < n; k++)
        row[k] /= sum;
}

lh_status lh__auroc_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    int64_t before = m->rows, classes = m->options.classes, rows = before;

    if (lh__meter_resize(m, before + b->n, e) != LH_OK)
        return e->code;
    for (int64_t i = 0; i < b->n; i++) {
        int64_t target = lh__label_at(b->target, i);
        double *row = m->scores + rows * classes;

        if (lh__is_ignored(m, target))
            continue;
        for (int64_t k = 0; k < classes; k++)
            row[k] = lh__score(b, i, k);
        if (b->are_logits)
            normalize(row, classes);
        m->targets[rows++] = target;
    }
    m->rows = rows;
    return LH_OK;
}

typedef struct sample {
    double score;
    int64_t is_positive;
} sample;

static int by_score(const void *a, const void *b) {
    double x = ((const sample *)a)->score, y = ((const sample *)b)->score;

    return (x > y) - (x < y);
}

/* Twice the pairs in the right order are counted in whole numbers. */
static double area(sample *s, int64_t n) {
    int64_t positives = 0, negatives = 0;
    double twice = 0;

    qsort(s, (size_t)n, sizeof *s, by_score);
    for (int64_t i = 0; i < n;) {
        int64_t p = 0, q = 0;

        for (double score = s[i].score; i < n && s[i].score == score; i++) {
            p += s[i].is_positive;
            q += !s[i].is_positive;
        }
        twice += (double)p * (double)(2 * negatives + q);
        positives += p;
        negatives += q;
    }
    return positives && negatives ? twice / 2 / (double)positives / (double)negatives : 0;
}

/* Class k against all others, into result[k]. */
static void areas(lh_meter *m, sample *s) {
    int64_t classes = m->options.classes;

    for (int64_t k = 0; k < classes; k++) {
        for (int64_t i = 0; i < m->rows; i++)
            s[i] = (sample){m->scores[i * classes + k], m->targets[i] == (classes == 1 ? 1 : k)};
        m->result[k] = area(s, m->rows);
    }
}

lh_status lh__auroc_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    sample *s = malloc(((size_t)m->rows + 1) * sizeof *s);
    int64_t classes = m->options.classes;
    double sum = 0;

    if (!s)
        return lh__fail(e, LH_ENOMEM, "meter \"%s\": out of memory", m->options.name);
    areas(m, s);
    free(s);
    if (m->options.average == LH_AVERAGE_NONE && classes > 1)
        return lh__give_classes(m, out);
    if (m->options.average == LH_AVERAGE_WEIGHTED && classes > 1) {
        for (int64_t i = 0; i < m->rows; i++)
            sum += m->result[m->targets[i]];
        return lh__give(m, m->rows ? sum / (double)m->rows : 0, out);
    }
    for (int64_t k = 0; k < classes; k++)
        sum += m->result[k];
    return lh__give(m, sum / (double)classes, out);
}
