/* ppo.c - learns to balance a pole by trying: proximal policy optimization (Schulman et al. 2017)
 * with generalized advantage estimation (Schulman et al. 2016).
 *
 *     lhost run --model ppo.so --data.steps 250 --max_epochs 20 --callback
 *               model-checkpoint:monitor=val_return,mode=max --test
 *
 * A training step is an update from a part of the last rollout; when all of it has been gone over
 * `passes` times, several environments are played on for a new one.
 */
#include "cartpole/episodes.h"

#include <lhost/lhost.h>
#include <stdlib.h>

enum { ENVS = 8 };

/* A step that is learnt from: a row of floats. */
struct sample {
    struct transition t;
    float log_prob, advantage, value; /* log-probability when chosen; value: the critic's target */
};

struct ppo {
    lh_linear actor[3], critic[3];
    struct sample *rollout; /* (steps, ENVS), shuffled before every pass */
    int64_t steps;
    struct agent { /* with the rollout, all that the future depends on beside the weights */
        struct cartpole envs[ENVS];
        struct episodes episodes;
        uint64_t random;
        int64_t update; /* of the rollout: from 0 */
    } agent;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("hidden", 64, 1, 65536, "width of the two hidden layers"),
    LH_HPARAM_REAL("lr", 1e-3, 0, 1, "learning rate"),
    LH_HPARAM_REAL("gamma", 0.99, 0, 1, "discount of the next step's value"),
    LH_HPARAM_REAL("lambda", 0.95, 0, 1, "decay of generalized advantage estimation"),
    LH_HPARAM_REAL("clip", 0.2, 0, 1, "how far a probability ratio may leave 1"),
    LH_HPARAM_REAL("entropy", 0.01, 0, 1, "weight of the policy's entropy"),
    LH_HPARAM_INT("steps", 128, 1, 65536, "steps of each of the 8 environments in a rollout"),
    LH_HPARAM_INT("batch_size", 256, 1, 65536, "samples per update; divides a rollout"),
    LH_HPARAM_INT("passes", 4, 1, 1000, "times that a rollout is learnt from"),
    LH_HPARAM_REAL("solved", 475, 0, 500, "stop at this mean return of 100 episodes"),
};

static void mlp_make(lh_ctx *c, const char *name, int64_t out, lh_linear layers[3]) {
    int64_t hidden = lh_hparam_int(c, "hidden");

    layers[0] = lh_linear_make(c, lh_name(c, "%s.0", name), CARTPOLE_STATE, hidden);
    layers[1] = lh_linear_make(c, lh_name(c, "%s.2", name), hidden, hidden);
    layers[2] = lh_linear_make(c, lh_name(c, "%s.4", name), hidden, out);
}

static lh_tensor *mlp_apply(lh_ctx *c, const lh_linear layers[3], lh_tensor *x) {
    return lh_sequential(c, x, LH_STAGE(linear, &layers[0]), LH_STAGE_OP(LH_OP_TANH),
                         LH_STAGE(linear, &layers[1]), LH_STAGE_OP(LH_OP_TANH),
                         LH_STAGE(linear, &layers[2]));
}

static lh_status configure_model(lh_ctx *c, void *self) {
    struct ppo *m = self;
    int64_t seed = lh_int(c, LH_SEED), batch_size = lh_hparam_int(c, "batch_size");

    mlp_make(c, "actor", CARTPOLE_ACTIONS, m->actor);
    mlp_make(c, "critic", 1, m->critic);
    m->steps = lh_hparam_int(c, "steps");
    if (m->steps * ENVS % batch_size != 0)
        return lh_fail(c, LH_EINVAL, "batch_size %lld does not divide a rollout of %lld x %d steps",
                       (long long)batch_size, (long long)m->steps, ENVS);
    m->rollout = lh_alloc(c, (uint64_t)(m->steps * ENVS) * sizeof *m->rollout);
    m->agent.random = random_start(seed, 1);
    for (int64_t i = 0; i < ENVS; i++)
        m->agent.envs[i] = cartpole_make(random_start(seed, 100 + i));
    return lh_status_of(c);
}

/* The scores of both actions in states (n, 4). */
static lh_tensor *forward(lh_ctx *c, void *self, lh_tensor *x) {
    return mlp_apply(c, ((struct ppo *)self)->actor, x);
}

/* Log-probabilities (n, 1) of the actions of rows. */
static lh_tensor *log_prob_of(lh_ctx *c, lh_tensor *log_probs, lh_tensor *rows) {
    return lh_gather(c, log_probs, 1, lh_cast(c, COLUMN(c, rows, sample, t.action), LH_I64));
}

/* Plays the environments on: m->steps transitions of each, actions drawn from the policy. */
static void play(lh_ctx *c, struct ppo *m) {
    struct agent *a = &m->agent;
    float states[ENVS][CARTPOLE_STATE];
    double probs[ENVS][CARTPOLE_ACTIONS];

    for (int64_t k = 0; k < m->steps && lh_status_of(c) == LH_OK; k++) {
        lh_tensor *x;

        for (int64_t i = 0; i < ENVS; i++)
            cartpole_observe(&a->envs[i], states[i]);
        x = lh_softmax(c, forward(c, m, rows_tensor(c, states, ENVS, CARTPOLE_STATE)), 1);
        lh_read(c, lh_cast(c, x, LH_F64), probs, sizeof probs);
        for (int64_t i = 0; i < ENVS; i++) {
            struct transition *t = &m->rollout[k * ENVS + i].t;

            *t = cartpole_step(&a->envs[i], random_unit(&a->random) < probs[i][1]);
            if (t->ended != 0)
                episodes_end(&a->episodes, &a->envs[i]);
        }
    }
}

/* Fills in what the present networks say of the rollout: log-probabilities, advantages, values. */
static void judge(lh_ctx *c, struct ppo *m) {
    int64_t n = m->steps * ENVS;
    double gamma = lh_hparam(c, "gamma"), decay = gamma * lh_hparam(c, "lambda");
    lh_tensor *rows = rows_tensor(c, m->rollout, n, sizeof *m->rollout / sizeof(float));
    lh_tensor *x = COLUMN(c, rows, sample, t.state), *next = COLUMN(c, rows, sample, t.next);
    lh_tensor *told[3] = {log_prob_of(c, lh_log_softmax(c, forward(c, m, x), 1), rows),
                          mlp_apply(c, m->critic, x), mlp_apply(c, m->critic, next)};
    double(*values)[3] = malloc((size_t)n * sizeof *values);

    if (!values)
        lh_fail(c, LH_ENOMEM, "out of memory for a rollout of %lld steps", (long long)n);
    else if (lh_read(c, lh_cast(c, lh_concat(c, 1, 3, told), LH_F64), values,
                     (size_t)n * sizeof *values) == LH_OK)
        for (int64_t k = n - 1; k >= 0; k--) {
            struct sample *s = &m->rollout[k];
            double later = k + ENVS < n && s->t.ended == 0 ? (double)s[ENVS].advantage : 0;
            double follows = s->t.terminated != 0 ? 0 : gamma * values[k][2];

            s->log_prob = (float)values[k][0];
            s->advantage = (float)((double)s->t.reward + follows - values[k][1] + decay * later);
            s->value = (float)((double)s->advantage + values[k][1]);
        }
    free(values);
}

/* Fisher and Yates. */
static void shuffle(struct sample *s, int64_t n, uint64_t *random) {
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = random_below(random, i + 1);
        struct sample swap = s[i];

        s[i] = s[j];
        s[j] = swap;
    }
}

/* The next `n` samples, of a new rollout if the last one is used up. */
static lh_tensor *next_samples(lh_ctx *c, struct ppo *m, int64_t n) {
    int64_t all = m->steps * ENVS, at = m->agent.update * n % all;

    if (m->agent.update == 0) {
        int32_t grad = lh_set_grad_enabled(c, 0);

        play(c, m);
        judge(c, m);
        lh_set_grad_enabled(c, grad);
    }
    if (at == 0)
        shuffle(m->rollout, all, &m->agent.random);
    m->agent.update = (m->agent.update + 1) % (lh_hparam_int(c, "passes") * all / n);
    return rows_tensor(c, m->rollout + at, n, sizeof *m->rollout / sizeof(float));
}

/* Minus the clipped objective, half the squared error of the critic, minus some entropy. */
static lh_tensor *loss_of(lh_ctx *c, struct ppo *m, lh_tensor *rows) {
    double clip = lh_hparam(c, "clip");
    lh_tensor *x = COLUMN(c, rows, sample, t.state);
    lh_tensor *advantage = COLUMN(c, rows, sample, advantage), *deviation, *ratio, *gain, *error;
    lh_tensor *log_probs = lh_log_softmax(c, forward(c, m, x), 1), *entropy;

    deviation = lh_add_scalar(c, lh_std(c, advantage, 0, 1), 1e-8);
    advantage = lh_div(c, lh_sub(c, advantage, lh_mean_all(c, advantage)), deviation);
    ratio =
        lh_exp(c, lh_sub(c, log_prob_of(c, log_probs, rows), COLUMN(c, rows, sample, log_prob)));
    gain = lh_minimum(c, lh_mul(c, ratio, advantage),
                      lh_mul(c, lh_clamp(c, ratio, 1 - clip, 1 + clip), advantage));
    error = lh_mse_loss(c, mlp_apply(c, m->critic, x), COLUMN(c, rows, sample, value));
    entropy = lh_neg(c, lh_sum(c, lh_mul(c, lh_exp(c, log_probs), log_probs), 0, 1));
    lh_log(c, "entropy", lh_mean_all(c, entropy), LH_LOG_STEP);
    lh_log(c, "value_loss", error, LH_LOG_STEP);
    entropy = lh_mul_scalar(c, lh_mean_all(c, entropy), lh_hparam(c, "entropy"));
    return lh_sub(c, lh_sub(c, lh_mul_scalar(c, error, 0.5), lh_mean_all(c, gain)), entropy);
}

static lh_tensor *training_step(lh_ctx *c, void *self, const lh_batch *batch, int64_t batch_idx) {
    struct ppo *m = self;
    lh_tensor *loss = loss_of(c, m, next_samples(c, m, lh_hparam_int(c, "batch_size")));

    lh_log(c, "train_loss", loss, LH_LOG_STEP);
    if (episodes_log(c, &m->agent.episodes) >= lh_hparam(c, "solved"))
        lh_stop(c, "solved: mean_return has got there");
    return loss;
}

static lh_status validation_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    return lh_log_value(c, "val_return", episodes_play(c, self, forward, batch, NULL),
                        LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status test_step(lh_ctx *c, void *self, lh_batch *batch, int64_t batch_idx) {
    const char *picture = batch_idx == 0 ? "episode.png" : NULL;

    return lh_log_value(c, "test_return", episodes_play(c, self, forward, batch, picture),
                        LH_LOG_EPOCH | LH_LOG_BAR);
}

static lh_status configure_optimizers(lh_ctx *c, void *self) {
    lh_adam(c, .lr = lh_hparam(c, "lr"), .eps = 1e-5);
    return LH_OK;
}

static lh_status configure_gradient_clipping(lh_ctx *c, void *self, lh_optimizer *optimizer) {
    return lh_clip_gradients_norm(c, optimizer, 0.5);
}

static lh_status on_save_checkpoint(lh_ctx *c, void *self) {
    struct ppo *m = self;

    bytes_save(c, "rollout", m->rollout, (size_t)(m->steps * ENVS) * sizeof *m->rollout);
    return bytes_save(c, "agent", &m->agent, sizeof m->agent);
}

static lh_status on_load_checkpoint(lh_ctx *c, void *self) {
    struct ppo *m = self;

    bytes_load(c, "rollout", m->rollout, (size_t)(m->steps * ENVS) * sizeof *m->rollout);
    return bytes_load(c, "agent", &m->agent, sizeof m->agent);
}

static const lh_module module = {
    LH_SIZED(lh_module),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct ppo),
    .configure_model = configure_model,
    .configure_optimizers = configure_optimizers,
    .configure_gradient_clipping = configure_gradient_clipping,
    .forward = forward,
    .training_step = training_step,
    .validation_step = validation_step,
    .test_step = test_step,
    .on_save_checkpoint = on_save_checkpoint,
    .on_load_checkpoint = on_load_checkpoint,
};

LH_EXPORT_PLUGIN("ppo", "1.0.0", LH_KIND_MODULE | LH_KIND_DATAMODULE, .module = &module,
                 .datamodule = &episodes_data);
