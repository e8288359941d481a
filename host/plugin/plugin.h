/* plugin.h - finding a plugin, loading it, and what the host then knows about it.
 *
 * Invariant: an lh__plugin that is bound passed both gates (gate.h), its code comes from a private
 * copy that nobody overwrites while it runs, and its tables are copies in this host's own layout:
 * what the plugin's headers did not have yet is NULL or zero. Mapped code is never unmapped.
 */
#ifndef LH_PLUGIN_PLUGIN_H
#define LH_PLUGIN_PLUGIN_H

#include "engine/error.h"
#include "plugin/elf.h"
#include "plugin/hooks.h"

#include <lhost/draft/exporter.h>

typedef struct lh__plugin {
    char name[40], version[16];
    char sha256[65]; /* of the file, lower-case hexadecimal */
    char *path;      /* the file asked for, absolute */
    char *copy;      /* the private copy that runs */
    uint32_t kinds;  /* LH_KIND_... */
    uint32_t abi_minor;
    int is_bound;

    /* Copies in this host's layout, all zero for a kind that the plugin does not have. Their
     * hparams point to host-layout copies below. The other two drafts stay in the plugin. */
    lh_module module;
    lh_datamodule datamodule;
    lh_callback callback;
    lh_logger logger;
    lh_draft_exporter exporter;
    const struct lh_draft_strategy *strategy;
    const struct lh_draft_accelerator *accelerator;
    lh_hparam_spec *hparams[LH__N_TABLES]; /* owned */

    char **warnings; /* owned; whole sentences that name the cure */
    int n_warnings;

    lh__elf elf;          /* what static inspection found; its names point into `image` */
    unsigned char *image; /* the file's bytes */
    size_t image_size;
    unsigned char head[LH__PLUGIN_HEAD]; /* the frozen prefix as the file has it */
    char *temp_dir; /* the folder of `copy` when the caller gave none; goes with us */
} lh__plugin;

/* The path of the plugin that `spec` names, owned by the caller: a path as it is ('/' in it, or an
 * existing file that ends in ".so"), else SPEC.so in the first that has it of $LHOST_PLUGIN_PATH
 * (folders separated by ':'), the installed folder, the build tree's. NULL: the error lists where
 * it looked and suggests the nearest known name. */
char *lh__plugin_find(const char *spec, lh__error *err);

/* Reads the file at `path`, passes gate 1 and makes the private copy
 * `<copy_dir>/<name>-<12 digits of the digest>.so` (copy_dir NULL: a folder of our own below
 * $TMPDIR, removed with the plugin). Runs no code of the plugin. NULL on failure. */
lh__plugin *lh__plugin_open(const char *path, const char *copy_dir, lh__error *err);

/* Maps the copy into this process, which runs the plugin's constructors, and passes gate 2. */
lh_status lh__plugin_bind(lh__plugin *p, lh__error *err);

/* open, probe if the file has constructors of its own, bind. Takes milliseconds. */
lh__plugin *lh__plugin_load(const char *path, const char *copy_dir, lh__error *err);

/* Maps the file in a child process: LH_OK, or LH_EPLUGIN with "a constructor crashed with SIGSEGV",
 * "called exit(3)", "did not return within 5 s", or what the linker says. Forks: best called before
 * other threads hold locks that constructors need. */
lh_status lh__plugin_probe(const char *path, int timeout_ms, lh__error *err);

/* The copy of table `t`, or NULL if the plugin is of another kind. Lives with the plugin. */
const void *lh__plugin_table(const lh__plugin *p, lh__table t);

/* Releases what the host holds. The plugin's code stays mapped. NULL is fine. */
void lh__plugin_free(lh__plugin *p);

#endif
