/* lane.h - what a profile consists of; for the files of this room only. */
#ifndef LH_PROFILE_LANE_H
#define LH_PROFILE_LANE_H

#include "profile/profile.h"

enum {
    LH__MAX_LANES = 64,
    LH__MAX_ROWS = 1024, /* a power of two, as is twice as many */
    LH__MAX_DEPTH = 16,  /* of phases */
    LH__TRAINING_EVENTS = 1 << 19,
    LH__HELPER_EVENTS = 1 << 15
};

/* All spans of one name. Times in nanoseconds. */
typedef struct lh__row_of_spans {
    const char *owner, *name; /* as given: what tells rows apart */
    char text[96];            /* "owner.name" */
    int32_t kind;
    int64_t calls, total;
    int64_t first, first_end; /* the first one's time, and when it ended */
    int64_t longest;          /* of those after the first */
} lh__row_of_spans;

/* One span. */
typedef struct lh__event {
    int64_t began, took;
    int64_t row;
} lh__event;

/* A phase under way. `since`: when time last began to count for it; `own`: what did before. */
typedef struct lh__open_phase {
    int32_t row;
    int64_t began, since, own;
} lh__open_phase;

struct lh__lane {
    char thread[48];
    lh__row_of_spans rows[LH__MAX_ROWS]; /* the last one stands for names beyond the table */
    int32_t n_rows;
    uint16_t index[2 * LH__MAX_ROWS]; /* a row's number plus 1, by hash of what tells it apart */
    lh__open_phase open[LH__MAX_DEPTH];
    int32_t depth;
    lh__event *events; /* a ring; NULL: no trace */
    int64_t n_events, room;
};

struct lh__profile {
    lh__lane *lanes[LH__MAX_LANES];
    int32_t n_lanes, traces;
    int32_t refused; /* threads without a lane */
    int64_t began, ended;
};

#endif
