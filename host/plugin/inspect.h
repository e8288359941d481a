/* inspect.h - the report of `lhost inspect`: what a plugin is, without letting it near the host.
 *
 * Invariant: code of the plugin runs in a child process only, and only after the static part has
 * passed; a plugin that crashes when it is loaded gets a report that says so.
 */
#ifndef LH_PLUGIN_INSPECT_H
#define LH_PLUGIN_INSPECT_H

#include "engine/error.h"

#include <stdio.h>

/* Writes the report about the file at `path` to `out`: for people, or with `json` as one object
 *     path size sha256 name version abi kinds needed leaks constructors thread_local warnings
 *     tables: [{kind state_size set unset hparams: [{name type default min max help}]}]  error
 * where error is null or what gate 2 or the dynamic linker said. LH_OK, or why it is not a plugin
 * that this host can load; when that shows in the static part, nothing is written. */
lh_status lh__inspect(const char *path, int json, FILE *out, lh__error *err);

#endif
