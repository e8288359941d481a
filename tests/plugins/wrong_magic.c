/* wrong_magic.c - begins with other bytes than a plugin. */
#include "minimal.h"

static const lh_module module = {LH_SIZED(lh_module), MINIMAL};
LH_EXPORT extern const lh_plugin lhost_plugin;
const lh_plugin lhost_plugin = {.magic = "NOTHOST",
                                .abi_major = LH_ABI_MAJOR,
                                LH_SIZED(lh_plugin),
                                .kinds = LH_KIND_MODULE,
                                .name = "wrong-magic",
                                .version = "1",
                                .module = &module};
