/* engine.h - tensors, recorded operators, gradients: what a training step is computed with.
 *
 * Define-by-run: lh__op checks a call against the catalogue, has its result computed by the
 * device's kernel, and, where a gradient may be wanted, leaves a node on the tape. lh__backward
 * walks the tape in reverse; gradients are themselves operators of the catalogue. An engine that
 * defers notes the kernels' calls and runs them, planned (plan/plan.h), when somebody looks: at
 * lh__settle, of which reading, writing and updating are made. Tensors of a step
 * live in the step arena and vanish together at lh__step_begin; parameters and buffers live in flat
 * buffers. Invariants: after the arena has grown to what a step needs, a step allocates nothing; a
 * result never depends on the number of threads; random values are a function of seed, phase, step,
 * ordinal among the step's random operators, and element. One thread at a time.
 */
#ifndef LH_ENGINE_ENGINE_H
#define LH_ENGINE_ENGINE_H

#include "engine/error.h"
#include "kernels/idle.h"
#include "kernels/kernel.h"
#include "profile/profile.h"

typedef struct lh__engine lh__engine;
typedef struct lh__node lh__node;
typedef struct lh__param lh__param;
typedef struct lh__parts lh__parts;

struct lh_tensor {
    lh__view view;
    lh__node *node;        /* the operator that made it; NULL: a leaf */
    lh__param *param;      /* the parameter or buffer that it is, or NULL */
    lh__param *base;       /* that in whose memory it lies: itself, or seen by a view; or NULL */
    lh_tensor *grad;       /* during a backward pass: what has arrived so far; else NULL */
    lh__parts *parts;      /* of a gradient that has no place in memory yet (parts.h); else NULL */
    int32_t requires_grad; /* a gradient flows through it */
    int32_t value;         /* 1 + the value in which it lies while that is pending (plan/stream.h);
                              0: it lies where view.data says */
    int64_t limit;         /* its integers are at least 0 and below this; 0: that is not known */
};

typedef struct lh__engine_options {
    const char *device; /* "cpu" or "ref" */
    int32_t threads;    /* >= 1 */
    int32_t dtype;      /* of parameters declared as 0, and of real literals: LH_F32 or LH_F64 */
    uint64_t seed;
    int32_t detect_anomaly; /* check every result; the error names operator, file and line */
    int32_t deferred;       /* calls are put off and run by plans; else each runs when it is made */
    lh__products products;  /* how those of float32 operands are taken */
    int32_t pin_threads;    /* each to a core of its own; the caller is the first of them */
    int32_t flush_denormal; /* they take subnormal numbers for zero, the caller too */
} lh__engine_options;

/* An engine, or NULL with the reason in `err`. lh__engine_free, on the same thread, undoes what
 * pin_threads and flush_denormal did to it. */
lh__engine *lh__engine_new(const lh__engine_options *o, lh__error *err);
void lh__engine_free(lh__engine *e); /* NULL allowed */

/* Where the engine's errors go: the first one sticks until the caller clears it. Never NULL. */
void lh__engine_set_error(lh__engine *e, lh__error *err);
const lh__engine_options *lh__engine_get_options(const lh__engine *e);

/* Every kernel that runs is a span of this lane, under its operator's name; NULL: none is. */
void lh__engine_profile(lh__engine *e, lh__lane *lane);

/* What idle compute threads do, as of kernels/idle.h. How many threads compute is options.threads.
 */
void lh__engine_idle(lh__engine *e, lh__idle_fn *fn, void *arg);

/* Phases keep the random numbers of training apart from those of evaluation. */
enum { LH__PHASE_TRAIN = 0, LH__PHASE_EVAL = 1, LH__PHASE_SANITY = 2, LH__PHASE_INIT = 3 };

/* Begins a step: settles, then drops the tensors and the tape of the one before. `step` numbers the
 * step within its phase for random operators. */
void lh__step_begin(lh__engine *e, int32_t phase, uint64_t step);

/* Training or evaluation mode (dropout); recording of gradients on or off. Return what it was. */
int32_t lh__set_training(lh__engine *e, int32_t on);
int32_t lh__is_training(const lh__engine *e);
int32_t lh__set_grad_enabled(lh__engine *e, int32_t on);

/* One operator (codes of lhost/ops.h; those of kernels/kernel.h only in gradients and compositions,
 * which know that the shapes fit). NULL on an error, which names the operator, its operands' shapes
 * and dtypes, and the author's file and line; an input that is NULL is one, unless something failed
 * before (an optional input is left out by a smaller n_inputs). Inputs are of this step, or
 * parameters. */
lh_tensor *lh__op(lh__engine *e, const lh_op_call *call);

/* Who sees the calls of an engine: every call that makes a tensor, its inputs and ints as the
 * operator's rules left them (cast to one dtype, axes counted from the first), and the tensor. Of a
 * composed operator those that it is composed of come first, then, where `maps` says so, the call
 * itself with the same tensor, its inputs as they were given. */
typedef struct lh__watcher {
    void *user;
    int32_t (*maps)(void *user, uint32_t op);
    void (*called)(void *user, const lh_op_call *call, lh_tensor *out);
} lh__watcher;

void lh__watch(lh__engine *e, const lh__watcher *watcher); /* borrowed; NULL: nobody */

/* Runs what has been put off; afterwards whatever calls have written to holds it. Of the results
 * only those are kept that somebody can still ask for: held ones, those that the author has a name
 * for, and what gradients that are still to come will read. Called from within an operator it keeps
 * everything. Nothing to do where calls aren't put off. */
lh_status lh__settle(lh__engine *e);

/* The tensor will be looked at, whatever happens to its name. */
void lh__hold(lh__engine *e, const lh_tensor *t);

/* From here on nobody can use the tensors that were made in this step so far, but for held ones:
 * the hooks that knew their names have returned. lh__graph_end: nor will a backward pass. */
void lh__names_end(lh__engine *e);
void lh__graph_end(lh__engine *e);

/* The elements of t are where t->view.data says from now on. Settles where they are pending. */
lh_status lh__computed(lh__engine *e, lh_tensor *t);

/* Explains every plan when it is made, a line at a time; NULL: no more. */
void lh__explain(lh__engine *e, void (*line)(void *user, const char *text), void *user);

/* A tensor of this step around `data`, contiguous, borrowed until the next lh__step_begin. */
lh_tensor *lh__tensor_wrap(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape,
                           const void *data);

/* A tensor of this step with a copy of `data` (row-major), or zeros when NULL. */
lh_tensor *lh__tensor_new(lh__engine *e, int32_t dtype, int32_t ndim, const int64_t *shape,
                          const void *data);

/* Reads all elements in row-major order into `dst` of exactly `size` bytes; writes likewise into a
 * parameter, buffer or contiguous tensor. lh__item: the one element, as double; NaN and an error
 * when there are several. */
lh_status lh__tensor_read(lh__engine *e, const lh_tensor *t, void *dst, uint64_t size);
lh_status lh__tensor_write(lh__engine *e, lh_tensor *t, const void *src, uint64_t size);
lh_status lh__tensor_assign(lh__engine *e, lh_tensor *dst, const lh_tensor *src);
double lh__item(lh__engine *e, const lh_tensor *t);

/* Adds d(scale * loss)/d(parameter) to the gradients of the parameters that require one and that
 * the loss depends on. Errors: the loss is not one real element, depends on no such parameter, its
 * tape was used up by an earlier call without retain_graph, or a gradient reads a parameter or a
 * buffer (also through a view) whose values were overwritten after the operator had used it. */
lh_status lh__backward(lh__engine *e, lh_tensor *loss, double scale, int32_t retain_graph);

/* Gradient of the scalar `loss` to `x`, a tensor of this step that required a gradient when it was
 * used; a tensor of this step, or NULL. Adds to no parameter's gradient, leaves the tape as it is.
 * With create_graph the gradient is itself on the tape, so that a loss may be made of it; an
 * operator on the way that has no second derivative is then an error. */
lh_tensor *lh__grad_of(lh__engine *e, lh_tensor *loss, lh_tensor *x, int32_t create_graph);

/* Bytes of the step arena in use and reserved; how often it had to grow since the start. */
typedef struct lh__arena_use {
    int64_t used, reserved, growths;
} lh__arena_use;
lh__arena_use lh__engine_arena(const lh__engine *e);

#endif
