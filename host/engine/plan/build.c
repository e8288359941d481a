/* build.c - from a stream to a plan: what is needed, what joins what, launches.
 *
 * Every call that is needed is in one group; a group runs where its first call, the head, stood. A
 * call joins the group of an operand when it is elementwise, the operand's elements lie as its own
 * do, and everything else that it reads is there before the head runs.
 */
#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"
#include "engine/plan/plan.h"
#include "kernels/view.h"

enum { NONE = -1 };

/* An operand of a call: a value, or the next of the stream's addresses. */
typedef struct operand {
    lh__view view;          /* without an address */
    int32_t value;          /* NONE: memory */
    int64_t memory, offset; /* the number of the address; bytes within the value */
} operand;

typedef struct call {
    uint32_t op;
    int32_t n_in, n_ints, n_reals, is_random;
    operand *operands; /* the output last */
    const int64_t *ints;
    int64_t reals;              /* where its real numbers begin */
    uint64_t random;            /* the stream of its random numbers */
    int32_t is_needed, effects; /* effects: how many calls before it write to memory */
    int32_t group;              /* the number of its head; its own when it is one */
    int32_t next;               /* the next call of the group, or NONE */
    int32_t last, length;       /* of a head: the last call of the group; how many */
    uint32_t lasts;             /* the operands that may have their channels last, as bits */
    uint32_t free;              /* those of them that may by themselves */
} call;

/* A value: the call that makes it, and who reads it. */
typedef struct made {
    int32_t maker;
    int32_t last_reader; /* the head of the last group that does; NONE */
    int32_t is_kept;
    int32_t is_stored; /* it is read from memory, or kept */
    int32_t alias;     /* the value in whose memory it lies, or NONE */
} made;

typedef struct builder {
    const lh__stream *stream;
    const lh__device *device;
    lh__pool *pool;
    lh__products products;
    uint64_t seed;
    lh__plan *plan;
    lh__arena arena; /* of what is needed to build it only */
    call *calls;
    made *values;
    int32_t n_calls, n_values, n_heads;
    int32_t failed;
} builder;

static void *get(builder *b, lh__arena *a, int64_t n, size_t size) {
    void *p = lh__arena_alloc(a, (size_t)(n ? n : 1) * size);

    if (!p)
        b->failed = 1;
    else
        memset(p, 0, (size_t)n * size);
    return p;
}

#define NEW(b, n, type) ((type *)get(b, &(b)->arena, n, sizeof(type)))
#define KEEP(b, n, type) ((type *)get(b, &(b)->plan->arena, n, sizeof(type)))

/* ---- Reading the stream ---- */

static const int64_t *read_operand(const int64_t *w, operand *o, int64_t *memory) {
    const int64_t head = *w++;
    lh__view *v = &o->view;

    o->value = (int32_t)(head & 0xffffffff) - 1;
    o->memory = o->value == NONE ? (*memory)++ : NONE;
    v->data = NULL;
    v->dtype = (int32_t)(head >> 32 & 0xff);
    v->ndim = (int32_t)(head >> 40 & 0xff);
    for (int32_t d = 0; d < v->ndim; d++)
        v->shape[d] = *w++;
    for (int64_t d = v->ndim - 1, n = 1; d >= 0; d--) {
        v->stride[d] = head >> 48 & 1 ? w[d] : n;
        n *= v->shape[d];
    }
    w += head >> 48 & 1 ? v->ndim : 0;
    o->offset = head >> 49 & 1 ? *w++ : 0;
    return w;
}

/* The calls and, from the bits behind them, which values are kept. */
static void read_stream(builder *b) {
    const lh__stream *s = b->stream;
    const int64_t *w = s->words.items;
    int64_t memory = 0, reals = 0;

    for (int32_t i = 0; i < b->n_calls && !b->failed; i++) {
        call *c = &b->calls[i];
        const int64_t head = *w++;

        *c = (call){.op = (uint32_t)(head & 0xffff),
                    .n_in = (int32_t)(head >> 16 & 0xffff),
                    .n_ints = (int32_t)(head >> 32 & 0xff),
                    .n_reals = (int32_t)(head >> 40 & 0xff),
                    .is_random = (int32_t)(head >> 48 & 1),
                    .reals = reals,
                    .group = i,
                    .next = NONE,
                    .last = i,
                    .length = 1};
        reals += c->n_reals;
        c->operands = NEW(b, c->n_in + 1, operand);
        for (int32_t k = 0; k <= c->n_in && !b->failed; k++)
            w = read_operand(w, &c->operands[k], &memory);
        c->ints = w;
        w += c->n_ints;
        if (c->is_random)
            c->random = (uint64_t)*w++;
    }
    for (int32_t i = 0; i < b->n_values; i++) {
        b->values[i] = (made){NONE, NONE, (int32_t)((uint64_t)w[i / 64] >> (i % 64) & 1), 0, NONE};
        b->values[i].is_stored = b->values[i].is_kept;
    }
}

static const operand *output(const call *c) {
    return &c->operands[c->n_in];
}

/* ---- What is needed ---- */

/* From the last call to the first: those that write to memory, those whose value is kept, and those
 * that a needed call reads. */
static void find_needed(builder *b) {
    uint8_t *read = NEW(b, b->n_values, uint8_t);
    int32_t effects = 0;

    for (int32_t i = b->n_calls; !b->failed && i-- > 0;) {
        call *c = &b->calls[i];
        int32_t value = output(c)->value;

        c->is_needed = value == NONE || b->values[value].is_kept || read[value];
        for (int32_t k = 0; c->is_needed && k < c->n_in; k++)
            if (c->operands[k].value != NONE)
                read[c->operands[k].value] = 1;
    }
    for (int32_t i = 0; !b->failed && i < b->n_calls; i++) {
        call *c = &b->calls[i];

        c->effects = effects;
        effects += c->is_needed && output(c)->value == NONE;
        if (c->is_needed && output(c)->value != NONE)
            b->values[output(c)->value].maker = i;
    }
}

/* ---- Groups ---- */

/* The kernel's call, its views without addresses. */
static lh__kernel_call kernel_call(const builder *b, const call *c, const lh__view **in) {
    for (int32_t k = 0; k < c->n_in; k++)
        in[k] = &c->operands[k].view;
    return (lh__kernel_call){.op = c->op,
                             .n_in = c->n_in,
                             .n_ints = c->n_ints,
                             .n_reals = c->n_reals,
                             .products = b->products,
                             .in = in,
                             .out = &output(c)->view,
                             .ints = c->ints,
                             .reals = (const double *)b->stream->reals.items + c->reals,
                             .pool = b->pool};
}

/* Whether the elements of an operand are those of its value, all of them in order. */
static int32_t is_whole(const builder *b, const operand *o) {
    return o->value != NONE && o->offset == 0 && lh__view_is_contiguous(&o->view) &&
           lh__view_numel(&o->view) ==
               lh__view_numel(&output(&b->calls[b->values[o->value].maker])->view);
}

static int32_t may_link(const builder *b, const call *c) {
    const lh__view *in[LH__LINK_OPERANDS];
    lh__kernel_call k;

    if (!b->device->may_link || c->n_in < 1 || c->n_in > LH__LINK_OPERANDS ||
        output(c)->value == NONE)
        return 0;
    k = kernel_call(b, c, in);
    return b->device->may_link(&k);
}

/* Whether calls may join the group of this head. */
static int32_t may_lead(const builder *b, const call *head) {
    const lh__view *in[16];
    lh__kernel_call k;

    if (head->length > LH__MAX_LINKS - 1 || output(head)->value == NONE)
        return 0;
    if (may_link(b, head))
        return 1;
    if (!b->device->runs_after || head->n_in > 16)
        return 0;
    k = kernel_call(b, head, in);
    return b->device->runs_after(&k);
}

/* The head of the group that makes the operand; NONE: it is memory, or of a step before. */
static int32_t maker_of(const builder *b, const operand *o) {
    return o->value == NONE ? NONE : b->calls[b->values[o->value].maker].group;
}

/* Whether everything that c reads is there, or made on the way, when `head` runs. */
static int32_t is_there(const builder *b, const call *c, int32_t head) {
    for (int32_t k = 0; k < c->n_in; k++) {
        const operand *o = &c->operands[k];
        int32_t maker = maker_of(b, o);

        if (maker == NONE ? b->calls[head].effects != c->effects
                          : maker > head || (maker == head && !is_whole(b, o)))
            return 0;
    }
    return 1;
}

static void join(builder *b, int32_t i) {
    call *c = &b->calls[i], *head;
    int32_t latest = NONE;

    for (int32_t k = 0; k < c->n_in; k++) {
        int32_t maker = maker_of(b, &c->operands[k]);

        if (maker > latest)
            latest = maker;
    }
    if (latest == NONE || !may_link(b, c) || !is_there(b, c, latest))
        return;
    head = &b->calls[latest];
    if (!may_lead(b, head) ||
        lh__view_numel(&output(head)->view) != lh__view_numel(&output(c)->view))
        return;
    b->calls[head->last].next = i;
    head->last = i;
    head->length++;
    c->group = latest;
}

/* Who reads which value last, and which are read from memory. */
static void find_readers(builder *b) {
    for (int32_t i = 0; i < b->n_calls; i++) {
        const call *c = &b->calls[i];

        for (int32_t k = 0; c->is_needed && k < c->n_in; k++) {
            const operand *o = &c->operands[k];
            made *v = o->value == NONE ? NULL : &b->values[o->value];

            if (!v)
                continue;
            v->last_reader = v->last_reader > c->group ? v->last_reader : c->group;
            v->is_stored |= maker_of(b, o) != c->group;
        }
    }
}

static int32_t is_chain(const builder *b, const call *head) {
    return head->length > 1 && may_link(b, head);
}

/* What a kernel makes for its chain alone lies where the chain's last result goes. */
static void place_heads(builder *b) {
    for (int32_t i = 0; i < b->n_calls; i++) {
        const call *head = &b->calls[i];
        const operand *made_here = output(head), *last = output(&b->calls[head->last]);

        if (!head->is_needed || head->group != i || made_here->value == NONE || is_chain(b, head))
            continue;
        if (head->length > 1 && !b->values[made_here->value].is_stored &&
            b->values[last->value].is_stored && last->view.dtype == made_here->view.dtype)
            b->values[made_here->value].alias = last->value;
        else
            b->values[made_here->value].is_stored = 1;
    }
}

/* ---- Layouts ---- */

/* Whether operand k is in a set; those from the 33rd on never are. */
static int32_t is_in(uint32_t set, int32_t k) {
    return k < 32 && set >> k & 1;
}

/* The value that others of the call have to lie like, or NONE. */
static int32_t first_alike(const call *c) {
    for (int32_t k = c->n_in; k >= 0; k--)
        if (is_in(c->lasts & ~c->free, k) && c->operands[k].value != NONE)
            return c->operands[k].value;
    return NONE;
}

/* Appends the uses that the call makes of values. Memory lies as it does, and what has to lie like
 * it does so, too. */
static int64_t list_uses(const builder *b, const call *c, lh__use *uses) {
    const int32_t first = first_alike(c);
    int64_t n = 0;

    for (int32_t k = 0; k <= c->n_in; k++) {
        const operand *o = &c->operands[k];
        const int32_t last = is_in(c->lasts, k), alike = last && !is_in(c->free, k);
        const int32_t value = o->value != NONE ? o->value : alike ? first : NONE;

        if (value == NONE)
            continue;
        uses[n++] = (lh__use){
            .value = value,
            .like = alike ? first : NONE,
            .may = last && is_whole(b, o) && !b->values[value].is_kept,
            .gains = is_in(c->free, k),
            .images = o->view.ndim > 0 ? o->view.shape[0] : 0,
            .channels = o->view.ndim > 1 ? o->view.shape[1] : 0,
        };
    }
    return n;
}

/* Gives values their layouts, where the device has kernels for more than one. */
static void find_layouts(builder *b) {
    uint8_t *last = NEW(b, b->n_values, uint8_t);
    int64_t room = 0, n = 0;
    lh__use *uses;

    for (int32_t i = 0; i < b->n_calls; i++)
        room += b->calls[i].n_in + 1;
    uses = NEW(b, room, lh__use);
    for (int32_t i = 0; i < b->n_calls && !b->failed; i++) {
        call *c = &b->calls[i];
        const lh__view **in = NEW(b, c->n_in, const lh__view *);
        lh__kernel_call k;

        if (b->failed || !c->is_needed)
            continue;
        k = kernel_call(b, c, in);
        c->lasts = b->device->channels_last(&k, &c->free);
        n += list_uses(b, c, uses + n);
    }
    b->failed |= b->failed || !lh__plan_layouts(uses, n, b->n_values, last, &b->arena);
    for (int32_t i = 0; i < b->n_calls && !b->failed; i++) {
        const call *c = &b->calls[i];

        for (int32_t k = 0; k <= c->n_in && c->is_needed; k++)
            if (is_in(c->lasts, k) && c->operands[k].value != NONE && last[c->operands[k].value])
                lh__view_put_channels_last(&c->operands[k].view);
    }
}

/* ---- Launches ---- */

/* A value needs a place from the launch that makes it to the last that reads it. */
static void find_places(builder *b, const int32_t *launch_of) {
    lh__plan *p = b->plan;
    lh__life *lives = NEW(b, b->n_values, lh__life);

    for (int32_t i = 0; !b->failed && i < b->n_values; i++) {
        const made *v = &b->values[i];
        const call *maker = v->maker == NONE ? NULL : &b->calls[v->maker];

        lives[i] = (lh__life){NONE, NONE, 0};
        if (!maker)
            continue;
        p->stored += lh__value_at(b->stream, (int32_t)b->stream->first + i)->bytes;
        if (!v->is_stored)
            continue;
        lives[i].bytes = lh__value_at(b->stream, (int32_t)b->stream->first + i)->bytes;
        lives[i].first = launch_of[maker->group];
        lives[i].last = v->is_kept               ? (int32_t)p->n_launches
                        : v->last_reader == NONE ? lives[i].first
                                                 : launch_of[v->last_reader];
    }
    if (b->failed)
        return;
    p->bytes = lh__plan_memory(lives, b->n_values, p->offsets, &b->arena);
    b->failed |= p->bytes < 0;
    for (int32_t i = 0; i < b->n_values; i++)
        if (b->values[i].alias != NONE)
            p->offsets[i] = p->offsets[b->values[i].alias];
}

/* Fills in a call for a launch; operands that are made on the way have no address. */
static void lower(builder *b, const call *c, lh__kernel_call *k) {
    lh__plan *p = b->plan;
    lh__view *views = KEEP(b, c->n_in + 1, lh__view);
    const lh__view **in = KEEP(b, c->n_in, const lh__view *);
    int64_t *ints = KEEP(b, c->n_ints, int64_t);

    if (b->failed)
        return;
    *k = kernel_call(b, c, in);
    memcpy(ints, c->ints, (size_t)c->n_ints * sizeof *ints);
    for (int32_t i = 0; i <= c->n_in; i++) {
        const operand *o = &c->operands[i];

        views[i] = o->view;
        if (i < c->n_in)
            in[i] = &views[i];
        if (o->value == NONE)
            p->memory[o->memory] = &views[i];
        else if (p->offsets[o->value] >= 0)
            p->slots[p->n_slots++] = (lh__slot){&views[i], p->offsets[o->value] + o->offset};
    }
    k->out = &views[c->n_in];
    k->ints = ints;
    k->reals = p->reals + c->reals;
    k->key = (lh__philox_key){b->seed, c->random, 0};
    if (c->is_random)
        p->random[p->n_random++] = k;
}

/* Whether the elements of two views as large as one another are in the same order. */
static int32_t lies_like(const lh__view *a, const lh__view *b) {
    return (lh__view_is_contiguous(a) && lh__view_is_contiguous(b)) ||
           (lh__view_is_channels_last(a) && lh__view_is_channels_last(b));
}

/* Which link of the group, from call `first` on, makes the value; NONE: none. */
static int32_t link_of(const builder *b, int32_t first, int32_t value) {
    int32_t n = 0;

    for (int32_t i = first; i != NONE && value != NONE; i = b->calls[i].next, n++)
        if (output(&b->calls[i])->value == value)
            return n;
    return NONE;
}

static void lower_chain(builder *b, int32_t first, lh__launch *l, int32_t n) {
    lh__chain *chain = &l->chain;

    chain->after.run = b->device->run_links;
    chain->numel = lh__view_numel(&output(&b->calls[first])->view);
    chain->pool = b->pool;
    chain->links = KEEP(b, n, lh__link);
    for (int32_t i = first; i != NONE && !b->failed; i = b->calls[i].next) {
        const call *c = &b->calls[i];
        lh__link *link = &chain->links[chain->n++];

        lower(b, c, &link->call);
        link->is_stored = b->values[output(c)->value].is_stored;
        link->is_flat = 1;
        for (int32_t k = 0; k < c->n_in; k++) {
            const lh__view *v = &c->operands[k].view;

            link->source[k] = link_of(b, first, c->operands[k].value);
            link->is_flat &= lh__view_numel(v) == chain->numel && lies_like(v, link->call.out);
        }
        b->device->ready_link(link);
    }
}

static void lower_group(builder *b, int32_t i, lh__launch *l) {
    const call *head = &b->calls[i];

    l->first = i;
    l->name = lh__op_name(head->op);
    if (is_chain(b, head)) {
        lower_chain(b, i, l, head->length);
        return;
    }
    l->kernel = b->device->kernels[head->op];
    lower(b, head, &l->call);
    if (!b->failed && b->device->ways)
        l->trial.ways = b->device->ways(&l->call);
    if (head->length > 1) {
        lower_chain(b, head->next, l, head->length - 1);
        l->call.after = &l->chain.after;
    }
}

static void make_launches(builder *b) {
    lh__plan *p = b->plan;
    int32_t *launch_of = NEW(b, b->n_calls, int32_t);
    int64_t operands = 0, n = 0;

    for (int32_t i = 0; !b->failed && i < b->n_calls; i++) {
        const call *c = &b->calls[i];

        operands += c->n_in + 1;
        launch_of[i] = (int32_t)p->n_launches;
        p->n_launches += c->is_needed && c->group == i;
        p->n_joined += c->is_needed && c->group != i;
        p->n_dropped += !c->is_needed;
    }
    p->offsets = KEEP(b, b->n_values, int64_t);
    p->launches = KEEP(b, p->n_launches, lh__launch);
    p->memory = KEEP(b, p->n_memory, lh__view *);
    p->slots = KEEP(b, operands, lh__slot);
    p->random = KEEP(b, b->n_calls, lh__kernel_call *);
    p->reals = KEEP(b, p->n_reals, double);
    p->places = KEEP(b, b->n_calls, lh__place);
    if (b->failed)
        return;
    memcpy(p->places, b->stream->places.items, (size_t)b->n_calls * sizeof *p->places);
    find_places(b, launch_of);
    for (int32_t i = 0; i < b->n_calls && !b->failed; i++) {
        if (b->calls[i].is_needed && b->calls[i].group == i)
            lower_group(b, i, &p->launches[n++]);
    }
}

/* ---- The whole ---- */

static void copy_key(builder *b) {
    lh__plan *p = b->plan;

    p->n_words = b->stream->words.n;
    p->words = KEEP(b, p->n_words, int64_t);
    p->n_memory = b->stream->memory.n;
    p->n_reals = b->stream->reals.n;
    p->n_values = b->n_values;
    p->n_calls = b->n_calls;
    if (!b->failed)
        memcpy(p->words, b->stream->words.items, (size_t)p->n_words * sizeof *p->words);
}

lh__plan *lh__plan_new(const lh__stream *s, const lh__device *device, lh__pool *pool,
                       lh__products products, uint64_t seed) {
    builder b = {.stream = s,
                 .device = device,
                 .pool = pool,
                 .products = products,
                 .seed = seed,
                 .n_calls = (int32_t)lh__stream_calls(s),
                 .n_values = (int32_t)(s->values.n - s->first)};

    b.plan = calloc(1, sizeof *b.plan);
    if (!b.plan)
        return NULL;
    b.plan->device = device;
    b.calls = NEW(&b, b.n_calls, call);
    b.values = NEW(&b, b.n_values, made);
    copy_key(&b);
    if (!b.failed)
        read_stream(&b);
    if (!b.failed)
        find_needed(&b);
    for (int32_t i = 0; i < b.n_calls && !b.failed; i++)
        if (b.calls[i].is_needed)
            join(&b, i);
    if (!b.failed) {
        find_readers(&b);
        place_heads(&b);
        if (device->channels_last)
            find_layouts(&b);
        make_launches(&b);
    }
    lh__arena_free(&b.arena);
    if (b.failed) {
        lh__plan_free(b.plan);
        return NULL;
    }
    return b.plan;
}

void lh__plan_free(lh__plan *p) {
    if (!p)
        return;
    lh__arena_free(&p->arena);
    free(p);
}
