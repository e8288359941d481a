/* other_major.c - built for the next major version of the contract. */
#include "minimal.h"

static const lh_module module = {LH_SIZED(lh_module), MINIMAL};
LH_EXPORT extern const lh_plugin lhost_plugin;
const lh_plugin lhost_plugin = {.magic = LH_MAGIC_,
                                .abi_major = LH_ABI_MAJOR + 1,
                                LH_SIZED(lh_plugin),
                                .kinds = LH_KIND_MODULE,
                                .name = "other-major",
                                .version = "1",
                                .module = &module};
