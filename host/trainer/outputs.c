/* outputs.c - the lists of outputs.h: flat arrays that only grow. */
#include "trainer/outputs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One named tensor. Kept ones lie at `offset` of the bytes; the others are `tensor`. */
typedef struct item {
    char name[LH__OUTPUT_NAME_SIZE];
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

lh_status lh__outputs_put(lh__outputs *o, const char *name, lh_tensor *t) {
    item *i = NULL;

    for (int64_t k = o->n; k-- > 0 && o->items[k].step == o->steps - 1;)
        if (strcmp(o->items[k].name, name) == 0)
            i = &o->items[k];
    i = i ? i : new_item(o, name);
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
        memset(o->bytes + i->offset + size, 0, 8); /* what lies between goes into checkpoints */
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

static int64_t size_of(const item *i) {
    int64_t size = lh__dtype_size(i->dtype);

    for (int32_t k = 0; k < i->ndim; k++)
        size *= i->shape[k];
    return size;
}

int lh__outputs_kept(const lh__outputs *o, int64_t i, lh__kept *out) {
    const item *it = &o->items[i];

    if (i >= o->n)
        return 0;
    *out = (lh__kept){it->name, o->bytes + it->offset, it->step, size_of(it), it->dtype, it->ndim,
                      it->shape};
    return 1;
}

lh_status lh__outputs_save(const lh__outputs *o, lh__state *s, lh__error *e) {
    json_t *list = json_array();

    if (o->steps == 0) {
        json_decref(list);
        return LH_OK;
    }
    for (int64_t k = 0; k < o->n; k++) {
        const item *i = &o->items[k];
        json_t *shape = json_array();

        for (int32_t d = 0; d < i->ndim; d++)
            json_array_append_new(shape, json_integer(i->shape[d]));
        json_array_append_new(list, json_pack("{s:s, s:I, s:i, s:o}", "name", i->name, "step",
                                              (json_int_t)i->step, "dtype", (int)i->dtype, "shape",
                                              shape));
    }
    json_object_set_new(s->meta, "outputs",
                        json_pack("{s:I, s:o}", "steps", (json_int_t)o->steps, "items", list));
    return lh__state_put(s, "outputs", LH_U8, 1, &o->size, o->bytes, e);
}

/* One item of the list, its data next in `saved`. */
static lh_status load_item(lh__outputs *o, const json_t *row, const lh__state_tensor *saved) {
    const json_t *shape = json_object_get(row, "shape");
    const char *name = json_string_value(json_object_get(row, "name"));
    item *i = name && json_array_size(shape) <= LH_MAX_DIMS ? new_item(o, name) : NULL;
    int64_t size;

    if (!i)
        return LH_ECORRUPT;
    i->step = json_integer_value(json_object_get(row, "step"));
    i->dtype = (int32_t)json_integer_value(json_object_get(row, "dtype"));
    i->ndim = (int32_t)json_array_size(shape);
    for (int32_t d = 0; d < i->ndim; d++)
        i->shape[d] = json_integer_value(json_array_get(shape, (size_t)d));
    i->offset = o->size;
    size = size_of(i);
    if (size < 0 || (uint64_t)(o->size + size) > saved->size)
        return LH_ECORRUPT;
    o->size += (size + 7) / 8 * 8;
    return LH_OK;
}

lh_status lh__outputs_load(lh__outputs *o, const lh__state *s, lh__error *e) {
    const json_t *meta = json_object_get(s->meta, "outputs");
    const lh__state_tensor *saved = lh__state_find(s, "outputs");
    size_t k;
    json_t *row;

    lh__outputs_clear(o);
    if (!meta || !saved)
        return LH_OK;
    json_array_foreach(json_object_get(meta, "items"), k, row) {
        if (load_item(o, row, saved) != LH_OK)
            return lh__fail(e, LH_ECORRUPT, "the outputs of the epoch are not readable");
    }
    o->steps = json_integer_value(json_object_get(meta, "steps"));
    o->size = 0;
    if (!reserve(o, (int64_t)saved->size))
        return lh__fail(e, LH_ENOMEM, "out of memory");
    o->size = (int64_t)saved->size;
    memcpy(o->bytes, saved->data, saved->size);
    return LH_OK;
}
