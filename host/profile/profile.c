/* profile.c - recording: the lanes of profile.h and the spans on them.
 *
 * A row is found by hashing the addresses of its texts, open addressing; the table of a lane never
 * moves. A phase that begins stops the clock of the one around it.
 */
#include "profile/profile.h"

#include "profile/lane.h"

#include <stdlib.h>
#include <string.h>

lh__profile *lh__profile_new(int32_t traces) {
    lh__profile *p = calloc(1, sizeof *p);

    if (!p)
        return NULL;
    p->traces = traces;
    p->began = lh__profile_clock();
    return p;
}

void lh__profile_free(lh__profile *p) {
    if (!p)
        return;
    for (int32_t i = 0; i < p->n_lanes; i++) {
        free(p->lanes[i]->events);
        free(p->lanes[i]);
    }
    free(p);
}

lh__lane *lh__profile_lane(lh__profile *p, const char *thread) {
    lh__lane *lane;

    if (!p)
        return NULL;
    lane = p->n_lanes < LH__MAX_LANES ? calloc(1, sizeof *lane) : NULL;
    if (lane && p->traces) {
        lane->room = p->n_lanes == 0 ? LH__TRAINING_EVENTS : LH__HELPER_EVENTS;
        lane->events = calloc((size_t)lane->room, sizeof *lane->events);
    }
    if (!lane || (p->traces && !lane->events)) {
        free(lane);
        p->refused++;
        return NULL;
    }
    snprintf(lane->thread, sizeof lane->thread, "%s", thread);
    return p->lanes[p->n_lanes++] = lane;
}

void lh__profile_stop(lh__profile *p) {
    p->ended = lh__profile_clock();
}

int64_t lh__profile_dropped(const lh__profile *p) {
    int64_t n = 0;

    for (int32_t i = 0; i < p->n_lanes; i++)
        if (p->lanes[i]->n_events > p->lanes[i]->room)
            n += p->lanes[i]->n_events - p->lanes[i]->room;
    return p->traces ? n : 0;
}

/* Makes a row; beyond the table's room the last one takes them all. */
static int32_t add_row(lh__lane *lane, int32_t kind, const char *owner, const char *name) {
    lh__row_of_spans *row = &lane->rows[lane->n_rows];

    if (lane->n_rows == LH__MAX_ROWS)
        return LH__MAX_ROWS - 1;
    *row = (lh__row_of_spans){.owner = owner, .name = name, .kind = kind};
    if (lane->n_rows == LH__MAX_ROWS - 1)
        snprintf(row->text, sizeof row->text, "(more names)");
    else if (owner)
        snprintf(row->text, sizeof row->text, "%s.%s", owner, name);
    else
        snprintf(row->text, sizeof row->text, "%s", name);
    return lane->n_rows++;
}

/* The number of the row; O(1). */
static int32_t row_of(lh__lane *lane, int32_t kind, const char *owner, const char *name) {
    uint64_t hash = ((uint64_t)(uintptr_t)owner * 31 + (uint64_t)(uintptr_t)name) *
                    UINT64_C(0x9E3779B97F4A7C15);
    uint64_t mask = 2 * LH__MAX_ROWS - 1;

    for (uint64_t at = hash >> 40;; at++) {
        uint16_t *slot = &lane->index[at & mask];
        lh__row_of_spans *row = &lane->rows[*slot ? *slot - 1 : 0];

        if (*slot && row->name == name && row->owner == owner && row->kind == kind)
            return *slot - 1;
        if (*slot)
            continue;
        if (lane->n_rows < LH__MAX_ROWS)
            *slot = (uint16_t)(lane->n_rows + 1);
        return add_row(lane, kind, owner, name);
    }
}

/* Counts a span of `own` nanoseconds that ends at `now`; the trace shows all of [began, now). */
static void count(lh__lane *lane, int32_t number, int64_t own, int64_t began, int64_t now) {
    lh__row_of_spans *row = &lane->rows[number];

    if (row->calls++ == 0) {
        row->first = own;
        row->first_end = now;
    } else if (own > row->longest) {
        row->longest = own;
    }
    row->total += own;
    if (lane->events)
        lane->events[lane->n_events++ & (lane->room - 1)] = (lh__event){began, now - began, number};
}

void lh__span_record(lh__lane *lane, int32_t kind, const char *owner, const char *name,
                     int64_t began) {
    int64_t now = lh__profile_clock();

    count(lane, row_of(lane, kind, owner, name), now - began, began, now);
}

void lh__phase_enter(lh__lane *lane, const char *name) {
    int64_t now = lh__profile_clock();

    if (lane->depth > 0 && lane->depth <= LH__MAX_DEPTH)
        lane->open[lane->depth - 1].own += now - lane->open[lane->depth - 1].since;
    if (lane->depth < LH__MAX_DEPTH)
        lane->open[lane->depth] =
            (lh__open_phase){row_of(lane, LH__SPAN_PHASE, NULL, name), now, now, 0};
    lane->depth++;
}

void lh__phase_leave(lh__lane *lane) {
    int64_t now = lh__profile_clock();

    lane->depth--;
    if (lane->depth < LH__MAX_DEPTH) {
        const lh__open_phase *p = &lane->open[lane->depth];

        count(lane, p->row, p->own + now - p->since, p->began, now);
    }
    if (lane->depth > 0 && lane->depth <= LH__MAX_DEPTH)
        lane->open[lane->depth - 1].since = now;
}
