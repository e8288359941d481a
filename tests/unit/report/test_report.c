/* The observer on a real pseudo-terminal and on a pipe. */
#include "report/report.h"

#include <criterion/criterion.h>
#include <fcntl.h>
#include <pty.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

typedef struct place {
    int master, slave; /* what is written to slave is read from master */
    char text[65536];
    size_t n;
} place;

static void open_terminal(place *p, int columns) {
    struct winsize size = {.ws_row = 24, .ws_col = (unsigned short)columns};

    p->n = 0;
    cr_assert_eq(openpty(&p->master, &p->slave, NULL, NULL, &size), 0);
    fcntl(p->master, F_SETFL, O_NONBLOCK);
    setenv("TERM", "xterm", 1);
    setenv("NO_COLOR", "1", 1);
    setenv("LC_ALL", "C", 1);
}

static void open_pipe(place *p) {
    int fds[2];

    p->n = 0;
    cr_assert_eq(pipe2(fds, O_NONBLOCK), 0);
    p->master = fds[0];
    p->slave = fds[1];
}

static const char *shown(place *p) {
    ssize_t n;

    while ((n = read(p->master, p->text + p->n, sizeof p->text - p->n - 1)) > 0)
        p->n += (size_t)n;
    p->text[p->n] = '\0';
    return p->text;
}

/* What a person sees at the end: the last state of each line. */
static const char *screen(place *p) {
    static char out[65536];
    size_t n = 0, start = 0;

    for (const char *s = shown(p); *s; s++) {
        if (*s == '\n')
            start = n + 1, out[n++] = '\n';
        else if (*s == '\r')
            n = s[1] == '\n' ? n : start;
        else if (*s == '\x1b')
            s += 2; /* \x1b[K: overwriting from the start has cut the line already */
        else
            out[n++] = *s;
    }
    out[n] = '\0';
    return out;
}

static int count(const char *text, const char *part) {
    int n = 0;

    for (; (text = strstr(text, part)); text++)
        n++;
    return n;
}

static void pause_for(double seconds) {
    struct timespec t = {0, (long)(seconds * 1e9)};

    nanosleep(&t, NULL);
}

static void play(lh__observer *o, int phase, int epoch, int batches, double seconds) {
    lh_scalar metrics[] = {{"train_loss", 0.25}, {"v_num", 3}};

    for (int b = 0; b <= batches; b++) {
        lh__progress p = {phase, 2, epoch, 2, b, batches, metrics};
        o->progress(o->self, &p);
        if (seconds > 0)
            pause_for(seconds / batches);
    }
}

Test(report, the_last_line_stays_on_a_terminal) {
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 100);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__SANITY, 0, 2, 0);
    play(&o, LH__TRAINING, 0, 50, 0);
    play(&o, LH__VALIDATING, 0, 5, 0);
    play(&o, LH__TRAINING, 1, 50, 0);
    play(&o, LH__VALIDATING, 1, 5, 0);
    lh__report_free(r);
    cr_expect_eq(count(screen(&p), "\n"), 1, "%s", screen(&p));
    cr_expect(strstr(screen(&p), "Epoch 1/1  ####"), "%s", screen(&p));
    cr_expect(strstr(screen(&p), "50/50"), "%s", screen(&p));
    cr_expect(strstr(screen(&p), "train_loss 0.250  v_num 3"), "%s", screen(&p));
    cr_expect_null(strstr(screen(&p), "Sanity"));
}

Test(report, ten_redraws_a_second_at_most) {
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 100);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__TRAINING, 0, 500, 0.5); /* takes longer than 0.5 s, never shorter */
    lh__report_free(r);
    cr_expect_geq(count(shown(&p), "\r"), 3);
    cr_expect_leq(count(shown(&p), "Epoch"), 20);
}

Test(report, messages_stand_above_the_line) {
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 100);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__TRAINING, 0, 10, 0);
    o.message(o.self, LH_WARNING, "mind the gap");
    lh__report_free(r);
    cr_expect_eq(strncmp(screen(&p), "warning: mind the gap\n", 22), 0, "%s", screen(&p));
    cr_expect(strstr(screen(&p) + 22, "Epoch 0/1"), "%s", screen(&p));
}

Test(report, lines_are_no_wider_than_the_terminal) {
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 40);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__TRAINING, 0, 10, 0);
    lh__report_free(r);
    cr_expect_lt(strcspn(screen(&p), "\n"), 40, "%s", screen(&p));
}

Test(report, a_pipe_gets_plain_lines) {
    place p;
    lh__report *r;
    lh__observer o;

    open_pipe(&p);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__SANITY, 0, 2, 0);
    play(&o, LH__TRAINING, 0, 50, 0);
    play(&o, LH__VALIDATING, 0, 5, 0);
    lh__report_free(r);
    cr_expect_eq(count(shown(&p), "\n"), 2, "%s", shown(&p));
    cr_expect_eq(count(shown(&p), "\r"), 0);
    cr_expect_eq(count(shown(&p), "\x1b"), 0);
    cr_expect(strstr(shown(&p), "Epoch 0/1: 50/50, "), "%s", shown(&p));
    cr_expect(strstr(shown(&p), "Validation: 5/5, "), "%s", shown(&p));
}

Test(report, a_pipe_gets_a_line_per_interval) {
    place p;
    lh__report *r;
    lh__observer o;

    open_pipe(&p);
    r = lh__report_new(p.slave, p.slave);
    lh__report_configure(r, &(lh__report_options){.interval = 0.1});
    o = lh__report_observer(r);
    play(&o, LH__TRAINING, 0, 100, 0.5);
    lh__report_free(r);
    cr_expect_geq(count(shown(&p), "\n"), 4, "%s", shown(&p));
}

Test(report, dumb_terminals_are_no_terminals) {
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 100);
    setenv("TERM", "dumb", 1);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    play(&o, LH__TRAINING, 0, 5, 0);
    lh__report_free(r);
    cr_expect_eq(count(shown(&p), "\x1b"), 0);
}

Test(report, what_is_hidden_is_not_shown) {
    lh__summary s = {.model = "m"};
    place p;
    lh__report *r;
    lh__observer o;

    open_terminal(&p, 100);
    r = lh__report_new(p.slave, p.slave);
    lh__report_configure(r, &(lh__report_options){.hide_progress = 1, .hide_summary = 1});
    o = lh__report_observer(r);
    o.summary(o.self, &s);
    play(&o, LH__TRAINING, 0, 50, 0);
    lh__report_free(r);
    cr_expect_str_empty(shown(&p));
}

Test(report, results_go_to_the_other_stream) {
    lh_scalar m[] = {{"test_acc", 0.5}};
    lh__result result = {"test", 0, 1, m};
    place err, out;
    lh__report *r;
    lh__observer o;

    open_pipe(&err);
    open_pipe(&out);
    r = lh__report_new(err.slave, out.slave);
    o = lh__report_observer(r);
    lh__report_configure(r, &(lh__report_options){.json = 1});
    o.results(o.self, &result, 1);
    lh__report_free(r);
    cr_expect_str_empty(shown(&err));
    cr_expect_str_eq(shown(&out), "{\"stage\":\"test\",\"results\":[{\"test_acc\":0.5}]}\n");
}

/* The price of a batch: far below a microsecond even where clocks are slow. */
Test(report, a_batch_costs_next_to_nothing) {
    enum { BATCHES = 1000000 };
    struct timespec begin, end;
    place p;
    lh__report *r;
    lh__observer o;
    double each;

    open_terminal(&p, 100);
    r = lh__report_new(p.slave, p.slave);
    o = lh__report_observer(r);
    clock_gettime(CLOCK_MONOTONIC, &begin);
    play(&o, LH__TRAINING, 0, BATCHES, 0);
    clock_gettime(CLOCK_MONOTONIC, &end);
    lh__report_free(r);
    each = ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
           BATCHES;
    cr_log_info("%.1f ns per batch", each);
    cr_expect_lt(each, 200);
}
