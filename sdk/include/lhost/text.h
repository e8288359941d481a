/* text.h - a number as text: the shortest decimal that reads back as the same double.
 *
 * The form is that of Python's repr, so that files and names look as users of Python expect; a
 * number without fraction has no ".0".
 */
#ifndef LHOST_TEXT_H
#define LHOST_TEXT_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "types.h"

LH_EXTERN_C_BEGIN

enum { LH_REAL_SIZE = 32 }; /* of the longest, its end included */

/* Writes `value` to `out`; "nan", "inf", "-inf" when it is not finite. [any] */
static inline void lh_real_text(char out[LH_REAL_SIZE], double value) {
    int digits = 1, exponent;

    if (!isfinite(value)) {
        strcpy(out, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    do
        snprintf(out, LH_REAL_SIZE, "%.*e", digits - 1, value);
    while (strtod(out, NULL) != value && digits++ < 17);
    exponent = atoi(strchr(out, 'e') + 1);
    if (exponent >= -4 && exponent < 16)
        snprintf(out, LH_REAL_SIZE, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0,
                 value);
}

LH_EXTERN_C_END
#endif
