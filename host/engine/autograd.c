/* autograd.c - reverse mode: the tape, backwards.
 *
 * Invariants: a producer is recorded before its consumers, so one walk from the newest node to the
 * oldest meets every node after all that depend on it; a tensor's `grad` is not NULL only while the
 * walk is under way. The first gradient of a parameter is written to its place by the operator that
 * computes it, when that is the last of its formula; later ones are added.
 */
#include "engine/parts.h"
#include "engine/state.h"
#include "kernels/view.h"

static lh_status check_loss(lh__engine *e, const lh_tensor *loss) {
    char shape[LH__SHAPE_TEXT];
    const lh__view *v = &loss->view;

    if (lh__view_numel(v) != 1)
        return lh__fail(e->err, LH_ESHAPE,
                        "backward: the loss has shape %s; it has to be one number: take its mean",
                        lh__shape_text(v->ndim, v->shape, shape));
    if (!lh__dtype_is_real(v->dtype))
        return lh__fail(e->err, LH_EDTYPE,
                        "backward: the loss is %s; only real numbers have a "
                        "gradient",
                        lh__dtype_name(v->dtype));
    if (!loss->requires_grad)
        return lh__fail(e->err, LH_ESTATE,
                        "backward: the loss depends on no parameter that requires a gradient; was "
                        "it detached, or computed with gradients disabled?");
    return LH_OK;
}

static lh_tensor *seed(lh__engine *e, const lh_tensor *loss, double scale) {
    int64_t ints[1 + LH_MAX_DIMS] = {loss->view.dtype};

    for (int32_t d = 0; d < loss->view.ndim; d++)
        ints[1 + d] = loss->view.shape[d];
    return lh__op(e, &(lh_op_call){.op = LH_OP_FULL,
                                   .n_ints = 1 + loss->view.ndim,
                                   .n_reals = 1,
                                   .ints = ints,
                                   .reals = &scale});
}

static lh_tensor *sum(lh__engine *e, lh_tensor *a, lh_tensor *b) {
    return lh__op(e,
                  &(lh_op_call){.op = LH_OP_ADD, .n_inputs = 2, .inputs = (lh_tensor *[]){a, b}});
}

/* The parameter's gradient := g, or += g. */
static lh_status write_gradient(lh__engine *e, lh__param *p, lh_tensor *g, int32_t adds) {
    const lh__view *in[] = {&p->grad, &g->view};
    const int32_t values[] = {0, g->value, 0};
    const lh__kernel_call call = {.op = adds ? LH__OP_ADD_INTO : LH__OP_COPY,
                                  .n_in = adds ? 2 : 1,
                                  .in = in + !adds,
                                  .out = &p->grad,
                                  .pool = e->pool};

    return lh__invoke(e, &call, values + !adds, 0);
}

/* Adds g to the parameter's gradient; it may be there already. */
static lh_status deliver(lh__engine *e, lh__param *p, lh_tensor *g) {
    int32_t has_landed = !g->value && g->view.data == p->grad.data;
    lh_status status = LH_OK;

    if (has_landed && !p->has_grad && !lh__view_is_contiguous(&g->view)) {
        /* Written in place by an operator that was not the last: move it aside, then in order. */
        g = lh__op(e, &(lh_op_call){.op = LH_OP_CONTIGUOUS, .n_inputs = 1, .inputs = &g});
        has_landed = 0;
    }
    if (!g)
        return LH_ENOMEM;
    if (p->has_grad || !has_landed)
        status = write_gradient(e, p, g, p->has_grad);
    p->has_grad = 1;
    return status;
}

/* A gradient has the shape and dtype of what it is a gradient of. */
static lh_status check_gradient(lh__engine *e, const lh__node *n, const lh_tensor *in,
                                const lh_tensor *g) {
    if (in->view.dtype == g->view.dtype && lh__same_shape(&in->view, &g->view))
        return LH_OK;
    return lh__fail(e->err, LH_ESHAPE,
                    "%s:%d: gradient of %s: unlike its operand; this is "
                    "an error in the engine",
                    n->file ? n->file : "?", n->line, n->row->name);
}

static lh_status check_sealed(lh__engine *e, const lh__param *p) {
    if (p->grad.data)
        return LH_OK;
    return lh__fail(e->err, LH_ESTATE,
                    "backward: parameter %s has no gradient yet: backward is possible once the "
                    "model is configured",
                    p->name);
}

/* Sends g, the gradient of n's output, on to n's input i. */
static lh_status propagate(lh__engine *e, const lh__node *n, int32_t i, lh_tensor *g,
                           int32_t to_params) {
    lh_tensor *in = n->in[i], *part;
    int32_t lands = to_params && in->param;

    if (lands && check_sealed(e, in->param) != LH_OK)
        return LH_ESTATE;
    e->landing = lands && !in->param->has_grad ? &in->param->grad : NULL;
    part = lh__row_gradient(n->row, i)(e, n, i, g);
    e->landing = NULL;
    if (!part || check_gradient(e, n, in, part) != LH_OK)
        return e->err->code != LH_OK ? e->err->code : LH_EINVAL;
    if (lands)
        return deliver(e, in->param, part);
    in->grad = in->grad ? sum(e, lh__whole(e, in->grad), part) : part;
    return in->grad ? LH_OK : LH_ENOMEM;
}

/* Whether a walk to `target` leaves out input i of n, which a shortcut leads past: unless the
 * target is that input, or lies between it and the selection of its rows. */
static int32_t is_passed_by(const lh__node *n, int32_t i, const lh_tensor *target) {
    const lh_tensor *x = n->in[i];

    if (!(n->row->flags & LH__SHORTCUT) || i != 1)
        return 0;
    while (x != target && x->node->row->op != LH_OP_INDEX_SELECT)
        x = x->node->in[0];
    return x != target;
}

/* From the loss back. With `target`, gradients go to it alone and it ends the walk; else to the
 * parameters. *found: the target's gradient; or any parameter's, when one was reached. */
static lh_status walk(lh__engine *e, lh_tensor *loss, lh_tensor *target, int32_t retain,
                      int32_t *found) {
    lh_status status = LH_OK;

    for (lh__node *n = loss->node; n && n->out != target; n = n->older) {
        lh_tensor *g = n->out->grad;

        if (!g)
            continue;
        n->out->grad = NULL;
        if (n->spent)
            return lh__fail(e->err, LH_ESTATE,
                            "%s:%d: %s: a backward pass went through here before; give the first "
                            "one retain_graph",
                            n->file ? n->file : "?", n->line, n->row->name);
        n->spent = !retain;
        e->under = n;
        *n->joint = NULL;
        if (!(n->row->flags & LH__PARTS))
            g = lh__whole(e, g);
        if (!g)
            return e->err->code;
        for (int32_t i = 0; i < n->n_in && status == LH_OK; i++) {
            const lh_tensor *in = n->in[i];
            int32_t leads = in->node || in == target || (in->param && !target);

            if (!n->needs[i] || !leads || is_passed_by(n, i, target))
                continue;
            status = propagate(e, n, i, g, !target && !in->node);
            *found |= in == target || (in->param && !target);
        }
        if (status != LH_OK)
            return status;
    }
    return LH_OK;
}

/* The common part of both entries: seeds, walks, tidies up. The gradient's operators go on the tape
 * where `record` is set. */
static lh_status run(lh__engine *e, lh_tensor *loss, double scale, lh_tensor *target,
                     int32_t retain, int32_t record, int32_t *found, lh_tensor **gradient) {
    int32_t recording = lh__set_grad_enabled(e, record);
    lh_status status = LH_ENOMEM;

    loss->grad = seed(e, loss, scale);
    if (loss->grad)
        status = walk(e, loss, target, retain, found);
    *gradient = target && status == LH_OK ? lh__whole(e, target->grad) : NULL;
    e->under = NULL;
    e->landing = NULL;
    /* An error leaves gradients behind; so do branches that the target cut off. */
    loss->grad = NULL;
    if (target)
        target->grad = NULL;
    if (status != LH_OK || target)
        for (lh__node *n = e->tape; n; n = n->older) {
            n->out->grad = NULL;
            for (int32_t i = 0; i < n->n_in; i++)
                n->in[i]->grad = NULL;
        }
    lh__set_grad_enabled(e, recording);
    return status;
}

lh_status lh__backward(lh__engine *e, lh_tensor *loss, double scale, int32_t retain_graph) {
    lh_tensor *none, *g;
    int32_t found = 0;
    lh_status status;

    if (!loss)
        return e->err->code != LH_OK ? e->err->code
                                     : lh__fail(e->err, LH_EINVAL, "backward: there is no loss");
    status = check_loss(e, loss);
    if (status != LH_OK)
        return status;
    if (loss->param) {
        status = check_sealed(e, loss->param);
        g = status == LH_OK ? seed(e, loss, scale) : NULL;
        return g ? deliver(e, loss->param, g) : e->err->code;
    }
    status = run(e, loss, scale, NULL, retain_graph, 0, &found, &none);
    if (status == LH_OK && !found)
        return lh__fail(e->err, LH_ESTATE,
                        "backward: the loss depends on no parameter that requires a gradient");
    return status;
}

lh_tensor *lh__grad_of(lh__engine *e, lh_tensor *loss, lh_tensor *x, int32_t create_graph) {
    lh_tensor *gradient = NULL;
    int32_t found = 0;

    if (!loss || !x || check_loss(e, loss) != LH_OK ||
        run(e, loss, 1.0, x, 1, create_graph, &found, &gradient) != LH_OK)
        return NULL;
    if (gradient && gradient->value)
        lh__value_at(&e->stream, gradient->value - 1)->is_named = 1;
    if (!gradient)
        lh__fail(e->err, LH_ESTATE,
                 "gradient: the loss doesn't depend on the tensor, or it had no "
                 "requires_grad when it was used");
    return gradient;
}
