/* fixture.h - what the tests of this room share: a folder of their own, a state of every kind of
 * tensor, and the comparison of two states. */
#ifndef LH_TESTS_CHECKPOINT_FIXTURE_H
#define LH_TESTS_CHECKPOINT_FIXTURE_H

#include "checkpoint/json.h"
#include "checkpoint/state.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static inline void make_folder(void) {
    strcpy(folder, "/tmp/lhost-checkpoint-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static inline void remove_folder(void) {
    DIR *dir = opendir(folder);

    for (struct dirent *entry; (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

/* A path in the folder; the text lives until the 16th call after it. */
static inline const char *in_folder(const char *name) {
    static char paths[16][128];
    static int next;

    next = (next + 1) % 16;
    snprintf(paths[next], sizeof *paths, "%s/%s", folder, name);
    return paths[next];
}

static inline int count_files(void) {
    DIR *dir = opendir(folder);
    int n = 0;

    for (struct dirent *entry; (entry = readdir(dir));)
        n += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(dir);
    return n;
}

/* Every dtype in the shapes (3), (2, 3), scalar, (0), (2, 0, 3), in an order that mixes element
 * sizes; bytes from a counter, BOOL 0 and 1; names that need escapes; awkward numbers. */
static inline lh__state *full_state(void) {
    static const struct {
        int32_t ndim;
        int64_t shape[LH_MAX_DIMS];
    } shapes[] = {{1, {3}}, {2, {2, 3}},    {0, {0}},
                  {1, {0}}, {3, {2, 0, 3}}, {8, {1, 2, 1, 1, 1, 1, 1, 1}}};
    lh__state *s = lh__state_new();
    unsigned char data[64], counter = 1;
    char name[64];

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int32_t dtype = LH_F32; dtype <= LH_I32; dtype++) {
            for (size_t j = 0; j < sizeof data; j++)
                data[j] = dtype == LH_BOOL ? j % 3 == 0 : counter++;
            snprintf(name, sizeof name, "layer \"%zu\"\\\n\t\x01 \xc3\xa9.%d", i, dtype);
            cr_assert_eq(
                lh__state_put_copy(s, name, dtype, shapes[i].ndim, shapes[i].shape, data, NULL),
                LH_OK);
        }
    lh__json_put_real(s->meta, "best", -NAN);
    lh__json_put_real(s->meta, "lr", 0.1);
    lh__json_put_int(s->meta, "global_step", INT64_MIN);
    json_object_set_new(s->meta, "text \"\\\n", json_stringn("a\0\"\\\n\xc3\xa9", 7));
    json_object_set_new(s->meta, "nested", json_pack("{s:[i,n,b,{s:{}}]}", "x", 1, 1, "y"));
    return s;
}

static inline void expect_same(const lh__state *a, const lh__state *b) {
    cr_assert(json_equal(a->meta, b->meta));
    cr_assert_eq(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        const lh__state_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        cr_assert_str_eq(x->name, y->name);
        cr_assert_eq(x->dtype, y->dtype);
        cr_assert_eq(x->ndim, y->ndim);
        cr_assert_arr_eq(x->shape, y->shape, sizeof x->shape);
        cr_assert_eq(x->size, y->size);
        cr_assert(x->size == 0 || memcmp(x->data, y->data, x->size) == 0, "%s", x->name);
        cr_assert_eq((uintptr_t)y->data % lh__stored_dtype_of(y->dtype)->size, 0);
    }
}

#endif
