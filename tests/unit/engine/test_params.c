/* test_params.c - declaration and the flat layout. */
#include "fixture.h"

static lh__engine *e;
static lh__error err;

static void setup(void) {
    e = new_engine("ref", LH_F32, 1);
    err = (lh__error){0};
    lh__engine_set_error(e, &err);
}

static void teardown(void) {
    lh__engine_free(e);
}

TestSuite(params, .init = setup, .fini = teardown);

static lh_tensor *declared(const char *name, int32_t dtype, int64_t n, double value) {
    return lh__param_new(e, name, dtype, 1, &n, &(lh_init){.kind = LH_INIT_CONSTANT, .a = value});
}

Test(params, flat_buffers_last_declared_first) {
    lh_tensor *a = declared("a", 0, 5, 1), *b = declared("b", LH_F64, 3, 2);
    lh_tensor *c = declared("c", 0, 17, 3), *k = lh__buffer_new(e, "k", LH_I64, 0, NULL, 9);
    const float *flat;

    cr_assert_eq(lh__params_seal(e), LH_OK);
    cr_expect_eq(c->param->offset, 0);
    cr_expect_eq(a->param->offset, 32);
    cr_expect_eq(b->param->offset, 0);
    flat = c->view.data;
    cr_expect_eq((uintptr_t)flat % 64, 0);
    cr_expect_eq((void *)(flat + 32), a->view.data);
    cr_expect_eq((float *)c->param->grad.data + 32, a->param->grad.data);
    for (int i = 0; i < 48; i++) {
        cr_expect_eq(flat[i], i < 17 ? 3 : i >= 32 && i < 37 ? 1 : 0);
        cr_expect_eq(((float *)c->param->grad.data)[i], 0);
    }
    cr_expect_eq(*(int64_t *)k->view.data, 9);
    cr_expect_eq(lh__item(e, k), 9);
    cr_expect_eq(lh__param_count(e), 4);
    cr_expect_eq(lh__param_at(e, 2), c->param);
    cr_expect_null(lh__param_at(e, 4));
    cr_expect_eq(lh__param_find(e, "b"), b->param);
    cr_expect_null(lh__param_find(e, "d"));
    cr_expect_eq(err.code, LH_OK);
}

static void expect(const void *result, const char *text) {
    cr_expect_null(result);
    cr_expect(strstr(err.text, text), "\"%s\" lacks \"%s\"", err.text, text);
    err = (lh__error){0};
}

Test(params, bad_declarations) {
    int64_t negative = -1, three = 3;

    declared("a", 0, 2, 0);
    expect(declared("a", 0, 2, 0), "a: there is one of this name");
    expect(declared("", 0, 2, 0), "name");
    expect(declared("i", LH_I64, 2, 0), "i: only float32 and float64");
    expect(lh__param_new(e, "n", 0, 1, &negative, NULL), "n: tensor: axis 0");
    expect(lh__param_new(e, "n", 0, 9, &negative, NULL), "9 axes");
    expect(lh__param_new(e, "x", 0, 1, &three, &(lh_init){.kind = LH_INIT_XAVIER_NORMAL}),
           "x: this initialiser needs at least two axes");
    expect(lh__param_new(e, "y", 0, 1, &three, &(lh_init){.kind = 99}), "99");
    cr_expect_eq(lh__param_count(e), 1);
    lh__params_seal(e);
    expect(declared("late", 0, 2, 0), "late: declared too late");
}

Test(params, read_write_assign) {
    lh_tensor *a = declared("a", 0, 4, 1), *t, *turned;
    float data[] = {1, 2, 3, 4}, back[4];

    lh__params_seal(e);
    cr_assert_eq(lh__tensor_write(e, a, data, sizeof data), LH_OK);
    cr_assert_eq(lh__tensor_read(e, a, back, sizeof back), LH_OK);
    cr_expect_arr_eq(back, data, sizeof data);
    /* A view of the target itself: its rows turned into columns. */
    t = call(e, LH_OP_RESHAPE, TENSORS(a), INTS(2, 2), NONE);
    turned = call(e, LH_OP_PERMUTE, TENSORS(t), INTS(1, 0), NONE);
    cr_assert_eq(lh__tensor_assign(e, t, turned), LH_OK);
    lh__tensor_read(e, a, back, sizeof back);
    cr_expect_arr_eq(back, ((float[]){1, 3, 2, 4}), sizeof back);
    cr_expect_eq(lh__tensor_write(e, a, data, 3), LH_EINVAL);
    expect(NULL, "16 bytes, not 3");
    cr_expect_eq(lh__tensor_write(e, turned, data, sizeof data), LH_EINVAL);
    expect(NULL, "gaps");
    cr_expect_eq(lh__tensor_assign(e, a, t), LH_ESHAPE);
    expect(NULL, "(4) can't become (2, 2)");
    cr_expect(isnan(lh__item(e, a)));
    expect(NULL, "(4) is not one element");
}

Test(params, engines_that_cannot_be) {
    lh__error none = {0};

    cr_expect_null(lh__engine_new(
        &(lh__engine_options){.device = "tpu", .threads = 1, .dtype = LH_F32, .seed = 0}, &none));
    cr_expect(strstr(none.text, "tpu"), "%s", none.text);
    none = (lh__error){0};
    cr_expect_null(lh__engine_new(
        &(lh__engine_options){.device = "cpu", .threads = 0, .dtype = LH_F32, .seed = 0}, &none));
    none = (lh__error){0};
    cr_expect_null(lh__engine_new(
        &(lh__engine_options){.device = "cpu", .threads = 1, .dtype = LH_I64, .seed = 0}, &none));
}
