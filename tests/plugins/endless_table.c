/* endless_table.c - a table that would end outside the plugin. */
#include "minimal.h"

static const lh_module module = {.struct_size = 1 << 16, MINIMAL};
LH_EXPORT_PLUGIN("endless-table", "1", LH_KIND_MODULE, .module = &module);
