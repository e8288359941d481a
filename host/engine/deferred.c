/* deferred.c - calls that are put off, and when they run.
 *
 * Invariant: between lh__settle and the next call nothing is pending: every tensor that can still
 * be asked for has an address, and every parameter, buffer and gradient holds what calls have
 * written to it.
 */
#include <string.h>

#include "engine/state.h"

static lh_status no_memory(lh__engine *e) {
    return lh__fail_here(e, LH_ENOMEM, "no memory for the results of a step");
}

void *lh__result(lh__engine *e, int64_t bytes, int32_t *value) {
    *value = lh__stream_value(&e->stream, bytes) + 1;
    return *value ? lh__value_at(&e->stream, *value - 1)->address : NULL;
}

/* Whose line the call is. */
static lh__place place_of(const lh__engine *e) {
    if (e->outer)
        return (lh__place){e->outer->file, e->outer->line, 0};
    return e->under ? (lh__place){e->under->file, e->under->line, 0} : (lh__place){NULL, 0, 0};
}

lh_status lh__invoke(lh__engine *e, const lh__kernel_call *k, const int32_t *values,
                     int is_random) {
    int32_t few[9], *numbers = few;

    if (!values || !e->options.deferred) {
        int64_t began = lh__span_begin(e->lane);

        e->device->kernels[k->op](k);
        lh__span_end(e->lane, LH__SPAN_OPERATOR, NULL, e->lane ? lh__op_name(k->op) : NULL, began);
        return LH_OK;
    }
    if (k->n_in > 8)
        numbers = lh__arena_alloc(&e->arena, (size_t)(k->n_in + 1) * sizeof *numbers);
    for (int32_t i = 0; numbers && i <= k->n_in; i++)
        numbers[i] = values[i] - 1;
    if (numbers && lh__stream_call(&e->stream, k, numbers, is_random, place_of(e)))
        return LH_OK;
    e->stream.failed = 1;
    return no_memory(e);
}

lh_status lh__locate(lh__engine *e, lh_tensor *t) {
    const lh__value *v = lh__value_at(&e->stream, t->value - 1);

    if (v->state == LH__DROPPED)
        return LH_ESTATE;
    if (v->state == LH__DONE) {
        t->view.data = v->data + ((char *)t->view.data - v->address);
        t->value = 0;
    }
    return LH_OK;
}

void lh__hold(lh__engine *e, const lh_tensor *t) {
    if (t && t->value)
        lh__value_at(&e->stream, t->value - 1)->is_held = 1;
}

void lh__names_end(lh__engine *e) {
    e->stream.unnamed = e->stream.values.n;
}

void lh__graph_end(lh__engine *e) {
    e->stream.derived = e->stream.values.n;
}

lh_status lh__computed(lh__engine *e, lh_tensor *t) {
    lh_status status = LH_OK;

    if (!t->value)
        return LH_OK;
    if (lh__value_at(&e->stream, t->value - 1)->state == LH__PENDING) {
        lh__hold(e, t);
        status = lh__settle(e);
    }
    if (status != LH_OK || lh__locate(e, t) == LH_OK)
        return status;
    return lh__fail_here(e, LH_ESTATE,
                         "the tensor is of a step that is over; use it in the hook that made it, "
                         "or keep it with lh_output");
}

void lh__explain(lh__engine *e, void (*line)(void *user, const char *text), void *user) {
    e->explain = line;
    e->explain_user = user;
}

/* ---- Settling ---- */

static void keep(const lh__stream *s, const lh_tensor *t, uint8_t *keeps) {
    if (t->value > s->first)
        keeps[t->value - 1 - s->first] |= t->value > s->derived;
}

/* A byte per value of the stream: it is kept. O(values, and nodes since calls ran last). */
static void find_kept(const lh__engine *e, uint8_t *keeps) {
    const lh__stream *s = &e->stream;
    const int all = e->outer || e->under;

    for (int64_t i = s->first; i < s->values.n; i++) {
        const lh__value *v = lh__value_at(s, (int32_t)i);

        keeps[i - s->first] = all || v->is_held || (v->is_named && i >= s->unnamed);
    }
    for (const lh__node *n = e->tape; n != e->settled && s->derived < s->values.n; n = n->older) {
        if (n->spent)
            continue;
        keep(s, n->out, keeps);
        for (int32_t i = 0; i < n->n_in; i++)
            keep(s, n->in[i], keeps);
    }
}

/* The plan of the closed stream. */
static lh__plan *plan(lh__engine *e) {
    lh__plan *p = lh__plans_find(&e->plans, &e->stream);

    if (p)
        return p;
    p = lh__plan_new(&e->stream, e->device, e->pool, e->options.products, e->options.seed);
    if (!p)
        return NULL;
    lh__plans_add(&e->plans, p);
    if (e->explain)
        lh__plan_explain(p, e->explain, e->explain_user);
    return p;
}

static lh_status run(lh__engine *e) {
    lh__stream *s = &e->stream;
    int64_t n = s->values.n - s->first;
    uint8_t *keeps = lh__arena_alloc(&e->arena, (size_t)n);
    lh__plan *p = NULL;
    char *block;

    if (s->failed || !keeps)
        return no_memory(e);
    find_kept(e, keeps);
    if (!lh__stream_close(s, keeps) || !(p = plan(e)))
        return no_memory(e);
    block = lh__arena_alloc(&e->arena, (size_t)p->bytes);
    if (!block)
        return no_memory(e);
    lh__plan_run(p, s, block, e->step, e->lane);
    for (int64_t i = 0; i < n; i++) {
        lh__value *v = lh__value_at(s, (int32_t)(s->first + i));

        if (keeps[i] && p->offsets[i] >= 0) {
            v->data = block + p->offsets[i];
            v->state = LH__DONE;
        }
    }
    return LH_OK;
}

lh_status lh__settle(lh__engine *e) {
    lh__stream *s = &e->stream;
    lh_status status;

    if (lh__stream_calls(s) == 0)
        return LH_OK;
    status = run(e);
    for (int64_t i = s->first; i < s->values.n; i++) {
        lh__value *v = lh__value_at(s, (int32_t)i);

        v->state = v->state == LH__DONE ? LH__DONE : LH__DROPPED;
    }
    e->settled = e->tape;
    s->first = s->values.n;
    s->words.n = s->memory.n = s->reals.n = s->places.n = 0;
    s->failed = 0;
    return status;
}
