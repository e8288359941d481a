/* abi.h - the tables that a plugin exports: what the host calls, when, on which thread.
 *
 * A plugin is a shared object that exports one const data symbol, `lhost_plugin`. Its first 80
 * bytes hold no pointer and never change, so that any host can read who a plugin is without running
 * its code. Tables grow by appending: a host copies the part it knows and refuses a longer table
 * only if the unknown part is set. Every hook is optional (NULL) unless it says "required".
 *
 * Threads, in brackets at each hook: [trainer] one call at a time per plugin instance (all hooks
 * that say nothing else); [fetch] concurrent with everything; [writer] the thread that writes logs,
 * one call at a time per instance. [all-ranks]: runs on every rank and may contain collectives;
 * [rank-zero]: runs on rank 0 only. Hooks that say neither are [all-ranks].
 *
 * A hook that returns a negative status stops the run with the message given to lh_fail.
 * Order, unless a hook says otherwise: callbacks in the order given, then the module.
 */
#ifndef LHOST_ABI_H
#define LHOST_ABI_H

#include "host.h"
#include "types.h"

LH_EXTERN_C_BEGIN

/* The shapes that hooks have. `self` is the instance's state: state_size zeroed bytes, owned by
 * the host. */
typedef lh_status lh_hook(lh_ctx *c, void *self);
typedef lh_status lh_stage_hook(lh_ctx *c, void *self, int32_t stage);
typedef lh_status lh_batch_hook(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx);
typedef lh_status lh_batch_end_hook(lh_ctx *c, void *self, const lh_outputs *outputs,
                                    lh_batch *batch, int64_t batch_idx);
typedef lh_status lh_transfer_hook(lh_ctx *c, void *self, lh_batch *batch, int64_t loader_idx);
typedef lh_status lh_outputs_hook(lh_ctx *c, void *self, const lh_outputs *outputs);
typedef lh_status lh_tensor_hook(lh_ctx *c, void *self, lh_tensor *t);
typedef lh_status lh_optimizer_hook(lh_ctx *c, void *self, lh_optimizer *optimizer);
typedef lh_tensor *lh_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx);

/* A model: research code and nothing else. */
typedef struct lh_module {
    uint32_t struct_size, state_size;
    const lh_hparam_spec *hparams; /* n_hparams of them */
    int32_t n_hparams;
    int32_t manual_optimization; /* 1: training_step calls lh_backward and lh_optimizer_step */

    /* Once per run, in this order. */
    lh_hook *configure_callbacks;     /* lh_use_callback(c, "early-stop:monitor=val_loss") */
    lh_hook *prepare_data;            /* download, once per node; keep no state in self */
    lh_stage_hook *setup;             /* after the callbacks' */
    lh_hook *configure_model;         /* required: parameters and buffers */
    lh_hook *configure_sharded_model; /* older name of configure_model: set one of the two */
    lh_hook *configure_optimizers;    /* required for fit: lh_adam(c, .lr = 1e-3) */
    lh_hook *configure_ddp;           /* how a strategy wraps the model; only with several ranks */
    lh_hook *on_post_move_to_device;  /* parameters are where they will stay */
    lh_stage_hook *teardown;          /* also after a failure, if setup was called */

    /* Data: call lh_loader once per loader of the stage. Requested when first needed. */
    lh_hook *train_dataloader, *val_dataloader, *test_dataloader, *predict_dataloader;
    lh_transfer_hook *on_before_batch_transfer;
    lh_transfer_hook *transfer_batch_to_device; /* instead of the host's copy */
    lh_transfer_hook *on_after_batch_transfer;
    lh_batch *(*tbptt_split_batch)(lh_ctx *c, void *self, lh_batch *batch, int64_t size,
                                   int64_t split); /* cuts the whole batch that it is given down to
                          part `split` with lh_batch_set and returns it; NULL after the last */

    /* The research. forward: one tensor in, one out. training_step returns the scalar loss; NULL
     * without lh_fail skips the update. predict_step returns the predictions; absent: forward of
     * field 0. */
    lh_tensor *(*forward)(lh_ctx *c, void *self, lh_tensor *x);
    lh_step *training_step; /* required for fit */
    lh_batch_hook *validation_step, *test_step;
    lh_step *predict_step;
    lh_tensor *(*training_step_end)(lh_ctx *c, void *self, const lh_outputs *parts); /* the loss */
    lh_outputs_hook *validation_step_end, *test_step_end;

    /* Optimization, in order of entry. */
    lh_optimizer_hook *optimizer_step; /* calls lh_optimizer_step, which runs the closure */
    lh_optimizer_hook *on_before_zero_grad, *optimizer_zero_grad;
    lh_tensor_hook *on_before_backward, *backward; /* of the loss; backward calls lh_backward */
    lh_hook *on_after_backward;
    lh_optimizer_hook *on_before_optimizer_step;    /* gradients unscaled, not yet clipped */
    lh_optimizer_hook *configure_gradient_clipping; /* clips by lh_clip_gradients_norm or _value */
    lh_status (*lr_scheduler_step)(lh_ctx *c, void *self, int32_t scheduler, double metric);

    /* Fit. */
    lh_hook *on_fit_start, *on_fit_end;
    lh_hook *on_pretrain_routine_start, *on_pretrain_routine_end;
    lh_hook *on_train_start, *on_train_end;
    lh_hook *on_epoch_start, *on_epoch_end; /* training, validation and test epochs alike */
    lh_hook *on_train_epoch_start, *on_train_epoch_end;
    lh_outputs_hook *training_epoch_end; /* keeps the outputs of the whole epoch */
    lh_batch_hook *on_train_batch_start; /* may return LH_SKIP */
    lh_batch_end_hook *on_train_batch_end;
    lh_hook *on_batch_start, *on_batch_end;

    /* Validation, also during fit and the sanity check. */
    lh_hook *on_validation_model_zero_grad;
    lh_hook *on_validation_model_eval, *on_validation_model_train;
    lh_hook *on_validation_start, *on_validation_end;
    lh_hook *on_validation_epoch_start, *on_validation_epoch_end;
    lh_outputs_hook *validation_epoch_end;
    lh_batch_hook *on_validation_batch_start;
    lh_batch_end_hook *on_validation_batch_end;

    /* Test. */
    lh_hook *on_test_model_eval, *on_test_model_train;
    lh_hook *on_test_start, *on_test_end;
    lh_hook *on_test_epoch_start, *on_test_epoch_end;
    lh_outputs_hook *test_epoch_end;
    lh_batch_hook *on_test_batch_start;
    lh_batch_end_hook *on_test_batch_end;

    /* Predict. */
    lh_hook *on_predict_model_eval;
    lh_hook *on_predict_start, *on_predict_end;
    lh_hook *on_predict_epoch_start, *on_predict_epoch_end;
    lh_batch_hook *on_predict_batch_start;
    lh_batch_end_hook *on_predict_batch_end;

    /* Checkpoints: lh_state_put and lh_state_get. Weights are saved without being asked for. */
    lh_hook *on_save_checkpoint, *on_load_checkpoint;
    lh_hook *get_progress_bar_dict; /* lh_bar chooses what the bar shows */
    /* 1.0 ends here: append below, add a static assert, never edit above. */
} lh_module;

/* Data on its own, for any module. */
typedef struct lh_datamodule {
    uint32_t struct_size, state_size;
    const lh_hparam_spec *hparams;
    int32_t n_hparams, reserved;

    lh_hook *prepare_data;           /* before the module's */
    lh_stage_hook *setup, *teardown; /* before callbacks and module */
    lh_hook *train_dataloader, *val_dataloader, *test_dataloader, *predict_dataloader;
    lh_transfer_hook *on_before_batch_transfer, *transfer_batch_to_device;
    lh_transfer_hook *on_after_batch_transfer;
    lh_hook *state_dict, *load_state_dict; /* lh_state_put, lh_state_get */
    lh_hook *on_exception;                 /* lh_text(c, LH_EXCEPTION) */
    /* 1.0 ends here. */
} lh_datamodule;

/* Order among callbacks: those that watch metrics run after the module in on_train_epoch_end, so
 * that they see what it logs there; checkpointing ones run last everywhere. */
enum { LH_ORDER_NORMAL = 0, LH_ORDER_MONITOR = 1, LH_ORDER_CHECKPOINT = 2 };

/* Everything that is not essential to the research. */
typedef struct lh_callback {
    uint32_t struct_size, state_size;
    const lh_hparam_spec *hparams;
    int32_t n_hparams, order;
    const char *state_key; /* hyper-parameters that tell two instances apart, "monitor,mode";
                              NULL: none */

    lh_hook *on_init_start, *on_init_end; /* the trainer is being built, is built */
    lh_stage_hook *setup, *teardown;
    lh_hook *on_fit_start, *on_fit_end;
    lh_hook *on_pretrain_routine_start, *on_pretrain_routine_end;
    lh_hook *on_sanity_check_start, *on_sanity_check_end;
    lh_hook *on_train_start, *on_train_end;
    lh_hook *on_epoch_start, *on_epoch_end;
    lh_hook *on_train_epoch_start, *on_train_epoch_end;
    lh_batch_hook *on_train_batch_start;
    lh_batch_end_hook *on_train_batch_end;
    lh_hook *on_batch_start, *on_batch_end;
    lh_optimizer_hook *on_before_zero_grad;
    lh_tensor_hook *on_before_backward;
    lh_hook *on_after_backward;
    lh_optimizer_hook *on_before_optimizer_step;

    lh_hook *on_validation_start, *on_validation_end;
    lh_hook *on_validation_epoch_start, *on_validation_epoch_end;
    lh_batch_hook *on_validation_batch_start;
    lh_batch_end_hook *on_validation_batch_end;
    lh_hook *on_test_start, *on_test_end;
    lh_hook *on_test_epoch_start, *on_test_epoch_end;
    lh_batch_hook *on_test_batch_start;
    lh_batch_end_hook *on_test_batch_end;
    lh_hook *on_predict_start, *on_predict_end;
    lh_hook *on_predict_epoch_start, *on_predict_epoch_end;
    lh_batch_hook *on_predict_batch_start;
    lh_batch_end_hook *on_predict_batch_end;

    lh_hook *on_exception;                 /* lh_text(c, LH_EXCEPTION) */
    lh_hook *state_dict, *load_state_dict; /* lh_state_put, lh_state_get; the callback's own */
    lh_hook *on_save_checkpoint, *on_load_checkpoint;
    /* 1.0 ends here. */
} lh_callback;

/* Where metrics go. All hooks are [writer] [rank-zero], after setup and before finalize. */
enum { LH_SUCCESS = 0, LH_FAILED = 1, LH_FINISHED = 2 };
typedef struct lh_logger {
    uint32_t struct_size, state_size;
    const lh_hparam_spec *hparams;
    int32_t n_hparams, reserved;

    lh_hook *setup; /* the run's folder exists: lh_text(c, LH_LOG_DIR) */
    lh_status (*log_metrics)(lh_ctx *c, void *self, const lh_scalar *metrics, int32_t n,
                             int64_t step); /* required; names live until the hook returns */
    lh_status (*log_hyperparams)(lh_ctx *c, void *self, const lh_setting *settings, int32_t n);
    lh_hook *log_graph;
    lh_hook *save; /* put on disk what is buffered; every few seconds, per epoch and at the end */
    lh_status (*finalize)(lh_ctx *c, void *self, int32_t outcome); /* LH_SUCCESS ... */
    lh_status (*after_save_checkpoint)(lh_ctx *c, void *self, const char *path);
    /* 1.0 ends here. */
} lh_logger;

/* Kinds of plugins; one file may carry several. */
enum {
    LH_KIND_MODULE = 1,
    LH_KIND_DATAMODULE = 2,
    LH_KIND_CALLBACK = 4,
    LH_KIND_LOGGER = 8,
    LH_KIND_STRATEGY = 16,    /* draft/strategy.h */
    LH_KIND_ACCELERATOR = 32, /* draft/accelerator.h */
    LH_KIND_EXPORTER = 64     /* draft/exporter.h */
};

/* The root of a plugin. kinds and the pointers agree. */
typedef struct lh_plugin {
    char magic[8]; /* "LHPLUG\r\n" */
    uint32_t abi_major, abi_minor, struct_size, kinds;
    char name[40];    /* [a-z0-9-]+, NUL-terminated */
    char version[16]; /* NUL-terminated */
    const lh_module *module;
    const lh_datamodule *datamodule;
    const lh_callback *callback;
    const lh_logger *logger;
    const struct lh_draft_strategy *strategy;
    const struct lh_draft_accelerator *accelerator;
    const struct lh_draft_exporter *exporter;
    /* 1.0 ends here. */
} lh_plugin;

LH_STATIC_ASSERT(offsetof(lh_plugin, module) == 80, "the prefix of lh_plugin is frozen");
LH_STATIC_ASSERT(sizeof(lh_plugin) == 136, "lh_plugin 1.0 is 136 bytes");

#define LH_MAGIC_ \
    { 'L', 'H', 'P', 'L', 'U', 'G', '\r', '\n' }
#define LH_PLUGIN_HEAD_(name_, version_, kinds_)                                 \
    .magic = LH_MAGIC_, .abi_major = LH_ABI_MAJOR, .abi_minor = LH_TARGET_MINOR, \
    LH_SIZED(lh_plugin), .kinds = (kinds_), .name = name_, .version = version_

/* Exports a plugin of one or more kinds:
 *     LH_EXPORT_PLUGIN("mnist", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE,
 *                      .module = &module, .datamodule = &data); */
#define LH_EXPORT_PLUGIN(name_, version_, kinds_, ...) \
    LH_EXPORT extern const lh_plugin lhost_plugin;     \
    const lh_plugin lhost_plugin = {LH_PLUGIN_HEAD_(name_, version_, kinds_), __VA_ARGS__}

/* Exports a plugin of one kind, its table given as designated initialisers. */
#define LH_EXPORT_MODULE(name_, version_, ...)                                \
    static const lh_module lh_exported_ = {LH_SIZED(lh_module), __VA_ARGS__}; \
    LH_EXPORT_PLUGIN(name_, version_, LH_KIND_MODULE, .module = &lh_exported_)
#define LH_EXPORT_DATAMODULE(name_, version_, ...)                                    \
    static const lh_datamodule lh_exported_ = {LH_SIZED(lh_datamodule), __VA_ARGS__}; \
    LH_EXPORT_PLUGIN(name_, version_, LH_KIND_DATAMODULE, .datamodule = &lh_exported_)
#define LH_EXPORT_CALLBACK(name_, version_, ...)                                  \
    static const lh_callback lh_exported_ = {LH_SIZED(lh_callback), __VA_ARGS__}; \
    LH_EXPORT_PLUGIN(name_, version_, LH_KIND_CALLBACK, .callback = &lh_exported_)
#define LH_EXPORT_LOGGER(name_, version_, ...)                                \
    static const lh_logger lh_exported_ = {LH_SIZED(lh_logger), __VA_ARGS__}; \
    LH_EXPORT_PLUGIN(name_, version_, LH_KIND_LOGGER, .logger = &lh_exported_)

LH_EXTERN_C_END
#endif
