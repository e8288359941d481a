/* host.h - a second host, small enough to read at a glance, for plugins under test.
 *
 * It opens a real plugin, tells it what the test sets, and writes down what the plugin asks for.
 * Nothing is saved or removed: as with any host that writes behind, a plugin cannot tell from the
 * disk. What the test host does not offer is NULL in its table.
 */
#ifndef LHOST_TESTS_PLUGINS_HOST_H
#define LHOST_TESTS_PLUGINS_HOST_H

#include <lhost/lhost.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_OPTIONS = 16, MAX_METRICS = 16, MAX_STATE = 64, MAX_OPTIMIZERS = 4, MAX_GROUPS = 3 };

struct entry {
    char key[96], text[512];
    double number;
};

/* What lr-monitor looks at. */
struct lh_optimizer {
    const char *class;
    int32_t groups;
    double lr[MAX_GROUPS], beta1, momentum, weight_decay; /* NaN: the class has none */
    int32_t schedules;
    const char *schedule[2];
    int32_t interval[2];
};

struct host {
    lh_ctx ctx; /* first: what the plugin holds is the host */
    lh_host table;
    void *library, *self;
    const lh_plugin *plugin;
    const lh_callback *callback;
    const lh_logger *logger;
    const lh_module *module;
    const lh_hparam_spec *hparams;
    int32_t n_hparams;

    /* What the plugin is told. */
    char options[MAX_OPTIONS][256]; /* "key=value" */
    int32_t n_options;
    int64_t ints[64];
    char texts[16][1024];
    struct entry metrics[MAX_METRICS];
    int32_t n_metrics;
    struct lh_optimizer optimizers[MAX_OPTIMIZERS];
    int32_t n_optimizers;

    /* What it did. */
    char asked[4096]; /* " +saved -removed target>copy", paths below `dir`, without extension */
    char dir[1024];
    char best[1024], stop[512], said[2048], error[1024];
    double best_score;
    lh_status status;
    struct entry state[MAX_STATE];
    int32_t n_state;
    char logged[2048]; /* " name=value", of the last call of log_to_loggers */
    int32_t n_logged;  /* calls */
    void *blocks[256];
    int32_t n_blocks;
};

/* Opens a plugin of PLUGINS with options "key=value", the last one NULL; fails the test if it
 * cannot. `root` is the folder of the run. */
struct host *host_open(const char *so, const char *root, ...);

/* The same plugin again, anew, as a run that goes on from the state of `h` would have it. */
struct host *host_resume(const struct host *h, const char *root);
void host_close(struct host *h);

void host_metric(struct host *h, const char *name, double value);
void host_no_metric(struct host *h, const char *name);

/* Forgets what was asked so far. */
void host_forget(struct host *h);

/* The status of a hook, after which a recorded error counts too. */
lh_status host_done(struct host *h, lh_status status);

/* Calls a hook without arguments if it is defined: CALL(h, callback, on_train_end). */
#define CALL(h, table, hook) \
    ((h)->table->hook ? host_done((h), (h)->table->hook(&(h)->ctx, (h)->self)) : LH_OK)
#define SETUP(h) host_done((h), (h)->callback->setup(&(h)->ctx, (h)->self, LH_FIT))
#define BATCH_END(h) \
    host_done((h), (h)->callback->on_train_batch_end(&(h)->ctx, (h)->self, NULL, NULL, 0))

/* A folder of the test's own, removed when its process ends. */
const char *scratch(void);

#endif
