/* constructor_abort.c - aborts while it is loaded. */
#include "minimal.h"

#include <stdlib.h>

__attribute__((constructor)) static void constructor(void) {
    abort();
}

LH_EXPORT_MODULE("constructor-abort", "1", MINIMAL);
