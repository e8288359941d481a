/* export.c - a module's forward pass, recorded and written by an exporter plugin.
 *
 * In evaluation mode, without gradients, forward gets what predict would feed it: the first field
 * of the first batch of the predict loader, else of the test, validation or training loader; or
 * zeros of a shape that was asked for. It runs with batches of several sizes, whose samples are
 * those of the example, over and over.
 */
#include "export/recording.h"
#include "trainer/run.h"

#include <stdlib.h>
#include <string.h>

/* One batch as it was fed; `data` row-major, owned. */
typedef struct example {
    int32_t dtype, ndim;
    int64_t shape[LH_MAX_DIMS];
    unsigned char *data;
    int64_t sample_size; /* bytes */
} example;

enum { N_SIZES = 3 };
static const int64_t batch_sizes[N_SIZES] = {2, 3, 5};

/* The stages by how near their data are to what predict gets. */
static const struct {
    int32_t stage, loaders;
    lh__hook hook;
} sources[] = {{LH_PREDICT, LH_PREDICT_LOADERS, LH__HOOK_predict_dataloader},
               {LH_TEST, LH_TEST_LOADERS, LH__HOOK_test_dataloader},
               {LH_VALIDATE, LH_VAL_LOADERS, LH__HOOK_val_dataloader},
               {LH_FIT, LH_TRAIN_LOADERS, LH__HOOK_train_dataloader}};
enum { N_SOURCES = sizeof sources / sizeof *sources };

int32_t lh__export_stage(const lh__cast *cast) {
    for (int i = 0; i < N_SOURCES && cast->exports->ndim < 0; i++)
        if (lh__hook_of(&cast->module->module, LH__TABLE_MODULE, sources[i].hook) ||
            (cast->datamodule &&
             lh__hook_of(&cast->datamodule->datamodule, LH__TABLE_DATAMODULE, sources[i].hook)))
            return sources[i].stage;
    return LH_PREDICT;
}

/* The item size of an example whose dtype and shape are set; room for its data. */
static lh_status make_room(lh__trainer *t, example *x) {
    int64_t size = lh__dtype_size(x->dtype), rows = x->ndim > 0 ? x->shape[0] : 0;

    if (rows < 1)
        return lh__run_fail(t, LH_EINVAL,
                            "the example has no samples: its first axis has to be the batch");
    for (int32_t d = 1; d < x->ndim; d++)
        if (__builtin_mul_overflow(size, x->shape[d], &size))
            return lh__run_fail(t, LH_EINVAL, "the input shape has too many elements");
    x->sample_size = size;
    x->data = calloc((size_t)rows, (size_t)size + 1);
    return x->data ? LH_OK : lh__run_fail(t, LH_ENOMEM, "out of memory for the example");
}

static lh_status zeros(lh__trainer *t, example *x) {
    const lh__export *request = t->exports;

    x->dtype = request->dtype == 0 ? t->options->dtype : request->dtype;
    x->ndim = request->ndim;
    memcpy(x->shape, request->shape, sizeof x->shape);
    return make_room(t, x);
}

/* Field 0 of the batch, as the transfer hooks left it. */
static lh_status take_field(lh__trainer *t, lh_batch *batch, example *x) {
    const lh_tensor *field;

    if (lh__transfer(t, batch, 0) != LH_OK)
        return lh__failed(t);
    field = batch->n_fields > 0 ? batch->fields[0] : NULL;
    if (!field)
        return lh__run_fail(t, LH_EINVAL, "the loader's batches have no fields");
    x->dtype = field->view.dtype;
    x->ndim = field->view.ndim;
    memcpy(x->shape, field->view.shape, sizeof x->shape);
    if (make_room(t, x) != LH_OK)
        return lh__failed(t);
    return lh__tensor_read(t->engine, field, x->data, (uint64_t)(x->sample_size * x->shape[0])) ==
                   LH_OK
               ? LH_OK
               : lh__failed(t);
}

static lh_status first_batch(lh__trainer *t, example *x) {
    int32_t which = t->stage == LH_FIT        ? LH_TRAIN_LOADERS
                    : t->stage == LH_VALIDATE ? LH_VAL_LOADERS
                    : t->stage == LH_TEST     ? LH_TEST_LOADERS
                                              : LH_PREDICT_LOADERS;
    lh__sources *s = &t->sources[which];
    lh_batch batch = {0};
    lh_status status;

    if (lh__sources_request(t, which) != LH_OK)
        return lh__failed(t);
    if (s->n == 0)
        return lh__run_fail(t, LH_EINVAL,
                            "%s: there is no data to take an example from: give --input_shape",
                            t->cast.module->plugin->name);
    lh__step_begin(t->engine, LH__PHASE_EVAL, 0);
    if (lh__eval_begin(t, &s->source[0], 0, 1) != LH_OK)
        return lh__failed(t);
    status = lh__eval_next(t, &s->source[0], &batch);
    t->batch = &batch;
    if (status == LH_OK)
        status = take_field(t, &batch, x);
    else if (status == LH_SKIP)
        status = lh__run_fail(t, LH_EINVAL, "the loader is empty: give --input_shape");
    t->batch = NULL;
    lh__batch_done(&batch);
    return status;
}

/* The recording of forward over `size` samples; NULL and a failure on record. */
static lh__recording *record(lh__trainer *t, const example *x, const lh_draft_exporter *exporter,
                             int64_t size) {
    lh__instance *m = t->cast.module;
    const lh_module *hooks = m->hooks;
    int64_t shape[LH_MAX_DIMS];
    lh__recording *r = NULL;
    lh_tensor *in, *out = NULL;
    lh__frame frame;

    lh__step_begin(t->engine, LH__PHASE_EVAL, 0);
    memcpy(shape, x->shape, sizeof shape);
    shape[0] = size;
    in = lh__tensor_new(t->engine, x->dtype, x->ndim, shape, NULL);
    if (!in)
        return NULL;
    for (int64_t i = 0; i < size; i++)
        memcpy((char *)in->view.data + i * x->sample_size,
               x->data + i % x->shape[0] * x->sample_size, (size_t)x->sample_size);
    r = lh__record_begin(t->engine, in, size, exporter->maps);
    if (!r) {
        lh__run_fail(t, LH_ENOMEM, "out of memory");
        return NULL;
    }
    frame = lh__call_begin(t, m, LH__HOOK_forward);
    out = hooks->forward(&m->ctx, m->self, in);
    if (lh__call_end(t, frame, out || m->error.code != LH_OK ? LH_OK : LH_EINVAL) == LH_OK &&
        lh__record_end(r, out, &t->failure) == LH_OK)
        return r;
    lh__watch(t->engine, NULL);
    lh__record_free(r);
    return NULL;
}

/* All sizes, made one. */
static lh__recording *record_all(lh__trainer *t, const example *x,
                                 const lh_draft_exporter *exporter) {
    lh__recording *r[N_SIZES] = {NULL};
    lh_status status = LH_OK;

    for (int i = 0; i < N_SIZES && status == LH_OK; i++) {
        r[i] = record(t, x, exporter, batch_sizes[i]);
        status = !r[i]    ? lh__failed(t)
                 : i == 0 ? LH_OK
                 : i == 1 ? lh__record_relate(r[0], r[i], &t->failure)
                          : lh__record_check(r[0], r[i], &t->failure);
    }
    for (int i = 1; i < N_SIZES; i++)
        lh__record_free(r[i]);
    if (status == LH_OK)
        return r[0];
    lh__record_free(r[0]);
    return NULL;
}

static lh_status write_graph(lh__trainer *t, const lh__plugin *p, const lh__recording *r) {
    const lh_draft_exporter *exporter = &p->exporter;
    lh_draft_graph graph = lh__record_graph(r);
    lh__instance self = {.ctx.host = &t->host, .trainer = t, .plugin = p};
    size_t size = (exporter->state_size + 127u) / 64 * 64;
    lh_status status;

    self.self = aligned_alloc(64, size);
    if (!self.self)
        return lh__run_fail(t, LH_ENOMEM, "out of memory");
    memset(self.self, 0, size);
    graph.name = t->cast.module->plugin->name;
    graph.producer = "lhost " LH__VERSION;
    lh__engine_set_error(t->engine, &self.error);
    status = exporter->write(&self.ctx, self.self, t->exports->path, &graph);
    lh__engine_set_error(t->engine, &t->failure);
    free(self.self);
    if (self.error.code != LH_OK)
        return lh__run_fail(t, self.error.code, "%s: %s", p->name, self.error.text);
    if (status < 0)
        return lh__run_fail(t, status, "%s: it failed without a message (lh_fail gives one)",
                            p->name);
    lh__say(t, LH_INFO, "%s: %d operators are in %s", p->name, (int)graph.n_nodes,
            t->exports->path);
    return LH_OK;
}

static lh_status record_and_write(lh__trainer *t, const lh__plugin *p) {
    example x = {0};
    lh__recording *r = NULL;
    lh_status status = LH_OK;

    lh__set_training(t->engine, 0);
    lh__set_grad_enabled(t->engine, 0);
    if (lh__call_one(t, t->cast.module, LH__HOOK_on_predict_model_eval) < 0 ||
        (t->exports->ndim >= 0 ? zeros(t, &x) : first_batch(t, &x)) != LH_OK ||
        !(r = record_all(t, &x, &p->exporter)))
        status = lh__failed(t);
    else
        status = write_graph(t, p, r);
    lh__record_free(r);
    free(x.data);
    return status;
}

lh_status lh__export_run(lh__trainer *t) {
    const char *name = t->exports->exporter;
    char *path = lh__plugin_find(name, &t->failure);
    lh__plugin *p = path ? lh__plugin_load(path, NULL, &t->failure) : NULL;
    lh_status status;

    free(path);
    if (!p)
        return lh__failed(t);
    status = p->kinds & LH_KIND_EXPORTER
                 ? record_and_write(t, p)
                 : lh__run_fail(t, LH_EINVAL, "%s is no exporter; lhost inspect %s says what it is",
                                name, name);
    lh__plugin_free(p);
    return status;
}
