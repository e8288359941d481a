/* test_json.c - numbers survive JSON text bit for bit. */
#include "checkpoint/json.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static uint64_t bits_of(double value) {
    uint64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double of_bits(uint64_t bits) {
    double value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* `object` after a trip through text. */
static json_t *through_text(json_t *object) {
    char *text = json_dumps(object, JSON_COMPACT);
    json_t *read;

    cr_assert(text);
    read = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    cr_assert(read, "%s", text);
    free(text);
    json_decref(object);
    return read;
}

static void expect_exact(double value) {
    json_t *object = json_object();
    double read = 42;
    lh__error e = {0};

    cr_assert_eq(lh__json_put_real(object, "x", value), LH_OK);
    object = through_text(object);
    cr_assert_eq(lh__json_get_real(object, "x", &read, &e), LH_OK, "%a: %s", value, e.text);
    cr_assert_eq(bits_of(read), bits_of(value), "%a became %a", value, read);
    json_decref(object);
}

Test(json, awkward_reals_are_exact) {
    static const double values[] = {0.0,     -0.0,     1.0,       0.1,          1.0 / 3,
                                    DBL_MAX, -DBL_MAX, DBL_MIN,   DBL_TRUE_MIN, DBL_EPSILON,
                                    1e22,    1e23,     5e-324,    2.5e-310,     9007199254740993.0,
                                    1e300,   INFINITY, -INFINITY, NAN,          -NAN};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        expect_exact(values[i]);
    expect_exact(of_bits(UINT64_C(0x7ff8000000000001)));
    expect_exact(of_bits(UINT64_C(0xfff8dead0000beef)));
    expect_exact(0.0 * INFINITY);
}

Test(json, reals_of_any_bits_are_exact) {
    uint64_t x = 88172645463325252u;

    for (int i = 0; i < 10000; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17; /* xorshift64, Marsaglia 2003 */
        if (!isnan(of_bits(x)))
            expect_exact(of_bits(x));
    }
}

Test(json, integers_are_exact) {
    static const int64_t values[] = {0,         1,         -1,        INT64_C(9007199254740993),
                                     INT64_MAX, INT64_MIN, UINT32_MAX};

    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        json_t *object = json_object();
        int64_t read = 42;
        cr_assert_eq(lh__json_put_int(object, "n", values[i]), LH_OK);
        object = through_text(object);
        cr_assert_eq(lh__json_get_int(object, "n", &read, NULL), LH_OK);
        cr_assert_eq(read, values[i]);
        json_decref(object);
    }
}

Test(json, what_is_no_number_is_refused) {
    static const char *const texts[] = {
        "{\"x\":\"NaN\"}",
        "{\"x\":\"nan:\"}",
        "{\"x\":\"nan:7ff0000000000000\"}", /* infinity */
        "{\"x\":\"nan:0000000000000000\"}",
        "{\"x\":\"nan:7FF8000000000001\"}",
        "{\"x\":\"infinity\"}",
        "{\"x\":true}",
        "{\"x\":[1]}",
        "{\"x\":9007199254740993}", /* no double */
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        json_t *object = json_loads(texts[i], 0, NULL);
        double read = 42;
        lh__error e = {0};
        cr_assert_eq(lh__json_get_real(object, "x", &read, &e), LH_ECORRUPT, "%s", texts[i]);
        cr_assert(strstr(e.text, "\"x\""));
        cr_assert_eq(read, 42);
        json_decref(object);
    }
}

Test(json, a_missing_key_is_not_found) {
    json_t *object = json_object();
    double read;
    int64_t n;
    lh__error e = {0};

    cr_assert_eq(lh__json_get_real(object, "lr", &read, &e), LH_ENOTFOUND);
    cr_assert(strstr(e.text, "\"lr\""));
    cr_assert_eq(lh__json_get_int(NULL, "lr", &n, NULL), LH_ENOTFOUND);
    json_decref(object);
}
