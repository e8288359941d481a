/* test_double_backward.c - gradients of gradients against central differences, in f64 on `ref`.
 *
 * For every case of cases.c and every input x of it: with s = <v, d L / dx>, made with
 * create_graph, for L = sum(r (y + y^2 / 2)) and random r, v, and a random direction w of all
 * inputs z together,
 *   (s(z + h w) - s(z - h w)) / 2h  ->  <d s / dz, w>.
 * The square makes the gradient operators' g depend on z too. Then what double backward is for:
 * penalties on the gradient of a critic.
 */
#include "cases.h"
#include "fixture.h"
#include "kernels/view.h"

enum { ROOM = 8192 };
static const double h = 1e-5, tolerance = 2e-7;

/* Operators whose gradient can't be derived once more, and why. */
static const struct {
    uint32_t op;
    const char *reason;
} absent[] = {
    {LH_OP_PROD, "no division: elements may be 0"},
    {LH_OP_RNN, "one kernel goes back through all steps"},
    {LH_OP_LSTM, "likewise"},
    {LH_OP_GRU, "likewise"},
};

enum { N_ABSENT = sizeof absent / sizeof *absent };

static int64_t absent_at(uint32_t op) {
    for (int64_t i = 0; i < N_ABSENT; i++)
        if (absent[i].op == op)
            return i;
    return -1;
}

/* A case and the random weights; input `derived` is x. */
typedef struct check {
    lh__engine *e;
    const op_case *c;
    int32_t layout, derived;
    double r[ROOM], v[ROOM], w[LH__MAX_INPUTS][ROOM];
} check;

static void draw(double *x, uint64_t which) {
    for (uint64_t i = 0; i < ROOM; i++)
        x[i] = lh__philox_normal((lh__philox_key){42, which, 0}, i);
}

static lh_tensor *dot(lh__engine *e, lh_tensor *t, const double *weights) {
    lh_tensor *w;

    if (!t)
        return NULL;
    cr_assert_leq(lh__view_numel(&t->view), ROOM);
    w = lh__tensor_new(e, LH_F64, t->view.ndim, t->view.shape, weights);
    return call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_MUL, TENSORS(t, w), NONE, NONE)), INTS(0),
                NONE);
}

static lh_tensor *with_square(lh__engine *e, lh_tensor *y) {
    lh_tensor *half = call(e, LH_OP_MUL_SCALAR, TENSORS(y), NONE, REALS(0.5));

    return call(e, LH_OP_ADD, TENSORS(y, call(e, LH_OP_MUL, TENSORS(y, half), NONE, NONE)), NONE,
                NONE);
}

/* s in a new step, at z + by w. */
static lh_tensor *gradient_dot(const check *k, double by, lh_tensor **in) {
    lh_tensor *loss, *g;

    lh__step_begin(k->e, LH__PHASE_TRAIN, 5);
    for (int32_t i = 0; i < k->c->n_in; i++) {
        in[i] = case_input_new(k->e, k->c, i, LH_F64, (uint64_t)(k->c - cases), k->layout);
        in[i]->requires_grad = case_has_gradient(k->c, i);
        for (int64_t j = 0; in[i]->requires_grad && j < lh__view_numel(&in[i]->view); j++)
            ((double *)in[i]->view.data)[lh__view_offset(&in[i]->view, j)] += by * k->w[i][j];
    }
    loss = dot(k->e, with_square(k->e, case_call(k->e, k->c, in)), k->r);
    g = loss ? lh__grad_of(k->e, loss, in[k->derived], 1) : NULL;
    return dot(k->e, g, k->v);
}

/* s + 0 z: keeps z in the graph where s doesn't depend on it. */
static lh_tensor *plus_nothing(lh__engine *e, lh_tensor *s, lh_tensor *z) {
    lh_tensor *zero = call(e, LH_OP_MUL_SCALAR, TENSORS(z), NONE, REALS(0));

    zero = call(e, LH_OP_SUM, TENSORS(zero), INTS(0), NONE);
    return call(e, LH_OP_ADD, TENSORS(s, zero), NONE, NONE);
}

/* <d s / dz, w>; NAN on an error. */
static double analytic(const check *k) {
    static double got[ROOM];
    lh_tensor *in[LH__MAX_INPUTS], *s = gradient_dot(k, 0.0, in);
    double sum = 0.0;

    for (int32_t i = 0; i < k->c->n_in; i++) {
        lh_tensor *g;
        int64_t n;

        if (!case_has_gradient(k->c, i))
            continue;
        g = lh__grad_of(k->e, plus_nothing(k->e, s, in[i]), in[i], 0);
        if (!g)
            return NAN;
        n = values(k->e, g, got, ROOM);
        for (int64_t j = 0; j < n; j++)
            sum += got[j] * k->w[i][j];
    }
    return sum;
}

/* (s(z + by w) - s(z - by w)) / 2 by */
static double quotient(const check *k, double by) {
    lh_tensor *in[LH__MAX_INPUTS];
    double up = lh__item(k->e, gradient_dot(k, by, in));

    return (up - lh__item(k->e, gradient_dot(k, -by, in))) / (2.0 * by);
}

/* Of fourth order in h: quotients near the pole of a division bend much. */
static double numeric(const check *k) {
    return (4.0 * quotient(k, h) - quotient(k, 2.0 * h)) / 3.0;
}

/* Whether the two agree, or the operator is one of those listed and says so. */
static int32_t check_input(const check *k, lh__error *err, int64_t *rejected) {
    const char *name = lh__row_of(k->c->op)->name;
    double got = analytic(k), expected;
    int64_t listed = absent_at(k->c->op);

    if (isnan(got)) {
        int32_t said = err->code == LH_EUNSUPPORTED && strstr(err->text, "derived once more");

        if (said && listed >= 0)
            rejected[listed]++;
        else
            cr_log_error("%s, case %td: %s", name, k->c - cases, err->text);
        *err = (lh__error){0};
        return said && listed >= 0;
    }
    expected = numeric(k);
    if (fabs(got - expected) <= tolerance * fmax(1.0, fabs(expected)))
        return 1;
    cr_log_error("%s, input %d, case %td: derivative %.10g, difference quotient %.10g", name,
                 k->derived, k->c - cases, got, expected);
    return 0;
}

Test(double_backward, equals_central_differences_of_the_gradient) {
    static check k;
    lh__error err = {0};
    int64_t failed = 0, rejected[N_ABSENT] = {0};

    k.e = new_engine("ref", LH_F64, 1);
    lh__engine_set_error(k.e, &err);
    draw(k.r, 1);
    draw(k.v, 2);
    for (uint64_t i = 0; i < LH__MAX_INPUTS; i++)
        draw(k.w[i], 3 + i);
    for (k.c = cases; k.c < cases + case_count; k.c++) {
        k.layout = (int32_t)((k.c - cases) % 3);
        for (k.derived = 0; k.derived < k.c->n_in; k.derived++)
            if (case_has_gradient(k.c, k.derived))
                failed += !check_input(&k, &err, rejected);
    }
    cr_expect_eq(failed, 0, "%lld second derivatives are wrong or missing", (long long)failed);
    for (int64_t i = 0; i < N_ABSENT; i++)
        cr_expect(rejected[i] > 0, "%s has a second derivative now: unlist it (%s)",
                  lh__row_of(absent[i].op)->name, absent[i].reason);
    lh__engine_free(k.e);
}

/* Gradient penalty: a critic f(x) = linear(leaky_relu(linear(x))), as WGAN-GP trains it. */

enum { BATCH = 5, FEATURES = 4, HIDDEN = 7 };

static lh__engine *e;
static lh_tensor *w1, *b1, *w2, *b2, *generator;

static lh_tensor *declare(const char *name, int32_t ndim, const int64_t *shape) {
    return lh__param_new(e, name, 0, ndim, shape, &(lh_init){.kind = LH_INIT_NORMAL, .b = 0.7});
}

static void setup(void) {
    e = new_engine("ref", LH_F64, 1);
    w1 = declare("w1", 2, (int64_t[]){HIDDEN, FEATURES});
    b1 = declare("b1", 1, (int64_t[]){HIDDEN});
    w2 = declare("w2", 2, (int64_t[]){1, HIDDEN});
    b2 = declare("b2", 1, (int64_t[]){1});
    generator = declare("generator", 2, (int64_t[]){FEATURES, 3});
    lh__params_seal(e);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(gradient_penalty, .init = setup, .fini = teardown);

static lh_tensor *critic(lh_tensor *x) {
    lh_tensor *hidden = call(e, LH_OP_LINEAR, TENSORS(x, w1, b1), NONE, NONE);

    hidden = call(e, LH_OP_LEAKY_RELU, TENSORS(hidden), NONE, REALS(0.2));
    return call(e, LH_OP_LINEAR, TENSORS(hidden, w2, b2), NONE, NONE);
}

/* mean((|df/dx| - 1)^2), per row of x, which requires a gradient. */
static lh_tensor *penalty(lh_tensor *x) {
    lh_tensor *total = call(e, LH_OP_SUM, TENSORS(critic(x)), INTS(0), NONE);
    lh_tensor *g = lh__grad_of(e, total, x, 1), *norm;

    norm = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(g), NONE, NONE)), INTS(0, 1),
                NONE);
    norm = call(e, LH_OP_SQRT, TENSORS(norm), NONE, NONE);
    norm = call(e, LH_OP_ADD_SCALAR, TENSORS(norm), NONE, REALS(-1));
    return call(e, LH_OP_MEAN, TENSORS(call(e, LH_OP_SQUARE, TENSORS(norm), NONE, NONE)), INTS(0),
                NONE);
}

/* mean f(data) + 10 penalty(data) */
static lh_tensor *loss_on_data(void) {
    lh_tensor *x, *score;

    lh__step_begin(e, LH__PHASE_TRAIN, 1);
    x = call(e, LH_OP_NORMAL, NONE, INTS(LH_F64, BATCH, FEATURES), REALS(0, 1));
    score = call(e, LH_OP_MEAN, TENSORS(critic(x)), INTS(0), NONE);
    x = call(e, LH_OP_REQUIRE_GRAD, TENSORS(x), NONE, NONE);
    x = call(e, LH_OP_MUL_SCALAR, TENSORS(penalty(x)), NONE, REALS(10));
    return call(e, LH_OP_ADD, TENSORS(score, x), NONE, NONE);
}

/* The penalty between data and what the generator makes of noise. */
static lh_tensor *loss_between(void) {
    lh_tensor *real, *fake, *share, *x;

    lh__step_begin(e, LH__PHASE_TRAIN, 1);
    real = call(e, LH_OP_NORMAL, NONE, INTS(LH_F64, BATCH, FEATURES), REALS(0, 1));
    fake = call(e, LH_OP_NORMAL, NONE, INTS(LH_F64, BATCH, 3), REALS(0, 1));
    fake = call(e, LH_OP_LINEAR, TENSORS(fake, generator), NONE, NONE);
    share = call(e, LH_OP_UNIFORM, NONE, INTS(LH_F64, BATCH, 1), REALS(0, 1));
    x = call(e, LH_OP_SUB, TENSORS(real, fake), NONE, NONE);
    x = call(e, LH_OP_ADD, TENSORS(fake, call(e, LH_OP_MUL, TENSORS(share, x), NONE, NONE)), NONE,
             NONE);
    return penalty(call(e, LH_OP_REQUIRE_GRAD, TENSORS(x), NONE, NONE));
}

static void expect_gradient(lh_tensor *(*loss)(void), const lh_tensor *p) {
    double *x = p->view.data, *g = p->param->grad.data;

    for (int64_t i = 0; i < lh__view_numel(&p->view); i++) {
        double was = x[i], up, expected;

        x[i] = was + h;
        up = lh__item(e, loss());
        x[i] = was - h;
        expected = (up - lh__item(e, loss())) / (2.0 * h);
        x[i] = was;
        cr_expect(fabs(g[i] - expected) <= tolerance * fmax(1.0, fabs(expected)),
                  "%s[%lld]: %.10g instead of %.10g", p->param->name, (long long)i, g[i], expected);
    }
}

Test(gradient_penalty, reaches_the_parameters) {
    cr_assert_eq(lh__backward(e, loss_on_data(), 1.0, 0), LH_OK);
    expect_gradient(loss_on_data, w1);
    expect_gradient(loss_on_data, b1);
    expect_gradient(loss_on_data, w2);
    expect_gradient(loss_on_data, b2);
}

/* What requires a gradient anew has no history: nothing reaches the generator. */
Test(gradient_penalty, of_interpolated_inputs_stops_there) {
    cr_assert_eq(lh__backward(e, loss_between(), 1.0, 0), LH_OK);
    expect_gradient(loss_between, w1);
    expect_gradient(loss_between, w2);
    cr_expect_eq(generator->param->has_grad, 0);
    cr_expect_eq(w2->param->has_grad, 1);
}

Test(gradient_penalty, a_leaf_that_is_no_number) {
    lh__error err = {0};

    lh__engine_set_error(e, &err);
    cr_expect_null(call(e, LH_OP_REQUIRE_GRAD, TENSORS(full(e, LH_I64, 1, 0, NULL)), NONE, NONE));
    cr_expect_eq(err.code, LH_EDTYPE);
    cr_expect(strstr(err.text, "require_grad"), "%s", err.text);
}
