/* writer.c - the thread and the queue of writer.h. One mutex guards everything in lh__writer but
 * the content of a snapshot, which belongs to whoever its state says. */
#include "checkpoint/writer.h"

#include "checkpoint/file.h"
#include "checkpoint/safetensors.h"
#include "helper/helper.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { N_SNAPSHOTS = 2 };

typedef enum job_kind { SAVE, REMOVE, COPY } job_kind;

typedef struct snapshot {
    lh__image image;
    bool taken; /* from lh__writer_save until its job is done */
} snapshot;

typedef struct job {
    struct job *next;
    job_kind kind;
    snapshot *from; /* of SAVE */
    char *to;       /* of COPY; points behind `path` */
    char path[];
} job;

struct lh__writer {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t given, finished; /* a job came; a job is done */
    job *first, **last;             /* the job under way is the first */
    snapshot snapshots[N_SNAPSHOTS];
    lh__writer_done *done;
    void *user;
    lh__lane *lane;
    lh__error error;
    bool write_failed; /* the latest save, or a copy since */
    bool save_refused; /* the latest lh__writer_save took no snapshot */
    bool stop;
};

/* Runs a job without the lock. */
static lh_status run(const job *j, lh__error *e) {
    switch (j->kind) {
    case SAVE:
        lh__safetensors_seal(j->from->image.data, j->from->image.size);
        return lh__file_write(j->path, j->from->image.data, j->from->image.size, e);
    case COPY:
        return lh__file_copy(j->path, j->to, e);
    case REMOVE:
        return lh__file_remove(j->path, e);
    }
    return LH_OK;
}

/* Takes the finished first job off the queue. [lock held] */
static void finish(lh__writer *w, lh_status status, const lh__error *e) {
    job *j = w->first;

    if (status != LH_OK && w->error.code == LH_OK)
        w->error = *e;
    if (j->kind == SAVE)
        w->write_failed = status != LH_OK;
    else if (j->kind == COPY && status != LH_OK)
        w->write_failed = true;
    if (j->from)
        j->from->taken = false;
    w->first = j->next;
    if (!w->first)
        w->last = &w->first;
    free(j);
    pthread_cond_broadcast(&w->finished);
}

static void *work(void *arg) {
    static const char *const names[] = {"write", "remove", "copy"};
    lh__writer *w = arg;

    lh__helper_begins();
    pthread_mutex_lock(&w->lock);
    for (;;) {
        lh__error e = {0};
        lh_status status = LH_OK;
        lh__lane *lane;
        int64_t began;
        const job *j;
        bool dropped;

        while (!w->first && !w->stop)
            pthread_cond_wait(&w->given, &w->lock);
        if (!w->first)
            break;
        j = w->first;
        dropped = j->kind != SAVE && w->write_failed;
        lane = w->lane;
        pthread_mutex_unlock(&w->lock);
        began = lh__span_begin(lane);
        if (!dropped)
            status = run(j, &e);
        lh__span_end(lane, LH__SPAN_WORK, NULL, names[j->kind], began);
        if (j->kind == SAVE && w->done)
            w->done(w->user, j->path, status);
        pthread_mutex_lock(&w->lock);
        finish(w, status, &e);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

lh__writer *lh__writer_new(lh__writer_done *done, void *user, lh__error *e) {
    lh__writer *w = calloc(1, sizeof *w);

    if (!w) {
        lh__fail(e, LH_ENOMEM, "out of memory for the checkpoint writer");
        return NULL;
    }
    w->last = &w->first;
    w->done = done;
    w->user = user;
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->given, NULL);
    pthread_cond_init(&w->finished, NULL);
    if (lh__helper_start(&w->thread, "lhost-ckpt", work, w) != 0) {
        lh__fail(e, LH_ENOMEM,
                 "cannot start the thread that writes checkpoints: raise the limit on processes "
                 "(ulimit -u) or free memory");
        goto fail;
    }
    return w;
fail:
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->given);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return NULL;
}

void lh__writer_profile(lh__writer *w, lh__lane *lane) {
    pthread_mutex_lock(&w->lock);
    w->lane = lane;
    pthread_mutex_unlock(&w->lock);
}

static job *job_new(job_kind kind, const char *path, const char *to, lh__error *e) {
    size_t path_size = strlen(path) + 1, to_size = to ? strlen(to) + 1 : 0;
    job *j = malloc(sizeof *j + path_size + to_size);

    if (!j) {
        lh__fail(e, LH_ENOMEM, "out of memory: cannot queue the work on %s", path);
        return NULL;
    }
    *j = (job){.kind = kind};
    memcpy(j->path, path, path_size);
    if (to)
        j->to = memcpy(j->path + path_size, to, to_size);
    return j;
}

/* [lock held] */
static void give(lh__writer *w, job *j) {
    *w->last = j;
    w->last = &j->next;
    pthread_cond_signal(&w->given);
}

/* Waits for a snapshot that is free and takes it. */
static snapshot *take_snapshot(lh__writer *w) {
    snapshot *s = NULL;

    pthread_mutex_lock(&w->lock);
    for (;;) {
        for (size_t i = 0; i < N_SNAPSHOTS && !s; i++)
            if (!w->snapshots[i].taken)
                s = &w->snapshots[i];
        if (s)
            break;
        pthread_cond_wait(&w->finished, &w->lock);
    }
    s->taken = true;
    pthread_mutex_unlock(&w->lock);
    return s;
}

lh_status lh__writer_save(lh__writer *w, const lh__state *s, const char *path, lh__error *e) {
    job *j = job_new(SAVE, path, NULL, e);
    snapshot *shot = take_snapshot(w);
    lh_status status = j ? lh__safetensors_encode(s, &shot->image, e) : LH_ENOMEM;

    w->save_refused = status != LH_OK;
    pthread_mutex_lock(&w->lock);
    if (status == LH_OK) {
        j->from = shot;
        give(w, j);
    } else {
        shot->taken = false;
        free(j);
    }
    pthread_mutex_unlock(&w->lock);
    return status;
}

/* Queues a job that depends on the latest save; dropped at once where there was none to queue. */
static lh_status follow(lh__writer *w, job *j) {
    if (!j)
        return LH_ENOMEM;
    if (w->save_refused) {
        free(j);
        return LH_OK;
    }
    pthread_mutex_lock(&w->lock);
    give(w, j);
    pthread_mutex_unlock(&w->lock);
    return LH_OK;
}

lh_status lh__writer_remove(lh__writer *w, const char *path, lh__error *e) {
    return follow(w, job_new(REMOVE, path, NULL, e));
}

lh_status lh__writer_copy(lh__writer *w, const char *from, const char *to, lh__error *e) {
    return follow(w, job_new(COPY, from, to, e));
}

lh_status lh__writer_error(lh__writer *w, lh__error *e) {
    lh_status status;

    pthread_mutex_lock(&w->lock);
    status = w->error.code;
    if (status != LH_OK)
        lh__fail(e, status, "%s", w->error.text);
    w->error = (lh__error){0};
    pthread_mutex_unlock(&w->lock);
    return status;
}

lh_status lh__writer_drain(lh__writer *w, lh__error *e) {
    pthread_mutex_lock(&w->lock);
    while (w->first)
        pthread_cond_wait(&w->finished, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return lh__writer_error(w, e);
}

void lh__writer_free(lh__writer *w) {
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->given);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    for (size_t i = 0; i < N_SNAPSHOTS; i++)
        lh__image_free(&w->snapshots[i].image);
    pthread_cond_destroy(&w->finished);
    pthread_cond_destroy(&w->given);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
