/* test_checkpoint_faults.c - whatever fails while a checkpoint is written, the file on disk is a
 * whole one, the old one where the new one did not make it, and no temporary stays behind. */
#include "seeded.h"

#include <criterion/criterion.h>
#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { OLD = 1, NEW = 2 };

static char folder[64], path[96], words[96];

static void make_folder(void) {
    strcpy(folder, "/tmp/lhost-faults-XXXXXX");
    cr_assert(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/last.safetensors", folder);
    snprintf(words, sizeof words, "%s/stderr", folder);
}

static void remove_folder(void) {
    DIR *dir = opendir(folder);

    for (struct dirent *entry; (entry = readdir(dir));)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

TestSuite(faults, .init = make_folder, .fini = remove_folder, .timeout = 60);

/* Starts the saver, with a fault unless it is NULL. */
static pid_t start_saver(const char *fault, long seed, long count) {
    char seed_text[24], count_text[24];
    pid_t pid;

    snprintf(seed_text, sizeof seed_text, "%ld", seed);
    snprintf(count_text, sizeof count_text, "%ld", count);
    pid = fork();
    if (pid == 0) {
        int fd = open(words, O_WRONLY | O_CREAT | O_TRUNC, 0666);
        dup2(fd, STDERR_FILENO);
        close(fd);
        if (fault) {
            setenv("LD_PRELOAD", getenv("LHOST_TEST_FAULT_LIB"), 1);
            setenv("LHOST_FAULT", fault, 1);
            setenv("ASAN_OPTIONS", "verify_asan_link_order=0", 1);
        }
        execl(getenv("LHOST_TEST_SAVER"), "saver", path, seed_text, count_text, NULL);
        _exit(127);
    }
    cr_assert(pid > 0);
    return pid;
}

/* Its exit status, or minus the signal that killed it. */
static int end_of(pid_t pid) {
    int status;

    cr_assert_eq(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static int run_saver(const char *fault, long seed) {
    return end_of(start_saver(fault, seed, 1));
}

static int count_temporaries(void) {
    DIR *dir = opendir(folder);
    int n = 0;

    for (struct dirent *entry; (entry = readdir(dir));)
        n += strstr(entry->d_name, ".tmp.") != NULL;
    closedir(dir);
    return n;
}

static void expect_checkpoint(long seed, const char *after) {
    lh__error e = {0};
    long found = seeded_read(path, &e);

    cr_assert_eq(found, seed, "after %s: found %ld, expected %ld: %s", after, found, seed, e.text);
    cr_assert_eq(count_temporaries(), 0, "after %s: a temporary was left", after);
}

static void expect_words(const char *part, const char *after) {
    char text[2048] = "";
    FILE *file = fopen(words, "r");

    cr_assert(file);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    cr_assert(strstr(text, part), "after %s: the message lacks \"%s\": %s", after, part, text);
}

static const char *fault_spec(const char *call, int n, const char *what) {
    static char spec[48];

    snprintf(spec, sizeof spec, "%s:%d:%s", call, n, what);
    return spec;
}

Test(faults, failing_calls_keep_the_old_checkpoint) {
    static const struct {
        const char *call, *what, *words;
        int n;
    } cases[] = {{"write", "ENOSPC", "No space left on device", 1},
                 {"write", "EIO", "Input/output error", 1},
                 {"write", "EDQUOT", "quota", 1},
                 {"fsync", "EIO", "Input/output error", 1},
                 {"rename", "EACCES", "Permission denied", 1},
                 {"rename", "EROFS", "read-only", 1}};

    cr_assert_eq(run_saver(NULL, OLD), 0);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const char *spec = fault_spec(cases[i].call, cases[i].n, cases[i].what);
        cr_assert_eq(run_saver(spec, NEW), 1, "%s went unnoticed", spec);
        expect_checkpoint(OLD, spec);
        expect_words(path, spec);
        expect_words(cases[i].words, spec);
    }
}

/* The second fsync is the folder's: the new file is in place, but that it is durable is not
 * known, so the save has failed. */
Test(faults, a_folder_that_cannot_be_synced_is_an_error) {
    cr_assert_eq(run_saver(NULL, OLD), 0);
    cr_assert_eq(run_saver("fsync:2:EIO", NEW), 1);
    expect_checkpoint(NEW, "fsync:2:EIO");
    expect_words(folder, "fsync:2:EIO");
}

Test(faults, interrupted_and_short_calls_are_continued) {
    static const char *const specs[] = {"write:1:EINTR", "fsync:1:EINTR", "fsync:2:EINTR",
                                        "write:0:SHORT"};

    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        cr_assert_eq(run_saver(specs[i], NEW + (long)i), 0, "%s", specs[i]);
        expect_checkpoint(NEW + (long)i, specs[i]);
    }
}

/* Death at the n-th call of each kind, until a run gets past all of them; in a write, when half is
 * written. The next save cleans up. */
Test(faults, death_at_every_call_leaves_a_whole_checkpoint) {
    static const char *const calls[] = {"write", "fsync", "rename"};

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        int n = 0, end, left = 0;
        do {
            const char *spec = fault_spec(calls[i], ++n, "KILL");
            lh__error e = {0};
            long found;
            cr_assert_eq(run_saver(NULL, OLD), 0);
            expect_checkpoint(OLD, spec);
            end = run_saver(spec, NEW);
            left += count_temporaries();
            found = seeded_read(path, &e);
            cr_assert(found == OLD || found == NEW, "after %s: %ld %s", spec, found, e.text);
            cr_assert(end == 0 || end == -SIGKILL, "after %s: %d", spec, end);
        } while (end != 0);
        cr_assert_gt(n, 1, "no %s was made", calls[i]);
        cr_assert_gt(left, 0, "no death left part of a file: the test tests nothing");
    }
}

/* The file's identity, which every save changes. 0: no file. */
static ino_t inode(void) {
    struct stat about;

    return stat(path, &about) == 0 ? about.st_ino : 0;
}

/* kill -9 while checkpoints are saved in a loop, at moments that a generator of fixed seed picks
 * within the first milliseconds after a first save. */
Test(faults, death_at_any_moment_leaves_a_whole_checkpoint) {
    uint32_t random = 1;
    long latest = 1;

    for (int i = 0; i < 50; i++) {
        struct timespec pause = {0};
        lh__error e = {0};
        ino_t before = inode();
        pid_t pid = start_saver(NULL, latest + 1, 0);
        long found;

        while (inode() == before)
            usleep(100);
        random = random * 1664525u + 1013904223u; /* Numerical Recipes */
        pause.tv_nsec = (long)(random >> 8) % 5000000;
        nanosleep(&pause, NULL);
        kill(pid, SIGKILL);
        cr_assert_eq(end_of(pid), -SIGKILL);
        found = seeded_read(path, &e);
        cr_assert_gt(found, latest, "round %d: found %ld after %ld: %s", i, found, latest, e.text);
        latest = found;
    }
}

/* A real file system of 64 KiB, in a mount namespace of its own. */
Test(faults, full_disk) {
    lh__state *s;
    lh__error e = {0};
    float *large = calloc(50000, sizeof *large);

    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("tmpfs", folder, "tmpfs", 0, "size=64k") != 0)
        cr_skip_test("mounting a tmpfs needs root");
    s = seeded_state(OLD);
    cr_assert_eq(lh__safetensors_write(path, s, &e), LH_OK, "%s", e.text);
    cr_assert_eq(lh__state_put(s, "large", LH_F32, 1, (int64_t[]){50000}, large, &e), LH_OK);
    cr_assert_eq(lh__safetensors_write(path, s, &e), LH_EIO);
    cr_assert(strstr(e.text, path) && strstr(e.text, "No space left"), "%s", e.text);
    expect_checkpoint(OLD, "a full disk");
    lh__state_free(s);
    free(large);
    umount(folder);
}

/* As a user without privileges, whom permissions bind. */
Test(faults, read_only_folder) {
    pid_t pid;

    cr_assert_eq(run_saver(NULL, OLD), 0);
    chmod(folder, 0555);
    pid = fork();
    if (pid == 0) {
        lh__state *s = seeded_state(NEW);
        lh__error e = {0};
        if (geteuid() == 0 && setresuid(65534, 65534, 65534) != 0)
            _exit(2);
        _exit(lh__safetensors_write(path, s, &e) == LH_EIO && strstr(e.text, path) &&
                      strstr(e.text, "Permission denied")
                  ? 0
                  : 1);
    }
    cr_assert_eq(end_of(pid), 0);
    expect_checkpoint(OLD, "a read-only folder");
    chmod(folder, 0755);
}
