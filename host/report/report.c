/* report.c - the observer behind report.h.
 *
 * One line of the terminal is ours. `drawn` is what stands on it (empty: nothing); whoever writes
 * anything else first clears it and afterwards draws it again. Phases nest (validation runs within
 * an epoch): each has its own state, and the time of an inner one does not count for the outer.
 */
#include "report/report.h"

#include "report/bar.h"
#include "report/table.h"
#include "report/terminal.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { N_PHASES = LH__PREDICTING + 1, LINE = 2048 };
static const double redraw_interval = 0.1;

typedef struct phase {
    char label[64];
    int64_t done, total;
    double began, away; /* seconds; away: spent in inner phases */
    double spent;       /* of a loop that is over */
    int32_t open;
} phase;

struct lh__report {
    lh__terminal err, out;
    lh__report_options options;
    pthread_mutex_t lock; /* of everything below */
    phase phases[N_PHASES];
    int32_t current, is_training; /* is_training: the epoch's line comes back after validation */
    int64_t next, stride;         /* look at the clock when `batch` reaches next */
    double last_look, last_draw;
    char metrics[1024], drawn[LINE];
    size_t n_drawn;
};

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- the line ---- */

static void clear_line(lh__report *r) {
    if (r->n_drawn && r->err.is_live)
        lh__terminal_write(&r->err, "\r\x1b[K", 4);
}

static void redraw_line(lh__report *r) {
    if (r->n_drawn && r->err.is_live)
        lh__terminal_write(&r->err, r->drawn, r->n_drawn);
}

static void settle(lh__report *r) {
    if (r->n_drawn && r->err.is_live)
        lh__terminal_write(&r->err, "\n", 1);
    r->n_drawn = 0;
}

static void forget_line(lh__report *r) {
    clear_line(r);
    r->n_drawn = 0;
}

static lh__bar bar_of(const lh__report *r, const phase *p, double at) {
    double spent = p->open ? at - p->began - p->away : p->spent;

    return (lh__bar){p->label, p->done, p->total, spent, r->metrics};
}

static void draw(lh__report *r, const phase *p, double at) {
    lh__bar bar = bar_of(r, p, at);
    char line[LINE];
    size_t n;

    if (r->err.is_live) {
        line[0] = '\r';
        n = 1 + lh__bar_draw(&bar, &r->err, lh__terminal_width(&r->err) - 1, line + 1, LINE - 8);
        memcpy(line + n, "\x1b[K", 3);
        n += 3;
        memcpy(r->drawn, line, n);
        r->n_drawn = n;
    } else {
        n = lh__bar_line(&bar, line, LINE - 1);
        line[n++] = '\n';
    }
    lh__terminal_write(&r->err, line, n);
    r->last_draw = at;
}

/* ---- progress ---- */

static void name_phase(phase *p, const lh__progress *now_at) {
    static const char *const names[N_PHASES] = {"Epoch", "Sanity Checking", "Validation", "Testing",
                                                "Predicting"};

    if (now_at->phase != LH__TRAINING)
        snprintf(p->label, sizeof p->label, "%s", names[now_at->phase]);
    else if (now_at->max_epochs > 0)
        snprintf(p->label, sizeof p->label, "Epoch %lld/%lld", (long long)now_at->epoch,
                 (long long)now_at->max_epochs - 1);
    else
        snprintf(p->label, sizeof p->label, "Epoch %lld", (long long)now_at->epoch);
}

static void keep_metrics(lh__report *r, const lh__progress *p) {
    size_t n = 0;

    r->metrics[0] = '\0';
    for (int32_t i = 0; i < p->n_metrics && n < sizeof r->metrics; i++) {
        double v = p->metrics[i].value;
        const char *fmt = strcmp(p->metrics[i].name, "v_num") == 0       ? "%s%s %.0f"
                          : v == 0 || (fabs(v) >= 1e-3 && fabs(v) < 1e6) ? "%s%s %.3f"
                                                                         : "%s%s %.2e";
        n += (size_t)snprintf(r->metrics + n, sizeof r->metrics - n, fmt, i ? "  " : "",
                              p->metrics[i].name, v);
    }
}

static void begin_phase(lh__report *r, const lh__progress *p, double at) {
    phase *mine = &r->phases[p->phase];
    int inner = p->phase == LH__VALIDATING && r->is_training;

    if (p->phase != LH__TRAINING && !inner)
        settle(r);
    *mine = (phase){.began = at, .total = p->n_batches, .open = 1};
    name_phase(mine, p);
    r->current = p->phase;
    if (p->phase == LH__TRAINING)
        r->is_training = 1;
    else if (p->phase >= LH__TESTING)
        r->is_training = 0;
    r->stride = 1;
    r->last_look = at;
}

/* The loop is over: on a terminal an inner loop's line makes way for the epoch's, the sanity check
 * leaves nothing. */
static void end_phase(lh__report *r, phase *mine, double at) {
    phase *epoch = &r->phases[LH__TRAINING];
    int inner = r->current != LH__TRAINING && r->is_training;

    mine->spent = at - mine->began - mine->away;
    mine->open = 0;
    if (inner && epoch->open)
        epoch->away += at - mine->began;
    if (r->current == LH__SANITY)
        forget_line(r);
    else
        draw(r, inner && r->err.is_live ? epoch : mine, at);
    if (inner)
        r->current = LH__TRAINING;
    r->stride = 1;
}

/* How many batches pass in a quarter of the redraw interval; it at most doubles from look to
 * look. */
static void set_stride(lh__report *r, int64_t batch, double at) {
    double each = (at - r->last_look) / (double)r->stride;
    double fit = each > 0 ? redraw_interval / 4 / each : 1e9;
    int64_t most = r->stride * 2;

    r->stride = fit < 1 ? 1 : fit > (double)most ? most : (int64_t)fit;
    r->last_look = at;
    r->next = batch + r->stride;
}

static void look(lh__report *r, const lh__progress *p) {
    double at = now(), interval = r->err.is_live ? redraw_interval : r->options.interval;
    int back = p->phase != r->current && p->batch > 0 && r->phases[p->phase].open;
    phase *mine = &r->phases[p->phase];

    pthread_mutex_lock(&r->lock);
    keep_metrics(r, p);
    if (back)
        r->current = p->phase;
    else if (p->batch == 0 || p->phase != r->current || !mine->open)
        begin_phase(r, p, at);
    mine->done = p->batch;
    if (p->n_batches > 0 && p->batch >= p->n_batches)
        end_phase(r, mine, at);
    else if (at - r->last_draw >= interval || (p->batch == 0 && r->err.is_live && !r->n_drawn))
        draw(r, mine, at);
    set_stride(r, p->batch, at);
    pthread_mutex_unlock(&r->lock);
}

static void on_progress(void *self, const lh__progress *p) {
    lh__report *r = self;

    if (p->batch < r->next && p->phase == r->current && p->batch != 0 && p->batch != p->n_batches)
        return;
    if (!r->options.hide_progress)
        look(r, p);
    else
        r->next = INT64_MAX;
}

/* ---- the rest ---- */

/* A stream in memory and then one write, so that nothing mixes. */
static void print_summary(const void *what, int32_t n, int utf8, FILE *out) {
    lh__summary_print(what, out);
}

static void print_results(const void *what, int32_t n, int utf8, FILE *out) {
    lh__results_print(what, n, utf8, out);
}

static void print_json(const void *what, int32_t n, int utf8, FILE *out) {
    json_t *results = lh__results_json(what, n);

    json_dumpf(results, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(results);
}

static void print_to(const lh__terminal *t, void (*print)(const void *, int32_t, int, FILE *),
                     const void *what, int32_t n) {
    char *text = NULL;
    size_t size = 0;
    FILE *f = open_memstream(&text, &size);

    if (!f)
        return;
    print(what, n, t->utf8, f);
    if (fclose(f) == 0)
        lh__terminal_write(t, text, size);
    free(text);
}

static void on_summary(void *self, const lh__summary *s) {
    lh__report *r = self;

    if (r->options.hide_summary)
        return;
    pthread_mutex_lock(&r->lock);
    clear_line(r);
    print_to(&r->err, print_summary, s, s->n_rows);
    redraw_line(r);
    pthread_mutex_unlock(&r->lock);
}

static void on_results(void *self, const lh__result *results, int32_t n) {
    lh__report *r = self;

    pthread_mutex_lock(&r->lock);
    settle(r);
    print_to(&r->out, r->options.json ? print_json : print_results, results, n);
    pthread_mutex_unlock(&r->lock);
}

static void print_comparison(const void *models, int32_t n, int utf8, FILE *out) {
    lh__comparison_print(models, utf8, out);
}

void lh__report_compare(lh__report *r, const json_t *models) {
    pthread_mutex_lock(&r->lock);
    settle(r);
    print_to(&r->out, print_comparison, models, (int32_t)json_array_size(models));
    pthread_mutex_unlock(&r->lock);
}

static void on_profile(void *self, const char *text) {
    lh__report *r = self;

    pthread_mutex_lock(&r->lock);
    settle(r);
    lh__terminal_write(&r->err, text, strlen(text));
    pthread_mutex_unlock(&r->lock);
}

static void on_message(void *self, int32_t level, const char *text) {
    static const struct {
        const char *prefix, *color;
    } styles[] = {[LH_DEBUG] = {"", "\x1b[90m"},
                  [LH_INFO] = {"", ""},
                  [LH_WARNING] = {"warning: ", "\x1b[33m"},
                  [LH_ERROR] = {"error: ", "\x1b[31m"}};
    lh__report *r = self;
    const char *color, *reset;
    char line[LINE];
    int n;

    level = level < LH_DEBUG ? LH_DEBUG : level > LH_ERROR ? LH_ERROR : level;
    color = r->err.color ? styles[level].color : "";
    reset = *color ? "\x1b[0m" : "";
    n = snprintf(line, sizeof line - 1, "%s%s%s%s", color, styles[level].prefix, reset, text);
    n = n < 0 ? 0 : n > LINE - 2 ? LINE - 2 : n;
    line[n++] = '\n';
    pthread_mutex_lock(&r->lock);
    clear_line(r);
    lh__terminal_write(&r->err, line, (size_t)n);
    redraw_line(r);
    pthread_mutex_unlock(&r->lock);
}

void lh__report_settle(lh__report *r) {
    pthread_mutex_lock(&r->lock);
    settle(r);
    r->is_training = 0;
    r->current = -1;
    pthread_mutex_unlock(&r->lock);
}

lh__observer lh__report_observer(lh__report *r) {
    return (lh__observer){.self = r,
                          .summary = on_summary,
                          .progress = on_progress,
                          .results = on_results,
                          .profile = on_profile,
                          .message = on_message};
}

void lh__report_configure(lh__report *r, const lh__report_options *o) {
    r->options = *o;
    if (r->options.interval <= 0)
        r->options.interval = 10;
}

lh__report *lh__report_new(int err_fd, int out_fd) {
    lh__report *r = calloc(1, sizeof *r);

    if (!r)
        return NULL;
    r->err = lh__terminal_open(err_fd);
    r->out = lh__terminal_open(out_fd);
    r->current = -1;
    r->stride = 1;
    r->last_draw = now();
    r->options.interval = 10;
    pthread_mutex_init(&r->lock, NULL);
    return r;
}

void lh__report_free(lh__report *r) {
    if (!r)
        return;
    settle(r);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
