/* test_plan.c - planned execution has the bits of execution call by call.
 *
 * Random programs are run by two engines that differ in nothing but whether calls are put off: many
 * operators, views, broadcasting, control flow, shapes that change, values read in the middle of a
 * step, buffers written to, several optimizers, accumulated gradients, names that end early.
 */
#include "engine/optimizer.h"
#include "engine/state.h"
#include "fixture.h"

enum { PARAMS = 4, LIVE = 24, READ = 4096 };

/* One of the two engines, and the program's numbers, which are the same in both. */
typedef struct machine {
    lh__engine *e;
    lh__error err;
    lh_tensor *params[PARAMS], *buffer;
    lh_optimizer *optimizers[2];
    uint64_t random;
    lh_tensor *live[LIVE]; /* (rows, 8) each */
    int32_t n_live;
    double read[READ]; /* everything that was looked at */
    int32_t n_read;
    int64_t rows;
} machine;

static uint32_t draw(machine *m, uint32_t n) {
    m->random = m->random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(m->random >> 33) % n;
}

static void begin(machine *m, uint64_t seed, int32_t deferred, int32_t threads) {
    const lh__engine_options o = {
        .device = "cpu", .threads = threads, .dtype = LH_F32, .seed = seed, .deferred = deferred};
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -0.4, .b = 0.4};
    const int64_t shapes[PARAMS][2] = {{8, 8}, {8, 8}, {1, 8}, {8, 1}};
    static const char *const names[PARAMS] = {"a.w", "b.w", "a.row", "b.column"};

    memset(m, 0, sizeof *m);
    m->random = seed;
    m->e = lh__engine_new(&o, &m->err);
    cr_assert_not_null(m->e, "%s", m->err.text);
    lh__engine_set_error(m->e, &m->err);
    for (int32_t i = 0; i < PARAMS; i++)
        m->params[i] = lh__param_new(m->e, names[i], 0, 2, shapes[i], &init);
    m->buffer = lh__buffer_new(m->e, "mean", 0, 1, (int64_t[]){8}, 0.5);
    cr_assert_eq(lh__params_seal(m->e), LH_OK);
    for (int32_t i = 0; i < 2; i++)
        m->optimizers[i] = lh__optimizer_new(
            m->e,
            &(lh_optimizer_options){LH_SIZED(lh_optimizer_options), .kind = i ? LH_SGD : LH_ADAM,
                                    .params = i ? "b.*" : "a.*", .lr = 0.01, .beta1 = 0.9,
                                    .beta2 = 0.999, .eps = 1e-8, .momentum = i ? 0.9 : 0});
    cr_assert(m->optimizers[0] && m->optimizers[1], "%s", m->err.text);
}

static lh_tensor *pick(machine *m) {
    return m->live[draw(m, (uint32_t)m->n_live)];
}

static void put(machine *m, lh_tensor *t) {
    int32_t at = m->n_live < LIVE ? m->n_live++ : (int32_t)draw(m, LIVE);

    cr_assert_not_null(t, "%s", m->err.text);
    m->live[at] = t;
}

static void look(machine *m, const lh_tensor *t) {
    double all[1024];
    int64_t n = values(m->e, t, all, 1024);

    for (int64_t i = 0; i < n; i++)
        m->read[m->n_read++ % READ] = all[i];
}

/* (rows, 8) from one or two of them. */
static lh_tensor *elementwise(machine *m) {
    static const uint32_t unary[] = {LH_OP_RELU,   LH_OP_TANH, LH_OP_SIGMOID, LH_OP_GELU, LH_OP_NEG,
                                     LH_OP_SQUARE, LH_OP_SIN,  LH_OP_ABS,     LH_OP_SILU};
    static const uint32_t binary[] = {LH_OP_ADD, LH_OP_SUB, LH_OP_MUL, LH_OP_MAXIMUM};
    lh_tensor *x = pick(m);

    switch (draw(m, 5)) {
    case 0:
        return call(m->e, LH_OP_MUL_SCALAR, TENSORS(x), NONE,
                    REALS((double)draw(m, 100) / 100)); /* another number at each step */
    case 1:
        return call(m->e, LH_OP_ADD, TENSORS(x, m->params[2]), NONE, NONE);
    case 2:
        return call(m->e, LH_OP_WHERE,
                    TENSORS(call(m->e, LH_OP_GT, TENSORS(x, pick(m)), NONE, NONE), x, pick(m)),
                    NONE, NONE);
    case 3:
        return call(m->e, binary[draw(m, 4)], TENSORS(x, pick(m)), NONE, NONE);
    default:
        return call(m->e, unary[draw(m, 9)], TENSORS(x), NONE, NONE);
    }
}

/* Taken apart, and put together otherwise; a column may be left out or taken twice. */
static lh_tensor *in_parts(machine *m, lh_tensor *x) {
    int64_t end = 1 + draw(m, 7), begin = draw(m, 3) ? end : draw(m, 8);
    lh_tensor *a = call(m->e, LH_OP_SLICE, TENSORS(x), INTS(1, 0, end, 1), NONE);
    lh_tensor *b = call(m->e, LH_OP_SLICE, TENSORS(x), INTS(1, begin, 8, 1), NONE);

    if (draw(m, 2))
        a = call(m->e, LH_OP_TANH, TENSORS(a), NONE, NONE);
    a = call(m->e, LH_OP_CONCAT, TENSORS(b, a, x), INTS(1), NONE);
    return call(m->e, LH_OP_SLICE, TENSORS(a), INTS(1, 0, 8, 1), NONE);
}

/* Columns [begin, end) as the only head of one sequence. */
static lh_tensor *head(machine *m, lh_tensor *x, int64_t begin, int64_t end) {
    x = call(m->e, LH_OP_SLICE, TENSORS(x), INTS(1, begin, end, 1), NONE);
    return call(m->e, LH_OP_RESHAPE, TENSORS(x), INTS(1, 1, -1, end - begin), NONE);
}

/* Rows attend to those before, x being queries, keys and values side by side. */
static lh_tensor *attention(machine *m, lh_tensor *x) {
    lh_tensor *y =
        call(m->e, LH_OP_ATTENTION, TENSORS(head(m, x, 0, 2), head(m, x, 2, 4), head(m, x, 4, 8)),
             INTS(1), REALS(0, draw(m, 2) ? 0.2 : 0));

    y = call(m->e, LH_OP_RESHAPE, TENSORS(y), INTS(-1, 4), NONE);
    return call(m->e, LH_OP_CONCAT, TENSORS(y, y), INTS(1), NONE);
}

static lh_tensor *other(machine *m) {
    lh_tensor *x = pick(m), *y;

    switch (draw(m, 11)) {
    case 0:
        return call(m->e, LH_OP_LINEAR, TENSORS(x, m->params[draw(m, 2)]), NONE, NONE);
    case 1:
        return call(m->e, LH_OP_MATMUL, TENSORS(x, m->params[draw(m, 2)]), NONE, NONE);
    case 2:
        return call(m->e, LH_OP_SOFTMAX, TENSORS(x), INTS(1), NONE);
    case 3:
        return call(m->e, LH_OP_DROPOUT, TENSORS(x), NONE, REALS(0.3));
    case 4: /* a mean per column, broadcast back */
        y = call(m->e, LH_OP_MEAN, TENSORS(x), INTS(1, 0), NONE);
        return call(m->e, LH_OP_SUB, TENSORS(x, y), NONE, NONE);
    case 5: /* by way of a permuted view, and a part of it */
        y = call(m->e, LH_OP_PERMUTE, TENSORS(x), INTS(1, 0), NONE);
        y = call(m->e, LH_OP_MATMUL, TENSORS(y, pick(m)), NONE, NONE);
        return call(m->e, LH_OP_MATMUL, TENSORS(x, y), NONE, NONE);
    case 6:
        y = call(m->e, LH_OP_SLICE, TENSORS(x), INTS(1, 0, 4, 1), NONE);
        return call(m->e, LH_OP_CONCAT,
                    TENSORS(y, call(m->e, LH_OP_SLICE, TENSORS(pick(m)), INTS(1, 4, 8, 1), NONE)),
                    INTS(1), NONE);
    case 7:
        y = call(m->e, LH_OP_RESHAPE, TENSORS(x), INTS(-1, 4), NONE);
        y = call(m->e, LH_OP_EXP, TENSORS(call(m->e, LH_OP_NEG, TENSORS(y), NONE, NONE)), NONE,
                 NONE);
        return call(m->e, LH_OP_RESHAPE, TENSORS(y), INTS(-1, 8), NONE);
    case 8:
        return in_parts(m, x);
    case 9:
        return attention(m, x);
    default:
        return call(m->e, LH_OP_LAYER_NORM, TENSORS(x), INTS(1), REALS(1e-5));
    }
}

/* What splits a step: something is looked at, or written to. */
static void interrupt(machine *m) {
    lh_tensor *x = pick(m), *sum = call(m->e, LH_OP_MEAN, TENSORS(x), INTS(0), NONE);

    switch (draw(m, 4)) {
    case 0:
        look(m, sum);
        if (m->read[(m->n_read - 1) % READ] > 0.1) /* control flow by a value */
            put(m, elementwise(m));
        break;
    case 1: {
        int32_t was = lh__set_grad_enabled(m->e, 0);
        lh_tensor *mean = call(m->e, LH_OP_MEAN, TENSORS(x), INTS(0, 0), NONE);

        cr_assert_eq(lh__tensor_assign(m->e, m->buffer, mean), LH_OK);
        lh__set_grad_enabled(m->e, was);
        break;
    }
    case 2:
        put(m, call(m->e, LH_OP_ADD, TENSORS(x, m->buffer), NONE, NONE));
        break;
    default:
        look(m, x);
    }
}

/* With or without clipping, and hanging on the loss and on a number that may be infinite. */
static void update(machine *m, lh_optimizer *opt, lh_tensor *loss) {
    lh__terms terms = {.scale = draw(m, 2) ? 1 : 0.25, .max_norm = draw(m, 2) ? 0.25 : 0};

    if (draw(m, 2))
        terms.guards[0] = loss;
    if (draw(m, 4) == 0)
        terms.guards[1] = call(m->e, LH_OP_MUL_SCALAR, TENSORS(loss), NONE, REALS(INFINITY));
    cr_assert_eq(lh__optimizer_step(opt, &terms), LH_OK, "%s", m->err.text);
}

static void train(machine *m, uint64_t step) {
    lh_tensor *loss =
        call(m->e, LH_OP_MEAN, TENSORS(call(m->e, LH_OP_TANH, TENSORS(pick(m)), NONE, NONE)),
             INTS(0), NONE);
    lh_tensor *w = call(m->e, LH_OP_MEAN, TENSORS(m->params[0]), INTS(0), NONE);
    lh_tensor *b = call(m->e, LH_OP_MEAN, TENSORS(m->params[1]), INTS(0), NONE);

    loss = call(m->e, LH_OP_ADD, TENSORS(loss, w), NONE, NONE);
    loss = call(m->e, LH_OP_ADD, TENSORS(loss, b), NONE, NONE);
    lh__hold(m->e, loss);
    if (draw(m, 2))
        lh__names_end(m->e);
    if (draw(m, 4) == 0) {
        lh_tensor *g = lh__grad_of(m->e, loss, m->live[1], 0);

        if (g)
            look(m, g);
        m->err.code = LH_OK; /* the loss may not depend on it */
    }
    if (step % 3 != 1)
        lh__params_zero_grad(m->e); /* else they add up */
    if (draw(m, 3) == 0)
        look(m, loss); /* before the gradients, as a hook may */
    cr_assert_eq(lh__backward(m->e, loss, draw(m, 2) ? 1 : 0.5, 0), LH_OK, "%s", m->err.text);
    if (draw(m, 2))
        lh__graph_end(m->e);
    if (draw(m, 2))
        lh__clip_grad_norm(m->e, NULL, 0.5);
    for (int32_t i = 0; i < 2; i++)
        if (draw(m, 3))
            update(m, m->optimizers[i], loss);
    look(m, loss);
}

/* One step; `shape` of them repeats every few steps, so that plans are replayed. */
static void run_step(machine *m, uint64_t seed, uint64_t step, const float *data) {
    const uint64_t kind = step % 3;
    int64_t shape[2] = {m->rows = kind == 2 ? 5 : 12, 8};
    uint32_t ops;

    m->random = seed * 1000003 + kind;
    lh__step_begin(m->e, LH__PHASE_TRAIN, step);
    m->n_live = 0;
    put(m, lh__tensor_wrap(m->e, LH_F32, 2, shape, data + draw(m, 8)));
    put(m, call(m->e, LH_OP_LINEAR, TENSORS(m->live[0], m->params[0]), NONE, NONE));
    ops = 4 + draw(m, 30);
    for (uint32_t i = 0; i < ops; i++)
        if (draw(m, 12) == 0)
            interrupt(m);
        else
            put(m, draw(m, 3) ? elementwise(m) : other(m));
    train(m, step);
}

static void compare(const machine *a, const machine *b, uint64_t seed) {
    cr_assert_eq(a->n_read, b->n_read);
    cr_assert_arr_eq(a->read, b->read, sizeof a->read, "seed %llu", (unsigned long long)seed);
    for (int32_t i = 0; i < PARAMS; i++)
        cr_assert_arr_eq(a->params[i]->view.data, b->params[i]->view.data,
                         (size_t)lh__view_numel(&a->params[i]->view) * sizeof(float),
                         "parameter %d, seed %llu", i, (unsigned long long)seed);
    cr_assert_arr_eq(a->buffer->view.data, b->buffer->view.data, 8 * sizeof(float));
}

Test(plan, random_programs_have_the_same_bits) {
    float data[256];

    for (int i = 0; i < 256; i++)
        data[i] = (float)((unsigned)i * 2654435761u >> 8) / (float)(1 << 24) - 0.5f;
    for (uint64_t seed = 1; seed <= 150; seed++) {
        machine planned, plain;

        begin(&planned, seed, 1, 1 + (int32_t)(seed % 2));
        begin(&plain, seed, 0, 1);
        for (uint64_t step = 0; step < 9; step++) {
            run_step(&planned, seed, step, data);
            run_step(&plain, seed, step, data);
        }
        lh__settle(planned.e);
        compare(&planned, &plain, seed);
        cr_assert_gt(planned.e->plans.replayed, 0);
        lh__engine_free(planned.e);
        lh__engine_free(plain.e);
    }
}

/* A step of y = relu(x w + row) relu(x w), whose results are looked at or not. */
static lh__plan *plan_of(machine *m, int32_t keeps, const float *data) {
    lh_tensor *x, *y, *z;

    lh__step_begin(m->e, LH__PHASE_TRAIN, 1);
    x = lh__tensor_wrap(m->e, LH_F32, 2, (int64_t[]){16, 8}, data);
    y = call(m->e, LH_OP_LINEAR, TENSORS(x, m->params[0]), NONE, NONE);
    z = call(m->e, LH_OP_ADD, TENSORS(y, m->params[2]), NONE, NONE);
    z = call(m->e, LH_OP_RELU, TENSORS(z), NONE, NONE);
    call(m->e, LH_OP_EXP, TENSORS(y), NONE, NONE); /* nobody's */
    z = call(m->e, LH_OP_MUL, TENSORS(z, call(m->e, LH_OP_RELU, TENSORS(y), NONE, NONE)), NONE,
             NONE);
    z = call(m->e, LH_OP_MEAN, TENSORS(z), INTS(0), NONE);
    lh__hold(m->e, z);
    if (!keeps)
        lh__names_end(m->e);
    lh__set_grad_enabled(m->e, 1);
    cr_assert_eq(lh__settle(m->e), LH_OK);
    return m->e->plans.plans[0];
}

Test(plan, leaves_out_joins_and_shares_memory) {
    float data[128] = {0};
    machine m;
    const lh__plan *p;

    begin(&m, 1, 1, 1);
    lh__set_grad_enabled(m.e, 0);
    p = plan_of(&m, 0, data);
    cr_expect_eq(p->n_calls, 7);
    cr_expect_eq(p->n_dropped, 1);
    cr_expect_geq(p->n_joined, 2);
    cr_expect_lt(p->bytes, p->stored);
    lh__engine_free(m.e);
}

/* A product's ways are taken in turn until one is chosen; the bits are those of any. */
Test(plan, finds_the_fastest_way) {
    enum { SIDE = 128, RUNS = 16 };
    static float a[SIDE * SIDE], first[SIDE * SIDE], y[SIDE * SIDE];
    const int64_t shape[] = {SIDE, SIDE};
    const lh__launch *l;
    machine m;

    for (int i = 0; i < SIDE * SIDE; i++)
        a[i] = (float)(i * 7919 % 1024) / 1024;
    begin(&m, 1, 1, 2);
    for (uint64_t run = 0; run < RUNS; run++) {
        lh_tensor *x, *product;

        lh__step_begin(m.e, LH__PHASE_TRAIN, run);
        x = lh__tensor_wrap(m.e, LH_F32, 2, shape, a);
        product = call(m.e, LH_OP_MATMUL, TENSORS(x, x), NONE, NONE);
        cr_assert_eq(lh__tensor_read(m.e, product, run ? y : first, sizeof y), LH_OK);
        cr_assert(!run || memcmp(first, y, sizeof y) == 0, "run %llu", (unsigned long long)run);
    }
    l = m.e->plans.plans[0]->launches;
    cr_assert_eq(m.e->plans.plans[0]->n_launches, 1);
    cr_expect_eq(l->trial.ways, 0);
    if (m.e->device->ways(&l->call) == 0) /* OpenBLAS takes all products */
        return;
    cr_assert(l->trial.runs < RUNS && l->call.way >= 1 && l->call.way <= 2);
    cr_expect_leq(l->trial.fastest[l->call.way - 1], l->trial.fastest[2 - l->call.way]);
    lh__engine_free(m.e);
}

Test(plan, what_has_a_name_is_kept) {
    float data[128] = {0};
    machine m;

    begin(&m, 1, 1, 1);
    lh__set_grad_enabled(m.e, 0);
    cr_expect_eq(plan_of(&m, 1, data)->n_dropped, 0);
    lh__engine_free(m.e);
}

Test(plan, a_tensor_whose_step_is_over_is_refused) {
    float data[128] = {0};
    machine m;
    lh_tensor *x, *y;

    begin(&m, 1, 1, 1);
    x = lh__tensor_wrap(m.e, LH_F32, 2, (int64_t[]){16, 8}, data);
    y = call(m.e, LH_OP_RELU, TENSORS(x), NONE, NONE);
    lh__names_end(m.e);
    lh__settle(m.e);
    cr_expect_null(call(m.e, LH_OP_NEG, TENSORS(y), NONE, NONE));
    cr_expect_eq(m.err.code, LH_ESTATE);
    cr_expect_not_null(strstr(m.err.text, "of a step that is over"), "%s", m.err.text);
    m.err.code = LH_OK;
    cr_expect(isnan(lh__item(m.e, call(m.e, LH_OP_MEAN, TENSORS(x), INTS(0), NONE))) == 0);
    lh__engine_free(m.e);
}

/* Positions that pooling found need no look at them, which would end the plan; those that the
 * author made do. */
Test(plan, pooling_does_not_end_it) {
    float data[64];
    machine m;
    lh_tensor *x, *y;

    for (int i = 0; i < 64; i++)
        data[i] = (float)(i * 37 % 64);
    begin(&m, 1, 1, 1);
    x = lh__tensor_wrap(m.e, LH_F32, 4, (int64_t[]){1, 1, 8, 8}, data);
    y = call(m.e, LH_OP_MAX_POOL, TENSORS(call(m.e, LH_OP_RELU, TENSORS(x), NONE, NONE)),
             INTS(2, 2, 2, 2, 0, 0, 1, 1, 0), NONE);
    cr_assert_not_null(y, "%s", m.err.text);
    cr_expect_eq(m.e->plans.made, 0);
    cr_expect_eq(lh__item(m.e, call(m.e, LH_OP_AMAX, TENSORS(y), INTS(0), NONE)), 63);
    cr_expect_eq(m.e->plans.made, 1);
    y = call(m.e, LH_OP_ARGMAX, TENSORS(x), INTS(3, 1), NONE);
    y = call(m.e, LH_OP_GATHER, TENSORS(x, y), INTS(3), NONE);
    cr_assert_not_null(y, "%s", m.err.text);
    cr_expect_eq(m.e->plans.made, 2);
    lh__engine_free(m.e);
}

Test(plan, more_streams_than_plans_are_kept) {
    float data[4096] = {0};
    machine m;

    begin(&m, 1, 1, 1);
    for (int round = 0; round < 3; round++)
        for (int64_t rows = 1; rows <= 2 * LH__PLANS; rows++) {
            lh_tensor *x;

            lh__step_begin(m.e, LH__PHASE_TRAIN, 1);
            x = lh__tensor_wrap(m.e, LH_F32, 2, (int64_t[]){rows, 8}, data);
            cr_assert_eq(lh__item(m.e, call(m.e, LH_OP_SUM, TENSORS(x), INTS(0), NONE)), 0);
        }
    cr_expect_eq(m.e->plans.replayed, 0);
    cr_expect_eq(m.e->plans.made, 6 * LH__PLANS);
    lh__engine_free(m.e);
}
