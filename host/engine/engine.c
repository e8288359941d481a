/* engine.c - an engine: made, set, freed; the step it is in. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state.h"
#include "kernels/denormal.h"

lh_status lh__list_add(lh__list *list, void *item) {
    if (list->count == list->room) {
        int64_t room = list->room ? 2 * list->room : 16;
        void **items = realloc(list->items, (size_t)room * sizeof *items);

        if (!items)
            return LH_ENOMEM;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return LH_OK;
}

void lh__list_free(lh__list *list, void (*free_item)(void *)) {
    while (list->count > 0)
        free_item(list->items[--list->count]);
    free(list->items);
    *list = (lh__list){0};
}

static const lh__device *device_named(const char *name, lh__error *err) {
    if (name && strcmp(name, "cpu") == 0) {
        const lh__device *cpu = lh__device_cpu();

        if (!cpu)
            lh__fail(err, LH_EUNSUPPORTED,
                     "the cpu device needs OpenBLAS, which cannot be loaded: install libopenblas");
        return cpu;
    }
    if (name && strcmp(name, "ref") == 0)
        return lh__device_ref();
    lh__fail(err, LH_EUNSUPPORTED, "there is no device \"%s\"; there are cpu and ref",
             name ? name : "");
    return NULL;
}

/* The caller computes tiles too, under the frames of the host and the author. */
static lh_status check_stack(lh__error *err) {
    const size_t need = 2 * (size_t)LH__TILE_STACK;
    pthread_attr_t attr;
    size_t size = need;

    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return LH_OK; /* not known */
    pthread_attr_getstacksize(&attr, &size);
    pthread_attr_destroy(&attr);
    return size >= need ? LH_OK
                        : lh__fail(err, LH_EUNSUPPORTED,
                                   "a stack of %zu kB is too small, %zu are needed: ulimit -s 8192",
                                   size >> 10, need >> 10);
}

/* The compute threads; the caller's own state is put back by stop_threads. */
static lh_status start_threads(lh__engine *e, const lh__engine_options *o, lh__error *err) {
    e->was_flushing = lh__flushes_denormal();
    if (o->flush_denormal && !lh__flush_denormal(true))
        return lh__fail(err, LH_EUNSUPPORTED, "this processor cannot flush subnormal numbers");
    e->pool = lh__pool_new(o->threads);
    if (!e->pool)
        return lh__fail(err, LH_ENOMEM, "%d compute threads can't be started; ask for fewer",
                        o->threads);
    if (o->pin_threads && lh__pool_pin(e->pool) != 0)
        return lh__fail(err, LH_EINVAL,
                        "%d compute threads can't be pinned, each to a core of its own: this "
                        "process may use fewer cores; ask for fewer threads",
                        o->threads);
    return LH_OK;
}

static void stop_threads(lh__engine *e) {
    lh__pool_free(e->pool);
    lh__flush_denormal(e->was_flushing);
}

lh__engine *lh__engine_new(const lh__engine_options *o, lh__error *err) {
    const lh__device *device = device_named(o->device, err);
    lh__engine *e;

    if (!device || check_stack(err) != LH_OK)
        return NULL;
    if (o->threads < 1 || (o->dtype != LH_F32 && o->dtype != LH_F64)) {
        lh__fail(err, LH_EINVAL,
                 "an engine needs at least one thread and dtype float32 or float64");
        return NULL;
    }
    e = calloc(1, sizeof *e);
    if (!e) {
        lh__fail(err, LH_ENOMEM, "out of memory");
        return NULL;
    }
    if (start_threads(e, o, err) != LH_OK) {
        stop_threads(e);
        free(e);
        return NULL;
    }
    e->options = *o;
    e->options.device = device->name;
    e->device = device;
    e->err = &e->own_err;
    e->training = e->grad_enabled = 1;
    lh__stream_reset(&e->stream);
    lh__rows_fill(e->rows);
    return e;
}

void lh__engine_free(lh__engine *e) {
    if (!e)
        return;
    lh__list_free(&e->schedulers, e->free_scheduler);
    lh__list_free(&e->optimizers, e->free_optimizer);
    lh__params_free(e);
    lh__plans_free(&e->plans);
    lh__stream_free(&e->stream);
    lh__arena_free(&e->arena);
    stop_threads(e);
    free(e);
}

void lh__engine_set_error(lh__engine *e, lh__error *err) {
    e->err = err;
}

const lh__engine_options *lh__engine_get_options(const lh__engine *e) {
    return &e->options;
}

void lh__engine_idle(lh__engine *e, lh__idle_fn *fn, void *arg) {
    lh__pool_idle(e->pool, fn, arg);
}

void lh__engine_profile(lh__engine *e, lh__lane *lane) {
    e->lane = lane;
}

void lh__watch(lh__engine *e, const lh__watcher *watcher) {
    e->watcher = watcher;
}

lh__arena_use lh__engine_arena(const lh__engine *e) {
    return (lh__arena_use){lh__arena_used(&e->arena), e->arena.reserved, e->arena.growths};
}

void lh__step_begin(lh__engine *e, int32_t phase, uint64_t step) {
    lh__names_end(e);
    lh__graph_end(e);
    lh__settle(e);
    lh__stream_reset(&e->stream);
    lh__arena_reset(&e->arena);
    e->tape = NULL;
    e->settled = NULL;
    e->under = NULL;
    e->landing = NULL;
    e->phase = (uint32_t)phase;
    e->step = step;
    e->ordinal = 0;
}

int32_t lh__set_training(lh__engine *e, int32_t on) {
    int32_t was = e->training;

    e->training = on;
    return was;
}

int32_t lh__is_training(const lh__engine *e) {
    return e->training;
}

int32_t lh__set_grad_enabled(lh__engine *e, int32_t on) {
    int32_t was = e->grad_enabled;

    e->grad_enabled = on;
    return was;
}
