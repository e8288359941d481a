/* inspect.c - the report is built once, as JSON; the text for people is printed from it.
 *
 * The part about hooks and hyper-parameters is built in a child that maps the plugin, and comes
 * back through a pipe.
 */
#include "plugin/inspect.h"

#include "plugin/child.h"
#include "plugin/plugin.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOAD_MS = 10000, WIDTH = 100 };

/* A JSON string; bytes that are not UTF-8 become '?'. */
static json_t *text_json(const char *s) {
    json_t *text = json_string(s ? s : "");
    char *ascii;

    if (text || !(ascii = strdup(s)))
        return text;
    for (char *c = ascii; *c; c++)
        *c = (unsigned char)*c < 0x80 ? *c : '?';
    text = json_string(ascii);
    free(ascii);
    return text;
}

static json_t *names_json(const lh__elf_names *names) {
    json_t *list = json_array();

    for (int i = 0; i < names->count; i++)
        json_array_append_new(list, text_json(names->at[i]));
    return list;
}

/* A bound or a default: null for one that JSON cannot write. */
static json_t *number_json(double v, uint32_t type) {
    if (type == LH_FLAG)
        return json_boolean(v != 0);
    if (type == LH_INT)
        return json_integer((json_int_t)v);
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *hparam_json(const lh_hparam_spec *s) {
    static const char *const types[] = {[LH_REAL] = "real", "int", "flag", "text"};
    json_t *h = json_object();
    int bounded = s->type != LH_TEXT && (s->min != 0 || s->max != 0);

    json_object_set_new(h, "name", text_json(s->name));
    json_object_set_new(h, "type", json_string(types[s->type]));
    json_object_set_new(h, "default",
                        s->type == LH_TEXT ? text_json(s->text_default)
                                           : number_json(s->number_default, s->type));
    json_object_set_new(h, "min", bounded ? number_json(s->min, LH_REAL) : json_null());
    json_object_set_new(h, "max", bounded ? number_json(s->max, LH_REAL) : json_null());
    json_object_set_new(h, "help", text_json(s->help));
    return h;
}

static json_t *table_json(const lh__plugin *p, lh__table t) {
    const void *table = lh__plugin_table(p, t);
    json_t *set = json_array(), *unset = json_array(), *hparams = json_array();
    const lh_logger *head = table; /* the members that all tables begin with */

    for (int h = 0; h < LH__N_HOOKS; h++)
        if (lh__hooks[h].offset[t] >= 0)
            json_array_append_new(lh__hook_of(table, t, (lh__hook)h) ? set : unset,
                                  json_string(lh__hooks[h].name));
    for (int i = 0; i < head->n_hparams; i++)
        json_array_append_new(hparams, hparam_json(&p->hparams[t][i]));
    return json_pack("{s:s, s:I, s:o, s:o, s:o}", "kind", lh__tables[t].name, "state_size",
                     (json_int_t)head->state_size, "set", set, "unset", unset, "hparams", hparams);
}

/* In the child: writes the tables as JSON, or what is wrong as text. */
static int tables_job(void *arg, int fd) {
    lh__plugin *p = arg;
    lh__error err = {0};
    json_t *tables;

    if (lh__plugin_bind(p, &err) != LH_OK)
        return write(fd, err.text, strlen(err.text)) < 0 ? 2 : 1;
    tables = json_array();
    for (int t = 0; t < LH__N_TABLES; t++)
        if (lh__plugin_table(p, (lh__table)t))
            json_array_append_new(tables, table_json(p, (lh__table)t));
    return json_dumpfd(tables, fd, JSON_COMPACT);
}

static json_t *kinds_json(uint32_t kinds) {
    static const char *const names[] = {"module",   "datamodule",  "callback", "logger",
                                        "strategy", "accelerator", "exporter"};
    json_t *list = json_array();

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (kinds & (1u << i))
            json_array_append_new(list, json_string(names[i]));
    return list;
}

/* What the file alone says. */
static json_t *static_json(const lh__plugin *p) {
    json_t *report = json_object(), *warnings = json_array();
    char abi[16];

    for (int i = 0; i < p->n_warnings; i++)
        json_array_append_new(warnings, text_json(p->warnings[i]));
    snprintf(abi, sizeof abi, "%d.%u", LH_ABI_MAJOR, p->abi_minor);
    json_object_set_new(report, "path", text_json(p->path));
    json_object_set_new(report, "size", json_integer((json_int_t)p->image_size));
    json_object_set_new(report, "sha256", json_string(p->sha256));
    json_object_set_new(report, "name", text_json(p->name));
    json_object_set_new(report, "version", text_json(p->version));
    json_object_set_new(report, "abi", json_string(abi));
    json_object_set_new(report, "kinds", kinds_json(p->kinds));
    json_object_set_new(report, "needed", names_json(&p->elf.needed));
    json_object_set_new(report, "leaks", names_json(&p->elf.leaks));
    json_object_set_new(report, "constructors", json_integer(p->elf.constructors));
    json_object_set_new(report, "thread_local", json_boolean(p->elf.has_tls));
    json_object_set_new(report, "warnings", warnings);
    return report;
}

static const char *field(const json_t *object, const char *key) {
    const char *s = json_string_value(json_object_get(object, key));
    return s ? s : "";
}

/* "title  a, b, c", wrapped; nothing for an empty list. */
static void print_list(FILE *out, const char *title, const json_t *list) {
    int column = fprintf(out, "  %-9s", title);
    size_t i, n = json_array_size(list);
    json_t *item;

    if (n == 0)
        fputs(" none", out);
    json_array_foreach(list, i, item) {
        const char *s = json_string_value(item);

        if (column + (int)strlen(s) + 2 > WIDTH)
            column = fprintf(out, "\n%11s", "") - 1;
        column += fprintf(out, " %s%s", s, i + 1 < n ? "," : "");
    }
    fputc('\n', out);
}

/* A JSON scalar as a person writes it. */
static void scalar_text(const json_t *v, char *buffer, size_t size) {
    if (json_is_string(v))
        snprintf(buffer, size, "\"%s\"", json_string_value(v));
    else if (json_is_boolean(v))
        snprintf(buffer, size, "%s", json_is_true(v) ? "true" : "false");
    else if (json_is_number(v))
        snprintf(buffer, size, "%.10g", json_number_value(v));
    else
        *buffer = 0;
}

static void print_hparam(FILE *out, const json_t *h) {
    const json_t *min = json_object_get(h, "min"), *max = json_object_get(h, "max");
    char value[80], low[32], high[32], range[80] = "";

    scalar_text(json_object_get(h, "default"), value, sizeof value);
    scalar_text(min, low, sizeof low);
    scalar_text(max, high, sizeof high);
    if (json_is_number(min) && json_is_number(max))
        snprintf(range, sizeof range, "%s to %s", low, high);
    else if (json_is_number(min) || json_is_number(max))
        snprintf(range, sizeof range, "at %s %s", json_is_number(min) ? "least" : "most",
                 json_is_number(min) ? low : high);
    fprintf(out, "    %-18s %-5s %-12s %-14s %s\n", field(h, "name"), field(h, "type"), value,
            range, field(h, "help"));
}

static void print_table(FILE *out, const json_t *table) {
    const json_t *hparams = json_object_get(table, "hparams");
    json_t *h;
    size_t i;

    fprintf(out, "\n%s\n", field(table, "kind"));
    print_list(out, "sets", json_object_get(table, "set"));
    print_list(out, "unset", json_object_get(table, "unset"));
    if (json_array_size(hparams))
        fputs("  hyper-parameters: name, type, default, range\n", out);
    json_array_foreach(hparams, i, h) {
        print_hparam(out, h);
    }
}

static void print_report(FILE *out, const json_t *report) {
    json_t *item;
    size_t i;

    fprintf(out, "%s %s (ABI %s)\n", field(report, "name"), field(report, "version"),
            field(report, "abi"));
    print_list(out, "kinds", json_object_get(report, "kinds"));
    fprintf(out, "  %-9s %s\n  %-9s %s\n", "file", field(report, "path"), "sha256",
            field(report, "sha256"));
    print_list(out, "needs", json_object_get(report, "needed"));
    json_array_foreach(json_object_get(report, "tables"), i, item) {
        print_table(out, item);
    }
    json_array_foreach(json_object_get(report, "warnings"), i, item) {
        fprintf(out, "%swarning: %s\n", i ? "" : "\n", json_string_value(item));
    }
    if (json_is_string(json_object_get(report, "error")))
        fprintf(out, "\nerror: %s\n", field(report, "error"));
}

/* The tables, read in a child. */
static lh_status read_tables(lh__plugin *p, json_t **tables, lh__error *err) {
    lh__error how = {0};
    char *output = NULL;

    if (lh__in_child(tables_job, p, LOAD_MS, &output, &how) == LH_OK) {
        *tables = json_loads(output, 0, NULL);
        if (!*tables)
            lh__fail(&how, LH_ENOMEM, "out of memory");
    }
    if (how.code && output && !*output) /* it had no chance to say why */
        lh__fail(err, how.code, "%s: a constructor of it %s", p->path, how.text);
    else if (how.code)
        lh__fail(err, how.code, "%s", how.text);
    free(output);
    return how.code;
}

lh_status lh__inspect(const char *path, int json, FILE *out, lh__error *err) {
    lh__error own = {0};
    lh__plugin *p = lh__plugin_open(path, NULL, &own);
    json_t *report, *tables = NULL;

    if (!p)
        return lh__fail(err, own.code, "%s", own.text);
    report = static_json(p);
    read_tables(p, &tables, &own);
    json_object_set_new(report, "tables", tables ? tables : json_array());
    json_object_set_new(report, "error", own.code ? text_json(own.text) : json_null());
    if (json) {
        json_dumpf(report, out, JSON_INDENT(2));
        fputc('\n', out);
    } else {
        print_report(out, report);
    }
    json_decref(report);
    lh__plugin_free(p);
    return own.code ? lh__fail(err, own.code, "%s", own.text) : LH_OK;
}
