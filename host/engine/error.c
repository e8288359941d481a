/* error.c - the error record of error.h. */
#include "engine/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    lh_status code;
    const char *name;
} names[] = {
    {LH_OK, "success"},
    {LH_SKIP, "skip"},
    {LH_EINVAL, "invalid value"},
    {LH_ENOMEM, "out of memory"},
    {LH_EIO, "input/output error"},
    {LH_EUNSUPPORTED, "unsupported"},
    {LH_ENOTFOUND, "not found"},
    {LH_ESHAPE, "shape mismatch"},
    {LH_EDTYPE, "dtype mismatch"},
    {LH_ENAN, "not finite"},
    {LH_ESTATE, "called at the wrong time"},
    {LH_ECORRUPT, "corrupt file"},
    {LH_EPLUGIN, "bad plugin"},
    {LH_EINTR, "interrupted"},
};

lh_status lh__fail(lh__error *e, lh_status code, const char *fmt, ...) {
    va_list args;

    if (!e || e->code != LH_OK)
        return code;
    e->code = code;
    va_start(args, fmt);
    vsnprintf(e->text, sizeof e->text, fmt, args);
    va_end(args);
    return code;
}

void lh__error_prefix(lh__error *e, const char *fmt, ...) {
    char text[2 * sizeof e->text + 2]; /* both parts whole */
    va_list args;
    int n;

    if (!e || e->code == LH_OK)
        return;
    va_start(args, fmt);
    n = vsnprintf(text, sizeof e->text, fmt, args);
    va_end(args);
    if (n >= 0 && (size_t)n < sizeof e->text)
        snprintf(text + n, sizeof text - (size_t)n, ": %s", e->text);
    text[sizeof e->text - 1] = 0;
    memcpy(e->text, text, sizeof e->text);
}

const char *lh__status_name(lh_status code) {
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].code == code)
            return names[i].name;
    return "unknown status";
}
