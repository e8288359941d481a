/* test_rejects.c - bad calls of every operator: the code, and a text that says where, which
 * operator, with which operands, and what to do.
 */
#include <stdio.h>

#include "engine/catalogue.h"
#include "fixture.h"

enum { MOST_NUMBERS = 16 };

typedef struct integers {
    int32_t n;
    int64_t v[MOST_NUMBERS];
} integers;

typedef struct reals {
    int32_t n;
    double v[3];
} reals;

typedef struct bad_call {
    uint32_t op;
    const char *operands; /* as the text has to name them; their elements are `value` */
    lh_status code;
    const char *hint;
    double value;
    integers ints;
    reals reals;
} bad_call;

static const bad_call calls[] = {
#include "rejects.inc"
};

enum { N_CALLS = sizeof calls / sizeof *calls };

static int32_t dtype_of(const char *name) {
    int32_t dtype = LH_F32;

    while (strcmp(lh__dtype_name(dtype), name) != 0)
        cr_assert_leq(++dtype, LH_I32, "no dtype %s", name);
    return dtype;
}

/* The tensors that "x float32 (2, 3), index int64 (2)" tells of. Returns how many. */
static int32_t parse_operands(lh__engine *e, const char *text, double value, lh_tensor **in) {
    int32_t n = 0;

    while (*text) {
        int64_t shape[LH_MAX_DIMS];
        char dtype[16];
        int32_t ndim = 0;
        int used = 0;

        cr_assert_eq(sscanf(text, "%*s %15s (%n", dtype, &used), 1, "%s", text);
        for (text += used; *text != ')';) {
            char *end;

            shape[ndim++] = strtoll(text, &end, 10);
            text = end + strspn(end, ", ");
        }
        in[n++] = full(e, dtype_of(dtype), value, ndim, shape);
        text++;
        text += strspn(text, ", ");
    }
    return n;
}

static void expect_refused(lh__engine *e, lh__error *err, const bad_call *c) {
    lh_tensor *in[8], *out;
    int32_t n_in = parse_operands(e, c->operands, c->value, in);
    char start[512];

    snprintf(start, sizeof start, "mnist.c:31: %s(%s): ", lh__row_of(c->op)->name, c->operands);
    out = call(e, c->op, n_in, in, c->ints.n, c->ints.v, c->reals.n, c->reals.v);
    cr_expect_null(out, "%s should have failed", start);
    cr_expect_eq(err->code, c->code, "code %d instead of %d: %s%s", err->code, c->code, start,
                 err->text);
    cr_expect_eq(strncmp(err->text, start, strlen(start)), 0, "\"%s\" doesn't begin with \"%s\"",
                 err->text, start);
    cr_expect(strstr(err->text + strspn(err->text, " "), c->hint), "\"%s\" lacks \"%s\"", err->text,
              c->hint);
    *err = (lh__error){0};
}

static void expect_all_refused(const char *device) {
    lh__engine *e = new_engine(device, LH_F32, 1);
    lh__error err = {0};

    lh__engine_set_error(e, &err);
    for (int32_t i = 0; i < N_CALLS; i++)
        expect_refused(e, &err, &calls[i]);
    lh__engine_free(e);
}

Test(rejects, by_ref) {
    expect_all_refused("ref");
}

Test(rejects, by_cpu) {
    expect_all_refused("cpu");
}

Test(rejects, two_calls_of_every_operator) {
    for (uint32_t op = 0; op < LH__OP_RELU_GRAD; op++) {
        const lh__row *row = lh__row_of(op);
        int32_t n = 0;

        for (int32_t i = 0; i < N_CALLS; i++)
            n += calls[i].op == op;
        cr_expect(!row || n >= 2, "%s has %d bad calls here", row ? row->name : "", n);
    }
}

/* Each count of each row, one too small and one too large. */
Test(rejects, counts) {
    enum { OPERANDS, INTEGERS, REAL_NUMBERS, COUNTS };
    static const char *const what[COUNTS] = {"operands", "integers", "reals"};
    static const int64_t ints[LH__MAX_INTS + 1] = {0};
    static const double zeros[4] = {0};
    lh__engine *e = new_engine("ref", LH_F32, 1);
    lh__error err = {0};

    lh__engine_set_error(e, &err);
    for (uint32_t op = 0; op < LH__OP_RELU_GRAD; op++) {
        const lh__row *row = lh__row_of(op);

        for (int32_t k = 0; row && k < 2 * COUNTS; k++) {
            const lh__count counts[COUNTS] = {row->in, row->ints, row->reals}, *c = &counts[k / 2];
            int32_t n[COUNTS] = {row->in.min, row->ints.min, row->reals.min};
            lh_tensor *in[8];
            char part[64];

            if (k % 2 ? c->max == LH__ANY && k / 2 != INTEGERS : c->min == 0)
                continue;
            n[k / 2] = k % 2 == 0 ? c->min - 1 : c->max == LH__ANY ? LH__MAX_INTS + 1 : c->max + 1;
            for (int32_t i = 0; i < n[OPERANDS]; i++)
                in[i] = full(e, LH_F32, 1, 0, NULL);
            cr_expect_null(call(e, op, n[0], in, n[1], ints, n[2], zeros), "%s", row->name);
            cr_expect_eq(err.code, LH_EINVAL, "%s: %s", row->name, err.text);
            snprintf(part, sizeof part, "%d %s", n[k / 2], what[k / 2]);
            cr_expect(strstr(err.text, part), "\"%s\" lacks \"%s\"", err.text, part);
            snprintf(part, sizeof part, "mnist.c:31: %s(", row->name);
            cr_expect_eq(strncmp(err.text, part, strlen(part)), 0, "\"%s\"", err.text);
            err = (lh__error){0};
        }
    }
    lh__engine_free(e);
}

/* The author sees the operator that he called, also when one that it is made of refuses. */
Test(rejects, a_composed_operator_is_named_first) {
    lh__engine *e = new_engine("ref", LH_F32, 1);
    lh__error err = {0};
    lh_tensor *x = full(e, LH_F32, 1, 2, (int64_t[]){2, 0});

    lh__engine_set_error(e, &err);
    cr_expect_null(call(e, LH_OP_TRIPLET_MARGIN_LOSS, TENSORS(x, x, x), NONE, REALS(1, INFINITY)));
    cr_expect_eq(err.code, LH_ESHAPE);
    cr_expect_eq(strncmp(err.text, "mnist.c:31: triplet_margin_loss(anchor float32 (2, 0), ", 55),
                 0, "%s", err.text);
    cr_expect(strstr(err.text, "in its norm(x float32 (2, 0)): axis 1 is empty"), "%s", err.text);
    lh__engine_free(e);
}
