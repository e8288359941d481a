/* bar.c - drawing one line of progress. */
#include "report/bar.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WIDEST_BAR = 40, NARROWEST_BAR = 8 };

/* A text that grows in the caller's buffer and is cut at its end. */
typedef struct line {
    char *text;
    size_t n, size;
} line;

static void put(line *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void put(line *l, const char *fmt, ...) {
    va_list args;
    int n;

    if (l->n + 1 >= l->size)
        return;
    va_start(args, fmt);
    n = vsnprintf(l->text + l->n, l->size - l->n, fmt, args);
    va_end(args);
    l->n += n < 0 ? 0 : (size_t)n;
    if (l->n >= l->size)
        l->n = l->size - 1;
}

int lh__columns(const char *text) {
    int n = 0;

    for (; *text; text++)
        n += (*text & 0xC0) != 0x80;
    return n;
}

static void put_rate(line *l, const lh__bar *b) {
    double rate = b->seconds > 0 ? (double)b->done / b->seconds : 0;

    if (b->done == 0 || b->seconds <= 0)
        put(l, "- it/s");
    else if (rate >= 100)
        put(l, "%.0f it/s", rate);
    else if (rate >= 1)
        put(l, "%.1f it/s", rate);
    else
        put(l, "%.2f s/it", 1 / rate);
}

static void put_time(line *l, double seconds) {
    long long s = (long long)(seconds + 0.5);

    if (s >= 3600)
        put(l, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
    else
        put(l, "%lld:%02lld", s / 60, s % 60);
}

/* "430/860  2310 it/s  eta 0:00". */
static void put_counts(line *l, const lh__bar *b) {
    double left = b->done ? b->seconds / (double)b->done * (double)(b->total - b->done) : 0;

    if (b->total > 0)
        put(l, "%lld/%lld  ", (long long)b->done, (long long)b->total);
    else
        put(l, "%lld  ", (long long)b->done);
    put_rate(l, b);
    if (b->total > 0 && b->done >= b->total) {
        put(l, "  in ");
        put_time(l, b->seconds);
    } else if (b->total > 0) {
        put(l, "  eta ");
        if (b->done)
            put_time(l, left);
        else
            put(l, "-");
    }
}

static void put_bar(line *l, const lh__bar *b, const lh__terminal *t, int width) {
    int done = b->total > 0 ? (int)((double)b->done / (double)b->total * width) : 0;
    const char *full = t->utf8 ? "━" : "#";
    const char *rest = !t->utf8 ? "-" : t->color ? "━" : "─";

    done = done > width ? width : done;
    if (t->color)
        put(l, "\x1b[%sm", done == width ? "32" : "36");
    for (int i = 0; i < done; i++)
        put(l, "%s", full);
    if (t->color)
        put(l, "\x1b[90m");
    for (int i = done; i < width; i++)
        put(l, "%s", i == done && done > 0 && t->utf8 ? "╺" : rest);
    if (t->color)
        put(l, "\x1b[0m");
}

/* As many metrics as fit, whole ones; they are separated by two blanks. */
static void put_metrics(line *l, const char *metrics, int room) {
    while (*metrics) {
        const char *end = strstr(metrics, "  ");
        int n = (int)(end ? (size_t)(end - metrics) : strlen(metrics));
        if (n + 2 > room)
            return;
        put(l, "  %.*s", n, metrics);
        room -= n + 2;
        metrics += n + (end ? 2 : 0);
    }
}

size_t lh__bar_draw(const lh__bar *b, const lh__terminal *t, int width, char *buf, size_t size) {
    line l = {buf, 0, size};
    char counts[128];
    line c = {counts, 0, sizeof counts};
    int label = lh__columns(b->label), fixed, bar;

    buf[0] = counts[0] = '\0';
    put_counts(&c, b);
    fixed = label + 4 + (int)c.n;
    bar = width - fixed - lh__columns(b->metrics) - 2;
    bar = bar > WIDEST_BAR ? WIDEST_BAR : bar < NARROWEST_BAR ? NARROWEST_BAR : bar;
    if (b->total <= 0 || fixed + bar > width)
        bar = 0;
    if (label + 2 + (int)c.n > width) { /* a terminal too narrow for more than the beginning */
        put(&l, "%.*s", width, b->label);
        return l.n;
    }
    put(&l, "%s  ", b->label);
    if (bar) {
        put_bar(&l, b, t, bar);
        put(&l, "  ");
    }
    put(&l, "%s", counts);
    put_metrics(&l, b->metrics, width - label - 2 - (bar ? bar + 2 : 0) - (int)c.n);
    return l.n;
}

size_t lh__bar_line(const lh__bar *b, char *buf, size_t size) {
    line l = {buf, 0, size};

    buf[0] = '\0';
    put(&l, "%s: ", b->label);
    if (b->total > 0)
        put(&l, "%lld/%lld, ", (long long)b->done, (long long)b->total);
    else
        put(&l, "%lld, ", (long long)b->done);
    put_rate(&l, b);
    for (const char *p = b->metrics; *p;) {
        const char *end = strstr(p, "  ");
        int n = (int)(end ? (size_t)(end - p) : strlen(p));
        put(&l, ", %.*s", n, p);
        p += n + (end ? 2 : 0);
    }
    return l.n;
}
