/* layout.c - which values of a plan have their channels last.
 *
 * Convolutions compute with channels side by side; a value that lies so needs no turning on either
 * side. It may where every call that makes or reads it takes it so, and where that is true of all
 * values that have to lie as it does. O(uses) but for the depth of the sets, which is next to
 * constant.
 */
#include "engine/plan/plan.h"

enum { NONE = -1 };

/* A value; those that lie alike have one root. */
typedef struct member {
    int32_t parent;
    uint8_t may, gains;       /* of a root: all of its values may; one of them gains by it */
    int64_t images, channels; /* as the first call saw it; 0 images: none has */
} member;

static int32_t root_of(member *m, int32_t i) {
    while (m[i].parent != i)
        i = m[i].parent = m[m[i].parent].parent;
    return i;
}

static void unite(member *m, int32_t a, int32_t b) {
    a = root_of(m, a), b = root_of(m, b);
    m[b].parent = a;
    m[a].may &= m[b].may;
    m[a].gains |= m[b].gains;
}

int32_t lh__plan_layouts(const lh__use *uses, int64_t n_uses, int32_t n_values, uint8_t *last,
                         lh__arena *scratch) {
    member *m = lh__arena_alloc(scratch, (size_t)(n_values + 1) * sizeof *m);

    if (!m)
        return 0;
    for (int32_t i = 0; i < n_values; i++)
        m[i] = (member){.parent = i, .may = 1};
    for (const lh__use *u = uses; u < uses + n_uses; u++) {
        member *own = &m[u->value], *root;

        if (u->like != NONE)
            unite(m, u->value, u->like);
        root = &m[root_of(m, u->value)];
        if (own->images == 0)
            own->images = u->images, own->channels = u->channels;
        root->may &= u->may && own->images == u->images && own->channels == u->channels;
        root->gains |= u->gains;
    }
    for (int32_t i = 0; i < n_values; i++) {
        const member *root = &m[root_of(m, i)];

        last[i] = root->may && root->gains;
    }
    return 1;
}
