/* test_allocations.c - a training step in steady state allocates nothing: not the engine, not the
 * trainer, not the fetch threads. The counter is preloaded into lhost, the model does the counting.
 */
#include "process.h"

#include <stdlib.h>

static void preload(void) {
    enter_folder();
    setenv("LD_PRELOAD", getenv("LHOST_TEST_COUNTER"), 1);
}

static void unload(void) {
    unsetenv("LD_PRELOAD");
    leave_folder();
}

TestSuite(allocations, .init = preload, .fini = unload, .timeout = 60);

static void train(const char *options) {
    expect(0, "", "run --model %s --max_epochs 1 --logger false --enable_checkpointing false %s",
           getenv("LHOST_TEST_WATCHED"), options);
}

Test(allocations, none_in_a_step) {
    train("");
}

Test(allocations, none_with_fetch_threads) {
    train("--data.num_workers 2 --num_threads 2");
}

Test(allocations, none_with_accumulation_and_clipping) {
    train("--accumulate_grad_batches 3 --gradient_clip_val 0.5");
}

/* Nor in the pieces of a batch, with what is handed from one to the next. */
Test(allocations, none_in_truncated_back_propagation) {
    train("--model.steps 1");
}

/* The counter counts: without it the model refuses to run, and what it sees is no constant. */
Test(allocations, are_counted) {
    unsetenv("LD_PRELOAD");
    expect(2, "counter is not preloaded", "run --model %s --max_epochs 1 --logger false",
           getenv("LHOST_TEST_WATCHED"));
}
