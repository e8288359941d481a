/* types.h - the scalar types, constants and small structs of the lhost plugin ABI.
 *
 * Invariants: every struct that crosses the ABI begins with struct_size, holds fixed-width
 * integers, doubles and pointers only, and has no padding, so that its size alone tells which
 * fields exist. Numbers of an enumeration are never reused or changed; new ones are appended.
 */
#ifndef LHOST_TYPES_H
#define LHOST_TYPES_H

#include <stddef.h>
#include <stdint.h>

#define LH_ABI_MAJOR 1
#define LH_ABI_MINOR 0

/* The oldest host that the plugin being compiled wants to run on: 1.LH_TARGET_MINOR. Newer calls
 * and hooks are hidden from a plugin that targets an older minor. */
#ifndef LH_TARGET_MINOR
#define LH_TARGET_MINOR LH_ABI_MINOR
#endif

#ifdef __cplusplus
#define LH_STATIC_ASSERT(cond, text) static_assert(cond, text)
#define LH_EXTERN_C_BEGIN extern "C" {
#define LH_EXTERN_C_END }
#else
#define LH_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define LH_EXTERN_C_BEGIN
#define LH_EXTERN_C_END
#endif

#if defined(__GNUC__)
#define LH_EXPORT __attribute__((visibility("default")))
#define LH_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#else
#define LH_EXPORT
#define LH_PRINTF(fmt, args)
#endif

/* An author's option is written over its default in the same initialiser; that is meant. */
#ifndef __cplusplus
#if defined(__clang__)
#pragma clang diagnostic ignored "-Winitializer-overrides"
#elif defined(__GNUC__)
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
#endif

/* First member of every sized struct literal. */
#define LH_SIZED(type) .struct_size = (uint32_t)sizeof(type)

LH_EXTERN_C_BEGIN

/* What hooks and host functions return: LH_OK, or a negative code (the first one sticks to the
 * context, see lh_fail), or LH_SKIP from on_train_batch_start: skip the rest of the epoch. */
typedef int32_t lh_status;
enum {
    LH_OK = 0,
    LH_SKIP = 1,
    LH_EINVAL = -1,       /* an argument, option or value that cannot be meant */
    LH_ENOMEM = -2,       /* out of memory */
    LH_EIO = -3,          /* the operating system refused to read or write */
    LH_EUNSUPPORTED = -4, /* known, but not on this host, device or dtype */
    LH_ENOTFOUND = -5,    /* no such file, name or metric */
    LH_ESHAPE = -6,       /* shapes that do not fit together */
    LH_EDTYPE = -7,       /* dtypes that do not fit together */
    LH_ENAN = -8,         /* a value that is not finite where it has to be */
    LH_ESTATE = -9,       /* called at a time when it may not be */
    LH_ECORRUPT = -10,    /* a file whose content contradicts itself */
    LH_EPLUGIN = -11,     /* a plugin that the host cannot load or that broke its contract */
    LH_EINTR = -12        /* stopped on request (signal) */
};

/* Element types. BOOL is one byte, 0 or 1. */
enum {
    LH_F32 = 1,
    LH_F64 = 2,
    LH_I64 = 3,
    LH_U8 = 4,
    LH_BOOL = 5,
    LH_BF16 = 6, /* computed with after a cast; parameters are F32 or F64 */
    LH_F16 = 7,
    LH_I32 = 8
};

enum { LH_MAX_DIMS = 8 };

/* What the trainer is asked to do; the `stage` of setup and teardown. */
enum { LH_FIT = 0, LH_VALIDATE = 1, LH_TEST = 2, LH_PREDICT = 3 };

/* Which loaders a dataloader hook supplies. */
enum { LH_TRAIN_LOADERS = 0, LH_VAL_LOADERS = 1, LH_TEST_LOADERS = 2, LH_PREDICT_LOADERS = 3 };

/* Severity of lh_print. */
enum { LH_DEBUG = 0, LH_INFO = 1, LH_WARNING = 2, LH_ERROR = 3 };

/* Flags of lh_log. What is neither asked for nor switched off is as the hook's default: step in
 * training hooks that run per batch, epoch elsewhere. Both: NAME_step and NAME_epoch. */
enum {
    LH_LOG_STEP = 1,           /* Lightning's on_step=True */
    LH_LOG_EPOCH = 2,          /* on_epoch=True */
    LH_LOG_BAR = 4,            /* prog_bar=True */
    LH_LOG_NO_LOGGER = 8,      /* logger=False: keep it from the loggers */
    LH_LOG_NO_DATALOADER = 16, /* add_dataloader_idx=False */
    LH_LOG_SYNC = 32,          /* sync_dist=True [all-ranks] */
    LH_LOG_RANK_ZERO = 64,     /* rank_zero_only=True */
    LH_LOG_STEP_OFF = 128,     /* on_step=False where the hook's default is on */
    LH_LOG_EPOCH_OFF = 256     /* on_epoch=False where the hook's default is on */
};

/* How an epoch value is reduced over its batches. MEAN is weighted by the batch size. */
enum { LH_MEAN = 0, LH_SUM = 1, LH_MIN = 2, LH_MAX = 3 };

/* Optimizers (lh_sgd, lh_adam, ...) and schedulers (lh_step_lr, ...). */
enum { LH_SGD = 1, LH_ADAM = 2, LH_ADAMW = 3, LH_RMSPROP = 4, LH_ADAGRAD = 5 };
enum {
    LH_STEP_LR = 1,
    LH_MULTISTEP_LR = 2,
    LH_EXPONENTIAL_LR = 3,
    LH_COSINE_LR = 4,
    LH_LINEAR_LR = 5,
    LH_ONECYCLE_LR = 6,
    LH_LAMBDA_LR = 7,
    LH_PLATEAU_LR = 8
};
enum { LH_PER_EPOCH = 0, LH_PER_STEP = 1 };
enum { LH_MODE_MIN = 0, LH_MODE_MAX = 1 };

/* Parameter initialisers, with PyTorch's definitions (torch.nn.init). */
enum {
    LH_INIT_CONSTANT = 0,        /* a */
    LH_INIT_UNIFORM = 1,         /* U(a, b) */
    LH_INIT_NORMAL = 2,          /* N(a, b^2) */
    LH_INIT_TRUNC_NORMAL = 3,    /* N(a, b^2) cut to [lo, hi] */
    LH_INIT_XAVIER_UNIFORM = 4,  /* gain a */
    LH_INIT_XAVIER_NORMAL = 5,   /* gain a */
    LH_INIT_KAIMING_UNIFORM = 6, /* negative slope a, mode, nonlinearity */
    LH_INIT_KAIMING_NORMAL = 7,  /* negative slope a, mode, nonlinearity */
    LH_INIT_ORTHOGONAL = 8,      /* gain a */
    LH_INIT_EYE = 9,
    LH_INIT_FAN_UNIFORM = 10 /* U(-1/sqrt(a), 1/sqrt(a)), a the fan-in: torch.nn's layers */
};
enum { LH_FAN_IN = 0, LH_FAN_OUT = 1 };
enum { LH_LEAKY_RELU_GAIN = 0, LH_RELU_GAIN = 1, LH_TANH_GAIN = 2, LH_LINEAR_GAIN = 3 };

/* Integer properties of the trainer (lh_int). */
enum {
    LH_CURRENT_EPOCH = 1,   /* completed epochs; the running one inside on_train_epoch_end */
    LH_GLOBAL_STEP = 2,     /* optimizer steps so far */
    LH_BATCH_IDX = 3,       /* within the epoch or evaluation run */
    LH_DATALOADER_IDX = 4,  /* of the evaluation batch under way */
    LH_STAGE = 5,           /* LH_FIT ... LH_PREDICT */
    LH_TRAINING = 6,        /* 1 in training mode, 0 in evaluation mode */
    LH_SANITY_CHECKING = 7, /* 1 during the sanity check */
    LH_GLOBAL_RANK = 8,
    LH_LOCAL_RANK = 9,
    LH_WORLD_SIZE = 10,
    LH_MAX_EPOCHS = 11,
    LH_MAX_STEPS = 12,
    LH_NUM_TRAINING_BATCHES = 13, /* per epoch, after limits */
    LH_ESTIMATED_STEPPING_BATCHES = 14,
    LH_ACCUMULATE_GRAD_BATCHES = 15,
    LH_SHOULD_STOP = 16,
    LH_FAST_DEV_RUN = 17,
    LH_SEED = 18,
    LH_NUM_THREADS = 19,
    LH_NUM_VAL_BATCHES = 20, /* over all validation loaders, after limits */
    LH_LOG_EVERY_N_STEPS = 21,
    LH_VAL_CHECK_INTERVAL_IS_EPOCH = 22, /* 1: validation runs once at the end of every epoch */
    LH_NUM_OPTIMIZERS = 23,
    LH_NUM_SCHEDULERS = 24,
    LH_ENABLE_VALIDATION = 25,
    LH_LAST_BATCH = 26, /* 1 while the last batch of the training epoch is under way */
    LH_SHOULD_LOG = 27, /* 1 if this step's metrics go to the loggers */
    LH_NUM_LOGGERS = 28,
    LH_OPTIMIZER_IDX = 29 /* automatic optimization: whose step it is, with several optimizers */
};

/* Text properties (lh_text). Empty string when there is none. Valid until the run ends. */
enum {
    LH_LOG_DIR = 1, /* the run's folder */
    LH_DEFAULT_ROOT_DIR = 2,
    LH_DATA_ROOT = 3,
    LH_CKPT_PATH = 4, /* the checkpoint that the run started from */
    LH_DEVICE = 5,
    LH_PRECISION = 6,
    LH_STOP_REASON = 7,
    LH_EXCEPTION = 8 /* in on_exception: what happened */
};

/* Opaque, host-owned objects. A plugin never frees one. */
typedef struct lh_tensor lh_tensor;   /* lives until the step ends; parameters, with the model */
typedef struct lh_batch lh_batch;     /* lives until the batch is done */
typedef struct lh_outputs lh_outputs; /* what steps produced; lives until the hook returns */
typedef struct lh_optimizer lh_optimizer; /* lives with the run */
typedef struct lh_dataset lh_dataset;     /* lives with the run */
typedef struct lh_meter lh_meter;         /* lives with the run */
typedef struct lh_host lh_host;

/* The handle a plugin gets in every hook. `host` is the only field that it may read. One context
 * belongs to one plugin instance on one thread; never store it beyond the hook. */
typedef struct lh_ctx {
    const lh_host *host;
} lh_ctx;

/* One declared hyper-parameter: `lhost inspect` shows it, --model.NAME sets it, checkpoints
 * keep it. */
enum { LH_REAL = 1, LH_INT = 2, LH_FLAG = 3, LH_TEXT = 4 };
typedef struct lh_hparam_spec {
    uint32_t struct_size;
    uint32_t type;            /* LH_REAL, LH_INT, LH_FLAG, LH_TEXT */
    const char *name;         /* [a-z0-9_]+ */
    const char *help;         /* one line */
    const char *text_default; /* for LH_TEXT; NULL means "" */
    double number_default;    /* for the others */
    double min, max;          /* inclusive; both 0: unbounded */
} lh_hparam_spec;

typedef struct lh_tensor_info {
    uint32_t struct_size;
    int32_t dtype, ndim, requires_grad;
    int64_t numel;
    int64_t shape[LH_MAX_DIMS];
} lh_tensor_info;

/* One operator call. `file`, `line`: the author's, for messages. */
typedef struct lh_op_call {
    uint32_t struct_size;
    uint32_t op; /* LH_OP_... of ops.h */
    int32_t n_inputs, n_ints, n_reals, line;
    const char *file;
    lh_tensor *const *inputs;
    const int64_t *ints;
    const double *reals;
} lh_op_call;

typedef struct lh_init {
    uint32_t struct_size;
    uint32_t kind;         /* LH_INIT_... */
    uint32_t mode;         /* LH_FAN_IN or LH_FAN_OUT */
    uint32_t nonlinearity; /* LH_..._GAIN */
    double a, b;
    double lo, hi; /* bounds of LH_INIT_TRUNC_NORMAL; both 0: -2 and 2 */
} lh_init;

typedef struct lh_optimizer_options {
    uint32_t struct_size;
    uint32_t kind;      /* LH_SGD ... */
    const char *params; /* glob over parameter names, e.g. "encoder.*"; NULL: all */
    double lr, weight_decay, momentum, dampening;
    double beta1, beta2, eps;
    double alpha;                         /* RMSprop's smoothing constant */
    double lr_decay, initial_accumulator; /* Adagrad */
    int32_t nesterov, amsgrad, centered, maximize;
    int32_t frequency; /* steps in a row when several optimizers alternate; 0: every batch */
    int32_t reserved;
} lh_optimizer_options;

/* Factor by which a lambda schedule multiplies the initial learning rate. [trainer] */
typedef double lh_lr_lambda(void *user, int64_t epoch_or_step);

typedef struct lh_scheduler_options {
    uint32_t struct_size;
    uint32_t kind;             /* LH_STEP_LR ... */
    uint32_t interval;         /* LH_PER_EPOCH or LH_PER_STEP */
    int32_t frequency;         /* every so many epochs or optimizer steps; 0 means 1 */
    const char *monitor;       /* metric of LH_PLATEAU_LR */
    const char *name;          /* for lr-monitor; NULL: made from the optimizer's class */
    int64_t step_size;         /* STEP */
    int64_t total;             /* COSINE: T_max; LINEAR: total_iters; ONECYCLE: total_steps */
    const int64_t *milestones; /* MULTISTEP, ascending; read during the call */
    int64_t n_milestones;
    double gamma;                                           /* STEP, MULTISTEP, EXPONENTIAL */
    double eta_min;                                         /* COSINE */
    double start_factor, end_factor;                        /* LINEAR */
    double max_lr, pct_start, div_factor, final_div_factor; /* ONECYCLE */
    double base_momentum, max_momentum;                     /* ONECYCLE */
    double factor, threshold, min_lr, eps;                  /* PLATEAU */
    int32_t patience, cooldown, mode, threshold_abs;        /* PLATEAU */
    int32_t anneal_linear, three_phase, cycle_momentum;     /* ONECYCLE */
    int32_t strict;       /* PLATEAU: 1: a missing metric is an error; 0: skip */
    int64_t warmup;       /* chained before any kind: so many linear warm-up steps, 0: none */
    double warmup_start;  /* factor the warm-up starts from */
    lh_lr_lambda *lambda; /* LAMBDA */
    void *user;
} lh_scheduler_options;

/* One field of a dataset's item, as collated: batches have shape (batch, shape...). */
typedef struct lh_field {
    uint32_t struct_size;
    int32_t dtype, ndim, reserved;
    int64_t shape[LH_MAX_DIMS];
} lh_field;

/* Writes item `index` to fields[i], contiguous, in the dtype and shape declared. Returns LH_OK or
 * a negative code. [fetch]: called concurrently by several threads; `user` must be read-only. */
typedef lh_status lh_get_item(void *user, int64_t index, void *const *fields);

typedef struct lh_dataset_desc {
    uint32_t struct_size;
    int32_t n_fields;
    const lh_field *fields; /* copied */
    int64_t length;
    lh_get_item *get_item;
    void *user; /* must outlive the run, e.g. from lh_alloc */
} lh_dataset_desc;

typedef struct lh_loader_options {
    uint32_t struct_size;
    int32_t shuffle, drop_last;
    int32_t num_workers; /* fetch threads; 0: on the training thread; -1: the host chooses */
    int32_t prefetch;    /* batches ahead; 0: two per worker */
    int32_t pin_memory;
    int64_t batch_size; /* 0: taken from --data.batch_size, else 1 */
    lh_dataset *dataset;
} lh_loader_options;

typedef struct lh_log_options {
    uint32_t struct_size;
    uint32_t flags;  /* LH_LOG_... */
    uint32_t reduce; /* LH_MEAN ... */
    uint32_t reserved;
    int64_t batch_size; /* weight; 0: the batch's own size */
} lh_log_options;

/* Meters, with the definitions of torchmetrics. */
enum {
    LH_METER_MEAN = 1,      /* of values */
    LH_METER_ACCURACY = 2,  /* classes; top_k, average */
    LH_METER_PRECISION = 3, /* classes; average */
    LH_METER_RECALL = 4,
    LH_METER_F1 = 5,
    LH_METER_AUROC = 6,     /* exact; keeps every score */
    LH_METER_CONFUSION = 7, /* (classes, classes): rows are targets */
    LH_METER_MSE = 8,
    LH_METER_MAE = 9,
    LH_METER_R2 = 10,
    LH_METER_PERPLEXITY = 11 /* logits (..., classes), targets (...) */
};
enum { LH_AVERAGE_MICRO = 0, LH_AVERAGE_MACRO = 1, LH_AVERAGE_WEIGHTED = 2, LH_AVERAGE_NONE = 3 };

typedef struct lh_meter_options {
    uint32_t struct_size;
    uint32_t kind;    /* LH_METER_... */
    int32_t classes;  /* of scores (n, classes); 1: scores (n) of the class 1 of two */
    int32_t top_k;    /* ACCURACY: 0 means 1 */
    uint32_t average; /* LH_AVERAGE_... */
    uint32_t reserved;
    int64_t ignore_index; /* of targets that don't count; negative, e.g. -100 */
    double threshold;     /* of class 1 with classes 1: 0 means 0.5 */
    const char *name;     /* unique in the plugin: its key in checkpoints */
} lh_meter_options;

typedef struct lh_scalar {
    const char *name;
    double value;
} lh_scalar;

/* A hyper-parameter's value as a logger gets it; `text` is its YAML scalar. */
typedef struct lh_setting {
    const char *name, *text;
} lh_setting;

LH_STATIC_ASSERT(sizeof(lh_ctx) == sizeof(void *), "lh_ctx holds one pointer");

LH_EXTERN_C_END
#endif
