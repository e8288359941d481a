/* meter.c - the kinds of meters, and what all have in common: options, operands, state. */
#include "metrics/meter.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/catalogue.h"
#include "metrics/kind.h"

static const lh__meter_kind kinds[] = {
    [LH_METER_MEAN] = {"mean", LH__VALUES, 1, lh__mean_update, lh__mean_compute},
    [LH_METER_ACCURACY] = {"accuracy", LH__CLASSES, 0, lh__stat_update, lh__accuracy_compute},
    [LH_METER_PRECISION] = {"precision", LH__CLASSES, 0, lh__stat_update, lh__precision_compute},
    [LH_METER_RECALL] = {"recall", LH__CLASSES, 0, lh__stat_update, lh__recall_compute},
    [LH_METER_F1] = {"F1", LH__CLASSES, 0, lh__stat_update, lh__f1_compute},
    [LH_METER_AUROC] = {"AUROC", LH__CLASSES, 0, lh__auroc_update, lh__auroc_compute},
    [LH_METER_CONFUSION] = {"confusion matrix", LH__CLASSES, 0, lh__confusion_update,
                            lh__confusion_compute},
    [LH_METER_MSE] = {"MSE", LH__PAIRS, 1, lh__mse_update, lh__mean_compute},
    [LH_METER_MAE] = {"MAE", LH__PAIRS, 1, lh__mae_update, lh__mean_compute},
    [LH_METER_R2] = {"R2", LH__PAIRS, 3, lh__r2_update, lh__r2_compute},
    [LH_METER_PERPLEXITY] = {"perplexity", LH__TOKENS, 1, lh__perplexity_update,
                             lh__perplexity_compute},
};

/* ---- options ---- */

#define REFUSE(code, ...) return refuse(e, code, o, __VA_ARGS__)

static lh_status refuse(lh__error *e, lh_status code, const lh_meter_options *o, const char *fmt,
                        ...) LH_PRINTF(4, 5);
static lh_status refuse(lh__error *e, lh_status code, const lh_meter_options *o, const char *fmt,
                        ...) {
    char text[600];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    return lh__fail(e, code, "meter \"%s\" (%s): %s", o->name, kinds[o->kind].name, text);
}

static lh_status check_classes(const lh_meter_options *o, lh__error *e) {
    if (o->classes < 1)
        REFUSE(LH_EINVAL, "give the number of classes: .classes = 10, or 1 where one score tells "
                          "two classes apart");
    if (o->average > LH_AVERAGE_NONE)
        REFUSE(LH_EINVAL, "%u is no average: use LH_AVERAGE_MICRO, _MACRO, _WEIGHTED or _NONE",
               (unsigned)o->average);
    if (o->kind == LH_METER_AUROC && o->classes > 1 && o->average == LH_AVERAGE_MICRO)
        REFUSE(LH_EINVAL, "there is no micro average of it: use LH_AVERAGE_MACRO, _WEIGHTED or "
                          "_NONE");
    if (o->top_k < 0 || o->top_k > o->classes)
        REFUSE(LH_EINVAL, "top_k is 1 to %d, not %d", (int)o->classes, (int)o->top_k);
    if (o->top_k > 1 && o->kind != LH_METER_ACCURACY)
        REFUSE(LH_EINVAL, "top_k is of accuracy alone");
    if (!(o->threshold >= 0 && o->threshold <= 1))
        REFUSE(LH_EINVAL, "the threshold is a probability, 0 to 1, not %g", o->threshold);
    return LH_OK;
}

static lh_status check_options(const lh_meter_options *o, lh__error *e) {
    if (!o->name || !*o->name || strlen(o->name) > 200)
        return lh__fail(e, LH_EINVAL,
                        "a meter has a .name of 1 to 200 characters, its key in checkpoints");
    if (o->kind < LH_METER_MEAN || o->kind > LH_METER_PERPLEXITY)
        return lh__fail(e, LH_EINVAL, "meter \"%s\": %u is no kind of meter", o->name,
                        (unsigned)o->kind);
    if (o->ignore_index > 0)
        REFUSE(LH_EINVAL, "ignore_index is negative, like -100, or 0 for none; not %lld",
               (long long)o->ignore_index);
    if (kinds[o->kind].operands == LH__CLASSES)
        return check_classes(o, e);
    if (kinds[o->kind].operands == LH__TOKENS && o->classes >= 0)
        return LH_OK;
    if (o->classes || o->ignore_index)
        REFUSE(LH_EINVAL, "it knows no classes: leave out classes and ignore_index");
    return LH_OK;
}

/* ---- life ---- */

static int64_t n_counts(const lh_meter_options *o) {
    int64_t classes = o->classes > 1 ? o->classes : 2;

    if (kinds[o->kind].operands != LH__CLASSES)
        return 2;
    return 1 + (o->kind == LH_METER_CONFUSION ? classes * classes : 3 * classes);
}

lh_meter *lh__meter_new(const lh_meter_options *o, const char *key, lh__error *e) {
    lh_meter *m;

    if (check_options(o, e) != LH_OK)
        return NULL;
    m = calloc(1, sizeof *m);
    if (!m) {
        lh__fail(e, LH_ENOMEM, "out of memory");
        return NULL;
    }
    m->kind = &kinds[o->kind];
    m->options = *o;
    m->options.top_k = o->top_k ? o->top_k : 1;
    m->options.threshold = o->threshold != 0 ? o->threshold : 0.5;
    m->options.name = strdup(o->name);
    m->key = strdup(key);
    m->n_counts = n_counts(o);
    m->counts = calloc((size_t)m->n_counts, sizeof *m->counts);
    m->sums = calloc((size_t)m->kind->n_sums + 1, sizeof *m->sums);
    m->result = calloc((size_t)o->classes + 1, sizeof *m->result);
    if (m->options.name && m->key && m->counts && m->sums && m->result)
        return m;
    lh__fail(e, LH_ENOMEM, "meter \"%s\": out of memory", o->name);
    lh__meter_free(m);
    return NULL;
}

void lh__meter_free(lh_meter *m) {
    if (!m)
        return;
    free((char *)m->options.name);
    free(m->key);
    free(m->counts);
    free(m->sums);
    free(m->result);
    free(m->scores);
    free(m->targets);
    free(m);
}

const char *lh__meter_key(const lh_meter *m) {
    return m->key;
}

const char *lh__meter_name(const lh_meter *m) {
    return m->options.name;
}

int32_t lh__meter_is_empty(const lh_meter *m) {
    return m->counts[0] == 0;
}

int64_t lh__meter_numel(const lh_meter *m) {
    int64_t classes = m->options.classes;

    if (m->options.kind == LH_METER_CONFUSION)
        return lh__n_classes(m) * lh__n_classes(m);
    return m->kind->operands == LH__CLASSES && classes > 1 && m->options.average == LH_AVERAGE_NONE
               ? classes
               : 1;
}

void lh__meter_reset(lh_meter *m) {
    memset(m->counts, 0, (size_t)m->n_counts * sizeof *m->counts);
    memset(m->sums, 0, (size_t)m->kind->n_sums * sizeof *m->sums);
    m->rows = 0;
}

void lh__meter_parts(lh_meter *m, lh__meter_part parts[LH__METER_PARTS]) {
    parts[0] = (lh__meter_part){"counts", m->counts, LH_I64, 0, m->n_counts};
    parts[1] = (lh__meter_part){"sums", m->sums, LH_F64, 0, m->kind->n_sums};
    parts[2] = (lh__meter_part){"scores", m->scores, LH_F64, 0, m->rows * m->options.classes};
    parts[3] = (lh__meter_part){"targets", m->targets, LH_I64, 0, m->rows};
}

/* Room grows by doubling: amortized O(1). */
lh_status lh__meter_resize(lh_meter *m, int64_t rows, lh__error *e) {
    int64_t capacity = m->capacity ? m->capacity : 1024;
    int64_t classes = m->options.classes > 0 ? m->options.classes : 1;
    void *scores, *targets;

    while (capacity < rows)
        capacity *= 2;
    if (capacity > m->capacity) {
        scores = realloc(m->scores, (size_t)(capacity * classes) * sizeof *m->scores);
        m->scores = scores ? scores : m->scores;
        targets = scores ? realloc(m->targets, (size_t)capacity * sizeof *m->targets) : NULL;
        m->targets = targets ? targets : m->targets;
        if (!targets)
            return lh__fail(e, LH_ENOMEM, "meter \"%s\": no memory for %lld rows of scores",
                            m->options.name, (long long)rows);
        m->capacity = capacity;
    }
    m->rows = rows;
    return LH_OK;
}

/* ---- operands ---- */

/* "float32 8x10" */
static const char *describe(const lh__view *v, char out[LH__SHAPE_TEXT + 16]) {
    char shape[LH__SHAPE_TEXT];

    snprintf(out, LH__SHAPE_TEXT + 16, "%s %s", lh__dtype_name(v->dtype),
             lh__shape_text(v->ndim, v->shape, shape));
    return out;
}

/* Axes [from, to) of a and those of b from `of` on are equal. */
static int same_axes(const lh__view *a, int32_t from, int32_t to, const lh__view *b, int32_t of) {
    for (int32_t d = from; d < to; d++)
        if (a->shape[d] != b->shape[of + d - from])
            return 0;
    return 1;
}

static int same_shape(const lh__view *a, const lh__view *b) {
    return a->ndim == b->ndim && same_axes(a, 0, a->ndim, b, 0);
}

static lh_status misfit(const lh_meter *m, const lh__batch_of *b, const char *wanted,
                        lh__error *e) {
    char scores[LH__SHAPE_TEXT + 16], target[LH__SHAPE_TEXT + 16];

    return refuse(e, LH_ESHAPE, &m->options, "scores %s and target %s don't fit together: %s",
                  describe(b->scores, scores), describe(b->target, target), wanted);
}

/* (n, C, ...) and (n, ...), or labels of the targets' shape. */
static lh_status fit_classes(const lh_meter *m, lh__batch_of *b, lh__error *e) {
    const lh__view *s = b->scores, *t = b->target;
    const lh_meter_options *o = &m->options;
    char wanted[120];

    b->classes = o->classes;
    b->are_labels = s->dtype == LH_I64 && same_shape(s, t);
    if (b->are_labels && (o->kind == LH_METER_AUROC || o->top_k > 1))
        REFUSE(LH_EDTYPE, "needs scores, not predicted classes (int64)");
    if (o->classes == 1) {
        return same_shape(s, t) ? LH_OK
                                : misfit(m, b, "with classes 1 their shapes are equal; reshape", e);
    }
    if (b->are_labels)
        return LH_OK;
    if (t->ndim < 1 || s->ndim != t->ndim + 1 || s->shape[0] != t->shape[0] ||
        s->shape[1] != o->classes || !same_axes(s, 2, s->ndim, t, 1)) {
        snprintf(wanted, sizeof wanted, "scores are (n, %d), targets (n)", (int)o->classes);
        return misfit(m, b, wanted, e);
    }
    for (int32_t d = 1; d < t->ndim; d++)
        b->inner *= t->shape[d];
    return LH_OK;
}

/* (..., C) and (...) */
static lh_status fit_tokens(const lh_meter *m, lh__batch_of *b, lh__error *e) {
    const lh__view *s = b->scores, *t = b->target;

    if (s->ndim != t->ndim + 1 || !same_axes(t, 0, t->ndim, s, 0))
        return misfit(m, b, "logits are (..., classes), targets (...)", e);
    b->classes = s->shape[s->ndim - 1];
    if (m->options.classes && b->classes != m->options.classes)
        return misfit(m, b, "the last axis of the logits is not .classes long", e);
    return LH_OK;
}

static lh_status fit(const lh_meter *m, lh__batch_of *b, lh__error *e) {
    const lh_meter_options *o = &m->options;
    const lh__view *t = b->target;

    if (m->kind->operands == LH__VALUES && t)
        REFUSE(LH_EINVAL, "takes values alone, no target");
    if (m->kind->operands != LH__VALUES && !t)
        REFUSE(LH_EINVAL, "needs a target");
    if (m->kind->operands == LH__VALUES)
        return LH_OK;
    if (m->kind->operands == LH__PAIRS) {
        if (!same_shape(b->scores, t))
            return misfit(m, b, "their shapes are equal; reshape one", e);
        if (o->kind == LH_METER_R2 && t->ndim > 1 && b->n != t->shape[0])
            return misfit(m, b, "R2 is of one output, (n); make a meter for each", e);
        return LH_OK;
    }
    if (t->dtype != LH_I64)
        REFUSE(LH_EDTYPE, "targets are class numbers, int64, not %s", lh__dtype_name(t->dtype));
    return m->kind->operands == LH__CLASSES ? fit_classes(m, b, e) : fit_tokens(m, b, e);
}

/* "[2, 5]": where element i of the view is. */
static const char *place(const lh__view *v, int64_t i, char out[200]) {
    int64_t at[LH_MAX_DIMS];
    size_t n = 0;

    for (int32_t d = v->ndim; d-- > 0; i /= v->shape[d])
        at[d] = i % v->shape[d];
    n += (size_t)snprintf(out, 200, "[");
    for (int32_t d = 0; d < v->ndim; d++)
        n += (size_t)snprintf(out + n, 200 - n, "%s%lld", d ? ", " : "", (long long)at[d]);
    snprintf(out + n, 200 - n, "]");
    return out;
}

static lh_status check_label(const lh_meter *m, const lh__view *v, const char *what, int64_t i,
                             int64_t classes, lh__error *e) {
    int64_t label = lh__label_at(v, i);
    char at[200];

    if (label >= 0 && label < classes)
        return LH_OK;
    return refuse(e, LH_EINVAL, &m->options, "%s%s is %lld: classes are 0 to %lld%s", what,
                  place(v, i, at), (long long)label, (long long)classes - 1,
                  label < 0 && m->options.ignore_index == 0 ? ", and no ignore_index is set" : "");
}

/* Of one element's scores: is one not a number? Notes what lies outside [0, 1]. */
static lh_status check_scores(const lh_meter *m, lh__batch_of *b, int64_t i, lh__error *e) {
    char at[200];

    for (int64_t k = 0; k < b->classes; k++) {
        double s = lh__score(b, i, k);

        if (s != s)
            return refuse(e, LH_ENAN, &m->options, "a score of class %lld, of target%s, is NaN",
                          (long long)(m->options.classes == 1 ? 1 : k), place(b->target, i, at));
        if (s < 0 || s > 1)
            b->are_logits = 1;
    }
    return LH_OK;
}

/* Every element that counts. */
static lh_status check_elements(const lh_meter *m, lh__batch_of *b, lh__error *e) {
    int64_t classes = m->kind->operands == LH__TOKENS ? b->classes : lh__n_classes(m);
    lh_status status = LH_OK;

    if (m->kind->operands < LH__CLASSES)
        return LH_OK;
    for (int64_t i = 0; i < b->n && status == LH_OK; i++) {
        if (lh__is_ignored(m, lh__label_at(b->target, i)))
            continue;
        status = check_label(m, b->target, "target", i, classes, e);
        if (status != LH_OK || m->kind->operands == LH__TOKENS)
            continue;
        status = b->are_labels ? check_label(m, b->scores, "scores", i, classes, e)
                               : check_scores(m, b, i, e);
    }
    return status;
}

lh_status lh__meter_update(lh_meter *m, const lh__view *scores, const lh__view *target,
                           lh__error *e) {
    lh__batch_of b = {.scores = scores, .target = target, .inner = 1, .classes = 1};
    lh_status status;

    b.n = lh__view_numel(target ? target : scores);
    status = fit(m, &b, e);
    if (status == LH_OK)
        status = check_elements(m, &b, e);
    if (status == LH_OK)
        status = m->kind->update(m, &b, e);
    if (status == LH_OK)
        m->counts[0]++;
    return status;
}

lh_status lh__meter_compute(lh_meter *m, lh__meter_value *out, lh__error *e) {
    if (lh__meter_is_empty(m))
        return lh__fail(e, LH_ESTATE,
                        "meter \"%s\": there is nothing to compute: lh_meter_update was not called "
                        "since it was made or reset",
                        m->options.name);
    return m->kind->compute(m, out, e);
}
