/* report.h - the person's view of a run: an observer that writes to a terminal or a log.
 *
 * Messages, summary, progress and profile go to stderr, results to stdout. The progress line is
 * live on a terminal (at most ten redraws a second, one write each; messages appear above it; the
 * last state stays) and a plain line every few seconds elsewhere.
 *
 * Invariant: telling about a batch costs a comparison; the clock is read only every so many batches
 * as pass in a quarter of the redraw interval.
 */
#ifndef LH_REPORT_REPORT_H
#define LH_REPORT_REPORT_H

#include "trainer/observer.h"

#include <jansson.h>

typedef struct lh__report lh__report;

typedef struct lh__report_options {
    int32_t hide_progress, hide_summary;
    int32_t json;    /* results as JSON, one line per evaluation */
    double interval; /* seconds between plain lines; 0: 10 */
} lh__report_options;

/* NULL: out of memory. Free after the last call of its observer. The descriptors stay open. */
lh__report *lh__report_new(int err_fd, int out_fd);
void lh__report_free(lh__report *r);

/* May be called again, before training begins: messages come earlier than options. */
void lh__report_configure(lh__report *r, const lh__report_options *o);

/* message may be called from any thread; the others from the trainer's. */
lh__observer lh__report_observer(lh__report *r);

/* The models of one call beside one another; `models` as lh__comparison_print takes them. */
void lh__report_compare(lh__report *r, const json_t *models);

/* Between two stages of one process: leaves the progress line as it is and goes to the next. */
void lh__report_settle(lh__report *r);

#endif
