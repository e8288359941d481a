/* table.c - tables as text. */
#include "report/table.h"

#include "report/bar.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int longer(int width, const char *text) {
    int n = lh__columns(text);

    return n > width ? n : width;
}

static void repeat(const char *text, int times, FILE *out) {
    for (int i = 0; i < times; i++)
        fputs(text, out);
}

/* printf's width counts bytes; this one counts columns. */
static void left(const char *text, int width, FILE *out) {
    fputs(text, out);
    repeat(" ", width - lh__columns(text), out);
}

void lh__count_text(int64_t count, char *buf, size_t size) {
    static const char *const labels[] = {"", "K", "M", "B", "T"};
    double number = (double)count;
    int i = 0;

    while (number >= 1000 && i < 4) {
        number /= 1000;
        i++;
    }
    if (i == 0)
        snprintf(buf, size, "%lld", (long long)count);
    else if (number >= 100)
        snprintf(buf, size, "%d %s", (int)number, labels[i]);
    else
        snprintf(buf, size, "%.1f %s", floor(number * 10) / 10, labels[i]);
}

void lh__summary_print(const lh__summary *s, FILE *out) {
    int index = snprintf(NULL, 0, "%d", s->n_rows), name = 4, shape = 5, params = 6, rule;
    char count[32];

    for (int32_t i = 0; i < s->n_rows; i++) {
        lh__count_text(s->rows[i].params, count, sizeof count);
        name = longer(name, s->rows[i].name);
        shape = longer(shape, s->rows[i].shape);
        params = longer(params, count);
    }
    rule = index + name + shape + params + 10;
    fprintf(out, "%*s | %-*s | %-*s | %-*s\n", index, "", name, "Name", shape, "Shape", params,
            "Params");
    repeat("-", rule, out);
    fputc('\n', out);
    for (int32_t i = 0; i < s->n_rows; i++) {
        lh__count_text(s->rows[i].params, count, sizeof count);
        fprintf(out, "%*d | ", index, i);
        left(s->rows[i].name, name, out);
        fputs(" | ", out);
        left(s->rows[i].shape, shape, out);
        fprintf(out, " | %s\n", count);
    }
    repeat("-", rule, out);
    lh__count_text(s->trainable, count, sizeof count);
    fprintf(out, "\n%-10sTrainable params\n", count);
    lh__count_text(s->params - s->trainable, count, sizeof count);
    fprintf(out, "%-10sNon-trainable params\n", count);
    lh__count_text(s->params, count, sizeof count);
    fprintf(out, "%-10sTotal params\n", count);
    fprintf(out, "%-10.3fTotal estimated model params size (MB)\n", (double)s->bytes / 1e6);
    fflush(out);
}

/* ---- results ---- */

/* "val_loss/dataloader_idx_1" without what the column says already. */
static size_t short_name(const char *name) {
    const char *suffix = strstr(name, "/dataloader_idx_");

    return suffix ? (size_t)(suffix - name) : strlen(name);
}

static int same_metric(const char *a, const char *b) {
    size_t n = short_name(a);

    return n == short_name(b) && strncmp(a, b, n) == 0;
}

static const lh_scalar *find_metric(const lh__result *r, const char *name) {
    for (int32_t i = 0; i < r->n_metrics; i++)
        if (same_metric(r->metrics[i].name, name))
            return &r->metrics[i];
    return NULL;
}

/* The names of all rows, in order of first appearance; a table of *n, release with free. */
static const char **row_names(const lh__result *results, int32_t n, int32_t *rows) {
    size_t most = 1;
    const char **names;

    for (int32_t i = 0; i < n; i++)
        most += (size_t)results[i].n_metrics;
    names = calloc(most, sizeof *names);
    *rows = 0;
    for (int32_t i = 0; names && i < n; i++)
        for (int32_t k = 0; k < results[i].n_metrics; k++) {
            const char *name = results[i].metrics[k].name;
            int32_t j = 0;
            while (j < *rows && !same_metric(names[j], name))
                j++;
            if (j == *rows)
                names[(*rows)++] = name;
        }
    return names;
}

typedef struct box {
    const char *left, *mid, *right, *line;
} box;

static void print_rule(const box *b, int first, int columns, int width, FILE *out) {
    fputs(b->left, out);
    repeat(b->line, first + 2, out);
    for (int i = 0; i < columns; i++) {
        fputs(b->mid, out);
        repeat(b->line, width + 2, out);
    }
    fprintf(out, "%s\n", b->right);
}

static const box boxes[2][3] = {{{"+", "+", "+", "-"}, {"+", "+", "+", "-"}, {"+", "+", "+", "-"}},
                                {{"┏", "┳", "┓", "━"}, {"┡", "╇", "┩", "━"}, {"└", "┴", "┘", "─"}}};

void lh__results_print(const lh__result *results, int32_t n, int utf8, FILE *out) {
    const char *heavy = utf8 ? "┃" : "|", *light = utf8 ? "│" : "|";
    const box *b = boxes[utf8 != 0];
    char title[64], cell[64];
    int first, width = 12;
    const char **names;
    int32_t rows;

    if (n == 0)
        return;
    names = row_names(results, n, &rows);
    if (!names)
        return;
    snprintf(title, sizeof title, "%s metric", results[0].stage);
    title[0] = (char)toupper((unsigned char)title[0]);
    first = longer(0, title);
    for (int32_t i = 0; i < rows; i++)
        first = (int)short_name(names[i]) > first ? (int)short_name(names[i]) : first;
    print_rule(&b[0], first, n, width, out);
    fprintf(out, "%s %-*s ", heavy, first, title);
    for (int32_t k = 0; k < n; k++) {
        snprintf(cell, sizeof cell, "DataLoader %d", results[k].loader);
        fprintf(out, "%s %-*s ", heavy, width, cell);
    }
    fprintf(out, "%s\n", heavy);
    print_rule(&b[1], first, n, width, out);
    for (int32_t i = 0; i < rows; i++) {
        fprintf(out, "%s %-*.*s ", light, first, (int)short_name(names[i]), names[i]);
        for (int32_t k = 0; k < n; k++) {
            const lh_scalar *m = find_metric(&results[k], names[i]);
            snprintf(cell, sizeof cell, "%.6g", m ? m->value : 0.0);
            fprintf(out, "%s %-*s ", light, width, m ? cell : "");
        }
        fprintf(out, "%s\n", light);
    }
    print_rule(&b[2], first, n, width, out);
    fflush(out);
    free(names);
}

/* ---- several models ---- */

static const char *text_of(const json_t *model, const char *key) {
    const char *text = json_string_value(json_object_get(model, key));

    return text ? text : "";
}

/* Every metric's name as a key; new reference. */
static json_t *metric_names(const json_t *models) {
    json_t *names = json_object(), *model, *value;
    const char *name;
    size_t i;

    json_array_foreach(models, i, model)
        json_object_foreach(json_object_get(model, "metrics"), name, value)
            json_object_set_new(names, name, json_true());
    return names;
}

static void number_cell(const json_t *value, const char *fmt, int width, const char *line,
                        FILE *out) {
    char cell[64] = "";

    if (json_is_number(value))
        snprintf(cell, sizeof cell, fmt, json_number_value(value));
    fprintf(out, "%s %-*s ", line, width, cell);
}

static void print_model(const json_t *model, json_t *names, int first, int width, const char *line,
                        FILE *out) {
    const char *name;
    char params[32];
    json_t *unused;

    lh__count_text(json_integer_value(json_object_get(model, "parameters")), params, sizeof params);
    fprintf(out, "%s ", line);
    left(text_of(model, "model"), first, out);
    fprintf(out, " %s %-*s ", line, width, params);
    number_cell(json_object_get(model, "seconds"), "%.1f", width, line, out);
    json_object_foreach(names, name, unused) number_cell(
        json_object_get(json_object_get(model, "metrics"), name), "%.6g", width, line, out);
    fprintf(out, "%s\n", line);
}

void lh__comparison_print(const json_t *models, int utf8, FILE *out) {
    json_t *names = metric_names(models), *model, *unused;
    const char *heavy = utf8 ? "┃" : "|", *light = utf8 ? "│" : "|", *name;
    int columns = (int)json_object_size(names) + 2, first = 5, width = 10;
    const box *b = boxes[utf8 != 0];
    size_t i;

    json_array_foreach(models, i, model) first = longer(first, text_of(model, "model"));
    json_object_foreach(names, name, unused) width = longer(width, name);
    print_rule(&b[0], first, columns, width, out);
    fprintf(out, "%s %-*s %s %-*s %s %-*s ", heavy, first, "Model", heavy, width, "Params", heavy,
            width, "Seconds");
    json_object_foreach(names, name, unused) fprintf(out, "%s %-*s ", heavy, width, name);
    fprintf(out, "%s\n", heavy);
    print_rule(&b[1], first, columns, width, out);
    json_array_foreach(models, i, model) print_model(model, names, first, width, light, out);
    print_rule(&b[2], first, columns, width, out);
    fflush(out);
    json_decref(names);
}

json_t *lh__results_json(const lh__result *results, int32_t n) {
    json_t *list = json_array();

    for (int32_t i = 0; i < n; i++) {
        json_t *one = json_object();
        for (int32_t k = 0; k < results[i].n_metrics; k++) {
            const lh_scalar *m = &results[i].metrics[k];
            json_object_set_new(one, m->name,
                                isfinite(m->value) ? json_real(m->value) : json_null());
        }
        json_array_append_new(list, one);
    }
    return json_pack("{s:s,s:o}", "stage", n ? results[0].stage : "", "results", list);
}
