/* bar.h - one line of progress as text. Pure: the same input gives the same line. */
#ifndef LH_REPORT_BAR_H
#define LH_REPORT_BAR_H

#include "report/terminal.h"

typedef struct lh__bar {
    const char *label;   /* "Epoch 0/2" */
    int64_t done, total; /* total <= 0: unknown */
    double seconds;      /* spent on `done` */
    const char *metrics; /* "train_loss 0.213  v_num 3", may be empty */
} lh__bar;

/* "Epoch 0/2  ━━━━╺━━━  430/860  2310 it/s  eta 0:00  train_loss 0.213", at most `width` columns:
 * metrics that do not fit are left out, then the bar shrinks. Returns the bytes in buf. */
size_t lh__bar_draw(const lh__bar *b, const lh__terminal *t, int width, char *buf, size_t size);

/* "Epoch 0/2: 430/860, 2310 it/s, train_loss 0.213", for what is not a terminal; no line break. */
size_t lh__bar_line(const lh__bar *b, char *buf, size_t size);

/* The columns that UTF-8 text without escape sequences takes, one per code point. */
int lh__columns(const char *text);

#endif
