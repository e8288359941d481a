/* constructor_hang.c - does not come back from being loaded. */
#include "minimal.h"

#include <unistd.h>

__attribute__((constructor)) static void constructor(void) {
    for (;;)
        pause();
}

LH_EXPORT_MODULE("constructor-hang", "1", MINIMAL);
