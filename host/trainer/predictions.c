/* predictions.c - what predict_step returned, and what it gave to lh_output, as
 * <run folder>/predictions.safetensors.
 *
 * One tensor per output and loader, its batches put together along the first axis in the order of
 * the data: "prediction", or "prediction/dataloader_idx_1" where there are several loaders. Outputs
 * whose batches do not fit together (scalars, a sequence length that varies) stay apart:
 * "prediction/batch_7".
 */
#include "checkpoint/safetensors.h"
#include "trainer/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The steps of one loader among those kept, and one of their outputs. */
typedef struct part {
    int64_t first, end; /* steps */
    const char *name;
    char suffix[40];
} part;

/* Can `b` go on behind `a`? */
static int fits(const lh__kept *a, const lh__kept *b) {
    return a->ndim > 0 && a->ndim == b->ndim && a->dtype == b->dtype &&
           memcmp(a->shape + 1, b->shape + 1, (size_t)(a->ndim - 1) * sizeof *a->shape) == 0;
}

static int belongs(const part *p, const lh__kept *k) {
    return k->step >= p->first && k->step < p->end && strcmp(k->name, p->name) == 0;
}

/* Rows and bytes of the whole part; 0 where its batches do not fit together. */
static int measure(const lh__outputs *o, const part *p, lh__kept *first, int64_t *rows,
                   int64_t *bytes) {
    lh__kept k;

    *rows = *bytes = 0;
    for (int64_t i = 0; lh__outputs_kept(o, i, &k); i++) {
        if (!belongs(p, &k))
            continue;
        if (*bytes == 0 && *rows == 0)
            *first = k;
        if (!fits(first, &k))
            return 0;
        *rows += k.shape[0];
        *bytes += k.size;
    }
    return 1;
}

static void name_batch(char *out, size_t size, const part *p, const lh__kept *k) {
    snprintf(out, size, "%s%s/batch_%lld", k->name, p->suffix, (long long)(k->step - p->first));
}

static lh_status put_apart(const lh__outputs *o, const part *p, lh__state *s, lh__error *e) {
    lh_status status = LH_OK;
    lh__kept k;

    for (int64_t i = 0; lh__outputs_kept(o, i, &k) && status == LH_OK; i++) {
        char name[128];

        if (!belongs(p, &k))
            continue;
        name_batch(name, sizeof name, p, &k);
        status = lh__state_put(s, name, k.dtype, k.ndim, k.shape, k.data, e);
    }
    return status;
}

static lh_status put_part(const lh__outputs *o, const part *p, lh__state *s, lh__error *e) {
    int64_t rows, bytes, at = 0, shape[LH_MAX_DIMS];
    char name[128], *all;
    lh__kept first = {0}, k;
    lh_status status;

    if (!measure(o, p, &first, &rows, &bytes))
        return put_apart(o, p, s, e);
    all = malloc((size_t)bytes + 1);
    if (!all)
        return lh__fail(e, LH_ENOMEM, "out of memory for the predictions");
    for (int64_t i = 0; lh__outputs_kept(o, i, &k); i++)
        if (belongs(p, &k)) {
            memcpy(all + at, k.data, (size_t)k.size);
            at += k.size;
        }
    memcpy(shape, first.shape, sizeof shape);
    shape[0] = rows;
    snprintf(name, sizeof name, "%s%s", p->name, p->suffix);
    status = lh__state_put_copy(s, name, first.dtype, first.ndim, shape, all, e);
    free(all);
    return status;
}

/* Each output of the loader once, where its name comes up first. */
static lh_status put_loader(const lh__outputs *o, part *p, lh__state *s, lh__error *e) {
    lh_status status = LH_OK;
    lh__kept k;

    for (int64_t i = 0; lh__outputs_kept(o, i, &k) && status == LH_OK; i++) {
        char whole[128], apart[128];

        if (k.step < p->first || k.step >= p->end)
            continue;
        p->name = k.name;
        snprintf(whole, sizeof whole, "%s%s", k.name, p->suffix);
        name_batch(apart, sizeof apart, p, &k);
        if (!lh__state_find(s, whole) && !lh__state_find(s, apart))
            status = put_part(o, p, s, e);
    }
    return status;
}

lh_status lh__predictions_write(lh__trainer *t) {
    const lh__sources *sources = &t->sources[LH_PREDICT_LOADERS];
    lh__state *s = lh__state_new();
    char path[1100];
    lh_status status = s ? LH_OK : lh__run_fail(t, LH_ENOMEM, "out of memory");
    part p = {0};

    for (int32_t i = 0; i < sources->n && status == LH_OK; i++) {
        if (sources->n > 1)
            snprintf(p.suffix, sizeof p.suffix, "/dataloader_idx_%d", (int)i);
        p.end = p.first + sources->source[i].batches;
        status = put_loader(t->eval_outputs, &p, s, &t->failure);
        p.first = p.end;
    }
    if (status == LH_OK && t->log_dir && s->n_tensors > 0) {
        snprintf(path, sizeof path, "%s/predictions.safetensors", t->log_dir);
        status = lh__safetensors_write(path, s, &t->failure);
        if (status == LH_OK) {
            t->predictions = strdup(path);
            lh__say(t, LH_INFO, "predictions are in %s", path);
        }
    }
    lh__state_free(s);
    return status;
}
