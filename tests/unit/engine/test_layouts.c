/* test_layouts.c - values whose channels a plan puts last have the bits of execution call by call.
 *
 * Random networks of convolutions, normalization and what comes between are trained by two engines
 * that differ in nothing but whether calls are put off. Values are looked at, reshaped, and read by
 * operators that know no other layout than their own.
 */
#include "engine/optimizer.h"
#include "engine/state.h"
#include "fixture.h"
#include "kernels/view.h"

enum { LIVE = 12, READ = 1 << 15, N = 2, C = 20, H = 5, W = 7, NUMEL = N * C * H * W };

static const int64_t images[] = {N, C, H, W};

typedef struct machine {
    lh__engine *e;
    lh__error err;
    lh_tensor *conv3, *conv1, *weight, *bias, *scale, *mean, *var, *count;
    lh_optimizer *optimizer;
    uint64_t random;
    lh_tensor *live[LIVE]; /* of one shape */
    int32_t n_live;
    double read[READ]; /* everything that was looked at */
    int32_t n_read;
} machine;

static uint32_t draw(machine *m, uint32_t n) {
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33) % n;
}

static lh_tensor *param(machine *m, const char *name, int32_t ndim, const int64_t *shape) {
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -0.2, .b = 0.2};

    return lh__param_new(m->e, name, 0, ndim, shape, &init);
}

static void begin(machine *m, uint64_t seed, int32_t deferred, int32_t threads) {
    const lh__engine_options o = {
        .device = "cpu", .threads = threads, .dtype = LH_F32, .seed = seed, .deferred = deferred};

    memset(m, 0, sizeof *m);
    m->e = lh__engine_new(&o, &m->err);
    cr_assert_not_null(m->e, "%s", m->err.text);
    lh__engine_set_error(m->e, &m->err);
    m->conv3 = param(m, "conv3", 4, (int64_t[]){C, C, 3, 3});
    m->conv1 = param(m, "conv1", 4, (int64_t[]){C, C, 1, 1});
    m->weight = param(m, "weight", 1, (int64_t[]){C});
    m->bias = param(m, "bias", 1, (int64_t[]){C});
    m->scale = param(m, "scale", 3, (int64_t[]){C, 1, 1});
    m->mean = lh__buffer_new(m->e, "mean", 0, 1, (int64_t[]){C}, 0);
    m->var = lh__buffer_new(m->e, "var", 0, 1, (int64_t[]){C}, 1);
    m->count = lh__buffer_new(m->e, "count", LH_I64, 0, NULL, 0);
    cr_assert_eq(lh__params_seal(m->e), LH_OK);
    m->optimizer = lh__optimizer_new(
        m->e, &(lh_optimizer_options){LH_SIZED(lh_optimizer_options), .kind = LH_SGD, .lr = 0.05});
    cr_assert_not_null(m->optimizer, "%s", m->err.text);
}

static lh_tensor *pick(machine *m) {
    return m->live[draw(m, (uint32_t)m->n_live)];
}

static void put(machine *m, lh_tensor *t) {
    cr_assert_not_null(t, "%s", m->err.text);
    m->live[m->n_live < LIVE ? m->n_live++ : (int32_t)draw(m, LIVE)] = t;
}

static void look(machine *m, const lh_tensor *t) {
    double all[NUMEL];
    int64_t n = values(m->e, t, all, NUMEL);

    for (int64_t i = 0; i < n; i++)
        m->read[m->n_read++ % READ] = all[i];
}

static lh_tensor *convolution(machine *m, lh_tensor *x) {
    static const int64_t three[] = {1, 1, 1, 1, 1, 1, 1}, one[] = {1, 1, 0, 0, 1, 1, 1};
    static const int64_t back[] = {1, 1, 1, 1, 0, 0, 1, 1, 1};

    switch (draw(m, 4)) {
    case 0:
        return call(m->e, LH_OP_CONV_TRANSPOSE, TENSORS(x, m->conv3), 9, back, NONE);
    case 1:
        return call(m->e, LH_OP_CONV, TENSORS(x, m->conv1, m->bias), 7, one, NONE);
    default:
        return call(m->e, LH_OP_CONV, TENSORS(x, m->conv3), 7, three, NONE);
    }
}

static lh_tensor *centred(machine *m, lh_tensor *x) {
    lh_tensor *mean = call(m->e, LH_OP_MEAN, TENSORS(x), INTS(1, 2, 3), NONE);

    return call(m->e, LH_OP_SUB, TENSORS(x, mean), NONE, NONE);
}

/* Elementwise, but for the mean of the channels, and pooling that keeps the shape. */
static lh_tensor *between(machine *m) {
    static const uint32_t unary[] = {LH_OP_RELU, LH_OP_TANH, LH_OP_SQUARE, LH_OP_GELU};
    static const int64_t pool[] = {3, 3, 1, 1, 1, 1, 1, 1, 0};
    lh_tensor *x = pick(m);

    switch (draw(m, 10)) {
    case 0:
        return call(m->e, LH_OP_MUL, TENSORS(x, m->scale), NONE, NONE);
    case 1:
    case 2:
        return call(m->e, LH_OP_ADD, TENSORS(x, pick(m)), NONE, NONE);
    case 3:
        return call(m->e, LH_OP_DROPOUT, TENSORS(x), NONE, REALS(0.2));
    case 4:
        return centred(m, x);
    case 5:
        return call(m->e, LH_OP_MAX_POOL, TENSORS(x), 9, pool, NONE);
    default:
        return call(m->e, unary[draw(m, 4)], TENSORS(x), NONE, NONE);
    }
}

/* In other shapes: planes as rows, images as rows, other channels, positions first. */
static lh_tensor *reshaped(machine *m) {
    static const int64_t shapes[3][4] = {{N, C, H * W, 1}, {N, 1, C * H, W}, {1, N * C, H, W}};
    lh_tensor *x = pick(m);
    uint32_t kind = draw(m, 4);

    if (kind == 3) {
        x = call(m->e, LH_OP_PERMUTE, TENSORS(x), INTS(0, 2, 3, 1), NONE);
        x = call(m->e, LH_OP_TANH, TENSORS(x), NONE, NONE);
        return call(m->e, LH_OP_PERMUTE, TENSORS(x), INTS(0, 3, 1, 2), NONE);
    }
    x = call(m->e, LH_OP_RESHAPE, TENSORS(x), 4, shapes[kind], NONE);
    x = centred(m, x);
    return call(m->e, LH_OP_RESHAPE, TENSORS(x), 4, images, NONE);
}

static void run_step(machine *m, uint64_t seed, uint64_t step, const float *data) {
    lh_tensor *loss;
    uint32_t ops;

    m->random = seed * 1000003 + step % 2;
    lh__step_begin(m->e, LH__PHASE_TRAIN, step);
    m->n_live = 0;
    put(m, lh__tensor_wrap(m->e, LH_F32, 4, images, data));
    put(m, convolution(m, pick(m)));
    ops = 4 + draw(m, 14);
    for (uint32_t i = 0; i < ops; i++)
        switch (draw(m, 12)) {
        case 0:
            look(m, pick(m));
            break;
        case 1:
            put(m, reshaped(m));
            break;
        case 2:
        case 3:
        case 4:
            put(m, call(m->e, LH_OP_BATCH_NORM,
                        TENSORS(pick(m), m->weight, m->bias, m->mean, m->var, m->count), NONE,
                        REALS(1e-5, 0.1)));
            break;
        case 5:
        case 6:
        case 7:
            put(m, convolution(m, pick(m)));
            break;
        default:
            put(m, between(m));
        }
    loss = convolution(m, m->live[m->n_live - 1]);
    loss = call(m->e, LH_OP_TANH, TENSORS(loss), NONE, NONE);
    loss = call(m->e, LH_OP_MEAN, TENSORS(loss), INTS(0), NONE);
    lh__hold(m->e, loss);
    lh__names_end(m->e);
    lh__params_zero_grad(m->e);
    cr_assert_eq(lh__backward(m->e, loss, 1, 0), LH_OK, "%s", m->err.text);
    lh__graph_end(m->e);
    cr_assert_eq(lh__optimizer_step(m->optimizer, &(lh__terms){.scale = 1}), LH_OK, "%s",
                 m->err.text);
    look(m, loss);
}

/* Launches whose result has its channels last. */
static int count_last(const machine *m) {
    int n = 0;

    for (int32_t i = 0; i < LH__PLANS && m->e->plans.plans[i]; i++)
        for (int64_t k = 0; k < m->e->plans.plans[i]->n_launches; k++) {
            const lh__launch *l = &m->e->plans.plans[i]->launches[k];
            const lh__view *y = l->kernel ? l->call.out : l->chain.links[0].call.out;

            n += !lh__view_is_contiguous(y) && lh__view_is_channels_last(y);
        }
    return n;
}

Test(layouts, random_networks_have_the_same_bits) {
    static float data[NUMEL];
    static machine planned, plain;
    int last = 0;

    for (int i = 0; i < NUMEL; i++)
        data[i] = (float)((unsigned)i * 2654435761u >> 8) / (float)(1 << 24) - 0.5f;
    for (uint64_t seed = 1; seed <= 300; seed++) {
        begin(&planned, seed, 1, 1 + (int32_t)(seed % 2));
        begin(&plain, seed, 0, 1);
        for (uint64_t step = 0; step < 4; step++) {
            run_step(&planned, seed, step, data);
            run_step(&plain, seed, step, data);
        }
        lh__settle(planned.e);
        cr_assert_eq(planned.n_read, plain.n_read);
        cr_assert_arr_eq(planned.read, plain.read, sizeof plain.read, "seed %llu",
                         (unsigned long long)seed);
        cr_assert_arr_eq(planned.conv3->view.data, plain.conv3->view.data,
                         C * C * 9 * sizeof(float), "seed %llu", (unsigned long long)seed);
        last += count_last(&planned);
        lh__engine_free(planned.e);
        lh__engine_free(plain.e);
    }
    cr_assert_gt(last, 200);
}
