/* loss.c - the oracle's softmax, losses and accuracy, with their gradients.
 *
 * Invariant: a target outside [0, classes) is never followed; what depends on it becomes NaN.
 */
#include <math.h>

#include "kernels/ref/ref.h"

/* The lines of a view along one axis: line i begins at lh__view_offset(rows, i), and its elements
 * lie `stride` apart. */
typedef struct lines {
    lh__view rows;
    int64_t stride, length;
} lines;

static lines lines_of(const lh__view *v, int64_t axis) {
    lh__view inner;
    lines l;

    lh__view_split(v, 1u << axis, &l.rows, &inner);
    l.stride = inner.stride[0];
    l.length = inner.shape[0];
    return l;
}

/* Element j of line i. */
static double line_get(const lines *l, int64_t i, int64_t j) {
    return lh__load(&l->rows, lh__view_offset(&l->rows, i) + j * l->stride);
}

static double line_max(const lines *x, int64_t i) {
    double max = -INFINITY;

    for (int64_t j = 0; j < x->length; j++)
        max = fmax(max, line_get(x, i, j));
    return max;
}

/* sum(exp(x - max)) of line i. */
static double sum_exp(const lines *x, int64_t i, double max) {
    double sum = 0;

    for (int64_t j = 0; j < x->length; j++)
        sum += exp(line_get(x, i, j) - max);
    return sum;
}

void lh__ref_softmax(const lh__kernel_call *call) {
    lines x = lines_of(call->in[0], call->ints[0]), y = lines_of(call->out, call->ints[0]);
    bool logs = call->op == LH_OP_LOG_SOFTMAX;

    for (int64_t i = 0, n = lh__view_numel(&y.rows); i < n; i++) {
        int64_t to = lh__view_offset(&y.rows, i);
        double max = line_max(&x, i), sum = sum_exp(&x, i, max);

        for (int64_t j = 0; j < y.length; j++) {
            double z = line_get(&x, i, j) - max;

            lh__store(&y.rows, to + j * y.stride, logs ? z - log(sum) : exp(z) / sum);
        }
    }
}

void lh__ref_softmax_grad(const lh__kernel_call *call) {
    lines g = lines_of(call->in[0], call->ints[0]), y = lines_of(call->in[1], call->ints[0]);
    lines out = lines_of(call->out, call->ints[0]);

    for (int64_t i = 0, n = lh__view_numel(&out.rows); i < n; i++) {
        int64_t to = lh__view_offset(&out.rows, i);
        double dot = 0;

        for (int64_t j = 0; j < out.length; j++)
            dot += line_get(&g, i, j) * line_get(&y, i, j);
        for (int64_t j = 0; j < out.length; j++)
            lh__store(&out.rows, to + j * out.stride,
                      line_get(&y, i, j) * (line_get(&g, i, j) - dot));
    }
}

void lh__ref_log_softmax_grad(const lh__kernel_call *call) {
    lines g = lines_of(call->in[0], call->ints[0]), y = lines_of(call->in[1], call->ints[0]);
    lines out = lines_of(call->out, call->ints[0]);

    for (int64_t i = 0, n = lh__view_numel(&out.rows); i < n; i++) {
        int64_t to = lh__view_offset(&out.rows, i);
        double sum = 0;

        for (int64_t j = 0; j < out.length; j++)
            sum += line_get(&g, i, j);
        for (int64_t j = 0; j < out.length; j++)
            lh__store(&out.rows, to + j * out.stride,
                      line_get(&g, i, j) - exp(line_get(&y, i, j)) * sum);
    }
}

/* Target of row i, or -1 when it is none of the classes. */
static int64_t target_of(const lh__view *target, int64_t i, int64_t classes) {
    int64_t t = lh__load_int(target, lh__view_offset(target, i));

    return t >= 0 && t < classes ? t : -1;
}

void lh__ref_nll_loss(const lh__kernel_call *call) {
    const lh__view *logp = call->in[0];
    int64_t n = logp->shape[0], classes = logp->shape[1];
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t t = target_of(call->in[1], i, classes);

        sum -= t < 0 ? NAN : lh__get(logp, i * classes + t);
    }
    lh__set(call->out, 0, sum / (double)n);
}

void lh__ref_nll_grad(const lh__kernel_call *call) {
    int64_t n = call->ints[0], classes = call->ints[1];

    for (int64_t i = 0; i < n; i++) {
        int64_t t = target_of(call->in[1], i, classes);

        for (int64_t j = 0; j < classes; j++)
            lh__set(call->out, i * classes + j, j == t ? -lh__get(call->in[0], 0) / (double)n : 0);
    }
}

void lh__ref_cross_entropy(const lh__kernel_call *call) {
    const lh__view *logits = call->in[0];
    int64_t n = logits->shape[0], classes = logits->shape[1];
    lines x = lines_of(logits, 1);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t t = target_of(call->in[1], i, classes);
        double max = line_max(&x, i);

        sum += t < 0 ? NAN : log(sum_exp(&x, i, max)) - (line_get(&x, i, t) - max);
    }
    lh__set(call->out, 0, sum / (double)n);
}

void lh__ref_ce_grad(const lh__kernel_call *call) {
    const lh__view *logits = call->in[1];
    int64_t n = logits->shape[0], classes = logits->shape[1];
    double scale = lh__get(call->in[0], 0) / (double)n;
    lines x = lines_of(logits, 1);

    for (int64_t i = 0; i < n; i++) {
        int64_t t = target_of(call->in[2], i, classes);
        double max = line_max(&x, i), sum = sum_exp(&x, i, max);

        for (int64_t j = 0; j < classes; j++) {
            double p = exp(line_get(&x, i, j) - max) / sum;

            lh__set(call->out, i * classes + j, scale * (p - (j == t)));
        }
    }
}

void lh__ref_mse_loss(const lh__kernel_call *call) {
    int64_t n = lh__view_numel(call->in[0]);
    double sum = 0;

    for (int64_t i = 0; i < n; i++) {
        double d = lh__get(call->in[0], i) - lh__get(call->in[1], i);

        sum += d * d;
    }
    lh__set(call->out, 0, sum / (double)n);
}

static double bce_logits(double x, double t) {
    return (x <= 0 ? 0 : x) - x * t + log1p(exp(-fabs(x)));
}

void lh__ref_bce_with_logits(const lh__kernel_call *call) {
    int64_t n = lh__view_numel(call->in[0]);
    double sum = 0;

    for (int64_t i = 0; i < n; i++)
        sum += bce_logits(lh__get(call->in[0], i), lh__get(call->in[1], i));
    lh__set(call->out, 0, sum / (double)n);
}

void lh__ref_accuracy(const lh__kernel_call *call) {
    const lh__view *scores = call->in[0];
    int64_t n = scores->shape[0], classes = scores->shape[1];
    double hits = 0;

    for (int64_t i = 0; i < n; i++) {
        int64_t t = target_of(call->in[1], i, classes), best = 0;

        for (int64_t j = 1; j < classes; j++) {
            double s = lh__get(scores, i * classes + j), m = lh__get(scores, i * classes + best);

            if (s > m || (isnan(s) && !isnan(m)))
                best = j;
        }
        hits += t < 0 ? NAN : best == t;
    }
    lh__set(call->out, 0, hits / (double)n);
}

/* log(x), at least -100; of NaN NaN. */
static double log_above(double x) {
    return log(x) < -100 ? -100 : log(x);
}

static double bce(double p, double t) {
    return -(t * log_above(p) + (1 - t) * log_above(1 - p));
}

void lh__ref_bce(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++) {
        double a = lh__get(call->in[0], i), b = lh__get(call->in[1], i);

        lh__set(call->out, i, call->op == LH__OP_BCE ? bce(a, b) : bce_logits(a, b));
    }
}

void lh__ref_bce_grad(const lh__kernel_call *call) {
    for (int64_t i = 0, n = lh__view_numel(call->out); i < n; i++) {
        double g = lh__get(call->in[0], i), p = lh__get(call->in[1], i);
        double t = lh__get(call->in[2], i);

        lh__set(call->out, i, g * (p - t) / fmax(p * (1 - p), 1e-12));
    }
}
