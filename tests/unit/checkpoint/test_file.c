/* test_file.c - files that are replaced whole. What happens when calls fail: tests/faults. */
#include "checkpoint/file.h"
#include "fixture.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

TestSuite(file, .init = make_folder, .fini = remove_folder);

static void expect_content(const char *path, const char *content) {
    void *data;
    size_t size;
    lh__error e = {0};

    cr_assert_eq(lh__file_read(path, &data, &size, &e), LH_OK, "%s", e.text);
    cr_assert_eq(size, strlen(content));
    cr_assert(memcmp(data, content, size) == 0);
    free(data);
}

Test(file, write_makes_and_replaces) {
    const char *path = in_folder("a");

    cr_assert_eq(lh__file_write(path, "one", 3, NULL), LH_OK);
    expect_content(path, "one");
    cr_assert_eq(lh__file_write(path, "three", 5, NULL), LH_OK);
    expect_content(path, "three");
    cr_assert_eq(lh__file_write(path, "", 0, NULL), LH_OK);
    expect_content(path, "");
    cr_assert_eq(count_files(), 1);
}

Test(file, a_reader_keeps_the_file_it_opened) {
    const char *path = in_folder("a");
    char read_back[4] = "";
    int fd;

    lh__file_write(path, "old", 3, NULL);
    fd = open(path, O_RDONLY);
    lh__file_write(path, "new", 3, NULL);
    cr_assert_eq(read(fd, read_back, 3), 3);
    cr_assert_str_eq(read_back, "old");
    close(fd);
}

Test(file, permissions_follow_the_umask) {
    struct stat about;

    umask(027);
    cr_assert_eq(lh__file_write(in_folder("a"), "x", 1, NULL), LH_OK);
    cr_assert_eq(stat(in_folder("a"), &about), 0);
    cr_assert_eq(about.st_mode & 0777, 0640);
}

Test(file, missing_folders_are_made) {
    const char *path = in_folder("x/y/z/a");

    cr_assert_eq(lh__file_write(path, "deep", 4, NULL), LH_OK);
    expect_content(path, "deep");
    unlink(path);
    rmdir(in_folder("x/y/z"));
    rmdir(in_folder("x/y"));
    rmdir(in_folder("x"));
}

Test(file, a_plain_name_is_of_the_current_folder) {
    cr_assert_eq(chdir(folder), 0);
    cr_assert_eq(lh__file_write("plain", "here", 4, NULL), LH_OK);
    expect_content(in_folder("plain"), "here");
}

Test(file, impossible_paths_are_explained) {
    lh__error e = {0};

    lh__file_write(in_folder("file"), "x", 1, NULL);
    cr_assert_eq(lh__file_write(in_folder("file/a"), "x", 1, &e), LH_EIO);
    cr_assert(strstr(e.text, "file/a") && strstr(e.text, "is a file"), "%s", e.text);
    e.code = LH_OK;
    cr_assert_eq(lh__file_write(folder, "x", 1, &e), LH_EIO);
    cr_assert(strstr(e.text, "is a folder"), "%s", e.text);
    cr_assert_eq(count_files(), 1);
}

Test(file, copy_is_whole) {
    size_t size = (5 << 20) + 3;
    char *data = malloc(size);
    void *copied;
    size_t copied_size;

    for (size_t i = 0; i < size; i++)
        data[i] = (char)(i * 31 >> 3);
    lh__file_write(in_folder("from"), data, size, NULL);
    cr_assert_eq(lh__file_copy(in_folder("from"), in_folder("to"), NULL), LH_OK);
    cr_assert_eq(lh__file_read(in_folder("to"), &copied, &copied_size, NULL), LH_OK);
    cr_assert_eq(copied_size, size);
    cr_assert(memcmp(copied, data, size) == 0);
    cr_assert_eq(count_files(), 2);
    free(copied);
    free(data);
}

Test(file, copy_of_nothing_keeps_the_target) {
    lh__error e = {0};

    lh__file_write(in_folder("to"), "kept", 4, NULL);
    cr_assert_eq(lh__file_copy(in_folder("none"), in_folder("to"), &e), LH_ENOTFOUND);
    cr_assert(strstr(e.text, in_folder("none")), "%s", e.text);
    expect_content(in_folder("to"), "kept");
}

Test(file, remove_is_done_once_it_is_gone) {
    lh__file_write(in_folder("a"), "x", 1, NULL);
    cr_assert_eq(lh__file_remove(in_folder("a"), NULL), LH_OK);
    cr_assert_eq(access(in_folder("a"), F_OK), -1);
    cr_assert_eq(lh__file_remove(in_folder("a"), NULL), LH_OK);
    cr_assert_eq(lh__file_remove(folder, NULL), LH_EIO);
}

/* A temporary whose writer lives is locked and stays; one that nobody holds goes; other files are
 * not touched. */
Test(file, what_dead_writers_left_is_swept) {
    static const char *const others[] = {"a.tmp.12.0", ".a.tmp.", ".a.tmp.12", ".a.tmp.12.0.bak",
                                         ".a.tmp.x.0"};
    int live = open(in_folder(".b.tmp.13.0"), O_CREAT | O_WRONLY, 0666);

    cr_assert_eq(flock(live, LOCK_EX), 0);
    close(open(in_folder(".a.tmp.12.0"), O_CREAT | O_WRONLY, 0666));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        close(open(in_folder(others[i]), O_CREAT | O_WRONLY, 0666));
    cr_assert_eq(lh__file_write(in_folder("c"), "x", 1, NULL), LH_OK);
    cr_assert_eq(access(in_folder(".a.tmp.12.0"), F_OK), -1);
    cr_assert_eq(access(in_folder(".b.tmp.13.0"), F_OK), 0);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        cr_assert_eq(access(in_folder(others[i]), F_OK), 0, "%s", others[i]);
    close(live);
}
