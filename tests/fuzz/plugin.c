/* plugin.c - static inspection and gate 1 on bytes that claim to be a plugin. */
#include "plugin/elf.h"
#include "plugin/gate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    lh__error err = {0};
    lh__elf elf;

    if (lh__elf_inspect(bytes, size, &elf, &err) == LH_OK) {
        /* What the loader relies on from here. */
        if (elf.plugin_offset > size || size - elf.plugin_offset < LH__PLUGIN_HEAD)
            abort();
        for (int i = 0; i < elf.leaks.count; i++)
            if ((const uint8_t *)elf.leaks.at[i] + strlen(elf.leaks.at[i]) >= bytes + size)
                abort();
        lh__gate_prefix(bytes + elf.plugin_offset, elf.plugin_size, &err);
    } else if (!*err.text) {
        abort();
    }
    return 0;
}
