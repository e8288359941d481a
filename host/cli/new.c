/* new.c - `lhost new model|callback NAME`: the SDK's template under a new name.
 *
 * Invariant: never writes into a folder that is already there.
 */
#include "cli/cli.h"

#include "config/nearest.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Where templates are: installed, else in the source tree. */
static const char *const template_dirs[] = {LH__INSTALLED_TEMPLATES, LH__SOURCE_TEMPLATES};

static const struct {
    const char *kind, *placeholder; /* in file names and texts */
} kinds[] = {{"model", "my_model"}, {"callback", "my_callback"}};
enum { N_KINDS = sizeof kinds / sizeof *kinds };

/* `text` with every `from` turned to `to`; release with free. */
static char *replace(const char *text, const char *from, const char *to) {
    char *out = NULL;
    size_t size;
    FILE *f = open_memstream(&out, &size);
    const char *next;

    if (!f)
        return NULL;
    for (; (next = strstr(text, from)); text = next + strlen(from))
        fprintf(f, "%.*s%s", (int)(next - text), text, to);
    fputs(text, f);
    return fclose(f) == 0 ? out : NULL;
}

/* my_model -> my-model, the way plugins are called. */
static const char *hyphened(const char *name, char buf[64]) {
    size_t n = 0;

    for (; name[n] && n < 63; n++)
        buf[n] = name[n] == '_' ? '-' : name[n];
    buf[n] = '\0';
    return buf;
}

/* A template's text with its placeholder, in both spellings, turned to `name`. */
static char *rename_all(const char *text, const char *placeholder, const char *name) {
    char from[64], to[64];
    char *once = replace(text, placeholder, name), *twice;

    twice = once ? replace(once, hyphened(placeholder, from), hyphened(name, to)) : NULL;
    free(once);
    return twice;
}

static char *read_text(const char *path) {
    FILE *f = fopen(path, "r");
    char *text = NULL;
    size_t size = 0;

    if (f && getdelim(&text, &size, '\0', f) < 0) {
        free(text);
        text = NULL;
    }
    if (f)
        fclose(f);
    return text;
}

static lh_status copy_file(const char *from, const char *to, const char *placeholder,
                           const char *name, lh__error *e) {
    char *text = read_text(from), *renamed = text ? rename_all(text, placeholder, name) : NULL;
    FILE *f = renamed ? fopen(to, "wx") : NULL;
    lh_status s = LH_OK;

    if (!renamed)
        s = lh__fail(e, LH_EIO, "cannot read %s: %s", from, strerror(errno));
    else if (!f || fputs(renamed, f) < 0)
        s = lh__fail(e, LH_EIO, "cannot write %s: %s", to, strerror(errno));
    if (f && fclose(f) != 0)
        s = lh__fail(e, LH_EIO, "cannot write %s: %s", to, strerror(errno));
    free(renamed);
    free(text);
    return s;
}

static lh_status copy_template(const char *dir, const char *placeholder, const char *name,
                               lh__error *e) {
    DIR *d = opendir(dir);
    lh_status s = LH_OK;
    struct dirent *entry;

    if (!d || mkdir(name, 0777) != 0) {
        s = lh__fail(e, LH_EIO, "cannot make the folder %s: %s", d ? name : dir, strerror(errno));
        goto done;
    }
    while (s == LH_OK && (entry = readdir(d))) {
        char from[PATH_MAX], to[PATH_MAX], *file;
        if (entry->d_name[0] == '.')
            continue;
        file = replace(entry->d_name, placeholder, name);
        snprintf(from, sizeof from, "%s/%s", dir, entry->d_name);
        snprintf(to, sizeof to, "%s/%s", name, file ? file : entry->d_name);
        free(file);
        s = copy_file(from, to, placeholder, name, e);
    }
done:
    if (d)
        closedir(d);
    return s;
}

static int kind_of(const char *word) {
    for (int i = 0; i < N_KINDS; i++)
        if (strcmp(word, kinds[i].kind) == 0)
            return i;
    return -1;
}

static int bad_kind(const lh__call *call, const char *word) {
    lh__nearest n = lh__nearest_start(word);
    char hint[128];

    for (int i = 0; i < N_KINDS; i++)
        lh__nearest_try(&n, kinds[i].kind);
    return lh__cli_usage(call, "there is no template '%.80s'%s", word,
                         lh__nearest_text(&n, hint, sizeof hint));
}

int lh__cli_new(const lh__call *call) {
    char dir[1024];
    lh__error e = {0};
    const char *name;
    int kind;

    if (lh__cli_helped(call))
        return LH__EXIT_DONE;
    if (call->argc != 2)
        return lh__cli_usage(call, "new needs a kind, module or callback, and a name");
    kind = kind_of(call->argv[0]);
    name = call->argv[1];
    if (kind < 0)
        return bad_kind(call, call->argv[0]);
    if (*name < 'a' || *name > 'z' || strlen(name) > 32 ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != strlen(name))
        return lh__cli_usage(call, "'%.80s' cannot be the name of a plugin: use a-z, 0-9, _", name);
    for (size_t i = 0; i < sizeof template_dirs / sizeof *template_dirs; i++) {
        snprintf(dir, sizeof dir, "%s/%s", template_dirs[i], kinds[kind].kind);
        if (access(dir, R_OK) == 0)
            break;
    }
    if (copy_template(dir, kinds[kind].placeholder, name, &e) != LH_OK)
        return lh__cli_fail(call, LH__EXIT_USAGE, "%s", e.text);
    printf("%s/ is ready: cd %s && make && lhost inspect %s.so\n", name, name, name);
    return LH__EXIT_DONE;
}
