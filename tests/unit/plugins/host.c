/* host.c - see host.h. */
#include "host.h"

#include <criterion/criterion.h>
#include <dlfcn.h>
#include <ftw.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct host *of(lh_ctx *c) {
    return (struct host *)c;
}

static lh_status record(lh_ctx *c, lh_status code, const char *file, int32_t line, const char *fmt,
                        ...) {
    struct host *h = of(c);
    va_list args;

    if (h->status != LH_OK)
        return code;
    va_start(args, fmt);
    vsnprintf(h->error, sizeof h->error, fmt, args);
    va_end(args);
    return h->status = code;
}

static lh_status status(lh_ctx *c) {
    return of(c)->status;
}

static void print(lh_ctx *c, int32_t level, const char *fmt, ...) {
    struct host *h = of(c);
    size_t n = strlen(h->said);
    va_list args;

    va_start(args, fmt);
    vsnprintf(h->said + n, sizeof h->said - n, fmt, args);
    va_end(args);
    strncat(h->said, "\n", sizeof h->said - strlen(h->said) - 1);
}

static void *alloc(lh_ctx *c, uint64_t size) {
    struct host *h = of(c);

    cr_assert_lt(h->n_blocks, 256, "the test host is out of blocks");
    return h->blocks[h->n_blocks++] = calloc(1, size);
}

static const char *given(struct host *h, const char *name) {
    size_t n = strlen(name);

    for (int32_t i = 0; i < h->n_options; i++)
        if (strncmp(h->options[i], name, n) == 0 && h->options[i][n] == '=')
            return h->options[i] + n + 1;
    return NULL;
}

static const lh_hparam_spec *spec_of(struct host *h, const char *name) {
    for (int32_t i = 0; i < h->n_hparams; i++)
        if (strcmp(h->hparams[i].name, name) == 0)
            return &h->hparams[i];
    cr_assert_fail("hyper-parameter %s is not declared", name);
    return NULL;
}

static double hparam(lh_ctx *c, const char *name) {
    const lh_hparam_spec *spec = spec_of(of(c), name);
    const char *text = given(of(c), name);

    cr_assert_neq(spec->type, LH_TEXT, "%s is a text", name);
    return text ? strtod(text, NULL) : spec->number_default;
}

static int64_t hparam_int(lh_ctx *c, const char *name) {
    return (int64_t)hparam(c, name);
}

static const char *hparam_text(lh_ctx *c, const char *name) {
    const lh_hparam_spec *spec = spec_of(of(c), name);
    const char *text = given(of(c), name);

    cr_assert_eq(spec->type, LH_TEXT, "%s is a number", name);
    return text ? text : spec->text_default ? spec->text_default : "";
}

static int64_t get_int(lh_ctx *c, int32_t what) {
    return of(c)->ints[what];
}

static const char *get_text(lh_ctx *c, int32_t what) {
    return of(c)->texts[what];
}

static struct entry *find(struct entry *entries, int32_t n, const char *key) {
    for (int32_t i = 0; i < n; i++)
        if (strcmp(entries[i].key, key) == 0)
            return &entries[i];
    return NULL;
}

static double metric(lh_ctx *c, const char *name) {
    struct entry *e = find(of(c)->metrics, of(c)->n_metrics, name);

    return e ? e->number : NAN;
}

static lh_status has_metric(lh_ctx *c, const char *name) {
    return find(of(c)->metrics, of(c)->n_metrics, name) ? LH_OK : LH_ENOTFOUND;
}

static const char *metric_name(lh_ctx *c, int32_t i) {
    return i < of(c)->n_metrics ? of(c)->metrics[i].key : NULL;
}

static lh_status stop(lh_ctx *c, const char *reason) {
    snprintf(of(c)->stop, sizeof of(c)->stop, "%s", reason);
    of(c)->ints[LH_SHOULD_STOP] = 1;
    return LH_OK;
}

static lh_status log_to_loggers(lh_ctx *c, const lh_scalar *metrics, int32_t n, int64_t step) {
    struct host *h = of(c);
    size_t used = 0;

    h->n_logged++;
    for (int32_t i = 0; i < n; i++)
        used += (size_t)snprintf(h->logged + used, sizeof h->logged - used, " %s=%g",
                                 metrics[i].name, metrics[i].value);
    return LH_OK;
}

/* ---- checkpoints */

/* `path` below the folder of checkpoints, without extension. */
static const char *short_path(struct host *h, const char *path, char out[1024]) {
    size_t n = strlen(h->dir);
    char *extension;

    snprintf(out, 1024, "%s",
             strncmp(path, h->dir, n) == 0 && path[n] == '/' ? path + n + 1 : path);
    extension = strstr(out, ".safetensors");
    cr_assert_not_null(extension, "%s", path);
    *extension = 0;
    return out;
}

static void ask(struct host *h, const char *what, const char *path, const char *then,
                const char *other) {
    char a[1024], b[1024] = "";
    size_t n = strlen(h->asked);

    snprintf(h->asked + n, sizeof h->asked - n, " %s%s%s%s", what, short_path(h, path, a), then,
             other ? short_path(h, other, b) : b);
}

/* As any host does, it asks for the state, which becomes part of the checkpoint. */
static lh_status save_checkpoint(lh_ctx *c, const char *path, int32_t weights_only) {
    struct host *h = of(c);

    ask(h, weights_only ? "w" : "+", path, "", NULL);
    h->n_state = 0;
    return CALL(h, callback, state_dict);
}

static lh_status remove_checkpoint(lh_ctx *c, const char *path) {
    ask(of(c), "-", path, "", NULL);
    return LH_OK;
}

static lh_status link_checkpoint(lh_ctx *c, const char *target, const char *path) {
    ask(of(c), "", target, ">", path);
    return LH_OK;
}

static lh_status set_best(lh_ctx *c, const char *path, double score) {
    short_path(of(c), path, of(c)->best);
    of(c)->best_score = score;
    return LH_OK;
}

static struct entry *state_entry(lh_ctx *c, const char *key) {
    struct host *h = of(c);
    struct entry *e = find(h->state, h->n_state, key);

    cr_assert(e || h->n_state < MAX_STATE, "the test host is out of state");
    if (!e)
        e = &h->state[h->n_state++];
    *e = (struct entry){.number = NAN};
    snprintf(e->key, sizeof e->key, "%s", key);
    return e;
}

static lh_status state_put(lh_ctx *c, const char *key, double value) {
    state_entry(c, key)->number = value;
    return LH_OK;
}

static lh_status state_put_int(lh_ctx *c, const char *key, int64_t value) {
    return state_put(c, key, (double)value);
}

static lh_status state_put_text(lh_ctx *c, const char *key, const char *text) {
    struct entry *e = state_entry(c, key);

    snprintf(e->text, sizeof e->text, "%s", text);
    return LH_OK;
}

static lh_status state_get(lh_ctx *c, const char *key, double *out) {
    struct entry *e = find(of(c)->state, of(c)->n_state, key);

    if (e)
        *out = e->number;
    return e ? LH_OK : LH_ENOTFOUND;
}

static lh_status state_get_int(lh_ctx *c, const char *key, int64_t *out) {
    double value;
    lh_status found = state_get(c, key, &value);

    if (found == LH_OK)
        *out = (int64_t)value;
    return found;
}

static lh_status state_get_text(lh_ctx *c, const char *key, const char **out) {
    struct entry *e = find(of(c)->state, of(c)->n_state, key);

    if (e)
        *out = e->text;
    return e ? LH_OK : LH_ENOTFOUND;
}

/* ---- optimizers */

static lh_optimizer *optimizer_at(lh_ctx *c, int32_t i) {
    return i < of(c)->n_optimizers ? &of(c)->optimizers[i] : NULL;
}

static const char *optimizer_name(lh_ctx *c, const lh_optimizer *o) {
    return o->class;
}

static int32_t group_count(lh_ctx *c, const lh_optimizer *o) {
    return o->groups;
}

static double group_get(lh_ctx *c, const lh_optimizer *o, int32_t group, const char *key) {
    return strcmp(key, "lr") == 0         ? o->lr[group]
           : strcmp(key, "beta1") == 0    ? o->beta1
           : strcmp(key, "momentum") == 0 ? o->momentum
                                          : o->weight_decay;
}

static int32_t scheduler_of(lh_ctx *c, const lh_optimizer *o, int32_t i, const char **name,
                            int32_t *interval) {
    if (i >= o->schedules)
        return 0;
    *name = o->schedule[i];
    *interval = o->interval[i];
    return 1;
}

static lh_status fetch(lh_ctx *c, const char *path, const char *const *urls, int32_t n_urls,
                       const char *sha256) {
    return LH_ENOTFOUND;
}

static const lh_host functions = {
    .struct_size = sizeof(lh_host),
    .abi_major = LH_ABI_MAJOR,
    .fail = record,
    .status = status,
    .print = print,
    .alloc = alloc,
    .hparam = hparam,
    .hparam_int = hparam_int,
    .hparam_text = hparam_text,
    .get_int = get_int,
    .get_text = get_text,
    .metric = metric,
    .has_metric = has_metric,
    .metric_name = metric_name,
    .stop = stop,
    .log_to_loggers = log_to_loggers,
    .save_checkpoint = save_checkpoint,
    .remove_checkpoint = remove_checkpoint,
    .link_checkpoint = link_checkpoint,
    .set_best = set_best,
    .state_put = state_put,
    .state_put_int = state_put_int,
    .state_put_text = state_put_text,
    .state_get = state_get,
    .state_get_int = state_get_int,
    .state_get_text = state_get_text,
    .optimizer_at = optimizer_at,
    .optimizer_name = optimizer_name,
    .group_count = group_count,
    .group_get = group_get,
    .scheduler_of = scheduler_of,
    .fetch = fetch,
};

/* ---- opening and closing */

static void load(struct host *h, const char *so) {
    uint32_t state_size;

    h->library = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    cr_assert_not_null(h->library, "%s", dlerror());
    h->plugin = dlsym(h->library, "lhost_plugin");
    cr_assert_not_null(h->plugin);
    h->callback = h->plugin->callback;
    h->logger = h->plugin->logger;
    h->module = h->plugin->module;
    h->hparams = h->callback ? h->callback->hparams
                 : h->logger ? h->logger->hparams
                             : h->module->hparams;
    h->n_hparams = h->callback ? h->callback->n_hparams
                   : h->logger ? h->logger->n_hparams
                               : h->module->n_hparams;
    state_size = h->callback ? h->callback->state_size
                 : h->logger ? h->logger->state_size
                             : h->module->state_size;
    h->self = calloc(1, state_size);
}

static struct host *prepare(const char *so, const char *root) {
    struct host *h = calloc(1, sizeof *h);
    char real[PATH_MAX];

    cr_assert_not_null(realpath(root, real));
    h->table = functions;
    h->ctx.host = &h->table;
    snprintf(h->texts[LH_LOG_DIR], sizeof h->texts[0], "%.1000s", real);
    snprintf(h->dir, sizeof h->dir, "%.1000s/checkpoints", real);
    h->ints[LH_NUM_LOGGERS] = 1;
    h->ints[LH_VAL_CHECK_INTERVAL_IS_EPOCH] = 1;
    load(h, so);
    return h;
}

struct host *host_open(const char *so, const char *root, ...) {
    struct host *h = prepare(so, root);
    const char *option;
    va_list args;

    va_start(args, root);
    while ((option = va_arg(args, const char *)))
        snprintf(h->options[h->n_options++], sizeof h->options[0], "%s", option);
    va_end(args);
    return h;
}

struct host *host_resume(const struct host *h, const char *root) {
    Dl_info info;
    struct host *next;

    cr_assert(dladdr(h->plugin, &info));
    next = prepare(info.dli_fname, root);
    memcpy(next->options, h->options, sizeof h->options);
    next->n_options = h->n_options;
    memcpy(next->state, h->state, sizeof h->state);
    next->n_state = h->n_state;
    memcpy(next->ints, h->ints, sizeof h->ints);
    return next;
}

void host_close(struct host *h) {
    for (int32_t i = 0; i < h->n_blocks; i++)
        free(h->blocks[i]);
    free(h->self);
    dlclose(h->library);
    free(h);
}

void host_metric(struct host *h, const char *name, double value) {
    struct entry *e = find(h->metrics, h->n_metrics, name);

    if (!e) {
        cr_assert_lt(h->n_metrics, MAX_METRICS);
        e = &h->metrics[h->n_metrics++];
        snprintf(e->key, sizeof e->key, "%s", name);
    }
    e->number = value;
}

void host_no_metric(struct host *h, const char *name) {
    struct entry *e = find(h->metrics, h->n_metrics, name);

    if (e)
        *e = h->metrics[--h->n_metrics];
}

void host_forget(struct host *h) {
    *h->asked = *h->said = *h->stop = *h->error = *h->logged = 0;
    h->status = LH_OK;
    h->n_logged = 0;
}

lh_status host_done(struct host *h, lh_status result) {
    return result < 0 ? result : h->status != LH_OK ? h->status : result;
}

/* ---- a folder of the test's own */

static char folder[64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    return remove(path);
}

static void remove_folder(void) {
    nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

const char *scratch(void) {
    if (!*folder) {
        strcpy(folder, "/tmp/lhost-test-XXXXXX");
        cr_assert_not_null(mkdtemp(folder));
        atexit(remove_folder);
    }
    return folder;
}
