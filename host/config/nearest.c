/* nearest.c - the nearest name, by optimal string alignment distance. */
#include "config/nearest.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { LONGEST = 63 };

static int letter(char c) {
    return c == '-' ? '_' : tolower((unsigned char)c);
}

static int32_t least(int32_t a, int32_t b) {
    return a < b ? a : b;
}

int32_t lh__edit_distance(const char *a, const char *b) {
    int32_t row[3][LONGEST + 1]; /* two rows back, the previous one, this one */
    int na = (int)strnlen(a, LONGEST), nb = (int)strnlen(b, LONGEST);

    for (int j = 0; j <= nb; j++)
        row[1][j] = j;
    for (int i = 1; i <= na; i++) {
        int32_t *before = row[(i + 2) % 3], *last = row[i % 3], *now = row[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= nb; j++) {
            int same = letter(a[i - 1]) == letter(b[j - 1]);
            now[j] = least(last[j - 1] + !same, least(last[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && letter(a[i - 1]) == letter(b[j - 2]) &&
                letter(a[i - 2]) == letter(b[j - 1]))
                now[j] = least(now[j], before[j - 2] + 1);
        }
    }
    return row[(na + 1) % 3][nb];
}

lh__nearest lh__nearest_start(const char *name) {
    int32_t near_enough = (int32_t)strlen(name) / 3 + 1;

    return (lh__nearest){name, NULL, near_enough + 1};
}

void lh__nearest_try(lh__nearest *n, const char *known) {
    int32_t d = lh__edit_distance(n->name, known);

    if (d < n->distance) {
        n->distance = d;
        n->best = known;
    }
}

const char *lh__nearest_text(const lh__nearest *n, char *buf, size_t size) {
    if (n->best)
        snprintf(buf, size, "; did you mean '%s'?", n->best);
    else
        snprintf(buf, size, "%s", "");
    return buf;
}
