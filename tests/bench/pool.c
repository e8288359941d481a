/* pool.c - what handing work to the pool costs: the time of a job of one tile for each thread, less
 * the tile's own, when jobs follow at once and after the caller was idle. Medians, in microseconds.
 *
 *     pool [--threads N]
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/pool.h"
#include "tests/bench/timing.h"

enum { ROUNDS = 200 };

static void work(void *arg, int64_t tile) {
    double end = now_us() + *(const double *)arg;

    while (now_us() < end)
        ;
}

/* The caller is idle for idle_us: it spins up to a millisecond, as if at work, then sleeps. */
static void rest(double idle_us) {
    double end = now_us() + idle_us;
    struct timespec t = {0, (long)(idle_us * 1e3)};

    if (idle_us > 1000)
        nanosleep(&t, NULL);
    while (now_us() < end)
        ;
}

int main(int argc, char **argv) {
    static const double tiles[] = {1, 5, 20, 100}, idle[] = {0, 50, 200, 1000, 5000};
    int threads = argc > 2 && strcmp(argv[1], "--threads") == 0 ? atoi(argv[2]) : 2;
    lh__pool *pool = lh__pool_new(threads);

    if (!pool)
        return 1;
    printf("%d threads; added by the pool, us, median (ninth decile)\nidle before, us ", threads);
    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++)
        printf("%16.0f", idle[i]);
    for (size_t k = 0; k < sizeof tiles / sizeof *tiles; k++) {
        printf("\ntiles of %3.0f us  ", tiles[k]);
        for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
            double times[ROUNDS], us = tiles[k];

            for (int round = 0; round < ROUNDS; round++) {
                double start;

                rest(idle[i]);
                start = now_us();
                lh__pool_run(pool, threads, work, &us);
                times[round] = now_us() - start - us;
            }
            qsort(times, ROUNDS, sizeof *times, by_value);
            printf("%8.1f (%5.1f)", times[ROUNDS / 2], times[ROUNDS * 9 / 10]);
        }
    }
    printf("\n");
    lh__pool_free(pool);
    return 0;
}
