/* terminal.c - asking about terminals. The process's locale stays "C": numbers keep their point. */
#include "report/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

static int is_set(const char *variable) {
    const char *value = getenv(variable);

    return value && *value;
}

/* The locale's name decides, so that no locale has to be loaded (1 ms). */
static int locale_is_utf8(void) {
    const char *name = is_set("LC_ALL")     ? getenv("LC_ALL")
                       : is_set("LC_CTYPE") ? getenv("LC_CTYPE")
                                            : getenv("LANG");

    return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8"));
}

lh__terminal lh__terminal_open(int fd) {
    const char *term = getenv("TERM");
    int live = isatty(fd) && !(term && strcmp(term, "dumb") == 0);
    int forced = is_set("CLICOLOR_FORCE") && strcmp(getenv("CLICOLOR_FORCE"), "0") != 0;

    return (lh__terminal){.fd = fd,
                          .is_live = live,
                          .color = !is_set("NO_COLOR") && (forced || live),
                          .utf8 = locale_is_utf8()};
}

int lh__terminal_width(const lh__terminal *t) {
    const char *columns = getenv("COLUMNS");
    struct winsize size;

    if (ioctl(t->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    if (columns && atoi(columns) > 0)
        return atoi(columns);
    return 80;
}

void lh__terminal_write(const lh__terminal *t, const char *bytes, size_t n) {
    while (n > 0) {
        ssize_t written = write(t->fd, bytes, n);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        bytes += written;
        n -= (size_t)written;
    }
}
