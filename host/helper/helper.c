/* helper.c - starting the threads of helper.h. Of what the kernel refuses, nothing but speed is
 * lost. */
#include "helper/helper.h"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICER_BY = 5 }; /* about a third of the share of a thread that computes */

int lh__helper_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg) {
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        pthread_setname_np(*thread, name);
    return rc;
}

/* On Linux a thread has a nice value of its own. */
void lh__helper_begins(void) {
    const id_t me = (id_t)gettid();

    setpriority(PRIO_PROCESS, me, getpriority(PRIO_PROCESS, me) + NICER_BY);
}
