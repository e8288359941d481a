/* report.c - what the trainer tells its observer: messages, progress, the model summary. */
#include "trainer/run.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

double lh__now(void) {
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

lh_status lh__failed(const lh__trainer *t) {
    if (t->failure.code != LH_OK)
        return t->failure.code;
    if (t->cast.running && t->cast.running->error.code != LH_OK)
        return t->cast.running->error.code;
    return LH_EINVAL;
}

void lh__say(const lh__trainer *t, int32_t level, const char *fmt, ...) {
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (t->log_dir)
        lh__record_message(t->log_dir, level, text);
    if (t->obs && t->obs->message)
        t->obs->message(t->obs->self, level, text);
}

void lh__show_progress(lh__trainer *t, int64_t batch, int64_t n_batches) {
    lh__progress p = {.phase = t->phase,
                      .epoch = lh__current_epoch(t),
                      .max_epochs = t->options->max_epochs,
                      .batch = batch,
                      .n_batches = n_batches};

    if (!t->obs || !t->obs->progress)
        return;
    lh__phase_begin(t->lane, "progress");
    p.n_metrics = lh__metrics_bar(t->metrics, &p.metrics);
    t->obs->progress(t->obs->self, &p);
    lh__phase_end(t->lane);
}

static void describe_shape(const lh_tensor *t, char *out, size_t size) {
    size_t n = 0;

    *out = 0;
    for (int32_t i = 0; i < t->view.ndim && n < size; i++)
        n += (size_t)snprintf(out + n, size - n, "%s%lld", i ? " x " : "",
                              (long long)t->view.shape[i]);
}

/* One row per layer: the parameters that share what stands before the last dot of their names. */
void lh__show_summary(lh__trainer *t) {
    int64_t n = lh__param_count(t->engine);
    lh__summary_row *rows = calloc((size_t)n + 1, sizeof *rows);
    char(*texts)[2][128] = calloc((size_t)n + 1, sizeof *texts);
    lh__summary s = {.model = t->cast.module->plugin->name, .rows = rows};

    if (!t->obs || !t->obs->summary || !rows || !texts)
        goto done;
    for (int64_t i = 0; i < n; i++) {
        const lh__param *p = lh__param_at(t->engine, i);
        int64_t numel = lh__view_numel(&p->tensor.view);
        const char *dot = strrchr(p->name, '.');
        size_t length = dot ? (size_t)(dot - p->name) : strlen(p->name);
        int32_t r = s.n_rows - 1;

        if (p->is_buffer)
            continue;
        length = length < sizeof texts[0][0] ? length : sizeof texts[0][0] - 1;
        if (r < 0 || strlen(texts[r][0]) != length || strncmp(texts[r][0], p->name, length) != 0) {
            r = s.n_rows++;
            memcpy(texts[r][0], p->name, length);
            describe_shape(&p->tensor, texts[r][1], sizeof texts[r][1]);
            rows[r] = (lh__summary_row){.name = texts[r][0], .shape = texts[r][1]};
        }
        rows[r].params += numel;
        rows[r].trainable += p->tensor.requires_grad ? numel : 0;
        s.params += numel;
        s.trainable += p->tensor.requires_grad ? numel : 0;
        s.bytes += numel * lh__dtype_size(p->tensor.view.dtype);
    }
    t->obs->summary(t->obs->self, &s);
done:
    free(rows);
    free(texts);
}
