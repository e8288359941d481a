/* truncated.h - the sequences that the truncated module learns from, for it and for its test. */
#ifndef TESTS_PLUGINS_TRUNCATED_H
#define TESTS_PLUGINS_TRUNCATED_H

#include <stdint.h>

enum { TRUNCATED_STEPS = 7 };

/* Step t of sequence i; exact in binary. */
static inline double truncated_x(int64_t i, int64_t t) {
    return (double)((i * 5 + t * 3) % 9 - 4) / 8;
}

#endif
