/* constructor_works.c - does something harmless while it is loaded. */
#include "minimal.h"

static volatile int loads;

__attribute__((constructor)) static void constructor(void) {
    loads++;
}

LH_EXPORT_MODULE("constructor-works", "1", MINIMAL);
