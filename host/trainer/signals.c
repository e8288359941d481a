/* signals.c - SIGINT and SIGTERM as an orderly stop.
 *
 * A thread waits for the two signals, which every other thread blocks, and puts the first one into
 * the trainer, who looks at it between batches. A second one ends the process at once. Invariant: no
 * code runs in signal context.
 */
#include "trainer/run.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

struct lh__signals {
    pthread_t thread;
    sigset_t set, before;
    lh__trainer *trainer;
};

/* SIGUSR2, which stop sends to this thread alone, ends it. */
static void *watch(void *arg) {
    lh__signals *s = arg;
    int number;

    while (sigwait(&s->set, &number) == 0 && number != SIGUSR2) {
        if (atomic_load(&s->trainer->signal))
            _exit(128 + number);
        atomic_store(&s->trainer->signal, number);
    }
    return NULL;
}

lh__signals *lh__signals_start(lh__trainer *t) {
    lh__signals *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->trainer = t;
    sigemptyset(&s->set);
    sigaddset(&s->set, SIGINT);
    sigaddset(&s->set, SIGTERM);
    sigaddset(&s->set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &s->set, &s->before);
    if (pthread_create(&s->thread, NULL, watch, s) != 0) {
        pthread_sigmask(SIG_SETMASK, &s->before, NULL);
        free(s);
        return NULL;
    }
    return s;
}

void lh__signals_stop(lh__signals *s) {
    if (!s)
        return;
    pthread_kill(s->thread, SIGUSR2);
    pthread_join(s->thread, NULL);
    pthread_sigmask(SIG_SETMASK, &s->before, NULL);
    free(s);
}
