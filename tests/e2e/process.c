/* process.c - see process.h. */
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORDS = 64, MAX_ENV = 256 };

extern char **environ;

static char folder[64];
static const char *fault;

static int remove_one(const char *path, const struct stat *about, int kind, struct FTW *where) {
    return remove(path);
}

void enter_folder(void) {
    strcpy(folder, "/tmp/lhost-run-XXXXXX");
    cr_assert(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(symlink(getenv("LHOST_TEST_PLUGINS"), "p"), 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

void leave_folder(void) {
    if (chdir("/") == 0)
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void without_data(void) {
    setenv("LHOST_DATA_DIR", "data", 1);
    setenv("https_proxy", "http://127.0.0.1:9", 1); /* nobody listens */
    setenv("http_proxy", "http://127.0.0.1:9", 1);
}

/* The test's own environment, the fault added. */
static void fill_environment(char *env[MAX_ENV]) {
    static char preload[1024], spec[64];
    int n = 0;

    for (char **e = environ; *e && n < MAX_ENV - 3; e++)
        env[n++] = *e;
    if (fault) {
        snprintf(preload, sizeof preload, "LD_PRELOAD=%s", getenv("LHOST_TEST_FAULT_LIB"));
        snprintf(spec, sizeof spec, "LHOST_FAULT=%s", fault);
        env[n++] = preload;
        env[n++] = spec;
    }
    env[n] = NULL;
}

static pid_t spawn(const char *format, va_list args) {
    char text[4096], *words[MAX_WORDS] = {"lhost"}, *env[MAX_ENV], *rest = NULL;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    int n = 1, error;
    pid_t pid;

    cr_assert_lt(vsnprintf(text, sizeof text, format, args), (int)sizeof text);
    for (char *w = strtok_r(text, " ", &rest); w && n < MAX_WORDS - 1;
         w = strtok_r(NULL, " ", &rest))
        words[n++] = w;
    fill_environment(env);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, "stdout", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawn_file_actions_addopen(&files, 2, "stderr", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
    error = posix_spawn(&pid, getenv("LHOST_TEST_LHOST"), &files, &attributes, words, env);
    cr_assert_eq(error, 0, "%s: %s", getenv("LHOST_TEST_LHOST"), strerror(error));
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return pid;
}

pid_t start(const char *format, ...) {
    va_list args;
    pid_t pid;

    va_start(args, format);
    pid = spawn(format, args);
    va_end(args);
    return pid;
}

int ends(pid_t pid) {
    int status, end = 0;

    for (;;) {
        pid_t gone = waitpid(-1, &status, 0);
        if (gone == pid)
            end = WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
        if (gone < 0 && errno != EINTR)
            return end;
    }
}

int run(const char *format, ...) {
    va_list args;
    pid_t pid;

    va_start(args, format);
    pid = spawn(format, args);
    va_end(args);
    return ends(pid);
}

char *read_text(const char *path, size_t *size) {
    FILE *file = fopen(path, "rb");
    char *text;
    long n;

    if (!file)
        return NULL;
    fseek(file, 0, SEEK_END);
    n = ftell(file);
    rewind(file);
    text = malloc((size_t)n + 1);
    cr_assert(text);
    n = (long)fread(text, 1, (size_t)n, file);
    text[n] = 0;
    fclose(file);
    if (size)
        *size = (size_t)n;
    return text;
}

void write_bytes(const char *path, const void *data, size_t size) {
    FILE *file = fopen(path, "wb");

    cr_assert(file, "%s: %s", path, strerror(errno));
    cr_assert_eq(fwrite(data, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

static const char *latest(const char *path) {
    static char *text[2];
    int which = strcmp(path, "stdout") == 0;

    free(text[which]);
    text[which] = read_text(path, NULL);
    return text[which] ? text[which] : "";
}

const char *said(void) {
    return latest("stderr");
}

const char *printed(void) {
    return latest("stdout");
}

void wait_for_words(const char *words) {
    for (int i = 0; i < 2000; i++) {
        if (strstr(said(), words))
            return;
        usleep(10000);
    }
    cr_assert_fail("never said '%s': %s", words, said());
}

void set_fault(const char *spec) {
    fault = spec;
}

void check_end(const char *file, int line, int ended, int expected, const char *words) {
    const char *text = said();

    cr_assert_eq(ended, expected, "%s:%d: exit code %d, not %d: %s", file, line, ended, expected,
                 text);
    while (*words) {
        int n = (int)strcspn(words, "|");
        char part[256];

        snprintf(part, sizeof part, "%.*s", n, words);
        cr_assert(strstr(text, part), "%s:%d: '%s' is not said: %s", file, line, part, text);
        words += n + (words[n] == '|');
    }
}

int count_of(const char *variable, int otherwise) {
    const char *text = getenv(variable);

    return text && *text ? atoi(text) : otherwise;
}
