/* test_program.c - what needs no run: help, version and inspect, from anywhere, on any machine. */
#include "process.h"

#include <stdlib.h>
#include <string.h>

TestSuite(program, .init = enter_folder, .fini = leave_folder, .timeout = 30);

Test(program, works_from_any_folder) {
    static const char *const words[] = {
        "version",  "version --json",      "help",
        "help run", "inspect p/steady.so", "inspect --json p/steady.so"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        cr_assert_eq(run("%s", words[i]), 0, "%s: %s", words[i], said());
        cr_assert(strlen(printed()) > 20, "%s printed '%s'", words[i], printed());
    }
}

Test(program, says_what_it_is_made_of) {
    cr_assert_eq(run("version"), 0);
    cr_assert(strstr(printed(), "cpu"), "%s", printed());
    cr_assert(strstr(printed(), "plugin abi"), "%s", printed());
}

/* No library of a driver may be needed to start: they come in plugins. */
Test(program, needs_no_driver) {
    setenv("CUDA_VISIBLE_DEVICES", "", 1);
    setenv("LD_LIBRARY_PATH", "/nonexistent", 1);
    cr_assert_eq(run("run --model p/steady.so --fast_dev_run true"), 0, "%s", said());
}

Test(program, only_fit_asks_how_long_to_train) {
    cr_assert_eq(run("fit --model p/steady.so --limit_train_batches 0 --default_root_dir r"), 0, "%s",
                 said());
    cr_expect(strstr(said(), "max_epochs was not set"), "%s", said());
    cr_assert_eq(run("test --model p/steady.so --default_root_dir r"), 0, "%s", said());
    cr_expect_not(strstr(said(), "max_epochs"), "%s", said());
}
