/* long_set.c - newer headers, and sets the second of their new hooks. */
#include "minimal.h"

static const struct {
    lh_module known;
    lh_hook *unknown[2];
} module = {.known = {.struct_size = sizeof(lh_module) + 16, MINIMAL},
            .unknown = {NULL, configure_model}};
LH_EXPORT_PLUGIN("long-set", "1", LH_KIND_MODULE, .module = &module.known);
