/* normalization.c - the oracle's normalization over channels and over rows, with its gradients.
 *
 * Invariant: variances are biased, taken in two passes, and eps is added under the root.
 */
#include <math.h>

#include "kernels/ref/ref.h"

/* x (n, channels, inner...) in row-major numbers: element j of channel c, j < count. */
typedef struct channels {
    int64_t channels, inner, count;
} channels;

static channels channels_of(const lh__view *x) {
    channels s = {.channels = x->shape[1], .inner = 1};

    for (int32_t d = 2; d < x->ndim; d++)
        s.inner *= x->shape[d];
    s.count = x->shape[0] * s.inner;
    return s;
}

static int64_t number_of(const channels *s, int64_t c, int64_t j) {
    return (j / s->inner * s->channels + c) * s->inner + j % s->inner;
}

void lh__ref_channel_moments(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    channels s = channels_of(x);

    for (int64_t c = 0; c < s.channels; c++) {
        double mean = 0, var = 0;

        for (int64_t j = 0; j < s.count; j++)
            mean += lh__get(x, number_of(&s, c, j)) / (double)s.count;
        for (int64_t j = 0; j < s.count; j++)
            var += pow(lh__get(x, number_of(&s, c, j)) - mean, 2) / (double)s.count;
        lh__set(call->out, c, mean);
        lh__set(call->out, s.channels + c, var);
    }
}

/* 1 / sqrt(variance + eps) of channel c. */
static double scale_of(const lh__kernel_call *call, const lh__view *moments, int64_t c) {
    return 1 / sqrt(lh__get(moments, moments->shape[1] + c) + call->reals[0]);
}

void lh__ref_channel_norm(const lh__kernel_call *call) {
    const lh__view *x = call->in[0], *moments = call->in[1];
    channels s = channels_of(x);

    for (int64_t c = 0; c < s.channels; c++) {
        double r = scale_of(call, moments, c), mean = lh__get(moments, c);
        double weight = call->n_in > 2 ? lh__get(call->in[2], c) : 1;
        double bias = call->n_in > 2 ? lh__get(call->in[3], c) : 0;

        for (int64_t j = 0; j < s.count; j++) {
            int64_t i = number_of(&s, c, j);

            lh__set(call->out, i, (lh__get(x, i) - mean) * r * weight + bias);
        }
    }
}

void lh__ref_channel_sums(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *x = call->in[1], *moments = call->in[2];
    channels s = channels_of(x);

    for (int64_t c = 0; c < s.channels; c++) {
        double r = scale_of(call, moments, c), mean = lh__get(moments, c), along = 0, sum = 0;

        for (int64_t j = 0; j < s.count; j++) {
            int64_t i = number_of(&s, c, j);

            along += lh__get(g, i) * (lh__get(x, i) - mean) * r;
            sum += lh__get(g, i);
        }
        lh__set(call->out, c, along);
        lh__set(call->out, s.channels + c, sum);
    }
}

/* weight / std (g - mean(g) - x^ mean(g x^)) */
void lh__ref_channel_norm_grad(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *x = call->in[1], *moments = call->in[2], *sums = call->in[3];
    channels s = channels_of(x);

    for (int64_t c = 0; c < s.channels; c++) {
        double r = scale_of(call, moments, c), mean = lh__get(moments, c);
        double along = lh__get(sums, c) / (double)s.count;
        double sum = lh__get(sums, s.channels + c) / (double)s.count;
        double weight = call->n_in > 4 ? lh__get(call->in[4], c) : 1;

        for (int64_t j = 0; j < s.count; j++) {
            int64_t i = number_of(&s, c, j);
            double hat = (lh__get(x, i) - mean) * r;

            lh__set(call->out, i, weight * r * (lh__get(g, i) - sum - hat * along));
        }
    }
}

/* Rows: the last axes of x as one. */
static int64_t columns_of(const lh__view *x, int64_t axes) {
    int64_t columns = 1;

    for (int32_t d = x->ndim - (int32_t)axes; d < x->ndim; d++)
        columns *= x->shape[d];
    return columns;
}

/* What row `row` of x is normalized with: (x - mean) scale. */
typedef struct moments {
    double mean, scale;
} moments;

static moments moments_of(const lh__view *x, int64_t row, int64_t columns, bool rms, double eps) {
    moments m = {0, 0};
    double squares = 0;

    for (int64_t j = 0; j < columns && !rms; j++)
        m.mean += lh__get(x, row * columns + j) / (double)columns;
    for (int64_t j = 0; j < columns; j++)
        squares += pow(lh__get(x, row * columns + j) - m.mean, 2);
    m.scale = 1 / sqrt(squares / (double)columns + eps);
    return m;
}

void lh__ref_layer_norm(const lh__kernel_call *call) {
    const lh__view *x = call->in[0];
    int64_t columns = columns_of(x, call->ints[0]), n = lh__view_numel(x);

    for (int64_t row = 0; row * columns < n; row++) {
        moments m = moments_of(x, row, columns, call->op == LH_OP_RMS_NORM, call->reals[0]);

        for (int64_t j = 0; j < columns; j++) {
            double hat = (lh__get(x, row * columns + j) - m.mean) * m.scale;

            hat *= call->n_in > 1 ? lh__get(call->in[1], j) : 1;
            lh__set(call->out, row * columns + j,
                    hat + (call->n_in > 2 ? lh__get(call->in[2], j) : 0));
        }
    }
}

/* scale (g w - mean(g w) - x^ mean(g w x^)); RMS_NORM has no mean(g w). */
void lh__ref_layer_norm_grad(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *x = call->in[1];
    int64_t columns = columns_of(x, call->ints[0]), n = lh__view_numel(x);
    bool rms = call->op == LH__OP_RMS_NORM_GRAD;

    for (int64_t row = 0; row * columns < n; row++) {
        moments m = moments_of(x, row, columns, rms, call->reals[0]);
        double sum = 0, along = 0;

        for (int64_t j = 0; j < columns; j++) {
            int64_t i = row * columns + j;
            double gw = lh__get(g, i) * (call->n_in > 2 ? lh__get(call->in[2], j) : 1);

            sum += rms ? 0 : gw / (double)columns;
            along += gw * (lh__get(x, i) - m.mean) * m.scale / (double)columns;
        }
        for (int64_t j = 0; j < columns; j++) {
            int64_t i = row * columns + j;
            double gw = lh__get(g, i) * (call->n_in > 2 ? lh__get(call->in[2], j) : 1);
            double hat = (lh__get(x, i) - m.mean) * m.scale;

            lh__set(call->out, i, m.scale * (gw - sum - hat * along));
        }
    }
}

void lh__ref_row_sums(const lh__kernel_call *call) {
    const lh__view *g = call->in[0], *x = call->in[1], *y = call->out;
    int64_t columns = y->shape[2], parts = y->shape[0];
    int64_t rows = columns ? lh__view_numel(x) / columns : 0;

    for (int64_t i = 0; i < 2 * parts * columns; i++)
        lh__set(y, i, 0);
    for (int64_t row = 0; row < rows; row++) {
        moments m = moments_of(x, row, columns, call->ints[1] != 0, call->reals[0]);

        for (int64_t j = 0; j < columns; j++) {
            int64_t i = row * columns + j, to = row * parts / rows * 2 * columns + j;
            double hat = (lh__get(x, i) - m.mean) * m.scale;

            lh__set(y, to, lh__get(y, to) + lh__get(g, i) * hat);
            lh__set(y, to + columns, lh__get(y, to + columns) + lh__get(g, i));
        }
    }
}
