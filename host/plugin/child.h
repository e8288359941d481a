/* child.h - running what may crash, exit or hang in a process of its own.
 *
 * Invariant: whatever the job does, the host goes on, with a sentence that says how the job ended.
 */
#ifndef LH_PLUGIN_CHILD_H
#define LH_PLUGIN_CHILD_H

#include "engine/error.h"

/* Runs job(arg, fd) in a forked child without core file, standard streams on /dev/null. What it
 * writes to `fd` (at most 4 MiB) is returned in *output, NUL-terminated, owned by the caller, also
 * on failure. LH_OK if the job returned 0 within the time; else LH_EPLUGIN and a text that
 * completes "...": "crashed with SIGSEGV", "called exit(3)", "did not return within 5 s"; a job
 * that returned non-zero fails with its output as the text. Only the calling thread lives on in the
 * child: call it before other threads hold locks that the job needs. */
lh_status lh__in_child(int (*job)(void *arg, int fd), void *arg, int timeout_ms, char **output,
                       lh__error *err);

#endif
