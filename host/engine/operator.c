/* operator.c - one call of an operator: look up, check, allocate, run, record.
 *
 * Invariant: a tensor that lh__op returns is complete: its values are computed and, where a
 * gradient may be wanted, its node is on the tape.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/operators/rules.h"
#include "engine/state.h"
#include "kernels/ref/ref.h"

/* Input v as an elementwise kernel gets it: broadcast to the shape of `out`. */
static void broadcast_view(const lh__view *v, const lh__view *out, lh__view *to) {
    int32_t lead = out->ndim - v->ndim;

    to->data = v->data;
    to->dtype = v->dtype;
    to->ndim = out->ndim;
    for (int32_t d = 0; d < out->ndim; d++) {
        to->shape[d] = out->shape[d];
        to->stride[d] = d < lead || v->shape[d - lead] != out->shape[d] ? 0 : v->stride[d - lead];
    }
}

/* The message for the first element that is not finite, with detect_anomaly. O(elements).
 * An infinity that comes from an infinite input is what the author asked for. */
static int64_t find_bad(const lh__view *v, int32_t infinities) {
    int64_t n = lh__view_numel(v);

    for (int64_t i = 0; i < n; i++) {
        double x = lh__get(v, i);

        if (isnan(x) || (infinities && isinf(x)))
            return i;
    }
    return -1;
}

static lh_status check_finite(const lh__check *c) {
    int32_t infinities = c->n_in > 0;
    int64_t at;

    if (!lh__dtype_is_real(c->out.dtype))
        return LH_OK;
    for (int32_t i = 0; i < c->n_in; i++) {
        const lh__view *v = &c->in[i]->view;

        if (lh__dtype_is_real(v->dtype) && find_bad(v, 1) >= 0)
            infinities = 0;
    }
    at = find_bad(&c->out, infinities);
    if (at < 0)
        return LH_OK;
    return lh__reject(
        c, LH_ENAN,
        "element %lld of the result is not finite; look at the operands, the learning "
        "rate, and logarithms or divisions by numbers near 0",
        (long long)at);
}

static lh__philox_key next_key(lh__engine *e, const lh__row *row) {
    if (row->flags & LH__REPLAYS && e->under)
        return e->under->key;
    if (row->flags & LH__RANDOM)
        return (lh__philox_key){e->options.seed, (uint64_t)e->phase << 32 | e->ordinal++, e->step};
    return (lh__philox_key){0};
}

/* Whether the call runs at once in an engine that defers. Integers that are but brought in order
 * do: they tend to be indices, which rules look at. Memory that is no parameter's has no writes
 * pending. */
static int runs_now(const lh__check *c) {
    return !c->e->options.deferred ||
           (c->row->flags & LH__COPIES && !lh__dtype_is_real(c->out.dtype) && !c->in[0]->value &&
            !c->in[0]->base);
}

/* Finds memory for c->out and runs the kernel, or puts that off. */
static lh_status compute(lh__check *c, lh__philox_key key) {
    lh__engine *e = c->e;
    uint32_t op = c->row->flags & LH__COPIES ? (uint32_t)LH__OP_COPY : c->call->op;
    int32_t elementwise = c->row->shape == lh__shape_broadcast;
    lh__view broadcast[LH__MAX_INPUTS];
    const lh__view *few[8], **views = few;
    int32_t few_values[9], *values = few_values, now = runs_now(c);
    int64_t bytes = lh__view_make_contiguous(&c->out);
    lh_status status;

    c->value = 0;
    if (e->landing && c->row->flags & LH__LANDS && e->landing->dtype == c->out.dtype &&
        lh__same_shape(e->landing, &c->out)) {
        c->out.data = e->landing->data;
        e->landing = NULL; /* the place is taken */
    } else {
        c->out.data =
            now ? lh__arena_alloc(&e->arena, (size_t)bytes) : lh__result(e, bytes, &c->value);
    }
    if (c->n_in > 8) {
        views = lh__arena_alloc(&e->arena, (size_t)c->n_in * sizeof *views);
        values = lh__arena_alloc(&e->arena, (size_t)(c->n_in + 1) * sizeof *values);
    }
    if (!c->out.data || !views || !values)
        return lh__reject(c, LH_ENOMEM, "no memory for a result of %lld bytes", (long long)bytes);
    values[c->n_in] = c->value;
    for (int32_t i = 0; i < c->n_in; i++) {
        if (c->in[i]->value)
            lh__locate(e, c->in[i]); /* a rule may have had to look at it */
        values[i] = c->in[i]->value;
        views[i] = &c->in[i]->view;
        if (elementwise && !lh__same_shape(views[i], &c->out)) {
            broadcast_view(views[i], &c->out, &broadcast[i]);
            views[i] = &broadcast[i];
        }
    }
    status = lh__invoke(e,
                        &(lh__kernel_call){.op = op,
                                           .n_in = c->n_in,
                                           .n_ints = c->n_ints,
                                           .n_reals = c->call->n_reals,
                                           .products = e->options.products,
                                           .in = views,
                                           .out = &c->out,
                                           .ints = c->ints,
                                           .reals = c->call->reals,
                                           .key = key,
                                           .pool = e->pool},
                        now ? NULL : values, (c->row->flags & (LH__RANDOM | LH__REPLAYS)) != 0);
    if (status != LH_OK)
        return status;
    return e->options.detect_anomaly ? check_finite(c) : LH_OK;
}

/* Puts the call on the tape if a gradient may be wanted of it. */
static lh_status record(const lh__check *c, lh_tensor *out, lh__philox_key key) {
    const lh_op_call *call = c->call;
    size_t n_in = (size_t)c->n_in, ints = (size_t)c->n_ints * sizeof(int64_t);
    size_t reals = (size_t)call->n_reals * sizeof(double);
    uint32_t any = 0;
    lh__node *n;
    char *p;

    if (!c->e->grad_enabled)
        return LH_OK;
    for (int32_t i = 0; i < c->n_in; i++) {
        if (c->in[i]->requires_grad && !lh__row_gradient(c->row, i) &&
            c->call->op >= LH__OP_RELU_GRAD)
            return lh__reject(c, LH_EUNSUPPORTED, "it can't be derived once more");
        any |= c->in[i]->requires_grad && lh__row_gradient(c->row, i);
    }
    if (!any || !lh__dtype_is_real(out->view.dtype))
        return LH_OK;
    n = lh__arena_alloc(&c->e->arena,
                        sizeof *n + (1 + n_in) * sizeof(lh_tensor *) + ints + reals + n_in);
    if (!n)
        return lh__reject(c, LH_ENOMEM, "no memory to record it");
    p = (char *)(n + 1) + sizeof(lh_tensor *);
    *n = (lh__node){.row = c->row,
                    .older = c->e->tape,
                    .out = out,
                    .joint = (lh_tensor **)(n + 1),
                    .in = (lh_tensor **)p,
                    .ints = (int64_t *)(p + n_in * sizeof(lh_tensor *)),
                    .reals = (double *)(p + n_in * sizeof(lh_tensor *) + ints),
                    .needs = (uint8_t *)p + n_in * sizeof(lh_tensor *) + ints + reals,
                    .n_in = c->n_in,
                    .n_ints = c->n_ints,
                    .n_reals = call->n_reals,
                    .file = call->file,
                    .line = call->line,
                    .key = key,
                    .writes = c->e->writes};
    *n->joint = NULL;
    for (int32_t i = 0; i < c->n_in; i++) {
        n->in[i] = c->in[i];
        n->needs[i] = c->in[i]->requires_grad && lh__row_gradient(c->row, i);
    }
    if (ints)
        memcpy((void *)n->ints, c->ints, ints);
    if (reals)
        memcpy((void *)n->reals, call->reals, reals);
    out->node = c->e->tape = n;
    out->requires_grad = 1;
    return LH_OK;
}

static int within(int32_t n, lh__count count) {
    return n >= count.min && (count.max == LH__ANY || n <= count.max);
}

enum { COUNT_TEXT = 16 };

/* "2", "2 to 3" or "1 or more" in `text`, which it returns. */
static const char *count_text(lh__count count, char text[COUNT_TEXT]) {
    if (count.max == LH__ANY)
        snprintf(text, COUNT_TEXT, "%d or more", count.min);
    else
        snprintf(text, COUNT_TEXT, count.max > count.min ? "%d to %d" : "%d", count.min, count.max);
    return text;
}

/* What doesn't need a look at the operands. */
static lh_status check_counts(const lh__check *c) {
    const lh__row *row = c->row;
    const lh_op_call *call = c->call;
    char text[3][COUNT_TEXT];

    if (within(call->n_inputs, row->in) && within(call->n_ints, row->ints) &&
        call->n_ints <= LH__MAX_INTS && within(call->n_reals, row->reals))
        return LH_OK;
    return lh__reject(c, LH_EINVAL,
                      "called with %d operands, %d integers and %d reals; it takes %s operands, %s "
                      "integers and %s reals: see lhost/ops.h",
                      call->n_inputs, call->n_ints, call->n_reals, count_text(row->in, text[0]),
                      count_text(row->ints, text[1]), count_text(row->reals, text[2]));
}

/* The inputs, in memory that dtype rules may write to. */
static lh_status take_inputs(lh__check *c, lh_tensor **few, int32_t room) {
    c->n_in = c->call->n_inputs;
    c->in = c->n_in <= room ? few
                            : lh__arena_alloc(&c->e->arena, (size_t)c->n_in * sizeof(lh_tensor *));
    if (!c->in)
        return lh__reject(c, LH_ENOMEM, "no memory for the operands");
    for (int32_t i = 0; i < c->n_in; i++) {
        c->in[i] = c->call->inputs[i];
        if (c->in[i]->value && lh__locate(c->e, c->in[i]) != LH_OK)
            return lh__reject(c, LH_ESTATE,
                              "operand %d is of a step that is over; use it in the hook that made "
                              "it, or keep it with lh_output",
                              i + 1);
    }
    c->n_ints = c->call->n_ints;
    for (int32_t i = 0; i < c->n_ints; i++)
        c->ints[i] = c->call->ints[i];
    return LH_OK;
}

/* A gradient reads no parameter or buffer that was overwritten after the operator had used it. */
static lh_status check_current(const lh__check *c) {
    const lh__node *under = c->e->under;

    for (int32_t i = 0; under && i < c->n_in; i++) {
        const lh__param *p = c->in[i]->base;

        if (p && p->written > under->writes)
            return lh__reject(c, LH_ESTATE,
                              "%s %s was overwritten after the operator used it; write to it after "
                              "the backward pass",
                              p->is_buffer ? "buffer" : "parameter", p->name);
    }
    return LH_OK;
}

/* Authors reach the operators of ops.h; gradients and compositions reach all. */
static const lh__row *row_of(const lh__engine *e, uint32_t op) {
    return op < LH__OP_RELU_GRAD || (op < LH__OP_LIMIT && (e->under || e->outer)) ? e->rows[op]
                                                                                  : NULL;
}

/* Shows a call that is done to the watcher. Returns `out`. */
static lh_tensor *shown(const lh__check *c, lh_tensor *const *inputs, lh_tensor *out) {
    const lh__watcher *w = c->e->watcher;
    lh_op_call call;

    if (!w || !out)
        return out;
    call = *c->call;
    call.inputs = inputs;
    call.n_ints = c->n_ints, call.ints = c->ints;
    w->called(w->user, &call, out);
    return out;
}

/* The result of a composed operator; *done = 0: this call needs the kernel. */
static lh_tensor *compose(lh__check *c, int32_t *done) {
    lh__engine *e = c->e;
    lh_tensor *out = c->row->compose(c);

    *done = out || e->err->code != LH_OK;
    if (e->watcher && e->watcher->maps(e->watcher->user, c->call->op))
        shown(c, c->call->inputs, out);
    return out;
}

/* A call from within a composition or a gradient takes the place of the one that it serves. */
static lh_op_call placed(const lh__engine *e, const lh_op_call *call) {
    lh_op_call placed = *call;

    if (!call->file && e->outer)
        placed.file = e->outer->file, placed.line = e->outer->line;
    else if (!call->file && e->under)
        placed.file = e->under->file, placed.line = e->under->line;
    return placed;
}

/* Everything that doesn't need the result. */
static lh_status check(lh__check *c, lh_tensor **few, int32_t room) {
    lh_status status = take_inputs(c, few, room);

    if (status != LH_OK || (status = check_current(c)) != LH_OK ||
        (status = lh__check_dtypes(c)) != LH_OK || (status = c->row->shape(c)) != LH_OK)
        return status;
    return lh__is_countable(&c->out)
               ? LH_OK
               : lh__reject(c, LH_ESHAPE, "the result has more elements than can be counted");
}

/* The result of a call with as many operands and numbers as its row says. */
static lh_tensor *perform(lh__check *c) {
    lh__engine *e = c->e;
    lh_tensor *few[8], *out;
    lh__philox_key key;
    int32_t done;

    if (check(c, few, 8) != LH_OK)
        return NULL;
    if (c->row->flags & LH__TRAIN_ONLY && !e->training)
        return c->in[0];
    if (c->row->compose) {
        out = compose(c, &done);
        if (done)
            return out;
    }
    key = next_key(e, c->row);
    out = lh__tensor_alloc(e);
    if (!out || (!c->is_view && compute(c, key) != LH_OK))
        return NULL;
    out->view = c->out;
    out->base = c->is_view ? c->in[0]->base : NULL;
    out->value = c->is_view ? c->in[0]->value : c->value;
    out->requires_grad = (c->row->flags & LH__LEAF) != 0;
    return record(c, out, key) == LH_OK ? shown(c, c->in, out) : NULL;
}

/* 0: one is NULL. What failed before has said so; else the author never made it. */
static int32_t has_operands(const lh__check *c) {
    const lh_op_call *call = c->call;

    for (int32_t i = 0; i < call->n_inputs; i++)
        if (!call->inputs[i]) {
            if (c->e->err->code == LH_OK)
                lh__fail(c->e->err, LH_EINVAL,
                         "%s:%d: %s: operand %d is NULL: was the layer or tensor made before?",
                         call->file ? call->file : "?", call->line, c->row->name, i + 1);
            return 0;
        }
    return 1;
}

lh_tensor *lh__op(lh__engine *e, const lh_op_call *given) {
    const lh_op_call call = placed(e, given), *outer = e->outer;
    lh_tensor *out;
    lh__check c;

    c.e = e;
    c.call = &call;
    c.row = row_of(e, call.op);
    c.is_view = 0;
    if (!c.row) {
        lh__fail(e->err, LH_EUNSUPPORTED, "%s:%d: there is no operator %u in this host",
                 call.file ? call.file : "?", call.line, call.op);
        return NULL;
    }
    if (!has_operands(&c) || check_counts(&c) != LH_OK)
        return NULL;
    e->outer = outer ? outer : &call;
    out = perform(&c);
    e->outer = outer;
    if (out && out->value && !outer && !e->under)
        lh__value_at(&e->stream, out->value - 1)->is_named = 1;
    return out;
}
