/* trainer.h - the door to the trainer: one run of one stage of one module.
 *
 * Invariant: whatever happens, every plugin whose setup was called gets its teardown, loggers are
 * finalized, queued checkpoints are written or reported, and the run's result.json says how it
 * ended.
 */
#ifndef LH_TRAINER_TRAINER_H
#define LH_TRAINER_TRAINER_H

#include "config/config.h"
#include "plugin/plugin.h"
#include "trainer/observer.h"

/* Where the trainer is, for whoever has to explain a process that is gone. Lives in memory shared
 * with the supervisor; written with plain stores, read after the process ended. */
enum { LH__MAX_CAST = 64 };
typedef struct lh__breadcrumb {
    int32_t is_done; /* the process ended on its own terms */
    int32_t plugin;  /* whose code is running: an index of `names`; -1: the host's */
    int32_t hook;    /* lh__hook */
    int32_t reserved;
    int64_t epoch, step;
    char names[LH__MAX_CAST][40];
    char log_dir[1024];          /* empty: none */
    char best[1024], last[1024]; /* checkpoints that are on disk; empty: none */
} lh__breadcrumb;

/* In place of a stage: forward as a graph, in a file that an exporter plugin writes. */
typedef struct lh__export {
    const char *exporter; /* name or path of the plugin */
    const char *path;
    int32_t dtype; /* of the zeros; 0: the run's */
    int32_t ndim;  /* of the zeros that forward gets; -1: a batch of the module's data instead */
    int64_t shape[LH_MAX_DIMS];
} lh__export;

/* What a run is made of. Plugins are loaded and stay the caller's. */
typedef struct lh__cast {
    const lh__plugin *module, *datamodule; /* datamodule may be NULL */
    const lh__choice *module_choice, *datamodule_choice;
    const lh__export *exports; /* NULL: run the stage */
} lh__cast;

/* How a run ended. Release with lh__outcome_free. */
typedef struct lh__outcome {
    int32_t exit_code; /* 0, 1, 2, 130, 143 */
    lh__error error;   /* what ended it, if something did */
    json_t *result;    /* the content of result.json */
    char *best, *last; /* checkpoints; NULL: none */
    char *log_dir;     /* NULL: none was made */
} lh__outcome;

/* Runs `stage` (LH_FIT ... LH_PREDICT), or what cast->exports asks for. `ckpt_path` is a file,
 * "best", "last" or NULL; best and last are looked for in `previous` (may be NULL), then in the
 * newest runs below default_root_dir. `crumb` is never NULL. */
void lh__trainer_run(const lh__config *config, const lh__cast *cast, int32_t stage,
                     const char *ckpt_path, const lh__outcome *previous, const lh__observer *obs,
                     lh__breadcrumb *crumb, lh__outcome *out);
void lh__outcome_free(lh__outcome *out);

/* Appends a line to the run's log.txt. [any] */
void lh__record_message(const char *log_dir, int32_t level, const char *text);

/* Completes result.json and log.txt of a run whose process died; `status` is "failed" or
 * "interrupted". */
void lh__record_death(const lh__breadcrumb *crumb, const char *status, const char *error);

#endif
