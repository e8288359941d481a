/* replay.c - see replay.h. */
#include "replay.h"

struct replay replay_make(lh_ctx *c, int64_t capacity, int64_t largest) {
    struct replay r = {.capacity = capacity, .largest = largest};

    r.rows = lh_alloc(c, (uint64_t)capacity * sizeof *r.rows);
    r.drawn = lh_alloc(c, (uint64_t)largest * sizeof *r.drawn);
    return r;
}

void replay_add(struct replay *r, const struct transition *t) {
    r->rows[r->next] = *t;
    r->next = (r->next + 1) % r->capacity;
    r->size += r->size < r->capacity;
}

lh_tensor *replay_sample(lh_ctx *c, struct replay *r, int64_t n, uint64_t *random) {
    int64_t oldest = r->size < r->capacity ? 0 : r->next;

    for (int64_t i = 0; i < n; i++)
        r->drawn[i] = r->rows[(oldest + random_below(random, r->size)) % r->capacity];
    return rows_tensor(c, r->drawn, n, sizeof *r->drawn / sizeof(float));
}

lh_status replay_save(lh_ctx *c, const struct replay *r) {
    lh_state_put_int(c, "replay.capacity", r->capacity);
    lh_state_put_int(c, "replay.size", r->size);
    lh_state_put_int(c, "replay.next", r->next);
    return bytes_save(c, "replay", r->rows, (size_t)r->size * sizeof *r->rows);
}

lh_status replay_load(lh_ctx *c, struct replay *r) {
    int64_t capacity = 0;

    lh_state_get_int(c, "replay.capacity", &capacity);
    if (capacity != r->capacity)
        return lh_fail(c, LH_ECORRUPT,
                       "the checkpoint's replay memory has a capacity of %lld, the model's %lld: "
                       "set --model.capacity %lld",
                       (long long)capacity, (long long)r->capacity, (long long)capacity);
    lh_state_get_int(c, "replay.size", &r->size);
    lh_state_get_int(c, "replay.next", &r->next);
    if (r->size < 0 || r->size > capacity || r->next < 0 || r->next >= capacity)
        return lh_fail(c, LH_ECORRUPT, "the checkpoint's replay memory contradicts itself");
    return bytes_load(c, "replay", r->rows, (size_t)r->size * sizeof *r->rows);
}
