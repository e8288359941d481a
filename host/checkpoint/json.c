/* json.c - the exact numbers of json.h. Finite doubles are left to Jansson, which writes 17
 * significant digits: enough to name every double. */
#include "checkpoint/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t quiet_nan = UINT64_C(0x7ff8000000000000);

json_t *lh__json_real(double value) {
    uint64_t bits;

    if (isfinite(value))
        return json_real(value);
    if (isinf(value))
        return json_string(value > 0 ? "inf" : "-inf");
    memcpy(&bits, &value, sizeof bits);
    return bits == quiet_nan ? json_string("nan") : json_sprintf("nan:%016" PRIx64, bits);
}

static bool not_finite(const char *text, double *value) {
    uint64_t bits = quiet_nan;
    char *end;

    if (strcmp(text, "inf") == 0 || strcmp(text, "-inf") == 0) {
        *value = *text == '-' ? -INFINITY : INFINITY;
        return true;
    }
    if (strncmp(text, "nan:", 4) == 0) {
        if (strlen(text) != 20 || strspn(text + 4, "0123456789abcdef") != 16)
            return false;
        bits = strtoull(text + 4, &end, 16);
    } else if (strcmp(text, "nan") != 0) {
        return false;
    }
    memcpy(value, &bits, sizeof bits);
    return isnan(*value);
}

bool lh__json_real_value(const json_t *json, double *value) {
    const json_int_t exact = (json_int_t)1 << 53;
    double read;

    if (json_is_real(json)) {
        *value = json_real_value(json);
        return true;
    }
    if (json_is_integer(json)) {
        json_int_t n = json_integer_value(json);
        if (n < -exact || n > exact)
            return false;
        *value = (double)n;
        return true;
    }
    if (!json_is_string(json) || !not_finite(json_string_value(json), &read))
        return false;
    *value = read;
    return true;
}

lh_status lh__json_put_real(json_t *object, const char *key, double value) {
    return json_object_set_new(object, key, lh__json_real(value)) == 0 ? LH_OK : LH_ENOMEM;
}

lh_status lh__json_put_int(json_t *object, const char *key, int64_t value) {
    return json_object_set_new(object, key, json_integer(value)) == 0 ? LH_OK : LH_ENOMEM;
}

static lh_status missing(const char *key, lh__error *e) {
    return lh__fail(
        e, LH_ENOTFOUND,
        "the checkpoint holds no \"%s\": it was saved without it (weights only?), or by "
        "another version; choose another checkpoint",
        key);
}

static lh_status wrong_type(const char *key, const char *wanted, lh__error *e) {
    return lh__fail(e, LH_ECORRUPT, "\"%s\" of the checkpoint is not %s; choose another checkpoint",
                    key, wanted);
}

lh_status lh__json_get_real(const json_t *object, const char *key, double *value, lh__error *e) {
    const json_t *json = json_object_get(object, key);

    if (!json)
        return missing(key, e);
    return lh__json_real_value(json, value) ? LH_OK : wrong_type(key, "a real number", e);
}

lh_status lh__json_get_int(const json_t *object, const char *key, int64_t *value, lh__error *e) {
    const json_t *json = json_object_get(object, key);

    if (!json)
        return missing(key, e);
    if (!json_is_integer(json))
        return wrong_type(key, "an integer", e);
    *value = json_integer_value(json);
    return LH_OK;
}
