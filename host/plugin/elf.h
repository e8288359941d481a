/* elf.h - what a shared object says about itself, read from its bytes without running it.
 *
 * Invariant: no byte outside the buffer is read, whatever the buffer holds, and the work is bounded
 * by its size. Nothing is allocated: names point into the buffer and are NUL-terminated there.
 * Addresses are mapped through PT_LOAD and tables are found through PT_DYNAMIC, as the dynamic
 * linker does; section headers are not looked at. Source of the format: the ELF-64 object file
 * format, and glibc's elf.h for the GNU hash table.
 */
#ifndef LH_PLUGIN_ELF_H
#define LH_PLUGIN_ELF_H

#include "engine/error.h"

enum { LH__PLUGIN_HEAD = 80 }; /* bytes of lh_plugin that never change */

/* The first of a list of names; `total` counts those that did not fit, too. */
enum { LH__ELF_NAMES = 64 };
typedef struct lh__elf_names {
    const char *at[LH__ELF_NAMES];
    int count, total;
} lh__elf_names;

typedef struct lh__elf {
    uint64_t plugin_address; /* of lhost_plugin, relative to the load address */
    uint64_t plugin_offset;  /* of lhost_plugin in the file */
    uint64_t plugin_size;
    lh__elf_names needed;    /* DT_NEEDED: libraries it wants loaded */
    lh__elf_names leaks;     /* defined symbols that it exports beside lhost_plugin */
    lh__elf_names undefined; /* strong symbols that others must define */
    int constructors;        /* in the init array, beyond the one that compilers put there */
    int has_tls;             /* thread-local variables */
    int has_static_tls;      /* in the block that is full once the process runs */
    int has_unique;          /* STB_GNU_UNIQUE symbols: shared across all plugins */
    int has_textrel;         /* relocations in code */
    int has_exec_stack;
} lh__elf;

/* Inspects `size` bytes of a file. LH_OK, or LH_EPLUGIN when it is not a shared object for this
 * machine that defines a data symbol lhost_plugin with a whole prefix in the file. Text relocations
 * and an executable stack are reported in *out, not refused here. */
lh_status lh__elf_inspect(const void *bytes, size_t size, lh__elf *out, lh__error *err);

#endif
