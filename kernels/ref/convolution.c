/* convolution.c - the oracle's convolutions: every small position with every tap. */
#include "kernels/convolution.h"
#include "kernels/ref/ref.h"

/* Row-major number of (a, b, c) in extents e. */
static int64_t at3(const int64_t e[3], const int64_t i[3]) {
    return (i[0] * e[1] + i[1]) * e[2] + i[2];
}

/* Number of the large position that small position o meets at tap k; -1 in the padding. */
static int64_t meets(const lh__conv *g, int64_t o, int64_t k) {
    int64_t small[3], tap[3], large[3];

    lh__split3(g->small, o, small);
    lh__split3(g->kernel, k, tap);
    for (int32_t d = 0; d < 3; d++) {
        large[d] = small[d] * g->stride[d] - g->padding[d] + tap[d] * g->dilation[d];
        if (large[d] < 0 || large[d] >= g->large[d])
            return -1;
    }
    return at3(g->large, large);
}

/* Numbers of the elements that meet, for one image, a small and a large channel, of which the
 * group is the small one's. */
typedef struct planes {
    int64_t small, large, weight; /* of their first elements */
} planes;

static planes planes_of(const lh__conv *g, int64_t image, int64_t small_c, int64_t large_c) {
    int64_t small = g->small[0] * g->small[1] * g->small[2];
    int64_t large = g->large[0] * g->large[1] * g->large[2], group = small_c / g->small_c;

    return (planes){
        .small = (image * g->groups * g->small_c + small_c) * small,
        .large = ((image * g->groups + group) * g->large_c + large_c) * large,
        .weight = (small_c * g->large_c + large_c) * g->taps,
    };
}

/* Elements i and j of the inputs as the call takes products; only those of float32 are rounded. */
static double product(const lh__kernel_call *call, int64_t i, int64_t j) {
    return lh__ref_product(call->out->dtype == LH_F32 ? call->products : LH__PRODUCTS_F32,
                           lh__get(call->in[0], i), lh__get(call->in[1], j));
}

static double conv_at(const lh__kernel_call *call, const lh__conv *g, int64_t image, int64_t c,
                      int64_t o) {
    double sum = call->n_in > 2 ? lh__get(call->in[2], c) : 0;

    for (int64_t l = 0; l < g->large_c; l++)
        for (int64_t k = 0; k < g->taps; k++) {
            planes p = planes_of(g, image, c, l);
            int64_t at = meets(g, o, k);

            if (at >= 0)
                sum += product(call, p.large + at, p.weight + k);
        }
    return sum;
}

void lh__ref_conv(const lh__kernel_call *call) {
    lh__conv g = lh__conv_of(call);
    int64_t positions = g.small[0] * g.small[1] * g.small[2], y = 0;

    for (int64_t image = 0; image < g.batch; image++)
        for (int64_t c = 0; c < g.groups * g.small_c; c++)
            for (int64_t o = 0; o < positions; o++)
                lh__set(call->out, y++, conv_at(call, &g, image, c, o));
}

/* The large position's number and tap give the small position that meets it, -1 when none does. */
static int64_t met_by(const lh__conv *g, int64_t at, int64_t k) {
    int64_t large[3], tap[3], small[3];

    lh__split3(g->large, at, large);
    lh__split3(g->kernel, k, tap);
    for (int32_t d = 0; d < 3; d++) {
        int64_t steps = large[d] + g->padding[d] - tap[d] * g->dilation[d];

        if (steps < 0 || steps % g->stride[d] || steps / g->stride[d] >= g->small[d])
            return -1;
        small[d] = steps / g->stride[d];
    }
    return at3(g->small, small);
}

static double transpose_at(const lh__kernel_call *call, const lh__conv *g, int64_t image,
                           int64_t group, int64_t c, int64_t at) {
    double sum = call->n_in > 2 ? lh__get(call->in[2], group * g->large_c + c) : 0;

    for (int64_t s = group * g->small_c; s < (group + 1) * g->small_c; s++)
        for (int64_t k = 0; k < g->taps; k++) {
            planes p = planes_of(g, image, s, c);
            int64_t o = met_by(g, at, k);

            if (o >= 0)
                sum += product(call, p.small + o, p.weight + k);
        }
    return sum;
}

void lh__ref_conv_transpose(const lh__kernel_call *call) {
    lh__conv g = lh__conv_of(call);
    int64_t positions = g.large[0] * g.large[1] * g.large[2], y = 0;

    for (int64_t image = 0; image < g.batch; image++)
        for (int64_t group = 0; group < g.groups; group++)
            for (int64_t c = 0; c < g.large_c; c++)
                for (int64_t at = 0; at < positions; at++)
                    lh__set(call->out, y++, transpose_at(call, &g, image, group, c, at));
}

static double weight_grad_at(const lh__kernel_call *call, const lh__conv *g, int64_t small_c,
                             int64_t large_c, int64_t k) {
    int64_t positions = g->small[0] * g->small[1] * g->small[2];
    double sum = 0;

    for (int64_t image = 0; image < g->batch; image++)
        for (int64_t o = 0; o < positions; o++) {
            planes p = planes_of(g, image, small_c, large_c);
            int64_t at = meets(g, o, k);

            if (at >= 0)
                sum += product(call, p.small + o, p.large + at);
        }
    return sum;
}

void lh__ref_conv_weight_grad(const lh__kernel_call *call) {
    lh__conv g = lh__conv_of(call);
    int64_t y = 0;

    for (int64_t s = 0; s < g.groups * g.small_c; s++)
        for (int64_t l = 0; l < g.large_c; l++)
            for (int64_t k = 0; k < g.taps; k++)
                lh__set(call->out, y++, weight_grad_at(call, &g, s, l, k));
}
