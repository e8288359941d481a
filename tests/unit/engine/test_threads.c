/* test_threads.c - what an engine asks of its compute threads: cores of their own, subnormal
 * numbers taken for zero, a stack that suffices. */
#include "fixture.h"

#include <pthread.h>
#include <sched.h>

static lh__engine_options options(int32_t threads) {
    return (lh__engine_options){.device = "cpu", .threads = threads, .dtype = LH_F32};
}

static int core_count(void) {
    cpu_set_t cores;

    cr_assert_eq(sched_getaffinity(0, sizeof cores, &cores), 0);
    return CPU_COUNT(&cores);
}

Test(threads, pinning_needs_a_core_for_each) {
    const int cores = core_count();
    lh__engine_options o = options(cores + 1);
    lh__error err = {0};
    lh__engine *e;

    o.pin_threads = 1;
    cr_expect_null(lh__engine_new(&o, &err));
    cr_expect_eq(err.code, LH_EINVAL);
    cr_expect(strstr(err.text, "core of its own"), "%s", err.text);
    o.threads = cores;
    err = (lh__error){0};
    e = lh__engine_new(&o, &err);
    cr_assert_not_null(e, "%s", err.text);
    cr_expect_eq(core_count(), 1);
    lh__engine_free(e);
    cr_expect_eq(core_count(), cores);
}

/* Of 2^20 elements 2^-120 * 2^-20, how many are zero. */
static double zeros(int32_t flush, int32_t threads) {
    const int64_t n = 1 << 20;
    lh__engine_options o = options(threads);
    lh__error err = {0};
    lh__engine *e;
    lh_tensor *x, *zero;
    double count;

    o.flush_denormal = flush;
    e = lh__engine_new(&o, &err);
    cr_assert_not_null(e, "%s", err.text);
    lh__step_begin(e, LH__PHASE_TRAIN, 0);
    x = full(e, LH_F32, 0x1p-120, 1, &n);
    x = call(e, LH_OP_MUL, TENSORS(x, full(e, LH_F32, 0x1p-20, 1, &n)), NONE, NONE);
    x = call(e, LH_OP_MUL_SCALAR, TENSORS(x), NONE, REALS(0x1p100));
    zero = call(e, LH_OP_SUM,
                TENSORS(call(e, LH_OP_EQ, TENSORS(x, full(e, LH_F32, 0, 1, &n)), NONE, NONE)),
                INTS(0), NONE);
    count = lh__item(e, zero);
    lh__engine_free(e);
    return count;
}

Test(threads, subnormal_numbers_are_flushed_where_asked) {
    volatile float tiny = 0x1p-120f;

    for (int32_t threads = 1; threads <= 3; threads++) {
        cr_expect_eq(zeros(0, threads), 0);
        cr_expect_eq(zeros(1, threads), 1 << 20);
        cr_expect(tiny * 0x1p-20f > 0, "the caller flushes on");
    }
}

static void *make_engine(void *arg) {
    const lh__engine_options o = options(1);

    return lh__engine_new(&o, arg);
}

Test(threads, a_small_stack_is_refused) {
    lh__error err = {0};
    pthread_attr_t attr;
    pthread_t thread;
    void *e;

    pthread_attr_init(&attr);
    cr_assert_eq(pthread_attr_setstacksize(&attr, 1 << 20), 0);
    cr_assert_eq(pthread_create(&thread, &attr, make_engine, &err), 0);
    pthread_join(thread, &e);
    pthread_attr_destroy(&attr);
    cr_expect_null(e);
    cr_expect(strstr(err.text, "ulimit -s"), "%s", err.text);
}
