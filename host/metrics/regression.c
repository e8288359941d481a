/* regression.c - mean, MSE, MAE, R2 and perplexity: sums over elements, one after the other.
 *
 * counts[1] is the number of elements that counted.
 */
#include <math.h>

#include "metrics/kind.h"

lh_status lh__mean_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++)
        m->sums[0] += lh__real_at(b->scores, i);
    m->counts[1] += b->n;
    return LH_OK;
}

lh_status lh__mse_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++) {
        double d = lh__real_at(b->scores, i) - lh__real_at(b->target, i);

        m->sums[0] += d * d;
    }
    m->counts[1] += b->n;
    return LH_OK;
}

lh_status lh__mae_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++)
        m->sums[0] += fabs(lh__real_at(b->scores, i) - lh__real_at(b->target, i));
    m->counts[1] += b->n;
    return LH_OK;
}

lh_status lh__mean_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    return lh__give(m, m->sums[0] / (double)m->counts[1], out);
}

/* sums: squared residuals; the targets' mean and their squared deviations from it (Welford 1962),
 * which are exactly 0 for targets that are all the same. */
lh_status lh__r2_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++) {
        double y = lh__real_at(b->target, i), residual = lh__real_at(b->scores, i) - y;
        double d = y - m->sums[1];

        m->sums[0] += residual * residual;
        m->sums[1] += d / (double)++m->counts[1];
        m->sums[2] += d * (y - m->sums[1]);
    }
    return LH_OK;
}

/* 1 - residuals / deviations; without residuals 1, without deviations 0. */
lh_status lh__r2_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    double rss = m->sums[0], tss = m->sums[2];

    if (m->counts[1] < 2)
        return lh__fail(e, LH_ESTATE, "meter \"%s\": R2 needs two elements at least, and got %lld",
                        m->options.name, (long long)m->counts[1]);
    return lh__give(m, rss == 0 ? 1 : tss == 0 ? 0 : 1 - rss / tss, out);
}

/* -log softmax(logits)[target] */
static double surprise(const lh__batch_of *b, int64_t i, int64_t target) {
    double most = -INFINITY, sum = 0;

    for (int64_t k = 0; k < b->classes; k++)
        most = fmax(most, lh__score(b, i, k));
    for (int64_t k = 0; k < b->classes; k++)
        sum += exp(lh__score(b, i, k) - most);
    return log(sum) + most - lh__score(b, i, target);
}

lh_status lh__perplexity_update(lh_meter *m, const lh__batch_of *b, lh__error *e) {
    for (int64_t i = 0; i < b->n; i++) {
        int64_t target = lh__label_at(b->target, i);

        if (lh__is_ignored(m, target))
            continue;
        m->sums[0] += surprise(b, i, target);
        m->counts[1]++;
    }
    return LH_OK;
}

lh_status lh__perplexity_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    return lh__give(m, exp(m->sums[0] / (double)m->counts[1]), out);
}
