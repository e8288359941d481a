/* test_root.c - data files are found, fetched, verified, and never replaced by wrong ones. */
#include "data/root.h"

#include "files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sha2.h>
#include <sys/socket.h>
#include <sys/stat.h>

static const char *folder;
static lh__error e;

static void setup(void) {
    folder = new_folder();
    cr_assert_eq(setenv("XDG_CACHE_HOME", folder, 1), 0);
}

static void teardown(void) {
    remove_folder(folder);
}

TestSuite(root, .init = setup, .fini = teardown, .timeout = 20);

Test(root, comes_from_the_option_or_the_environment) {
    unsetenv("LHOST_DATA_DIR");
    cr_assert_str_eq(lh__data_root(NULL), "data");
    setenv("LHOST_DATA_DIR", "/env", 1);
    cr_assert_str_eq(lh__data_root(NULL), "/env");
    cr_assert_str_eq(lh__data_root(""), "/env");
    cr_assert_str_eq(lh__data_root("/option"), "/option");
}

Test(root, finds_plain_before_gzip) {
    char path[PATH_MAX], want[PATH_MAX];

    write_file(folder, "a.gz", "x", 1);
    cr_assert_eq(lh__data_find(folder, "a", path, sizeof path, &e), LH_OK);
    snprintf(want, sizeof want, "%s/a.gz", folder);
    cr_assert_str_eq(path, want);
    write_file(folder, "a", "x", 1);
    snprintf(want, sizeof want, "%s/a", folder);
    cr_assert_eq(lh__data_find(folder, "a", path, sizeof path, &e), LH_OK);
    cr_assert_str_eq(path, want);
    cr_assert_eq(lh__data_find("/elsewhere", want, path, sizeof path, &e), LH_OK);
    cr_assert_str_eq(path, want);
}

Test(root, says_where_it_looked) {
    char path[PATH_MAX], small[8];

    cr_assert_eq(lh__data_find(folder, "b", path, sizeof path, &e), LH_ENOTFOUND);
    cr_expect(strstr(e.text, "/b is not there, nor is /tmp") && strstr(e.text, "/b.gz;"), "%s",
              e.text);
    cr_assert_eq(lh__data_find(folder, "b", small, sizeof small, NULL), LH_EINVAL);
    cr_assert_eq(lh__data_find(folder, "", path, sizeof path, NULL), LH_EINVAL);
}

/* A real HTTP server on the loopback interface: answers every GET of a file of `folder`. */

static struct {
    int socket, port;
    int requests;
    pthread_t thread;
} server;

static void answer(int client) {
    char request[2048], name[256] = "", path[PATH_MAX], body[65536];
    ssize_t n = read(client, request, sizeof request - 1);
    size_t size;
    FILE *f;

    if (n <= 0)
        return;
    request[n] = '\0';
    sscanf(request, "GET /%255s", name);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "rb");
    size = f ? fread(body, 1, sizeof body, f) : 0;
    n = snprintf(request, sizeof request,
                 "HTTP/1.1 %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                 f ? "200 OK" : "404 Not Found", size);
    if (write(client, request, (size_t)n) != n || write(client, body, size) != (ssize_t)size)
        cr_log_warn("the client went away");
    if (f)
        fclose(f);
}

static void *serve(void *arg) {
    int client;

    while ((client = accept(server.socket, NULL, NULL)) >= 0) {
        __atomic_fetch_add(&server.requests, 1, __ATOMIC_RELAXED);
        answer(client);
        close(client);
    }
    return NULL;
}

static void start_server(void) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;

    server.socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_eq(bind(server.socket, (struct sockaddr *)&at, size), 0, "%s", strerror(errno));
    cr_assert_eq(listen(server.socket, 8), 0);
    cr_assert_eq(getsockname(server.socket, (struct sockaddr *)&at, &size), 0);
    server.port = ntohs(at.sin_port);
    cr_assert_eq(pthread_create(&server.thread, NULL, serve, NULL), 0);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
}

static void stop_server(void) {
    shutdown(server.socket, SHUT_RDWR);
    pthread_join(server.thread, NULL);
    close(server.socket);
}

static const char *url_of(const char *name) {
    static char urls[4][128];
    static int next;
    char *url = urls[next++ % 4];

    snprintf(url, sizeof *urls, "http://127.0.0.1:%d/%s", server.port, name);
    return url;
}

static int64_t reported;

static void on_progress(void *user, const char *path, int64_t done, int64_t total) {
    reported = done;
}

static const char text[] = "what the file holds";

static lh_status fetch(const char *url, const char *sha256) {
    static char root[PATH_MAX];
    lh__fetch f = {.root = root,
                   .path = "set/file",
                   .urls = (const char *[]){url_of("missing"), url},
                   .n_urls = 2,
                   .sha256 = sha256,
                   .progress = on_progress};

    snprintf(root, sizeof root, "%s/data", folder);
    e.code = LH_OK;
    return lh__data_fetch(&f, &e);
}

static int exists(const char *name) {
    char path[PATH_MAX];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    return access(path, F_OK) == 0;
}

static int files_in(const char *name) {
    char command[PATH_MAX];
    int count = -1;
    FILE *p;

    snprintf(command, sizeof command, "ls -A '%s/%s' | wc -l", folder, name);
    p = popen(command, "r");
    cr_assert_eq(fscanf(p, "%d", &count), 1);
    pclose(p);
    return count;
}

#ifdef LH_HAVE_CURL
Test(root, fetches_verifies_and_remembers) {
    char hex[SHA256_DIGEST_STRING_LENGTH];

    SHA256Data((const uint8_t *)text, sizeof text, hex);
    write_file(folder, "plain", text, sizeof text);
    start_server();
    cr_assert_eq(fetch(url_of("plain"), hex), LH_OK, "%s", e.text);
    cr_assert(exists("data/set/file") && files_in("data/set") == 1);
    cr_assert_eq(reported, sizeof text);
    cr_assert_eq(server.requests, 2);
    cr_assert(exists("lhost/verified"));
    cr_assert_eq(fetch(url_of("plain"), hex), LH_OK, "%s", e.text);
    cr_assert_eq(server.requests, 2, "what is there is not fetched again");
    write_file(folder, "data/set/file", "damaged", 7);
    cr_assert_eq(fetch(url_of("plain"), hex), LH_ECORRUPT);
    cr_expect(strstr(e.text, "not the file that is needed") && strstr(e.text, hex), "%s", e.text);
    cr_assert(exists("data/set/file"));
    stop_server();
}

Test(root, the_checksum_is_of_the_decompressed_content) {
    char hex[SHA256_DIGEST_STRING_LENGTH];

    SHA256Data((const uint8_t *)text, sizeof text, hex);
    write_gzip(folder, "packed", text, sizeof text);
    start_server();
    cr_assert_eq(fetch(url_of("packed"), hex), LH_OK, "%s", e.text);
    cr_assert(exists("data/set/file.gz") && files_in("data/set") == 1);
    stop_server();
}

Test(root, a_wrong_download_leaves_nothing) {
    char hex[SHA256_DIGEST_STRING_LENGTH];

    SHA256Data((const uint8_t *)"other", 5, hex);
    write_file(folder, "plain", text, sizeof text);
    start_server();
    cr_assert_eq(fetch(url_of("plain"), hex), LH_ECORRUPT);
    cr_expect(strstr(e.text, "data/set/file") && strstr(e.text, "put the file there yourself") &&
                  strstr(e.text, hex),
              "%s", e.text);
    cr_assert_eq(files_in("data/set"), 0);
    write_gzip(folder, "cut", text, sizeof text);
    cr_assert_eq(truncate(strcat(strcpy(hex, folder), "/cut"), 20), 0);
    SHA256Data((const uint8_t *)text, sizeof text, hex);
    cr_assert_eq(fetch(url_of("cut"), hex), LH_ECORRUPT);
    cr_expect(strstr(e.text, "truncated or corrupt gzip"), "%s", e.text);
    cr_assert_eq(files_in("data/set"), 0);
    cr_assert_eq(fetch(url_of("nowhere"), NULL), LH_EIO);
    cr_expect(strstr(e.text, "404"), "%s", e.text);
    cr_assert_eq(fetch("file:///etc/hostname", NULL), LH_EIO);
    cr_assert_eq(files_in("data/set"), 0);
    stop_server();
    cr_assert_eq(fetch(url_of("plain"), hex), LH_EIO);
}
#endif

/* Another content of the same size and time of change passes: it was not read again. */
Test(root, what_was_verified_is_not_read_again) {
    char hex[SHA256_DIGEST_STRING_LENGTH], path[PATH_MAX];
    lh__fetch f = {.root = folder, .path = "here", .sha256 = hex};
    struct stat st;

    SHA256Data((const uint8_t *)text, sizeof text, hex);
    write_file(folder, "here", text, sizeof text);
    cr_assert_eq(lh__data_fetch(&f, &e), LH_OK, "%s", e.text);
    snprintf(path, sizeof path, "%s/here", folder);
    cr_assert_eq(stat(path, &st), 0);
    write_file(folder, "here", "WHAT the file holds", sizeof text);
    utimensat(AT_FDCWD, path, (struct timespec[]){st.st_atim, st.st_mtim}, 0);
    cr_assert_eq(lh__data_fetch(&f, &e), LH_OK, "%s", e.text);
    utimensat(AT_FDCWD, path, (struct timespec[]){st.st_atim, {1, 0}}, 0);
    cr_assert_eq(lh__data_fetch(&f, &e), LH_ECORRUPT);
}

Test(root, what_is_there_needs_no_network) {
    char hex[SHA256_DIGEST_STRING_LENGTH];
    lh__fetch f = {.root = folder, .path = "here", .sha256 = hex};

    SHA256Data((const uint8_t *)text, sizeof text, hex);
    write_gzip(folder, "here.gz", text, sizeof text);
    cr_assert_eq(lh__data_fetch(&f, &e), LH_OK, "%s", e.text);
    f.path = "absent";
    cr_assert_eq(lh__data_fetch(&f, &e), LH_ENOTFOUND);
    cr_expect(strstr(e.text, "absent can't be fetched (no URL is known)"), "%s", e.text);
    f.sha256 = "abc";
    e.code = LH_OK;
    cr_assert_eq(lh__data_fetch(&f, &e), LH_EINVAL);
    cr_expect(strstr(e.text, "64 hex digits"), "%s", e.text);
}
