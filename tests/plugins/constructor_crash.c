/* constructor_crash.c - crashes while it is loaded. */
#include "minimal.h"

static int *volatile nowhere;

__attribute__((constructor)) static void constructor(void) {
    *nowhere = 1;
}

LH_EXPORT_MODULE("constructor-crash", "1", MINIMAL);
