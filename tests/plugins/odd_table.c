/* odd_table.c - a size that no table of ours has. */
#include "minimal.h"

static const lh_module module = {.struct_size = sizeof(lh_module) - 3, MINIMAL};
LH_EXPORT_PLUGIN("odd-table", "1", LH_KIND_MODULE, .module = &module);
