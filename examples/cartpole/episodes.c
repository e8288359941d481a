/* episodes.c - see episodes.h. */
#include "episodes.h"

#include "picture/picture.h"

enum { PLAYED = 100, AT_ONCE = 20, TEST = 1000 }; /* episodes; TEST: number of the first tested */
enum { FRAMES = CARTPOLE_LIMIT / 25, HEIGHT = 64, WIDTH = 96 };

/* ---- Data. */

struct numbers {
    lh_dataset *train, *val, *test;
};

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_INT("steps", 1000, 1, 1000000000, "training steps that are called an epoch"),
};

static lh_status number(void *user, int64_t index, void *const *fields) {
    *(int64_t *)fields[0] = *(const int64_t *)user + index;
    return LH_OK;
}

static lh_dataset *numbers(lh_ctx *c, int64_t first, int64_t n) {
    int64_t *user = lh_alloc(c, sizeof *user);

    if (!user)
        return NULL;
    *user = first;
    return lh_dataset_map(c, .length = n, .get_item = number, .user = user, .n_fields = 1,
                          .fields = (const lh_field[]){LH_FIELD(LH_I64, 0, 0)});
}

static lh_status setup(lh_ctx *c, void *self, int32_t stage) {
    struct numbers *s = self;

    s->train = numbers(c, 0, lh_hparam_int(c, "steps"));
    s->val = numbers(c, 0, PLAYED);
    s->test = numbers(c, TEST, PLAYED);
    return LH_OK;
}

static lh_status train_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = ((struct numbers *)self)->train, .batch_size = 1,
                     .num_workers = 0);
}

static lh_status val_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = ((struct numbers *)self)->val, .batch_size = AT_ONCE,
                     .num_workers = 0);
}

static lh_status test_dataloader(lh_ctx *c, void *self) {
    return lh_loader(c, .dataset = ((struct numbers *)self)->test, .batch_size = AT_ONCE,
                     .num_workers = 0);
}

const lh_datamodule episodes_data = {
    LH_SIZED(lh_datamodule),
    LH_HPARAMS(hparams),
    .state_size = sizeof(struct numbers),
    .setup = setup,
    .train_dataloader = train_dataloader,
    .val_dataloader = val_dataloader,
    .test_dataloader = test_dataloader,
};

/* ---- Returns. */

void episodes_end(struct episodes *e, struct cartpole *env) {
    e->returns[e->count++ % EPISODES_MEAN] = env->total;
    cartpole_reset(env);
}

double episodes_log(lh_ctx *c, const struct episodes *e) {
    int64_t n = e->count < EPISODES_MEAN ? e->count : EPISODES_MEAN;
    double mean = 0;

    if (n == 0)
        return NAN;
    for (int64_t i = 0; i < n; i++)
        mean += e->returns[i] / (double)n;
    lh_log_value(c, "episode_return", e->returns[(e->count - 1) % EPISODES_MEAN], LH_LOG_STEP);
    lh_log_value(c, "mean_return", mean, LH_LOG_STEP | LH_LOG_BAR);
    return n < EPISODES_MEAN ? NAN : mean;
}

/* ---- Playing. */

/* Draws every 25th step of an episode; the number of images up to now. */
static int64_t film(const struct cartpole *env, float *frames) {
    if (frames && env->steps % 25 == 0)
        cartpole_draw(env, HEIGHT, WIDTH, frames + env->steps / 25 * HEIGHT * WIDTH);
    return env->steps / 25 + 1;
}

double episodes_play(lh_ctx *c, void *self, lh_tensor *(*forward)(lh_ctx *, void *, lh_tensor *),
                     const lh_batch *batch, const char *picture) {
    int64_t n = lh_batch_size(c, batch), which[AT_ONCE] = {0}, actions[AT_ONCE], left = n,
            drawn = 0;
    float *frames = picture ? lh_alloc(c, sizeof(float) * FRAMES * HEIGHT * WIDTH) : NULL;
    int32_t grad;
    struct cartpole envs[AT_ONCE];
    float states[AT_ONCE][CARTPOLE_STATE];
    double total = 0;
    int ended[AT_ONCE] = {0};

    if (n > AT_ONCE) {
        lh_fail(c, LH_EINVAL, "%lld episodes in a batch: %d are the most", (long long)n, AT_ONCE);
        return NAN;
    }
    grad = lh_set_grad_enabled(c, 0);
    lh_read(c, lh_batch_get(c, batch, 0), which, (uint64_t)n * sizeof *which);
    for (int64_t i = 0; i < n; i++)
        envs[i] = cartpole_make(random_start(which[i], 2));
    while (left > 0 && lh_status_of(c) == LH_OK) {
        for (int64_t i = 0; i < n; i++)
            cartpole_observe(&envs[i], states[i]);
        if (!ended[0])
            drawn = film(&envs[0], frames);
        lh_read(c, lh_argmax(c, forward(c, self, rows_tensor(c, states, n, CARTPOLE_STATE)), 1),
                actions, (uint64_t)n * sizeof *actions);
        for (int64_t i = 0; i < n; i++)
            if (!ended[i] && cartpole_step(&envs[i], actions[i]).ended != 0) {
                ended[i] = 1;
                total += envs[i].total;
                left--;
            }
    }
    if (frames)
        picture_save(c, picture, lh_tensor_of(c, LH_F32, frames, drawn, HEIGHT, WIDTH), 5);
    lh_set_grad_enabled(c, grad);
    return left > 0 ? NAN : total / (double)n;
}

/* ---- Tensors and state. */

lh_tensor *rows_tensor(lh_ctx *c, const void *rows, int64_t n, int64_t width) {
    return lh_tensor_of(c, LH_F32, rows, n, width);
}

lh_status bytes_save(lh_ctx *c, const char *key, const void *data, size_t size) {
    return lh_state_put_tensor(c, key, lh_tensor_of(c, LH_U8, data, (int64_t)size));
}

lh_status bytes_load(lh_ctx *c, const char *key, void *data, size_t size) {
    lh_tensor *saved = lh_state_get_tensor(c, key);

    if (!saved || lh_numel(c, saved) != (int64_t)size)
        return lh_fail(c, LH_ECORRUPT,
                       "the checkpoint's \"%s\" has %lld bytes, not %zu: go on with the "
                       "hyper-parameters that it was made with",
                       key, (long long)lh_numel(c, saved), size);
    return lh_read(c, saved, data, size);
}
