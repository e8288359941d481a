/* test_probe.c - constructors that crash, abort, exit or hang do it in a child. */
#include "plugin/child.h"
#include "plugin/plugin.h"

#include <criterion/criterion.h>
#include <string.h>
#include <unistd.h>

#include "files.h"

static void reports(const char *name, const char *words) {
    lh__error err = {0};
    char path[512];

    snprintf(path, sizeof path, PLUGINS "/%s.so", name);
    cr_assert_eq(lh__plugin_probe(path, 300, &err), LH_EPLUGIN);
    assert_says(err, words);
    assert_says(err, name);
}

Test(probe, says_how_it_ended) {
    reports("constructor_crash", "constructor of it crashed with SIGSEGV");
    reports("constructor_abort", "constructor of it crashed with SIGABRT");
    reports("constructor_exit", "constructor of it called exit(");
    reports("constructor_hang", "constructor of it did not return within 0.3 s");
    reports("undefined", "undefined symbol function_that_nobody_has");
}

Test(probe, lets_good_ones_pass) {
    cr_assert_eq(lh__plugin_probe(PLUGINS "/good.so", 5000, NULL), LH_OK);
    cr_assert_eq(lh__plugin_probe(PLUGINS "/constructor_works.so", 5000, NULL), LH_OK);
}

/* Loading probes what has constructors: this process lives on. */
Test(probe, guards_the_loader) {
    lh__error err = {0};
    lh__plugin *p;

    cr_assert_null(lh__plugin_load(PLUGINS "/constructor_crash.so", NULL, &err));
    assert_says(err, "crashed with SIGSEGV");
    p = lh__plugin_load(PLUGINS "/constructor_works.so", NULL, NULL);
    cr_assert_not_null(p);
    cr_assert(strstr(p->warnings[0], "constructor"), "%s", p->warnings[0]);
    lh__plugin_free(p);
}

static int say(void *arg, int fd) {
    return write(fd, arg, strlen(arg)) == (ssize_t)strlen(arg) ? 0 : 1;
}

static int give_up(void *arg, int fd) {
    say(arg, fd);
    return 1;
}

static int leave(void *arg, int fd) {
    _exit(*(const int *)arg);
}

Test(child, brings_back_what_the_job_says) {
    lh__error err = {0}, failed = {0}, left = {0};
    char text[] = "hello", *output = NULL;
    int status = 3;

    cr_assert_eq(lh__in_child(say, text, 5000, &output, &err), LH_OK);
    cr_assert_str_eq(output, "hello");
    free(output);
    cr_assert_eq(lh__in_child(give_up, text, 5000, &output, &failed), LH_EPLUGIN);
    cr_assert_str_eq(failed.text, "hello");
    free(output);
    cr_assert_eq(lh__in_child(leave, &status, 5000, &output, &left), LH_EPLUGIN);
    cr_assert_str_eq(left.text, "called exit(3)");
    free(output);
}
