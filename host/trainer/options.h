/* options.h - the trainer's options: what there is to set, its default, its range, its effect.
 *
 * Names and defaults are those of Lightning's Trainer. One table (lh__option_rows) is the only
 * place that knows an option: parsing, defaults, validation, help and the configuration dump read
 * it. Invariant: after lh__options_finish every field is final, in range and free of "null": the
 * trainer reads plain numbers.
 */
#ifndef LH_TRAINER_OPTIONS_H
#define LH_TRAINER_OPTIONS_H

#include "engine/error.h"
#include "trainer/observer.h"

#include <jansson.h>

/* How much of an epoch: the integer 1 is one batch, the real 1.0 is all of them. */
enum { LH__BATCHES, LH__FRACTION, LH__SECONDS };
typedef struct lh__amount {
    double value;
    int32_t
        unit; /* LH__BATCHES: a whole number; LH__FRACTION: 0 to 1; LH__SECONDS: intervals only */
} lh__amount;

typedef struct lh__options {
    /* Where it runs. Texts are owned by the options. */
    char *accelerator;                   /* "cpu" or "ref" */
    char *strategy;                      /* "auto" */
    char *precision;                     /* "32-true", "64-true", "bf16-mixed" or "16-mixed" */
    int32_t dtype;                       /* LH_F32 or LH_F64: of parameters and results */
    char *float32_matmul_precision;      /* "highest" or "high" */
    char *devices;                       /* "auto" or "1" */
    int64_t num_nodes;                   /* 1 */
    int32_t pin_threads, flush_denormal; /* of compute threads; the engine's */
    char *deterministic;                 /* accepted for Lightning's sake: results always are */

    /* How long. -1: no limit. */
    int64_t max_epochs, min_epochs, max_steps, min_steps; /* min_*: 0 when not given */
    double max_time;                                      /* seconds; 0: no limit */
    int64_t fast_dev_run;                                 /* batches per loop; 0: off */

    /* How much of the data. */
    lh__amount limit_train_batches, limit_val_batches, limit_test_batches, limit_predict_batches;
    lh__amount overfit_batches;                /* value 0: off */
    int64_t reload_dataloaders_every_n_epochs; /* 0: never */

    /* Validation. */
    lh__amount val_check_interval;   /* fraction of an epoch, batches, or seconds */
    int64_t check_val_every_n_epoch; /* 0 (null): count training batches across epochs */
    int64_t num_sanity_val_steps;    /* -1: all; 0: off */

    /* Optimization. */
    int64_t accumulate_grad_batches;
    double gradient_clip_val;      /* 0: no clipping */
    char *gradient_clip_algorithm; /* "norm" or "value" */
    int32_t detect_anomaly;
    int32_t plan, explain_plan;

    /* What is shown and kept. */
    int64_t log_every_n_steps; /* 0: step metrics never reach the loggers */
    int32_t logger;            /* 0: no loggers at all */
    int32_t enable_checkpointing, enable_progress_bar, enable_model_summary;
    int32_t barebones;
    char *profiler;         /* "none", "simple" or "trace" */
    char *default_root_dir; /* "." when not given */

    uint64_t given;    /* bit i: row i was set by the user */
    uint64_t non_null; /* bit i: row i has a value other than null */
} lh__options;

/* Types of options, what they accept and the C type of their field. */
enum {
    LH__OPTION_FLAG,     /* true, false; int32_t */
    LH__OPTION_INT,      /* int64_t */
    LH__OPTION_REAL,     /* double */
    LH__OPTION_TEXT,     /* char * */
    LH__OPTION_COUNT,    /* an integer, or true for 1; int64_t */
    LH__OPTION_TIME,     /* "DD:HH:MM:SS" or seconds; double */
    LH__OPTION_AMOUNT,   /* batches or a fraction; lh__amount */
    LH__OPTION_INTERVAL, /* an amount or "DD:HH:MM:SS"; lh__amount */
};

typedef struct lh__option_row {
    const char *name;
    int32_t type;
    uint32_t offset;     /* into lh__options */
    const char *json;    /* the default as shown, JSON; "null": the meaning follows from `unset` */
    const char *unset;   /* what null means, JSON; NULL: null is not a value of this option */
    double min, max;     /* inclusive; both 0: unbounded */
    const char *choices; /* "a|b"; NULL: any */
    const char *planned; /* known, but not available yet: "c|d"; "+": any larger number */
    const char *help;    /* one line */
} lh__option_row;

/* Older names, and names without effect here. */
enum {
    LH__ALIAS_RENAMED,
    LH__ALIAS_FRACTION, /* a number that is a fraction even if written as the integer 1 */
    LH__ALIAS_NUMBER,   /* true and false for 1 and 0 */
    LH__ALIAS_NOT_NULL, /* a flag: anything but null, false and "" */
    LH__ALIAS_NOT_ZERO, /* a flag: anything but 0 and null */
    LH__ALIAS_CALLBACK, /* adds the callback `notice`; a text is its dirpath */
    LH__ALIAS_IGNORED,  /* any value: no effect */
    LH__ALIAS_OFF_ONLY  /* null, false, 0, -1: no effect; others are refused */
};
typedef struct lh__option_alias {
    const char *name;
    const char *now;    /* today's option, of the trainer or (ckpt_path, callbacks) beside it */
    const char *notice; /* what to know or do about it, one line */
    int32_t rule;       /* LH__ALIAS_...: how the value translates */
} lh__option_alias;

extern const lh__option_row lh__option_rows[];
extern const int32_t lh__n_option_rows;
extern const lh__option_alias lh__option_aliases[];
extern const int32_t lh__n_option_aliases;

/* NULL if there is none. */
const lh__option_row *lh__option_find(const char *name);
const lh__option_alias *lh__option_alias_find(const char *name);

/* Fills in the defaults. Release with lh__options_free, also after a failure. */
lh_status lh__options_init(lh__options *o, lh__error *e);
void lh__options_free(lh__options *o);

/* Checks `value` against the row and writes it at `base` + row->offset. `section` ("trainer.") and
 * `origin` only appear in the message. Also serves the host's settings outside the trainer. */
lh_status lh__option_store(void *base, const lh__option_row *row, const json_t *value,
                           const char *section, const char *origin, lh__error *e);

/* "an integer from 1", for messages and help. */
const char *lh__option_expects(const lh__option_row *row, char *buf, size_t size);

/* Sets one option by its present name. `origin` ("run.yaml:3:5") is named in the message of
 * LH_EINVAL (ill-typed, out of range) or LH_EUNSUPPORTED (not available yet). */
lh_status lh__options_set(lh__options *o, const lh__option_row *row, const json_t *value,
                          const char *origin, lh__error *e);

/* Translates `value` of an older option. On LH_OK *name is the present name, or NULL if the option
 * has no effect, and *out is a new reference (NULL with *name NULL). */
lh_status lh__option_translate(const lh__option_alias *alias, const json_t *value,
                               const char *origin, const char **name, json_t **out, lh__error *e);

/* Where nothing limits a run; fit then says so. */
enum { LH__DEFAULT_EPOCHS = 1000 };

/* Checks options against each other, resolves null and "auto", applies fast_dev_run and
 * barebones. Warnings go to obs->message; obs may be NULL. Call once, last. */
lh_status lh__options_finish(lh__options *o, const lh__observer *obs, lh__error *e);

/* 1 if the user set it. */
int lh__options_given(const lh__options *o, const char *name);

/* "DD:HH:MM:SS" or "HH:MM:SS" -> seconds; -1 if it is neither. */
double lh__parse_duration(const char *text);

#endif
