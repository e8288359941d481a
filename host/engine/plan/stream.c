/* stream.c - see stream.h. */
#include "engine/plan/stream.h"

#include <stdlib.h>
#include <string.h>

#include "kernels/view.h"

/* No machine has memory there. */
#define FIRST_ADDRESS ((char *)((uintptr_t)1 << 62))

/* Room for n more items of `size` bytes; where they go, or NULL. */
static void *more(lh__array *a, int64_t n, size_t size) {
    if (a->n + n > a->room || !a->items) {
        int64_t room = a->room ? a->room * 2 : 256;
        void *items;

        while (room < a->n + n)
            room *= 2;
        items = realloc(a->items, (size_t)room * size);
        if (!items)
            return NULL;
        a->items = items;
        a->room = room;
    }
    a->n += n;
    return (char *)a->items + (size_t)(a->n - n) * size;
}

void lh__stream_free(lh__stream *s) {
    lh__array *arrays[] = {&s->words, &s->memory, &s->reals, &s->places, &s->values};

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        free(arrays[i]->items);
    memset(s, 0, sizeof *s);
}

void lh__stream_reset(lh__stream *s) {
    s->words.n = s->memory.n = s->reals.n = s->places.n = s->values.n = 0;
    s->first = s->unnamed = s->derived = 0;
    s->next_address = FIRST_ADDRESS;
    s->failed = 0;
}

int32_t lh__stream_value(lh__stream *s, int64_t bytes) {
    lh__value *v = more(&s->values, 1, sizeof *v);

    if (!v)
        return -1;
    *v = (lh__value){.address = s->next_address, .bytes = bytes, .state = LH__PENDING};
    s->next_address += (bytes + 127) / 64 * 64;
    return (int32_t)(s->values.n - 1);
}

/* Writes an operand to `to`; returns behind it. NULL: no memory. */
static int64_t *put_operand(lh__stream *s, int64_t *to, const lh__view *v, int32_t value) {
    int64_t *head = to++, strided = !lh__view_is_contiguous(v);
    int64_t offset = value < 0 ? 0 : (char *)v->data - lh__value_at(s, value)->address;
    void **memory = value < 0 ? more(&s->memory, 1, sizeof *memory) : NULL;

    if (value < 0) {
        if (!memory)
            return NULL;
        *memory = v->data;
    }
    *head = (value < 0 ? 0 : value - s->first + 1) | (int64_t)v->dtype << 32 |
            (int64_t)v->ndim << 40 | strided << 48 | (int64_t)(offset != 0) << 49;
    for (int32_t d = 0; d < v->ndim; d++)
        *to++ = v->shape[d];
    for (int32_t d = 0; strided && d < v->ndim; d++)
        *to++ = v->stride[d];
    if (offset)
        *to++ = offset;
    return to;
}

int32_t lh__stream_call(lh__stream *s, const lh__kernel_call *k, const int32_t *values,
                        int32_t is_random, lh__place place) {
    int64_t most = 3 + (int64_t)(k->n_in + 1) * (2 + 2 * LH_MAX_DIMS) + k->n_ints;
    int64_t *words = more(&s->words, most, sizeof *words), *to = words;
    double *reals = more(&s->reals, k->n_reals, sizeof *reals);
    lh__place *where = more(&s->places, 1, sizeof *where);

    if (!words || !reals || !where)
        return 0;
    *where = place;
    *to++ = k->op | (int64_t)k->n_in << 16 | (int64_t)k->n_ints << 32 | (int64_t)k->n_reals << 40 |
            (int64_t)is_random << 48;
    for (int32_t i = 0; i <= k->n_in; i++) {
        to = put_operand(s, to, i < k->n_in ? k->in[i] : k->out, values[i]);
        if (!to)
            return 0;
    }
    for (int32_t i = 0; i < k->n_ints; i++)
        *to++ = k->ints[i];
    for (int32_t i = 0; i < k->n_reals; i++)
        reals[i] = k->reals[i];
    if (is_random)
        *to++ = (int64_t)k->key.stream;
    s->words.n += to - (words + most);
    return 1;
}

int32_t lh__stream_close(lh__stream *s, const uint8_t *keeps) {
    int64_t n = s->values.n - s->first;
    int64_t *bits = more(&s->words, (n + 63) / 64, sizeof *bits);

    if (!bits)
        return 0;
    memset(bits, 0, (size_t)((n + 63) / 64) * sizeof *bits);
    for (int64_t i = 0; i < n; i++)
        bits[i / 64] |= (int64_t)((uint64_t)keeps[i] << (i % 64));
    return 1;
}
