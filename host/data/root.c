/* root.c - finding data files, and making sure that they are the right ones. */
#include "data/root.h"

#include "data/gzip.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DIGEST_TEXT = SHA256_DIGEST_STRING_LENGTH };

const char *lh__data_root(const char *option) {
    const char *env = getenv("LHOST_DATA_DIR");

    if (option && *option)
        return option;
    return env && *env ? env : "data";
}

/* root/path, or path if it is absolute. */
static lh_status join(const char *root, const char *path, const char *suffix, char *out,
                      size_t size, lh__error *e) {
    int n = *path == '/' ? snprintf(out, size, "%s%s", path, suffix)
                         : snprintf(out, size, "%s/%s%s", root, path, suffix);

    if (n < 0 || (size_t)n >= size)
        return lh__fail(e, LH_EINVAL, "the path of %s below %s is too long", path, root);
    return LH_OK;
}

lh_status lh__data_find(const char *root, const char *path, char *out, size_t size, lh__error *e) {
    static const char *const suffixes[] = {"", ".gz"};

    if (!path || !*path)
        return lh__fail(e, LH_EINVAL, "a data file without a name");
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
        lh_status status = join(root, path, suffixes[i], out, size, e);

        if (status != LH_OK || access(out, F_OK) == 0)
            return status;
    }
    out[strlen(out) - 3] = '\0';
    return lh__fail(e, LH_ENOTFOUND,
                    "%s is not there, nor is %s.gz; put the file there, or name the folder of the "
                    "data with --data.root or LHOST_DATA_DIR",
                    out, out);
}

/* The SHA-256 of a file's content, decompressed if it is gzip, in hex. */
static lh_status digest(const char *path, char hex[DIGEST_TEXT], lh__error *e) {
    lh__blob file, content = {0};
    lh_status status = lh__map_file(path, &file, e);
    const lh__blob *of = &file;
    SHA2_CTX sha;

    if (status != LH_OK)
        return status;
    if (lh__is_gzip(file.memory, file.size)) {
        status = lh__gunzip(file.memory, file.size, path, &content, e);
        of = &content;
    }
    if (status == LH_OK) {
        SHA256Init(&sha);
        SHA256Update(&sha, of->memory, of->size);
        SHA256End(&sha, hex);
    }
    lh__blob_free(&content);
    lh__blob_free(&file);
    return status;
}

/* What has been verified is a line "sha256 size mtime path" in a file of the user's cache. */

static int verified_path(char *out, size_t size, int make) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char folder[PATH_MAX];
    int n = -1;

    if (cache && *cache == '/')
        n = snprintf(folder, sizeof folder, "%s", cache);
    else if (home && *home == '/')
        n = snprintf(folder, sizeof folder, "%s/.cache", home);
    if (n < 0 || (size_t)n + 32 > sizeof folder)
        return 0;
    if (make)
        mkdir(folder, 0700);
    strcat(folder, "/lhost");
    if (make)
        mkdir(folder, 0700);
    n = snprintf(out, size, "%s/verified", folder);
    return n > 0 && (size_t)n < size;
}

static int verified_line(const char *path, const char *hex, char *out, size_t size) {
    char real[PATH_MAX];
    struct stat st;
    int n;

    if (!realpath(path, real) || stat(real, &st) != 0 || strchr(real, '\n'))
        return 0;
    n = snprintf(out, size, "%s %" PRIdMAX " %" PRIdMAX ".%09ld %s\n", hex, (intmax_t)st.st_size,
                 (intmax_t)st.st_mtim.tv_sec, st.st_mtim.tv_nsec, real);
    return n > 0 && (size_t)n < size;
}

static int is_noted(const char *path, const char *hex) {
    char list[PATH_MAX], want[PATH_MAX + 128], line[PATH_MAX + 128];
    int found = 0;
    FILE *f;

    if (!verified_path(list, sizeof list, 0) || !verified_line(path, hex, want, sizeof want))
        return 0;
    f = fopen(list, "re");
    while (f && !found && fgets(line, sizeof line, f))
        found = strcmp(line, want) == 0;
    if (f)
        fclose(f);
    return found;
}

/* A note that can't be written costs the next run time, nothing else. */
static void note(const char *path, const char *hex) {
    char list[PATH_MAX], line[PATH_MAX + 128];
    int fd;

    if (!verified_path(list, sizeof list, 1) || !verified_line(path, hex, line, sizeof line))
        return;
    fd = open(list, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (write(fd, line, strlen(line)) < 0)
        unlink(list);
    close(fd);
}

/* Fails if the content isn't the one of the checksum. */
static lh_status verify(const char *path, const char *sha256, lh__error *e) {
    char hex[DIGEST_TEXT];
    lh_status status = digest(path, hex, e);

    if (status == LH_OK && strcasecmp(hex, sha256) != 0)
        status = lh__fail(e, LH_ECORRUPT, "%s: the SHA-256 of its content is %s, expected %s", path,
                          hex, sha256);
    return status;
}

static int is_gzip(const char *path) {
    unsigned char magic[2] = {0};
    FILE *f = fopen(path, "rbe");
    int yes = f && fread(magic, 1, 2, f) == 2 && magic[0] == 0x1f && magic[1] == 0x8b;

    if (f)
        fclose(f);
    return yes;
}

static int has_suffix(const char *text, const char *suffix) {
    size_t n = strlen(text), m = strlen(suffix);

    return n >= m && strcmp(text + n - m, suffix) == 0;
}

/* Makes the folders above a file. */
static void make_folders(const char *path) {
    char folder[PATH_MAX];

    snprintf(folder, sizeof folder, "%s", path);
    for (char *at = strchr(folder + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(folder, 0777);
        *at = '/';
    }
}

/* One URL to one verified file of its final name. */
static lh_status fetch_from(const lh__fetch *f, const char *url, const char *plain, lh__error *e) {
    char part[PATH_MAX + 64], final[PATH_MAX + 64];
    lh_status status;
    int fd;

    snprintf(part, sizeof part, "%s.part-%ld", plain, (long)getpid());
    status = lh__download(url, part, f, e);
    if (status == LH_OK && f->sha256)
        status = verify(part, f->sha256, e);
    if (status == LH_OK) {
        snprintf(final, sizeof final, "%s%s", plain,
                 is_gzip(part) && !has_suffix(plain, ".gz") ? ".gz" : "");
        fd = open(part, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0 || rename(part, final) != 0)
            status = lh__fail(e, LH_EIO, "%s: %s", final, strerror(errno));
        if (fd >= 0)
            close(fd);
    }
    if (status != LH_OK) {
        unlink(part);
        lh__error_prefix(e, "%s", url);
    } else if (f->sha256) {
        note(final, f->sha256);
    }
    return status;
}

static lh_status check_fetch(const lh__fetch *f, lh__error *e) {
    size_t digits = 0;

    while (f->sha256 && isxdigit((unsigned char)f->sha256[digits]))
        digits++;
    if (f->sha256 && (digits != DIGEST_TEXT - 1 || f->sha256[digits]))
        return lh__fail(e, LH_EINVAL, "fetching %s: the checksum must be %d hex digits", f->path,
                        DIGEST_TEXT - 1);
    if (f->n_urls < 0 || (f->n_urls && !f->urls))
        return lh__fail(e, LH_EINVAL, "fetching %s: the URLs are missing", f->path);
    return LH_OK;
}

lh_status lh__data_fetch(const lh__fetch *f, lh__error *e) {
    char path[PATH_MAX];
    lh__error quiet = {0}, last = {0};
    lh_status status = lh__data_find(f->root, f->path, path, sizeof path, &quiet);

    if (status == LH_OK) {
        status = check_fetch(f, e);
        if (status != LH_OK || !f->sha256 || is_noted(path, f->sha256))
            return status;
        status = verify(path, f->sha256, e);
        if (status == LH_OK)
            note(path, f->sha256);
        else
            lh__error_prefix(e, "not the file that is needed; move it away or replace it");
        return status;
    }
    if (status != LH_ENOTFOUND)
        return lh__fail(e, status, "%s", quiet.text);
    status = check_fetch(f, e);
    if (status == LH_OK)
        status = join(f->root, f->path, "", path, sizeof path, e);
    if (status != LH_OK)
        return status;
    make_folders(path);
    status = LH_ENOTFOUND;
    for (int32_t i = 0; i < f->n_urls; i++) {
        last.code = LH_OK;
        status = fetch_from(f, f->urls[i], path, &last);
        if (status == LH_OK)
            return LH_OK;
    }
    return lh__fail(e, status,
                    "%s can't be fetched (%s); put the file there yourself, plain or as %s.gz%s%s",
                    path, f->n_urls ? last.text : "no URL is known", path,
                    f->sha256 ? ", content of SHA-256 " : "", f->sha256 ? f->sha256 : "");
}
