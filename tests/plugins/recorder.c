/* recorder.c - a module, a data module, a callback and a logger that define every hook, and write
 * into a file when one is entered ("> M.setup(fit)") and when it returns ("< M.setup(fit)").
 *
 * One hook can be made to fail or to log, and on_train_batch_start to skip, by hyper-parameters.
 */
#include "boring.h"
#include "plugin/hooks.h" /* the list of hooks, nothing else of the host */

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#ifndef RECORDER_ORDER /* of the callback: the build makes one of each */
#define RECORDER_ORDER LH_ORDER_NORMAL
#endif

struct state {
    char kind; /* M, D, C, L */
    lh_linear layer;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("file", "", "where to write; empty: nowhere"),
    LH_HPARAM_TEXT("fail_in", "", "hook that fails"),
    LH_HPARAM_FLAG("silent", 0, "fail without a message"),
    LH_HPARAM_TEXT("log_in", "", "hook that logs \"x\""),
    LH_HPARAM_INT("log_flags", 0, 0, 1023, "with these flags"),
    LH_HPARAM_TEXT("stop_in", "", "hook that asks the trainer to stop"),
    LH_HPARAM_INT("skip_at", -1, -1, 1000, "batch whose on_train_batch_start says LH_SKIP"),
    LH_HPARAM_INT("val_loaders", 1, 0, 8, "number of validation and test loaders"),
};

/* One line; O_APPEND, so the instances may share a file. */
static void write_line(lh_ctx *c, const char *line) {
    const char *path = lh_hparam_text(c, "file");
    int fd = *path ? open(path, O_WRONLY | O_APPEND | O_CREAT, 0666) : -1;

    if (fd < 0)
        return;
    if (write(fd, line, strlen(line)) < 0)
        lh_fail(c, LH_EIO, "cannot write %s", path);
    close(fd);
}

static char kind_of(lh_ctx *c, void *self) {
    return ((struct state *)self)->kind;
}

/* `arg` -1: none. */
static lh_status note(lh_ctx *c, void *self, const char *hook, const char *arg, char mark) {
    char line[160];

    snprintf(line, sizeof line, arg ? "%c %c.%s(%s)\n" : "%c %c.%s\n", mark, kind_of(c, self), hook,
             arg);
    write_line(c, line);
    return LH_OK;
}

static lh_status begin(lh_ctx *c, void *self, const char *hook, const char *arg) {
    note(c, self, hook, arg, '>');
    if (strcmp(hook, lh_hparam_text(c, "log_in")) == 0)
        lh_log_value(c, "x", 1.5, (uint32_t)lh_hparam_int(c, "log_flags"));
    if (strcmp(hook, lh_hparam_text(c, "stop_in")) == 0)
        lh_stop(c, "the recorder was told to");
    if (strcmp(hook, lh_hparam_text(c, "fail_in")) != 0)
        return lh_status_of(c);
    return lh_hparam(c, "silent") ? LH_EINVAL : lh_fail(c, LH_EINVAL, "told to fail");
}

/* ---- what hooks do beside being recorded, one function per shape ---- */

static lh_status do_PLAIN(lh_ctx *c, struct state *s, int hook) {
    int64_t n = 1;

    switch (hook) {
    case LH__HOOK_configure_model:
        s->layer = lh_linear_make(c, "layer", BORING_WIDTH, 2);
        return LH_OK;
    case LH__HOOK_configure_optimizers:
        return lh_step_lr(c, lh_sgd(c, .lr = 0.1), .step_size = 1);
    case LH__HOOK_val_dataloader:
    case LH__HOOK_test_dataloader:
        n = lh_hparam_int(c, "val_loaders"); /* fall through */
    case LH__HOOK_train_dataloader:
    case LH__HOOK_predict_dataloader:
        for (int64_t i = 0; i < n; i++)
            lh_loader(c, .dataset = boring_dataset(c, 64), .num_workers = 0);
        return LH_OK;
    case LH__HOOK_state_dict:
        return lh_state_put_int(c, "foo", 1);
    default:
        return LH_OK;
    }
}

static lh_status do_STAGE(lh_ctx *c, struct state *s, int hook, int32_t stage) {
    return LH_OK;
}

static lh_status do_TRANSFER(lh_ctx *c, struct state *s, int hook, lh_batch *b, int64_t loader) {
    return LH_OK;
}

static lh_status do_BATCH_END(lh_ctx *c, struct state *s, int hook, const lh_outputs *o,
                              lh_batch *b, int64_t idx) {
    return LH_OK;
}

static lh_status do_OUTPUTS(lh_ctx *c, struct state *s, int hook, const lh_outputs *o) {
    return LH_OK;
}

static lh_status do_TENSOR(lh_ctx *c, struct state *s, int hook, lh_tensor *x) {
    return hook == LH__HOOK_backward ? lh_backward(c, x) : LH_OK;
}

static lh_status do_OPTIMIZER(lh_ctx *c, struct state *s, int hook, lh_optimizer *o) {
    switch (hook) {
    case LH__HOOK_optimizer_step:
        return lh_optimizer_step(c, o);
    case LH__HOOK_optimizer_zero_grad:
        return lh_zero_grad(c, o);
    case LH__HOOK_configure_gradient_clipping:
        note(c, s, "clip_gradients", NULL, '>');
        lh_clip_gradients_norm(c, o, 0);
        return note(c, s, "clip_gradients", NULL, '<');
    default:
        return LH_OK;
    }
}

static lh_tensor *do_FORWARD(lh_ctx *c, struct state *s, int hook, lh_tensor *x) {
    return lh_linear_apply(c, s->layer, x);
}

static lh_tensor *M_forward(lh_ctx *c, void *self, lh_tensor *x);

static lh_status do_BATCH(lh_ctx *c, struct state *s, int hook, lh_batch *b, int64_t idx) {
    if (hook == LH__HOOK_validation_step || hook == LH__HOOK_test_step)
        lh_log(c, hook == LH__HOOK_test_step ? "test_loss" : "val_loss",
               boring_loss(c, M_forward(c, s, lh_batch_get(c, b, 0))), LH_LOG_EPOCH);
    if (hook == LH__HOOK_on_train_batch_start && idx == lh_hparam_int(c, "skip_at"))
        return LH_SKIP;
    return LH_OK;
}

static lh_tensor *do_STEP(lh_ctx *c, struct state *s, int hook, const lh_batch *b, int64_t idx) {
    lh_tensor *y = M_forward(c, s, lh_batch_get(c, b, 0));

    if (hook == LH__HOOK_predict_step)
        return y;
    y = boring_loss(c, y);
    lh_log(c, "train_loss", y, LH_LOG_STEP | LH_LOG_EPOCH);
    return y;
}

static lh_tensor *do_STEP_END(lh_ctx *c, struct state *s, int hook, const lh_outputs *o) {
    return c->host->outputs_get(c, o, 0, "loss");
}

static lh_status do_SCHEDULER(lh_ctx *c, struct state *s, int hook, int32_t i, double metric) {
    return lh_scheduler_step(c, i, metric);
}

/* ---- the hooks themselves ---- */

#define PARAMETERS_PLAIN lh_ctx *c, void *self
#define PARAMETERS_STAGE lh_ctx *c, void *self, int32_t stage
#define PARAMETERS_BATCH lh_ctx *c, void *self, lh_batch *b, int64_t idx
#define PARAMETERS_BATCH_END lh_ctx *c, void *self, const lh_outputs *o, lh_batch *b, int64_t idx
#define PARAMETERS_TRANSFER lh_ctx *c, void *self, lh_batch *b, int64_t loader
#define PARAMETERS_OUTPUTS lh_ctx *c, void *self, const lh_outputs *o
#define PARAMETERS_TENSOR lh_ctx *c, void *self, lh_tensor *x
#define PARAMETERS_OPTIMIZER lh_ctx *c, void *self, lh_optimizer *opt
#define PARAMETERS_STEP lh_ctx *c, void *self, const lh_batch *b, int64_t idx
#define PARAMETERS_STEP_END lh_ctx *c, void *self, const lh_outputs *o
#define PARAMETERS_FORWARD lh_ctx *c, void *self, lh_tensor *x
#define PARAMETERS_SCHEDULER lh_ctx *c, void *self, int32_t i, double metric

#define DO_PLAIN(hook) do_PLAIN(c, self, hook)
#define DO_STAGE(hook) do_STAGE(c, self, hook, stage)
#define DO_BATCH(hook) do_BATCH(c, self, hook, b, idx)
#define DO_BATCH_END(hook) do_BATCH_END(c, self, hook, o, b, idx)
#define DO_TRANSFER(hook) do_TRANSFER(c, self, hook, b, loader)
#define DO_OUTPUTS(hook) do_OUTPUTS(c, self, hook, o)
#define DO_TENSOR(hook) do_TENSOR(c, self, hook, x)
#define DO_OPTIMIZER(hook) do_OPTIMIZER(c, self, hook, opt)
#define DO_STEP(hook) do_STEP(c, self, hook, b, idx)
#define DO_STEP_END(hook) do_STEP_END(c, self, hook, o)
#define DO_FORWARD(hook) do_FORWARD(c, self, hook, x)
#define DO_SCHEDULER(hook) do_SCHEDULER(c, self, hook, i, metric)

/* What stands in brackets behind the hook's name. */
static const char *stage_arg(char *arg, int32_t stage) {
    static const char *const names[] = {"fit", "validate", "test", "predict"};

    snprintf(arg, 24, "%s", stage >= 0 && stage < 4 ? names[stage] : "?");
    return arg;
}

static const char *index_arg(char *arg, int64_t idx) {
    snprintf(arg, 24, "%lld", (long long)idx);
    return arg;
}

/* Of the optimizer's hooks, as Lightning's: the number of the batch. */
static const char *optimizer_arg(lh_ctx *c, char *arg, int hook) {
    return hook == LH__HOOK_optimizer_step || hook == LH__HOOK_optimizer_zero_grad
               ? index_arg(arg, lh_int(c, LH_BATCH_IDX))
               : NULL;
}

#define ARG_PLAIN(hook) NULL
#define ARG_STAGE(hook) stage_arg(text, stage)
#define ARG_BATCH(hook) index_arg(text, idx)
#define ARG_BATCH_END(hook) index_arg(text, idx)
#define ARG_TRANSFER(hook) NULL
#define ARG_OUTPUTS(hook) NULL
#define ARG_TENSOR(hook) NULL
#define ARG_OPTIMIZER(hook) optimizer_arg(c, text, hook)
#define ARG_STEP(hook) index_arg(text, idx)
#define ARG_STEP_END(hook) NULL
#define ARG_FORWARD(hook) NULL
#define ARG_SCHEDULER(hook) NULL

#define FAILED_STATUS begun
#define FAILED_TENSOR NULL
#define RETURNS(who, type, failed, shape, hook)                                                   \
    static type who##_##hook(PARAMETERS_##shape) {                                                \
        char text[24] = "";                                                                        \
        const char *arg;                                                                           \
        lh_status begun;                                                                           \
        type result = (type)0;                                                                     \
                                                                                                   \
        ((struct state *)self)->kind = #who[0];                                                   \
        arg = ARG_##shape(LH__HOOK_##hook);                                                        \
        (void)text;                                                                                \
        begun = begin(c, self, #hook, arg);                                                        \
        if (begun < 0)                                                                             \
            return failed;                                                                         \
        result = DO_##shape(LH__HOOK_##hook);                                                      \
        note(c, self, #hook, arg, '<');                                                            \
        return result;                                                                             \
    }

#define STATUS(who, shape, hook) RETURNS(who, lh_status, FAILED_STATUS, shape, hook)
#define TENSOR(who, shape, hook) RETURNS(who, lh_tensor *, FAILED_TENSOR, shape, hook)
#define DEFINE_PLAIN STATUS
#define DEFINE_STAGE STATUS
#define DEFINE_BATCH STATUS
#define DEFINE_BATCH_END STATUS
#define DEFINE_TRANSFER STATUS
#define DEFINE_OUTPUTS STATUS
#define DEFINE_TENSOR STATUS
#define DEFINE_OPTIMIZER STATUS
#define DEFINE_SCHEDULER STATUS
#define DEFINE_STEP TENSOR
#define DEFINE_STEP_END TENSOR
#define DEFINE_FORWARD TENSOR
#define DEFINE_SPLIT(who, shape, hook)

#define IF_1(...) __VA_ARGS__
#define IF_0(...)
#define X(hook, shape, m, d, c_)                                                                   \
    IF_##m(DEFINE_##shape(M, shape, hook)) IF_##d(DEFINE_##shape(D, shape, hook))                  \
        IF_##c_(DEFINE_##shape(C, shape, hook))
LH__HOOKS(X)
#undef X

/* tbptt_split_batch changes what training is, so it stays unset. */
#define M_tbptt_split_batch NULL

static const lh_module module = {LH_SIZED(lh_module), .state_size = sizeof(struct state),
                                 LH_HPARAMS(hparams),
#define X(hook, shape, m, d, c) IF_##m(.hook = M_##hook, )
                                 LH__HOOKS(X)
#undef X
                                 /* configure_model goes by one name only */
                                 .configure_sharded_model = NULL};

static const lh_datamodule data = {LH_SIZED(lh_datamodule), .state_size = sizeof(struct state),
                                   LH_HPARAMS(hparams),
#define X(hook, shape, m, d, c) IF_##d(.hook = D_##hook, )
                                   LH__HOOKS(X)
#undef X
};

static const lh_callback callback = {LH_SIZED(lh_callback), .state_size = sizeof(struct state),
                                     LH_HPARAMS(hparams), .state_key = "file",
                                     .order = RECORDER_ORDER,
#define X(hook, shape, m, d, c) IF_##c(.hook = C_##hook, )
                                     LH__HOOKS(X)
#undef X
};

/* ---- the logger: "7 train_loss=0.5 epoch=0" per row ---- */

static lh_status log_metrics(lh_ctx *c, void *self, const lh_scalar *metrics, int32_t n,
                             int64_t step) {
    char line[2048];
    size_t used = (size_t)snprintf(line, sizeof line, "%lld", (long long)step);

    for (int32_t i = 0; i < n && used < sizeof line - 64; i++)
        used += (size_t)snprintf(line + used, sizeof line - used, " %s=%.17g", metrics[i].name,
                                 metrics[i].value);
    snprintf(line + used, sizeof line - used, "\n");
    write_line(c, line);
    return LH_OK;
}

static lh_status finalize(lh_ctx *c, void *self, int32_t outcome) {
    static const char *const names[] = {"finalize success\n", "finalize failed\n",
                                        "finalize finished\n"};

    write_line(c, names[outcome]);
    return LH_OK;
}

static const lh_logger logger = {LH_SIZED(lh_logger), LH_HPARAMS(hparams),
                                 .log_metrics = log_metrics, .finalize = finalize};

#ifdef RECORDER_BRINGS_NO_DATA /* module */
LH_EXPORT_PLUGIN("recorder", "1.0.0", LH_KIND_MODULE | LH_KIND_CALLBACK | LH_KIND_LOGGER,
                 .module = &module, .callback = &callback, .logger = &logger);
#else
LH_EXPORT_PLUGIN("recorder", "1.0.0",
                 LH_KIND_MODULE | LH_KIND_DATAMODULE | LH_KIND_CALLBACK | LH_KIND_LOGGER,
                 .module = &module, .datamodule = &data, .callback = &callback, .logger = &logger);
#endif
