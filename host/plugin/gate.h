/* gate.h - the two gates that every plugin passes before the host calls it.
 *
 * Gate 1 reads the frozen prefix from the file, before any code of the plugin runs. Gate 2 reads
 * the tables of the mapped plugin and copies them into the host's own layout.
 * Invariant: no table is read beyond the size it declares nor outside the plugin's mapping, and
 * nothing that a newer plugin sets and this host does not know is silently dropped.
 */
#ifndef LH_PLUGIN_GATE_H
#define LH_PLUGIN_GATE_H

#include "engine/error.h"
#include "plugin/elf.h"
#include "plugin/hooks.h"

#include <lhost/draft/exporter.h>

/* Gate 1, on the first LH__PLUGIN_HEAD bytes of lhost_plugin and the size of its symbol: magic,
 * versions, sizes, kinds, name. LH_OK or LH_EPLUGIN. */
lh_status lh__gate_prefix(const void *head, uint64_t symbol_size, lh__error *err);

/* Where a mapped object lies: its loaded segments. */
enum { LH__MAX_RANGES = 16 };
typedef struct lh__mapping {
    struct {
        uintptr_t begin, end;
        int is_code;
    } range[LH__MAX_RANGES];
    int n_ranges;
} lh__mapping;

/* What gate 2 hands out: the tables in this host's layout, all zero where the plugin has none.
 * hparams are arrays of the host's layout, owned by the caller, who frees each. */
typedef struct lh__tables_copy {
    lh_plugin root; /* its table pointers still point into the plugin */
    lh_module module;
    lh_datamodule datamodule;
    lh_callback callback;
    lh_logger logger;
    lh_draft_exporter exporter;
    lh_hparam_spec *hparams[LH__N_TABLES];
} lh__tables_copy;

/* Gate 2, on the mapped symbol at `plugin`. `head`: its prefix in the file. The bounded copy: a
 * shorter table reads as zero beyond its end, a longer one is refused if its unknown tail is set.
 * LH_OK or LH_EPLUGIN (LH_ENOMEM); on failure *out holds nothing to free. */
lh_status lh__gate_tables(const lh_plugin *plugin, const void *head, const lh__mapping *where,
                          lh__tables_copy *out, lh__error *err);

/* The table `t` of a copy. */
void *lh__tables_copy_at(lh__tables_copy *copy, lh__table t);

#endif
