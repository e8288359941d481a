/* instance.h - plugins at work: their contexts, and calling their hooks.
 *
 * Invariant: a hook that nobody defined costs nothing: for every hook there is an array of exactly
 * those who define it, in the order in which they are called, built once. While a hook runs, errors
 * of the engine land in the record of the plugin that runs, and the breadcrumb names it.
 */
#ifndef LH_TRAINER_INSTANCE_H
#define LH_TRAINER_INSTANCE_H

#include "checkpoint/state.h"
#include "engine/engine.h"
#include "trainer/trainer.h"

struct lh__trainer;

/* One plugin, set up for this run. `ctx` is first: what the plugin holds is the instance. */
typedef struct lh__instance {
    lh_ctx ctx;
    struct lh__trainer *trainer;
    const lh__plugin *plugin;
    lh__plugin *owned; /* to free, for plugins that this run loaded; else NULL */
    lh__table table;
    const void *hooks; /* the plugin's table of that kind */
    void *self;
    json_t *hparams;    /* resolved; owned */
    double *numbers;    /* their values, by row of the table; owned */
    lh__error error;    /* of the hook that runs */
    lh__hook hook;      /* the one that runs */
    json_t *state;      /* where lh_state_put and _get work now; NULL: not now; borrowed */
    lh__state *tensors; /* where state tensors go or come from; NULL: not now */
    char *key;          /* of its state in a checkpoint; owned */
    int32_t is_set_up;
    int32_t order; /* of callbacks: LH_ORDER_... */
    int32_t index; /* in the cast, and in the breadcrumb's list of names */
} lh__instance;

typedef struct lh__call_slot {
    lh__instance *who;
    lh__hook_fn fn;
} lh__call_slot;

typedef struct lh__call_list {
    lh__call_slot *slots; /* owned by the cast */
    int32_t n;
} lh__call_list;

typedef struct lh__cast_list {
    lh__instance *module, *datamodule; /* datamodule NULL: none */
    lh__instance **callbacks, **loggers;
    int32_t n_callbacks, n_loggers;
    lh__call_list hooks[LH__N_HOOKS];
    lh__call_slot *slots;
    lh__instance *running;
} lh__cast_list;

/* An instance with resolved hyper-parameters; NULL and the reason in the trainer's failure. */
lh__instance *lh__instance_new(struct lh__trainer *t, const lh__plugin *p, lh__table table,
                               const lh__choice *choice);
void lh__instance_free(lh__instance *i);

/* Loads what the configuration names and builds the list of callbacks and loggers, defaults
 * included; `spec` of lh_use_callback adds one, in the same form as --callback. */
lh_status lh__cast_make(struct lh__trainer *t, const lh__cast *cast);
lh_status lh__cast_add_callback(struct lh__trainer *t, const char *spec);
lh_status lh__cast_seal(struct lh__trainer *t); /* orders callbacks and builds the call lists */
void lh__cast_free(lh__cast_list *c);

/* A call into a plugin under way, and what it interrupted. */
typedef struct lh__frame {
    lh__instance *who, *before;
    lh__hook hook; /* of `before` */
    int64_t began; /* for the profile; -1: not in it */
} lh__frame;

/* The plugin's code begins and ends. `end` returns the hook's status, or the failure, recorded for
 * the run with plugin, hook, epoch and step before it. */
lh__frame lh__call_begin(struct lh__trainer *t, lh__instance *who, lh__hook hook);
lh_status lh__call_end(struct lh__trainer *t, lh__frame frame, lh_status status);

/* Calls a hook on everyone who defines it; stops at the first failure. LH_SKIP if one said so. */
lh_status lh__call_plain(struct lh__trainer *t, lh__hook hook);
lh_status lh__call_batch(struct lh__trainer *t, lh__hook hook, lh_batch *b, int64_t idx);
lh_status lh__call_batch_end(struct lh__trainer *t, lh__hook hook, const lh_outputs *o, lh_batch *b,
                             int64_t idx);
lh_status lh__call_tensor(struct lh__trainer *t, lh__hook hook, lh_tensor *x);
lh_status lh__call_optimizer(struct lh__trainer *t, lh__hook hook, lh_optimizer *o);

/* One instance's hook, if there is the instance and it defines it. */
lh_status lh__call_one(struct lh__trainer *t, lh__instance *who, lh__hook hook);
lh_status lh__call_one_stage(struct lh__trainer *t, lh__instance *who, lh__hook hook,
                             int32_t stage);
lh_status lh__call_one_batch(struct lh__trainer *t, lh__instance *who, lh__hook hook, lh_batch *b,
                             int64_t idx);
lh_status lh__call_one_outputs(struct lh__trainer *t, lh__instance *who, lh__hook hook,
                               const lh_outputs *o);
lh_status lh__call_one_tensor(struct lh__trainer *t, lh__instance *who, lh__hook hook,
                              lh_tensor *x);
lh_status lh__call_one_optimizer(struct lh__trainer *t, lh__instance *who, lh__hook hook,
                                 lh_optimizer *o);
lh_status lh__call_one_scheduler(struct lh__trainer *t, lh__instance *who, lh__hook hook, int32_t i,
                                 double metric);

/* 1 if the module defines it; LH__N_HOOKS stands for no hook. */
int lh__module_has(const struct lh__trainer *t, lh__hook hook);

#endif
