/* tbptt.c - cutting batches, training the pieces, and handing what they keep to the next. */
#include "trainer/tbptt.h"

#include "trainer/host_table.h"

#include <stdio.h>

/* ---- pieces ---- */

/* Copies the fields to where they outlive the engine's steps. */
static lh_status keep_fields(lh__trainer *t, const lh_batch *batch) {
    lh__tbptt *b = &t->tbptt;
    lh_status status = LH_OK;

    lh__outputs_clear(t->outputs);
    lh__outputs_begin_step(t->outputs);
    for (int32_t i = 0; i < batch->n_fields && status == LH_OK; i++) {
        char name[16];

        snprintf(name, sizeof name, "%d", (int)i);
        lh__hold(t->engine, batch->fields[i]);
        status = lh__outputs_put(t->outputs, name, batch->fields[i]);
    }
    lh__outputs_clear(b->fields);
    if (status == LH_OK)
        status = lh__outputs_keep(b->fields, t->engine, t->outputs);
    return status == LH_OK ? LH_OK : lh__run_fail(t, status, "out of memory for a batch in pieces");
}

/* The fields as tensors of the engine's step. */
static lh_status wrap_fields(lh__trainer *t, lh_batch *batch) {
    lh__kept k;

    for (int32_t i = 0; i < batch->n_fields; i++) {
        lh__outputs_kept(t->tbptt.fields, i, &k);
        batch->fields[i] = lh__tensor_wrap(t->engine, k.dtype, k.ndim, k.shape, k.data);
        if (!batch->fields[i])
            return lh__failed(t);
    }
    return LH_OK;
}

/* The length of axis 1 of all fields that have one; -1 and a failure unless they agree. */
static int64_t batch_steps(lh__trainer *t, const lh_batch *batch) {
    int64_t steps = -1;

    for (int32_t i = 0; i < batch->n_fields; i++) {
        const lh__view *v = &batch->fields[i]->view;

        if (v->ndim < 2)
            continue;
        if (steps >= 0 && v->shape[1] != steps) {
            lh__run_fail(
                t, LH_ESHAPE,
                "lh_tbptt: axis 1 of field %d has %lld steps, another field's %lld: define "
                "tbptt_split_batch to cut such batches",
                (int)i, (long long)v->shape[1], (long long)steps);
            return -1;
        }
        steps = v->shape[1];
    }
    if (steps < 1)
        lh__run_fail(t, LH_ESHAPE,
                     "lh_tbptt: no field of the batch has steps along an axis 1 to be cut: define "
                     "tbptt_split_batch to cut it otherwise");
    return steps < 1 ? -1 : steps;
}

/* Cuts the fields down to the piece under way. LH_SKIP: there is none any more. */
static lh_status cut(lh__trainer *t, lh_batch *part) {
    int64_t from = t->tbptt.piece * t->tbptt.steps, to = from + t->tbptt.steps;
    int64_t all = batch_steps(t, part);
    const int64_t ints[] = {1, from, to < all ? to : all, 1};

    if (all < 0)
        return lh__failed(t);
    if (from >= all)
        return LH_SKIP;
    for (int32_t i = 0; i < part->n_fields; i++) {
        const lh_op_call slice = {
            LH_SIZED(lh_op_call),  .op = LH_OP_SLICE,          .n_inputs = 1, .n_ints = 4,
            .file = "the trainer", .inputs = &part->fields[i], .ints = ints};

        if (part->fields[i]->view.ndim < 2)
            continue;
        part->fields[i] = lh__op(t->engine, &slice);
        if (!part->fields[i])
            return lh__failed(t);
    }
    return LH_OK;
}

/* No cut gives more pieces than the longest axis has elements. */
static lh_status check_count(lh__trainer *t, const lh_batch *batch) {
    int64_t longest = 0;

    for (int32_t i = 0; i < batch->n_fields; i++)
        for (int32_t d = 0; d < batch->fields[i]->view.ndim; d++)
            if (batch->fields[i]->view.shape[d] > longest)
                longest = batch->fields[i]->view.shape[d];
    if (t->tbptt.piece < longest)
        return LH_OK;
    return lh__run_fail(t, LH_EPLUGIN,
                        "%s: tbptt_split_batch gave %lld parts of a batch whose longest axis has "
                        "%lld elements: it returns NULL after the last",
                        t->cast.module->plugin->name, (long long)t->tbptt.piece,
                        (long long)longest);
}

/* The same by the module's hook. */
static lh_status cut_by_hook(lh__trainer *t, const lh_batch *batch, lh_batch *part) {
    lh__instance *m = t->cast.module;
    const lh_module *hooks = m->hooks;
    lh__frame frame = lh__call_begin(t, m, LH__HOOK_tbptt_split_batch);
    const lh_batch *got =
        hooks->tbptt_split_batch(&m->ctx, m->self, part, t->tbptt.steps, t->tbptt.piece);

    if (lh__call_end(t, frame, LH_OK) != LH_OK)
        return lh__failed(t);
    if (got == part)
        return check_count(t, batch);
    if (got || t->tbptt.piece == 0)
        return lh__run_fail(
            t, LH_EPLUGIN,
            "%s: tbptt_split_batch returned %s: cut the batch that it is given with "
            "lh_batch_set and return that",
            m->plugin->name, got ? "another batch" : "no part at all");
    return LH_SKIP;
}

/* One call of training_step and what follows from it, with outputs of its own. */
static lh_status train(lh__trainer *t, lh_batch *batch, int64_t batch_idx) {
    lh__outputs_clear(t->outputs);
    lh__outputs_begin_step(t->outputs);
    if (lh__training_batch(t, batch, batch_idx) != LH_OK)
        return lh__failed(t);
    if (lh__module_has(t, LH__HOOK_training_epoch_end) &&
        lh__outputs_keep(t->epoch_outputs, t->engine, t->outputs) != LH_OK)
        return lh__run_fail(t, LH_ENOMEM, "out of memory keeping the outputs of the epoch");
    return LH_OK;
}

/* Piece after piece. Each has an engine's step of its own, with random numbers of its own; so has
 * what comes after the last, where the whole batch is again. */
static lh_status train_pieces(lh__trainer *t, lh_batch *batch, int64_t batch_idx) {
    lh__tbptt *b = &t->tbptt;
    uint64_t step = (uint64_t)t->progress.batch.total.ready - 1;
    int has_hook = lh__module_has(t, LH__HOOK_tbptt_split_batch);

    for (b->piece = 0;; b->piece++) {
        lh_batch part;
        lh_status status;

        if (b->piece > 0)
            lh__step_begin(t->engine, LH__PHASE_TRAIN, (uint64_t)b->piece << 40 | step);
        if (wrap_fields(t, batch) != LH_OK)
            return lh__failed(t);
        part = *batch;
        status = has_hook ? cut_by_hook(t, batch, &part) : cut(t, &part);
        if (status == LH_SKIP)
            return LH_OK;
        if (status != LH_OK || train(t, &part, batch_idx) != LH_OK)
            return lh__failed(t);
        if (lh__outputs_keep(b->pieces, t->engine, t->outputs) != LH_OK)
            return lh__run_fail(t, LH_ENOMEM, "out of memory keeping what a piece hands on");
    }
}

lh_status lh__train_batch(lh__trainer *t, lh_batch *batch, int64_t batch_idx) {
    lh_status status;

    if (t->tbptt.steps == 0)
        return train(t, batch, batch_idx);
    lh__outputs_clear(t->tbptt.pieces);
    status = keep_fields(t, batch);
    if (status == LH_OK)
        status = train_pieces(t, batch, batch_idx);
    t->tbptt.piece = 0;
    t->closure.batch = NULL;
    return status;
}

const lh__outputs *lh__batch_outputs(const lh__trainer *t) {
    return t->tbptt.steps ? t->tbptt.pieces : t->outputs;
}

lh_status lh__tbptt_check(lh__trainer *t) {
    if (t->tbptt.steps > 0 || !lh__module_has(t, LH__HOOK_tbptt_split_batch))
        return LH_OK;
    return lh__run_fail(t, LH_EPLUGIN,
                        "%s defines tbptt_split_batch but asks for no truncated back-propagation: "
                        "call lh_tbptt(c, steps) in setup or configure_model",
                        t->cast.module->plugin->name);
}

void lh__tbptt_free(lh__tbptt *b) {
    lh__outputs_free(b->fields);
    lh__outputs_free(b->pieces);
}

/* ---- as plugins call it ---- */

static lh_status tbptt(lh_ctx *c, int64_t steps) {
    lh__instance *i = lh__of(c);
    lh__tbptt *b = &i->trainer->tbptt;

    if (i != i->trainer->cast.module ||
        (i->hook != LH__HOOK_setup && i->hook != LH__HOOK_configure_model &&
         i->hook != LH__HOOK_configure_sharded_model))
        return lh__fail(&i->error, LH_ESTATE,
                        "lh_tbptt: only in the module's setup and configure_model");
    if (steps < 1)
        return lh__fail(&i->error, LH_EINVAL, "lh_tbptt: a piece has 1 step or more, not %lld",
                        (long long)steps);
    b->fields = b->fields ? b->fields : lh__outputs_new();
    b->pieces = b->pieces ? b->pieces : lh__outputs_new();
    if (!b->fields || !b->pieces)
        return lh__fail(&i->error, LH_ENOMEM, "out of memory");
    b->steps = steps;
    return LH_OK;
}

static lh_tensor *hidden(lh_ctx *c, const char *name) {
    lh__instance *i = lh__of(c);
    lh__trainer *t = i->trainer;
    lh_tensor *x;

    if (t->phase != LH__TRAINING || t->tbptt.piece == 0)
        return NULL;
    x = lh__outputs_get(t->engine, t->tbptt.pieces, t->tbptt.piece - 1, name);
    if (!x)
        lh__fail(&i->error, LH_ENOTFOUND,
                 "lh_hidden \"%s\": the step of the piece before kept nothing under that name: "
                 "lh_output(c, \"%s\", t) does",
                 name, name);
    return x;
}

void lh__host_tbptt(lh_host *h) {
    h->tbptt = tbptt;
    h->hidden = hidden;
}
