/* short_table.c - built when tables ended before the hooks of fit: fine, these are unset. */
#include "minimal.h"

static const lh_module module = {.struct_size = offsetof(lh_module, on_fit_start), MINIMAL};
LH_EXPORT_PLUGIN("short-table", "1", LH_KIND_MODULE, .module = &module);
