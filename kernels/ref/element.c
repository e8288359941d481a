/* element.c - one element of any dtype, read and written as a double or an int64_t. */
#include <math.h>

#include "kernels/ref/ref.h"

static float float_of_bits(uint32_t bits) {
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of_float(float x) {
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    return bits;
}

double lh__from_half(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent == 31  ? (mantissa ? NAN : INFINITY)
               : exponent == 0 ? ldexp(mantissa, -24)
                               : ldexp(1024 + mantissa, exponent - 25);

    return h & 0x8000 ? -x : x;
}

/* Rounds to the nearest, ties to even. */
uint16_t lh__to_half(double x) {
    uint16_t sign = signbit(x) ? 0x8000 : 0;
    double a = fabs(x);
    int exponent;

    if (isnan(x))
        return 0x7e00;
    if (a >= 65520.0)
        return sign | 0x7c00;
    if (a < 0x1p-14)
        return sign | (uint16_t)nearbyint(a * 0x1p24);
    frexp(a, &exponent); /* a = m 2^exponent, m in [0.5, 1) */
    /* 1024 + mantissa; a mantissa that rounds up to 2048 carries into the exponent. */
    return sign | (uint16_t)(((exponent + 13) << 10) + (int)nearbyint(ldexp(a, 11 - exponent)));
}

uint16_t lh__to_bfloat(double x) {
    uint32_t bits = bits_of_float((float)x);

    if (isnan(x))
        return 0x7fc0;
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Towards zero; out of range and NaN give 0. */
static int64_t int_of(double x) {
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : 0;
}

double lh__from_bfloat(uint16_t b) {
    return float_of_bits((uint32_t)b << 16);
}

double lh__ref_product(lh__products products, double x, double y) {
    double x_high = lh__from_bfloat(lh__to_bfloat(x)), y_high = lh__from_bfloat(lh__to_bfloat(y));

    switch (products) {
    case LH__PRODUCTS_BF16:
        return x_high * y_high;
    case LH__PRODUCTS_BF16X3:
        return x_high * y_high + x_high * lh__from_bfloat(lh__to_bfloat(y - y_high)) +
               lh__from_bfloat(lh__to_bfloat(x - x_high)) * y_high;
    case LH__PRODUCTS_F16:
        return lh__from_half(lh__to_half(x)) * lh__from_half(lh__to_half(y));
    default:
        return x * y;
    }
}

double lh__load(const lh__view *v, int64_t i) {
    switch (v->dtype) {
    case LH_F32:
        return ((const float *)v->data)[i];
    case LH_F64:
        return ((const double *)v->data)[i];
    case LH_F16:
        return lh__from_half(((const uint16_t *)v->data)[i]);
    case LH_BF16:
        return lh__from_bfloat(((const uint16_t *)v->data)[i]);
    default:
        return (double)lh__load_int(v, i);
    }
}

int64_t lh__load_int(const lh__view *v, int64_t i) {
    switch (v->dtype) {
    case LH_I64:
        return ((const int64_t *)v->data)[i];
    case LH_I32:
        return ((const int32_t *)v->data)[i];
    case LH_U8:
    case LH_BOOL:
        return ((const uint8_t *)v->data)[i];
    default:
        return int_of(lh__load(v, i));
    }
}

void lh__store(const lh__view *v, int64_t i, double x) {
    switch (v->dtype) {
    case LH_F32:
        ((float *)v->data)[i] = (float)x;
        break;
    case LH_F64:
        ((double *)v->data)[i] = x;
        break;
    case LH_F16:
        ((uint16_t *)v->data)[i] = lh__to_half(x);
        break;
    case LH_BF16:
        ((uint16_t *)v->data)[i] = lh__to_bfloat(x);
        break;
    case LH_BOOL:
        ((uint8_t *)v->data)[i] = x != 0;
        break;
    default:
        lh__store_int(v, i, int_of(x));
    }
}

void lh__store_int(const lh__view *v, int64_t i, int64_t x) {
    switch (v->dtype) {
    case LH_I64:
        ((int64_t *)v->data)[i] = x;
        break;
    case LH_I32:
        ((int32_t *)v->data)[i] = (int32_t)x;
        break;
    case LH_U8:
        ((uint8_t *)v->data)[i] = (uint8_t)x;
        break;
    case LH_BOOL:
        ((uint8_t *)v->data)[i] = x != 0;
        break;
    default:
        lh__store(v, i, (double)x);
    }
}

void lh__view_copy(const lh__view *to, const lh__view *from) {
    bool real = lh__dtype_is_real(from->dtype);

    for (int64_t i = 0, n = lh__view_numel(from); i < n; i++) {
        int64_t a = lh__view_offset(to, i), b = lh__view_offset(from, i);

        if (real)
            lh__store(to, a, lh__load(from, b));
        else
            lh__store_int(to, a, lh__load_int(from, b));
    }
}
