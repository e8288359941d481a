/* signals.c - SIGINT and SIGTERM as an orderly stop.
 *
 * A libuv loop on a thread of its own receives them and puts the first into the trainer, who looks
 * at it between batches; a second one ends the process at once, as if nobody had caught it. What is
 * sent to a process group arrives twice, from the sender and from the supervisor, and counts once.
 * Invariant: none of our code runs in signal context.
 */
#include "trainer/run.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

struct lh__signals {
    uv_thread_t thread;
    uv_loop_t loop;
    uv_signal_t interrupt, terminate;
    uv_async_t stop;
    lh__trainer *trainer;
    double first_time;
};

static const double same_time = 0.2; /* seconds */

static void on_signal(uv_signal_t *handle, int number) {
    lh__signals *s = handle->data;

    if (!atomic_load(&s->trainer->signal)) {
        s->first_time = lh__now();
        atomic_store(&s->trainer->signal, number);
    } else if (lh__now() - s->first_time > same_time) {
        signal(number, SIG_DFL);
        raise(number);
    }
}

/* Closing the handles leaves the loop nothing to wait for. */
static void on_stop(uv_async_t *handle) {
    lh__signals *s = handle->data;

    uv_close((uv_handle_t *)&s->interrupt, NULL);
    uv_close((uv_handle_t *)&s->terminate, NULL);
    uv_close((uv_handle_t *)&s->stop, NULL);
}

static void watch(void *arg) {
    lh__signals *s = arg;

    uv_run(&s->loop, UV_RUN_DEFAULT);
}

lh__signals *lh__signals_start(lh__trainer *t) {
    lh__signals *s = calloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->trainer = t;
    if (uv_loop_init(&s->loop) != 0) {
        free(s);
        return NULL;
    }
    s->interrupt.data = s->terminate.data = s->stop.data = s;
    if (uv_signal_init(&s->loop, &s->interrupt) == 0 &&
        uv_signal_init(&s->loop, &s->terminate) == 0 &&
        uv_async_init(&s->loop, &s->stop, on_stop) == 0 &&
        uv_signal_start(&s->interrupt, on_signal, SIGINT) == 0 &&
        uv_signal_start(&s->terminate, on_signal, SIGTERM) == 0 &&
        uv_thread_create(&s->thread, watch, s) == 0)
        return s;
    on_stop(&s->stop);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    uv_loop_close(&s->loop);
    free(s);
    return NULL;
}

void lh__signals_stop(lh__signals *s) {
    if (!s)
        return;
    uv_async_send(&s->stop);
    uv_thread_join(&s->thread);
    uv_loop_close(&s->loop);
    free(s);
}
