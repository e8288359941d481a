/* trace.c - a profile in Chrome's trace event format (JSON object form): complete events ("X") with
 * times in microseconds since the profile began; a thread's number is that of its lane.
 */
#include "profile/lane.h"

#include <inttypes.h>
#include <unistd.h>

static void print_text(const char *text, FILE *out) {
    fputc('"', out);
    for (const char *c = text; *c; c++) {
        if (*c == '"' || *c == '\\')
            fprintf(out, "\\%c", *c);
        else if ((unsigned char)*c < 0x20)
            fprintf(out, "\\u%04x", (unsigned)*c);
        else
            fputc(*c, out);
    }
    fputc('"', out);
}

/* An event that names something. */
static void print_name(const char *what, const char *name, int32_t thread, FILE *out) {
    fprintf(out,
            "{\"ph\": \"M\", \"pid\": %d, \"tid\": %d, \"name\": \"%s\", \"args\": {\"name\": ",
            (int)getpid(), (int)thread, what);
    print_text(name, out);
    fputs("}}", out);
}

static void print_event(const lh__profile *p, const lh__lane *lane, int32_t thread,
                        const lh__event *e, FILE *out) {
    static const char *const kinds[] = {"phase", "hook", "operator", "work"};
    const lh__row_of_spans *row = &lane->rows[e->row];
    int64_t at = e->began - p->began;

    fprintf(out,
            ",\n{\"ph\": \"X\", \"pid\": %d, \"tid\": %d, \"cat\": \"%s\", \"ts\": %" PRId64
            ".%03d, ",
            (int)getpid(), (int)thread, kinds[row->kind], at / 1000, (int)(at % 1000));
    fprintf(out, "\"dur\": %" PRId64 ".%03d, \"name\": ", e->took / 1000, (int)(e->took % 1000));
    print_text(row->text, out);
    fputc('}', out);
}

void lh__profile_trace(const lh__profile *p, FILE *out) {
    fputs("{\"displayTimeUnit\": \"ns\", \"traceEvents\": [\n", out);
    print_name("process_name", "lhost", 0, out);
    for (int32_t i = 0; i < p->n_lanes; i++) {
        const lh__lane *lane = p->lanes[i];
        int64_t first = lane->n_events > lane->room ? lane->n_events - lane->room : 0;

        fputs(",\n", out);
        print_name("thread_name", lane->thread, i + 1, out);
        for (int64_t k = first; k < lane->n_events; k++)
            print_event(p, lane, i + 1, &lane->events[k & (lane->room - 1)], out);
    }
    fprintf(out, "\n], \"otherData\": {\"dropped_events\": %" PRId64 "}}\n",
            lh__profile_dropped(p));
}
