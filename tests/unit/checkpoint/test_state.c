/* test_state.c - the state tree: names, order, ownership, refusals. */
#include "checkpoint/state.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

Test(state, keeps_order_and_finds_by_name) {
    lh__state *s = lh__state_new();
    float data[1] = {0};
    char name[32];

    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "layer.%d", (i * 7) % 1000);
        cr_assert_eq(lh__state_put(s, name, LH_F32, 1, (int64_t[]){1}, data, NULL), LH_OK);
    }
    cr_assert_eq(s->n_tensors, 1000);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "layer.%d", (i * 7) % 1000);
        cr_assert_str_eq(s->tensors[i].name, name);
        cr_assert_eq(lh__state_find(s, name), &s->tensors[i]);
    }
    cr_assert_null(lh__state_find(s, "layer.1000"));
    lh__state_free(s);
}

Test(state, borrows_or_copies) {
    lh__state *s = lh__state_new();
    int64_t value = 1;

    cr_assert_eq(lh__state_put(s, "borrowed", LH_I64, 0, NULL, &value, NULL), LH_OK);
    cr_assert_eq(lh__state_put_copy(s, "copied", LH_I64, 0, NULL, &value, NULL), LH_OK);
    value = 2;
    cr_assert_eq(*(const int64_t *)lh__state_find(s, "borrowed")->data, 2);
    cr_assert_eq(*(const int64_t *)lh__state_find(s, "copied")->data, 1);
    lh__state_free(s);
}

Test(state, counts_bytes) {
    static const struct {
        int32_t dtype;
        size_t size;
    } widths[] = {{LH_F32, 4},  {LH_F64, 8},  {LH_I64, 8}, {LH_U8, 1},
                  {LH_BOOL, 1}, {LH_BF16, 2}, {LH_F16, 2}, {LH_I32, 4}};
    char data[6 * 8] = {0};

    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        lh__state *s = lh__state_new();
        cr_assert_eq(lh__state_put_copy(s, "t", widths[i].dtype, 2, (int64_t[]){2, 3}, data, NULL),
                     LH_OK);
        cr_assert_eq(s->tensors[0].size, 6 * widths[i].size);
        lh__state_free(s);
    }
}

Test(state, refuses_what_cannot_be_meant) {
    static const struct {
        const char *name;
        int32_t dtype, ndim;
        int64_t shape[2];
        const char *words;
    } cases[] = {
        {"taken", LH_F32, 1, {1, 0}, "\"taken\""},
        {"\xff\xfe", LH_F32, 1, {1, 0}, "UTF-8"},
        {"t", 0, 1, {1, 0}, "dtype 0"},
        {"t", 9, 1, {1, 0}, "dtype 9"},
        {"t", LH_F32, 9, {1, 0}, "9 dimensions"},
        {"t", LH_F32, -1, {1, 0}, "-1 dimensions"},
        {"t", LH_F32, 2, {1, -1}, "dimension 1"},
        {"t", LH_F32, 2, {INT64_MAX, INT64_MAX}, "larger than memory"},
    };
    char data[8] = {0};
    lh__state *s = lh__state_new();

    cr_assert_eq(lh__state_put(s, "taken", LH_F32, 0, NULL, data, NULL), LH_OK);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        lh__error e = {0};
        cr_assert_eq(lh__state_put(s, cases[i].name, cases[i].dtype, cases[i].ndim, cases[i].shape,
                                   data, &e),
                     LH_EINVAL, "case %zu", i);
        cr_assert(strstr(e.text, cases[i].words), "case %zu: %s", i, e.text);
        cr_assert_eq(lh__state_put_copy(s, cases[i].name, cases[i].dtype, cases[i].ndim,
                                        cases[i].shape, data, NULL),
                     LH_EINVAL, "case %zu", i);
    }
    cr_assert_eq(lh__state_put(s, "no data", LH_F32, 1, (int64_t[]){1}, NULL, NULL), LH_EINVAL);
    cr_assert_eq(s->n_tensors, 1);
    lh__state_free(s);
}
