/* parts.c - see parts.h. */
#include "engine/parts.h"

#include "engine/operators/formula.h"
#include "engine/state.h"
#include "kernels/view.h"

/* A gradient of x of which nothing has arrived. */
static lh_tensor *nothing(lh__engine *e, const lh_tensor *x, int64_t axis) {
    lh_tensor *t = lh__tensor_alloc(e);

    if (!t)
        return NULL;
    t->view = x->view;
    t->view.data = NULL;
    t->parts = lh__arena_alloc(&e->arena, sizeof *t->parts);
    if (!t->parts) {
        lh__fail_here(e, LH_ENOMEM, "no memory for gradients");
        return NULL;
    }
    *t->parts = (lh__parts){NULL, axis};
    return t;
}

lh_tensor *lh__part_added(lh__engine *e, lh_tensor *arrived, const lh_tensor *x, int64_t axis,
                          int64_t begin, int64_t end, lh_tensor *g) {
    lh__part **at, *part;

    if (arrived && (!arrived->parts || arrived->parts->axis != axis))
        return NULL;
    if (!arrived)
        arrived = nothing(e, x, axis);
    if (!arrived)
        return NULL;
    at = &arrived->parts->first;
    while (*at && (*at)->end <= begin)
        at = &(*at)->next;
    if (*at && (*at)->begin < end)
        return NULL;
    part = lh__arena_alloc(&e->arena, sizeof *part);
    if (!part) {
        lh__fail_here(e, LH_ENOMEM, "no memory for gradients");
        return NULL;
    }
    *part = (lh__part){g, begin, end, *at};
    *at = part;
    return arrived;
}

/* How many parts there are; 0: they leave something out. */
static int32_t tiles(const lh_tensor *t) {
    int64_t end = 0;
    int32_t n = 0;

    for (const lh__part *p = t->parts->first; p; p = p->next, n++) {
        if (p->begin != end)
            return 0;
        end = p->end;
    }
    return end == t->view.shape[t->parts->axis] ? n : 0;
}

/* The whole as a view, where the parts, which tile it, lie as its own would; else NULL. */
static lh_tensor *seen(lh__engine *e, const lh_tensor *t) {
    const lh__part *first = t->parts->first;
    const lh__view *v = &first->g->view;
    const int64_t step = v->stride[t->parts->axis] * lh__dtype_size(v->dtype);
    lh_tensor *whole;

    for (const lh__part *p = first; p; p = p->next) {
        const lh__view *w = &p->g->view;

        if (p->g->value)
            lh__locate(e, p->g);
        if (p->g->value != first->g->value || p->g->base != first->g->base ||
            (char *)w->data != (char *)v->data + p->begin * step)
            return NULL;
        for (int32_t d = 0; d < w->ndim; d++)
            if (w->stride[d] != v->stride[d])
                return NULL;
    }
    whole = lh__tensor_alloc(e);
    if (!whole)
        return NULL;
    whole->view = t->view;
    whole->view.data = v->data;
    for (int32_t d = 0; d < v->ndim; d++)
        whole->view.stride[d] = v->stride[d];
    whole->value = first->g->value;
    whole->base = first->g->base;
    return whole;
}

/* One part behind the other. */
static lh_tensor *joined(lh__engine *e, const lh_tensor *t, int32_t n) {
    lh_tensor **in = lh__arena_alloc(&e->arena, (size_t)n * sizeof(lh_tensor *));
    int32_t i = 0;

    if (!in) {
        lh__fail_here(e, LH_ENOMEM, "no memory for gradients");
        return NULL;
    }
    for (const lh__part *p = t->parts->first; p; p = p->next)
        in[i++] = p->g;
    return op(e, LH_OP_CONCAT, n, in, 1, &t->parts->axis, 0, NULL);
}

/* The parts among zeros. */
static lh_tensor *scattered(lh__engine *e, const lh_tensor *t) {
    int64_t ints[4 + LH_MAX_DIMS] = {t->parts->axis, 0, 0, 1};
    lh_tensor *whole = NULL;

    for (int32_t d = 0; d < t->view.ndim; d++)
        ints[4 + d] = t->view.shape[d];
    for (const lh__part *p = t->parts->first; p; p = p->next) {
        lh_tensor *in[] = {p->g, whole};

        ints[1] = p->begin, ints[2] = p->end;
        whole = op(e, LH__OP_SLICE_GRAD, whole ? 2 : 1, in, 4 + t->view.ndim, ints, 0, NULL);
        if (!whole)
            return NULL;
    }
    return whole;
}

lh_tensor *lh__whole(lh__engine *e, lh_tensor *g) {
    lh_tensor *whole;
    int32_t n;

    if (!g || !g->parts)
        return g;
    n = tiles(g);
    if (!n)
        return scattered(e, g);
    whole = seen(e, g);
    return whole || e->err->code != LH_OK ? whole : joined(e, g, n);
}
