/* run.h - errors, hyper-parameters, metrics, the trainer and checkpoint state, for authors.
 *
 * Errors stick: the first failure of a hook is recorded with the author's file and line, what
 * follows does nothing, and the host looks at the record when the hook returns. So a hook may
 * `return LH_OK` at its end without having looked at anything. [trainer] unless tagged.
 */
#ifndef LHOST_RUN_H
#define LHOST_RUN_H

#include "host.h"

LH_EXTERN_C_BEGIN

/* Records an error at the author's line and returns `code`: `return lh_fail(c, LH_EINVAL, ...)`.
 * The text says what was wrong and what to do; the host adds plugin, hook, epoch, step. [any] */
#define lh_fail(c, code, ...) (c)->host->fail((c), (code), __FILE__, (int32_t)__LINE__, __VA_ARGS__)

/* The first error recorded in this hook, or LH_OK. [any] */
static inline lh_status lh_status_of(lh_ctx *c) {
    return c->host->status(c);
}

/* A line for the person who watches, at LH_DEBUG ... LH_ERROR; on rank 0 only. [any] */
#define lh_print(c, level, ...) (c)->host->print((c), (level), __VA_ARGS__)

/* Zeroed memory, 64-byte aligned, that lives with the run; NULL when there is none left. [any] */
static inline void *lh_alloc(lh_ctx *c, uint64_t size) {
    return c->host->alloc(c, size);
}

/* Rows of a plugin's table of hyper-parameters:
 *     static const lh_hparam_spec hparams[] = {
 *         LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
 *         LH_HPARAM_INT("hidden", 128, 1, 65536, "width of the hidden layer")};
 * and `LH_HPARAMS(hparams)` among the initialisers of the plugin. min == max == 0: unbounded. A
 * real whose default is NAN may be left open: lh_hparam then gives NaN. */
#define LH_HPARAM_REAL(name_, default_, min_, max_, help_) \
    { LH_SIZED(lh_hparam_spec), LH_REAL, name_, help_, NULL, default_, min_, max_ }
#define LH_HPARAM_INT(name_, default_, min_, max_, help_) \
    { LH_SIZED(lh_hparam_spec), LH_INT, name_, help_, NULL, default_, min_, max_ }
#define LH_HPARAM_FLAG(name_, default_, help_) \
    { LH_SIZED(lh_hparam_spec), LH_FLAG, name_, help_, NULL, default_, 0, 1 }
#define LH_HPARAM_TEXT(name_, default_, help_) \
    { LH_SIZED(lh_hparam_spec), LH_TEXT, name_, help_, default_, 0, 0, 0 }
#define LH_HPARAMS(table) .hparams = table, .n_hparams = (int32_t)(sizeof(table) / sizeof(*table))

/* The value of a declared hyper-parameter; asking for another name is an error. */
static inline double lh_hparam(lh_ctx *c, const char *name) {
    return c->host->hparam(c, name);
}

static inline int64_t lh_hparam_int(lh_ctx *c, const char *name) {
    return c->host->hparam_int(c, name);
}

static inline const char *lh_hparam_text(lh_ctx *c, const char *name) {
    return c->host->hparam_text(c, name);
}

/* Logs a one-element tensor under `name`; further fields of lh_log_options may follow:
 *     lh_log(c, "val_loss", loss, LH_LOG_EPOCH | LH_LOG_BAR);
 *     lh_log(c, "hits", hits, LH_LOG_EPOCH, .reduce = LH_SUM);
 * The value is read when somebody looks at it, so logging does not stall the step. Errors: several
 * elements; a hook that may not log; flags that the hook does not allow; the same name twice with
 * other options. Values may be integers, and are kept as f64. */
#define lh_log(c, name, ...) LH_LOG_(c, log, name, __VA_ARGS__)
#define lh_log_value(c, name, ...) LH_LOG_(c, log_value, name, __VA_ARGS__)
#define LH_LOG_(c, fn, name, value, ...) \
    (c)->host->fn((c), (name), (value),  \
                  &(const lh_log_options){LH_SIZED(lh_log_options), .flags = __VA_ARGS__})

/* The latest callback metric of that name; NaN when there is none. */
static inline double lh_metric(lh_ctx *c, const char *name) {
    return c->host->metric(c, name);
}

static inline int lh_has_metric(lh_ctx *c, const char *name) {
    return c->host->has_metric(c, name) == LH_OK;
}

/* Keeps a tensor beside the loss in the outputs of a step, for *_epoch_end and *_batch_end; in
 * predict_step, beside the predictions in predictions.safetensors. A name has 47 characters at
 * most. */
static inline lh_status lh_output(lh_ctx *c, const char *name, lh_tensor *t) {
    return c->host->output(c, name, t);
}

/* In the hooks that get outputs: how many steps they are of, and a tensor of step i by name,
 * "loss", "prediction" or what lh_output gave; NULL if that step has none. */
static inline int64_t lh_outputs_count(lh_ctx *c, const lh_outputs *o) {
    return c->host->outputs_count(c, o);
}

static inline lh_tensor *lh_outputs_get(lh_ctx *c, const lh_outputs *o, int64_t i,
                                        const char *name) {
    return c->host->outputs_get(c, o, i, name);
}

/* Properties of the trainer: LH_CURRENT_EPOCH ..., LH_LOG_DIR ... */
static inline int64_t lh_int(lh_ctx *c, int32_t what) {
    return c->host->get_int(c, what);
}

static inline const char *lh_text(lh_ctx *c, int32_t what) {
    return c->host->get_text(c, what);
}

static inline int64_t lh_current_epoch(lh_ctx *c) {
    return lh_int(c, LH_CURRENT_EPOCH);
}

static inline int64_t lh_global_step(lh_ctx *c) {
    return lh_int(c, LH_GLOBAL_STEP);
}

/* Asks the trainer to stop (trainer.should_stop); min_epochs and min_steps still hold. */
static inline lh_status lh_stop(lh_ctx *c, const char *reason) {
    return c->host->stop(c, reason);
}

/* In configure_callbacks: adds a callback, "early-stop:monitor=val_loss,patience=3". */
static inline lh_status lh_use_callback(lh_ctx *c, const char *spec) {
    return c->host->use_callback(c, spec);
}

/* State, in state_dict and load_state_dict (callbacks, data modules) and in on_save_checkpoint and
 * on_load_checkpoint. Every plugin has keys of its own. The getters leave *out alone and return
 * LH_ENOTFOUND, which is not recorded as an error, when there is no such key. */
static inline lh_status lh_state_put(lh_ctx *c, const char *key, double value) {
    return c->host->state_put(c, key, value);
}

static inline lh_status lh_state_put_int(lh_ctx *c, const char *key, int64_t value) {
    return c->host->state_put_int(c, key, value);
}

static inline lh_status lh_state_put_text(lh_ctx *c, const char *key, const char *text) {
    return c->host->state_put_text(c, key, text);
}

static inline lh_status lh_state_put_tensor(lh_ctx *c, const char *key, const lh_tensor *t) {
    return c->host->state_put_tensor(c, key, t);
}

static inline lh_status lh_state_get(lh_ctx *c, const char *key, double *out) {
    return c->host->state_get(c, key, out);
}

static inline lh_status lh_state_get_int(lh_ctx *c, const char *key, int64_t *out) {
    return c->host->state_get_int(c, key, out);
}

static inline lh_status lh_state_get_text(lh_ctx *c, const char *key, const char **out) {
    return c->host->state_get_text(c, key, out);
}

/* NULL when there is no such key. */
static inline lh_tensor *lh_state_get_tensor(lh_ctx *c, const char *key) {
    return c->host->state_get_tensor(c, key);
}

/* Freezes (requires_grad off) or unfreezes the parameters whose names match the glob; returns how
 * many matched. */
static inline int64_t lh_freeze(lh_ctx *c, const char *glob) {
    return c->host->set_requires_grad(c, glob, 0);
}

static inline int64_t lh_unfreeze(lh_ctx *c, const char *glob) {
    return c->host->set_requires_grad(c, glob, 1);
}

/* Manual optimization and overridden `backward`: gradients of the loss to the parameters. With
 * precision 16-mixed it scales the loss itself in manual optimization (that of `backward` is scaled
 * already), and gradients stay scaled until lh_optimizer_step or a lh_clip_gradients function has
 * divided them; an update that would not be finite is skipped. */
static inline lh_status lh_backward(lh_ctx *c, lh_tensor *loss) {
    return c->host->backward(c, loss, 0);
}

/* param.grad: what backward has added up; NULL while there is none. */
static inline lh_tensor *lh_grad(lh_ctx *c, lh_tensor *param) {
    return c->host->grad(c, param);
}

/* Gradient of the scalar `loss` to `x`, as a tensor; see host.h. */
static inline lh_tensor *lh_grad_of(lh_ctx *c, lh_tensor *loss, lh_tensor *x, int create_graph) {
    return c->host->grad_of(c, loss, x, create_graph);
}

/* Weights from a safetensors file by name: of names that begin with `from`, that beginning becomes
 * `to`. lh_load_weights(c, path) takes all and insists that both sides match. */
static inline int64_t lh_load_weights_from(lh_ctx *c, const char *path, const char *from,
                                           const char *to, int strict) {
    return c->host->load_weights(c, path, from, to, strict);
}
#define lh_load_weights(c, path) lh_load_weights_from(c, path, "", "", 1)

/* Truncated back-propagation: pieces of so many steps; what the piece before kept by lh_output. */
static inline lh_status lh_tbptt(lh_ctx *c, int64_t steps) {
    return c->host->tbptt(c, steps);
}

static inline lh_tensor *lh_hidden(lh_ctx *c, const char *name) {
    return c->host->hidden(c, name);
}

LH_EXTERN_C_END
#endif
