/* test_lookup.c - LINEAR of rows that were selected from a small table: results and gradients of
 * whatever they are asked for are those of the product of the selected rows.
 */
#include "engine/state.h"
#include "fixture.h"

enum { ROWS = 3, STEPS = 7, VOCAB = 5, EMBED = 4, OUT = 6, MOST = 256 };

static const int64_t text[ROWS * STEPS] = {0, 1, 4, 1, 1, 3, 0, 4, 4, 0, 1, 3, 3, 0, 1, 4, 0, 0, 1};

/* A model of row 2 of whose table nobody ever asks. */
typedef struct model {
    lh__engine *e;
    lh__error err;
    lh_tensor *table, *weight, *bias;
    lh_tensor *embedded, *x, *y, *loss;
} model;

static void build(model *m, int32_t dtype, int32_t threads, int32_t deferred, int64_t out) {
    const lh_init init = {LH_SIZED(lh_init), .kind = LH_INIT_UNIFORM, .a = -1, .b = 1};

    memset(m, 0, sizeof *m);
    m->e = lh__engine_new(
        &(lh__engine_options){
            .device = "cpu", .threads = threads, .dtype = dtype, .seed = 7, .deferred = deferred},
        &m->err);
    cr_assert_not_null(m->e, "%s", m->err.text);
    lh__engine_set_error(m->e, &m->err);
    m->table = lh__param_new(m->e, "table", 0, 2, (int64_t[]){VOCAB, EMBED}, &init);
    m->weight = lh__param_new(m->e, "weight", 0, 2, (int64_t[]){out, EMBED}, &init);
    m->bias = lh__param_new(m->e, "bias", 0, 1, &out, &init);
    cr_assert_eq(lh__params_seal(m->e), LH_OK);
    lh__step_begin(m->e, LH__PHASE_TRAIN, 0);
}

static void select_rows(model *m) {
    lh_tensor *index = lh__tensor_wrap(m->e, LH_I64, 2, (int64_t[]){ROWS, STEPS}, text);

    m->embedded = call(m->e, LH_OP_EMBEDDING, TENSORS(m->table, index), INTS(-1), NONE);
    m->x = call(m->e, LH_OP_PERMUTE, TENSORS(m->embedded), INTS(1, 0, 2), NONE);
}

/* The loss of x weight^T + bias: by LINEAR, or by the product that it stands for. */
static void apply(model *m, int by_linear) {
    lh_tensor *y;

    if (by_linear) {
        y = call(m->e, LH_OP_LINEAR, TENSORS(m->x, m->weight, m->bias), NONE, NONE);
    } else {
        y = call(m->e, LH_OP_PERMUTE, TENSORS(m->weight), INTS(1, 0), NONE);
        y = call(m->e, LH_OP_MATMUL, TENSORS(m->x, y), NONE, NONE);
        y = call(m->e, LH_OP_ADD, TENSORS(y, m->bias), NONE, NONE);
    }
    m->y = y;
    y = call(m->e, LH_OP_MUL, TENSORS(call(m->e, LH_OP_SIN, TENSORS(y), NONE, NONE), y), NONE,
             NONE);
    m->loss = call(m->e, LH_OP_SUM, TENSORS(y), INTS(0), NONE);
    cr_assert_not_null(m->loss, "%s", m->err.text);
}

static int is_looked_up(const model *m) {
    return m->y->node && m->y->node->row->op == LH__OP_LOOKED_UP;
}

static void expect_equal(const double *a, const double *b, int64_t n, const char *what) {
    for (int64_t i = 0; i < n; i++)
        cr_expect_float_eq(a[i], b[i], 1e-12, "%s, element %d", what, (int)i);
}

/* The gradients of all parameters, one after another, F64. */
static int64_t gradients(const model *m, double *to) {
    int64_t n = 0;

    cr_assert_eq(lh__settle(m->e), LH_OK);
    for (int64_t i = 0; i < lh__param_count(m->e); i++) {
        const lh__param *p = lh__param_at(m->e, i);

        for (int64_t k = 0; k < lh__view_numel(&p->grad); k++)
            to[n++] = p->has_grad ? ((const double *)p->grad.data)[k] : 0;
    }
    return n;
}

/* Sums for each row of the table may have the shape of the table's own gradient: EMBED outputs. */
Test(lookup, parameters_get_the_gradients_of_the_product) {
    for (int i = 0; i < 16; i++) {
        double found[2][MOST], ys[2][MOST];
        int64_t n = 0, n_y = 0;

        for (int by_linear = 0; by_linear < 2; by_linear++) {
            model m;

            build(&m, LH_F64, 1, i & 1, i & 2 ? OUT : EMBED);
            m.table->requires_grad = !(i & 4) || !(i & 8);
            m.weight->requires_grad = !(i & 8);
            select_rows(&m);
            apply(&m, by_linear);
            cr_expect_eq(is_looked_up(&m), by_linear && m.table->requires_grad);
            n_y = values(m.e, m.y, ys[by_linear], MOST);
            for (int times = 0; times < 2; times++) /* the second is added */
                cr_assert_eq(lh__backward(m.e, m.loss, 1, !times), LH_OK, "%s", m.err.text);
            n = gradients(&m, found[by_linear]);
            lh__engine_free(m.e);
        }
        expect_equal(ys[0], ys[1], n_y, "y");
        expect_equal(found[0], found[1], n, "gradient");
    }
}

/* Of what gradient number i is asked. */
static lh_tensor *asked(const model *m, int i) {
    return (lh_tensor *[]){m->table, m->weight, m->bias, m->embedded, m->x}[i];
}

/* d loss / d a, and d |d loss / d a|^2 / d b. */
Test(lookup, gradients_to_everything_and_once_more) {
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < 5; b++) {
            double found[2][2][MOST];
            int64_t n[2] = {0};

            for (int by_linear = 0; by_linear < 2; by_linear++) {
                lh_tensor *first, *loss, *second;
                model m;

                build(&m, LH_F64, 1, 0, OUT);
                select_rows(&m);
                apply(&m, by_linear);
                first = lh__grad_of(m.e, m.loss, asked(&m, a), 1);
                cr_assert_not_null(first, "%s", m.err.text);
                loss = call(m.e, LH_OP_SQUARE, TENSORS(first), NONE, NONE);
                loss = call(m.e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
                second = lh__grad_of(m.e, loss, asked(&m, b), 0);
                cr_assert_not_null(second, "%s", m.err.text);
                n[0] = values(m.e, first, found[0][by_linear], MOST);
                n[1] = values(m.e, second, found[1][by_linear], MOST);
                lh__engine_free(m.e);
            }
            expect_equal(found[0][0], found[0][1], n[0], "first");
            expect_equal(found[1][0], found[1][1], n[1], "second");
        }
}

/* What is written to the table after the selection doesn't reach the selected rows. */
Test(lookup, an_overwritten_table) {
    const double zeros[VOCAB * EMBED] = {0};

    for (int late = 0; late < 2; late++) {
        double found[2][MOST];
        int64_t n = 0;

        for (int by_linear = 0; by_linear < 2; by_linear++) {
            model m;

            build(&m, LH_F64, 1, 0, OUT);
            select_rows(&m);
            if (late)
                apply(&m, by_linear);
            cr_assert_eq(lh__tensor_write(m.e, m.table, zeros, sizeof zeros), LH_OK);
            if (!late)
                apply(&m, by_linear);
            cr_expect_eq(is_looked_up(&m), by_linear && late);
            cr_assert_eq(lh__backward(m.e, m.loss, 1, 0), LH_OK, "%s", m.err.text);
            n = gradients(&m, found[by_linear]);
            lh__engine_free(m.e);
        }
        expect_equal(found[0], found[1], n, "gradient");
    }
}

static void expect_plain(model *m, const char *what) {
    apply(m, 1);
    cr_expect_not(is_looked_up(m), "%s", what);
}

Test(lookup, other_rows_are_multiplied_themselves) {
    lh_tensor *index;
    model m;

    build(&m, LH_F64, 1, 0, OUT);
    select_rows(&m);
    m.x = call(m.e, LH_OP_SLICE, TENSORS(m.x), INTS(0, 0, 1, 1), NONE);
    expect_plain(&m, "a part of them");
    index = lh__tensor_wrap(m.e, LH_I64, 1, (int64_t[]){2 * VOCAB}, text);
    m.x = call(m.e, LH_OP_EMBEDDING, TENSORS(m.table, index), INTS(-1), NONE);
    expect_plain(&m, "hardly more than the table has");
    index = lh__tensor_wrap(m.e, LH_I64, 1, (int64_t[]){ROWS * STEPS}, text);
    m.x = call(m.e, LH_OP_EMBEDDING, TENSORS(m.table, index), INTS(1), NONE);
    expect_plain(&m, "one of them without a gradient");
    m.x = call(m.e, LH_OP_EMBEDDING, TENSORS(m.table, index), INTS(-1), NONE);
    m.x = call(m.e, LH_OP_RESHAPE, TENSORS(m.x), INTS(EMBED, -1), NONE);
    m.x = call(m.e, LH_OP_PERMUTE, TENSORS(m.x), INTS(1, 0), NONE);
    expect_plain(&m, "cut elsewhere");
    lh__engine_free(m.e);
}

Test(lookup, bits_do_not_depend_on_threads_or_plans) {
    float first[MOST];

    for (int32_t i = 0; i < 6; i++) {
        float *g;
        model m;

        build(&m, LH_F32, 1 + i / 2, i & 1, OUT);
        select_rows(&m);
        apply(&m, 1);
        cr_assert(is_looked_up(&m));
        cr_assert_eq(lh__backward(m.e, m.loss, 1, 0), LH_OK);
        cr_assert_eq(lh__settle(m.e), LH_OK);
        g = m.weight->param->grad.data;
        if (i == 0)
            memcpy(first, g, OUT * EMBED * sizeof *g);
        cr_expect_eq(memcmp(first, g, OUT * EMBED * sizeof *g), 0, "%d", i);
        lh__engine_free(m.e);
    }
}
