/* table.c - a profile as text: how often, how long, which share of the whole. */
#include "profile/lane.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static int by_total(const void *a, const void *b) {
    const lh__row_of_spans *x = *(lh__row_of_spans *const *)a, *y = *(lh__row_of_spans *const *)b;

    if (x->total != y->total)
        return x->total < y->total ? 1 : -1;
    return strcmp(x->text, y->text);
}

static void print_rule(int width, FILE *out) {
    for (int i = 0; i < width + 50; i++)
        fputc('-', out);
    fputc('\n', out);
}

static void print_head(const char *title, int width, FILE *out) {
    fprintf(out, "\n%-*s %10s %14s %14s %8s\n", width, title, "Calls", "Total (ms)", "Mean (us)",
            "Share %");
    print_rule(width, out);
}

static void print_row(const lh__profile *p, const char *name, int64_t calls, int64_t total,
                      int width, FILE *out) {
    double share = 100.0 * (double)total / (double)(p->ended - p->began);

    if (calls > 0)
        fprintf(out, "%-*s %10" PRId64 " %14.3f %14.3f %8.2f\n", width, name, calls,
                (double)total / 1e6, (double)total / 1e3 / (double)calls, share);
    else
        fprintf(out, "%-*s %10s %14.3f %14s %8.2f\n", width, name, "", (double)total / 1e6, "",
                share);
}

/* The longest text of all rows. */
static int width_of(const lh__profile *p) {
    int width = 36;

    for (int32_t i = 0; i < p->n_lanes; i++)
        for (int32_t k = 0; k < p->lanes[i]->n_rows; k++) {
            int n = (int)strlen(p->lanes[i]->rows[k].text);

            width = n > width ? n : width;
        }
    return width;
}

/* Rows of one kind, the longest time first. Returns their sum. */
static int64_t print_rows(const lh__profile *p, const lh__lane *lane, int32_t kind, int width,
                          FILE *out) {
    const lh__row_of_spans *rows[LH__MAX_ROWS];
    int64_t sum = 0;
    size_t n = 0;

    for (int32_t i = 0; i < lane->n_rows; i++)
        if (lane->rows[i].calls > 0 && (kind < 0 || lane->rows[i].kind == kind))
            rows[n++] = &lane->rows[i];
    qsort(rows, n, sizeof *rows, by_total);
    for (size_t i = 0; i < n; i++) {
        print_row(p, rows[i]->text, rows[i]->calls, rows[i]->total, width, out);
        sum += rows[i]->total;
    }
    return sum;
}

/* How long training waited for its data; the first batch, which nobody could fetch ahead, apart. */
static void print_wait(const lh__profile *p, const lh__lane *lane, FILE *out) {
    for (int32_t i = 0; i < lane->n_rows; i++) {
        const lh__row_of_spans *r = &lane->rows[i];
        double waited = (double)(r->total - r->first), rest = (double)(p->ended - r->first_end);
        int64_t n = r->calls - 1;

        if (r->kind != LH__SPAN_PHASE || strcmp(r->text, LH__PHASE_WAIT) != 0 || r->calls == 0)
            continue;
        fprintf(out, "\nWaiting for the first batch took %.3f ms.\n", (double)r->first / 1e6);
        if (n > 0)
            fprintf(out,
                    "From then on training waited %.3f us a batch, %.3f us at most; %.3f ms in "
                    "all, %.2f %% of the time.\n",
                    waited / 1e3 / (double)n, (double)r->longest / 1e3, waited / 1e6,
                    100 * waited / rest);
    }
}

void lh__profile_print(const lh__profile *p, FILE *out) {
    int64_t whole = p->ended - p->began, inside;
    int width = width_of(p);

    fprintf(out, "Profile of %.3f s\n", (double)whole / 1e9);
    if (p->n_lanes > 0) {
        print_head("Phases of the training thread", width, out);
        inside = print_rows(p, p->lanes[0], LH__SPAN_PHASE, width, out);
        print_row(p, "(between them)", 0, whole - inside, width, out);
        print_head("Hooks, with what they call", width, out);
        print_rows(p, p->lanes[0], LH__SPAN_HOOK, width, out);
        print_head("Operators", width, out);
        print_rows(p, p->lanes[0], LH__SPAN_OPERATOR, width, out);
    }
    for (int32_t i = 1; i < p->n_lanes; i++) {
        if (p->lanes[i]->n_rows == 0)
            continue;
        print_head(p->lanes[i]->thread, width, out);
        print_rows(p, p->lanes[i], -1, width, out);
    }
    if (p->n_lanes > 0)
        print_wait(p, p->lanes[0], out);
    if (p->refused > 0)
        fprintf(out, "\n%d more threads were not recorded.\n", (int)p->refused);
    if (lh__profile_dropped(p) > 0)
        fprintf(out, "\nThe trace holds the newest spans; %" PRId64 " older ones were dropped.\n",
                lh__profile_dropped(p));
}
