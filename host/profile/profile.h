/* profile.h - where a run's time goes: spans of named work, added up by name and kept for a trace.
 *
 * Every thread that takes part has a lane of its own, which it alone writes, without locks; all are
 * read at the end, when the threads rest. Invariants: a NULL lane means that nobody profiles, and a
 * span then costs a branch at either end, no look at the clock; recording allocates nothing; a
 * trace keeps the newest spans of each lane and counts those that they displaced. Phases nest, and
 * time counts for the innermost alone: the phases of a thread, and what lies outside of them, add
 * up to the time that was profiled.
 */
#ifndef LH_PROFILE_PROFILE_H
#define LH_PROFILE_PROFILE_H

#include <stdint.h>
#include <stdio.h>
#include <time.h>

typedef struct lh__profile lh__profile;
typedef struct lh__lane lh__lane;

/* What a span is: a part of the loop; a call of a plugin; a kernel; what a helper thread does. */
enum { LH__SPAN_PHASE, LH__SPAN_HOOK, LH__SPAN_OPERATOR, LH__SPAN_WORK };

/* The phase in which training waits for its next batch: the table tells its steady state. */
#define LH__PHASE_WAIT "data wait"

/* Begins now; `traces` 1: spans are kept for lh__profile_trace. NULL: out of memory. */
lh__profile *lh__profile_new(int32_t traces);
void lh__profile_free(lh__profile *p); /* NULL allowed */

/* A lane for a thread, named as people see it; the first is the training thread's. NULL, that is no
 * recording, when `p` is NULL or there are too many (the table then says so). [trainer] */
lh__lane *lh__profile_lane(lh__profile *p, const char *thread);

/* Ends what is profiled. Every thread of a lane rests from here on. */
void lh__profile_stop(lh__profile *p);

/* The table: phases, hooks and operators of the training thread; what the other threads did; how
 * long training waited for data. After lh__profile_stop. */
void lh__profile_print(const lh__profile *p, FILE *out);

/* Chrome's trace event format, as Perfetto opens it. After lh__profile_stop. */
void lh__profile_trace(const lh__profile *p, FILE *out);
int64_t lh__profile_dropped(const lh__profile *p); /* spans that the trace had no room for */

/* Nanoseconds of a clock that never goes back. */
static inline int64_t lh__profile_clock(void) {
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The recording ends of the functions below. */
void lh__span_record(lh__lane *lane, int32_t kind, const char *owner, const char *name,
                     int64_t began);
void lh__phase_enter(lh__lane *lane, const char *name);
void lh__phase_leave(lh__lane *lane);

/* Around what is measured: `began` is what lh__span_begin returned. `owner` (a plugin) may be NULL.
 * Both texts are told apart by their addresses and live with the profile. */
static inline int64_t lh__span_begin(const lh__lane *lane) {
    return lane ? lh__profile_clock() : 0;
}

static inline void lh__span_end(lh__lane *lane, int32_t kind, const char *owner, const char *name,
                                int64_t began) {
    if (lane)
        lh__span_record(lane, kind, owner, name, began);
}

/* Every phase that begins ends. */
static inline void lh__phase_begin(lh__lane *lane, const char *name) {
    if (lane)
        lh__phase_enter(lane, name);
}

static inline void lh__phase_end(lh__lane *lane) {
    if (lane)
        lh__phase_leave(lane);
}

#endif
