/* model-checkpoint.c - saves checkpoints, keeps the best or the most recent: ModelCheckpoint.
 *
 *     --callback model-checkpoint:monitor=val_loss,save_top_k=3,save_last=true
 *
 * Invariants: what the callback knows (best, k-th best, last ...) is brought up to date before a
 * file is written, so that a checkpoint knows itself; a file is removed only after the one that
 * takes its place was queued, only from the folder of this callback, and never the one that the run
 * started from. The host writes behind, so which files exist is decided by the list kept here, and
 * by the disk only for names that are not in it.
 */
#include "checkpoint-name.h"
#include "kept.h"
#include "option.h"

#include <dirent.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

static const char extension[] = ".safetensors";

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_TEXT("dirpath", "", "folder of the checkpoints; nothing: checkpoints/ of the run"),
    LH_HPARAM_TEXT("filename", "",
                   "template such as {epoch}-{val_loss:.2f}; nothing: "
                   "{epoch}-{step}"),
    LH_HPARAM_TEXT("monitor", "", "metric that decides; nothing: keep the most recent"),
    LH_HPARAM_TEXT("mode", "min", "min or max: which value of the metric is best"),
    LH_HPARAM_FLAG("verbose", 0, "say what is saved and why"),
    LH_HPARAM_TEXT("save_last", "",
                   "true: also write last; link: make last a copy of what was "
                   "saved"),
    LH_HPARAM_INT("save_top_k", 1, -1, 1e9, "how many to keep; -1: all, 0: none"),
    LH_HPARAM_FLAG("save_weights_only", 0, "no optimizers, schedules and loops: cannot resume"),
    LH_HPARAM_FLAG("save_on_exception", 0, "also save when the run fails"),
    LH_HPARAM_INT("every_n_train_steps", -1, -1, 1e15, "optimizer steps between; -1: not so"),
    LH_HPARAM_INT("every_n_epochs", -1, -1, 1e15, "epochs between; -1: 1 if nothing else is set"),
    LH_HPARAM_REAL("train_time_interval", NAN, 0, 0, "seconds between; nothing: not so"),
    LH_HPARAM_TEXT("save_on_train_epoch_end", "",
                   "true: after the training epoch, false: after "
                   "validation; nothing: as validation runs"),
    LH_HPARAM_FLAG("enable_version_counter", 1, "-v1, -v2 ... instead of overwriting"),
    LH_HPARAM_FLAG("auto_insert_metric_name", 1, "{x} in filename becomes x=1"),
    LH_HPARAM_TEXT("prefix", "", "before every name"),
    LH_HPARAM_TEXT("join", "-", "between the parts of a name"),
    LH_HPARAM_TEXT("equals", "=", "between a metric and its value in a name"),
    LH_HPARAM_TEXT("last_name", "last", "template for save_last"),
};

enum { LAST_NONE, LAST_SAVE, LAST_LINK };

struct checkpoints {
    const char *monitor, *filename, *last_name; /* monitor NULL: none */
    struct name_style style;
    int32_t mode, save_last, on_train_epoch_end; /* the last: -1: not said */
    int32_t is_verbose, is_versioned, weights_only;
    int64_t top_k, every_steps, every_epochs; /* 0: not so */
    double interval;                          /* seconds; NaN: not so */
    char dirpath[PATH_MAX];

    struct kept kept;                                /* the files that count for top_k */
    const char *best, *kth_best, *last, *last_saved; /* paths; "": none */
    double best_score, kth_score, current_score;
    int64_t last_step; /* global_step of the last save */
    double last_time;
    int32_t is_deferred, has_validated, has_warned;
};

/* ---- setting up */

/* At most one of steps, epochs and time; epochs if none was given. */
static lh_status read_triggers(lh_ctx *c, struct checkpoints *m) {
    int64_t steps = lh_hparam_int(c, "every_n_train_steps");
    int64_t epochs = lh_hparam_int(c, "every_n_epochs");

    m->interval = lh_hparam(c, "train_time_interval");
    if (m->interval < 0)
        return lh_fail(c, LH_EINVAL, "train_time_interval is %g: give 0 or more", m->interval);
    if (steps < 0 && epochs < 0 && isnan(m->interval))
        epochs = 1;
    m->every_steps = steps > 0 ? steps : 0;
    m->every_epochs = epochs > 0 ? epochs : 0;
    if ((m->every_steps > 0) + (m->every_epochs > 0) + !isnan(m->interval) > 1)
        return lh_fail(c, LH_EINVAL,
                       "give only one of every_n_train_steps, every_n_epochs and "
                       "train_time_interval; a second callback can have another");
    return LH_OK;
}

static lh_status read_save_last(lh_ctx *c, struct checkpoints *m) {
    const char *text = lh_hparam_text(c, "save_last");

    if (is_null(text) || strcmp(text, "false") == 0)
        m->save_last = LAST_NONE;
    else if (strcmp(text, "true") == 0)
        m->save_last = LAST_SAVE;
    else if (strcmp(text, "link") == 0)
        m->save_last = LAST_LINK;
    else
        return lh_fail(c, LH_EINVAL, "save_last is \"%s\": give true, false or link", text);
    return LH_OK;
}

/* `path` made absolute, links in the part that exists resolved, so that two runs agree on it. */
static lh_status resolve(lh_ctx *c, const char *path, char out[PATH_MAX]) {
    char full[PATH_MAX], here[PATH_MAX] = "", found[PATH_MAX];
    const char *home = path[0] == '~' && (path[1] == '/' || !path[1]) ? getenv("HOME") : NULL;
    size_t n;

    if (*path != '/' && !home && !getcwd(here, sizeof here))
        return lh_fail(c, LH_EIO, "dirpath: the current folder is not known");
    n = (size_t)snprintf(full, sizeof full, "%s%s%s", home ? home : here, *here ? "/" : "",
                         home ? path + 1 : path);
    while (n > 1 && n < sizeof full && full[n - 1] == '/')
        full[--n] = 0;
    for (size_t end = n; end > 0 && n < sizeof full; end--) {
        char kept = full[end];

        if (kept && kept != '/')
            continue;
        full[end] = 0;
        if (realpath(full, found)) {
            full[end] = kept;
            n = (size_t)snprintf(out, PATH_MAX, "%s%s", found, full + end);
            break;
        }
        full[end] = kept;
        if (end == 1)
            strcpy(out, full);
    }
    return n < PATH_MAX ? LH_OK : lh_fail(c, LH_EINVAL, "dirpath is too long: %.100s...", path);
}

static lh_status find_dirpath(lh_ctx *c, struct checkpoints *m) {
    const char *given = option_text(c, "dirpath"), *root = lh_text(c, LH_LOG_DIR);
    char path[PATH_MAX];

    if (given)
        return resolve(c, given, m->dirpath);
    if (snprintf(path, sizeof path, "%s/checkpoints",
                 *root ? root : lh_text(c, LH_DEFAULT_ROOT_DIR)) >= (int)sizeof path)
        return lh_fail(c, LH_EINVAL, "the folder of the run has too long a name");
    return resolve(c, path, m->dirpath);
}

/* Names with a counter keep old files apart, but the folder then mixes runs. */
static void warn_if_not_empty(lh_ctx *c, const struct checkpoints *m) {
    DIR *d = m->top_k != 0 ? opendir(m->dirpath) : NULL;
    struct dirent *entry;

    while (d && (entry = readdir(d)))
        if (entry->d_name[0] != '.') {
            lh_print(c, LH_WARNING,
                     "the folder %s is not empty: it will hold checkpoints of more "
                     "than one run",
                     m->dirpath);
            break;
        }
    if (d)
        closedir(d);
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct checkpoints *m = self;
    char name[PATH_MAX];

    m->monitor = option_text(c, "monitor");
    m->filename = option_text(c, "filename");
    m->last_name = lh_hparam_text(c, "last_name");
    m->style = (struct name_style){lh_hparam_text(c, "prefix"), lh_hparam_text(c, "join"),
                                   lh_hparam_text(c, "equals"),
                                   lh_hparam_int(c, "auto_insert_metric_name") != 0};
    m->mode = option_mode(c);
    m->is_verbose = lh_hparam_int(c, "verbose") != 0;
    m->is_versioned = lh_hparam_int(c, "enable_version_counter") != 0;
    m->weights_only = lh_hparam_int(c, "save_weights_only") != 0;
    m->on_train_epoch_end = option_flag(c, "save_on_train_epoch_end", -1);
    m->top_k = lh_hparam_int(c, "save_top_k");
    m->best = m->kth_best = m->last = m->last_saved = "";
    m->best_score = m->current_score = NAN;
    m->kth_score = worst_score(m->mode);
    if (!m->filename)
        m->filename = "{epoch}-{step}";
    if (read_triggers(c, m) != LH_OK || read_save_last(c, m) != LH_OK)
        return lh_status_of(c);
    if (!m->monitor && m->top_k > 1)
        return lh_fail(c, LH_EINVAL,
                       "save_top_k is %lld, but without monitor there is no best: give monitor, or "
                       "-1, 0 or 1",
                       (long long)m->top_k);
    if (checkpoint_name(c, &m->style, m->filename, name, sizeof name) != LH_OK ||
        checkpoint_name(c, &m->style, m->last_name, name, sizeof name) != LH_OK ||
        find_dirpath(c, m) != LH_OK)
        return lh_status_of(c);
    if (stage == LH_FIT && !lh_int(c, LH_FAST_DEV_RUN))
        warn_if_not_empty(c, m);
    return lh_status_of(c);
}

/* ---- files */

static int exists(const struct checkpoints *m, const char *path) {
    int known = kept_has(&m->kept, path);

    return known > 0 || strcmp(m->last, path) == 0 || (known < 0 && access(path, F_OK) == 0);
}

/* The path for a new file; one that exists is overwritten only if it is `replaced`, if that is
 * NULL, or if there is no version counter. NULL on failure. */
static const char *new_path(lh_ctx *c, const struct checkpoints *m, const char *template,
                            const char *replaced) {
    char name[PATH_MAX], path[PATH_MAX];

    if (checkpoint_name(c, &m->style, template, name, sizeof name) != LH_OK)
        return NULL;
    for (int64_t version = 0;; version++) {
        int n = version == 0 ? snprintf(path, sizeof path, "%s/%s%s", m->dirpath, name, extension)
                             : snprintf(path, sizeof path, "%s/%s%sv%lld%s", m->dirpath, name,
                                        m->style.join, (long long)version, extension);

        if (n >= (int)sizeof path) {
            lh_fail(c, LH_EINVAL, "the path of a checkpoint is too long: %.100s...", path);
            return NULL;
        }
        if (!m->is_versioned || !replaced || strcmp(path, replaced) == 0 || !exists(m, path))
            return kept_text(c, path);
    }
}

static lh_status save(lh_ctx *c, struct checkpoints *m, const char *path) {
    m->last_step = lh_global_step(c);
    m->last_saved = path;
    return c->host->save_checkpoint(c, path, m->weights_only);
}

static int is_start_of_run(lh_ctx *c, const char *path) {
    const char *start = lh_text(c, LH_CKPT_PATH);
    char a[PATH_MAX], b[PATH_MAX];

    return *start && (strcmp(start, path) == 0 ||
                      (realpath(start, a) && realpath(path, b) && strcmp(a, b) == 0));
}

/* Removes `path`, which `replacement` took the place of, unless it must stay. */
static lh_status discard(lh_ctx *c, struct checkpoints *m, const char *path,
                         const char *replacement) {
    size_t n = strlen(m->dirpath);

    if (!*path || strcmp(path, replacement) == 0 || strncmp(path, m->dirpath, n) != 0 ||
        path[n] != '/' || is_start_of_run(c, path))
        return LH_OK;
    kept_forget(&m->kept, path);
    return c->host->remove_checkpoint(c, path);
}

/* ---- which to keep */

/* Without a metric: the most recent one, or all. */
static lh_status save_recent(lh_ctx *c, struct checkpoints *m) {
    const char *previous = m->top_k == 1 ? m->best : "";
    const char *path = new_path(c, m, m->filename, previous);

    if (!path || kept_add(c, &m->kept, path, NAN) != LH_OK)
        return lh_status_of(c);
    m->best = path;
    if (save(c, m, path) != LH_OK)
        return lh_status_of(c);
    c->host->set_best(c, path, NAN);
    return discard(c, m, previous, path);
}

/* Takes in a checkpoint of that score, in place of the worst if there are enough. */
static lh_status save_ranked(lh_ctx *c, struct checkpoints *m, double score) {
    int is_full = m->top_k > 0 && kept_count(&m->kept) == m->top_k;
    const char *evicted = is_full ? kept_worst(&m->kept, m->mode)->path : "", *path;
    const struct kept_file *best, *worst;

    if (isnan(score))
        score = worst_score(m->mode);
    path = new_path(c, m, m->filename, evicted);
    if (!path)
        return lh_status_of(c);
    kept_forget(&m->kept, evicted);
    if (kept_add(c, &m->kept, path, score) != LH_OK)
        return lh_status_of(c);
    m->current_score = score;
    best = kept_best(&m->kept, m->mode);
    worst = kept_worst(&m->kept, m->mode);
    m->best = best->path;
    m->best_score = best->score;
    if (m->top_k < 0 || kept_count(&m->kept) == m->top_k) {
        m->kth_best = worst->path;
        m->kth_score = worst->score;
    }
    if (m->is_verbose)
        lh_print(c, LH_INFO, "epoch %lld, step %lld: %s is %g (best %g): saving %s",
                 (long long)lh_current_epoch(c), (long long)lh_global_step(c), m->monitor, score,
                 m->best_score, path);
    if (save(c, m, path) != LH_OK)
        return lh_status_of(c);
    c->host->set_best(c, m->best, m->best_score);
    return discard(c, m, evicted, path);
}

/* 1 and the value, if the monitored metric is there; epoch and step always are. */
static int monitored(lh_ctx *c, const struct checkpoints *m, double *value) {
    int is_epoch = strcmp(m->monitor, "epoch") == 0;

    if (lh_has_metric(c, m->monitor)) {
        *value = lh_metric(c, m->monitor);
        return 1;
    }
    *value = is_epoch ? (double)lh_current_epoch(c) : (double)lh_global_step(c);
    return is_epoch || strcmp(m->monitor, "step") == 0;
}

/* That the metric is missing is an error once a validation could have logged it. */
static lh_status is_missing(lh_ctx *c, struct checkpoints *m) {
    char names[400];

    metric_names(c, names, sizeof names);
    if (m->has_validated)
        return lh_fail(c, LH_ENOTFOUND,
                       "monitor is \"%s\", but no such metric was logged; there are: %s",
                       m->monitor, names);
    if (!m->has_warned)
        lh_print(c, LH_WARNING, "no metric \"%s\" yet, so nothing is saved; there are: %s",
                 m->monitor, names);
    m->has_warned = 1;
    return LH_OK;
}

static lh_status save_top_k(lh_ctx *c, struct checkpoints *m) {
    double value;

    if (m->top_k == 0)
        return LH_OK;
    if (!m->monitor)
        return save_recent(c, m);
    if (!monitored(c, m, &value))
        return is_missing(c, m);
    if (m->top_k < 0 || kept_count(&m->kept) < m->top_k ||
        is_better(m->mode, value, kept_worst(&m->kept, m->mode)->score))
        return save_ranked(c, m, value);
    if (m->is_verbose)
        lh_print(c, LH_INFO, "epoch %lld, step %lld: %s is %g: not among the best %lld",
                 (long long)lh_current_epoch(c), (long long)lh_global_step(c), m->monitor, value,
                 (long long)m->top_k);
    return LH_OK;
}

static lh_status save_last(lh_ctx *c, struct checkpoints *m) {
    const char *previous = m->last, *target = m->last_saved, *path;
    lh_status status;

    if (m->save_last == LAST_NONE)
        return LH_OK;
    path = new_path(c, m, m->last_name, previous);
    if (!path)
        return lh_status_of(c);
    m->last = path;
    if (m->save_last == LAST_LINK && *target && strcmp(target, path) != 0 && m->top_k != 0)
        status = c->host->link_checkpoint(c, target, path);
    else
        status = save(c, m, path);
    return status == LH_OK ? discard(c, m, previous, path) : status;
}

/* ---- when */

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int may_save(lh_ctx *c, const struct checkpoints *m) {
    return lh_int(c, LH_STAGE) == LH_FIT && !lh_int(c, LH_FAST_DEV_RUN) &&
           !lh_int(c, LH_SANITY_CHECKING) && m->last_step != lh_global_step(c);
}

static int will_validate(lh_ctx *c) {
    return lh_int(c, LH_ENABLE_VALIDATION) && lh_int(c, LH_NUM_VAL_BATCHES) > 0;
}

/* Whether epochs are saved after training, as the module's metrics then all exist, or after
 * validation, which runs at other times than once per epoch. */
static int at_train_epoch_end(lh_ctx *c, const struct checkpoints *m) {
    if (m->on_train_epoch_end >= 0)
        return m->on_train_epoch_end;
    return !will_validate(c) || lh_int(c, LH_VAL_CHECK_INTERVAL_IS_EPOCH);
}

static lh_status save_epoch(lh_ctx *c, struct checkpoints *m) {
    if (m->every_epochs > 0 && (lh_current_epoch(c) + 1) % m->every_epochs == 0 &&
        save_top_k(c, m) != LH_OK)
        return lh_status_of(c);
    if (*m->last_saved && (m->last_step == lh_global_step(c) || m->save_last == LAST_LINK))
        return save_last(c, m);
    return LH_OK;
}

static lh_status on_train_start(lh_ctx *c, void *self) {
    ((struct checkpoints *)self)->last_time = now();
    return LH_OK;
}

static int is_due(lh_ctx *c, struct checkpoints *m) {
    if (m->every_steps > 0)
        return lh_global_step(c) % m->every_steps == 0;
    if (isnan(m->interval) || now() - m->last_time < m->interval)
        return 0;
    m->last_time = now();
    return 1;
}

/* A metric that is missing, or that a validation is about to renew, is waited for. */
static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *outputs,
                                    lh_batch *batch, int64_t batch_idx) {
    struct checkpoints *m = self;
    double value;

    if ((m->every_steps == 0 && isnan(m->interval)) || !may_save(c, m) || !is_due(c, m))
        return LH_OK;
    if (m->monitor && will_validate(c) &&
        (!monitored(c, m, &value) || (lh_int(c, LH_LAST_BATCH) && !at_train_epoch_end(c, m)))) {
        m->is_deferred = 1;
        return LH_OK;
    }
    return save_top_k(c, m) == LH_OK ? save_last(c, m) : lh_status_of(c);
}

static lh_status on_train_epoch_end(lh_ctx *c, void *self) {
    struct checkpoints *m = self;

    return may_save(c, m) && at_train_epoch_end(c, m) ? save_epoch(c, m) : LH_OK;
}

static lh_status on_validation_end(lh_ctx *c, void *self) {
    struct checkpoints *m = self;

    m->has_validated |= lh_int(c, LH_STAGE) == LH_FIT && !lh_int(c, LH_SANITY_CHECKING);
    if (!may_save(c, m))
        return LH_OK;
    if (m->is_deferred) {
        m->is_deferred = 0;
        return save_top_k(c, m) == LH_OK ? save_last(c, m) : lh_status_of(c);
    }
    return at_train_epoch_end(c, m) ? LH_OK : save_epoch(c, m);
}

static lh_status on_train_end(lh_ctx *c, void *self) {
    struct checkpoints *m = self;

    return *m->last_saved || lh_int(c, LH_FAST_DEV_RUN) ? LH_OK : save_last(c, m);
}

static lh_status on_exception(lh_ctx *c, void *self) {
    struct checkpoints *m = self;
    const char *path;

    if (!lh_hparam_int(c, "save_on_exception") || !may_save(c, m))
        return LH_OK;
    path = new_path(c, m, m->filename, NULL);
    return path && save(c, m, path) == LH_OK ? save_last(c, m) : lh_status_of(c);
}

/* ---- state */

static lh_status state_dict(lh_ctx *c, void *self) {
    const struct checkpoints *m = self;
    int64_t n = 0;
    char key[64];

    lh_state_put_text(c, "monitor", m->monitor ? m->monitor : "");
    lh_state_put_text(c, "dirpath", m->dirpath);
    lh_state_put_text(c, "best_model_path", m->best);
    lh_state_put(c, "best_model_score", m->best_score);
    lh_state_put(c, "current_score", m->current_score);
    lh_state_put_text(c, "kth_best_model_path", m->kth_best);
    lh_state_put(c, "kth_value", m->kth_score);
    lh_state_put_text(c, "last_model_path", m->last);
    lh_state_put_int(c, "last_global_step_saved", m->last_step);
    lh_state_put_int(c, "is_deferred", m->is_deferred);
    for (int32_t i = 0; i < m->kept.n; i++) {
        const struct kept_file *f = &m->kept.files[i];

        if (f->is_gone)
            continue;
        snprintf(key, sizeof key, "best_k_models.%lld.path", (long long)n);
        lh_state_put_text(c, key, f->path);
        snprintf(key, sizeof key, "best_k_models.%lld.score", (long long)n++);
        lh_state_put(c, key, f->score);
    }
    return lh_state_put_int(c, "best_k_models", n);
}

static void load_text(lh_ctx *c, const char *key, const char **out) {
    const char *text;

    if (lh_state_get_text(c, key, &text) == LH_OK)
        *out = kept_text(c, text);
}

static lh_status load_files(lh_ctx *c, struct checkpoints *m) {
    int64_t n = 0;
    char key[64];

    lh_state_get_int(c, "best_k_models", &n);
    for (int64_t i = 0; i < n; i++) {
        const char *path = "";
        double score = NAN;

        snprintf(key, sizeof key, "best_k_models.%lld.path", (long long)i);
        load_text(c, key, &path);
        snprintf(key, sizeof key, "best_k_models.%lld.score", (long long)i);
        lh_state_get(c, key, &score);
        if (!*path || kept_add(c, &m->kept, path, score) != LH_OK)
            return lh_fail(c, LH_ECORRUPT, "the checkpoint's list of best models is incomplete");
    }
    return LH_OK;
}

/* Scores of files in another folder mean nothing here: only the best of them is still known. */
static lh_status load_state_dict(lh_ctx *c, void *self) {
    struct checkpoints *m = self;
    const char *dirpath = "";
    int64_t is_deferred = 0;

    load_text(c, "best_model_path", &m->best);
    load_text(c, "dirpath", &dirpath);
    lh_state_get_int(c, "last_global_step_saved", &m->last_step);
    lh_state_get_int(c, "is_deferred", &is_deferred);
    m->is_deferred = is_deferred != 0;
    if (strcmp(dirpath, m->dirpath) == 0) {
        lh_state_get(c, "best_model_score", &m->best_score);
        lh_state_get(c, "current_score", &m->current_score);
        lh_state_get(c, "kth_value", &m->kth_score);
        load_text(c, "kth_best_model_path", &m->kth_best);
        load_text(c, "last_model_path", &m->last);
        if (load_files(c, m) != LH_OK)
            return lh_status_of(c);
    } else if (option_text(c, "dirpath") && lh_int(c, LH_STAGE) == LH_FIT) {
        lh_print(c, LH_WARNING,
                 "checkpoints were in %s and are in %s now: of the earlier ones only the best is "
                 "remembered",
                 dirpath, m->dirpath);
    }
    if (*m->best && access(m->best, R_OK) == 0)
        c->host->set_best(c, m->best, m->best_score);
    return LH_OK;
}

/* clang-format off */
LH_EXPORT_CALLBACK("model-checkpoint", "1.0.0",
    .state_size = sizeof(struct checkpoints),
    LH_HPARAMS(hparams),
    .order = LH_ORDER_CHECKPOINT,
    .state_key = "monitor,mode,every_n_train_steps,every_n_epochs,train_time_interval",
    .setup = setup,
    .on_train_start = on_train_start,
    .on_train_batch_end = on_train_batch_end,
    .on_train_epoch_end = on_train_epoch_end,
    .on_validation_end = on_validation_end,
    .on_train_end = on_train_end,
    .on_exception = on_exception,
    .state_dict = state_dict,
    .load_state_dict = load_state_dict);
