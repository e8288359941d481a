/* supervisor.h - keeping a person informed when a plugin takes the process down.
 *
 * Invariant: the run happens in a child; whatever the child does, this process lives to say what
 * happened and in whose code, and when this process is killed the child is too.
 */
#ifndef LH_CLI_SUPERVISOR_H
#define LH_CLI_SUPERVISOR_H

#include "cli/cli.h"
#include "trainer/trainer.h"

/* What runs in the child; returns the exit code. */
typedef int lh__supervised(const lh__call *call, void *user, lh__breadcrumb *crumb);

/* Runs `body` in a child process and returns the exit code, in both processes: the child goes on
 * to return from main. Signals that stop a run are passed on. Call before any thread exists. */
int lh__supervise(const lh__call *call, lh__supervised *body, void *user);

#endif
