/* vmath.h - exp, log, tanh and relatives as inline polynomials without branches, so that loops over
 * them vectorise. F32 within 2 units in the last place of the true value over the whole range,
 * infinities, NaN and subnormals as in C; F64 is the C library.
 *
 * The polynomials are those of Cephes (S. Moshier, expf.c, logf.c, tanhf.c, sinf.c), erf apart.
 */
#ifndef LH_KERNELS_CPU_VMATH_H
#define LH_KERNELS_CPU_VMATH_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#ifdef __FMA__
#define LH__FMA(a, b, c) __builtin_fmaf(a, b, c)
#else
#define LH__FMA(a, b, c) ((a) * (b) + (c))
#endif

static inline float lh__float_of(uint32_t bits) {
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t lh__bits_of(float x) {
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* x = n log 2 + r, |r| <= log(2)/2: exp(r) - 1 and *k = n, for x within -105 and 90. */
static inline float lh__exp_parts(float x, int32_t *k) {
    const float magic = 12582912.0f; /* 1.5 2^23: adding it rounds to an integer in the low bits */
    float t = LH__FMA(x, 1.44269504088896341f, magic);
    float n = t - magic;
    float r = LH__FMA(n, 2.12194440e-4f, LH__FMA(n, -0.693359375f, x));
    float p = 1.9875691500e-4f;

    p = LH__FMA(p, r, 1.3981999507e-3f);
    p = LH__FMA(p, r, 8.3334519073e-3f);
    p = LH__FMA(p, r, 4.1665795894e-2f);
    p = LH__FMA(p, r, 1.6666665459e-1f);
    p = LH__FMA(p, r, 5.0000001201e-1f);
    *k = (int32_t)(lh__bits_of(t) - lh__bits_of(magic));
    return LH__FMA(p * r, r, r);
}

/* 2^n exp(r), 2^n in two factors so that the result may be subnormal or overflow to infinity. */
static inline float exp_f32(float x) {
    float low = x < -104.0f ? -104.0f : x;
    int32_t k, half;
    float p = lh__exp_parts(low > 89.0f ? 89.0f : low, &k) + 1.0f;

    half = k >> 1;
    return p * lh__float_of(((uint32_t)half + 127) << 23) *
           lh__float_of(((uint32_t)k - (uint32_t)half + 127) << 23);
}

/* exp(x) for x <= 88, 0 where that is subnormal: what softmax adds up, at no cost for -infinity. */
static inline float weight_f32(float x) {
    int32_t k;
    float p = lh__exp_parts(x < -87.0f ? -87.0f : x, &k) + 1.0f;

    return x < -87.0f ? 0.0f : p * lh__float_of(((uint32_t)k + 127) << 23);
}

/* exp(x) - 1 for x <= 0: 2^n (exp(r) - 1) + (2^n - 1). */
static inline float expm1_f32(float x) {
    int32_t k;
    float low = x < -30.0f ? -30.0f : x;
    float p = lh__exp_parts(low > 0.0f ? 0.0f : low, &k);
    float scale = lh__float_of(((uint32_t)k + 127) << 23);

    return LH__FMA(p, scale, scale - 1.0f);
}

/* x = 2^n m, m in [sqrt(1/2), sqrt(2)); log(x) = n log 2 + log(m). */
static inline float log_f32(float x) {
    float tiny = x < 1.17549435e-38f ? 8388608.0f : 1.0f; /* 2^23 makes subnormals normal */
    uint32_t bits = lh__bits_of(x * tiny);
    int32_t k = (int32_t)(bits - 0x3f3504f3) >> 23; /* 0x3f3504f3: sqrt(1/2) */
    float n = (float)k - (tiny > 1.0f ? 23.0f : 0.0f);
    float r = lh__float_of(bits - ((uint32_t)k << 23)) - 1.0f;
    float z = r * r, p = 7.0376836292e-2f, y;

    p = LH__FMA(p, r, -1.1514610310e-1f);
    p = LH__FMA(p, r, 1.1676998740e-1f);
    p = LH__FMA(p, r, -1.2420140846e-1f);
    p = LH__FMA(p, r, 1.4249322787e-1f);
    p = LH__FMA(p, r, -1.6668057665e-1f);
    p = LH__FMA(p, r, 2.0000714765e-1f);
    p = LH__FMA(p, r, -2.4999993993e-1f);
    p = LH__FMA(p, r, 3.3333331174e-1f);
    y = LH__FMA(p * r, z, n * -2.12194440e-4f);
    y = LH__FMA(z, -0.5f, y);
    y = LH__FMA(n, 0.693359375f, r + y);
    y = x == 0.0f ? -INFINITY : y;
    y = x < 0.0f ? NAN : y;
    return x < INFINITY ? y : x; /* infinity and NaN stay */
}

static inline float tanh_f32(float x) {
    float a = fabsf(x), z = x * x, p = -5.70498872745e-3f, near, far;

    p = LH__FMA(p, z, 2.06390887954e-2f);
    p = LH__FMA(p, z, -5.37397155531e-2f);
    p = LH__FMA(p, z, 1.33314422036e-1f);
    p = LH__FMA(p, z, -3.33332819422e-1f);
    near = LH__FMA(p * z, x, x);
    far = copysignf(1.0f - 2.0f / (exp_f32(2.0f * a) + 1.0f), x);
    return a < 0.625f ? near : x != x ? x : far;
}

/* 1 / (1 + exp(-x)), arranged so that exp does not overflow. */
static inline float sigmoid_f32(float x) {
    float e = exp_f32(x < 0.0f ? x : -x);

    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* Near 0 x + x p(x^2), beyond 0.9 1 - exp(-(x + x p(x))); minimax fits of degree 6. */
static inline float erf_f32(float x) {
    float a = fabsf(x), t = a > 4.0f ? 4.0f : a, z = x * x, p, q, near, far, scale;
    int32_t k;

    p = 8.5032058e-05f;
    p = LH__FMA(p, z, -8.17395725e-04f);
    p = LH__FMA(p, z, 5.20377332e-03f);
    p = LH__FMA(p, z, -2.68605015e-02f);
    p = LH__FMA(p, z, 1.12837155e-01f);
    p = LH__FMA(p, z, -3.76126351e-01f);
    p = LH__FMA(p, z, 1.28379167e-01f);
    near = LH__FMA(p, x, x);
    q = 1.00153633e-05f;
    q = LH__FMA(q, t, -3.10727892e-04f);
    q = LH__FMA(q, t, 3.59377089e-03f);
    q = LH__FMA(q, t, -2.36600187e-02f);
    q = LH__FMA(q, t, 1.06119556e-01f);
    q = LH__FMA(q, t, 6.35221522e-01f);
    q = LH__FMA(q, t, 1.28631392e-01f);
    p = lh__exp_parts(-LH__FMA(q, t, t), &k); /* far from where exp is subnormal */
    scale = lh__float_of(((uint32_t)k + 127) << 23);
    far = copysignf(1.0f - LH__FMA(p, scale, scale), x);
    return a < 0.9f ? near : x != x ? x : far;
}

/* The standard normal distribution's cdf: with a = |x|, cdf(-a) = exp(-a p(a)) / 2, p a minimax fit
 * of degree 9. Within 1e-7 of the true value; beyond 5.7 it is 0 or 1. */
static inline float normal_cdf_f32(float x) {
    float a = fabsf(x), p = 1.69008043e-08f;

    p = LH__FMA(p, a, -5.16324121e-07f);
    p = LH__FMA(p, a, 6.76194713e-06f);
    p = LH__FMA(p, a, -4.81818242e-05f);
    p = LH__FMA(p, a, 1.77718233e-04f);
    p = LH__FMA(p, a, 3.21122134e-05f);
    p = LH__FMA(p, a, -4.85223997e-03f);
    p = LH__FMA(p, a, 3.63725871e-02f);
    p = LH__FMA(p, a, 3.18300873e-01f);
    p = LH__FMA(p, a, 7.97885299e-01f);
    p = a > 5.7f ? 0.0f : 0.5f * weight_f32(-a * p);
    return x < 0.0f ? p : 1.0f - p;
}

/* log(1 + u), u in [0, 1]: the rounding error of 1 + u is put back. */
static inline float log1p_f32(float u) {
    float w = 1.0f + u;

    return log_f32(w) + (u - (w - 1.0f)) / w;
}

static inline float sqrt_f32(float x) {
    return sqrtf(x);
}

static inline float pow_f32(float a, float b) {
    return powf(a, b);
}

/* sin(x + quarters pi/2), |x| <= LH__FAR: x = n pi/2 + r in double, whose pi/2 comes in two parts,
 * the first short enough for an exact product with n. */
#define LH__FAR 1e6f

static inline float lh__sin_quarters(float x, uint64_t quarters) {
    const double magic = 6755399441055744.0; /* 1.5 2^52: as in lh__exp_parts */
    double t = (double)x * 0.63661977236758134308 + magic, n = t - magic;
    float r = (float)((x - n * 1.57079632673412561417) - n * 6.07710050650619224932e-11);
    float z = r * r, s = -1.9515295891e-4f, c = 2.443315711809948e-5f, value;
    uint64_t bits;

    memcpy(&bits, &t, sizeof bits);
    bits += quarters;
    s = LH__FMA(s, z, 8.3321608736e-3f);
    s = LH__FMA(s, z, -1.6666654611e-1f);
    s = LH__FMA(s * z, r, r);
    c = LH__FMA(c, z, -1.388731625493765e-3f);
    c = LH__FMA(c, z, 4.166664568298827e-2f);
    c = LH__FMA(c * z, z, LH__FMA(z, -0.5f, 1.0f));
    value = bits & 1 ? c : s;
    return bits & 2 ? -value : value;
}

static inline float sin_f32(float x) {
    return lh__sin_quarters(x, 0);
}

static inline float cos_f32(float x) {
    return lh__sin_quarters(x, 1);
}

/* Whether sin and cos of x are the C library's business. */
static inline int is_far_f32(float x) {
    return fabsf(x) > LH__FAR;
}

static inline float far_sin_f32(float x) {
    return sinf(x);
}

static inline float far_cos_f32(float x) {
    return cosf(x);
}

static inline float floor_f32(float x) {
    return floorf(x);
}

static inline double exp_f64(double x) {
    return exp(x);
}

static inline double weight_f64(double x) {
    return exp(x);
}

static inline double expm1_f64(double x) {
    return expm1(x);
}

static inline double erf_f64(double x) {
    return erf(x);
}

static inline double normal_cdf_f64(double x) {
    return 0.5 * (1.0 + erf(x * 0.70710678118654752440));
}

static inline double sin_f64(double x) {
    return sin(x);
}

static inline double cos_f64(double x) {
    return cos(x);
}

static inline int is_far_f64(double x) {
    return 0;
}

static inline double far_sin_f64(double x) {
    return sin(x);
}

static inline double far_cos_f64(double x) {
    return cos(x);
}

static inline double floor_f64(double x) {
    return floor(x);
}

static inline double log_f64(double x) {
    return log(x);
}

static inline double tanh_f64(double x) {
    return tanh(x);
}

static inline double sigmoid_f64(double x) {
    return 1.0 / (1.0 + exp(-x));
}

static inline double log1p_f64(double u) {
    return log1p(u);
}

static inline double sqrt_f64(double x) {
    return sqrt(x);
}

static inline double pow_f64(double a, double b) {
    return pow(a, b);
}

#endif
