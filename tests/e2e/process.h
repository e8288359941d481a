/* process.h - lhost as a person runs it: real processes in a folder of the test's own.
 *
 * Words are given as one text, split at spaces, with printf's conversions: run("run --model
 * p/steady.so --max_epochs %d", 3). In the folder, `p` leads to the tests' plugins.
 */
#ifndef LH_TESTS_E2E_PROCESS_H
#define LH_TESTS_E2E_PROCESS_H

#include <criterion/criterion.h>
#include <sys/types.h>

/* Makes the test's folder and goes there; leaves and removes it. For a suite's .init and .fini. */
void enter_folder(void);
void leave_folder(void);

/* The next runs find no data and no network to get them from: examples make their own. */
void without_data(void);

/* Runs lhost to its end. The exit code, or minus the signal that ended it. */
int run(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Starts lhost as the leader of a process group; ends(pid) waits for it, and for every process
 * that it leaves behind. */
pid_t start(const char *format, ...) __attribute__((format(printf, 1, 2)));
int ends(pid_t pid);

/* Waits until the run says this on stderr, at most 20 s. */
void wait_for_words(const char *words);

/* What the last run wrote to stderr and stdout. Valid until the next call. */
const char *said(void);
const char *printed(void);

/* The next runs are made to fail by libfault.so as LHOST_FAULT says; NULL: no more. */
void set_fault(const char *spec);

/* A whole file, NUL-terminated, freed by the caller. NULL: there is none. */
char *read_text(const char *path, size_t *size);
void write_bytes(const char *path, const void *data, size_t size);

/* Runs, and checks the exit code and that each of the words, separated by '|', was said. */
#define expect(code, words, ...) check_end(__FILE__, __LINE__, run(__VA_ARGS__), (code), (words))
void check_end(const char *file, int line, int ended, int expected, const char *words);

/* A count that the environment may set, for slower builds: LHOST_TEST_KILLS, LHOST_TEST_BATCHES */
int count_of(const char *variable, int otherwise);

#endif
