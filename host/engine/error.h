/* error.h - how the host's rooms report what went wrong: a code and a sentence.
 *
 * Invariant: the first error sticks; later ones do not overwrite it. The text says what was wrong
 * and what to do, and is complete without the code.
 */
#ifndef LH_ENGINE_ERROR_H
#define LH_ENGINE_ERROR_H

#include <lhost/types.h>

typedef struct lh__error {
    lh_status code; /* LH_OK: nothing happened */
    char text[1020];
} lh__error;

/* Records the error unless there is one already. Returns `code`. `e` may be NULL. */
lh_status lh__fail(lh__error *e, lh_status code, const char *fmt, ...) LH_PRINTF(3, 4);

/* Puts "text: " before what is recorded. */
void lh__error_prefix(lh__error *e, const char *fmt, ...) LH_PRINTF(2, 3);

/* The name of a status: "shape mismatch", "out of memory". */
const char *lh__status_name(lh_status code);

#endif
