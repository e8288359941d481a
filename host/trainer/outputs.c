/* outputs.c - the lists of outputs.h: flat arrays that only grow. */
#include "trainer/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One named tensor. Kept ones lie at `offset` of the bytes; the others are `tensor`. */
typedef struct item {
    char name[48];
    lh_tensor *tensor;
    int64_t step, offset;
    int32_t dtype, ndim;
    int64_t shape[LH_MAX_DIMS];
} item;

struct lh_outputs {
    item *items;
    unsigned char *bytes;
    int64_t n, capacity, size, reserved, steps;
};

lh__outputs *lh__outputs_new(void) {
    return calloc(1, sizeof(lh__outputs));
}

void lh__outputs_free(lh__outputs *o) {
    if (o) {
        free(o->items);
        free(o->bytes);
        free(o);
    }
}

void lh__outputs_clear(lh__outputs *o) {
    o->n = o->size = o->steps = 0;
}

lh_status lh__outputs_begin_step(lh__outputs *o) {
    o->steps++;
    return LH_OK;
}

static item *new_item(lh__outputs *o, const char *name) {
    item *i;

    if (o->n == o->capacity) {
        int64_t wanted = o->capacity ? o->capacity * 2 : 16;
        item *grown = realloc(o->items, (size_t)wanted * sizeof *grown);

        if (!grown)
            return NULL;
        o->items = grown;
        o->capacity = wanted;
    }
    i = &o->items[o->n++];
    memset(i, 0, sizeof *i);
    snprintf(i->name, sizeof i->name, "%s", name);
    i->step = o->steps - 1;
    return i;
}

lh_status lh__outputs_add(lh__outputs *o, const char *name, lh_tensor *t) {
    item *i = new_item(o, name);

    if (!i)
        return LH_ENOMEM;
    i->tensor = t;
    return LH_OK;
}

/* Room for `size` more bytes, aligned to 8. */
static int reserve(lh__outputs *o, int64_t size) {
    int64_t wanted = o->reserved ? o->reserved : 1 << 16;
    unsigned char *grown;

    while (wanted < o->size + size)
        wanted *= 2;
    if (wanted == o->reserved)
        return 1;
    grown = realloc(o->bytes, (size_t)wanted);
    if (!grown)
        return 0;
    o->bytes = grown;
    o->reserved = wanted;
    return 1;
}

lh_status lh__outputs_keep(lh__outputs *o, lh__engine *e, const lh__outputs *step) {
    o->steps++;
    for (int64_t k = 0; k < step->n; k++) {
        const lh_tensor *t = step->items[k].tensor;
        int64_t size = lh__view_numel(&t->view) * lh__dtype_size(t->view.dtype);
        item *i = reserve(o, size + 8) ? new_item(o, step->items[k].name) : NULL;

        if (!i)
            return LH_ENOMEM;
        i->offset = o->size;
        i->dtype = t->view.dtype;
        i->ndim = t->view.ndim;
        memcpy(i->shape, t->view.shape, sizeof i->shape);
        if (lh__tensor_read(e, t, o->bytes + i->offset, (uint64_t)size) != LH_OK)
            return LH_EINVAL;
        o->size += (size + 7) / 8 * 8;
    }
    return LH_OK;
}

int64_t lh__outputs_count(const lh__outputs *o) {
    return o->steps;
}

/* Entries of one step are neighbours, and steps are in order: bisect to the first, then scan. */
lh_tensor *lh__outputs_get(lh__engine *e, const lh__outputs *o, int64_t step, const char *name) {
    int64_t low = 0, high = o->n;

    while (low < high) {
        int64_t middle = (low + high) / 2;

        if (o->items[middle].step < step)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < o->n && o->items[low].step == step; low++) {
        const item *i = &o->items[low];

        if (strcmp(i->name, name) != 0)
            continue;
        return i->tensor ? i->tensor
                         : lh__tensor_new(e, i->dtype, i->ndim, i->shape, o->bytes + i->offset);
    }
    return NULL;
}
