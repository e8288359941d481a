/* constructor_exit.c - ends the process while it is loaded. */
#include "minimal.h"

#include <stdlib.h>

__attribute__((constructor)) static void constructor(void) {
    exit(3);
}

LH_EXPORT_MODULE("constructor-exit", "1", MINIMAL);
