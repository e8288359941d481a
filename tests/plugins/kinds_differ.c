/* kinds_differ.c - says that it is a callback, too, and brings none. */
#include "minimal.h"

static const lh_module module = {LH_SIZED(lh_module), MINIMAL};
LH_EXPORT_PLUGIN("kinds-differ", "1", LH_KIND_MODULE | LH_KIND_CALLBACK, .module = &module);
