/* terminal.h - what the place that a run reports to can show. */
#ifndef LH_REPORT_TERMINAL_H
#define LH_REPORT_TERMINAL_H

#include <stddef.h>
#include <stdint.h>

typedef struct lh__terminal {
    int fd;
    int32_t is_live; /* a terminal whose line can be redrawn */
    int32_t color, utf8;
} lh__terminal;

/* Asks the system: isatty and TERM != "dumb"; colour by NO_COLOR (set and not empty: no), else
 * CLICOLOR_FORCE, else live; UTF-8 by the environment's locale (LC_ALL, LC_CTYPE, LANG). */
lh__terminal lh__terminal_open(int fd);

/* Columns now: the terminal's, else $COLUMNS, else 80. One system call. */
int lh__terminal_width(const lh__terminal *t);

/* One write(2) when the system takes it at once; what fails is dropped, as nobody could be told. */
void lh__terminal_write(const lh__terminal *t, const char *bytes, size_t n);

#endif
