/* options.c - reading, checking and completing the trainer's options (table: options_table.c).
 *
 * A field always holds something the trainer may use: null is written as what it means, and the bit
 * of the row in `non_null` remembers that it was null.
 */
#include "trainer/options.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int same_name(const char *a, const char *b) {
    return strcmp(a, b) == 0;
}

const lh__option_row *lh__option_find(const char *name) {
    for (int32_t i = 0; i < lh__n_option_rows; i++)
        if (same_name(lh__option_rows[i].name, name))
            return &lh__option_rows[i];
    return NULL;
}

const lh__option_alias *lh__option_alias_find(const char *name) {
    for (int32_t i = 0; i < lh__n_option_aliases; i++)
        if (same_name(lh__option_aliases[i].name, name))
            return &lh__option_aliases[i];
    return NULL;
}

static uint64_t row_bit(const lh__option_row *row) {
    return UINT64_C(1) << (row - lh__option_rows);
}

int lh__options_given(const lh__options *o, const char *name) {
    const lh__option_row *row = lh__option_find(name);

    return row && (o->given & row_bit(row)) != 0;
}

/* 1 if `word` is one of the words of "a|b|c". */
static int among(const char *words, const char *word) {
    size_t n = strlen(word);

    for (const char *p = words; p; p = strchr(p, '|') ? strchr(p, '|') + 1 : NULL)
        if (strncmp(p, word, n) == 0 && (p[n] == '\0' || p[n] == '|'))
            return 1;
    return 0;
}

/* ---- durations ---- */

double lh__parse_duration(const char *text) {
    static const double unit[] = {1, 60, 3600, 86400}; /* from the right */
    double part[4], seconds = 0;
    int n = 0;

    for (const char *p = text;; p++) {
        char *end;
        if (n == 4 || *p < '0' || *p > '9')
            return -1;
        part[n++] = (double)strtoul(p, &end, 10);
        p = end;
        if (*p == '\0')
            break;
        if (*p != ':')
            return -1;
    }
    if (n < 3)
        return -1;
    for (int i = 0; i < n; i++)
        seconds += part[i] * unit[n - 1 - i];
    return seconds;
}

/* Lightning's mapping form, {hours: 1, minutes: 30}. -1: not a duration. */
static double duration_of(const json_t *value) {
    static const struct {
        const char *name;
        double seconds;
    } units[] = {{"weeks", 604800}, {"days", 86400}, {"hours", 3600},
                 {"minutes", 60},   {"seconds", 1},  {"milliseconds", 1e-3}};
    double seconds = 0;
    size_t used = 0;

    if (json_is_string(value))
        return lh__parse_duration(json_string_value(value));
    if (!json_is_object(value) || json_object_size(value) == 0)
        return -1;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        const json_t *part = json_object_get(value, units[i].name);
        if (part && !json_is_number(part))
            return -1;
        used += part != NULL;
        seconds += part ? json_number_value(part) * units[i].seconds : 0;
    }
    return used == json_object_size(value) ? seconds : -1;
}

/* ---- one value ---- */

static const char *type_text(const lh__option_row *row) {
    switch (row->type) {
    case LH__OPTION_FLAG:
        return "true or false";
    case LH__OPTION_INT:
        return "an integer";
    case LH__OPTION_REAL:
        return "a number";
    case LH__OPTION_COUNT:
        return "true, false or an integer";
    case LH__OPTION_TIME:
        return "a time \"DD:HH:MM:SS\" or a number of seconds";
    case LH__OPTION_AMOUNT:
        return "a number of batches, or a fraction from 0.0 to 1.0";
    case LH__OPTION_INTERVAL:
        return "a number of batches, a fraction of an epoch up to 1.0, or a time \"DD:HH:MM:SS\"";
    default:
        return "a text";
    }
}

/* "auto|cpu|ref" as "auto, cpu or ref". */
static size_t list_words(const char *words, char *buf, size_t size) {
    size_t n = 0;

    for (const char *p = words; *p && n + 5 < size; p++) {
        if (*p != '|')
            buf[n++] = *p;
        else
            n += (size_t)snprintf(buf + n, size - n, "%s", strchr(p + 1, '|') ? ", " : " or ");
    }
    buf[n] = '\0';
    return n;
}

const char *lh__option_expects(const lh__option_row *row, char *buf, size_t size) {
    int whole = row->type == LH__OPTION_INT || row->type == LH__OPTION_REAL;
    size_t n = 0;

    if (row->choices)
        n = list_words(row->choices, buf, size);
    else
        n = (size_t)snprintf(buf, size, "%s", type_text(row));
    if (whole && !row->choices && (row->min != 0 || row->max != 0) && n < size) {
        if (row->max >= 1e15)
            snprintf(buf + n, size - n, " from %.17g", row->min);
        else
            snprintf(buf + n, size - n, " from %.17g to %.17g", row->min, row->max);
    }
    return buf;
}

/* What is being set, for messages. */
typedef struct target {
    const lh__option_row *row;
    const json_t *value;
    const char *section, *origin;
    lh__error *e;
} target;

static lh_status refuse(const target *t, lh_status code, const char *fmt, ...) LH_PRINTF(3, 4);
static lh_status refuse(const target *t, lh_status code, const char *fmt, ...) {
    char text[512], *shown = json_dumps(t->value, JSON_ENCODE_ANY | JSON_COMPACT);
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    lh__fail(t->e, code, "%s%s: %.80s %s (%s)", t->section, t->row->name, shown ? shown : "value",
             text, t->origin);
    free(shown);
    return code;
}

static lh_status ill_typed(const target *t) {
    char buf[256];

    return refuse(t, LH_EINVAL, "is not possible here; expected %s",
                  lh__option_expects(t->row, buf, sizeof buf));
}

/* The value as the text that choices are written in; "" for what has none. */
static void value_text(const json_t *value, char *buf, size_t size) {
    if (json_is_string(value))
        snprintf(buf, size, "%s", json_string_value(value));
    else if (json_is_integer(value))
        snprintf(buf, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_boolean(value))
        snprintf(buf, size, "%s", json_is_true(value) ? "true" : "false");
    else
        snprintf(buf, size, "%s", "");
}

static lh_status check_choices(const target *t) {
    const lh__option_row *row = t->row;
    char text[128], expects[256];
    int planned;

    if (!row->choices)
        return LH_OK;
    value_text(t->value, text, sizeof text);
    if (among(row->choices, text))
        return LH_OK;
    planned = row->planned && *text &&
              (same_name(row->planned, "+") ? atoll(text) > 0 : among(row->planned, text));
    lh__option_expects(row, expects, sizeof expects);
    if (planned)
        return refuse(t, LH_EUNSUPPORTED, "is not available in this version; use %s", expects);
    return refuse(t, LH_EINVAL, "is not possible here; expected %s", expects);
}

static lh_status store_text(const target *t, char **field) {
    char buf[64];
    const char *text = json_string_value(t->value);
    char *copy;

    if (!text && (json_is_integer(t->value) || (json_is_boolean(t->value) && t->row->choices))) {
        value_text(t->value, buf, sizeof buf);
        text = buf;
    }
    if (!text && json_is_real(t->value))
        return refuse(t, LH_EINVAL, "is a number where a text belongs; write it in quotes");
    if (!text)
        return ill_typed(t);
    copy = strdup(text);
    if (!copy)
        return lh__fail(t->e, LH_ENOMEM, "out of memory reading the options");
    free(*field);
    *field = copy;
    return LH_OK;
}

static lh_status store_integer(const target *t, int64_t *field) {
    const lh__option_row *row = t->row;
    int64_t v = json_integer_value(t->value);

    if (!json_is_integer(t->value))
        return ill_typed(t);
    if ((row->min != 0 || row->max != 0) && ((double)v < row->min || (double)v > row->max))
        return ill_typed(t);
    *field = v;
    return LH_OK;
}

static lh_status store_real(const target *t, double *field) {
    const lh__option_row *row = t->row;
    double v = json_number_value(t->value);

    if (!json_is_number(t->value))
        return ill_typed(t);
    if ((row->min != 0 || row->max != 0) && (v < row->min || v > row->max))
        return ill_typed(t);
    *field = v;
    return LH_OK;
}

static lh_status store_amount(const target *t, lh__amount *field) {
    int interval = t->row->type == LH__OPTION_INTERVAL;
    double v = json_number_value(t->value);
    lh__amount a = {v, LH__BATCHES};

    if (interval && !json_is_number(t->value)) {
        a = (lh__amount){duration_of(t->value), LH__SECONDS};
        if (a.value <= 0)
            return ill_typed(t);
    } else if (!json_is_number(t->value) || v < 0 || v > t->row->max) {
        return ill_typed(t);
    } else if (json_is_real(t->value) && v <= 1) {
        a.unit = LH__FRACTION;
    } else if (v != floor(v)) {
        return refuse(t, LH_EINVAL,
                      "is neither a fraction up to 1.0 nor a whole number of batches");
    }
    if (interval && a.value == 0)
        return refuse(t, LH_EINVAL,
                      "would never validate; to switch validation off, set "
                      "trainer.limit_val_batches to 0");
    *field = a;
    return LH_OK;
}

static lh_status store_time(const target *t, double *field) {
    double v = json_is_number(t->value) ? json_number_value(t->value) : duration_of(t->value);

    if (v < 0)
        return ill_typed(t);
    *field = v;
    return LH_OK;
}

static lh_status store_flag(const target *t, int32_t *field) {
    int number = json_is_integer(t->value) && (uint64_t)json_integer_value(t->value) <= 1;

    if (!json_is_boolean(t->value) && !number)
        return ill_typed(t);
    *field = json_is_true(t->value) || json_integer_value(t->value) == 1;
    return LH_OK;
}

static lh_status store_count(const target *t, int64_t *field) {
    if (!json_is_boolean(t->value))
        return store_integer(t, field);
    *field = json_is_true(t->value);
    return LH_OK;
}

lh_status lh__option_store(void *base, const lh__option_row *row, const json_t *value,
                           const char *section, const char *origin, lh__error *e) {
    void *field = (char *)base + row->offset;
    target t = {row, value, section, origin, e};
    json_t *unset = NULL;
    lh_status s;

    if (json_is_null(value) && row->unset) {
        unset = json_loads(row->unset, JSON_DECODE_ANY, NULL);
        if (!unset)
            return lh__fail(e, LH_ENOMEM, "out of memory reading the options");
        t.value = unset;
        if (json_is_null(unset)) { /* a text that may be absent */
            free(*(char **)field);
            *(char **)field = NULL;
            json_decref(unset);
            return LH_OK;
        }
    } else {
        s = check_choices(&t);
        if (s != LH_OK)
            return s;
    }
    switch (row->type) {
    case LH__OPTION_FLAG:
        s = store_flag(&t, field);
        break;
    case LH__OPTION_INT:
        if (unset) { /* what null means may lie outside the range */
            *(int64_t *)field = json_integer_value(unset);
            s = LH_OK;
        } else {
            s = store_integer(&t, field);
        }
        break;
    case LH__OPTION_REAL:
        s = store_real(&t, field);
        break;
    case LH__OPTION_COUNT:
        s = store_count(&t, field);
        break;
    case LH__OPTION_TIME:
        s = store_time(&t, field);
        break;
    case LH__OPTION_AMOUNT:
    case LH__OPTION_INTERVAL:
        s = store_amount(&t, field);
        break;
    default:
        s = store_text(&t, field);
    }
    json_decref(unset);
    return s;
}

lh_status lh__options_set(lh__options *o, const lh__option_row *row, const json_t *value,
                          const char *origin, lh__error *e) {
    lh_status s = lh__option_store(o, row, value, "trainer.", origin, e);

    if (s != LH_OK)
        return s;
    o->given |= row_bit(row);
    if (json_is_null(value))
        o->non_null &= ~row_bit(row);
    else
        o->non_null |= row_bit(row);
    return LH_OK;
}

/* ---- all of them ---- */

lh_status lh__options_init(lh__options *o, lh__error *e) {
    lh_status s = LH_OK;

    memset(o, 0, sizeof *o);
    for (int32_t i = 0; i < lh__n_option_rows && s == LH_OK; i++) {
        json_t *value = json_loads(lh__option_rows[i].json, JSON_DECODE_ANY, NULL);
        s = value ? lh__options_set(o, &lh__option_rows[i], value, "default", e)
                  : lh__fail(e, LH_ENOMEM, "out of memory reading the options");
        json_decref(value);
    }
    o->given = 0;
    if (s != LH_OK)
        lh__options_free(o);
    return s;
}

void lh__options_free(lh__options *o) {
    for (int32_t i = 0; i < lh__n_option_rows; i++)
        if (lh__option_rows[i].type == LH__OPTION_TEXT)
            free(*(char **)((char *)o + lh__option_rows[i].offset));
    memset(o, 0, sizeof *o);
}

/* ---- older names ---- */

static int is_off(const json_t *v) {
    return json_is_null(v) || json_is_false(v) ||
           (json_is_number(v) && json_number_value(v) <= 0) ||
           (json_is_string(v) && *json_string_value(v) == '\0');
}

lh_status lh__option_translate(const lh__option_alias *alias, const json_t *value,
                               const char *origin, const char **name, json_t **out, lh__error *e) {
    const char *text = json_string_value(value);

    *name = alias->now;
    *out = NULL;
    switch (alias->rule) {
    case LH__ALIAS_FRACTION:
        *out = json_is_integer(value) && json_integer_value(value) <= 1
                   ? json_real((double)json_integer_value(value))
                   : json_deep_copy(value);
        break;
    case LH__ALIAS_NUMBER:
        *out = json_is_boolean(value) ? json_integer(json_is_true(value)) : json_deep_copy(value);
        break;
    case LH__ALIAS_NOT_NULL:
        *out = json_boolean(!(json_is_null(value) || json_is_false(value) || (text && !*text)));
        break;
    case LH__ALIAS_NOT_ZERO:
        *out = json_boolean(!is_off(value));
        break;
    case LH__ALIAS_CALLBACK:
        if (is_off(value)) {
            *name = NULL;
            return LH_OK;
        }
        *out = text ? json_pack("{s:s,s:s}", "plugin", alias->notice, "dirpath", text)
                    : json_pack("{s:s}", "plugin", alias->notice);
        break;
    case LH__ALIAS_OFF_ONLY:
        if (!is_off(value))
            return lh__fail(e, LH_EUNSUPPORTED, "trainer.%s: %s (%s)", alias->name, alias->notice,
                            origin);
        return LH_OK;
    case LH__ALIAS_IGNORED:
        return LH_OK;
    default:
        *out = json_deep_copy(value);
    }
    return *out ? LH_OK : lh__fail(e, LH_ENOMEM, "out of memory reading the options");
}

/* ---- options against each other ---- */

static void say(const lh__observer *obs, int32_t level, const char *fmt, ...) LH_PRINTF(3, 4);
static void say(const lh__observer *obs, int32_t level, const char *fmt, ...) {
    char text[512];
    va_list args;

    if (!obs || !obs->message)
        return;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    obs->message(obs->self, level, text);
}

static int has(const lh__options *o, const char *name) {
    return (o->non_null & row_bit(lh__option_find(name))) != 0;
}

/* What barebones switches off; asking for both is a contradiction. */
static lh_status finish_barebones(lh__options *o, lh__error *e) {
    const struct {
        const char *name;
        int on;
    } costs[] = {{"enable_checkpointing", o->enable_checkpointing},
                 {"logger", o->logger},
                 {"enable_progress_bar", o->enable_progress_bar},
                 {"log_every_n_steps", o->log_every_n_steps != 0},
                 {"enable_model_summary", o->enable_model_summary},
                 {"num_sanity_val_steps", o->num_sanity_val_steps != 0},
                 {"fast_dev_run", o->fast_dev_run != 0},
                 {"detect_anomaly", o->detect_anomaly},
                 {"profiler", !same_name(o->profiler, "none")}};

    if (!o->barebones)
        return LH_OK;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++)
        if (costs[i].on && has(o, costs[i].name) && lh__options_given(o, costs[i].name))
            return lh__fail(e, LH_EINVAL,
                            "trainer.barebones switches off what trainer.%s asks for; remove one "
                            "of the two",
                            costs[i].name);
    o->enable_checkpointing = o->logger = o->enable_progress_bar = o->enable_model_summary = 0;
    o->log_every_n_steps = o->num_sanity_val_steps = 0;
    return LH_OK;
}

static void finish_fast_dev_run(lh__options *o, const lh__observer *obs) {
    lh__amount n = {(double)o->fast_dev_run, LH__BATCHES};

    if (o->fast_dev_run == 0)
        return;
    o->limit_train_batches = o->limit_val_batches = n;
    o->limit_test_batches = o->limit_predict_batches = n;
    o->max_steps = o->fast_dev_run;
    o->num_sanity_val_steps = 0;
    o->max_epochs = 1;
    o->val_check_interval = (lh__amount){1.0, LH__FRACTION};
    o->check_val_every_n_epoch = 1;
    o->logger = 0;
    say(obs, LH_INFO, "fast_dev_run: every loop runs %lld batch%s, without loggers and checkpoints",
        (long long)o->fast_dev_run, o->fast_dev_run == 1 ? "" : "es");
}

static void finish_length(lh__options *o) {
    if (!has(o, "max_epochs") && o->max_steps == -1 && o->max_time == 0 && o->fast_dev_run == 0)
        o->max_epochs = LH__DEFAULT_EPOCHS;
    if (!has(o, "min_epochs") && has(o, "min_steps"))
        o->min_epochs = 1;
}

static lh_status set_text(char **field, const char *text, lh__error *e) {
    char *copy = strdup(text);

    if (!copy)
        return lh__fail(e, LH_ENOMEM, "out of memory reading the options");
    free(*field);
    *field = copy;
    return LH_OK;
}

/* "auto", short names and "~/" become what they stand for. */
static lh_status finish_names(lh__options *o, lh__error *e) {
    static const char *const precisions[][2] = {
        {"32", "32-true"}, {"64", "64-true"}, {"bf16", "bf16-mixed"}, {"16", "16-mixed"}};
    const char *home = getenv("HOME");
    char path[PATH_MAX];
    lh_status s = LH_OK;

    if (same_name(o->accelerator, "auto"))
        s = set_text(&o->accelerator, "cpu", e);
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions && s == LH_OK; i++)
        if (same_name(o->precision, precisions[i][0]))
            s = set_text(&o->precision, precisions[i][1], e);
    if (s == LH_OK && home && strncmp(o->default_root_dir, "~/", 2) == 0) {
        snprintf(path, sizeof path, "%s%s", home, o->default_root_dir + 1);
        s = set_text(&o->default_root_dir, path, e);
    }
    if (s == LH_OK && *o->default_root_dir == '\0')
        s = set_text(&o->default_root_dir, ".", e);
    if (s == LH_OK)
        o->dtype = same_name(o->precision, "64-true") ? LH_F64 : LH_F32;
    if (s == LH_OK && same_name(o->float32_matmul_precision, "high") &&
        !same_name(o->precision, "32-true"))
        s = lh__fail(e, LH_EINVAL,
                     "trainer.float32_matmul_precision: high is for trainer.precision 32-true; %s "
                     "says itself how products are taken",
                     o->precision);
    return s;
}

lh_status lh__options_finish(lh__options *o, const lh__observer *obs, lh__error *e) {
    lh_status s = finish_barebones(o, e);

    if (s != LH_OK)
        return s;
    if (o->check_val_every_n_epoch == 0 && o->val_check_interval.unit == LH__FRACTION &&
        o->fast_dev_run == 0)
        return lh__fail(e, LH_EINVAL,
                        "trainer.check_val_every_n_epoch: null counts batches across epochs, so "
                        "trainer.val_check_interval must be a number of batches or a time");
    if (o->gradient_clip_val < 0)
        o->gradient_clip_val = 0;
    finish_length(o);
    finish_fast_dev_run(o, obs);
    if (o->overfit_batches.value > 0)
        o->limit_train_batches = o->limit_val_batches = o->overfit_batches;
    return finish_names(o, e);
}
