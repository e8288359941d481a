/* saver.c - the process that the fault tests break: `saver PATH SEED COUNT` saves the states of
 * SEED, SEED + 1, ... to PATH, COUNT of them (0: until it is killed). Exit status 0, or 1 with the
 * message on stderr. */
#include "checkpoint/writer.h"
#include "seeded.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv) {
    long seed = argc == 4 ? atol(argv[2]) : 0, count = argc == 4 ? atol(argv[3]) : -1;
    lh__error e = {0};
    lh__writer *w = count < 0 ? NULL : lh__writer_new(NULL, NULL, &e);

    if (!w) {
        fprintf(stderr, "usage: saver PATH SEED COUNT\n%s\n", e.text);
        return 2;
    }
    for (long i = 0; (count == 0 || i < count) && e.code == LH_OK; i++) {
        lh__state *s = seeded_state(seed + i);
        if (lh__writer_save(w, s, argv[1], &e) == LH_OK)
            lh__writer_error(w, &e);
        lh__state_free(s);
    }
    lh__writer_drain(w, &e);
    lh__writer_free(w);
    if (e.code != LH_OK)
        fprintf(stderr, "%s\n", e.text);
    return e.code != LH_OK;
}
