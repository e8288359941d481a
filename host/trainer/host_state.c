/* host_state.c - checkpoints and the state in them, as plugins call them; and the table as a whole.
 */
#include "checkpoint/json.h"
#include "trainer/host_table.h"

#include <stdlib.h>
#include <string.h>

/* Between on_train_batch_start and _end a step is half done; what is saved there, in on_exception
 * only, resumes with that batch. */
static lh_status check_moment(lh__instance *i) {
    lh__trainer *t = i->trainer;
    const lh__count *now = &t->progress.batch.current;

    if (t->phase != LH__TRAINING || now->started == now->processed)
        return LH_OK;
    if (!*t->exception)
        return lh__fail(&i->error, LH_ESTATE,
                        "no checkpoint is saved in the middle of a step: do so in "
                        "on_train_batch_start or on_train_batch_end");
    lh__say(t, LH_WARNING,
            "the checkpoint is of the middle of a step: resumed from it, training is "
            "not bit-identical");
    return LH_OK;
}

static lh_status save_checkpoint(lh_ctx *c, const char *path, int32_t weights_only) {
    lh__instance *i = lh__of(c);
    lh__trainer *t = i->trainer;

    if (t->stage != LH_FIT || t->phase == LH__SANITY)
        return lh__fail(&i->error, LH_ESTATE,
                        "checkpoints are saved during fit, outside the sanity check");
    if (check_moment(i) != LH_OK)
        return i->error.code;
    if (lh__checkpoint_save(t, path, weights_only) != LH_OK)
        return lh__fail(&i->error, lh__failed(t), "%s", t->failure.text);
    return LH_OK;
}

static lh_status remove_checkpoint(lh_ctx *c, const char *path) {
    lh__instance *i = lh__of(c);
    char *full = lh__checkpoint_path(i->trainer, path);
    lh_status status = full ? lh__writer_remove(i->trainer->writer, full, &i->error) : LH_ENOMEM;

    free(full);
    return status;
}

static lh_status link_checkpoint(lh_ctx *c, const char *target, const char *path) {
    lh__instance *i = lh__of(c);
    char *from = lh__checkpoint_path(i->trainer, target);
    char *to = lh__checkpoint_path(i->trainer, path);
    lh_status status =
        from && to ? lh__writer_copy(i->trainer->writer, from, to, &i->error) : LH_ENOMEM;

    free(from);
    free(to);
    return status;
}

static lh_status set_best(lh_ctx *c, const char *path, double score) {
    lh__trainer *t = lh__of(c)->trainer;

    free(t->best_path);
    t->best_path = lh__checkpoint_path(t, path);
    t->best_score = score;
    snprintf(t->crumb->best, sizeof t->crumb->best, "%s", t->best_path ? t->best_path : "");
    return LH_OK;
}

/* Where state goes and comes from now; NULL and an error outside the hooks for it. */
static json_t *state_of(lh_ctx *c, const char *function) {
    lh__instance *i = lh__of(c);

    if (!i->state)
        lh__fail(&i->error, LH_ESTATE,
                 "%s: only in state_dict, load_state_dict, on_save_checkpoint and "
                 "on_load_checkpoint",
                 function);
    return i->state;
}

static lh_status state_put(lh_ctx *c, const char *key, double value) {
    json_t *state = state_of(c, "lh_state_put");

    return state ? lh__json_put_real(state, key, value) : LH_ESTATE;
}

static lh_status state_put_int(lh_ctx *c, const char *key, int64_t value) {
    json_t *state = state_of(c, "lh_state_put_int");

    return state ? lh__json_put_int(state, key, value) : LH_ESTATE;
}

static lh_status state_put_text(lh_ctx *c, const char *key, const char *text) {
    json_t *state = state_of(c, "lh_state_put_text");

    if (!state)
        return LH_ESTATE;
    if (json_object_set_new(state, key, json_string(text ? text : "")) != 0)
        return lh__fail(&lh__of(c)->error, LH_EINVAL, "lh_state_put_text \"%s\": not UTF-8", key);
    return LH_OK;
}

static void tensor_key(lh_ctx *c, const char *key, char *out, size_t size) {
    snprintf(out, size, "state.%s.%s", lh__of(c)->key, key);
}

static lh_status state_put_tensor(lh_ctx *c, const char *key, const lh_tensor *t) {
    lh__instance *i = lh__of(c);
    char name[512];
    uint64_t size;
    void *copy;
    lh_status status;

    if (!t || !state_of(c, "lh_state_put_tensor"))
        return LH_ESTATE;
    size = (uint64_t)(lh__view_numel(&t->view) * lh__dtype_size(t->view.dtype));
    copy = malloc(size ? size : 1);
    if (!copy)
        return lh__fail(&i->error, LH_ENOMEM, "out of memory");
    tensor_key(c, key, name, sizeof name);
    status = lh__tensor_read(LH__ENGINE(c), t, copy, size);
    if (status == LH_OK)
        status = lh__state_put_copy(i->tensors, name, t->view.dtype, t->view.ndim, t->view.shape,
                                    copy, &i->error);
    free(copy);
    return status;
}

static lh_status state_get(lh_ctx *c, const char *key, double *out) {
    const json_t *state = state_of(c, "lh_state_get");

    return state ? lh__json_get_real(state, key, out, NULL) : LH_ESTATE;
}

static lh_status state_get_int(lh_ctx *c, const char *key, int64_t *out) {
    const json_t *state = state_of(c, "lh_state_get_int");

    return state ? lh__json_get_int(state, key, out, NULL) : LH_ESTATE;
}

static lh_status state_get_text(lh_ctx *c, const char *key, const char **out) {
    const json_t *state = state_of(c, "lh_state_get_text");
    const char *text = json_string_value(json_object_get(state, key));

    if (!text)
        return state ? LH_ENOTFOUND : LH_ESTATE;
    *out = text;
    return LH_OK;
}

static lh_tensor *state_get_tensor(lh_ctx *c, const char *key) {
    const lh__state_tensor *saved;
    char name[512];

    if (!state_of(c, "lh_state_get_tensor"))
        return NULL;
    tensor_key(c, key, name, sizeof name);
    saved = lh__state_find(lh__of(c)->tensors, name);
    return saved
               ? lh__tensor_new(LH__ENGINE(c), saved->dtype, saved->ndim, saved->shape, saved->data)
               : NULL;
}

void lh__host_state(lh_host *h) {
    h->save_checkpoint = save_checkpoint;
    h->remove_checkpoint = remove_checkpoint;
    h->link_checkpoint = link_checkpoint;
    h->set_best = set_best;
    h->state_put = state_put;
    h->state_put_int = state_put_int;
    h->state_put_text = state_put_text;
    h->state_put_tensor = state_put_tensor;
    h->state_get = state_get;
    h->state_get_int = state_get_int;
    h->state_get_text = state_get_text;
    h->state_get_tensor = state_get_tensor;
}
