/* looks.c - see looks.h. */
#include "trainer/looks.h"

#include <stdlib.h>
#include <string.h>

#include "trainer/run.h"

/* A place at the end of the list; NULL and an error on record: no memory. */
static lh__look *add(lh__trainer *t, lh__instance *who) {
    lh__looks *l = &t->looks;

    if (l->n == l->room) {
        int32_t room = l->room ? 2 * l->room : 16;
        lh__look *items = realloc(l->items, (size_t)room * sizeof *items);

        if (!items) {
            lh__fail(&who->error, LH_ENOMEM, "out of memory");
            return NULL;
        }
        l->items = items;
        l->room = room;
    }
    memset(&l->items[l->n], 0, sizeof *l->items);
    l->items[l->n] = (lh__look){.who = who, .hook = who->hook};
    return &l->items[l->n++];
}

static int is_pending(const lh_tensor *x) {
    return x && x->value;
}

lh_status lh__look_log(lh__trainer *t, lh__instance *who, const lh__logged *l, lh_tensor *value) {
    lh__look *look;

    if (t->looks.n == 0 && !is_pending(value)) {
        lh__logged now = *l;

        if (value)
            now.value = lh__item(t->engine, value);
        return lh__metrics_log(t->metrics, &now, &who->error);
    }
    look = add(t, who);
    if (!look)
        return LH_ENOMEM;
    look->logged = *l;
    look->logged.name = lh__metrics_intern(t->metrics, l->name);
    look->options = *l->options;
    look->value = value;
    if (!look->logged.name)
        return lh__fail(&who->error, LH_ENOMEM, "out of memory");
    if (value)
        lh__hold(t->engine, value);
    return LH_OK;
}

static lh_status update(lh__trainer *t, lh_meter *m, lh_tensor *scores, lh_tensor *target,
                        int32_t is_training, lh__error *err) {
    lh_status status = lh__computed(t->engine, scores);

    if (status == LH_OK && target)
        status = lh__computed(t->engine, target);
    if (status == LH_OK)
        status = lh__settle(t->engine);
    if (status == LH_OK)
        status = lh__meter_update(m, &scores->view, target ? &target->view : NULL, err);
    if (status == LH_OK)
        lh__meters_updated(&t->meters, m, is_training);
    return status;
}

lh_status lh__look_update(lh__trainer *t, lh__instance *who, lh_meter *m, lh_tensor *scores,
                          lh_tensor *target) {
    const int32_t is_training = t->phase == LH__TRAINING;
    lh__look *look;

    if (t->looks.n == 0 && !is_pending(scores) && !is_pending(target))
        return update(t, m, scores, target, is_training, &who->error);
    look = add(t, who);
    if (!look)
        return LH_ENOMEM;
    look->meter = m;
    look->scores = scores;
    look->target = target;
    look->is_training = is_training;
    lh__hold(t->engine, scores);
    lh__hold(t->engine, target);
    return LH_OK;
}

static lh_status take(lh__trainer *t, lh__look *look) {
    lh__frame frame = lh__call_begin(t, look->who, look->hook);
    lh_status status = LH_OK;

    frame.began = -1; /* no call of the hook, for the profiler */
    if (look->meter) {
        status = update(t, look->meter, look->scores, look->target, look->is_training,
                        &look->who->error);
    } else {
        look->logged.options = &look->options;
        if (look->value)
            look->logged.value = lh__item(t->engine, look->value);
        status = lh__metrics_log(t->metrics, &look->logged, &look->who->error);
    }
    return lh__call_end(t, frame, status);
}

lh_status lh__look_all(lh__trainer *t) {
    lh__looks *l = &t->looks;
    lh_status status = LH_OK;
    int32_t n = l->n;

    /* Settled once for all, and none is in the list any more while they are taken. */
    if (n > 0)
        status = lh__settle(t->engine);
    l->n = 0;
    for (int32_t i = 0; i < n && status >= 0; i++)
        status = take(t, &l->items[i]);
    return status < 0 ? status : LH_OK;
}

void lh__looks_free(lh__looks *l) {
    free(l->items);
    memset(l, 0, sizeof *l);
}
