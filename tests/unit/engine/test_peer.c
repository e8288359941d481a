/* test_peer.c - calls of every operator give PyTorch's results and gradients.
 *
 * The calls, of random shapes, layouts, dtypes and options, are those of tests/golden/operators.py,
 * a sample of which is kept; LHOST_OPERATOR_CASES names another file of them. Each is made on `ref`
 * and on `cpu`. Bounds, relative to the largest number of a tensor: as exact as the file and the
 * dtype are.
 */
#include "engine/catalogue.h"
#include "fixture.h"
#include "training.h"

enum { ROOM = 16 };

typedef struct numbers {
    const void *data;
    int64_t at; /* the next one */
    int32_t is_f64;
} numbers;

static double next(numbers *n) {
    int64_t i = n->at++;

    return n->is_f64 ? ((const double *)n->data)[i] : ((const float *)n->data)[i];
}

static int32_t dtype_of(const char *name) {
    static const char *const names[] = {
        [LH_F32] = "f32",   [LH_F64] = "f64",   [LH_I64] = "i64", [LH_U8] = "u8",
        [LH_BOOL] = "bool", [LH_BF16] = "bf16", [LH_F16] = "f16", [LH_I32] = "i32",
    };

    for (int32_t i = LH_F32; i <= LH_I32; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    cr_assert_fail("dtype %s", name);
    return 0;
}

static int64_t integer(const json_t *array, size_t i) {
    return json_integer_value(json_array_get(array, i));
}

/* The next numbers as a tensor of that dtype and layout. */
static lh_tensor *take(lh__engine *e, numbers *n, int32_t dtype, const json_t *shape,
                       int64_t layout) {
    int32_t ndim = (int32_t)json_array_size(shape), was = lh__set_grad_enabled(e, 0);
    int64_t extents[LH_MAX_DIMS], memory = 2, stride = layout == 2 ? 2 : 1;
    lh_tensor *t;

    for (int32_t d = 0; d < ndim; d++)
        memory *= extents[d] = integer(shape, (size_t)d);
    t = lh__tensor_new(e, LH_F64, 1, &memory, NULL);
    cr_assert_not_null(t);
    for (int64_t i = 0; i < memory / 2; i++) {
        int64_t offset = 0, rest = i, step = stride;

        for (int32_t j = 0; j < ndim; j++) {
            int32_t d = ndim - 1 - j;
            int64_t above = 1;

            if (layout == 1)
                for (int32_t k = 0; k < d; k++)
                    above *= extents[k];
            offset += rest % extents[d] * (layout == 1 ? above : step);
            rest /= extents[d];
            step *= extents[d];
        }
        ((double *)t->view.data)[offset] = next(n);
    }
    t = call(e, LH_OP_CAST, TENSORS(t), INTS(dtype), NONE);
    cr_assert_not_null(t);
    t->view.ndim = ndim;
    for (int32_t j = 0; j < ndim; j++) {
        int32_t d = layout == 1 ? j : ndim - 1 - j;

        t->view.shape[d] = extents[d];
        t->view.stride[d] = stride;
        stride *= extents[d];
    }
    lh__set_grad_enabled(e, was);
    return t;
}

/* The tensor equals the next numbers; 0 with a message when it doesn't. */
static int equals(lh__engine *e, const lh_tensor *t, numbers *n, double tolerance, const char *what,
                  const char *device, int64_t index, const char *name) {
    int64_t numel = lh__view_numel(&t->view);
    double *expected = malloc((size_t)(numel + 1) * sizeof *expected);
    double *got = malloc((size_t)(numel + 1) * sizeof *got), scale = 1;
    int good = 1;

    for (int64_t i = 0; i < numel; i++) {
        expected[i] = next(n);
        if (isfinite(expected[i]))
            scale = fmax(scale, fabs(expected[i]));
    }
    values(e, t, got, numel);
    for (int64_t i = 0; i < numel && good; i++)
        if (!(fabs(got[i] - expected[i]) <= tolerance * scale) && got[i] != expected[i] &&
            !(isnan(got[i]) && isnan(expected[i]))) {
            cr_log_error("%s on %s, call %lld: %s[%lld] is %.9g, PyTorch's %.9g", name, device,
                         (long long)index, what, (long long)i, got[i], expected[i]);
            good = 0;
        }
    free(expected);
    free(got);
    return good;
}

/* Results that end with more than PyTorch's (see ops.h: gates) are compared without it. */
static lh_tensor *without_gates(lh__engine *e, uint32_t op, lh_tensor *y) {
    int64_t width;

    if (!y || (op != LH_OP_LSTM && op != LH_OP_GRU))
        return y;
    width = y->view.shape[2] / (op == LH_OP_LSTM ? 6 : 5) * (op == LH_OP_LSTM ? 2 : 1);
    return call(e, LH_OP_SLICE, TENSORS(y), INTS(2, 0, width, 1), NONE);
}

static double exactness(int32_t dtype, int32_t is_f64) {
    switch (dtype) {
    case LH_BF16:
        return 4e-2;
    case LH_F16:
        return 5e-3;
    case LH_F32:
        return 3e-6;
    default:
        return is_f64 ? 1e-10 : 1e-6;
    }
}

static int check(lh__engine *e, const char *device, const json_t *about, numbers *n,
                 int64_t index) {
    uint32_t op = (uint32_t)integer(about, 0);
    const json_t *inputs = json_array_get(about, 1), *given = json_array_get(about, 2);
    const json_t *reals_given = json_array_get(about, 3), *shape = json_array_get(about, 5);
    int32_t n_in = (int32_t)json_array_size(inputs), n_ints = (int32_t)json_array_size(given);
    int32_t n_reals = (int32_t)json_array_size(reals_given), any = 0, lowest = LH_F64, good = 1;
    int64_t ints[32];
    double reals[8], tolerance;
    lh_tensor *in[ROOM], *y, *loss;
    lh__error err = {0};
    const char *name = lh__row_of(op) ? lh__row_of(op)->name : "?";

    lh__engine_set_error(e, &err);
    begin_dirty_step(e, 0);
    for (int32_t i = 0; i < n_in; i++) {
        const json_t *one = json_array_get(inputs, (size_t)i);
        int32_t dtype = dtype_of(json_string_value(json_array_get(one, 0)));

        in[i] = take(e, n, dtype, json_array_get(one, 1), integer(one, 2));
        in[i]->requires_grad = (int32_t)integer(one, 3);
        any |= in[i]->requires_grad;
        if (dtype == LH_BF16 || dtype == LH_F16 || (dtype == LH_F32 && lowest == LH_F64))
            lowest = dtype;
    }
    for (int32_t i = 0; i < n_ints; i++)
        ints[i] = integer(given, (size_t)i);
    for (int32_t i = 0; i < n_reals; i++) {
        const json_t *real = json_array_get(reals_given, (size_t)i);

        reals[i] = json_is_string(real) ? INFINITY : json_number_value(real);
    }
    tolerance = exactness(lowest, n->is_f64) * (double)integer(about, 6);
    y = without_gates(e, op, call(e, op, n_in, in, n_ints, ints, n_reals, reals));
    if (!y) {
        cr_log_error("%s on %s, call %lld: %s", name, device, (long long)index, err.text);
        return 0;
    }
    good = y->view.ndim == (int32_t)json_array_size(shape);
    for (int32_t d = 0; good && d < y->view.ndim; d++)
        good = y->view.shape[d] == integer(shape, (size_t)d);
    if (!good || y->view.dtype != dtype_of(json_string_value(json_array_get(about, 4))))
        cr_log_error("%s on %s, call %lld: shape or dtype differs (%d axes, dtype %d)", name,
                     device, (long long)index, y->view.ndim, y->view.dtype);
    good = good && y->view.dtype == dtype_of(json_string_value(json_array_get(about, 4)));
    good = good && equals(e, y, n, tolerance, "result", device, index, name);
    if (good && any) {
        lh_tensor *r = take(e, n, y->view.dtype, shape, 0);

        loss = call(e, LH_OP_MUL, TENSORS(y, r), NONE, NONE);
        loss = call(e, LH_OP_SUM, TENSORS(loss), INTS(0), NONE);
        for (int32_t i = 0; i < n_in && good; i++)
            if (in[i]->requires_grad) {
                lh_tensor *g = lh__grad_of(e, loss, in[i], 0);

                if (!g)
                    cr_log_error("%s on %s, call %lld: %s", name, device, (long long)index,
                                 err.text);
                good = g && equals(e, g, n, tolerance * 4, "gradient", device, index, name);
            }
    }
    return good;
}

/* How many numbers of the file a call has. */
static int64_t count(const json_t *about) {
    const json_t *inputs = json_array_get(about, 1), *shape = json_array_get(about, 5);
    int64_t total = 0, out = 1, any = 0;

    for (size_t i = 0; i < json_array_size(inputs); i++) {
        const json_t *one = json_array_get(inputs, i), *extents = json_array_get(one, 1);
        int64_t numel = 1;

        for (size_t d = 0; d < json_array_size(extents); d++)
            numel *= integer(extents, d);
        total += numel * (1 + integer(one, 3));
        any |= integer(one, 3);
    }
    for (size_t d = 0; d < json_array_size(shape); d++)
        out *= integer(shape, d);
    return total + out * (1 + any);
}

Test(peer, operators_agree_with_pytorch) {
    const char *path = getenv("LHOST_OPERATOR_CASES");
    struct golden file = path ? golden_open_path(path) : golden_open("operators");
    const char *dtype =
        json_string_value(json_object_get(json_object_get(file.header, "data"), "dtype"));
    numbers n = {golden_tensor(&file, "data"), 0, strcmp(dtype, "F64") == 0};
    lh__engine *ref = new_engine("ref", LH_F64, 1), *cpu = new_engine("cpu", LH_F64, 2);
    int64_t failed = 0;

    for (size_t i = 0; i < json_array_size(file.about); i++) {
        const json_t *about = json_array_get(file.about, i);
        int64_t start = n.at;

        failed += !check(ref, "ref", about, &n, (int64_t)i);
        n.at = start;
        failed += !check(cpu, "cpu", about, &n, (int64_t)i);
        n.at = start + count(about);
    }
    cr_expect_eq(failed, 0, "%lld calls differ", (long long)failed);
    lh__engine_free(ref);
    lh__engine_free(cpu);
    golden_close(&file);
}
