/* init.c - how parameters start: the definitions of torch.nn.init over counter-based numbers.
 *
 * Invariant: element i depends on the key, i, the shape and the options only (of an orthogonal
 * matrix: on all elements).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/params.h"
#include "kernels/view.h"

/* A tensor being filled. */
typedef struct fill {
    const lh_init *init;
    lh__philox_key key;
    int32_t dtype, ndim;
    const int64_t *shape;
    void *data;
    int64_t numel;
    const lh__device *device;
    lh__pool *pool;
    lh__error *err;
} fill;

static void put(const fill *f, int64_t i, double value) {
    if (f->dtype == LH_F64)
        ((double *)f->data)[i] = value;
    else
        ((float *)f->data)[i] = (float)value;
}

/* By the device's kernel, UNIFORM or NORMAL, whose elements are lh__philox_uniform's and
 * lh__philox_normal's of the key, scaled. */
static lh_status draw(const fill *f, uint32_t op, double a, double b) {
    const lh__view out = lh__line(f->dtype, f->data, f->numel);

    f->device->kernels[op](&(lh__kernel_call){.op = op,
                                              .n_reals = 2,
                                              .out = &out,
                                              .reals = (const double[]){a, b},
                                              .key = f->key,
                                              .pool = f->pool});
    return LH_OK;
}

static lh_status fill_uniform(const fill *f, double lo, double hi) {
    return draw(f, LH_OP_UNIFORM, lo, hi);
}

static lh_status fill_normal(const fill *f, double mean, double std) {
    return draw(f, LH_OP_NORMAL, mean, std);
}

static lh_status constant(const fill *f) {
    for (int64_t i = 0; i < f->numel; i++)
        put(f, i, f->init->a);
    return LH_OK;
}

static lh_status uniform(const fill *f) {
    if (!(f->init->a <= f->init->b))
        return lh__fail(f->err, LH_EINVAL, "uniform: %g is above %g", f->init->a, f->init->b);
    return fill_uniform(f, f->init->a, f->init->b);
}

static lh_status fan_uniform(const fill *f) {
    double bound = 1 / sqrt(f->init->a);

    if (!(f->init->a >= 1))
        return lh__fail(f->err, LH_EINVAL, "fan_uniform: a fan-in of %g is below 1", f->init->a);
    return fill_uniform(f, -bound, bound);
}

static lh_status normal(const fill *f) {
    if (!(f->init->b >= 0.0))
        return lh__fail(f->err, LH_EINVAL, "normal: standard deviation %g is negative", f->init->b);
    return fill_normal(f, f->init->a, f->init->b);
}

static double normal_cdf(double x) {
    return 0.5 * erfc(-x * M_SQRT1_2);
}

/* Inverse of normal_cdf: within 5e-4 by Abramowitz and Stegun, 26.2.23, then Newton's method. */
static double normal_quantile(double p) {
    const double tail = p < 0.5 ? p : 1.0 - p, t = sqrt(-2.0 * log(tail > 0.0 ? tail : 1e-300));
    double x = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));

    x = p < 0.5 ? -x : x;
    for (int i = 0; i < 3; i++) {
        double density = exp(-0.5 * x * x) * 0.5 * M_2_SQRTPI * M_SQRT1_2;

        if (density > 0.0)
            x -= (normal_cdf(x) - p) / density;
    }
    return x;
}

/* The inverse of the distribution at a uniform number between the distribution's at the bounds. */
static lh_status trunc_normal(const fill *f) {
    double mean = f->init->a, std = f->init->b, lo = f->init->lo, hi = f->init->hi, from, to;

    if (lo == 0.0 && hi == 0.0)
        lo = -2.0, hi = 2.0;
    if (!(std > 0.0) || !(lo < hi))
        return lh__fail(f->err, LH_EINVAL,
                        "truncated normal: needs a positive standard deviation "
                        "and bounds in order, not %g and %g ... %g",
                        std, lo, hi);
    from = normal_cdf((lo - mean) / std);
    to = normal_cdf((hi - mean) / std);
    for (int64_t i = 0; i < f->numel; i++) {
        double u = lh__philox_uniform(f->key, (uint64_t)i) + 0x1p-25;
        double x = mean + std * normal_quantile(from + (to - from) * u);

        put(f, i, x < lo ? lo : x > hi ? hi : x);
    }
    return LH_OK;
}

/* Fans of (out, in, receptive field ...). */
static lh_status fans(const fill *f, double *in, double *out) {
    double field = 1.0;

    if (f->ndim < 2)
        return lh__fail(f->err, LH_ESHAPE,
                        "this initialiser needs at least two axes, (out, in); "
                        "use a uniform or normal one");
    for (int32_t d = 2; d < f->ndim; d++)
        field *= (double)f->shape[d];
    *in = (double)f->shape[1] * field;
    *out = (double)f->shape[0] * field;
    return LH_OK;
}

/* torch.nn.init.calculate_gain */
static double gain(const lh_init *init) {
    switch (init->nonlinearity) {
    case LH_LEAKY_RELU_GAIN:
        return sqrt(2.0 / (1.0 + init->a * init->a));
    case LH_RELU_GAIN:
        return M_SQRT2;
    case LH_TANH_GAIN:
        return 5.0 / 3.0;
    case LH_LINEAR_GAIN:
        return 1.0;
    }
    return NAN;
}

static lh_status xavier(const fill *f) {
    double in = 0.0, out = 0.0, std;
    lh_status status = fans(f, &in, &out);

    if (status != LH_OK)
        return status;
    std = f->init->a * sqrt(2.0 / (in + out));
    return f->init->kind == LH_INIT_XAVIER_NORMAL
               ? fill_normal(f, 0.0, std)
               : fill_uniform(f, -sqrt(3.0) * std, sqrt(3.0) * std);
}

static lh_status kaiming(const fill *f) {
    double in = 0.0, out = 0.0, std;
    lh_status status = fans(f, &in, &out);

    if (status != LH_OK)
        return status;
    if (f->init->nonlinearity > LH_LINEAR_GAIN || f->init->mode > LH_FAN_OUT)
        return lh__fail(f->err, LH_EINVAL, "kaiming: unknown nonlinearity %u or mode %u",
                        f->init->nonlinearity, f->init->mode);
    std = gain(f->init) / sqrt(f->init->mode == LH_FAN_OUT ? out : in);
    return f->init->kind == LH_INIT_KAIMING_NORMAL
               ? fill_normal(f, 0.0, std)
               : fill_uniform(f, -sqrt(3.0) * std, sqrt(3.0) * std);
}

static double dot(const double *a, const double *b, int64_t n) {
    double sum = 0.0;

    for (int64_t i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

/* Makes the `count` rows of q, each `length` long, orthonormal: Gram-Schmidt, twice, which is as
 * good as Householder's, with the signs that make the diagonal of R positive. O(count^2 length). */
static void orthonormalise(double *q, int64_t count, int64_t length) {
    for (int64_t r = 0; r < count; r++) {
        double *row = q + r * length, norm;

        for (int64_t k = 0; k < 2 * r; k++) {
            const double *other = q + k % r * length;
            double along = dot(row, other, length);

            for (int64_t i = 0; i < length; i++)
                row[i] -= along * other[i];
        }
        norm = sqrt(dot(row, row, length));
        for (int64_t i = 0; i < length; i++)
            row[i] /= norm;
    }
}

/* The Q of a normal matrix (shape[0], rest): rows orthonormal when there are no more of them than
 * columns, else columns. */
static lh_status orthogonal(const fill *f) {
    int64_t rows = f->ndim ? f->shape[0] : 0, columns, count, length;
    double *q;
    fill numbers = *f;

    if (f->ndim < 2)
        return lh__fail(f->err, LH_ESHAPE, "orthogonal: needs at least two axes");
    columns = f->numel / rows;
    count = rows < columns ? rows : columns;
    length = rows < columns ? columns : rows;
    q = malloc((size_t)f->numel * sizeof *q);
    if (!q)
        return lh__fail(f->err, LH_ENOMEM, "orthogonal: out of memory");
    numbers.data = q, numbers.dtype = LH_F64;
    fill_normal(&numbers, 0, 1);
    orthonormalise(q, count, length);
    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < columns; c++)
            put(f, r * columns + c,
                f->init->a * (rows < columns ? q[r * length + c] : q[c * length + r]));
    free(q);
    return LH_OK;
}

static lh_status eye(const fill *f) {
    if (f->ndim != 2)
        return lh__fail(f->err, LH_ESHAPE, "eye: needs two axes");
    for (int64_t i = 0; i < f->numel; i++)
        put(f, i, i / f->shape[1] == i % f->shape[1]);
    return LH_OK;
}

static lh_status (*const kinds[])(const fill *f) = {
    [LH_INIT_CONSTANT] = constant,       [LH_INIT_UNIFORM] = uniform,
    [LH_INIT_NORMAL] = normal,           [LH_INIT_TRUNC_NORMAL] = trunc_normal,
    [LH_INIT_XAVIER_UNIFORM] = xavier,   [LH_INIT_XAVIER_NORMAL] = xavier,
    [LH_INIT_KAIMING_UNIFORM] = kaiming, [LH_INIT_KAIMING_NORMAL] = kaiming,
    [LH_INIT_ORTHOGONAL] = orthogonal,   [LH_INIT_EYE] = eye,
    [LH_INIT_FAN_UNIFORM] = fan_uniform,
};

lh_status lh__init_fill(const lh_init *init, lh__philox_key key, const lh__view *to,
                        const lh__device *device, lh__pool *pool, lh__error *err) {
    const fill f = {.init = init,
                    .key = key,
                    .dtype = to->dtype,
                    .ndim = to->ndim,
                    .shape = to->shape,
                    .data = to->data,
                    .numel = lh__view_numel(to),
                    .device = device,
                    .pool = pool,
                    .err = err};

    if (init->kind >= sizeof kinds / sizeof *kinds)
        return lh__fail(err, LH_EUNSUPPORTED, "there is no initialiser %u in this host",
                        init->kind);
    if (f.dtype != LH_F32 && f.dtype != LH_F64)
        return lh__fail(err, LH_EDTYPE, "an initialiser fills float32 or float64");
    return f.numel == 0 ? LH_OK : kinds[init->kind](&f);
}
