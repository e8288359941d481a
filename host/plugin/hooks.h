/* hooks.h - every hook of the contract, once: its name, its shape, and where it lies in each table.
 *
 * Invariant: the rows account for every slot of every table (asserted in hooks.c), so that whoever
 * walks this list - the gate, `lhost inspect`, the trainer's dispatch - misses none.
 */
#ifndef LH_PLUGIN_HOOKS_H
#define LH_PLUGIN_HOOKS_H

#include <lhost/abi.h>

/* The tables that hold hooks. The kind of table t is 1 << t: LH_KIND_MODULE, ... */
typedef enum lh__table {
    LH__TABLE_MODULE,
    LH__TABLE_DATAMODULE,
    LH__TABLE_CALLBACK,
    LH__TABLE_LOGGER,
    LH__N_TABLES
} lh__table;

/* X(shape, result, arguments): the types that hooks have. Those that abi.h names are aliases. */
#define LH__SHAPES(X)                                                                    \
    X(PLAIN, lh_status, (lh_ctx *, void *))                                              \
    X(STAGE, lh_status, (lh_ctx *, void *, int32_t))                                     \
    X(BATCH, lh_status, (lh_ctx *, void *, lh_batch *, int64_t))                         \
    X(BATCH_END, lh_status, (lh_ctx *, void *, const lh_outputs *, lh_batch *, int64_t)) \
    X(TRANSFER, lh_status, (lh_ctx *, void *, lh_batch *, int64_t))                      \
    X(OUTPUTS, lh_status, (lh_ctx *, void *, const lh_outputs *))                        \
    X(TENSOR, lh_status, (lh_ctx *, void *, lh_tensor *))                                \
    X(OPTIMIZER, lh_status, (lh_ctx *, void *, lh_optimizer *))                          \
    X(STEP, lh_tensor *, (lh_ctx *, void *, const lh_batch *, int64_t))                  \
    X(STEP_END, lh_tensor *, (lh_ctx *, void *, const lh_outputs *))                     \
    X(FORWARD, lh_tensor *, (lh_ctx *, void *, lh_tensor *))                             \
    X(SPLIT, lh_batch *, (lh_ctx *, void *, lh_batch *, int64_t, int64_t))               \
    X(SCHEDULER, lh_status, (lh_ctx *, void *, int32_t, double))                         \
    X(METRICS, lh_status, (lh_ctx *, void *, const lh_scalar *, int32_t, int64_t))       \
    X(SETTINGS, lh_status, (lh_ctx *, void *, const lh_setting *, int32_t))              \
    X(PATH, lh_status, (lh_ctx *, void *, const char *))

/* X(hook, shape, module, datamodule, callback): 1 where the table has it, 0 where not. */
#define LH__HOOKS(X)                                   \
    /* the run */                                      \
    X(on_init_start, PLAIN, 0, 0, 1)                   \
    X(on_init_end, PLAIN, 0, 0, 1)                     \
    X(configure_callbacks, PLAIN, 1, 0, 0)             \
    X(prepare_data, PLAIN, 1, 1, 0)                    \
    X(setup, STAGE, 1, 1, 1)                           \
    X(configure_model, PLAIN, 1, 0, 0)                 \
    X(configure_sharded_model, PLAIN, 1, 0, 0)         \
    X(configure_optimizers, PLAIN, 1, 0, 0)            \
    X(configure_ddp, PLAIN, 1, 0, 0)                   \
    X(on_post_move_to_device, PLAIN, 1, 0, 0)          \
    X(teardown, STAGE, 1, 1, 1)                        \
    X(on_exception, PLAIN, 0, 1, 1)                    \
    /* data */                                         \
    X(train_dataloader, PLAIN, 1, 1, 0)                \
    X(val_dataloader, PLAIN, 1, 1, 0)                  \
    X(test_dataloader, PLAIN, 1, 1, 0)                 \
    X(predict_dataloader, PLAIN, 1, 1, 0)              \
    X(on_before_batch_transfer, TRANSFER, 1, 1, 0)     \
    X(transfer_batch_to_device, TRANSFER, 1, 1, 0)     \
    X(on_after_batch_transfer, TRANSFER, 1, 1, 0)      \
    X(tbptt_split_batch, SPLIT, 1, 0, 0)               \
    /* steps */                                        \
    X(forward, FORWARD, 1, 0, 0)                       \
    X(training_step, STEP, 1, 0, 0)                    \
    X(validation_step, BATCH, 1, 0, 0)                 \
    X(test_step, BATCH, 1, 0, 0)                       \
    X(predict_step, STEP, 1, 0, 0)                     \
    X(training_step_end, STEP_END, 1, 0, 0)            \
    X(validation_step_end, OUTPUTS, 1, 0, 0)           \
    X(test_step_end, OUTPUTS, 1, 0, 0)                 \
    /* optimization */                                 \
    X(optimizer_step, OPTIMIZER, 1, 0, 0)              \
    X(on_before_zero_grad, OPTIMIZER, 1, 0, 1)         \
    X(optimizer_zero_grad, OPTIMIZER, 1, 0, 0)         \
    X(on_before_backward, TENSOR, 1, 0, 1)             \
    X(backward, TENSOR, 1, 0, 0)                       \
    X(on_after_backward, PLAIN, 1, 0, 1)               \
    X(on_before_optimizer_step, OPTIMIZER, 1, 0, 1)    \
    X(configure_gradient_clipping, OPTIMIZER, 1, 0, 0) \
    X(lr_scheduler_step, SCHEDULER, 1, 0, 0)           \
    /* fit */                                          \
    X(on_fit_start, PLAIN, 1, 0, 1)                    \
    X(on_fit_end, PLAIN, 1, 0, 1)                      \
    X(on_pretrain_routine_start, PLAIN, 1, 0, 1)       \
    X(on_pretrain_routine_end, PLAIN, 1, 0, 1)         \
    X(on_sanity_check_start, PLAIN, 0, 0, 1)           \
    X(on_sanity_check_end, PLAIN, 0, 0, 1)             \
    X(on_train_start, PLAIN, 1, 0, 1)                  \
    X(on_train_end, PLAIN, 1, 0, 1)                    \
    X(on_epoch_start, PLAIN, 1, 0, 1)                  \
    X(on_epoch_end, PLAIN, 1, 0, 1)                    \
    X(on_train_epoch_start, PLAIN, 1, 0, 1)            \
    X(on_train_epoch_end, PLAIN, 1, 0, 1)              \
    X(training_epoch_end, OUTPUTS, 1, 0, 0)            \
    X(on_train_batch_start, BATCH, 1, 0, 1)            \
    X(on_train_batch_end, BATCH_END, 1, 0, 1)          \
    X(on_batch_start, PLAIN, 1, 0, 1)                  \
    X(on_batch_end, PLAIN, 1, 0, 1)                    \
    /* validation */                                   \
    X(on_validation_model_zero_grad, PLAIN, 1, 0, 0)   \
    X(on_validation_model_eval, PLAIN, 1, 0, 0)        \
    X(on_validation_model_train, PLAIN, 1, 0, 0)       \
    X(on_validation_start, PLAIN, 1, 0, 1)             \
    X(on_validation_end, PLAIN, 1, 0, 1)               \
    X(on_validation_epoch_start, PLAIN, 1, 0, 1)       \
    X(on_validation_epoch_end, PLAIN, 1, 0, 1)         \
    X(validation_epoch_end, OUTPUTS, 1, 0, 0)          \
    X(on_validation_batch_start, BATCH, 1, 0, 1)       \
    X(on_validation_batch_end, BATCH_END, 1, 0, 1)     \
    /* test */                                         \
    X(on_test_model_eval, PLAIN, 1, 0, 0)              \
    X(on_test_model_train, PLAIN, 1, 0, 0)             \
    X(on_test_start, PLAIN, 1, 0, 1)                   \
    X(on_test_end, PLAIN, 1, 0, 1)                     \
    X(on_test_epoch_start, PLAIN, 1, 0, 1)             \
    X(on_test_epoch_end, PLAIN, 1, 0, 1)               \
    X(test_epoch_end, OUTPUTS, 1, 0, 0)                \
    X(on_test_batch_start, BATCH, 1, 0, 1)             \
    X(on_test_batch_end, BATCH_END, 1, 0, 1)           \
    /* predict */                                      \
    X(on_predict_model_eval, PLAIN, 1, 0, 0)           \
    X(on_predict_start, PLAIN, 1, 0, 1)                \
    X(on_predict_end, PLAIN, 1, 0, 1)                  \
    X(on_predict_epoch_start, PLAIN, 1, 0, 1)          \
    X(on_predict_epoch_end, PLAIN, 1, 0, 1)            \
    X(on_predict_batch_start, BATCH, 1, 0, 1)          \
    X(on_predict_batch_end, BATCH_END, 1, 0, 1)        \
    /* checkpoints and the bar */                      \
    X(state_dict, PLAIN, 0, 1, 1)                      \
    X(load_state_dict, PLAIN, 0, 1, 1)                 \
    X(on_save_checkpoint, PLAIN, 1, 0, 1)              \
    X(on_load_checkpoint, PLAIN, 1, 0, 1)              \
    X(get_progress_bar_dict, PLAIN, 1, 0, 0)

/* X(hook, shape): hooks of loggers. Their setup has another shape than everybody else's. */
#define LH__LOGGER_HOOKS(X)      \
    X(setup, PLAIN)              \
    X(log_metrics, METRICS)      \
    X(log_hyperparams, SETTINGS) \
    X(log_graph, PLAIN)          \
    X(save, PLAIN)               \
    X(finalize, STAGE)           \
    X(after_save_checkpoint, PATH)

/* lh__PLAIN_hook, ...: what to cast an lh__hook_fn to before calling it. */
#define LH__X(shape, result, arguments) typedef result lh__##shape##_hook arguments;
LH__SHAPES(LH__X)
#undef LH__X

/* LH__SHAPE_PLAIN, ... */
typedef enum lh__shape {
#define LH__X(shape, result, arguments) LH__SHAPE_##shape,
    LH__SHAPES(LH__X)
#undef LH__X
        LH__N_SHAPES
} lh__shape;

/* LH__HOOK_on_train_start, ...; those of loggers: LH__HOOK_logger_log_metrics, ... */
typedef enum lh__hook {
#define LH__X(hook, shape, m, d, c) LH__HOOK_##hook,
    LH__HOOKS(LH__X)
#undef LH__X
#define LH__X(hook, shape) LH__HOOK_logger_##hook,
        LH__LOGGER_HOOKS(LH__X)
#undef LH__X
            LH__N_HOOKS
} lh__hook;

typedef struct lh__hook_info {
    const char *name;
    lh__shape shape;
    int16_t offset[LH__N_TABLES]; /* in bytes; -1: the table does not have it */
} lh__hook_info;

/* Indexed by lh__hook. */
extern const lh__hook_info lh__hooks[LH__N_HOOKS];

typedef struct lh__table_info {
    const char *name; /* "module" */
    uint32_t size;    /* of this host's struct */
    uint32_t head;    /* bytes before the first hook: what a table of any 1.x has at least */
} lh__table_info;

/* Indexed by lh__table. */
extern const lh__table_info lh__tables[LH__N_TABLES];

/* Any hook, until it is cast to its shape. */
typedef void (*lh__hook_fn)(void);

/* The hook `h` of a table of kind `t` in this host's layout; NULL when unset or when tables of that
 * kind do not have it. `table` may be NULL. */
lh__hook_fn lh__hook_of(const void *table, lh__table t, lh__hook h);

/* The hook called `name` in tables of kind `t`, or -1. */
int lh__hook_named(const char *name, lh__table t);

#endif
