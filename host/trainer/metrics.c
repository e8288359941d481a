/* metrics.c - the collections behind metrics.h.
 *
 * `entries` holds what was logged, one per (hook, name, loader); `values` the published numbers,
 * one per name, which entries point to by index. Both only grow, to the number of distinct metrics.
 */
#include "trainer/metrics.h"

#include "checkpoint/json.h"
#include "trainer/logging.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* How the epoch that ended last left a number. */
enum { NOT_IN_EPOCH, SHOWN, LOGGED };

/* A published number: callback metric, perhaps on the bar, and what loggers get under its name. */
typedef struct published {
    const char *name;
    double value;
    double step_value, epoch_value;
    int64_t mark;          /* the batch that step_value is of */
    int32_t epoch, loader; /* NOT_IN_EPOCH ...; the loader that epoch_value is of, -1: all */
    int32_t is_set;        /* is a callback metric now */
    int32_t is_on_bar;
} published;

typedef struct entry {
    const char *name; /* as logged, interned */
    lh__hook hook;
    lh_meter *meter; /* borrowed; NULL: of values */
    uint32_t flags, reduce;
    int32_t loader, is_training;
    int32_t plain, step, epoch; /* indices into values; step, epoch: plain unless forked */
    int64_t n;                  /* values in the epoch so far */
    double sum, weight;         /* sum: also the running min or max, or a meter's value */
} entry;

struct lh__metrics {
    entry *entries;
    published *values;
    char **names;
    lh_scalar *scratch; /* what the getters return; as long as values */
    int32_t n_entries, n_values, n_names;
    int32_t c_entries, c_values, c_names;
    int64_t mark;
};

lh__metrics *lh__metrics_new(void) {
    lh__metrics *m = calloc(1, sizeof *m);

    if (m)
        m->mark = 1;
    return m;
}

void lh__metrics_free(lh__metrics *m) {
    if (!m)
        return;
    for (int32_t i = 0; i < m->n_names; i++)
        free(m->names[i]);
    free(m->names);
    free(m->entries);
    free(m->values);
    free(m->scratch);
    free(m);
}

/* Makes room for one more of `size` bytes. Work amortized O(1). */
static int grow(void **array, int32_t n, int32_t *capacity, size_t size) {
    int32_t wanted = *capacity ? *capacity * 2 : 16;
    void *grown;

    if (n < *capacity)
        return 1;
    grown = realloc(*array, (size_t)wanted * size);
    if (!grown)
        return 0;
    *array = grown;
    *capacity = wanted;
    return 1;
}

const char *lh__metrics_intern(lh__metrics *m, const char *name) {
    for (int32_t i = 0; i < m->n_names; i++)
        if (strcmp(m->names[i], name) == 0)
            return m->names[i];
    if (!grow((void **)&m->names, m->n_names, &m->c_names, sizeof *m->names) ||
        !(m->names[m->n_names] = strdup(name)))
        return NULL;
    return m->names[m->n_names++];
}

/* Index of the published number `name`, made if need be; -1: out of memory. The scratch grows
 * along, so that handing values out later allocates nothing. */
static int32_t published_index(lh__metrics *m, const char *name) {
    const char *interned;
    lh_scalar *scratch;

    for (int32_t i = 0; i < m->n_values; i++)
        if (strcmp(m->values[i].name, name) == 0)
            return i;
    interned = lh__metrics_intern(m, name);
    if (!interned || !grow((void **)&m->values, m->n_values, &m->c_values, sizeof *m->values))
        return -1;
    scratch = realloc(m->scratch, (size_t)m->c_values * sizeof *scratch);
    if (!scratch)
        return -1;
    m->scratch = scratch;
    m->values[m->n_values] = (published){.name = interned};
    return m->n_values++;
}

static int32_t published_as(lh__metrics *m, const entry *e, const char *fork) {
    char name[256];

    if (e->loader >= 0)
        snprintf(name, sizeof name, "%s%s/dataloader_idx_%d", e->name, fork, e->loader);
    else
        snprintf(name, sizeof name, "%s%s", e->name, fork);
    return published_index(m, name);
}

/* A meter counts for one thing: training or evaluation, every loader or all of them. */
static lh_status check_meter(const lh__metrics *m, const lh__logged *l, lh__error *e) {
    if (l->meter && lh__meter_numel(l->meter) != 1)
        return lh__fail(e, LH_ESHAPE,
                        "lh_log_meter \"%s\": meter \"%s\" gives %lld numbers, a metric is one: "
                        "choose an average, or log what lh_meter_compute gives one by one",
                        l->name, lh__meter_name(l->meter), (long long)lh__meter_numel(l->meter));
    for (int32_t i = 0; l->meter && i < m->n_entries; i++) {
        const entry *o = &m->entries[i];

        if (o->meter != l->meter)
            continue;
        if (o->is_training != l->is_training)
            return lh__fail(e, LH_EINVAL,
                            "lh_log_meter \"%s\": meter \"%s\" is logged in training and in "
                            "evaluation: make one for each",
                            l->name, lh__meter_name(l->meter));
        if ((o->loader < 0) != (l->loader < 0))
            return lh__fail(e, LH_EINVAL,
                            "lh_log_meter \"%s\": meter \"%s\" is logged for each loader and for "
                            "all of them: make one for each, or set LH_LOG_NO_DATALOADER",
                            l->name, lh__meter_name(l->meter));
    }
    return LH_OK;
}

static entry *add_entry(lh__metrics *m, const lh__logged *l, uint32_t flags) {
    int forked = (flags & LH_LOG_STEP) && (flags & LH_LOG_EPOCH);
    entry *e;

    if (!grow((void **)&m->entries, m->n_entries, &m->c_entries, sizeof *m->entries))
        return NULL;
    e = &m->entries[m->n_entries];
    *e = (entry){.name = lh__metrics_intern(m, l->name),
                 .hook = l->hook,
                 .meter = l->meter,
                 .flags = flags,
                 .reduce = l->options->reduce,
                 .loader = l->loader,
                 .is_training = l->is_training};
    if (!e->name)
        return NULL;
    e->plain = published_as(m, e, "");
    e->step = forked ? published_as(m, e, "_step") : e->plain;
    e->epoch = forked ? published_as(m, e, "_epoch") : e->plain;
    if (e->plain < 0 || e->step < 0 || e->epoch < 0)
        return NULL;
    m->n_entries++;
    return e;
}

/* on_epoch_start and _end are hooks of training and of evaluation, so these are told apart. */
static entry *find_entry(lh__metrics *m, const lh__logged *l) {
    for (int32_t i = 0; i < m->n_entries; i++) {
        entry *e = &m->entries[i];

        if (e->hook == l->hook && e->loader == l->loader && e->is_training == l->is_training &&
            strcmp(e->name, l->name) == 0)
            return e;
    }
    return NULL;
}

static void publish(lh__metrics *m, int32_t index, double value, int on_bar) {
    m->values[index].value = value;
    m->values[index].is_set = 1;
    if (on_bar)
        m->values[index].is_on_bar = 1;
}

static void accumulate(entry *e, double value, double weight) {
    switch (e->reduce) {
    case LH_MEAN:
        e->sum += value * weight;
        e->weight += weight;
        break;
    case LH_SUM:
        e->sum += value;
        break;
    case LH_MIN:
        e->sum = e->n == 0 || value < e->sum || isnan(value) ? value : e->sum;
        break;
    default:
        e->sum = e->n == 0 || value > e->sum || isnan(value) ? value : e->sum;
    }
    e->n++;
}

/* Of a meter: what it holds, unless its loader is over. */
static lh_status reduced(const entry *e, double *value, lh__error *error) {
    lh__meter_value computed;
    lh_status status;

    *value = e->reduce == LH_MEAN ? e->sum / e->weight : e->sum;
    if (!e->meter || e->weight > 0)
        return LH_OK;
    status = lh__meter_compute(e->meter, &computed, error);
    if (status == LH_OK)
        *value = *(const double *)computed.data;
    return status;
}

lh_status lh__metrics_log(lh__metrics *m, const lh__logged *l, lh__error *error) {
    uint32_t flags = lh__log_flags(l->hook, l->options->flags);
    lh__logged named = *l;
    double value;
    entry *e;

    if (flags & LH_LOG_NO_DATALOADER)
        named.loader = -1;
    e = find_entry(m, &named);
    if (!e) {
        if (lh__log_check(&named, flags, error) != LH_OK || check_meter(m, &named, error) != LH_OK)
            return error->code;
        e = add_entry(m, &named, flags);
        if (!e)
            return lh__fail(error, LH_ENOMEM, "out of memory");
    } else if (e->flags != flags || e->reduce != l->options->reduce || e->meter != l->meter) {
        return lh__fail(error, LH_EINVAL,
                        "lh_log \"%s\": logged before in %s with other flags, another reduction "
                        "or another meter: use one set, or another name",
                        l->name, lh__hooks[l->hook].name);
    }
    if (l->meter)
        e->n++;
    else if (flags & LH_LOG_EPOCH)
        accumulate(e, l->value, l->weight);
    if ((flags & LH_LOG_STEP) && !(flags & LH_LOG_NO_LOGGER)) {
        m->values[e->step].step_value = l->value;
        m->values[e->step].mark = m->mark;
    }
    if (l->is_training && (flags & LH_LOG_STEP)) {
        publish(m, e->plain, l->value, 0);
        publish(m, e->step, l->value, flags & LH_LOG_BAR);
    }
    if (lh__log_times(l->hook) != LH__LOG_PER_EPOCH)
        return LH_OK;
    if (reduced(e, &value, error) != LH_OK)
        return error->code;
    publish(m, e->plain, value, 0);
    return LH_OK;
}

void lh__metrics_begin_step(lh__metrics *m) {
    m->mark++;
}

static void forget(entry *e) {
    e->n = 0;
    e->sum = e->weight = 0;
}

void lh__metrics_begin_epoch_values(lh__metrics *m) {
    for (int32_t i = 0; i < m->n_values; i++)
        m->values[i].epoch = NOT_IN_EPOCH;
}

lh_status lh__metrics_reduce(lh__metrics *m, int32_t is_training, lh__error *error) {
    for (int32_t i = 0; i < m->n_entries; i++) {
        entry *e = &m->entries[i];
        published *p = &m->values[e->epoch];

        if (e->is_training != is_training || e->n == 0)
            continue;
        if (reduced(e, &p->epoch_value, error) != LH_OK)
            return error->code;
        p->epoch = e->flags & LH_LOG_NO_LOGGER ? SHOWN : LOGGED;
        p->loader = e->loader;
        publish(m, e->plain, p->epoch_value, 0);
        publish(m, e->epoch, p->epoch_value, e->flags & LH_LOG_BAR);
        forget(e);
    }
    return LH_OK;
}

lh_status lh__metrics_end_loader(lh__metrics *m, int32_t loader, lh__error *error) {
    for (int32_t i = 0; i < m->n_entries; i++) {
        entry *e = &m->entries[i];

        if (!e->meter || e->is_training || e->loader != loader || e->n == 0)
            continue;
        if (reduced(e, &e->sum, error) != LH_OK)
            return error->code;
        e->weight = 1;
    }
    for (int32_t i = 0; i < m->n_entries; i++)
        if (m->entries[i].meter && m->entries[i].loader == loader && !m->entries[i].is_training)
            lh__meter_reset(m->entries[i].meter);
    return LH_OK;
}

void lh__metrics_reset_meters(lh__metrics *m, int32_t is_training) {
    for (int32_t i = 0; i < m->n_entries; i++)
        if (m->entries[i].meter && m->entries[i].is_training == is_training)
            lh__meter_reset(m->entries[i].meter);
}

void lh__metrics_reset(lh__metrics *m, int32_t is_training) {
    lh__metrics_reset_meters(m, is_training);
    for (int32_t i = 0; i < m->n_entries; i++)
        if (m->entries[i].is_training == is_training)
            forget(&m->entries[i]);
}

void lh__metrics_clear(lh__metrics *m) {
    m->n_entries = m->n_values = 0;
}

double lh__metrics_callback(const lh__metrics *m, const char *name, int32_t *found) {
    for (int32_t i = 0; i < m->n_values; i++)
        if (m->values[i].is_set && strcmp(m->values[i].name, name) == 0) {
            *found = 1;
            return m->values[i].value;
        }
    *found = 0;
    return NAN;
}

const char *lh__metrics_callback_name(const lh__metrics *m, int32_t i) {
    for (int32_t k = 0; k < m->n_values; k++)
        if (m->values[k].is_set && i-- == 0)
            return m->values[k].name;
    return NULL;
}

void lh__metrics_set_callback(lh__metrics *m, const char *name, double value) {
    int32_t i = published_index(m, name);

    if (i >= 0)
        publish(m, i, value, 0);
}

int32_t lh__metrics_bar(lh__metrics *m, const lh_scalar **out) {
    int32_t n = 0;

    for (int32_t i = 0; i < m->n_values; i++)
        if (m->values[i].is_on_bar)
            m->scratch[n++] = (lh_scalar){m->values[i].name, m->values[i].value};
    *out = m->scratch;
    return n;
}

void lh__metrics_set_bar(lh__metrics *m, const char *name, double value, int32_t show) {
    int32_t i = published_index(m, name);

    if (i < 0)
        return;
    m->values[i].value = value;
    m->values[i].is_on_bar = show;
}

int32_t lh__metrics_step_values(lh__metrics *m, const lh_scalar **out) {
    int32_t n = 0;

    for (int32_t i = 0; i < m->n_values; i++)
        if (m->values[i].mark == m->mark)
            m->scratch[n++] = (lh_scalar){m->values[i].name, m->values[i].step_value};
    *out = m->scratch;
    return n;
}

int32_t lh__metrics_epoch_values(lh__metrics *m, const lh_scalar **out) {
    int32_t n = 0;

    for (int32_t i = 0; i < m->n_values; i++)
        if (m->values[i].epoch == LOGGED)
            m->scratch[n++] = (lh_scalar){m->values[i].name, m->values[i].epoch_value};
    *out = m->scratch;
    return n;
}

int32_t lh__metrics_results(lh__metrics *m, int32_t loader, const lh_scalar **out) {
    int32_t n = 0;

    for (int32_t i = 0; i < m->n_values; i++) {
        const published *p = &m->values[i];

        if (p->epoch != NOT_IN_EPOCH && (p->loader == loader || p->loader == -1))
            m->scratch[n++] = (lh_scalar){p->name, p->epoch_value};
    }
    *out = m->scratch;
    return n;
}

json_t *lh__metrics_json(const lh__metrics *m) {
    json_t *all = json_object();

    for (int32_t i = 0; all && i < m->n_values; i++)
        if (m->values[i].is_set)
            lh__json_put_real(all, m->values[i].name, m->values[i].value);
    return all;
}

static json_t *entry_json(const entry *e) {
    json_t *row = json_pack("{s:s, s:s, s:i, s:i, s:i, s:b, s:I}", "hook", lh__hooks[e->hook].name,
                            "name", e->name, "loader", e->loader, "flags", (int)e->flags, "reduce",
                            (int)e->reduce, "is_training", e->is_training, "n", (json_int_t)e->n);

    if (row) {
        lh__json_put_real(row, "sum", e->sum);
        lh__json_put_real(row, "weight", e->weight);
        if (e->meter)
            json_object_set_new(row, "meter", json_string(lh__meter_key(e->meter)));
    }
    return row;
}

/* under_way: the entries; of_step and of_epoch: what the loggers are still to get. */
json_t *lh__metrics_save(const lh__metrics *m) {
    json_t *entries = json_array(), *step = json_object(), *epoch = json_array();

    for (int32_t i = 0; i < m->n_entries; i++)
        json_array_append_new(entries, entry_json(&m->entries[i]));
    for (int32_t i = 0; i < m->n_values; i++) {
        const published *p = &m->values[i];
        json_t *row;

        if (p->mark == m->mark)
            lh__json_put_real(step, p->name, p->step_value);
        if (p->epoch == NOT_IN_EPOCH)
            continue;
        row = json_pack("{s:s, s:i, s:i}", "name", p->name, "loader", p->loader, "kind", p->epoch);
        lh__json_put_real(row, "value", p->epoch_value);
        json_array_append_new(epoch, row);
    }
    return json_pack("{s:o, s:o, s:o, s:o}", "callback_metrics", lh__metrics_json(m), "under_way",
                     entries, "of_step", step, "of_epoch", epoch);
}

/* The hook of that name that plugins of any kind may log from; -1: none. */
static int hook_named(const char *name) {
    for (int h = 0; name && h < LH__N_HOOKS; h++)
        if (lh__log_times((lh__hook)h) != LH__LOG_NEVER && strcmp(lh__hooks[h].name, name) == 0)
            return h;
    return -1;
}

static lh_status load_entry(lh__metrics *m, const json_t *row, const lh__meters *meters,
                            lh__error *error) {
    int hook = hook_named(json_string_value(json_object_get(row, "hook")));
    const char *name = json_string_value(json_object_get(row, "name"));
    const char *meter = json_string_value(json_object_get(row, "meter"));
    int64_t loader = -1, flags = 0, reduce = 0;
    lh_log_options options = {LH_SIZED(lh_log_options)};
    lh__logged l = {.name = name, .options = &options, .hook = (lh__hook)(hook < 0 ? 0 : hook)};
    entry *e;

    if (hook < 0 || !name || lh__json_get_int(row, "loader", &loader, error) != LH_OK ||
        lh__json_get_int(row, "flags", &flags, error) != LH_OK ||
        lh__json_get_int(row, "reduce", &reduce, error) != LH_OK || reduce < 0 || reduce > LH_MAX)
        return lh__fail(error, LH_ECORRUPT, "a metric under way is not readable");
    l.loader = (int32_t)loader;
    l.is_training = json_is_true(json_object_get(row, "is_training"));
    l.meter = meter ? lh__meters_find(meters, meter) : NULL;
    if (meter && !l.meter)
        return lh__fail(error, LH_EINVAL,
                        "metric \"%s\" is the value of meter %s, which this run does not have",
                        name, meter);
    options.reduce = (uint32_t)reduce;
    e = find_entry(m, &l);
    e = e ? e : add_entry(m, &l, (uint32_t)flags);
    if (!e)
        return lh__fail(error, LH_ENOMEM, "out of memory");
    if (lh__json_get_int(row, "n", &e->n, error) != LH_OK ||
        lh__json_get_real(row, "sum", &e->sum, error) != LH_OK)
        return error->code;
    return lh__json_get_real(row, "weight", &e->weight, error);
}

static lh_status load_epoch_value(lh__metrics *m, const json_t *row, lh__error *error) {
    const char *name = json_string_value(json_object_get(row, "name"));
    int32_t i = name ? published_index(m, name) : -1;
    int64_t loader = -1, kind = 0;
    published *p = &m->values[i < 0 ? 0 : i];

    if (i < 0 || lh__json_get_real(row, "value", &p->epoch_value, error) != LH_OK ||
        lh__json_get_int(row, "loader", &loader, error) != LH_OK ||
        lh__json_get_int(row, "kind", &kind, error) != LH_OK)
        return lh__fail(error, LH_ECORRUPT, "a metric of the epoch is not readable");
    p->loader = (int32_t)loader;
    p->epoch = kind == LOGGED ? LOGGED : SHOWN;
    return LH_OK;
}

/* Puts the numbers of the object where `put` says. */
static lh_status load_numbers(lh__metrics *m, json_t *numbers,
                              void (*put)(lh__metrics *m, const char *name, double value),
                              lh__error *error) {
    const char *name;
    json_t *number;

    json_object_foreach(numbers, name, number) {
        double value;

        if (!lh__json_real_value(number, &value))
            return lh__fail(error, LH_ECORRUPT, "metric \"%s\" is not a number", name);
        put(m, name, value);
    }
    return LH_OK;
}

static void set_step_value(lh__metrics *m, const char *name, double value) {
    int32_t i = published_index(m, name);

    if (i < 0)
        return;
    m->values[i].step_value = value;
    m->values[i].mark = m->mark;
}

lh_status lh__metrics_load(lh__metrics *m, const json_t *saved, const lh__meters *meters,
                           lh__error *error) {
    json_t *row;
    size_t i;

    lh__metrics_clear(m);
    json_array_foreach(json_object_get(saved, "under_way"), i, row) {
        if (load_entry(m, row, meters, error) != LH_OK)
            return error->code;
    }
    json_array_foreach(json_object_get(saved, "of_epoch"), i, row) {
        if (load_epoch_value(m, row, error) != LH_OK)
            return error->code;
    }
    if (load_numbers(m, json_object_get(saved, "of_step"), set_step_value, error) != LH_OK)
        return error->code;
    return load_numbers(m, json_object_get(saved, "callback_metrics"), lh__metrics_set_callback,
                        error);
}
