/* text.c - finding, fetching or making the text, and drawing from what a model predicts; see
 * text.h. */
#include "text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096, MADE_SIZE = 400000 };

static const char shakespeare[] = "tinyshakespeare/input.txt", made[] = "made-text/input.txt";

static const char *path_of(lh_ctx *c, const char *name, char path[PATH_SIZE]) {
    snprintf(path, PATH_SIZE, "%s/%s", lh_text(c, LH_DATA_ROOT), name);
    return path;
}

static int is_there(lh_ctx *c, const char *name) {
    return access(path_of(c, name, (char[PATH_SIZE]){0}), R_OK) == 0;
}

/* ---- making */

/* What each digit may become, separated by "|": 0 is a speech. No rule comes back to itself. */
static const char *const grammar[10] = {
    "1:\n2.\n\n|1:\n2;\n3.\n\n|1:\nWhat, 2?\n3!\n\n",
    "KING|QUEEN|FOOL|FIRST LORD|SECOND LORD|MESSENGER",
    "4 5|4 5,\nand 4 5|when 4 5,\n4 5|if 4 5, then 4 5",
    "So 2|Yet 2|And 2|Then 2",
    "the 6 7|my 7|thy 6 7|no 7|this 6 7|my lord's 7",
    "8 4|9|8 4 with 4|9 like 4",
    "noble|gentle|bloody|weary|golden|hollow|bitter|quiet",
    "heart|crown|sword|night|brother|daughter|garden|grave|letter|storm",
    "loves|fears|brings|forgives|follows|hath broken|shall betray|keeps",
    "sleeps|weeps|shall die|is gone|returns|speaks not|trembles",
};

struct maker {
    uint64_t random; /* SplitMix64's state (Steele, Lea and Flood 2014) */
    char text[MADE_SIZE];
    size_t length;
};

static uint64_t below(struct maker *m, uint64_t n) {
    uint64_t z = m->random += 0x9e3779b97f4a7c15u;

    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return (z ^ z >> 31) % n;
}

/* Appends one of the rule's alternatives, what stands in it replaced in turn; up to the end. */
static void expand(struct maker *m, const char *rule) {
    uint64_t n = 1;

    for (const char *s = rule; *s; s++)
        n += *s == '|';
    for (n = below(m, n); n > 0; n--)
        rule = strchr(rule, '|') + 1;
    for (; *rule && *rule != '|'; rule++) {
        if (*rule >= '0' && *rule <= '9')
            expand(m, grammar[*rule - '0']);
        else if (m->length < MADE_SIZE)
            m->text[m->length++] = *rule;
    }
}

/* Writes the file under another name first, so that one of its own name is whole. */
static lh_status write_made(lh_ctx *c, const struct maker *m) {
    char path[PATH_SIZE], temp[PATH_SIZE + 32];
    FILE *f;
    int ok;

    snprintf(temp, sizeof temp, "%s.part-%ld", path_of(c, made, path), (long)getpid());
    f = fopen(temp, "wbe");
    ok = f && fwrite(m->text, 1, m->length, f) == m->length;
    if (f && fclose(f) != 0)
        ok = 0;
    if (ok && rename(temp, path) == 0)
        return LH_OK;
    lh_fail(c, LH_EIO,
            "cannot write the made-up text to %s: %s; name a folder that can be written with "
            "--data.root or LHOST_DATA_DIR",
            path, strerror(errno));
    unlink(temp);
    return LH_EIO;
}

static lh_status make(lh_ctx *c) {
    struct maker *m = calloc(1, sizeof *m);
    char folder[PATH_SIZE];
    lh_status status;

    if (!m)
        return lh_fail(c, LH_ENOMEM, "out of memory for a made-up text");
    mkdir(lh_text(c, LH_DATA_ROOT), 0777); /* where it fails, writing below it says so */
    mkdir(path_of(c, "made-text", folder), 0777);
    while (m->length < MADE_SIZE)
        expand(m, grammar[0]);
    status = write_made(c, m);
    free(m);
    return status;
}

lh_status text_prepare(lh_ctx *c) {
    lh_status status;

    if (is_there(c, shakespeare) || (lh_int(c, LH_STAGE) != LH_FIT && is_there(c, made)))
        return LH_OK; /* later stages go on with what training used */
    status =
        lh_fetch(c, shakespeare, "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
                 "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/"
                 "tinyshakespeare/input.txt");
    if (status != LH_ENOTFOUND)
        return status;
    status = is_there(c, made) ? LH_OK : make(c);
    if (status == LH_OK)
        lh_print(c, LH_WARNING,
                 "this is not Shakespeare, who is neither in %s nor to be had from the network: "
                 "it is a text of %d characters made by a small grammar, and far easier",
                 lh_text(c, LH_DATA_ROOT), (int)MADE_SIZE);
    return status;
}

/* ---- reading */

/* The whole file, malloc'd; NULL and a failure recorded. */
static uint8_t *read_file(lh_ctx *c, const char *path, int64_t *size) {
    struct stat about;
    FILE *f = fopen(path, "rbe");
    uint8_t *bytes = NULL;

    *size = f && fstat(fileno(f), &about) == 0 ? (int64_t)about.st_size : 0;
    if (*size > 0)
        bytes = malloc((size_t)*size);
    if (bytes && fread(bytes, 1, (size_t)*size, f) != (size_t)*size) {
        free(bytes);
        bytes = NULL;
    }
    if (!bytes)
        lh_fail(c, LH_EIO, "cannot read %s, or it is empty", path);
    if (f)
        fclose(f);
    return bytes;
}

const struct text *text_read(lh_ctx *c, int64_t vocab_size) {
    const char *name = is_there(c, shakespeare) ? shakespeare : made;
    struct text *t = is_there(c, name) ? lh_alloc(c, sizeof *t) : NULL;
    uint8_t *bytes, *characters, place[256] = {0}, is_used[256] = {0};

    if (!t || !(bytes = read_file(c, path_of(c, name, (char[PATH_SIZE]){0}), &t->length)))
        return NULL;
    t->characters = characters = lh_alloc(c, (uint64_t)t->length);
    for (int64_t i = 0; i < t->length; i++)
        is_used[bytes[i]] = 1;
    for (int b = 0; b < 256; b++)
        if (is_used[b]) {
            place[b] = (uint8_t)t->classes;
            t->vocabulary[t->classes++] = (char)b;
        }
    for (int64_t i = 0; characters && i < t->length; i++)
        characters[i] = place[bytes[i]];
    t->train = t->length * 9 / 10;
    free(bytes);
    if (t->classes > vocab_size)
        lh_fail(c, LH_EINVAL, "the text has %d different characters: --model.vocab_size %d",
                (int)t->classes, (int)t->classes);
    return characters ? t : NULL;
}

/* ---- drawing and showing */

int64_t text_draw(lh_ctx *c, lh_tensor *logits, double temperature, int64_t top_k) {
    int64_t classes = lh_numel(c, logits), k = top_k < classes ? top_k : classes;
    lh_tensor *likeliest = lh_topk(c, logits, k, 0);
    lh_tensor *scores = lh_mul_scalar(c, lh_gather(c, logits, 0, likeliest), 1 / temperature);
    lh_tensor *drawn = lh_multinomial(c, lh_softmax(c, scores, 0), 1);
    double character = lh_item(c, lh_gather(c, likeliest, 0, drawn));

    return character >= 0 ? (int64_t)character : 0; /* NaN: a failure is recorded */
}

lh_status text_show(lh_ctx *c, const struct text *text, const int64_t *characters, int64_t n) {
    char path[PATH_SIZE], *line = malloc((size_t)n + 1);
    FILE *f;
    int ok;

    if (!line)
        return lh_fail(c, LH_ENOMEM, "out of memory for a sample");
    for (int64_t i = 0; i < n; i++)
        line[i] = characters[i] < text->classes ? text->vocabulary[characters[i]] : '?';
    line[n] = '\0';
    snprintf(path, sizeof path, "%s/samples.txt", lh_text(c, LH_LOG_DIR));
    lh_print(c, LH_INFO, "%s, after %lld steps:\n%s", path, (long long)lh_global_step(c), line);
    f = fopen(path, "abe");
    ok = f && fprintf(f, "---- after %lld steps\n%s\n", (long long)lh_global_step(c), line) > 0;
    if (f && fclose(f) != 0)
        ok = 0;
    free(line);
    return ok ? LH_OK : lh_fail(c, LH_EIO, "cannot write %s: %s", path, strerror(errno));
}
