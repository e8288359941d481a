/* file.c - atomic, durable files: write aside, fsync, rename, fsync the folder. */
#include "checkpoint/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COPY_CHUNK = 1 << 20, ALIGNMENT = 64 };

/* What to do about an errno value. */
static const struct {
    int number;
    const char *advice;
} advices[] = {
    {ENOSPC, "free space on the disk or choose another folder"},
    {EDQUOT, "free space within the quota or choose another folder"},
    {EFBIG, "the file system or limit does not allow a file of this size: choose another folder"},
    {EACCES, "choose a folder that this user may write, or change its permissions"},
    {EPERM, "choose a folder that this user may write, or change its permissions"},
    {EROFS, "the file system is read-only: choose another folder"},
    {ENOENT, "check the path"},
    {ENOTDIR, "a part of the path is a file: check the path"},
    {EISDIR, "the path is a folder: give the name of a file"},
    {ENAMETOOLONG, "choose a shorter name"},
    {EIO, "the disk reports a fault: check it, or choose another one"},
};

static const char *advice_for(int number) {
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
        if (advices[i].number == number)
            return advices[i].advice;
    return "check the path and the disk";
}

/* Reports that `action` on `path` failed for the reason in errno. */
static lh_status fail_errno(lh__error *e, const char *action, const char *path) {
    int number = errno;
    char room[128];

    if (number == ENOMEM)
        return lh__fail(e, LH_ENOMEM, "out of memory: cannot %s %s", action, path);
    return lh__fail(e, number == ENOENT ? LH_ENOTFOUND : LH_EIO, "cannot %s %s: %s; %s", action,
                    path, strerror_r(number, room, sizeof room), advice_for(number));
}

/* The length of the folder part of `path`, its last slash not included; 0: no slash, or the
 * root's. */
static size_t folder_length(const char *path) {
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) : 0;
}

/* A new string: the folder of `path`. */
static char *folder_of(const char *path) {
    size_t n = folder_length(path);

    if (n == 0)
        return strdup(*path == '/' ? "/" : ".");
    return strndup(path, n);
}

static int sync_fd(int fd) {
    int rc;

    do
        rc = fsync(fd);
    while (rc != 0 && errno == EINTR);
    return rc;
}

/* Makes the entries of a folder durable. File systems that have no such notion say EINVAL. */
static int sync_folder(const char *folder) {
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc, number;

    if (fd < 0)
        return -1;
    rc = sync_fd(fd);
    if (rc != 0 && errno == EINVAL)
        rc = 0;
    number = errno;
    close(fd);
    errno = number;
    return rc;
}

/* Makes `folder` inside `above`, durably, unless it is there. 0 or -1 with errno. */
static int make_folder(const char *folder, const char *above) {
    if (mkdir(folder, 0777) != 0)
        return errno == EEXIST ? 0 : -1;
    return sync_folder(above);
}

/* Makes `folder` and those above it that are missing. 0 or -1 with errno. */
static int make_folders(const char *folder) {
    char *above = folder_of(folder);
    int rc;

    if (!above)
        return -1;
    rc = make_folder(folder, above);
    if (rc != 0 && errno == ENOENT && folder_length(folder) > 0) {
        rc = make_folders(above);
        if (rc == 0)
            rc = make_folder(folder, above);
    }
    free(above);
    return rc;
}

/* A file under way to `path`. Its writer holds a lock on the temporary (flock) as long as it lives:
 * one that can be locked was left by a killed process. */
typedef struct aside {
    const char *path;
    char *folder, *temp;
    int fd; /* -1: not open, and no temporary on disk */
} aside;

/* The name of a temporary: ".NAME.tmp.PID.N". */
static bool is_temporary(const char *name) {
    const char *tail = NULL;
    long pid;
    int n, end = 0;

    for (const char *at = name; (at = strstr(at, ".tmp.")); at++)
        tail = at;
    return *name == '.' && tail && tail > name &&
           sscanf(tail, ".tmp.%ld.%d%n", &pid, &n, &end) == 2 && tail[end] == '\0';
}

/* Removes what killed processes left in the folder. What cannot be read, locked or removed
 * stays: it is nobody's checkpoint. */
static void sweep(const char *folder) {
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir && (entry = readdir(dir))) {
        int fd;
        if (!is_temporary(entry->d_name))
            continue;
        fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
        if (fd < 0)
            continue;
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            unlinkat(dirfd(dir), entry->d_name, 0);
        close(fd);
    }
    if (dir)
        closedir(dir);
}

/* Opens and locks a new file at `temp`. -1 with errno, EEXIST: the name is taken, also when a
 * sweep came between opening and locking. */
static int open_locked(const char *temp) {
    struct stat about;
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return -1;
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
        continue; /* other failures: a file system without locks, where nobody sweeps */
    if (fstat(fd, &about) == 0 && about.st_nlink == 0) {
        close(fd);
        errno = EEXIST;
        return -1;
    }
    return fd;
}

/* On failure aside_abandon is still due. */
static lh_status aside_open(aside *a, const char *path, lh__error *e) {
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;

    *a = (aside){.path = path, .fd = -1, .folder = folder_of(path)};
    if (!a->folder)
        return lh__fail(e, LH_ENOMEM, "out of memory: cannot write %s", path);
    if (make_folders(a->folder) != 0)
        return fail_errno(e, "make the folder", a->folder);
    sweep(a->folder);
    for (int n = 0; a->fd < 0; n++) {
        free(a->temp);
        if (asprintf(&a->temp, "%s/.%s.tmp.%ld.%d", a->folder, name, (long)getpid(), n) < 0) {
            a->temp = NULL;
            return lh__fail(e, LH_ENOMEM, "out of memory: cannot write %s", path);
        }
        a->fd = open_locked(a->temp);
        if (a->fd < 0 && errno != EEXIST)
            return fail_errno(e, "write", path);
    }
    return LH_OK;
}

static lh_status aside_write(aside *a, const void *data, size_t size, lh__error *e) {
    const char *at = data;

    while (size > 0) {
        ssize_t n = write(a->fd, at, size);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            errno = n == 0 ? ENOSPC : errno;
            return fail_errno(e, "write", a->path);
        }
        at += n;
        size -= (size_t)n;
    }
    return LH_OK;
}

/* Puts the file in its place, durably or not. The lock is held until then. */
static lh_status aside_commit(aside *a, bool durable, lh__error *e) {
    int fd = a->fd;

    if (durable && sync_fd(fd) != 0)
        return fail_errno(e, "make durable (fsync)", a->path);
    if (rename(a->temp, a->path) != 0)
        return fail_errno(e, "move the finished file to", a->path);
    a->fd = -1;
    close(fd); /* fsync has said all that this could */
    if (durable && sync_folder(a->folder) != 0)
        return fail_errno(e, "make durable (fsync) the folder", a->folder);
    return LH_OK;
}

static void aside_abandon(aside *a) {
    if (a->fd >= 0) {
        close(a->fd);
        unlink(a->temp);
    }
    free(a->temp);
    free(a->folder);
}

static lh_status put(const char *path, const void *data, size_t size, bool durable, lh__error *e) {
    aside a;
    lh_status status = aside_open(&a, path, e);

    if (status == LH_OK)
        status = aside_write(&a, data, size, e);
    if (status == LH_OK)
        status = aside_commit(&a, durable, e);
    aside_abandon(&a);
    return status;
}

lh_status lh__file_write(const char *path, const void *data, size_t size, lh__error *e) {
    return put(path, data, size, true, e);
}

lh_status lh__file_put(const char *path, const void *data, size_t size, lh__error *e) {
    return put(path, data, size, false, e);
}

/* read(2) that retries after signals. */
static ssize_t read_some(int fd, void *to, size_t size) {
    ssize_t n;

    do
        n = read(fd, to, size);
    while (n < 0 && errno == EINTR);
    return n;
}

lh_status lh__file_copy(const char *from, const char *to, lh__error *e) {
    aside a = {.fd = -1};
    lh_status status = LH_OK;
    int fd = open(from, O_RDONLY | O_CLOEXEC);
    char *chunk = fd < 0 ? NULL : malloc(COPY_CHUNK);
    ssize_t n;

    if (!chunk) {
        status = fail_errno(e, "read", from);
        goto done;
    }
    status = aside_open(&a, to, e);
    while (status == LH_OK && (n = read_some(fd, chunk, COPY_CHUNK)) != 0)
        status = n < 0 ? fail_errno(e, "read", from) : aside_write(&a, chunk, (size_t)n, e);
    if (status == LH_OK)
        status = aside_commit(&a, true, e);
done:
    aside_abandon(&a);
    if (fd >= 0)
        close(fd);
    free(chunk);
    return status;
}

lh_status lh__file_remove(const char *path, lh__error *e) {
    if (unlink(path) != 0 && errno != ENOENT)
        return fail_errno(e, "remove", path);
    return LH_OK;
}

lh_status lh__file_read(const char *path, void **data, size_t *size, lh__error *e) {
    lh_status status = LH_OK;
    struct stat about;
    size_t done = 0, wanted;
    ssize_t n = 1;
    char *bytes = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return fail_errno(e, "read", path);
    if (fstat(fd, &about) != 0) {
        status = fail_errno(e, "read", path);
        goto done;
    }
    if (!S_ISREG(about.st_mode)) {
        status =
            lh__fail(e, LH_EINVAL, "cannot read %s: not a file; give the name of a file", path);
        goto done;
    }
    wanted = (size_t)about.st_size;
    bytes = aligned_alloc(ALIGNMENT, (wanted / ALIGNMENT + 1) * ALIGNMENT);
    if (!bytes) {
        status = lh__fail(e, LH_ENOMEM, "out of memory: %zu bytes to read %s", wanted, path);
        goto done;
    }
    while (done < wanted && (n = read_some(fd, bytes + done, wanted - done)) > 0)
        done += (size_t)n;
    if (n < 0) {
        status = fail_errno(e, "read", path);
        goto done;
    }
    *data = bytes;
    *size = done;
    bytes = NULL;
done:
    free(bytes);
    close(fd);
    return status;
}
