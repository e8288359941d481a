/* dqn.c - learns to balance a pole from what it has lived through: deep Q-learning (Mnih et al.
 * 2015) with double Q-learning's target (van Hasselt et al. 2016).
 *
 *     lhost run --model dqn.so --max_epochs 100 --callback
 *               model-checkpoint:monitor=val_return,mode=max --test
 *
 * A training step is a step in the environment and an update from a sample of the memory.
 */
#include "replay.h"

#include <lhost/lhost.h>

struct net {
    lh_linear layers[3];
};

struct dqn {
    struct net online, target;
    struct replay memory;
    struct agent { /* with the memory, all that the future depends on beside the weights */
        struct cartpole env;
        struct episodes episodes;
        uint64_t random;
    } agent;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("hidden", 128, 1, 65536, "width of the two hidden layers"),
    LH_HPARAM_REAL("lr", 2.5e-4, 0, 1, "learning rate"),
    LH_HPARAM_REAL("gamma", 0.99, 0, 1, "discount of the next step's value"),
    LH_HPARAM_INT("batch_size", 64, 1, 65536, "transitions per update"),
    LH_HPARAM_INT("capacity", 50000, 1, 1e9, "transitions that are remembered"),
    LH_HPARAM_INT("warm_start", 1000, 1, 1e9, "random transitions before the first update"),
    LH_HPARAM_INT("sync", 100, 1, 1e9, "steps between copies to the target network"),
    LH_HPARAM_REAL("eps_end", 0.01, 0, 1, "epsilon, the share of random actions, in the end"),
    LH_HPARAM_INT("eps_steps", 5000, 1, 1e9, "steps in which epsilon falls from 1 to its end"),
    LH_HPARAM_REAL("solved", 490, 0, 500, "stop when a validation's mean return is so high"),
};

static struct net net_make(lh_ctx *c, const char *name) {
    int64_t hidden = lh_hparam_int(c, "hidden");

    return (struct net){{lh_linear_make(c, lh_name(c, "%s.0", name), CARTPOLE_STATE, hidden),
                         lh_linear_make(c, lh_name(c, "%s.2", name), hidden, hidden),
                         lh_linear_make(c, lh_name(c, "%s.4", name), hidden, CARTPOLE_ACTIONS)}};
}

static lh_tensor *net_apply(lh_ctx *c, const struct net *net, lh_tensor *x) {
    return lh_sequential(c, x, LH_STAGE(linear, &net->layers[0]), LH_STAGE_OP(LH_OP_RELU),
                         LH_STAGE(linear, &net->layers[1]), LH_STAGE_OP(LH_OP_RELU),
                         LH_STAGE(linear, &net->layers[2]));
}

static void net_copy(lh_ctx *c, struct net *to, const struct net *from) {
    for (int i = 0; i < 3; i++) {
        lh_assign(c, to->layers[i].weight, from->layers[i].weight);
        lh_assign(c, to->layers[i].bias, from->layers[i].bias);
    }
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct dqn *m = self;
    int64_t seed = lh_int(c, LH_SEED);

    m->online = net_make(c, "online");
    m->target = net_make(c, "target");
    lh_freeze(c, "target.*");
    m->memory = replay_make(c, lh_hparam_int(c, "capacity"), lh_hparam_int(c, "batch_size"));
    m->agent.env = cartpole_make(random_start(seed, 0));
    m->agent.random = random_start(seed, 1);
    return lh_status_of(c);
}

/* The values of both actions in states (n, 4). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    return net_apply(c, &((struct dqn *)self)->online, x);
}

/* Remembers one more step: random, or what the network takes to be best. */
static void act(lh_ctx *c, struct dqn *m, double epsilon) {
    struct agent *a = &m->agent;
    float state[CARTPOLE_STATE];
    struct transition t;
    int64_t action = 0;

    if (random_unit(&a->random) < epsilon) {
        action = random_below(&a->random, CARTPOLE_ACTIONS);
    } else {
        cartpole_observe(&a->env, state);
        action = (int64_t)lh_item(
            c, lh_argmax(c, forward(c, m, rows_tensor(c, state, 1, CARTPOLE_STATE)), 1));
    }
    t = cartpole_step(&a->env, action);
    replay_add(&m->memory, &t);
    if (t.ended != 0)
        episodes_end(&a->episodes, &a->env);
}

/* Huber loss of values against reward + gamma * the target network's value of the next state, of
 * the action that the network itself would choose there. */
static lh_tensor *loss_of(lh_ctx *c, struct dqn *m, lh_tensor *rows) {
    lh_tensor *action = lh_cast(c, COLUMN(c, rows, transition, action), LH_I64);
    lh_tensor *q = lh_gather(c, forward(c, m, COLUMN(c, rows, transition, state)), 1, action);
    lh_tensor *next = COLUMN(c, rows, transition, next), *best, *follows;
    lh_tensor *goes_on = lh_add_scalar(c, lh_neg(c, COLUMN(c, rows, transition, terminated)), 1);

    best = lh_unsqueeze(c, lh_argmax(c, forward(c, m, next), 1), 1);
    follows = lh_mul(c, lh_gather(c, net_apply(c, &m->target, next), 1, best), goes_on);
    follows = lh_mul_scalar(c, follows, lh_hparam(c, "gamma"));
    return lh_smooth_l1_loss(c, q, lh_add(c, COLUMN(c, rows, transition, reward), follows));
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct dqn *m = self;
    int64_t step = lh_global_step(c), warm_start = lh_hparam_int(c, "warm_start");
    double ended = fmin(1, (double)step / (double)lh_hparam_int(c, "eps_steps"));
    double epsilon = 1 + (lh_hparam(c, "eps_end") - 1) * ended;
    lh_tensor *loss;

    if (step % lh_hparam_int(c, "sync") == 0)
        net_copy(c, &m->target, &m->online);
    for (int64_t i = m->memory.size; step == 0 && i < warm_start; i++)
        act(c, m, 1);
    act(c, m, epsilon);
    loss = loss_of(c, m, replay_sample(c, &m->memory, m->memory.largest, &m->agent.random));
    lh_log(c, "train_loss", loss, LH_LOG_STEP);
    lh_log_value(c, "epsilon", epsilon, LH_LOG_STEP);
    episodes_log(c, &m->agent.episodes);
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_log_value(c, "val_return", episodes_play(c, self, forward, batch, NULL),
                        LH_LOG_EPOCH | LH_LOG_BAR);
}

/* Training's own mean is never as good: every hundredth action is random, and it looks back. */
static lh_status on_validation_end(lh_ctx *c, void *self) {
    return lh_metric(c, "val_return") >= lh_hparam(c, "solved")
               ? lh_stop(c, "solved: val_return has got there")
               : LH_OK;
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    const char *picture = batch_idx == 0 ? "episode.png" : NULL;

    return lh_log_value(c, "test_return", episodes_play(c, self, forward, batch, picture),
                        LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .params = "online.*", .lr = lh_hparam(c, "lr"));
    return LH_OK;
}

static lh_status configure_gradient_clipping(lh_ctx *c, void *self, lh_optimizer *optimizer) {
    return lh_clip_gradients_norm(c, optimizer, 1);
}

static lh_status on_save_checkpoint(lh_ctx *c, void *self) {
    struct dqn *m = self;

    replay_save(c, &m->memory);
    return bytes_save(c, "agent", &m->agent, sizeof m->agent);
}

static lh_status on_load_checkpoint(lh_ctx *c, void *self) {
    struct dqn *m = self;

    replay_load(c, &m->memory);
    return bytes_load(c, "agent", &m->agent, sizeof m->agent);
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct dqn),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .configure_gradient_clipping = configure_gradient_clipping,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .on_validation_end = on_validation_end,
    .test_step = test_step,
    .on_save_checkpoint = on_save_checkpoint,
    .on_load_checkpoint = on_load_checkpoint,
};

LH_EXPORT_PLUGIN("dqn", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &episodes_data);
