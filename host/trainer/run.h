/* run.h - the state of a run, shared by the files of this room and by nobody else.
 *
 * Invariant: everything that decides what the next step computes is in `progress`, the parameters,
 * the optimizers and schedulers, the metrics under way and the plugins' own state; checkpoint.c
 * saves exactly these.
 */
#ifndef LH_TRAINER_RUN_H
#define LH_TRAINER_RUN_H

#include "checkpoint/state.h"
#include "checkpoint/writer.h"
#include "data/loader.h"
#include "engine/engine.h"
#include "engine/scheduler.h"
#include "trainer/instance.h"
#include "trainer/looks.h"
#include "trainer/metrics.h"
#include "trainer/outputs.h"
#include "trainer/precision.h"
#include "trainer/tbptt.h"
#include "trainer/trainer.h"

#include <stdatomic.h>

/* Counters of a loop (Lightning's progress): `total` over the run, `current` within the epoch. */
typedef struct lh__count {
    int64_t ready, started, processed, completed;
} lh__count;
typedef struct lh__counts {
    lh__count total, current;
} lh__counts;

/* Where in the loop a checkpoint was taken: what is left to do for the batch or epoch. */
enum {
    LH__AT_BATCH = 0,          /* the next batch is to be trained */
    LH__AT_BATCH_END = 1,      /* its hooks up to on_train_batch_end have run */
    LH__AT_VALIDATION = 2,     /* the validation due after it is to run */
    LH__AT_VALIDATION_END = 3, /* that validation is over */
    LH__AT_EPOCH_END = 4       /* the epoch's hooks up to on_train_epoch_end have run */
};

typedef struct lh__fit_progress {
    lh__counts epoch, batch, val_batch;
    lh__counts optimizer_step, zero_grad; /* ready and completed are used */
    int64_t batches_that_stepped;
    int64_t val_runs; /* validation runs so far, sanity check excluded */
    int64_t position; /* LH__AT_... */
    int64_t is_last_batch;
} lh__fit_progress;

/* One of a stage's loaders, and where it stands. */
typedef struct lh__source {
    lh__loader *loader;
    int64_t batches; /* per epoch, after limits */
    int64_t cycle;   /* times it began again within the epoch (training, shorter loaders) */
} lh__source;

enum { LH__MAX_LOADERS = 16 };
typedef struct lh__sources {
    lh__source source[LH__MAX_LOADERS];
    int32_t n;
    int32_t is_requested;
    int64_t batches; /* per epoch: the longest in training, the sum in evaluation */
} lh__sources;

/* A batch as plugins see it. */
struct lh_batch {
    int64_t size;
    int32_t n_fields, n_held;
    lh_tensor *fields[LH__MAX_FIELDS];
    lh__batch *held[LH__MAX_LOADERS];
    lh__loader *from[LH__MAX_LOADERS];
};

/* The closure of one training batch: step, zero_grad, backward; run once. */
typedef struct lh__closure {
    lh_batch *batch;
    int64_t batch_idx;
    int32_t is_done;
    lh_tensor *loss; /* NULL: skipped */
} lh__closure;

typedef struct lh__logwriter lh__logwriter;
typedef struct lh__signals lh__signals;

typedef struct lh__trainer {
    const lh__config *config;
    const lh__options *options;
    const lh__observer *obs;
    lh__breadcrumb *crumb;
    lh_host host;      /* the table that plugins get */
    lh__error failure; /* what ends the run: the first one */
    const lh__export *exports;
    int32_t stage; /* LH_FIT ... */
    int32_t phase; /* LH__TRAINING ... of observer.h: the loop under way */

    lh__cast_list cast; /* module, data module, callbacks, loggers; hook lists */
    lh__engine *engine;
    lh__datasets *datasets;
    lh__sources sources[4]; /* LH_TRAIN_LOADERS ... */
    int32_t requesting;     /* whose *_dataloader hook is running; -1: none */
    lh__metrics *metrics;
    lh__meters meters;
    lh__looks looks;
    lh__outputs *outputs;                      /* of the step under way */
    lh__outputs *epoch_outputs, *eval_outputs; /* kept for *_epoch_end, where defined */
    lh__closure closure;
    lh__tbptt tbptt;
    lh__scaler scaler;     /* of the loss */
    const lh_batch *batch; /* under way; NULL between batches */

    lh__fit_progress progress;
    int64_t batch_idx;
    int32_t dataloader_idx, optimizer_idx;
    int32_t has_warned_skip, has_said_minimum, has_said_barebones; /* notices that are given once */
    int32_t names_end; /* no hook sees a training step's tensors after it has returned */
    int32_t has_begun; /* a batch was taken, sanity check apart: failures are those of running */
    int32_t should_stop;
    char stop_reason[256];
    int64_t val_check_batch; /* validation every so many batches; 0: by the clock */
    double last_val_time, start_time;
    double data_seconds, first_step_seconds; /* since the start; 0: not reached */
    int32_t is_resumed;                      /* training goes on from a checkpoint */

    char *log_dir;   /* NULL: none */
    char *ckpt_path; /* resolved; NULL: none */
    const lh__outcome *previous;
    char *best_path;
    double best_score;
    lh__state *loaded; /* the checkpoint being restored */
    lh__writer *writer;
    lh__logwriter *logwriter;
    lh__profile *profile; /* NULL: off */
    lh__lane *lane;       /* of the training thread; NULL: off */
    lh__signals *signals;
    atomic_int signal;           /* SIGINT or SIGTERM, once received */
    char *predictions;           /* the file that predict wrote; NULL: none */
    char exception[1100];        /* text for on_exception; empty: nothing happened */
    _Atomic(void *) allocations; /* of lh_alloc, a list; any thread adds */
} lh__trainer;

/* Fails the run; the first failure sticks. Returns `code`. */
#define lh__run_fail(t, code, ...) lh__fail(&(t)->failure, (code), __VA_ARGS__)

/* The code of the failure on record: the run's, or that of the plugin whose hook is running. Never
 * LH_OK. */
lh_status lh__failed(const lh__trainer *t);

/* A line for the person, at LH_INFO ... */
void lh__say(const lh__trainer *t, int32_t level, const char *fmt, ...) LH_PRINTF(3, 4);

/* Seconds of a clock that never goes back. */
double lh__now(void);

int64_t lh__global_step(const lh__trainer *t);
int64_t lh__current_epoch(const lh__trainer *t);

/* fit.c, schedule.c, evaluation.c. Each returns LH_OK, or a failure that is on record. */
lh_status lh__fit_loop(lh__trainer *t);
lh_status lh__evaluation_loop(lh__trainer *t, int32_t phase);
int32_t lh__can_validate(lh__trainer *t); /* there is a validation_step, a loader, and no limit 0 */
int32_t lh__validation_is_due(const lh__trainer *t);
lh_status lh__validation_plan(lh__trainer *t); /* checks val_check_interval against the data */
int32_t lh__fit_is_done(const lh__trainer *t);
int32_t lh__epoch_is_done(lh__trainer *t);
int32_t lh__may_stop(const lh__trainer *t); /* min_epochs and min_steps are met */
int32_t lh__should_log(const lh__trainer *t);
lh_status lh__interrupted(lh__trainer *t); /* LH_OK, or LH_EINTR once a signal came */
void lh__log_values(lh__trainer *t, const lh_scalar *values, int32_t n, int64_t step);

/* optimization.c */
lh_status lh__training_batch(lh__trainer *t, lh_batch *batch, int64_t batch_idx);
lh_status lh__run_closure(lh__trainer *t);
lh_status lh__step_optimizer(lh__trainer *t,
                             lh_optimizer *opt); /* closure, hooks, clipping, update */
lh_status lh__clip(lh__trainer *t, lh_optimizer *opt, double value, int32_t by_value);
lh_status lh__step_schedulers(lh__trainer *t, int32_t interval, int32_t plateau, int64_t count);
int32_t lh__is_stepping_batch(const lh__trainer *t);

/* After a step's hook: unless `may_name`, its tensors are named by nobody any more but for its
 * outputs and the batch. computed: they have run, and what was logged is taken. */
void lh__step_named(lh__trainer *t, const lh_batch *batch, int32_t may_name);
lh_status lh__step_computed(lh__trainer *t, const lh_batch *batch);

/* sources.c: the loaders of a stage, and batches from them. */
lh_status lh__sources_request(lh__trainer *t, int32_t which);
void lh__sources_free(lh__trainer *t, int32_t which);
lh_status lh__train_begin(lh__trainer *t, int64_t epoch, int64_t first);
lh_status lh__train_next(lh__trainer *t, lh_batch *out);
lh_status lh__eval_begin(lh__trainer *t, lh__source *s, uint64_t epoch, int64_t limit);
lh_status lh__eval_next(lh__trainer *t, lh__source *s, lh_batch *out); /* LH_SKIP: at its end */
void lh__batch_done(lh_batch *batch);
lh_status lh__transfer(lh__trainer *t, lh_batch *batch, int64_t loader_idx);
lh_status lh__add_loader(lh__trainer *t, const lh_loader_options *o, lh__error *err);

/* checkpoint.c and resume.c. */
lh_status lh__checkpoint_save(lh__trainer *t, const char *path, int32_t weights_only);
lh_status lh__checkpoint_open(lh__trainer *t, const char *ckpt_path);
lh_status lh__restore_model(lh__trainer *t);
lh_status lh__restore_training(lh__trainer *t);
lh_status lh__restore_counters(lh__trainer *t); /* epoch and step, for evaluation */
char *lh__checkpoint_path(const lh__trainer *t, const char *path); /* below the run's folder */

/* predictions.c: what predict_step returned, batches put together, as a file in the run's folder.
 */
lh_status lh__predictions_write(lh__trainer *t);

/* export.c: in place of a stage. The stage that setup is told is that whose data are used. */
int32_t lh__export_stage(const lh__cast *cast);
lh_status lh__export_run(lh__trainer *t);

/* profiling.c: the profile begins; it ends, and is shown and written into the run's folder. */
lh_status lh__profiling_start(lh__trainer *t);
void lh__profiling_end(lh__trainer *t);

/* rundir.c */
lh_status lh__rundir_make(lh__trainer *t);
lh_status lh__rundir_begin(lh__trainer *t); /* once the cast is known */
json_t *lh__result_json(const lh__trainer *t, const char *status);
void lh__result_write(const lh__trainer *t, json_t *result);

/* signals.c: a thread that turns SIGINT and SIGTERM into t->signal; a second one ends the process.
 */
lh__signals *lh__signals_start(lh__trainer *t);
void lh__signals_stop(lh__signals *s);

/* host_run.c: frees what lh_alloc gave. */
void lh__allocations_free(void *list);

/* report.c */
void lh__show_progress(lh__trainer *t, int64_t batch, int64_t n_batches);
void lh__show_summary(lh__trainer *t);

#endif
