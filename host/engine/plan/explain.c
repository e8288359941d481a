/* explain.c - a plan in words. */
#include <stdio.h>
#include <string.h>

#include "engine/catalogue.h"
#include "engine/plan/plan.h"
#include "kernels/view.h"

/* "mnist.c:31" without the folders. */
static void put_place(char *text, size_t size, const lh__place *at) {
    const char *base = at->file ? strrchr(at->file, '/') : NULL;

    if (at->file)
        snprintf(text, size, "%s:%d", base ? base + 1 : at->file, at->line);
    else
        snprintf(text, size, "-");
}

/* "2.4 MiB" */
static const char *bytes_text(int64_t bytes, char text[32]) {
    if (bytes < 1 << 20)
        snprintf(text, 32, "%.1f KiB", (double)bytes / 1024);
    else
        snprintf(text, 32, "%.1f MiB", (double)bytes / (1 << 20));
    return text;
}

/* "linear (OpenBLAS)"; "linear (tiles or panels)", where that is to be found out */
static size_t put_kernel(const lh__plan *p, const lh__launch *l, char *text, size_t size) {
    lh__kernel_call call = l->call;
    size_t n = (size_t)snprintf(text, size, "%s", l->name);
    const char *way;

    call.way = l->trial.ways > 0;
    do {
        way = p->device->way ? p->device->way(&call) : NULL;
        if (way)
            n += (size_t)snprintf(text + n, size - n, "%s%s", call.way < 2 ? " (" : " or ", way);
    } while (call.way++ < l->trial.ways);
    return way ? n + (size_t)snprintf(text + n, size - n, ")") : n;
}

/* "  12  linear (tiles) > relu > relu_grad  (8, 128)  mnist.c:31" */
static void explain_launch(const lh__plan *p, int64_t i, void (*line)(void *user, const char *text),
                           void *user) {
    const lh__launch *l = &p->launches[i];
    const lh__view *out = l->kernel ? l->call.out : l->chain.links[0].call.out;
    char text[600], place[200], shape[LH__SHAPE_TEXT];
    size_t n = (size_t)snprintf(text, sizeof text, "%5lld  ", (long long)i);

    if (l->kernel)
        n += put_kernel(p, l, text + n, sizeof text - n);
    for (int32_t k = 0; k < l->chain.n && n < sizeof text - 1; k++) {
        const lh__link *link = &l->chain.links[k];

        n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s", k || l->kernel ? " > " : "",
                              lh__op_name(link->call.op), link->is_stored ? "" : "*");
        n = n < sizeof text ? n : sizeof text - 1;
    }
    put_place(place, sizeof place, &p->places[l->first]);
    snprintf(text + n, sizeof text - n, "  %s%s  %s", lh__shape_text(out->ndim, out->shape, shape),
             lh__view_is_contiguous(out) ? "" : " channels last", place);
    line(user, text);
}

void lh__plan_explain(const lh__plan *p, void (*line)(void *user, const char *text), void *user) {
    char text[300], now[32], before[32];

    snprintf(text, sizeof text,
             "plan: %d calls, %d not needed, %d joined to the call before: %lld launches; memory "
             "for results %s instead of %s",
             p->n_calls, p->n_dropped, p->n_joined, (long long)p->n_launches,
             bytes_text(p->bytes, now), bytes_text(p->stored, before));
    line(user, text);
    for (int64_t i = 0; i < p->n_launches; i++)
        explain_launch(p, i, line, user);
}
