/* logwriter.c - the ring and the thread of logwriter.h.
 *
 * The thread looks at the ring ten times a second, or when it is told to hurry: waking it for every
 * row would cost the training thread more than the row. It has the loggers save every two seconds.
 */
#include "trainer/logwriter.h"

#include "helper/helper.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { RING = 1 << 14, MAX_ROW = 1024, SAVED_PATHS = 8 };
static const double save_seconds = 2;

/* One scalar, or, with name NULL, the head of a row: `value` scalars follow, x is `step`. */
typedef struct cell {
    const char *name;
    double value;
    int64_t step;
} cell;

struct lh__logwriter {
    lh__trainer *trainer;
    lh__lane *lane;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t work, room;
    cell *ring;
    uint64_t head, tail; /* written up to, read up to */
    int is_hurried, is_stopping;
    int32_t outcome;
    char *saved[SAVED_PATHS];
    int n_saved;
};

/* Before a hook of a logger: what after_call takes. */
static int64_t before_call(const lh__logwriter *w, lh__instance *i, lh__hook hook) {
    i->hook = hook;
    return lh__span_begin(w->lane);
}

/* A logger's failure is told once; from then on the logger is left alone. */
static void after_call(lh__logwriter *w, lh__instance *i, int64_t began, lh_status status) {
    lh__span_end(w->lane, LH__SPAN_HOOK, i->plugin->name, lh__hooks[i->hook].name, began);
    if (status >= 0 && i->error.code == LH_OK)
        return;
    if (i->error.code == LH_OK)
        lh__fail(&i->error, status, "%s", lh__status_name(status));
    lh__say(w->trainer, LH_ERROR, "logger %s: %s: it is switched off for the rest of the run",
            i->plugin->name, i->error.text);
    i->is_set_up = 0;
}

#define EACH_LOGGER(w, i, h)                                                \
    for (int32_t k_ = 0; k_ < (w)->trainer->cast.n_loggers; k_++)           \
        for (lh__instance *i = (w)->trainer->cast.loggers[k_]; i; i = NULL) \
            for (const lh_logger *h = i->hooks; h; h = NULL)                \
                if (i->is_set_up)

/* The hyper-parameters of the module and the data module as settings. */
static void log_hyperparams(lh__logwriter *w) {
    const lh__cast_list *c = &w->trainer->cast;
    const lh__instance *sources[] = {c->module, c->datamodule};
    lh_setting settings[256];
    char *texts[256];
    int32_t n = 0;
    const char *name;
    json_t *value;

    for (size_t s = 0; s < 2; s++) {
        if (!sources[s])
            continue;
        json_object_foreach(sources[s]->hparams, name, value) {
            texts[n] =
                n < 255 ? json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(15)) : NULL;
            if (!texts[n])
                continue;
            settings[n] = (lh_setting){name, texts[n]};
            n++;
        }
    }
    EACH_LOGGER(w, i, h) {
        int64_t began = before_call(w, i, LH__HOOK_logger_log_hyperparams);

        if (h->log_hyperparams)
            after_call(w, i, began, h->log_hyperparams(&i->ctx, i->self, settings, n));
    }
    for (int32_t k = 0; k < n; k++)
        free(texts[k]);
}

static void set_up(lh__logwriter *w) {
    for (int32_t k = 0; k < w->trainer->cast.n_loggers; k++)
        w->trainer->cast.loggers[k]->is_set_up = 1;
    EACH_LOGGER(w, i, h) {
        int64_t began = before_call(w, i, LH__HOOK_logger_setup);

        if (h->setup)
            after_call(w, i, began, h->setup(&i->ctx, i->self));
    }
    log_hyperparams(w);
}

static void save(lh__logwriter *w) {
    EACH_LOGGER(w, i, h) {
        int64_t began = before_call(w, i, LH__HOOK_logger_save);

        if (h->save)
            after_call(w, i, began, h->save(&i->ctx, i->self));
    }
}

/* Takes one row out of the ring. 0: it is empty. Called with the lock held. */
static int32_t take(lh__logwriter *w, lh_scalar *row, int64_t *step) {
    const cell *head = &w->ring[w->tail % RING];
    int32_t n;

    if (w->tail == w->head)
        return 0;
    n = (int32_t)head->value;
    *step = head->step;
    for (int32_t i = 0; i < n; i++) {
        const cell *c = &w->ring[(w->tail + 1 + (uint64_t)i) % RING];

        row[i] = (lh_scalar){c->name, c->value};
    }
    w->tail += 1 + (uint64_t)n;
    pthread_cond_signal(&w->room);
    return n;
}

/* Writes everything that is in the ring. Called with the lock held, which is released meanwhile. */
static void drain(lh__logwriter *w) {
    lh_scalar row[MAX_ROW];
    int64_t step;
    int32_t n;

    while ((n = take(w, row, &step)) > 0) {
        pthread_mutex_unlock(&w->lock);
        EACH_LOGGER(w, i, h) {
            int64_t began = before_call(w, i, LH__HOOK_logger_log_metrics);

            after_call(w, i, began, h->log_metrics(&i->ctx, i->self, row, n, step));
        }
        pthread_mutex_lock(&w->lock);
    }
    while (w->n_saved > 0) {
        char *path = w->saved[--w->n_saved];

        pthread_mutex_unlock(&w->lock);
        EACH_LOGGER(w, i, h) {
            int64_t began = before_call(w, i, LH__HOOK_logger_after_save_checkpoint);

            if (h->after_save_checkpoint)
                after_call(w, i, began, h->after_save_checkpoint(&i->ctx, i->self, path));
        }
        free(path);
        pthread_mutex_lock(&w->lock);
    }
}

static void wait_a_while(lh__logwriter *w) {
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 100 * 1000 * 1000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&w->work, &w->lock, &until);
}

static void *run(void *arg) {
    lh__logwriter *w = arg;
    double saved_at = lh__now();

    lh__helper_begins();
    set_up(w);
    pthread_mutex_lock(&w->lock);
    for (;;) {
        int is_hurried = w->is_hurried, is_stopping = w->is_stopping;

        w->is_hurried = 0;
        drain(w);
        if (is_hurried || is_stopping || lh__now() - saved_at >= save_seconds) {
            pthread_mutex_unlock(&w->lock);
            save(w);
            pthread_mutex_lock(&w->lock);
            saved_at = lh__now();
        }
        if (is_stopping)
            break;
        if (!w->is_hurried && !w->is_stopping)
            wait_a_while(w);
    }
    pthread_mutex_unlock(&w->lock);
    EACH_LOGGER(w, i, h) {
        int64_t began = before_call(w, i, LH__HOOK_logger_finalize);

        if (h->finalize)
            after_call(w, i, began, h->finalize(&i->ctx, i->self, w->outcome));
    }
    return NULL;
}

lh__logwriter *lh__logwriter_start(lh__trainer *t) {
    lh__logwriter *w = calloc(1, sizeof *w);
    cell *ring = malloc(RING * sizeof *ring);

    if (!w || !ring) {
        free(w);
        free(ring);
        lh__run_fail(t, LH_ENOMEM, "out of memory");
        return NULL;
    }
    w->trainer = t;
    w->lane = lh__profile_lane(t->profile, "Thread of the loggers");
    w->ring = ring;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->work, NULL);
    pthread_cond_init(&w->room, NULL);
    if (lh__helper_start(&w->thread, "lhost-log", run, w) != 0) {
        lh__run_fail(t, LH_ENOMEM, "cannot start the thread that writes logs");
        free(ring);
        free(w);
        return NULL;
    }
    return w;
}

void lh__logwriter_push(lh__logwriter *w, const lh_scalar *values, int32_t n, int64_t step) {
    n = n < MAX_ROW ? n : MAX_ROW;
    pthread_mutex_lock(&w->lock);
    while (RING - (w->head - w->tail) < (uint64_t)n + 1) {
        w->is_hurried = 1;
        pthread_cond_signal(&w->work);
        pthread_cond_wait(&w->room, &w->lock);
    }
    w->ring[w->head++ % RING] = (cell){NULL, n, step};
    for (int32_t i = 0; i < n; i++)
        w->ring[w->head++ % RING] = (cell){values[i].name, values[i].value, step};
    pthread_mutex_unlock(&w->lock);
}

void lh__logwriter_saved(lh__logwriter *w, const char *path) {
    pthread_mutex_lock(&w->lock);
    if (w->n_saved < SAVED_PATHS && (w->saved[w->n_saved] = strdup(path)))
        w->n_saved++;
    pthread_mutex_unlock(&w->lock);
}

void lh__logwriter_flush(lh__logwriter *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->is_hurried = 1;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
}

void lh__logwriter_stop(lh__logwriter *w, int32_t outcome) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->outcome = outcome;
    w->is_stopping = 1;
    pthread_cond_signal(&w->work);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    pthread_mutex_destroy(&w->lock);
    pthread_cond_destroy(&w->work);
    pthread_cond_destroy(&w->room);
    free(w->ring);
    free(w);
}
