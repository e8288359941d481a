/* stunted_table.c - a table that ends before its first hook. */
#include "minimal.h"

static const lh_module module = {.struct_size = 16, MINIMAL};
LH_EXPORT_PLUGIN("stunted-table", "1", LH_KIND_MODULE, .module = &module);
