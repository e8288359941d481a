/* test_arena.c - memory of a step: alignment, growth, and none asked for in the steady state.
 *
 * The allocation functions of the C library are replaced by ones that count. Sanitizers bring their
 * own, so under them the counting test is left out.
 */
#include <stdatomic.h>
#include <stdlib.h>

#include "engine/arena.h"
#include "engine/optimizer.h"
#include "fixture.h"

static atomic_long allocations;

#if defined(__has_feature)
#define HAS(feature) __has_feature(feature)
#else
#define HAS(feature) 0
#endif
#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && \
    !HAS(address_sanitizer) && !HAS(thread_sanitizer)
#define COUNTS 1
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

void *malloc(size_t size) {
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size) {
    allocations++;
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size) {
    allocations++;
    return __libc_realloc(p, size);
}

void *aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size) {
    allocations++;
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **p, size_t alignment, size_t size) {
    allocations++;
    *p = __libc_memalign(alignment, size);
    return *p ? 0 : 12;
}
#else
#define COUNTS 0
#endif

Test(arena, aligned_and_merged) {
    lh__arena a = {0};
    char *first, *other;

    for (int i = 0; i < 1000; i++) {
        char *p = lh__arena_alloc(&a, (size_t)i * 13);

        cr_assert_not_null(p);
        cr_assert_eq((uintptr_t)p % 64, 0);
        memset(p, i, (size_t)i * 13);
    }
    cr_expect_gt(a.growths, 1);
    cr_expect_geq(lh__arena_used(&a), 13 * 999 * 500);
    lh__arena_reset(&a);
    cr_expect_eq(lh__arena_used(&a), 0);
    long growths = a.growths;
    for (int i = 0; i < 1000; i++)
        lh__arena_alloc(&a, (size_t)i * 13);
    cr_expect_eq(a.growths, growths, "what fitted has to fit again");
    lh__arena_reset(&a);
    first = lh__arena_alloc(&a, 1);
    other = lh__arena_alloc(&a, 0);
    cr_expect_eq(other - first, 64);
    cr_expect_null(lh__arena_alloc(&a, SIZE_MAX / 2));
    cr_expect_not_null(lh__arena_alloc(&a, 1));
    lh__arena_free(&a);
}

typedef struct model {
    lh__engine *e;
    lh_tensor *w1, *b1, *w2, *b2;
    lh_optimizer *adam;
} model;

static float pixels[64 * 784];
static int64_t labels[64];

/* A training step as the trainer takes it; its loss. */
static double train(model *m, uint64_t step) {
    lh__engine *e = m->e;
    lh_tensor *x, *t, *loss, *hits;

    lh__step_begin(e, LH__PHASE_TRAIN, step);
    x = lh__tensor_wrap(e, LH_F32, 2, (int64_t[]){64, 784}, pixels);
    t = lh__tensor_wrap(e, LH_I64, 1, (int64_t[]){64}, labels);
    x = call(e, LH_OP_RELU, TENSORS(call(e, LH_OP_LINEAR, TENSORS(x, m->w1, m->b1), NONE, NONE)),
             NONE, NONE);
    x = call(e, LH_OP_DROPOUT, TENSORS(x), NONE, REALS(0.1));
    x = call(e, LH_OP_LINEAR, TENSORS(x, m->w2, m->b2), NONE, NONE);
    x = call(e, LH_OP_LOG_SOFTMAX, TENSORS(x), INTS(1), NONE);
    loss = call(e, LH_OP_NLL_LOSS, TENSORS(x, t), NONE, NONE);
    hits = call(e, LH_OP_ACCURACY, TENSORS(x, t), NONE, NONE);
    lh__params_zero_grad(e);
    cr_assert_eq(lh__backward(e, loss, 1.0, 0), LH_OK);
    lh__clip_grad_norm(e, m->adam, 1.0);
    cr_assert_eq(lh__optimizer_step(m->adam, &(lh__terms){.scale = 1}), LH_OK);
    return lh__item(e, loss) + 0.0 * lh__item(e, hits);
}

static model new_model(const char *device, int32_t threads) {
    static const lh_optimizer_options adam = {LH_SIZED(lh_optimizer_options),
                                              .kind = LH_ADAM,
                                              .lr = 1e-3,
                                              .beta1 = 0.9,
                                              .beta2 = 0.999,
                                              .eps = 1e-8};
    lh_init init = {.kind = LH_INIT_KAIMING_UNIFORM, .a = sqrt(5)};
    model m = {.e = new_engine(device, LH_F32, threads)};

    m.w1 = lh__param_new(m.e, "w1", 0, 2, (int64_t[]){128, 784}, &init);
    m.b1 = lh__param_new(m.e, "b1", 0, 1, (int64_t[]){128}, NULL);
    m.w2 = lh__param_new(m.e, "w2", 0, 2, (int64_t[]){10, 128}, &init);
    m.b2 = lh__param_new(m.e, "b2", 0, 1, (int64_t[]){10}, NULL);
    cr_assert_eq(lh__params_seal(m.e), LH_OK);
    m.adam = lh__optimizer_new(m.e, &adam);
    cr_assert_not_null(m.adam);
    for (int i = 0; i < 64 * 784; i++)
        pixels[i] = (float)lh__philox_normal((lh__philox_key){1, 2, 3}, (uint64_t)i);
    for (int i = 0; i < 64; i++)
        labels[i] = i % 10;
    return m;
}

Test(arena, a_steady_step_allocates_nothing) {
    model m = new_model("cpu", 2);
    double first = train(&m, 0), last = 0;
    long before;

    train(&m, 1);
    train(&m, 2);
    before = allocations;
    for (uint64_t step = 3; step < 30; step++)
        last = train(&m, step);
    cr_expect_eq(allocations, before, "%ld allocations", allocations - before);
    cr_expect_lt(last, first);
    cr_expect(!COUNTS || before > 0);
    lh__engine_free(m.e);
}

/* A smaller step in between, the last of an epoch, changes nothing. */
Test(arena, growth_stops) {
    model m = new_model("ref", 1);
    int64_t growths;

    train(&m, 0);
    train(&m, 1);
    growths = lh__engine_arena(m.e).growths;
    lh__step_begin(m.e, LH__PHASE_EVAL, 0);
    full(m.e, LH_F32, 1, 1, (int64_t[]){10});
    train(&m, 2);
    cr_expect_eq(lh__engine_arena(m.e).growths, growths);
    cr_expect_geq(lh__engine_arena(m.e).reserved, lh__engine_arena(m.e).used);
    lh__engine_free(m.e);
}
