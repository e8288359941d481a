/* find.c - from what a user typed to the path of a plugin.
 *
 * Invariant: one order of search, and a failure names every folder that was looked into.
 */
#include "plugin/plugin.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Set by the build: where plugins are installed, and where the build tree makes them; folders
 * separated by ':'. */
#ifndef LH__INSTALLED_PLUGINS
#define LH__INSTALLED_PLUGINS "/usr/local/lib/lhost/plugins"
#endif
#ifndef LH__BUILT_PLUGINS
#define LH__BUILT_PLUGINS ""
#endif

enum { MAX_NAME = 64, MAX_LOOKED = 640 };

typedef struct search {
    const char *name;
    char *found;             /* owned by the caller of the search */
    char looked[MAX_LOOKED]; /* the folders so far */
    char nearest[MAX_NAME];
    int distance; /* of nearest */
} search;

static int is_file(const char *path) {
    struct stat s;
    return stat(path, &s) == 0 && S_ISREG(s.st_mode);
}

/* The edits (insert, delete, replace, as by Levenshtein) from a to b, both shorter than MAX_NAME.
 */
static int edits(const char *a, const char *b) {
    int row[MAX_NAME + 1], n = (int)strlen(b);

    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 0; a[i]; i++) {
        int corner = row[0];

        row[0] = i + 1;
        for (int j = 0; j < n; j++) {
            int replace = corner + (a[i] != b[j]);
            int other = (row[j] < row[j + 1] ? row[j] : row[j + 1]) + 1;

            corner = row[j + 1];
            row[j + 1] = replace < other ? replace : other;
        }
    }
    return row[n];
}

/* Remembers the plugin of the folder whose name is nearest. */
static void note_nearest(search *s, const char *folder) {
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        size_t n = strlen(entry->d_name);
        char name[MAX_NAME];
        int d;

        if (n <= 3 || n - 3 >= MAX_NAME || strcmp(entry->d_name + n - 3, ".so") != 0)
            continue;
        memcpy(name, entry->d_name, n - 3);
        name[n - 3] = 0;
        d = edits(s->name, name);
        if (d < s->distance) {
            s->distance = d;
            strcpy(s->nearest, name);
        }
    }
    if (dir)
        closedir(dir);
}

/* Looks for NAME.so in each of `folders`. */
static void look(search *s, const char *folders) {
    while (folders && *folders && !s->found) {
        int n = (int)strcspn(folders, ":");
        size_t used = strlen(s->looked);
        char *folder = NULL, *path = NULL;

        if (n > 0 && asprintf(&folder, "%.*s", n, folders) > 0 &&
            asprintf(&path, "%s/%s.so", folder, s->name) > 0) {
            snprintf(s->looked + used, sizeof s->looked - used, "%s%s", used ? ", " : "", folder);
            if (is_file(path))
                s->found = realpath(path, NULL);
            else
                note_nearest(s, folder);
        }
        free(folder);
        free(path);
        folders += n + (folders[n] == ':');
    }
}

static int ends_in_so(const char *spec) {
    size_t n = strlen(spec);
    return n > 3 && strcmp(spec + n - 3, ".so") == 0;
}

char *lh__plugin_find(const char *spec, lh__error *err) {
    char bare[MAX_NAME];
    search s = {.name = bare};
    size_t n = strlen(spec);

    if (strchr(spec, '/') || (ends_in_so(spec) && is_file(spec))) {
        char *path = is_file(spec) ? realpath(spec, NULL) : NULL;
        if (!path)
            lh__fail(err, LH_ENOTFOUND, "no plugin file %s", spec);
        return path;
    }
    n -= ends_in_so(spec) ? 3 : 0;
    if (n == 0 || n >= MAX_NAME) {
        lh__fail(err, LH_ENOTFOUND,
                 "no plugin '%.80s': not the name of one, which has 1 to %d "
                 "characters",
                 spec, MAX_NAME - 1);
        return NULL;
    }
    memcpy(bare, spec, n);
    bare[n] = 0;
    s.distance = n < 5 ? 2 : 4; /* fewer edits than this make a suggestion */

    look(&s, getenv("LHOST_PLUGIN_PATH"));
    look(&s, LH__INSTALLED_PLUGINS);
    look(&s, LH__BUILT_PLUGINS);
    if (!s.found)
        lh__fail(err, LH_ENOTFOUND,
                 "no plugin %s%s%s%s: looked for %s.so in %s; give a path, or "
                 "add its folder to LHOST_PLUGIN_PATH",
                 spec, *s.nearest ? "; did you mean " : "", s.nearest, *s.nearest ? "?" : "", bare,
                 s.looked);
    return s.found;
}
