/* optimizer.c - optimizers of optimizer.h: groups, members, state buffers, runs.
 *
 * Invariant: members are sorted by dtype and place in the flat buffer, so that a run of neighbours
 * is a range of the array. State is zero for a member that never stepped (Adagrad's sum is filled
 * at the first step), so a loaded and a new optimizer differ in nothing but contents.
 */
#include "engine/optimizer.h"

#include <float.h>
#include <fnmatch.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "engine/state.h"
#include "kernels/update.h"
#include "kernels/view.h"

enum { N_STATES = 3, N_DTYPES = 2, ALIGNMENT = 64 };

struct group {
    lh_optimizer_options options;
    double initial_lr; /* NaN before there is a schedule, as PyTorch's key is absent */
};

/* A parameter in a group. `was` is its requires_grad while another optimizer is toggled, else -1.
 */
struct member {
    lh__param *param;
    int64_t step;
    int32_t group, was;
};

struct state {
    void *block; /* what to free */
    char *data;  /* aligned; NULL: not made yet */
};

struct lh_optimizer {
    lh__engine *engine;
    int32_t index, n_groups;
    int64_t n_members;
    lh_optimizer_options defaults; /* of groups to come */
    struct group *groups;
    struct member *members;
    uint64_t updated; /* how many plans had run when it was last updated */
    struct state states[N_DTYPES][N_STATES];
};

/* Kinds: names of the class, of the states, and of PyTorch's state_dict. */
static const struct kind {
    const char *name, *states[N_STATES];
} kinds[] = {
    [LH_SGD] = {"SGD", {"momentum_buffer"}},
    [LH_ADAM] = {"Adam", {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}},
    [LH_ADAMW] = {"AdamW", {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"}},
    [LH_RMSPROP] = {"RMSprop", {"square_avg", "momentum_buffer", "grad_avg"}},
    [LH_ADAGRAD] = {"Adagrad", {"sum"}},
};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

#define KIND(k) (1u << (k))
#define ANY (KIND(N_KINDS) - 1)
#define ADAMS (KIND(LH_ADAM) | KIND(LH_ADAMW))
#define OPTION(name) offsetof(struct group, options.name)

/* The real hyper-parameters: which kinds have one, and 0 <= value < limit with PyTorch's message.
 * Schedules may take lr anywhere, so that its bounds hold for the constructor only. */
enum { INITIAL_LR, LR };
static const struct field {
    const char *key;
    size_t offset;
    uint32_t kinds;
    double limit;
    const char *invalid; /* NULL: no bounds */
} fields[] = {
    [INITIAL_LR] = {"initial_lr", offsetof(struct group, initial_lr), ANY, INFINITY, NULL},
    [LR] = {"lr", OPTION(lr), ANY, INFINITY, "Invalid learning rate"},
    {"eps", OPTION(eps), ANY & ~KIND(LH_SGD), INFINITY, "Invalid epsilon value"},
    {"beta1", OPTION(beta1), ADAMS, 1, "Invalid beta parameter at index 0"},
    {"beta2", OPTION(beta2), ADAMS, 1, "Invalid beta parameter at index 1"},
    {"momentum", OPTION(momentum), KIND(LH_SGD) | KIND(LH_RMSPROP), INFINITY,
     "Invalid momentum value"},
    {"dampening", OPTION(dampening), KIND(LH_SGD), INFINITY, NULL},
    {"weight_decay", OPTION(weight_decay), ANY, INFINITY, "Invalid weight_decay value"},
    {"alpha", OPTION(alpha), KIND(LH_RMSPROP), INFINITY, "Invalid alpha value"},
    {"lr_decay", OPTION(lr_decay), KIND(LH_ADAGRAD), INFINITY, "Invalid lr_decay value"},
    {"initial_accumulator", OPTION(initial_accumulator), KIND(LH_ADAGRAD), INFINITY,
     "Invalid initial_accumulator_value value"},
};
enum { N_FIELDS = sizeof fields / sizeof *fields };

const char *const lh__group_keys[] = {
    "lr",    "initial_lr", "weight_decay", "momentum", "dampening", "beta1",
    "beta2", "eps",        "alpha",        "lr_decay", NULL};

static double *field_of(const struct group *g, const struct field *f) {
    return (double *)((char *)g + f->offset);
}

/* ---- Hyper-parameters ---- */

static lh_status check_field(lh__error *err, const struct group *g, const struct field *f) {
    const char *name = kinds[g->options.kind].name;
    double value = *field_of(g, f);

    if (f->invalid && !(value >= 0 && value < f->limit))
        return lh__fail(err, LH_EINVAL, "%s: %s: %g; it must be finite, at least 0%s", name,
                        f->invalid, value, f->limit == 1 ? " and below 1" : "");
    if (!isfinite(value))
        return lh__fail(err, LH_EINVAL, "%s: %s is %g; it must be finite", name, f->key, value);
    return LH_OK;
}

static lh_status check_nesterov(lh__error *err, const lh_optimizer_options *o) {
    if (o->kind != LH_SGD || !o->nesterov || (o->momentum > 0 && o->dampening == 0))
        return LH_OK;
    return lh__fail(err, LH_EINVAL,
                    "SGD: Nesterov momentum requires a momentum and zero dampening; momentum is "
                    "%g, dampening %g",
                    o->momentum, o->dampening);
}

static lh_status check_group(lh__error *err, const struct group *g) {
    lh_status status = LH_OK;

    for (int32_t i = LR; i < N_FIELDS && status == LH_OK; i++)
        if (fields[i].kinds & KIND(g->options.kind))
            status = check_field(err, g, &fields[i]);
    return status == LH_OK ? check_nesterov(err, &g->options) : status;
}

/* The options as this host knows them: what an older plugin's struct has not is 0. */
static lh_optimizer_options known(const lh_optimizer_options *o) {
    lh_optimizer_options out = {0};

    memcpy(&out, o, o->struct_size < sizeof out ? o->struct_size : sizeof out);
    out.struct_size = (uint32_t)sizeof out;
    return out;
}

static void inherit(struct group *g, const lh_optimizer_options *defaults) {
    const struct group from = {*defaults, NAN};
    lh_optimizer_options *o = &g->options;

    for (const struct field *f = fields; f < fields + N_FIELDS; f++)
        if (isnan(*field_of(g, f)))
            *field_of(g, f) = *field_of(&from, f);
    o->kind = o->kind ? o->kind : defaults->kind;
    o->nesterov = o->nesterov < 0 ? defaults->nesterov : o->nesterov;
    o->amsgrad = o->amsgrad < 0 ? defaults->amsgrad : o->amsgrad;
    o->centered = o->centered < 0 ? defaults->centered : o->centered;
    o->maximize = o->maximize < 0 ? defaults->maximize : o->maximize;
}

/* ---- Members ---- */

static int64_t numel(const lh__param *p) {
    return lh__view_numel(&p->tensor.view);
}

static int32_t dtype_index(const lh__param *p) {
    return p->tensor.view.dtype == LH_F64;
}

static int by_place(const void *a, const void *b) {
    const lh__param *p = ((const struct member *)a)->param, *q = ((const struct member *)b)->param;
    int64_t order = dtype_index(p) - dtype_index(q);

    order = order ? order : p->offset - q->offset;
    order = order ? order : (p > q) - (p < q); /* empty ones share a place */
    return (order > 0) - (order < 0);
}

static int matches(const lh__param *p, const char *glob) {
    return !p->is_buffer && (!glob || fnmatch(glob, p->name, 0) == 0);
}

static struct member *find_member(const lh_optimizer *opt, lh__param *p) {
    const struct member key = {.param = p};

    return opt->n_members
               ? bsearch(&key, opt->members, (size_t)opt->n_members, sizeof key, by_place)
               : NULL;
}

/* An error when `glob` matches nothing or would leave one of the groups without parameters. */
static lh_status check_glob(const lh_optimizer *opt, const char *glob) {
    int64_t count = lh__param_count(opt->engine), found = 0;

    for (int64_t i = 0; i < count; i++)
        found += matches(lh__param_at(opt->engine, i), glob);
    if (!found)
        return lh__fail(opt->engine->err, LH_ENOTFOUND,
                        "%s: no parameter's name matches \"%s\" among the model's %lld parameters "
                        "and buffers",
                        lh__optimizer_name(opt), glob ? glob : "*", (long long)count);
    for (int32_t g = 0; g < opt->n_groups; g++) {
        int64_t left = 0;

        for (int64_t i = 0; i < opt->n_members; i++)
            left += opt->members[i].group == g && !matches(opt->members[i].param, glob);
        if (!left)
            return lh__fail(
                opt->engine->err, LH_EINVAL,
                "%s: a group for \"%s\" takes every parameter of group %d; give .params "
                "that leaves it some",
                lh__optimizer_name(opt), glob ? glob : "*", g);
    }
    return LH_OK;
}

/* Puts the parameters that match into group `group`, from wherever they are. */
static lh_status claim(lh_optimizer *opt, const char *glob, int32_t group) {
    lh__engine *e = opt->engine;
    int64_t count = lh__param_count(e), n = opt->n_members;
    struct member *room = realloc(opt->members, (size_t)(n + count) * sizeof *room);

    if (!room && n + count)
        return lh__fail(e->err, LH_ENOMEM, "out of memory for an optimizer");
    opt->members = room;
    for (int64_t i = 0; i < count; i++) {
        lh__param *p = lh__param_at(e, i);
        struct member *m = matches(p, glob) ? find_member(opt, p) : NULL;

        if (m)
            m->group = group;
        else if (matches(p, glob))
            room[n++] = (struct member){p, 0, group, -1};
    }
    opt->n_members = n;
    if (n)
        qsort(opt->members, (size_t)n, sizeof *opt->members, by_place);
    return LH_OK;
}

lh_status lh__optimizer_add_group(lh_optimizer *opt, const lh_optimizer_options *o) {
    lh__error *err = opt->engine->err;
    struct group g = {known(o), NAN}, *room;
    lh_status status;

    inherit(&g, &opt->defaults);
    if (g.options.kind != opt->defaults.kind)
        return lh__fail(err, LH_EINVAL, "%s: a group cannot be of another kind (%u)",
                        lh__optimizer_name(opt), g.options.kind);
    if (opt->n_groups && !isnan(opt->groups[0].initial_lr))
        g.initial_lr = g.options.lr;
    status = check_group(err, &g);
    if (status == LH_OK)
        status = check_glob(opt, g.options.params);
    if (status != LH_OK)
        return status;
    room = realloc(opt->groups, (size_t)(opt->n_groups + 1) * sizeof *room);
    if (!room)
        return lh__fail(err, LH_ENOMEM, "out of memory for a parameter group");
    opt->groups = room;
    status = claim(opt, g.options.params, opt->n_groups);
    if (status != LH_OK)
        return status;
    g.options.params = NULL; /* the author's memory */
    opt->groups[opt->n_groups++] = g;
    return LH_OK;
}

int64_t lh__optimizer_param_count(const lh_optimizer *opt) {
    return opt->n_members;
}

lh__param *lh__optimizer_param(const lh_optimizer *opt, int64_t i) {
    return opt->members[i].param;
}

/* ---- Birth and death ---- */

static void optimizer_free(void *arg) {
    lh_optimizer *opt = arg;

    for (int32_t i = 0; i < N_DTYPES * N_STATES; i++)
        free(opt->states[i / N_STATES][i % N_STATES].block);
    free(opt->groups);
    free(opt->members);
    free(opt);
}

lh_optimizer *lh__optimizer_new(lh__engine *e, const lh_optimizer_options *o) {
    lh_optimizer *opt = NULL;
    lh_status status;

    if (o->kind < LH_SGD || o->kind >= N_KINDS) {
        lh__fail(e->err, LH_EUNSUPPORTED, "this host knows no optimizer of kind %u", o->kind);
        return NULL;
    }
    if (!e->sealed) {
        lh__fail(e->err, LH_ESTATE,
                 "%s: optimizers are made after configure_model, in "
                 "configure_optimizers",
                 kinds[o->kind].name);
        return NULL;
    }
    opt = calloc(1, sizeof *opt);
    if (!opt) {
        lh__fail(e->err, LH_ENOMEM, "out of memory for an optimizer");
        return NULL;
    }
    opt->engine = e;
    opt->index = (int32_t)e->optimizers.count;
    opt->updated = UINT64_MAX;
    opt->defaults = known(o);
    status = lh__optimizer_add_group(opt, o);
    if (status == LH_OK)
        status = lh__list_add(&e->optimizers, opt);
    if (status != LH_OK) {
        lh__fail(e->err, status, "out of memory for an optimizer");
        optimizer_free(opt);
        return NULL;
    }
    opt->defaults.params = NULL;
    e->free_optimizer = optimizer_free;
    return opt;
}

/* ---- State ---- */

/* Bit k: the group keeps state k. */
static uint32_t states_of(const lh_optimizer_options *o) {
    switch (o->kind) {
    case LH_SGD:
        return o->momentum != 0 ? 1 : 0;
    case LH_RMSPROP:
        return 1u | (o->momentum > 0 ? 2u : 0) | (o->centered ? 4u : 0);
    case LH_ADAGRAD:
        return 1;
    default:
        return 3u | (o->amsgrad ? 4u : 0);
    }
}

/* Makes the state buffers that the groups need and that are missing, zeroed. Memory that no member
 * lies in is never touched, so the system does not give it out. */
static lh_status make_states(lh_optimizer *opt) {
    uint32_t dtypes, needed = 0;

    for (int32_t g = 0; g < opt->n_groups; g++)
        needed |= states_of(&opt->groups[g].options);
    dtypes = KIND(dtype_index(opt->members[0].param)) |
             KIND(dtype_index(opt->members[opt->n_members - 1].param));
    for (int32_t d = 0; d < N_DTYPES; d++)
        for (int32_t k = 0; k < N_STATES; k++) {
            struct state *s = &opt->states[d][k];
            size_t size = (size_t)opt->engine->flat[d].numel * (d ? 8 : 4);

            if (s->data || !(dtypes >> d & 1) || !(needed >> k & 1))
                continue;
            s->block = calloc(1, size + ALIGNMENT);
            if (!s->block)
                return lh__fail(opt->engine->err, LH_ENOMEM, "%s: out of memory for %s: %lld bytes",
                                lh__optimizer_name(opt), kinds[opt->defaults.kind].states[k],
                                (long long)size);
            s->data = (char *)(((uintptr_t)s->block + ALIGNMENT) & ~(uintptr_t)(ALIGNMENT - 1));
        }
    return LH_OK;
}

/* Where state k of the parameter begins; NULL when its group keeps none. */
static void *state_at(const lh_optimizer *opt, const struct member *m, int32_t k) {
    const struct state *s = &opt->states[dtype_index(m->param)][k];

    if (!s->data || !(states_of(&opt->groups[m->group].options) >> k & 1))
        return NULL;
    return s->data + m->param->offset * lh__dtype_size(m->param->tensor.view.dtype);
}

static lh_status visit_member(lh_optimizer *opt, struct member *m, lh__state_visit *fn, void *arg) {
    lh__view v = {.data = &m->step, .dtype = LH_I64};
    lh_status status = fn(arg, m->param, "step", &v);

    for (int32_t k = 0; k < N_STATES && status == LH_OK; k++) {
        v = m->param->tensor.view;
        v.data = state_at(opt, m, k);
        if (v.data)
            status = fn(arg, m->param, kinds[opt->defaults.kind].states[k], &v);
    }
    return status;
}

lh_status lh__optimizer_visit(lh_optimizer *opt, int32_t create, lh__state_visit *fn, void *arg) {
    lh_status status = lh__settle(opt->engine);

    if (status == LH_OK && create)
        status = make_states(opt);

    for (int64_t i = 0; i < opt->n_members && status == LH_OK; i++)
        if (create || opt->members[i].step)
            status = visit_member(opt, &opt->members[i], fn, arg);
    return status;
}

/* ---- The step ---- */

/* An update of the zeros between two parameters leaves zeros, but 0 / (sqrt(0) + eps) is only 0
 * while eps is not. */
static int gap_is_harmless(const lh_optimizer_options *o) {
    return o->kind == LH_SGD || o->eps >= FLT_MIN;
}

/* b may share the kernel call that a is in. Gaps are shorter than the unit of placement, 16
 * elements, so a shorter distance has no parameter in it. */
static int continues(const lh_optimizer *opt, const struct member *a, const struct member *b) {
    int64_t gap = b->param->offset - a->param->offset - numel(a->param);

    return b->param->has_grad && b->step == a->step && b->group == a->group &&
           dtype_index(b->param) == dtype_index(a->param) && gap >= 0 && gap < 16 &&
           (gap == 0 || gap_is_harmless(&opt->groups[a->group].options));
}

/* A number that an update reads, wherever it lies by now; NULL: none. */
static lh_status put_number(lh__engine *e, lh_tensor *t, lh__view *v, int32_t *value) {
    if (!t)
        return LH_OK;
    if (t->value && lh__locate(e, t) != LH_OK)
        return lh__fail_here(e, LH_ESTATE, "an update hangs on a number of a step that is over");
    *v = t->view, *value = t->value;
    return LH_OK;
}

/* Updates members [first, last], a run. */
static lh_status update_run(const lh_optimizer *opt, struct member *first, struct member *last,
                            const lh__terms *terms) {
    const lh__param *p = first->param;
    const int64_t n = last->param->offset + numel(last->param) - p->offset;
    const int32_t dtype = p->tensor.view.dtype;
    const lh__view param = lh__line(dtype, p->tensor.view.data, n);
    lh_tensor *const numbers[] = {terms->guards[0], terms->guards[1], terms->squares};
    int32_t values[LH__UPDATE_INPUTS + 1] = {0};
    lh_status status = LH_OK;
    lh__update_call u;

    lh__update_write(&u, &opt->groups[first->group].options, terms->scale, terms->max_norm, &param,
                     opt->engine->pool);
    u.inputs[LH__UPDATE_GRAD] = lh__line(dtype, p->grad.data, n);
    for (int32_t k = 0; k < N_STATES; k++)
        u.inputs[LH__UPDATE_STATE1 + k] = lh__line(dtype, state_at(opt, first, k), n);
    u.inputs[LH__UPDATE_STEPS] = lh__line(LH_I64, &first->step, last - first + 1);
    u.inputs[LH__UPDATE_STEPS].stride[0] = sizeof *first / sizeof first->step;
    for (int32_t k = LH__UPDATE_GUARD1, i = 0; i < 3 && status == LH_OK; i++, k++)
        status = put_number(opt->engine, numbers[i], &u.inputs[k], &values[k]);
    return status == LH_OK ? lh__invoke(opt->engine, &u.call, values, 0) : status;
}

lh_status lh__optimizer_step(lh_optimizer *opt, const lh__terms *terms) {
    struct member *m = opt->members, *end = m + opt->n_members;
    lh__engine *e = opt->engine;
    lh__terms all = *terms;
    /* Which counts are equal is known once an earlier update has run. */
    lh_status status = opt->updated == e->plans.runs ? lh__settle(e) : LH_OK;

    if (status == LH_OK)
        status = make_states(opt);
    if (status == LH_OK && all.max_norm > 0 && !all.squares &&
        !(all.squares = lh__grad_squares(e, opt)))
        status = LH_ENOMEM;
    while (status == LH_OK && m < end) {
        struct member *first = m++;

        if (!first->param->has_grad)
            continue;
        while (m < end && continues(opt, m - 1, m))
            m++;
        for (struct member *each = first; each < m; each++)
            lh__param_overwritten(e, each->param);
        status = update_run(opt, first, m - 1, &all);
    }
    opt->updated = e->plans.runs;
    return status;
}

void lh__optimizer_zero_grad(lh_optimizer *opt) {
    for (int64_t i = 0; i < opt->n_members; i++)
        opt->members[i].param->has_grad = 0;
}

/* ---- Toggling ---- */

/* Gives back what toggling took, wherever. */
static void untoggle(lh__engine *e) {
    for (int32_t i = 0; i < lh__optimizer_count(e); i++) {
        lh_optimizer *opt = lh__optimizer_at(e, i);

        for (int64_t k = 0; k < opt->n_members; k++) {
            struct member *m = &opt->members[k];

            if (m->was >= 0)
                m->param->tensor.requires_grad = m->was;
            m->was = -1;
        }
    }
}

void lh__optimizer_toggle(lh_optimizer *opt, int32_t on) {
    lh__engine *e = opt->engine;

    untoggle(e);
    for (int32_t i = 0; on && i < lh__optimizer_count(e); i++) {
        lh_optimizer *other = lh__optimizer_at(e, i);

        for (int64_t k = 0; other != opt && k < other->n_members; k++) {
            struct member *m = &other->members[k];

            if (m->param->tensor.requires_grad && !find_member(opt, m->param)) {
                m->was = m->param->tensor.requires_grad;
                m->param->tensor.requires_grad = 0;
            }
        }
    }
}

/* ---- Looking at optimizers and groups ---- */

const char *lh__optimizer_name(const lh_optimizer *opt) {
    return kinds[opt->defaults.kind].name;
}

int32_t lh__optimizer_count(const lh__engine *e) {
    return (int32_t)e->optimizers.count;
}

lh_optimizer *lh__optimizer_at(const lh__engine *e, int32_t i) {
    return i >= 0 && i < e->optimizers.count ? e->optimizers.items[i] : NULL;
}

int32_t lh__optimizer_index(const lh_optimizer *opt) {
    return opt->index;
}

lh__engine *lh__optimizer_engine(const lh_optimizer *opt) {
    return opt->engine;
}

int32_t lh__group_count(const lh_optimizer *opt) {
    return opt->n_groups;
}

const lh_optimizer_options *lh__group_options(const lh_optimizer *opt, int32_t group) {
    return &opt->groups[group].options;
}

static const struct field *find_field(const lh_optimizer *opt, const char *key) {
    for (const struct field *f = fields; f < fields + N_FIELDS; f++)
        if (strcmp(f->key, key) == 0 && f->kinds & KIND(opt->defaults.kind))
            return f;
    return NULL;
}

double lh__group_get(const lh_optimizer *opt, int32_t group, const char *key) {
    const struct field *f = find_field(opt, key);

    return f && group >= 0 && group < opt->n_groups ? *field_of(&opt->groups[group], f) : NAN;
}

lh_status lh__group_set(lh_optimizer *opt, int32_t group, const char *key, double value) {
    const struct field *f = find_field(opt, key);
    lh__error *err = opt->engine->err;
    struct group g;
    lh_status status = LH_OK;

    if (group < 0 || group >= opt->n_groups)
        return lh__fail(err, LH_EINVAL, "%s: no group %d; it has %d", lh__optimizer_name(opt),
                        group, opt->n_groups);
    if (!f)
        return lh__fail(err, LH_EINVAL, "%s: groups have no \"%s\"", lh__optimizer_name(opt), key);
    g = opt->groups[group];
    *field_of(&g, f) = value;
    if (f > &fields[LR])
        status = check_field(err, &g, f);
    else if (!isfinite(value))
        status = lh__fail(err, LH_EINVAL, "%s: %s of group %d is set to %g; it must be finite",
                          lh__optimizer_name(opt), key, group, value);
    if (status == LH_OK)
        status = check_nesterov(err, &g.options);
    if (status == LH_OK)
        opt->groups[group] = g;
    return status;
}
