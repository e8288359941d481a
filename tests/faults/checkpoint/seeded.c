/* seeded.c - the states of seeded.h. */
#include "seeded.h"

#include "checkpoint/json.h"

#include <stdlib.h>

enum { N = SEEDED_ROWS * SEEDED_COLUMNS };

static float weight(long seed, long i) {
    return (float)seed + (float)i / N;
}

lh__state *seeded_state(long seed) {
    float values[N];
    int64_t step = seed;
    lh__state *s = lh__state_new();

    for (long i = 0; i < N; i++)
        values[i] = weight(seed, i);
    if (!s || lh__json_put_int(s->meta, "global_step", seed) != LH_OK ||
        lh__state_put_copy(s, "fc1.weight", LH_F32, 2, (int64_t[]){SEEDED_ROWS, SEEDED_COLUMNS},
                           values, NULL) != LH_OK ||
        lh__state_put_copy(s, "step", LH_I64, 0, NULL, &step, NULL) != LH_OK)
        abort();
    return s;
}

long seeded_read(const char *path, lh__error *e) {
    lh__state *s;
    const lh__state_tensor *w, *step;
    int64_t seed;
    long found = -2;

    if (lh__safetensors_read(path, &s, e) != LH_OK)
        return -1;
    w = lh__state_find(s, "fc1.weight");
    step = lh__state_find(s, "step");
    if (lh__json_get_int(s->meta, "global_step", &seed, e) == LH_OK && w && step &&
        w->size == N * sizeof(float) && *(const int64_t *)step->data == seed)
        found = (long)seed;
    for (long i = 0; i < N && found >= 0; i++)
        if (((const float *)w->data)[i] != weight(found, i))
            found = -2;
    lh__state_free(s);
    return found;
}
