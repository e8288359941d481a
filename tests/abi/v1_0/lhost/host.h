/* host.h - the table of functions that the host offers to plugins.
 *
 * Plugins reach it through the wrappers of lhost.h, ops.h, nn.h, optim.h and data.h, never through
 * undefined symbols. Unless a function says otherwise it may be called from [trainer] hooks only.
 * A function that fails records the first error in the context, with the author's file and line,
 * and returns NULL or a negative status; every function that is given NULL for a tensor does
 * nothing and returns NULL, so that straight-line model code needs no checks: the host looks at
 * the recorded error when the hook returns.
 */
#ifndef LHOST_HOST_H
#define LHOST_HOST_H

#include "types.h"

LH_EXTERN_C_BEGIN

struct lh_host {
    uint32_t struct_size, abi_major, abi_minor, reserved;

    /* Errors, messages, memory. [any] */
    lh_status (*fail)(lh_ctx *c, lh_status code, const char *file, int32_t line, const char *fmt,
                      ...) LH_PRINTF(5, 6); /* returns `code`, which must be negative */
    lh_status (*status)(lh_ctx *c);         /* first error recorded in this hook, or LH_OK */
    void (*print)(lh_ctx *c, int32_t level, const char *fmt, ...) LH_PRINTF(3, 4);
    void *(*alloc)(lh_ctx *c, uint64_t size); /* zeroed, 64-byte aligned, lives with the run */

    /* Hyper-parameters of this plugin, by declared name; an undeclared one fails. */
    double (*hparam)(lh_ctx *c, const char *name);
    int64_t (*hparam_int)(lh_ctx *c, const char *name);
    const char *(*hparam_text)(lh_ctx *c, const char *name);            /* lives with the run */
    lh_status (*set_hparam)(lh_ctx *c, const char *name, double value); /* numeric ones */

    /* Parameters and buffers. Names are unique and become checkpoint keys. In configure_model
     * only, except lookup. `init`: how a parameter starts, in row-major order of elements. */
    lh_tensor *(*param)(lh_ctx *c, const char *name, int32_t dtype, int32_t ndim,
                        const int64_t *shape, const lh_init *init);
    lh_tensor *(*buffer)(lh_ctx *c, const char *name, int32_t dtype, int32_t ndim,
                         const int64_t *shape, double fill);
    int64_t (*param_count)(lh_ctx *c);
    lh_tensor *(*param_at)(lh_ctx *c, int64_t i);    /* in order of creation; NULL past the end */
    const char *(*param_name)(lh_ctx *c, int64_t i); /* lives with the run */
    int64_t (*set_requires_grad)(lh_ctx *c, const char *glob, int32_t on); /* how many matched */
    void (*set_training)(lh_ctx *c, int32_t on);                           /* train() and eval() */

    /* Tensors. */
    lh_tensor *(*op)(lh_ctx *c, const lh_op_call *call);
    lh_tensor *(*tensor)(lh_ctx *c, int32_t dtype, int32_t ndim, const int64_t *shape,
                         const void *data); /* a copy; data NULL: zeros */
    lh_status (*tensor_info)(lh_ctx *c, const lh_tensor *t, lh_tensor_info *info);
    double (*item)(lh_ctx *c, const lh_tensor *t); /* of one element; NaN on failure */
    lh_status (*read)(lh_ctx *c, const lh_tensor *t, void *dst, uint64_t size);  /* row-major */
    lh_status (*write)(lh_ctx *c, lh_tensor *t, const void *src, uint64_t size); /* param, buffer */
    lh_status (*assign)(lh_ctx *c, lh_tensor *dst,
                        const lh_tensor *src);          /* param or buffer := src */
    int32_t (*set_grad_enabled)(lh_ctx *c, int32_t on); /* returns what it was */
    lh_status (*backward)(lh_ctx *c, lh_tensor *loss, int32_t retain_graph);
    lh_tensor *(*grad)(lh_ctx *c, lh_tensor *param); /* NULL while it has none */

    /* Optimizers and schedulers. Created in configure_optimizers only. */
    lh_optimizer *(*optimizer)(lh_ctx *c, const lh_optimizer_options *o);
    lh_status (*param_group)(lh_ctx *c, lh_optimizer *opt, const lh_optimizer_options *o);
    lh_status (*scheduler)(lh_ctx *c, lh_optimizer *opt, const lh_scheduler_options *o);
    lh_optimizer *(*optimizer_at)(lh_ctx *c, int32_t i); /* NULL past the end */
    lh_status (*optimizer_step)(lh_ctx *c, lh_optimizer *opt);
    lh_status (*zero_grad)(lh_ctx *c, lh_optimizer *opt); /* NULL: every parameter */
    lh_status (*toggle_optimizer)(lh_ctx *c, lh_optimizer *opt, int32_t on);
    lh_status (*scheduler_step)(lh_ctx *c, int32_t i, double metric);
    lh_status (*clip_gradients)(lh_ctx *c, lh_optimizer *opt, double value, int32_t by_value);
    int32_t (*group_count)(lh_ctx *c, const lh_optimizer *opt);
    double (*group_get)(lh_ctx *c, const lh_optimizer *opt, int32_t group, const char *key);
    lh_status (*group_set)(lh_ctx *c, lh_optimizer *opt, int32_t group, const char *key,
                           double value); /* "lr", "momentum", "weight_decay", "beta1" ... */
    const char *(*optimizer_name)(lh_ctx *c, const lh_optimizer *opt); /* "Adam", "SGD" ... */
    int32_t (*scheduler_of)(lh_ctx *c, const lh_optimizer *opt, int32_t i, const char **name,
                            int32_t *interval); /* its i-th scheduler: 1 and both set; else 0 */

    /* Data. Datasets live with the run; `path` is taken below the data root unless absolute and
     * may be gzipped (".gz" is tried when the plain file is missing). */
    lh_dataset *(*dataset)(lh_ctx *c, const lh_dataset_desc *d);
    lh_dataset *(*dataset_idx)(lh_ctx *c, const char *const *paths, int32_t n); /* one per field */
    lh_dataset *(*dataset_tensors)(lh_ctx *c, lh_tensor *const *tensors, int32_t n);
    lh_dataset *(*subset)(lh_ctx *c, lh_dataset *d, const int64_t *indices, int64_t n);
    lh_status (*random_split)(lh_ctx *c, lh_dataset *d, const int64_t *lengths, int32_t n,
                              int64_t seed, lh_dataset **out);
    lh_dataset *(*normalize)(lh_ctx *c, lh_dataset *d, int32_t field, double scale, double mean,
                             double std); /* f32: (x * scale - mean) / std */
    int64_t (*dataset_length)(lh_ctx *c, const lh_dataset *d);
    lh_status (*loader)(lh_ctx *c, const lh_loader_options *o); /* in *_dataloader hooks only */
    lh_tensor *(*batch_get)(lh_ctx *c, const lh_batch *b, int32_t field);
    lh_status (*batch_set)(lh_ctx *c, lh_batch *b, int32_t field, lh_tensor *t);
    int64_t (*batch_size)(lh_ctx *c, const lh_batch *b);
    int32_t (*batch_fields)(lh_ctx *c, const lh_batch *b);
    lh_status (*fetch)(lh_ctx *c, const char *path, const char *const *urls, int32_t n_urls,
                       const char *sha256); /* download into the data root; the checksum is that
                                                of the decompressed content; prepare_data */

    /* Metrics. */
    lh_status (*log)(lh_ctx *c, const char *name, lh_tensor *value, const lh_log_options *o);
    lh_status (*log_value)(lh_ctx *c, const char *name, double value, const lh_log_options *o);
    double (*metric)(lh_ctx *c, const char *name); /* callback metric; NaN when there is none */
    lh_status (*has_metric)(lh_ctx *c, const char *name); /* LH_OK or LH_ENOTFOUND, unrecorded */
    const char *(*metric_name)(lh_ctx *c, int32_t i); /* of callback metrics; NULL past the end */
    lh_status (*log_to_loggers)(lh_ctx *c, const lh_scalar *metrics, int32_t n,
                                int64_t step); /* x; -1: that of the step metrics */
    lh_status (*bar)(lh_ctx *c, const char *name, double value, int32_t show);

    /* Step outputs. */
    lh_status (*output)(lh_ctx *c, const char *name,
                        lh_tensor *t);                        /* in a step: keep beside loss */
    int64_t (*outputs_count)(lh_ctx *c, const lh_outputs *o); /* steps in it */
    lh_tensor *(*outputs_get)(lh_ctx *c, const lh_outputs *o, int64_t i,
                              const char *name); /* "loss", "prediction" or a name; NULL if none */

    /* The run. */
    int64_t (*get_int)(lh_ctx *c, int32_t what);
    const char *(*get_text)(lh_ctx *c, int32_t what);
    lh_status (*stop)(lh_ctx *c,
                      const char *reason); /* after this batch; min_epochs, min_steps hold */
    lh_status (*use_callback)(lh_ctx *c, const char *spec); /* in configure_callbacks only */
    lh_status (*save_checkpoint)(lh_ctx *c, const char *path,
                                 int32_t weights_only);          /* [all-ranks];
                 snapshot now, write behind; relative to the checkpoint folder */
    lh_status (*remove_checkpoint)(lh_ctx *c, const char *path); /* after writes queued before it */
    lh_status (*link_checkpoint)(lh_ctx *c, const char *target, const char *path); /* a copy */
    lh_status (*set_best)(lh_ctx *c, const char *path, double score); /* what --ckpt_path best is */

    /* State, inside state_dict, load_state_dict, on_save_checkpoint and on_load_checkpoint: each
     * plugin has its own keys. get returns LH_ENOTFOUND, unrecorded, and leaves *out alone. */
    lh_status (*state_put)(lh_ctx *c, const char *key, double value);
    lh_status (*state_put_int)(lh_ctx *c, const char *key, int64_t value);
    lh_status (*state_put_text)(lh_ctx *c, const char *key, const char *text);
    lh_status (*state_put_tensor)(lh_ctx *c, const char *key, const lh_tensor *t);
    lh_status (*state_get)(lh_ctx *c, const char *key, double *out);
    lh_status (*state_get_int)(lh_ctx *c, const char *key, int64_t *out);
    lh_status (*state_get_text)(lh_ctx *c, const char *key, const char **out); /* until return */
    lh_tensor *(*state_get_tensor)(lh_ctx *c, const char *key); /* NULL when absent */

    /* Gradient of a scalar to a tensor that required one when it was used, as a tensor; with
     * create_graph it can be part of a loss. Adds to no parameter's gradient. */
    lh_tensor *(*grad_of)(lh_ctx *c, lh_tensor *loss, lh_tensor *x, int32_t create_graph);

    /* Weights of a safetensors file, a checkpoint or any other's, by name: of the file's tensors
     * those whose name begins with `from` (NULL, "": all) become the parameters and buffers whose
     * name begins with `to` instead. strict: both sides have to match completely. Shapes have to be
     * equal; dtypes are converted. How many were loaded, or a negative status. In configure_model
     * and later, also before fit. */
    int64_t (*load_weights)(lh_ctx *c, const char *path, const char *from, const char *to,
                            int32_t strict);

    /* Truncated back-propagation through time. tbptt, in setup or configure_model: every training
     * batch is cut along axis 1 of its fields of two axes or more into pieces of that many steps
     * (or by the module's tbptt_split_batch), each with an optimizer step. hidden: what the step of
     * the piece before kept under that name with `output`, without history; NULL in the first. */
    lh_status (*tbptt)(lh_ctx *c, int64_t steps);
    lh_tensor *(*hidden)(lh_ctx *c, const char *name);

    /* Meters: metrics that accumulate over batches. Made in setup or configure_model; live with
     * the run; saved in checkpoints. `target` NULL: a meter of one operand. compute: a tensor.
     * log_meter: logs the value over the epoch, computed and reset at its end. */
    lh_meter *(*meter)(lh_ctx *c, const lh_meter_options *o);
    lh_status (*meter_update)(lh_ctx *c, lh_meter *m, lh_tensor *scores, lh_tensor *target);
    lh_tensor *(*meter_compute)(lh_ctx *c, lh_meter *m);
    lh_status (*meter_reset)(lh_ctx *c, lh_meter *m);
    lh_status (*log_meter)(lh_ctx *c, const char *name, lh_meter *m, uint32_t flags);

    /* Features beyond the core, by an id that never changes ("lhost.name/1"); NULL: not here. */
    const void *(*get_extension)(lh_ctx *c, const char *id);
    /* 1.0 ends here. */
};

/* 1 if this host has function `fn`: for calls newer than the minor that a plugin targets. */
#define LH_HAS(c, fn) \
    (offsetof(lh_host, fn) + sizeof((c)->host->fn) <= (c)->host->struct_size && (c)->host->fn)

LH_EXTERN_C_END
#endif
