/* measured.h - what the measured module validates: scores and classes that are functions of the
 * item's index, so that a test can say what its meters have to give.
 */
#ifndef TESTS_PLUGINS_MEASURED_H
#define TESTS_PLUGINS_MEASURED_H

#include <stdint.h>

/* In quarters, so that many are equal. */
static inline double measured_score(int64_t index) {
    return (double)(index * 7 % 5) / 4;
}

static inline int64_t measured_class(int64_t index) {
    return index * 5 % 7 < 3;
}

#endif
