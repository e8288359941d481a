/* fault.c - libfault.so, preloaded into a real process to make one of its system calls fail.
 *
 * LHOST_FAULT=CALL:N:WHAT with CALL write, fsync or rename; N the call it happens at, from 1, or 0:
 * every call; WHAT an errno name of the table, SHORT (write half), or KILL (die: in the middle of a
 * write, just before the others). Calls on stdin, stdout and stderr, and
 * on what is no file on a disk, are left alone and not counted.
 */
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SHORT = -1, KILL = -2 };

static const struct {
    const char *name;
    int number;
} whats[] = {{"ENOSPC", ENOSPC}, {"EIO", EIO},       {"EDQUOT", EDQUOT}, {"EROFS", EROFS},
             {"EINTR", EINTR},   {"EACCES", EACCES}, {"SHORT", SHORT},   {"KILL", KILL}};

static atomic_int calls; /* of the kind that LHOST_FAULT names */

/* What to do at this call: 0: nothing special. */
static int fault_at(const char *call) {
    const char *spec = getenv("LHOST_FAULT");
    char name[16], what[16];
    int at;

    if (!spec || sscanf(spec, "%15[a-z]:%d:%15[A-Z]", name, &at, what) != 3 ||
        strcmp(name, call) != 0)
        return 0;
    if (atomic_fetch_add(&calls, 1) + 1 != at && at != 0)
        return 0;
    for (size_t i = 0; i < sizeof whats / sizeof *whats; i++)
        if (strcmp(whats[i].name, what) == 0)
            at = whats[i].number;
    if (at == KILL && strcmp(call, "write") != 0)
        kill(getpid(), SIGKILL);
    return at;
}

static int failed(int number) {
    errno = number;
    return -1;
}

static int is_on_disk(int fd) {
    struct stat about;

    return fd > STDERR_FILENO && fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

ssize_t write(int fd, const void *data, size_t size) {
    ssize_t (*real)(int, const void *, size_t);
    int fault = is_on_disk(fd) ? fault_at("write") : 0;

    *(void **)&real = dlsym(RTLD_NEXT, "write");
    if (fault > 0)
        return failed(fault);
    if (fault < 0 && size > 1)
        size /= 2;
    if (fault != KILL)
        return real(fd, data, size);
    real(fd, data, size);
    kill(getpid(), SIGKILL);
    return failed(EIO);
}

int fsync(int fd) {
    int (*real)(int);
    int fault = fault_at("fsync");

    *(void **)&real = dlsym(RTLD_NEXT, "fsync");
    return fault > 0 ? failed(fault) : real(fd);
}

int rename(const char *from, const char *to) {
    int (*real)(const char *, const char *);
    int fault = fault_at("rename");

    *(void **)&real = dlsym(RTLD_NEXT, "rename");
    return fault > 0 ? failed(fault) : real(from, to);
}
