/* helper.c - starting the threads of helper.h. Of what the kernel refuses, nothing but speed is
 * lost. */
#include "helper/helper.h"

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

enum { NICER_BY = 5 }; /* about a third of the share of a thread that computes */

/* The process's cores when it started. A thread that computes may since have been bound to one of
 * them, which what it starts would inherit. */
static cpu_set_t cores;

__attribute__((constructor)) static void note_cores(void) {
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        CPU_ZERO(&cores);
}

static void unbind(pthread_t thread) {
    cpu_set_t now;

    if (pthread_getaffinity_np(thread, sizeof now, &now) == 0 && CPU_COUNT(&now) == 1 &&
        CPU_COUNT(&cores) > 1)
        pthread_setaffinity_np(thread, sizeof cores, &cores);
}

int lh__helper_start(pthread_t *thread, const char *name, void *(*run)(void *arg), void *arg) {
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0) {
        unbind(*thread);
        pthread_setname_np(*thread, name);
    }
    return rc;
}

/* On Linux a thread has a nice value of its own. */
void lh__helper_begins(void) {
    const id_t me = (id_t)gettid();

    setpriority(PRIO_PROCESS, me, getpriority(PRIO_PROCESS, me) + NICER_BY);
}
