/* config.h - everything a run is told, from every source, as one checked tree.
 *
 * The tree (Jansson) is what --print_config and config.yaml show; the typed fields beside it are
 * views of it. Precedence: defaults < LHOST_* environment < --config files and options in the order
 * of the command line.
 * Invariant: after lh__config_load every key is known and every value of the host's own options has
 * been checked; hyper-parameters of plugins are checked by lh__hparams_resolve once their tables
 * are known.
 *
 *   seed_everything: 0
 *   num_threads: null
 *   ckpt_path: null
 *   weights: null
 *   trainer: {max_epochs: 3, ...}
 *   model: {plugin: mnist.so, lr: 0.001}        # plugin: one path, or a list of them
 *   data: {plugin: dm.so, root: null, batch_size: null, num_workers: null, ...}
 *   callbacks: [{plugin: early-stop, monitor: val_loss}]
 *   loggers: [{plugin: csv}]
 */
#ifndef LH_CONFIG_CONFIG_H
#define LH_CONFIG_CONFIG_H

#include "trainer/options.h"

#include <jansson.h>

/* A plugin that the user asked for. Borrowed from the tree. */
typedef struct lh__choice {
    const char *plugin; /* name or path */
    json_t *hparams;    /* object: what was given, unchecked; never NULL */
    const char *where;  /* where it is in the tree: "model", "callbacks.0" */
} lh__choice;

typedef struct lh__config {
    lh__options trainer; /* finished */

    lh__choice *models; /* all get the same hyper-parameters */
    lh__choice data;    /* data.plugin NULL: the model brings its own data */
    lh__choice *callbacks, *loggers;
    int32_t n_models, n_callbacks, n_loggers; /* n_loggers 0: none; defaults are filled in */

    char *data_root;          /* NULL: $LHOST_DATA_DIR, else the host's default */
    int64_t data_batch_size;  /* 0: left to the loaders */
    int64_t data_num_workers; /* -1: left to the loaders */
    int64_t seed;             /* of every random number of the run */
    int64_t num_threads;      /* 0: every core that the process may use */
    char *ckpt_path;          /* "best", "last", a file, or NULL */
    char *weights;            /* a file, or NULL */

    int32_t test;                     /* run: the test stage after fit */
    int32_t json, print_config, help; /* of this call only, never in the tree */

    json_t *tree;
    json_t *origins; /* "trainer.max_epochs" -> "run.yaml:3:5" */
    json_t *views;   /* owns what the choices point to */
} lh__config;

/* Reads environment, files and argv[0..argc-1] (subcommand already taken off). Notices (older
 * names) go to obs->message; obs may be NULL. On failure c is empty and needs no free. Any failure
 * is the user's to mend: exit code 2. With --help nothing is checked. */
lh_status lh__config_load(lh__config *c, int argc, char *const *argv, char *const *env,
                          const lh__observer *obs, lh__error *e);
void lh__config_free(lh__config *c);

/* For a run without a data module: nobody could then know a setting of data's other than the
 * host's, so one that was given is an error. */
lh_status lh__config_no_data_module(const lh__config *c, lh__error *e);

/* Where the value at a dotted path came from: "run.yaml:3:5", "environment variable LHOST_...",
 * "command line", "default". */
const char *lh__config_origin(const lh__config *c, const char *path);

/* The tree as YAML, enough to repeat the run. A new text, release with free; NULL: out of memory.
 */
char *lh__config_dump(const lh__config *c);

/* Checks what was given for a plugin against its declared hyper-parameters and fills in defaults:
 * type, range, unknown names (the nearest is suggested). `what` names the plugin in messages.
 * Result: a new object with every declared name in order of declaration, reals as JSON reals,
 * flags as booleans; NULL and *e set on failure. c may be NULL (no origins in messages). */
json_t *lh__hparams_resolve(const lh_hparam_spec *specs, int32_t n, const lh__choice *given,
                            const char *what, const lh__config *c, lh__error *e);

/* "early-stop:monitor=val_loss,patience=3" -> {"plugin": "early-stop", "monitor": ...}. Values are
 * YAML scalars; a comma inside quotes does not separate. New reference, NULL and *e on failure. */
json_t *lh__choice_parse(const char *text, lh__error *e);

#endif
