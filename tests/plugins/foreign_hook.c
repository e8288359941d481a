/* foreign_hook.c - a hook that is not its own code: the C library's abort. */
#include "minimal.h"

#include <stdlib.h>

LH_EXPORT_MODULE("foreign-hook", "1", MINIMAL, .on_fit_start = (lh_hook *)(void (*)(void))abort);
