/* batch.c - which numbers of a recording come from the size of the batch.
 *
 * The same forward pass is recorded with several sizes. Where two recordings differ in an integer
 * or in the length of an axis, it is base + per_batch * batch; they may differ in nothing else.
 */
#include "export/recording.h"

#include <string.h>

typedef struct pair {
    lh__recording *a; /* gets its per_batch when `solves` */
    const lh__recording *b;
    int32_t solves;
    lh__error *err;
} pair;

/* One integer, `x` of the recording a and `y` of b. Where a is solved already x is the base. 0 when
 * no whole number of `per` fits. */
static int fit(const pair *p, int64_t *x, int64_t *per, int64_t y) {
    int64_t a = p->a->batch, b = p->b->batch;

    if (!p->solves)
        return *x + *per * b == y;
    if ((y - *x) % (b - a) != 0)
        return 0;
    *per = (y - *x) / (b - a);
    *x -= *per * a;
    return 1;
}

static lh_status differ(const pair *p, const lh_draft_node *n, const char *what) {
    return lh__fail(p->err, LH_EUNSUPPORTED,
                    "%s:%d: %s: %s depends on the size of the batch (seen with %lld and %lld "
                    "samples), so that no graph holds for every size; make it a parameter, a "
                    "constant or a whole multiple of the size",
                    n->file, n->line, n->name, what, (long long)p->a->batch,
                    (long long)p->b->batch);
}

/* The node that makes or, of a leaf, first uses value `i`. */
static const lh_draft_node *user_of(const lh__recording *r, int32_t i) {
    static const lh_draft_node forward = {.name = "output", .file = "forward"};

    for (int32_t k = 0; k < r->n_nodes; k++) {
        if (r->nodes[k].output == i)
            return &r->nodes[k];
        for (int32_t j = 0; j < r->nodes[k].n_inputs; j++)
            if (r->nodes[k].inputs[j] == i)
                return &r->nodes[k];
    }
    return &forward;
}

static lh_status match_value(const pair *p, int32_t i) {
    lh_draft_value *v = &p->a->values[i];
    const lh_draft_value *w = &p->b->values[i];
    int64_t size = lh__dtype_size(v->dtype);

    if (v->dtype != w->dtype || v->ndim != w->ndim || !v->data != !w->data || !v->name != !w->name)
        return differ(p, user_of(p->a, i), "what it computes with");
    for (int32_t d = 0; d < v->ndim; d++)
        if (!fit(p, &v->shape[d], &v->per_batch[d], w->shape[d]))
            return differ(p, user_of(p->a, i), "the shape of its result");
    for (int32_t d = 0; d < v->ndim; d++) {
        if (v->data && v->per_batch[d])
            return differ(p, user_of(p->a, i), "a constant that it reads");
        size *= v->shape[d];
    }
    if (v->data && v->data != w->data && memcmp(v->data, w->data, (size_t)size) != 0)
        return differ(p, user_of(p->a, i), "a constant that it reads");
    return LH_OK;
}

static lh_status match_node(const pair *p, int32_t i) {
    lh_draft_node *n = &p->a->nodes[i];
    const lh_draft_node *m = &p->b->nodes[i];

    if (n->op != m->op || n->n_inputs != m->n_inputs || n->n_ints != m->n_ints ||
        n->n_reals != m->n_reals || n->output != m->output ||
        memcmp(n->inputs, m->inputs, (size_t)n->n_inputs * sizeof *n->inputs) != 0)
        return differ(p, n, "which operators run");
    if (memcmp(n->reals, m->reals, (size_t)n->n_reals * sizeof *n->reals) != 0)
        return differ(p, n, "a real number given to it");
    for (int32_t k = 0; k < n->n_ints; k++) /* the recording's own copies */
        if (!fit(p, (int64_t *)&n->ints[k], (int64_t *)&n->per_batch[k], m->ints[k]))
            return differ(p, n, "an integer given to it");
    return LH_OK;
}

static lh_status match(const pair *p) {
    lh_status status = LH_OK;
    int32_t least = p->a->n_nodes < p->b->n_nodes ? p->a->n_nodes : p->b->n_nodes;

    for (int32_t i = 0; i < least && status == LH_OK; i++)
        status = match_node(p, i);
    if (status == LH_OK && (p->a->n_nodes != p->b->n_nodes || p->a->n_values != p->b->n_values ||
                            p->a->output != p->b->output))
        status = differ(p, user_of(p->a, p->a->output), "which operators run");
    for (int32_t i = 0; i < p->a->n_values && status == LH_OK; i++)
        status = match_value(p, i);
    return status;
}

lh_status lh__record_relate(lh__recording *r, const lh__recording *other, lh__error *err) {
    return match(&(pair){r, other, 1, err});
}

lh_status lh__record_check(const lh__recording *r, const lh__recording *other, lh__error *err) {
    return match(&(pair){(lh__recording *)r, other, 0, err});
}
