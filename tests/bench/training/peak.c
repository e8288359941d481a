/* peak.c - what the processor can do at most on so many threads: ../ceiling.h, of float32 and of
 * products of bfloat16 tiles or pairs.
 *
 *     peak THREADS        prints {"32": GFLOPS, "bf16-mixed": GFLOPS}; null: it has no such unit
 *
 * A multiply-add counts as two operations. The best of many short runs counts.
 */
#include "tests/bench/ceiling.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void print_rate(const char *name, int has_unit, ceiling_kind kind, lh__pool *pool) {
    double rate = has_unit ? measured_ceiling(kind, pool) : 0;

    if (rate > 0)
        printf("\"%s\": %.1f", name, 1e-9 * rate);
    else
        printf("\"%s\": null", name);
}

int main(int argc, char **argv) {
    int threads = argc == 2 ? atoi(argv[1]) : 0;
    lh__pool *pool = threads > 0 ? lh__pool_new(threads) : NULL;

    if (!pool) {
        fprintf(stderr, threads > 0 ? "peak: cannot start the threads\n" : "usage: peak THREADS\n");
        return threads > 0 ? 1 : 2;
    }
    printf("{");
    print_rate("32", 1, CEILING_F32, pool);
    printf(", ");
    print_rate("bf16-mixed", strcmp(ceiling_name(CEILING_BF16), ceiling_name(CEILING_F32)) != 0,
               CEILING_BF16, pool);
    printf("}\n");
    lh__pool_free(pool);
    return 0;
}
