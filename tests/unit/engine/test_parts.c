/* test_parts.c - the gradient of a tensor that is taken apart is the sum of those of its slices. */
#include "fixture.h"

enum { ROWS = 3, COLUMNS = 12, ALL = ROWS * COLUMNS, SLICES = 5 };

static lh__engine *e;
static lh__error err;
static uint64_t random_state = 1;

static void setup(void) {
    e = new_engine("cpu", LH_F64, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(parts, .init = setup, .fini = teardown);

static int64_t draw(int64_t n) {
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)(random_state >> 33) % n;
}

/* [begin, end) in steps along an axis. */
typedef struct slice {
    int64_t axis, begin, end, step;
} slice;

/* weight times the sum of the slice; adds what arrives at the elements of x. */
static lh_tensor *weighed(lh_tensor *x, slice s, double weight, double *expected) {
    lh_tensor *y = call(e, LH_OP_SLICE, TENSORS(x), INTS(s.axis, s.begin, s.end, s.step), NONE);

    for (int64_t i = 0; i < ALL; i++) {
        int64_t at = (s.axis ? i % COLUMNS : i / COLUMNS) - s.begin;

        if (at >= 0 && at < s.end - s.begin && at % s.step == 0)
            expected[i] += weight;
    }
    y = call(e, LH_OP_MUL_SCALAR, TENSORS(y), NONE, REALS(weight));
    return call(e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
}

/* The parameter's gradient by way of n slices of it and, with `whole`, of all of it. */
static void check(lh_tensor *param, const slice *slices, int n, int whole) {
    lh_tensor *x = call(e, LH_OP_MUL_SCALAR, TENSORS(param), NONE, REALS(2)), *loss;
    double expected[ALL] = {0}, weight = 1;

    loss = weighed(x, (slice){0, 0, whole ? ROWS : 0, 1}, 1, expected);
    for (int i = 0; i < n; i++, weight *= 2)
        loss =
            call(e, LH_OP_ADD, TENSORS(weighed(x, slices[i], weight, expected), loss), NONE, NONE);
    if (whole)
        loss = call(e, LH_OP_ADD, TENSORS(loss, call(e, LH_OP_SUM, TENSORS(x), INTS(0), NONE)),
                    NONE, NONE);
    lh__params_zero_grad(e);
    cr_assert_eq(lh__backward(e, loss, 1, 0), LH_OK, "%s", err.text);
    for (int i = 0; i < ALL; i++)
        cr_expect_eq(((double *)param->param->grad.data)[i], 2 * (expected[i] + (whole != 0)));
}

static lh_tensor *parameter(void) {
    lh_tensor *p = lh__param_new(e, "w", LH_F64, 2, (int64_t[]){ROWS, COLUMNS}, NULL);

    cr_assert_not_null(p, "%s", err.text);
    cr_assert_eq(lh__params_seal(e), LH_OK);
    return p;
}

Test(parts, add_up_however_slices_lie) {
    lh_tensor *param = parameter();

    for (uint64_t round = 0; round < 400; round++) {
        slice slices[SLICES];
        int n = 1 + (int)draw(SLICES);

        for (int i = 0; i < n; i++) {
            int64_t axis = draw(8) > 0, length = axis ? COLUMNS : ROWS, begin = draw(length + 1);

            slices[i] = (slice){axis, begin, begin + draw(length - begin + 1),
                                1 + (draw(8) == 0 ? draw(length) : 0)};
        }
        lh__step_begin(e, LH__PHASE_TRAIN, round);
        check(param, slices, n, draw(4) == 0);
    }
}

Test(parts, that_tile_are_put_together_in_any_order) {
    static const slice tiles[] = {{1, 0, 3, 1}, {1, 3, 4, 1}, {1, 4, 12, 1}};
    lh_tensor *param = parameter();

    for (int i = 0; i < 27; i++) {
        const slice some[] = {tiles[i % 3], tiles[i / 3 % 3], tiles[i / 9]};

        lh__step_begin(e, LH__PHASE_TRAIN, (uint64_t)i);
        check(param, some, 3, i % 2);
    }
}

/* The heads of slice i of the projection (2, time, heads (3, 3, 4)). */
static lh_tensor *heads_of(lh_tensor *x, int64_t i, int64_t heads, int copies) {
    const int64_t features = i < 2 ? 3 : 4, begin = i * 3 * heads;

    x = call(e, LH_OP_SLICE, TENSORS(x), INTS(2, begin, begin + features * heads, 1), NONE);
    if (copies)
        x = call(e, LH_OP_MUL_SCALAR, TENSORS(x), NONE, REALS(1));
    x = call(e, LH_OP_RESHAPE, TENSORS(x), INTS(2, -1, heads, features), NONE);
    return call(e, LH_OP_PERMUTE, TENSORS(x), INTS(0, 2, 1, 3), NONE);
}

/* Attention to a projection of width 10 heads, whose gradient is stored side by side or, of copies,
 * one after another. */
static void attend(lh_tensor *param, int64_t heads, int64_t causal, int copies, double *gradient) {
    lh_tensor *x = call(e, LH_OP_SIN, TENSORS(param), NONE, NONE), *y;

    y = call(e, LH_OP_ATTENTION,
             TENSORS(heads_of(x, 0, heads, copies), heads_of(x, 1, heads, copies),
                     heads_of(x, 2, heads, copies)),
             INTS(causal), REALS(0, 0));
    y = call(e, LH_OP_SUM, TENSORS(call(e, LH_OP_SQUARE, TENSORS(y), NONE, NONE)), INTS(0), NONE);
    lh__params_zero_grad(e);
    cr_assert_eq(lh__backward(e, y, 1, 0), LH_OK, "%s", err.text);
    memcpy(gradient, param->param->grad.data,
           (size_t)lh__view_numel(&param->view) * sizeof *gradient);
}

Test(parts, of_a_projection_that_attends_to_itself) {
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -2, .b = 2};
    static double joined[2 * 70 * 30], apart[2 * 70 * 30];
    static const int64_t shapes[][3] = {{2, 7, 30}, {2, 70, 30}, {2, 1, 30}, {2, 17, 10}};
    static const char *const names[] = {"a", "b", "c", "d"};
    lh_tensor *params[4];

    for (int i = 0; i < 4; i++)
        params[i] = lh__param_new(e, names[i], LH_F64, 3, shapes[i], &init);
    cr_assert_eq(lh__params_seal(e), LH_OK);
    for (int i = 0; i < 8; i++) {
        lh_tensor *param = params[i / 2];
        int64_t n = lh__view_numel(&param->view);

        lh__step_begin(e, LH__PHASE_TRAIN, (uint64_t)i);
        attend(param, param->view.shape[2] / 10, i % 2, 0, joined);
        attend(param, param->view.shape[2] / 10, i % 2, 1, apart);
        cr_expect_gt(fabs(joined[n / 2]) + fabs(joined[n - 1]), 0);
        for (int64_t k = 0; k < n; k++)
            cr_expect_float_eq(joined[k], apart[k], 1e-13);
    }
}
