/* plan.c - plans that are kept, found again, and run. */
#include "engine/plan/plan.h"

#include <string.h>

enum { TURNS = 5 }; /* of each way, until the fastest is known */

/* Fills in what differs from the run before. */
static void fill_in(lh__plan *p, const lh__stream *s, char *block, uint64_t step) {
    void *const *memory = s->memory.items;

    for (int64_t i = 0; i < p->n_random; i++)
        p->random[i]->key.step = step;
    for (int64_t i = 0; i < p->n_memory; i++)
        if (p->memory[i])
            p->memory[i]->data = memory[i];
    if (p->n_reals)
        memcpy(p->reals, s->reals.items, (size_t)p->n_reals * sizeof *p->reals);
    if (p->block == block)
        return;
    p->block = block;
    for (int64_t i = 0; i < p->n_slots; i++)
        p->slots[i].view->data = block + p->slots[i].offset;
}

/* The next way in turn; after the last turn, the fastest. */
static void try_way(lh__launch *l) {
    lh__trial *t = &l->trial;
    const int32_t way = t->runs++ % t->ways;
    int64_t began = lh__profile_clock(), taken;

    l->call.way = way + 1;
    l->kernel(&l->call);
    taken = lh__profile_clock() - began;
    if (t->runs <= t->ways || taken < t->fastest[way])
        t->fastest[way] = taken;
    if (t->runs < TURNS * t->ways)
        return;
    l->call.way = 1;
    for (int32_t i = 1; i < t->ways; i++)
        if (t->fastest[i] < t->fastest[l->call.way - 1])
            l->call.way = i + 1;
    t->ways = 0;
}

static void launch(lh__launch *l, const lh__device *device) {
    if (l->trial.ways)
        try_way(l);
    else if (l->kernel)
        l->kernel(&l->call);
    else
        device->run_chain(&l->chain);
}

void lh__plan_run(lh__plan *p, const lh__stream *s, char *block, uint64_t step, lh__lane *lane) {
    fill_in(p, s, block, step);
    for (lh__launch *l = p->launches, *end = l + p->n_launches; l < end; l++) {
        int64_t began = lh__span_begin(lane);

        launch(l, p->device);
        lh__span_end(lane, LH__SPAN_OPERATOR, NULL, l->name, began);
    }
}

/* Every word moves every bit of what follows (the multiplier is that of Knuth's LCG). */
static uint64_t hash(const int64_t *words, int64_t n) {
    uint64_t h = (uint64_t)n;

    for (int64_t i = 0; i < n; i++)
        h = (h ^ (uint64_t)words[i]) * 6364136223846793005u, h ^= h >> 29;
    return h;
}

lh__plan *lh__plans_find(lh__plans *c, const lh__stream *s) {
    const uint64_t h = hash(s->words.items, s->words.n);

    c->runs++;
    for (int32_t i = 0; i < LH__PLANS && c->plans[i]; i++) {
        lh__plan *p = c->plans[i];

        if (p->hash == h && p->n_words == s->words.n &&
            memcmp(p->words, s->words.items, (size_t)p->n_words * sizeof *p->words) == 0) {
            p->used = c->runs;
            c->replayed++;
            return p;
        }
    }
    return NULL;
}

void lh__plans_add(lh__plans *c, lh__plan *p) {
    int32_t at = 0;

    for (int32_t i = 0; i < LH__PLANS; i++) {
        if (!c->plans[i] || c->plans[i]->used < c->plans[at]->used)
            at = i;
        if (!c->plans[i])
            break;
    }
    lh__plan_free(c->plans[at]);
    c->plans[at] = p;
    p->hash = hash(p->words, p->n_words);
    p->used = c->runs;
    c->made++;
}

void lh__plans_free(lh__plans *c) {
    for (int32_t i = 0; i < LH__PLANS; i++)
        lh__plan_free(c->plans[i]);
    memset(c, 0, sizeof *c);
}
