/* number.h - a number as text: the shortest decimal that reads back as the same double.
 *
 * The form is that of Python's repr, so that files and names look as users of Python expect; a
 * number without fraction has no ".0".
 */
#ifndef LHOST_PLUGINS_NUMBER_H
#define LHOST_PLUGINS_NUMBER_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_SIZE = 32 }; /* of the longest, its end included */

static inline void print_number(char out[NUMBER_SIZE], double value) {
    int digits = 1, exponent;

    if (!isfinite(value)) {
        strcpy(out, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    do
        snprintf(out, NUMBER_SIZE, "%.*e", digits - 1, value);
    while (strtod(out, NULL) != value && digits++ < 17);
    exponent = atoi(strchr(out, 'e') + 1);
    if (exponent >= -4 && exponent < 16)
        snprintf(out, NUMBER_SIZE, "%.*f", digits - 1 > exponent ? digits - 1 - exponent : 0,
                 value);
}

#endif
