/* long_zero.c - newer headers, whose new hooks it does not use: fine. */
#include "minimal.h"

static const struct {
    lh_module known;
    void *unknown[2];
} module = {.known = {.struct_size = sizeof(lh_module) + 16, MINIMAL}};
LH_EXPORT_PLUGIN("long-zero", "1", LH_KIND_MODULE, .module = &module.known);
