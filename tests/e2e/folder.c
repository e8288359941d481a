/* folder.c - see folder.h. */
#include "folder.h"

#include "checkpoint/safetensors.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

json_t *result_of(const char *root, int version) {
    char path[512];
    json_error_t error;
    json_t *result;

    snprintf(path, sizeof path, "%s/lightning_logs/version_%d/result.json", root, version);
    result = json_load_file(path, 0, &error);
    cr_assert(result, "%s: %s", path, error.text);
    return result;
}

static const json_t *member(const json_t *object, const char *path) {
    while (object && *path) {
        size_t n = strcspn(path, ".");
        char key[64];

        snprintf(key, sizeof key, "%.*s", (int)n, path);
        object = json_object_get(object, key);
        path += n + (path[n] == '.');
    }
    return object;
}

double number_in(const json_t *result, const char *path) {
    const json_t *value = member(result, path);

    cr_assert(json_is_number(value), "%s is no number", path);
    return json_number_value(value);
}

const char *text_in(const json_t *result, const char *path) {
    const char *text = json_string_value(member(result, path));

    cr_assert(text, "%s is no text", path);
    return text;
}

static lh__state *load(const char *path) {
    lh__state *state = NULL;
    lh__error e = {0};

    cr_assert_eq(lh__safetensors_read(path, &state, &e), LH_OK, "%s", e.text);
    return state;
}

long step_of(const char *checkpoint) {
    lh__state *state = load(checkpoint);
    long step = (long)json_integer_value(json_object_get(state->meta, "global_step"));

    lh__state_free(state);
    return step;
}

/* The visit under way; nftw has no argument to pass. */
static struct {
    int n;
    long step;
    char path[1024];
} visit;

static int visit_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    size_t n = strlen(path);
    long step;

    if (kind != FTW_F || n < 12 || strcmp(path + n - 12, ".safetensors") != 0 ||
        path[where->base] == '.')
        return 0;
    step = step_of(path);
    visit.n++;
    if (step > visit.step) {
        visit.step = step;
        snprintf(visit.path, sizeof visit.path, "%s", path);
    }
    return 0;
}

static void visit_all(const char *folder) {
    visit.n = 0;
    visit.step = -1;
    *visit.path = 0;
    nftw(folder, visit_one, 16, FTW_PHYS);
}

int count_checkpoints(const char *folder) {
    visit_all(folder);
    return visit.n;
}

const char *final_checkpoint(const char *root) {
    static char path[2][1024];
    static int turn;

    visit_all(root);
    cr_assert_gt(visit.n, 0, "no checkpoint below %s", root);
    turn = !turn;
    return strcpy(path[turn], visit.path);
}

int tensors_differ(const char *a, const char *b, char *which, size_t size) {
    lh__state *one = load(a), *other = load(b);
    int differ = one->n_tensors != other->n_tensors || one->n_tensors == 0;

    snprintf(which, size, "the number of tensors");
    for (size_t i = 0; i < one->n_tensors && !differ; i++) {
        const lh__state_tensor *t = &one->tensors[i], *u = lh__state_find(other, t->name);

        differ = !u || u->size != t->size || memcmp(t->data, u->data, t->size) != 0;
        if (differ)
            snprintf(which, size, "%s", t->name);
    }
    lh__state_free(one);
    lh__state_free(other);
    return differ;
}

void expect_same_tensors(const char *a, const char *b) {
    char which[128];

    cr_assert(!tensors_differ(a, b, which, sizeof which), "%s differs between %s and %s", which, a,
              b);
}

const char *file_like(const char *folder, const char *begin, const char *end) {
    static char path[1024];
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int found = 0;

    while (dir && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);

        if (n < strlen(end) || strncmp(entry->d_name, begin, strlen(begin)) != 0 ||
            strcmp(entry->d_name + n - strlen(end), end) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        found = 1;
    }
    if (dir)
        closedir(dir);
    return found ? path : NULL;
}
