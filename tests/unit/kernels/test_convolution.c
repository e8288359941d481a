/* test_convolution.c - convolutions agree with the oracle's sums: strides, padding, dilation,
 * groups, one to three axes, channels that fill no register; what runs after them sees every result
 * once, final; how far rounding may take them. */
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

#include "kernels/convolution.h"
#include "operands.h"

/* One problem: x (n, groups c, size...), weight (groups out, c, kernel...). */
typedef struct problem {
    int32_t axes;
    int64_t n, groups, c, out, size[3], kernel[3], stride[3], padding[3], dilation[3];
} problem;

static int64_t extent(const problem *p, int32_t d) {
    return (p->size[d] + 2 * p->padding[d] - p->dilation[d] * (p->kernel[d] - 1) - 1) /
               p->stride[d] +
           1;
}

typedef struct shapes {
    int64_t x[5], w[5], y[5];
    double taps, positions;
} shapes;

static shapes shapes_of(const problem *p) {
    shapes s = {{p->n, p->groups * p->c},
                {p->groups * p->out, p->c},
                {p->n, p->groups * p->out},
                .taps = 1,
                .positions = (double)p->n};

    for (int32_t d = 0; d < p->axes; d++) {
        s.x[2 + d] = p->size[d];
        s.w[2 + d] = p->kernel[d];
        s.y[2 + d] = extent(p, d);
        s.taps *= (double)p->kernel[d];
        s.positions *= (double)s.y[2 + d];
    }
    return s;
}

/* The integers of CONV, or of CONV_TRANSPOSE from the small side to one of p's size. */
static void set_ints(trial *t, const problem *p, bool transpose) {
    int32_t n = 0;

    for (int32_t d = 0; d < p->axes; d++)
        t->ints[n++] = p->stride[d];
    for (int32_t d = 0; d < p->axes; d++)
        t->ints[n++] = p->padding[d];
    for (int32_t d = 0; d < p->axes && transpose; d++)
        t->ints[n++] = p->size[d] - ((extent(p, d) - 1) * p->stride[d] - 2 * p->padding[d] +
                                     p->dilation[d] * (p->kernel[d] - 1) + 1);
    for (int32_t d = 0; d < p->axes; d++)
        t->ints[n++] = p->dilation[d];
    t->ints[n++] = p->groups;
    t->call.n_ints = n;
}

/* Products of numbers in [-3, 3]: how far a sum of n of them may be off, in epsilons. */
static void allow(trial *t, double n) {
    t->ulps = 8;
    t->size = 3 + n;
}

/* Which of the three operators, and what it takes. */
static trial trial_for(const problem *p, uint32_t op, int32_t dtype, bool bias) {
    const shapes s = shapes_of(p);
    const int32_t ndim = p->axes + 2;
    const int64_t *first = op == LH_OP_CONV ? s.x : s.y;
    const int64_t *second = op == LH__OP_CONV_WEIGHT_GRAD ? s.x : s.w;
    const int64_t *out = op == LH_OP_CONV ? s.y : op == LH_OP_CONV_TRANSPOSE ? s.x : s.w;
    static lh__view in[3];
    trial t = trial_of(op, bias ? 3 : 2, dtype, ndim, out);

    in[0] = operand(dtype, ndim, first, CONTIGUOUS);
    in[1] = operand(dtype, ndim, second, CONTIGUOUS);
    in[2] = operand(dtype, 1, out + 1, CONTIGUOUS);
    for (int32_t i = 0; i < 3; i++)
        t.in[i] = &in[i];
    set_ints(&t, p, op == LH_OP_CONV_TRANSPOSE);
    if (op == LH__OP_CONV_WEIGHT_GRAD)
        for (int32_t d = 0; d < ndim; d++)
            t.ints[t.call.n_ints++] = out[d];
    allow(&t, op == LH_OP_CONV             ? (double)p->c * s.taps
              : op == LH_OP_CONV_TRANSPOSE ? (double)p->out * s.taps
                                           : s.positions);
    return t;
}

static const uint32_t operators[] = {LH_OP_CONV, LH_OP_CONV_TRANSPOSE, LH__OP_CONV_WEIGHT_GRAD};

/* Returns in how many ways operands may have their channels last. */
static int check(const problem *p, int32_t dtype, const char *what) {
    int ways = 0;

    for (int k = 0; k < 3; k++) {
        trial t = trial_for(p, operators[k], dtype, k < 2 && draw_below(2));

        expect_agreement(&t, what);
        ways += expect_channels_last(&t, what);
    }
    return ways;
}

static problem square(int64_t n, int64_t c, int64_t height, int64_t width, int64_t out,
                      int64_t kernel, int64_t stride, int64_t padding) {
    return (problem){.axes = 2,
                     .n = n,
                     .groups = 1,
                     .c = c,
                     .out = out,
                     .size = {height, width},
                     .kernel = {kernel, kernel},
                     .stride = {stride, stride},
                     .padding = {padding, padding},
                     .dilation = {1, 1}};
}

Test(convolution, agrees_on_random_shapes) {
    static const int64_t channels[] = {1, 2, 3, 7, 16, 17};
    static const int64_t kernels[] = {1, 2, 3, 4, 5};

    for (int round = 0; round < 40; round++) {
        problem p = {.axes = 1 + (int32_t)draw_below(3), .n = 1 + draw_below(3)};

        p.groups = draw_below(4) ? 1 : 1 + draw_below(3);
        p.c = channels[draw_below(p.axes == 3 ? 3 : 6)];
        p.out = channels[draw_below(p.axes == 3 ? 3 : 6)];
        for (int32_t d = 0; d < p.axes; d++) {
            p.kernel[d] = kernels[draw_below(p.axes == 3 ? 3 : 5)];
            p.stride[d] = 1 + draw_below(3);
            p.padding[d] = draw_below(3);
            p.dilation[d] = 1 + draw_below(2);
            p.size[d] = p.dilation[d] * (p.kernel[d] - 1) + 1 + draw_below(p.axes == 3 ? 3 : 9);
        }
        check(&p, round % 4 ? LH_F32 : LH_F64, "random shape");
    }
}

/* The oracle rounds the operands too: what is left is the rounding of sums. */
Test(convolution, agrees_with_rounded_operands) {
    static const int64_t channels[] = {1, 3, 16, 40, 70};

    for (int round = 0; round < 10; round++) {
        problem p =
            square(1 + draw_below(2), channels[draw_below(5)], 3 + draw_below(7), 3 + draw_below(7),
                   channels[draw_below(5)], 1 + draw_below(3), 1 + draw_below(2), draw_below(2));

        for (int k = 0; k < 3; k++) {
            trial t = trial_for(&p, operators[k], LH_F32, k < 2 && draw_below(2));

            t.call.products = round % 3 ? LH__PRODUCTS_BF16 : LH__PRODUCTS_F16;
            expect_agreement(&t, "rounded operands");
            expect_channels_last(&t, "rounded operands");
            expect_after(&t, "rounded operands");
        }
    }
}

/* The kinds that have loops of their own, with sides and channels that leave remainders. */
Test(convolution, agrees_on_3x3_of_stride_1) {
    static const int64_t channels[] = {16, 17, 40};

    for (int round = 0; round < 12; round++) {
        problem p = square(1 + draw_below(3), channels[draw_below(3)], 2 + draw_below(7),
                           2 + draw_below(7), channels[draw_below(3)], 3, 1, draw_below(3));

        if (extent(&p, 0) > 1 && extent(&p, 1) > 1)
            cr_assert_gt(check(&p, LH_F32, "3x3"), 0);
    }
}

Test(convolution, agrees_on_what_networks_have) {
    const problem problems[] = {
        square(1, 3, 32, 32, 20, 3, 1, 1),  square(1, 20, 16, 16, 20, 3, 1, 1),
        square(2, 32, 8, 8, 70, 3, 2, 1),   square(2, 64, 8, 8, 130, 1, 2, 0),
        square(1, 140, 4, 4, 70, 3, 1, 1),  square(2, 1, 28, 28, 32, 5, 1, 0),
        square(1, 32, 12, 12, 16, 5, 1, 0), square(2, 32, 14, 14, 20, 4, 2, 1),
        square(2, 1, 28, 28, 32, 4, 2, 1),
    };
    const problem product = square(2, 64, 7, 7, 1, 7, 1, 0);

    for (size_t i = 0; i < sizeof problems / sizeof *problems; i++)
        cr_assert_gt(check(&problems[i], LH_F32, "network"), 0);
    check(&product, LH_F32, "one position");
}

/* Small planes under large kernels: most of what their gradient looks at is padding. */
Test(convolution, agrees_where_padding_is_most) {
    static const int64_t channels[] = {12, 33, 70, 140};

    for (int round = 0; round < 24; round++) {
        const int64_t kernel = 3 + draw_below(4), stride = 1 + draw_below(3);
        problem p = square(1 + draw_below(4), channels[draw_below(4)], kernel + draw_below(7),
                           kernel + draw_below(7), channels[draw_below(4)], kernel, stride,
                           draw_below(kernel));

        p.dilation[1] = 1 + draw_below(2);
        p.size[1] += (p.dilation[1] - 1) * (kernel - 1);
        check(&p, LH_F32, "mostly padding");
    }
}

Test(convolution, what_runs_after_sees_every_result_once) {
    static const int64_t channels[] = {1, 3, 16, 33, 70};
    for (int round = 0; round < 30; round++) {
        problem p = square(1 + draw_below(4), channels[draw_below(5)], 3 + draw_below(17),
                           3 + draw_below(17), channels[draw_below(5)], 1 + draw_below(3),
                           1 + draw_below(2), draw_below(2));

        for (int k = 0; k < 2; k++) {
            trial t = trial_for(&p, operators[k], LH_F32, draw_below(2));

            expect_after(&t, "convolution");
        }
    }
}

/* Root of the mean square of the difference, of that of `want`. */
static double relative_error(const lh__view *got, const double *want, double *norm) {
    double error = 0;

    *norm = 0;
    for (int64_t i = 0, n = lh__view_numel(got); i < n; i++) {
        error += (at(got, i) - want[i]) * (at(got, i) - want[i]);
        *norm += want[i] * want[i];
    }
    return sqrt(error / *norm);
}

/* One element after the other in F32, as a plain loop adds them: what rounding may cost. */
static double plain_error(const problem *p, const trial *t, const double *want) {
    const float *x = t->in[0]->data, *w = t->in[1]->data;
    double error = 0, norm = 0;
    int64_t size = p->size[0], y = 0;

    for (int64_t n = 0; n < p->n; n++)
        for (int64_t o = 0; o < p->out; o++)
            for (int64_t i = 0; i < size; i++)
                for (int64_t j = 0; j < size; j++, y++) {
                    float sum = 0;

                    for (int64_t c = 0; c < p->c; c++)
                        for (int64_t k = 0; k < 9; k++) {
                            int64_t a = i + k / 3 - 1, b = j + k % 3 - 1;

                            if (a >= 0 && a < size && b >= 0 && b < size)
                                sum = fmaf(x[((n * p->c + c) * size + a) * size + b],
                                           w[(o * p->c + c) * 9 + k], sum);
                        }
                    error += ((double)sum - want[y]) * ((double)sum - want[y]);
                    norm += want[y] * want[y];
                }
    return sqrt(error / norm);
}

Test(convolution, of_3x3_rounds_no_worse_than_a_plain_loop) {
    const int64_t channels[] = {16, 64, 200};
    lh__pool *pool = lh__pool_new(1);

    for (int k = 0; k < 3; k++) {
        problem p = square(1, channels[k], 8, 8, 16, 3, 1, 1);
        trial t = trial_for(&p, LH_OP_CONV, LH_F32, false), wide;
        lh__view x64, w64, want, got;
        double *exact, norm;

        x64 = operand(LH_F64, 4, t.in[0]->shape, CONTIGUOUS);
        w64 = operand(LH_F64, 4, t.in[1]->shape, CONTIGUOUS);
        for (int64_t i = 0; i < lh__view_numel(&x64); i++)
            put(&x64, i, at(t.in[0], i));
        for (int64_t i = 0; i < lh__view_numel(&w64); i++)
            put(&w64, i, at(t.in[1], i));
        wide = t;
        wide.out.dtype = LH_F64;
        wide.in[0] = &x64, wide.in[1] = &w64;
        want = run_trial(&wide, lh__device_ref(), NULL);
        got = run_trial(&t, lh__device_cpu(), pool);
        exact = want.data;
        cr_assert_lt(relative_error(&got, exact, &norm), 1.25 * plain_error(&p, &t, exact));
    }
    lh__pool_free(pool);
}
