/* kept.c - see kept.h. */
#include "kept.h"

#include "option.h"

const char *kept_text(lh_ctx *c, const char *text) {
    char *copy = lh_alloc(c, strlen(text) + 1);

    return copy ? strcpy(copy, text) : "";
}

lh_status kept_add(lh_ctx *c, struct kept *k, const char *path, double score) {
    kept_forget(k, path);
    if (k->n == k->capacity) {
        int32_t capacity = k->capacity ? 2 * k->capacity : 8;
        struct kept_file *files = lh_alloc(c, (uint64_t)capacity * sizeof *files);

        if (!files)
            return lh_status_of(c);
        if (k->n)
            memcpy(files, k->files, (size_t)k->n * sizeof *files);
        k->files = files;
        k->capacity = capacity;
    }
    k->files[k->n++] = (struct kept_file){path, score, 0};
    return LH_OK;
}

void kept_forget(struct kept *k, const char *path) {
    for (int32_t i = 0; i < k->n; i++)
        if (strcmp(k->files[i].path, path) == 0)
            k->files[i].is_gone = 1;
}

int kept_has(const struct kept *k, const char *path) {
    int found = -1;

    for (int32_t i = 0; i < k->n && found != 1; i++)
        if (strcmp(k->files[i].path, path) == 0)
            found = !k->files[i].is_gone;
    return found;
}

int64_t kept_count(const struct kept *k) {
    int64_t n = 0;

    for (int32_t i = 0; i < k->n; i++)
        n += !k->files[i].is_gone;
    return n;
}

const struct kept_file *kept_best(const struct kept *k, int mode) {
    const struct kept_file *best = NULL;

    for (int32_t i = 0; i < k->n; i++)
        if (!k->files[i].is_gone && (!best || is_better(mode, k->files[i].score, best->score)))
            best = &k->files[i];
    return best;
}

const struct kept_file *kept_worst(const struct kept *k, int mode) {
    return kept_best(k, mode == LH_MODE_MIN ? LH_MODE_MAX : LH_MODE_MIN);
}
