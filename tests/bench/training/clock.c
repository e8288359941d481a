/* clock.c - a callback that times training steps, when and for how long it is told.
 *
 * Before the first step and after every stretch of steps it waits for a line on standard input,
 * "SECONDS LEAST": go on for so long and so many steps at least. After a stretch it prints one line
 *
 *     {"step_us": [...], "losses": [...], "peak_mib": N}
 *
 * A step lasts from the end of the one before to its own end, its loss read: fetching its batch is
 * part of it. The clock of the run's first stretch starts with its first step's end. The end of
 * the input ends the run. torch_steps.py does the same for PyTorch.
 */
#include <lhost/lhost.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

enum { MAX_STEPS = 1 << 16 }; /* of a stretch */

struct clock {
    double seconds, start, last; /* to go on for; when the stretch and the step began */
    int64_t least, n;            /* steps */
    double *step_us, *losses;
};

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void await_command(lh_ctx *c, struct clock *m) {
    char line[64];

    m->n = 0;
    if (!fgets(line, sizeof line, stdin))
        lh_stop(c, "the clock has no more to measure");
    else if (sscanf(line, "%lf %lld", &m->seconds, (long long *)&m->least) != 2)
        lh_fail(c, LH_EINVAL, "the clock was told \"%s\": give seconds and a number of steps",
                line);
    m->start = m->last = now();
}

static void print_list(const char *name, const double *values, int64_t n) {
    printf("\"%s\": [", name);
    for (int64_t i = 0; i < n; i++)
        printf(i ? ", %.9g" : "%.9g", values[i]);
    printf("], ");
}

static void report(const struct clock *m) {
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    printf("{");
    print_list("step_us", m->step_us, m->n);
    print_list("losses", m->losses, m->n);
    printf("\"peak_mib\": %.1f}\n", (double)usage.ru_maxrss / 1024);
    fflush(stdout);
}

static lh_status on_train_start(lh_ctx *c, void *self) {
    struct clock *m = self;

    m->step_us = lh_alloc(c, MAX_STEPS * sizeof *m->step_us);
    m->losses = lh_alloc(c, MAX_STEPS * sizeof *m->losses);
    if (!m->step_us || !m->losses)
        return lh_fail(c, LH_ENOMEM, "out of memory");
    await_command(c, m);
    return lh_status_of(c);
}

static lh_status on_train_batch_end(lh_ctx *c, void *self, const lh_outputs *outputs,
                                    lh_batch *batch, int64_t batch_idx) {
    struct clock *m = self;
    double time;

    m->losses[m->n] =
        lh_item(c, lh_outputs_get(c, outputs, lh_outputs_count(c, outputs) - 1, "loss"));
    time = now();
    m->step_us[m->n++] = 1e6 * (time - m->last);
    m->last = time;
    if (batch_idx == 0)
        m->start = time;
    if (m->n == MAX_STEPS || (m->n >= m->least && time - m->start >= m->seconds)) {
        report(m);
        await_command(c, m);
    }
    return lh_status_of(c);
}

LH_EXPORT_CALLBACK("clock", "1.0.0", .state_size = sizeof(struct clock),
                   .on_train_start = on_train_start, .on_train_batch_end = on_train_batch_end);
