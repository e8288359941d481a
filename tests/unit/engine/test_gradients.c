/* test_gradients.c - every gradient of the catalogue against central differences, in f64 on `ref`.
 *
 * y = op(x...). For random weights r and random directions v:
 *   sum(r * (y(x + h v) - y(x - h v))) / 2h  =  <d sum(r y) / dx, v>
 * and for tiny shapes the whole Jacobian, each r and v a unit vector.
 */
#include "cases.h"
#include "fixture.h"
#include "kernels/view.h"

enum { ROOM = 4096, TINY = 48 };
static const double h = 1e-5, tolerance = 2e-7;

/* One case in one layout, ready to be evaluated at x + h v. */
typedef struct check {
    lh__engine *e;
    const op_case *c;
    int32_t layout, input; /* which input is moved */
    uint64_t seed;
} check;

/* A new step with the inputs, input k.input moved by `by` along v (NULL: not moved). */
static lh_tensor *evaluate(const check *k, double by, const double *v, lh_tensor **in) {
    lh__step_begin(k->e, LH__PHASE_TRAIN, 5);
    for (int32_t i = 0; i < k->c->n_in; i++)
        in[i] = case_input_new(k->e, k->c, i, LH_F64, k->seed, k->layout);
    for (int64_t j = 0; v && j < lh__view_numel(&in[k->input]->view); j++)
        ((double *)in[k->input]->view.data)[lh__view_offset(&in[k->input]->view, j)] += by * v[j];
    in[k->input]->requires_grad = 1;
    return case_call(k->e, k->c, in);
}

/* Gradient of sum(r y) to the input; returns its length. */
static int64_t analytic(const check *k, const double *r, double *out) {
    lh_tensor *in[LH__MAX_INPUTS], *y = evaluate(k, 0.0, NULL, in), *weights, *loss, *g;

    cr_assert_not_null(y);
    weights = lh__tensor_new(k->e, LH_F64, y->view.ndim, y->view.shape, r);
    loss = call(k->e, LH_OP_MUL, TENSORS(y, weights), NONE, NONE);
    loss = call(k->e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
    g = lh__grad_of(k->e, loss, in[k->input], 0);
    if (!g)
        return -1;
    return values(k->e, g, out, ROOM);
}

static double numeric(const check *k, const double *r, const double *v) {
    static double up[ROOM], down[ROOM];
    lh_tensor *in[LH__MAX_INPUTS];
    int64_t n;
    double sum = 0.0;

    values(k->e, evaluate(k, h, v, in), up, ROOM);
    n = values(k->e, evaluate(k, -h, v, in), down, ROOM);
    for (int64_t i = 0; i < n; i++)
        sum += r[i] * (up[i] - down[i]) / (2.0 * h);
    return sum;
}

static int64_t agree(const check *k, const double *r, const double *v, const double *g, int64_t n) {
    double expected = numeric(k, r, v), got = 0.0;

    for (int64_t j = 0; j < n; j++)
        got += g[j] * v[j];
    if (fabs(got - expected) <= tolerance * fmax(1.0, fabs(expected)))
        return 1;
    cr_log_error("%s, input %d, case %td, layout %d: gradient %.10g, difference quotient %.10g",
                 lh__row_of(k->c->op)->name, k->input, k->c - cases, k->layout, got, expected);
    return 0;
}

static int64_t check_directions(const check *k, int64_t n_out) {
    static double r[ROOM], v[ROOM], g[ROOM];
    int64_t n = 0;

    for (uint64_t trial = 0; trial < 2; trial++) {
        for (int64_t i = 0; i < n_out; i++)
            r[i] = lh__philox_normal((lh__philox_key){k->seed, 100 + trial, 0}, (uint64_t)i);
        n = analytic(k, r, g);
        if (n < 0)
            return 0;
        for (int64_t j = 0; j < n; j++)
            v[j] = lh__philox_normal((lh__philox_key){k->seed, 200 + trial, 0}, (uint64_t)j);
        if (!agree(k, r, v, g, n))
            return 0;
    }
    return 1;
}

static int64_t check_jacobian(const check *k, int64_t n_out, int64_t n_in) {
    double r[TINY], v[TINY], g[ROOM];

    for (int64_t i = 0; i < n_out; i++) {
        memset(r, 0, sizeof r);
        r[i] = 1.0;
        if (analytic(k, r, g) != n_in)
            return 0;
        for (int64_t j = 0; j < n_in; j++) {
            memset(v, 0, sizeof v);
            v[j] = 1.0;
            if (!agree(k, r, v, g, n_in))
                return 0;
        }
    }
    return 1;
}

/* All inputs and layouts of a case that have a gradient; counts them in `reached`. */
static int64_t check_case(lh__engine *e, const op_case *c, int64_t *reached) {
    int64_t failed = 0;

    for (int32_t i = 0; i < c->n_in; i++) {
        if (!case_has_gradient(c, i))
            continue;
        reached[i]++;
        for (int32_t layout = 0; layout < 3; layout++) {
            check k = {e, c, layout, i, (uint64_t)(c - cases)};
            lh_tensor *in[LH__MAX_INPUTS], *y = evaluate(&k, 0.0, NULL, in);
            int64_t n_out, n_in;

            if (!y) {
                cr_log_error("%s: no result", lh__row_of(c->op)->name);
                return 1;
            }
            n_out = lh__view_numel(&y->view), n_in = lh__view_numel(&in[i]->view);
            failed += !check_directions(&k, n_out);
            if (n_out * n_in <= TINY && n_out <= TINY && n_in <= TINY)
                failed += !check_jacobian(&k, n_out, n_in);
        }
    }
    return failed;
}

Test(gradients, equal_central_differences) {
    static int64_t reached[LH__OP_LIMIT][LH__MAX_INPUTS];
    lh__engine *e = new_engine("ref", LH_F64, 1);
    lh__error err = {0};
    int64_t failed = 0;

    lh__engine_set_error(e, &err);
    for (int64_t i = 0; i < case_count; i++)
        failed += check_case(e, &cases[i], reached[cases[i].op]);
    cr_expect_eq(failed, 0, "%lld checks failed; first error: %s", (long long)failed, err.text);
    for (uint32_t op = 0; op < LH__OP_LIMIT; op++)
        for (int32_t i = 0; lh__row_of(op) && i < LH__MAX_INPUTS; i++)
            cr_expect(op >= LH__OP_RELU_GRAD || !lh__row_of(op)->gradient[i] || reached[op][i],
                      "%s: the gradient to input %d has no case in cases.c", lh__row_of(op)->name,
                      i);
    lh__engine_free(e);
}
