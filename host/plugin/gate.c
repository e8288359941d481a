/* gate.c - what a plugin has to be before it is called: see gate.h.
 *
 * The rules about hooks are rows of `required` below; the rest are checks of sizes and addresses.
 */
#include "plugin/gate.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_TABLE = 1 << 16, MAX_HPARAMS = 1024 };
enum {
    KNOWN_KINDS = LH_KIND_MODULE | LH_KIND_DATAMODULE | LH_KIND_CALLBACK | LH_KIND_LOGGER |
                  LH_KIND_STRATEGY | LH_KIND_ACCELERATOR | LH_KIND_EXPORTER
};

/* A hook, or one of several, without which a table is of no use. */
#define ANY 5
static const struct {
    lh__table table;
    int any_of[ANY];  /* hook + 1, so that 0 ends the list */
    const char *text; /* completes "its module lacks" */
} required[] = {
    {LH__TABLE_MODULE,
     {LH__HOOK_configure_model + 1},
     "configure_model, which makes the parameters"},
    {LH__TABLE_MODULE,
     {LH__HOOK_training_step + 1, LH__HOOK_validation_step + 1, LH__HOOK_test_step + 1,
      LH__HOOK_predict_step + 1, LH__HOOK_forward + 1},
     "a step: set one of training_step, validation_step, test_step, predict_step or forward"},
    {LH__TABLE_LOGGER, {LH__HOOK_logger_log_metrics + 1}, "log_metrics, which takes the metrics"},
};

/* The root's pointers, in the order of the kinds' bits. */
static const struct {
    uint32_t kind;
    size_t offset;
    const char *name;
} members[] = {
    {LH_KIND_MODULE, offsetof(lh_plugin, module), "module"},
    {LH_KIND_DATAMODULE, offsetof(lh_plugin, datamodule), "datamodule"},
    {LH_KIND_CALLBACK, offsetof(lh_plugin, callback), "callback"},
    {LH_KIND_LOGGER, offsetof(lh_plugin, logger), "logger"},
    {LH_KIND_STRATEGY, offsetof(lh_plugin, strategy), "strategy"},
    {LH_KIND_ACCELERATOR, offsetof(lh_plugin, accelerator), "accelerator"},
    {LH_KIND_EXPORTER, offsetof(lh_plugin, exporter), "exporter"},
};
enum { N_MEMBERS = sizeof members / sizeof *members };

/* The head that all tables of hooks share. */
typedef struct table_head {
    uint32_t struct_size, state_size;
    const lh_hparam_spec *hparams;
    int32_t n_hparams;
} table_head;

/* What the checks of gate 2 share. */
typedef struct gate {
    const char *plugin; /* its name */
    const lh__mapping *where;
    lh__error *err;
} gate;

static int is_name(const char *s, size_t size, char joint) {
    size_t n = strnlen(s, size);

    for (size_t i = 0; i < n; i++)
        if (!((s[i] >= 'a' && s[i] <= 'z') || (s[i] >= '0' && s[i] <= '9') || s[i] == joint))
            return 0;
    return n > 0 && n < size;
}

lh_status lh__gate_prefix(const void *head, uint64_t symbol_size, lh__error *err) {
    static const char magic[8] = LH_MAGIC_;
    lh_plugin p;

    memset(&p, 0, sizeof p);
    memcpy(&p, head, LH__PLUGIN_HEAD);
    if (memcmp(p.magic, magic, sizeof magic) != 0)
        return lh__fail(err, LH_EPLUGIN,
                        "lhost_plugin does not begin with the magic of a plugin; define it with "
                        "one of the LH_EXPORT_ macros");
    if (!is_name(p.name, sizeof p.name, '-'))
        return lh__fail(err, LH_EPLUGIN,
                        "the plugin's name is not 1 to %zu characters of a-z, 0-9 and '-'",
                        sizeof p.name - 1);
    if (strnlen(p.version, sizeof p.version) == sizeof p.version)
        return lh__fail(err, LH_EPLUGIN, "plugin %s: its version is longer than %zu characters",
                        p.name, sizeof p.version - 1);
    if (p.abi_major != LH_ABI_MAJOR)
        return lh__fail(err, LH_EPLUGIN,
                        "plugin %s needs host ABI %u.%u, this host is %d.%d; rebuild it with this "
                        "host's headers",
                        p.name, p.abi_major, p.abi_minor, LH_ABI_MAJOR, LH_ABI_MINOR);
    if (p.abi_minor > LH_ABI_MINOR)
        return lh__fail(err, LH_EPLUGIN,
                        "plugin %s needs host ABI %u.%u, this host is %d.%d; use a newer lhost, or "
                        "build the plugin with -DLH_TARGET_MINOR=%d",
                        p.name, p.abi_major, p.abi_minor, LH_ABI_MAJOR, LH_ABI_MINOR, LH_ABI_MINOR);
    if (p.struct_size < LH__PLUGIN_HEAD || p.struct_size % 8 != 0 || p.struct_size > MAX_TABLE ||
        p.struct_size > symbol_size)
        return lh__fail(err, LH_EPLUGIN,
                        "plugin %s: lhost_plugin says it is %u bytes, its symbol has %llu; define "
                        "it with one of the LH_EXPORT_ macros",
                        p.name, p.struct_size, (unsigned long long)symbol_size);
    if (p.kinds == 0 || (p.kinds & ~(uint32_t)KNOWN_KINDS) != 0)
        return lh__fail(err, LH_EPLUGIN, "plugin %s: kinds 0x%x has %s", p.name, p.kinds,
                        p.kinds ? "a kind that this host does not know; use a newer lhost"
                                : "none set; use one of LH_KIND_...");
    return LH_OK;
}

/* Whether the plugin has `size` bytes at `p`, of code if `code`. */
static int is_inside(const lh__mapping *where, const void *p, size_t size, int code) {
    uintptr_t a = (uintptr_t)p;

    for (int i = 0; i < where->n_ranges; i++)
        if (a >= where->range[i].begin && a <= where->range[i].end &&
            size <= where->range[i].end - a && (!code || where->range[i].is_code))
            return 1;
    return 0;
}

/* The bounded copy of the struct at `src`, whose size is its member at `size_at`, into the `size`
 * bytes at `dst`. `least`: what every version of it has. */
static lh_status copy_struct(const gate *g, const char *what, void *dst, size_t size,
                             const void *src, size_t size_at, size_t least) {
    uint32_t theirs;

    if (!is_inside(g->where, src, size_at + sizeof theirs, 0))
        return lh__fail(g->err, LH_EPLUGIN, "plugin %s: its %s is not in the plugin's own memory",
                        g->plugin, what);
    memcpy(&theirs, (const char *)src + size_at, sizeof theirs);
    if (theirs < least || theirs % 8 != 0 || theirs > MAX_TABLE ||
        !is_inside(g->where, src, theirs, 0))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: its %s has struct_size %u, of at least %zu and a multiple of "
                        "8; begin it with LH_SIZED",
                        g->plugin, what, theirs, least);
    for (size_t i = size; i < theirs; i++)
        if (((const unsigned char *)src)[i] != 0)
            return lh__fail(g->err, LH_EPLUGIN,
                            "plugin %s: its %s sets a member at byte %zu that this host (ABI "
                            "%d.%d, %zu bytes) does not know; use a newer lhost or leave it unset",
                            g->plugin, what, i / 8 * 8, LH_ABI_MAJOR, LH_ABI_MINOR, size);
    memset(dst, 0, size);
    memcpy(dst, src, theirs < size ? theirs : size);
    return LH_OK;
}

/* One declared hyper-parameter, `specs[i]`. */
static lh_status check_hparam(const gate *g, const char *table, const lh_hparam_spec *specs,
                              int i) {
    const lh_hparam_spec *s = &specs[i];
    const char *texts[] = {s->name, s->help ? s->help : s->name,
                           s->text_default ? s->text_default : s->name};
    int bounded = s->min != 0 || s->max != 0;
    double d = s->number_default;

    for (int t = 0; t < 3; t++)
        if (!texts[t] || !is_inside(g->where, texts[t], 1, 0))
            return lh__fail(
                g->err, LH_EPLUGIN,
                "plugin %s: hyper-parameter %d of its %s has no name, or a text outside "
                "the plugin",
                g->plugin, i, table);
    if (!is_name(s->name, 64, '_'))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: the name of hyper-parameter %d of its %s is not 1 to 63 "
                        "characters of a-z, 0-9 and '_'",
                        g->plugin, i, table);
    for (int j = 0; j < i; j++)
        if (strcmp(specs[j].name, s->name) == 0)
            return lh__fail(g->err, LH_EPLUGIN, "plugin %s: its %s declares %s twice", g->plugin,
                            table, s->name);
    if (s->type < LH_REAL || s->type > LH_TEXT)
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: hyper-parameter %s has type %u; use LH_REAL, LH_INT, LH_FLAG "
                        "or LH_TEXT",
                        g->plugin, s->name, s->type);
    if (s->type != LH_TEXT && bounded && !(s->min <= d && d <= s->max))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: the default of %s, %g, is not within %g and %g", g->plugin,
                        s->name, d, s->min, s->max);
    if (s->type == LH_INT && !(d >= -0x1p53 && d <= 0x1p53 && d == (double)(int64_t)d))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: the default of %s, %g, is not an integer; make it one or "
                        "declare it LH_REAL",
                        g->plugin, s->name, d);
    if (s->type == LH_FLAG && d != 0 && d != 1)
        return lh__fail(g->err, LH_EPLUGIN, "plugin %s: the default of flag %s is %g, not 0 or 1",
                        g->plugin, s->name, d);
    return LH_OK;
}

/* Copies the declared hyper-parameters of a table into this host's layout. Their stride is the
 * struct_size of the first: all of an array were built with the same headers. */
static lh_status copy_hparams(const gate *g, const char *table, const table_head *head,
                              lh_hparam_spec **out) {
    const size_t least = sizeof(lh_hparam_spec);
    lh_status status = LH_OK;
    uint32_t stride = 0;

    if (head->n_hparams == 0)
        return LH_OK;
    if (head->n_hparams < 0 || head->n_hparams > MAX_HPARAMS ||
        !is_inside(g->where, head->hparams, sizeof stride, 0))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: its %s declares %d hyper-parameters that are not there; set "
                        "hparams and n_hparams together",
                        g->plugin, table, head->n_hparams);
    memcpy(&stride, head->hparams, sizeof stride);
    *out = calloc((size_t)head->n_hparams, sizeof **out);
    if (!*out)
        return lh__fail(g->err, LH_ENOMEM, "out of memory");
    for (int i = 0; i < head->n_hparams && status == LH_OK; i++) {
        const char *spec = (const char *)head->hparams + (size_t)i * stride;

        status = copy_struct(g, "list of hyper-parameters", *out + i, sizeof **out, spec, 0, least);
        if (status == LH_OK && memcmp(spec, &stride, sizeof stride) != 0)
            status = lh__fail(g->err, LH_EPLUGIN,
                              "plugin %s: hyper-parameters of its %s differ in struct_size; begin "
                              "each with LH_SIZED",
                              g->plugin, table);
        if (status == LH_OK)
            status = check_hparam(g, table, *out, i);
    }
    return status;
}

/* Every hook that is set is code of this plugin, and those required are set. */
static lh_status check_hooks(const gate *g, const void *table, lh__table t) {
    for (int h = 0; h < LH__N_HOOKS; h++) {
        lh__hook_fn fn = lh__hook_of(table, t, (lh__hook)h);

        if (fn && !is_inside(g->where, (const void *)(uintptr_t)fn, 1, 1))
            return lh__fail(g->err, LH_EPLUGIN,
                            "plugin %s: hook %s of its %s is not code of this plugin; make the "
                            "function static",
                            g->plugin, lh__hooks[h].name, lh__tables[t].name);
    }
    for (size_t i = 0; i < sizeof required / sizeof *required; i++) {
        int found = required[i].table != t;

        for (int k = 0; k < ANY && required[i].any_of[k]; k++)
            found |= lh__hook_of(table, t, (lh__hook)(required[i].any_of[k] - 1)) != NULL;
        if (!found)
            return lh__fail(g->err, LH_EPLUGIN, "plugin %s: its %s lacks %s", g->plugin,
                            lh__tables[t].name, required[i].text);
    }
    return LH_OK;
}

/* Kinds and pointers agree. */
static lh_status check_kinds(const gate *g, const lh_plugin *root) {
    for (int i = 0; i < N_MEMBERS; i++) {
        const void *p;
        int declared = (root->kinds & members[i].kind) != 0;

        memcpy(&p, (const char *)root + members[i].offset, sizeof p);
        if (declared != (p != NULL))
            return lh__fail(g->err, LH_EPLUGIN, "plugin %s: kinds %s a %s but .%s is %s", g->plugin,
                            declared ? "names" : "does not name", members[i].name, members[i].name,
                            p ? "set" : "not set");
        if (p && !is_inside(g->where, p, 8, 0))
            return lh__fail(g->err, LH_EPLUGIN,
                            "plugin %s: its %s is not in the plugin's own memory", g->plugin,
                            members[i].name);
    }
    return LH_OK;
}

void *lh__tables_copy_at(lh__tables_copy *copy, lh__table t) {
    void *const tables[LH__N_TABLES] = {&copy->module, &copy->datamodule, &copy->callback,
                                        &copy->logger};
    return tables[t];
}

/* A hook that has an older name goes by the present one in our copy. */
static lh_status resolve_names(const gate *g, lh_module *m) {
    if (m->configure_model && m->configure_sharded_model)
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: its module sets configure_model and configure_sharded_model, "
                        "the older name of the same; set one of the two",
                        g->plugin);
    if (m->configure_sharded_model)
        m->configure_model = m->configure_sharded_model;
    m->configure_sharded_model = NULL;
    return LH_OK;
}

/* Copies and checks table `t`, which the root has at `src`. */
static lh_status copy_table(const gate *g, lh__table t, const void *src, lh__tables_copy *out) {
    const lh__table_info *info = &lh__tables[t];
    void *table = lh__tables_copy_at(out, t);
    table_head head;
    lh_status status;

    if ((status = copy_struct(g, info->name, table, info->size, src, 0, info->head)) != LH_OK)
        return status;
    memcpy(&head, table, sizeof head);
    if ((status = copy_hparams(g, info->name, &head, &out->hparams[t])) != LH_OK)
        return status;
    head.hparams = out->hparams[t];
    memcpy((char *)table + offsetof(table_head, hparams), &head.hparams, sizeof head.hparams);
    if (t == LH__TABLE_MODULE && (status = resolve_names(g, table)) != LH_OK)
        return status;
    return check_hooks(g, table, t);
}

/* Copies and checks the table of an exporter, whose layout may change with every revision. */
static lh_status copy_exporter(const gate *g, const void *src, lh_draft_exporter *out) {
    lh_status status =
        copy_struct(g, "exporter", out, sizeof *out, src, 0, offsetof(lh_draft_exporter, maps));

    if (status != LH_OK)
        return status;
    if (out->revision != LH_DRAFT_EXPORTER_REVISION)
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: its exporter is of revision %u of the draft, this host knows "
                        "%d; rebuild it with this host's headers",
                        g->plugin, out->revision, LH_DRAFT_EXPORTER_REVISION);
    if (!out->maps || !out->write ||
        !is_inside(g->where, (const void *)(uintptr_t)out->maps, 1, 1) ||
        !is_inside(g->where, (const void *)(uintptr_t)out->write, 1, 1))
        return lh__fail(g->err, LH_EPLUGIN,
                        "plugin %s: its exporter lacks maps or write, or they are not code of this "
                        "plugin",
                        g->plugin);
    return LH_OK;
}

lh_status lh__gate_tables(const lh_plugin *plugin, const void *head, const lh__mapping *where,
                          lh__tables_copy *out, lh__error *err) {
    gate g = {.plugin = plugin->name, .where = where, .err = err};
    lh_status status;

    memset(out, 0, sizeof *out);
    if (memcmp(plugin, head, LH__PLUGIN_HEAD) != 0)
        return lh__fail(err, LH_EPLUGIN,
                        "lhost_plugin changed while the plugin was loaded; it has to be constant");
    status = copy_struct(&g, "lhost_plugin", &out->root, sizeof out->root, plugin,
                         offsetof(lh_plugin, struct_size), LH__PLUGIN_HEAD);
    if (status == LH_OK)
        status = check_kinds(&g, &out->root);
    for (int t = 0; t < LH__N_TABLES && status == LH_OK; t++) {
        const void *src;

        memcpy(&src, (const char *)&out->root + members[t].offset, sizeof src);
        if (src)
            status = copy_table(&g, (lh__table)t, src, out);
    }
    if (status == LH_OK && out->root.exporter)
        status = copy_exporter(&g, out->root.exporter, &out->exporter);
    if (status != LH_OK)
        for (int t = 0; t < LH__N_TABLES; t++) {
            free(out->hparams[t]);
            out->hparams[t] = NULL;
        }
    return status;
}
