/*
 * The part of Criterion that the tests use, for the ThreadSanitizer build only (tests/run tsan).
 *
 * Criterion passes data to its test processes through memory at a fixed address, which
 * ThreadSanitizer keeps for itself: no Criterion program starts under it. Here each test runs in a
 * process made by fork(), as it does there. A test fails when an assertion fails, the process dies,
 * or ThreadSanitizer reports (exit status 66). The messages of assertions are not printed: the
 * place is, and the normal build tells the rest.
 */
#ifndef LHOST_TSAN_CRITERION_H
#define LHOST_TSAN_CRITERION_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct criterion_options {
    void (*init)(void);
    void (*fini)(void);
    int signal;
    int exit_code;
    bool disabled;
    double timeout; /* seconds; left to `meson test` */
    const char *description;
};

struct criterion_case {
    const char *suite, *name;
    void (*body)(void);
    struct criterion_options options;
    struct criterion_case *next;
};

/* One list and one main per program, however many files include this header. */
__attribute__((weak)) struct criterion_case *criterion_cases;
__attribute__((weak)) bool criterion_failed;

static inline void criterion_check(bool holds, bool fatal, const char *file, int line,
                                   const char *what) {
    if (holds)
        return;
    fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, what);
    criterion_failed = true;
    if (fatal)
        _exit(1);
}

/* Runs one test in a process of its own; true when it ended the way its options say. */
static inline bool criterion_run(const struct criterion_case *test) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        if (test->options.init)
            test->options.init();
        test->body();
        if (test->options.fini)
            test->options.fini();
        exit(criterion_failed ? 1 : 0);
    }
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) != child)
        return false;
    if (WIFSIGNALED(status))
        return WTERMSIG(status) == test->options.signal;
    return !test->options.signal && WEXITSTATUS(status) == test->options.exit_code;
}

__attribute__((weak)) int main(void) {
    int failed = 0, ran = 0;
    for (const struct criterion_case *test = criterion_cases; test; test = test->next) {
        if (test->options.disabled)
            continue;
        bool good = criterion_run(test);
        fprintf(stderr, "%s %s::%s\n", good ? "ok  " : "FAIL", test->suite, test->name);
        failed += !good;
        ran++;
    }
    return failed || !ran;
}

#define Test(suite_, name_, ...)                                                 \
    static void suite_##_##name_##_body(void);                                   \
    __attribute__((constructor)) static void suite_##_##name_##_register(void) { \
        static struct criterion_case test = {                                    \
            #suite_, #name_, suite_##_##name_##_body, {__VA_ARGS__}, NULL};      \
        test.next = criterion_cases;                                             \
        criterion_cases = &test;                                                 \
    }                                                                            \
    static void suite_##_##name_##_body(void)

#define CR_CHECK_(fatal, holds, what) criterion_check((holds), fatal, __FILE__, __LINE__, what)

#define cr_assert(c, ...) CR_CHECK_(true, (c), #c)
#define cr_expect(c, ...) CR_CHECK_(false, (c), #c)
#define cr_assert_not(c, ...) CR_CHECK_(true, !(c), "not " #c)
#define cr_assert_eq(a, b, ...) CR_CHECK_(true, (a) == (b), #a " == " #b)
#define cr_expect_eq(a, b, ...) CR_CHECK_(false, (a) == (b), #a " == " #b)
#define cr_assert_neq(a, b, ...) CR_CHECK_(true, (a) != (b), #a " != " #b)
#define cr_assert_lt(a, b, ...) CR_CHECK_(true, (a) < (b), #a " < " #b)
#define cr_assert_leq(a, b, ...) CR_CHECK_(true, (a) <= (b), #a " <= " #b)
#define cr_assert_gt(a, b, ...) CR_CHECK_(true, (a) > (b), #a " > " #b)
#define cr_assert_geq(a, b, ...) CR_CHECK_(true, (a) >= (b), #a " >= " #b)
#define cr_assert_null(a, ...) CR_CHECK_(true, (a) == NULL, #a " == NULL")
#define cr_assert_not_null(a, ...) CR_CHECK_(true, (a) != NULL, #a " != NULL")
#define cr_assert_str_eq(a, b, ...) CR_CHECK_(true, !strcmp((a), (b)), #a " same text as " #b)
#define cr_assert_str_neq(a, b, ...) \
    CR_CHECK_(true, strcmp((a), (b)) != 0, #a " other text than " #b)
#define cr_assert_arr_eq(a, b, size, ...) \
    CR_CHECK_(true, !memcmp((a), (b), (size)), #a " same bytes as " #b)
#define cr_assert_float_eq(a, b, eps, ...) \
    CR_CHECK_(true, (a) - (b) <= (eps) && (b) - (a) <= (eps), #a " near " #b)
#define cr_assert_fail(...) CR_CHECK_(true, false, "reached")
#define cr_log_info(...) ((void)fprintf(stderr, __VA_ARGS__), (void)fputc('\n', stderr))
#define cr_log_warn(...) cr_log_info(__VA_ARGS__)
#define cr_skip_test(...) (cr_log_info("skipped: " __VA_ARGS__), exit(0))

#endif
