/* meters.c - the list of meters.h. */
#include "trainer/meters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct lh__meter_slot {
    lh_meter *meter;
    int32_t is_evaluated; /* updated in an evaluation last */
    int32_t reserved;
} slot;

void lh__meters_free(lh__meters *all) {
    for (int32_t i = 0; i < all->n; i++)
        lh__meter_free(all->slots[i].meter);
    free(all->slots);
    *all = (lh__meters){0};
}

lh_meter *lh__meters_find(const lh__meters *all, const char *key) {
    for (int32_t i = 0; i < all->n; i++)
        if (strcmp(lh__meter_key(all->slots[i].meter), key) == 0)
            return all->slots[i].meter;
    return NULL;
}

lh_status lh__meters_add(lh__meters *all, lh_meter *m, lh__error *e) {
    if (lh__meters_find(all, lh__meter_key(m)))
        return lh__fail(e, LH_EINVAL,
                        "meter \"%s\": there is one of that name already, and their states could "
                        "not be told apart in a checkpoint: choose another name",
                        lh__meter_name(m));
    if (all->n == all->capacity) {
        int32_t wanted = all->capacity ? all->capacity * 2 : 8;
        slot *grown = realloc(all->slots, (size_t)wanted * sizeof *grown);

        if (!grown)
            return lh__fail(e, LH_ENOMEM, "out of memory");
        all->slots = grown;
        all->capacity = wanted;
    }
    all->slots[all->n++] = (slot){.meter = m};
    return LH_OK;
}

void lh__meters_updated(lh__meters *all, const lh_meter *m, int32_t is_training) {
    for (int32_t i = 0; i < all->n; i++)
        if (all->slots[i].meter == m)
            all->slots[i].is_evaluated = !is_training;
}

void lh__meters_reset(lh__meters *all) {
    for (int32_t i = 0; i < all->n; i++)
        lh__meter_reset(all->slots[i].meter);
}

static void part_name(const lh_meter *m, const lh__meter_part *p, char *out, size_t size) {
    snprintf(out, size, "state.meter.%s.%s", lh__meter_key(m), p->name);
}

static lh_status save(lh_meter *m, lh__state *s, lh__error *e) {
    lh__meter_part parts[LH__METER_PARTS];
    lh_status status = LH_OK;
    char name[900];

    lh__meter_parts(m, parts);
    for (int i = 0; i < LH__METER_PARTS && status == LH_OK; i++) {
        part_name(m, &parts[i], name, sizeof name);
        if (parts[i].numel > 0)
            status = lh__state_put(s, name, parts[i].dtype, 1, &parts[i].numel, parts[i].data, e);
    }
    return status;
}

lh_status lh__meters_save(lh__meters *all, lh__state *s, int32_t without_evaluation, lh__error *e) {
    lh_status status = LH_OK;

    for (int32_t i = 0; i < all->n && status == LH_OK; i++) {
        const slot *one = &all->slots[i];

        if (!lh__meter_is_empty(one->meter) && !(without_evaluation && one->is_evaluated))
            status = save(one->meter, s, e);
    }
    return status;
}

/* The saved part; NULL when it was empty. */
static const lh__state_tensor *saved_part(const lh_meter *m, const lh__meter_part *p,
                                          const lh__state *s) {
    char name[900];

    part_name(m, p, name, sizeof name);
    return lh__state_find(s, name);
}

static lh_status load(lh_meter *m, const lh__state *s, lh__error *e) {
    lh__meter_part parts[LH__METER_PARTS];
    const lh__state_tensor *targets;

    lh__meter_parts(m, parts);
    if (!saved_part(m, &parts[0], s))
        return LH_OK;
    targets = saved_part(m, &parts[3], s);
    if (targets && lh__meter_resize(m, (int64_t)(targets->size / 8), e) != LH_OK)
        return e->code;
    lh__meter_parts(m, parts);
    for (int i = 0; i < LH__METER_PARTS; i++) {
        const lh__state_tensor *saved = saved_part(m, &parts[i], s);
        int64_t numel = saved ? (int64_t)(saved->size / 8) : 0;

        if (numel != parts[i].numel || (saved && saved->dtype != parts[i].dtype))
            return lh__fail(e, LH_EINVAL,
                            "the checkpoint's meter \"%s\" is of another kind or number of classes",
                            lh__meter_name(m));
        if (numel > 0)
            memcpy(parts[i].data, saved->data, saved->size);
    }
    return LH_OK;
}

lh_status lh__meters_load(lh__meters *all, const lh__state *s, lh__error *e) {
    lh_status status = LH_OK;

    for (int32_t i = 0; i < all->n && status == LH_OK; i++)
        status = load(all->slots[i].meter, s, e);
    return status;
}
