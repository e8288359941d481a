/* test_loader.c - batches are the same with any number of threads and from wherever one begins. */
#include "data/loader.h"

#include <criterion/criterion.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N = 203, WIDTH = 5 };

static lh__datasets *all;
static lh__error e;
static lh_dataset *numbers; /* item i: five bytes from i on, and the label i */

static struct {
    atomic_int calls;
    int64_t fails_at; /* -1: never */
    useconds_t delay; /* in front of every item, when it isn't 0 */
} plugin = {.fails_at = -1};

static lh_status get_item(void *user, int64_t index, void *const *fields) {
    atomic_fetch_add(&plugin.calls, 1);
    if (plugin.delay)
        usleep(plugin.delay);
    memset(fields[0], (int)(index & 0xff), WIDTH);
    *(int64_t *)fields[1] = index;
    return index == plugin.fails_at ? LH_EIO : LH_OK;
}

static lh_dataset *custom(int64_t length) {
    static const lh_field fields[] = {
        {LH_SIZED(lh_field), .dtype = LH_U8, .ndim = 1, .shape = {WIDTH}},
        {LH_SIZED(lh_field), .dtype = LH_I64}};
    lh_dataset_desc desc = {LH_SIZED(lh_dataset_desc), 2, fields, length, get_item, NULL};

    return lh__dataset_custom(all, &desc, &e);
}

static void setup(void) {
    static uint8_t bytes[N][WIDTH];
    static int64_t labels[N];
    lh__array arrays[] = {{LH_U8, 2, {N, WIDTH}, bytes}, {LH_I64, 1, {N}, labels}};

    for (int i = 0; i < N; i++) {
        labels[i] = i;
        for (int j = 0; j < WIDTH; j++)
            bytes[i][j] = (uint8_t)(i + j);
    }
    all = lh__datasets_new();
    numbers = lh__dataset_arrays(all, arrays, 2, &e);
    cr_assert_not_null(numbers, "%s", e.text);
}

static void teardown(void) {
    lh__datasets_free(all);
}

TestSuite(loader, .init = setup, .fini = teardown, .timeout = 20);

static lh_loader_options options(lh_dataset *d, int64_t batch_size, int workers) {
    return (lh_loader_options){LH_SIZED(lh_loader_options), .shuffle = 1, .num_workers = workers,
                               .batch_size = batch_size, .dataset = d};
}

static lh__loader *make(const lh_loader_options *o) {
    lh__loader *l = lh__loader_new(o, 42, 0, 0, &e);

    cr_assert_not_null(l, "%s", e.text);
    return l;
}

static void begin(lh__loader *l, uint64_t epoch, int64_t first, int64_t limit) {
    cr_assert_eq(lh__loader_begin(l, epoch, first, limit, &e), LH_OK, "%s", e.text);
}

/* The labels of all batches to come, in order; returns how many. */
static int64_t drain(lh__loader *l, int64_t *labels) {
    int64_t n = 0;
    lh__batch *b;

    for (;;) {
        cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK, "%s", e.text);
        if (!b)
            return n;
        cr_assert(b->size > 0 && b->n_fields == 2 && b->fields[0].ndim == 2 &&
                  b->fields[1].ndim == 1);
        cr_assert(b->fields[0].shape[0] == b->size && b->fields[0].shape[1] == WIDTH &&
                  b->fields[1].shape[0] == b->size);
        for (int64_t i = 0; i < b->size; i++) {
            int64_t label = ((const int64_t *)b->data[1])[i];

            cr_assert_eq(((const uint8_t *)b->data[0])[i * WIDTH], (uint8_t)label);
            cr_assert_eq(b->indices[i], label);
            labels[n++] = label;
        }
        for (int f = 0; f < 2; f++)
            cr_assert_eq((uintptr_t)b->data[f] % 64, 0);
        lh__loader_release(l, b);
    }
}

static void expect_each_once(const int64_t *labels, int64_t n) {
    char seen[N] = {0};

    for (int64_t i = 0; i < n; i++)
        cr_assert_eq(seen[labels[i]]++, 0);
}

Test(loader, in_order_with_a_short_last_batch) {
    lh_loader_options o = options(numbers, 50, 0);
    int64_t labels[N];
    lh__batch *b = NULL;
    lh__loader *l;

    o.shuffle = 0;
    l = make(&o);
    cr_assert_eq(lh__loader_batches(l), 5);
    begin(l, 0, 0, -1);
    cr_assert_eq(drain(l, labels), N);
    for (int i = 0; i < N; i++)
        cr_assert_eq(labels[i], i);
    begin(l, 0, 4, -1);
    cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
    cr_assert(b->size == 3 && b->index == 4);
    lh__loader_free(l);
}

Test(loader, drop_last) {
    lh_loader_options o = options(numbers, 50, 0);
    int64_t labels[N];
    lh__loader *l;

    o.drop_last = 1;
    l = make(&o);
    cr_assert_eq(lh__loader_batches(l), 4);
    begin(l, 0, 0, -1);
    cr_assert_eq(drain(l, labels), 200);
    expect_each_once(labels, 200);
    lh__loader_free(l);
}

Test(loader, shuffles_by_seed_loader_and_epoch) {
    lh_loader_options o = options(numbers, 50, 0);
    int64_t orders[4][N];
    lh__loader *l[3] = {lh__loader_new(&o, 42, 0, 0, &e), lh__loader_new(&o, 43, 0, 0, &e),
                        lh__loader_new(&o, 42, 1, 0, &e)};

    for (int i = 0; i < 4; i++) {
        begin(l[i % 3], i == 3, 0, -1);
        cr_assert_eq(drain(l[i % 3], orders[i]), N);
        expect_each_once(orders[i], N);
        for (int k = 0; k < i; k++)
            cr_assert_neq(memcmp(orders[i], orders[k], sizeof *orders), 0, "%d and %d", i, k);
    }
    for (int i = 0; i < 3; i++)
        lh__loader_free(l[i]);
}

Test(loader, the_same_with_any_number_of_threads) {
    static const int workers[] = {0, 1, 2, 4}, ahead[] = {0, 1, 9};
    int64_t want[3][N], got[N];

    for (int w = 0; w < 4; w++)
        for (int a = 0; a < 3; a++) {
            lh_loader_options o = options(a == 1 ? custom(N) : numbers, 7, workers[w]);
            lh__loader *l;

            o.prefetch = ahead[a];
            l = make(&o);
            for (uint64_t epoch = 0; epoch < 3; epoch++) {
                int64_t *labels = w == 0 && a == 0 ? want[epoch] : got;

                begin(l, epoch, 0, -1);
                cr_assert_eq(drain(l, labels), N);
                cr_assert_eq(memcmp(labels, want[epoch], sizeof got), 0, "%d threads", workers[w]);
            }
            lh__loader_free(l);
        }
}

Test(loader, begins_anywhere_and_ends_at_the_limit) {
    for (int w = 0; w < 3; w++) {
        lh_loader_options o = options(numbers, 7, w);
        lh__loader *l = make(&o);
        int64_t whole[N], part[N];

        begin(l, 5, 0, -1);
        drain(l, whole);
        for (int64_t first = 0; first <= 29; first += 4) {
            begin(l, 5, first, -1);
            cr_assert_eq(drain(l, part), N - 7 * first);
            cr_assert_eq(memcmp(part, whole + 7 * first, (size_t)(N - 7 * first) * 8), 0);
        }
        begin(l, 5, 2, 10);
        cr_assert_eq(drain(l, part), 56);
        cr_assert_eq(memcmp(part, whole + 14, 56 * 8), 0);
        begin(l, 5, 10, 10);
        cr_assert_eq(drain(l, part), 0);
        begin(l, 5, 28, 1000);
        cr_assert_eq(drain(l, part), 7);
        lh__loader_free(l);
    }
}

/* What was fetched ahead of an epoch that is given up must not show in the next. */
Test(loader, an_epoch_given_up) {
    lh_loader_options o = options(custom(N), 3, 2);
    lh__loader *l = make(&o), *calm;
    int64_t want[N], got[N];
    lh__batch *b, *held;

    o.num_workers = 0;
    calm = make(&o);
    plugin.delay = 100;
    for (uint64_t epoch = 1; epoch < 6; epoch++) {
        begin(l, 0, 0, -1);
        for (uint64_t i = 0; i < epoch; i++) {
            cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
            lh__loader_release(l, b);
        }
        cr_assert_eq(lh__loader_next(l, &held, &e), LH_OK);
        begin(l, epoch, 60, -1);
        begin(calm, epoch, 60, -1);
        cr_assert_eq(drain(l, got), N - 180);
        cr_assert_eq(drain(calm, want), N - 180);
        cr_assert_eq(memcmp(got, want, (N - 180) * 8), 0);
        cr_assert(held->index == (int64_t)epoch && held->size == 3);
        cr_assert_eq(((const int64_t *)held->data[1])[2], held->indices[2]);
        lh__loader_release(l, held);
    }
    lh__loader_free(l);
    lh__loader_free(calm);
}

Test(loader, an_error_comes_with_its_batch) {
    for (int w = 0; w < 3; w++) {
        lh_loader_options o = options(custom(20), 4, w);
        lh__loader *l;
        lh__batch *b;

        o.shuffle = 0;
        plugin.fails_at = 9;
        l = make(&o);
        begin(l, 0, 0, -1);
        for (int i = 0; i < 5; i++) {
            lh_status status = lh__loader_next(l, &b, &e);

            cr_assert_eq(status, i == 2 ? LH_EIO : LH_OK, "batch %d", i);
            if (b)
                lh__loader_release(l, b);
            else
                cr_expect(strstr(e.text, "batch 2") && strstr(e.text, "index 9"), "%s", e.text);
            e.code = LH_OK;
        }
        cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
        cr_assert_null(b);
        lh__loader_free(l);
    }
}

Test(loader, fetches_ahead_but_not_further) {
    lh_loader_options o = options(custom(N), 1, 2);
    lh__loader *l;
    int before;

    o.prefetch = 3;
    l = make(&o);
    begin(l, 0, 0, -1);
    for (int i = 0; i < 2000 && atomic_load(&plugin.calls) < 5; i++)
        usleep(1000);
    usleep(5000);
    before = atomic_load(&plugin.calls);
    cr_assert_eq(before, 3 + LH__BATCHES_HELD, "%d", before);
    lh__loader_free(l); /* while all threads are blocked */
}

Test(loader, stops_while_an_item_is_on_its_way) {
    lh_loader_options o = options(custom(N), 50, 4);
    lh__loader *l = make(&o);

    plugin.delay = 500;
    begin(l, 0, 0, -1);
    while (atomic_load(&plugin.calls) < 4)
        usleep(100);
    lh__loader_free(l);
}

Test(loader, only_so_many_batches_are_held) {
    for (int w = 0; w < 2; w++) {
        lh_loader_options o = options(numbers, 10, w);
        lh__loader *l = make(&o);
        lh__batch *a, *b, *c;

        cr_assert_eq(lh__loader_next(l, &a, NULL), LH_ESTATE);
        begin(l, 0, 0, -1);
        cr_assert_eq(lh__loader_next(l, &a, &e), LH_OK);
        cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
        cr_assert_eq(lh__loader_next(l, &c, NULL), LH_ESTATE);
        cr_assert_null(c);
        lh__loader_release(l, a);
        cr_assert_eq(lh__loader_next(l, &c, &e), LH_OK);
        cr_assert(b->index == 1 && c->index == 2);
        lh__loader_free(l);
    }
}

Test(loader, a_batch_larger_than_the_dataset) {
    lh_loader_options o = options(numbers, INT64_C(1) << 40, 0);
    lh__loader *l = make(&o);
    int64_t labels[N];

    cr_assert_eq(lh__loader_batches(l), 1);
    begin(l, 0, 0, -1);
    cr_assert_eq(drain(l, labels), N);
    expect_each_once(labels, N);
    lh__loader_free(l);
}

static void refuse(lh_loader_options o, const char *text) {
    cr_assert_null(lh__loader_new(&o, 0, 0, 0, &e), "%s", text);
    cr_expect(strstr(e.text, text), "%s: %s", text, e.text);
    e.code = LH_OK;
}

Test(loader, refuses) {
    lh_loader_options ok = options(numbers, 10, 0), o;

    o = ok, o.batch_size = 0;
    refuse(o, "batch_size is 0");
    o = ok, o.num_workers = -2;
    refuse(o, "num_workers is -2");
    o = ok, o.num_workers = 100000;
    refuse(o, "num_workers is 100000");
    o = ok, o.prefetch = -1;
    refuse(o, "prefetch is -1");
    o = ok, o.dataset = NULL;
    refuse(o, "`dataset` is missing");
    o = ok, o.dataset = lh__dataset_subset(all, numbers, NULL, 0, &e);
    refuse(o, "dataset is empty");
    o = ok, o.drop_last = 1, o.batch_size = N + 1;
    refuse(o, "drop_last leaves no batch");
    o = ok, o.dataset = custom(INT64_MAX), o.batch_size = INT64_MAX;
    refuse(o, "memory");
}

Test(loader, begins_at_no_negative_batch) {
    lh_loader_options o = options(numbers, 10, 0);
    lh__loader *l = make(&o);

    cr_assert_eq(lh__loader_begin(l, 0, -1, -1, &e), LH_EINVAL);
    cr_expect(strstr(e.text, "batch -1"), "%s", e.text);
    lh__loader_free(l);
}

Test(loader, chooses_no_thread_for_small_batches_in_memory) {
    lh_loader_options o = options(numbers, 10, -1);
    lh__loader *l = make(&o);

    cr_assert_eq(lh__loader_workers(l), 0);
    lh__loader_free(l);
    o.dataset = custom(N);
    l = make(&o);
    cr_assert_eq(lh__loader_workers(l) > 0, sysconf(_SC_NPROCESSORS_ONLN) > 1);
    lh__loader_free(l);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
/* Every allocation of the process passes here. */
static atomic_long allocations;
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

void *malloc(size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_calloc(n, size);
}

void *realloc(void *old, size_t size) {
    atomic_fetch_add(&allocations, 1);
    return __libc_realloc(old, size);
}

Test(loader, epochs_allocate_nothing) {
    for (int w = 0; w < 3; w++) {
        lh_loader_options o =
            options(lh__dataset_normalize(all, w == 1 ? custom(N) : numbers, 0, 1, 0, 1, &e), 7, w);
        lh__loader *l = make(&o);
        long before = 0;
        lh__batch *b;

        for (uint64_t epoch = 0; epoch < 5; epoch++) {
            begin(l, epoch, 0, -1);
            while (lh__loader_next(l, &b, &e) == LH_OK && b)
                lh__loader_release(l, b);
            if (epoch == 0)
                before = atomic_load(&allocations);
        }
        cr_assert_gt(before, 0);
        cr_assert_eq(atomic_load(&allocations), before);
        lh__loader_free(l);
    }
}
#endif

/* ---- help ---- */

static atomic_int helping;
static atomic_long pieces;

static void *help(void *loader) {
    while (atomic_load(&helping))
        atomic_fetch_add(&pieces, lh__loader_help(loader));
    return NULL;
}

static lh__loader *helped(const lh_loader_options *o) {
    lh__loader *l = lh__loader_new(o, 42, 0, 2, &e);

    cr_assert_not_null(l, "%s", e.text);
    return l;
}

/* With two helpers and without: the same batches, through epochs that break off. */
Test(loader, helpers_change_nothing) {
    lh_loader_options o = options(numbers, 16, 0);
    lh__loader *alone = make(&o), *l = helped(&o);
    int64_t expected[N], labels[N];
    pthread_t threads[2];

    atomic_store(&helping, 1);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, help, l), 0);
    begin(l, 0, 0, -1);
    while (lh__loader_is_helped(l) && atomic_load(&pieces) == 0) /* they have begun */
        usleep(100);
    for (uint64_t epoch = 0; epoch < 300; epoch++) {
        lh__batch *b;
        int64_t n;

        begin(alone, epoch, (int64_t)(epoch % 5), -1);
        begin(l, epoch + 1000, 0, -1);
        if (epoch % 3 == 0) {
            cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
            lh__loader_release(l, b);
        }
        begin(l, epoch, (int64_t)(epoch % 5), -1);
        n = drain(alone, expected);
        cr_assert_eq(drain(l, labels), n);
        cr_assert_eq(memcmp(labels, expected, (size_t)n * sizeof *labels), 0, "epoch %d",
                     (int)epoch);
    }
    atomic_store(&helping, 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    lh__loader_free(l);
    lh__loader_free(alone);
}

/* They fill the slots and then have nothing to do; before an epoch and at its end neither. */
Test(loader, help_ends) {
    lh_loader_options o = options(numbers, 16, 0);
    lh__loader *l = helped(&o);
    lh__batch *b;
    int n = 0;

    cr_assert_eq(lh__loader_help(l), 0);
    begin(l, 0, 0, 2);
    while (lh__loader_help(l))
        n++;
    cr_assert(n > 0 || !lh__loader_is_helped(l));
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(lh__loader_next(l, &b, &e), LH_OK);
        cr_assert_eq(b->index, i);
        lh__loader_release(l, b);
    }
    cr_assert_eq(lh__loader_help(l), 0);
    lh__loader_free(l);
}

/* Not a plugin's items, which are read where its author expects it; nor what has threads. */
Test(loader, who_is_helped) {
    lh_loader_options o = options(custom(40), 8, 0);
    lh__loader *l = helped(&o);

    cr_assert_eq(lh__loader_is_helped(l), 0);
    lh__loader_free(l);
    o = options(numbers, 8, 1);
    l = helped(&o);
    cr_assert_eq(lh__loader_is_helped(l), 0);
    lh__loader_free(l);
}
