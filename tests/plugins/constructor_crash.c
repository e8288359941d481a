/* constructor_crash.c - crashes while it is loaded. */
#include "minimal.h"

static int *volatile nowhere;

/* As it would without a sanitizer, which would report the store and go on or exit. */
#ifdef __clang__
__attribute__((constructor, no_sanitize("undefined", "address")))
#else
__attribute__((constructor, no_sanitize("undefined"), no_sanitize_address))
#endif
static void
constructor(void) {
    *nowhere = 1;
}

LH_EXPORT_MODULE("constructor-crash", "1", MINIMAL);
