/* test_plugin.c - finding and loading: names, copies, digests, what stays after a rebuild. */
#include "plugin/plugin.h"

#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

static void enter_empty_folder(void) {
    char folder[] = "/tmp/lhost-test-XXXXXX";

    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(folder), 0);
}

static void leave_and_remove_it(void) {
    char folder[PATH_MAX], command[PATH_MAX + 16];

    cr_assert_not_null(getcwd(folder, sizeof folder));
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    cr_assert_eq(chdir("/"), 0);
    cr_assert_eq(system(command), 0);
}

TestSuite(plugin, .init = enter_empty_folder, .fini = leave_and_remove_it);

static void copy_file(const char *from, const char *to) {
    size_t size;
    unsigned char *bytes = read_file(from, &size);

    write_file(to, bytes, size);
    free(bytes);
}

Test(plugin, loads_into_the_hosts_layout) {
    lh__error err = {0};
    lh__plugin *p = lh__plugin_load(PLUGINS "/good.so", NULL, &err);
    const lh_module *m;

    cr_assert(p, "%s", err.text);
    cr_assert_str_eq(p->name, "good");
    cr_assert_str_eq(p->version, "1.2.3");
    cr_assert_eq(p->kinds, LH_KIND_MODULE | LH_KIND_CALLBACK);
    m = lh__plugin_table(p, LH__TABLE_MODULE);
    cr_assert_eq(m->state_size, 48);
    cr_assert_eq(m->n_hparams, 4);
    cr_assert_str_eq(m->hparams[0].name, "lr");
    cr_assert_eq(m->hparams[0].max, INFINITY);
    cr_assert_str_eq(m->hparams[3].text_default, "relu");
    cr_assert_eq(p->callback.order, LH_ORDER_MONITOR);
    cr_assert_not_null(p->callback.setup);
    cr_assert_null(lh__plugin_table(p, LH__TABLE_LOGGER));
    cr_assert_eq(m->forward(NULL, NULL, (lh_tensor *)(void *)p), (lh_tensor *)(void *)p);
    lh__plugin_free(p);
}

/* The digest is that of sha256sum, and names the copy. */
Test(plugin, copies_and_hashes) {
    lh__plugin *p = lh__plugin_load(PLUGINS "/good.so", ".", NULL);
    char digest[65] = "", expected[PATH_MAX];
    FILE *f = popen("sha256sum " PLUGINS "/good.so", "r");

    cr_assert_eq(fscanf(f, "%64s", digest), 1);
    pclose(f);
    cr_assert_str_eq(p->sha256, digest);
    snprintf(expected, sizeof expected, "./good-%.12s.so", digest);
    cr_assert_eq(access(expected, R_OK), 0);
    cr_assert_eq(p->copy[0], '/');
    lh__plugin_free(p);
    cr_assert_eq(access(expected, R_OK), 0, "a run's copy stays");
}

Test(plugin, repairs_a_damaged_copy_and_keeps_a_whole_one) {
    lh__plugin *p = lh__plugin_open(PLUGINS "/good.so", ".", NULL);
    char copy[PATH_MAX];
    struct stat first, second;
    size_t size;

    strcpy(copy, p->copy);
    stat(copy, &first);
    lh__plugin_free(p);
    p = lh__plugin_open(PLUGINS "/good.so", ".", NULL);
    stat(copy, &second);
    cr_assert_eq(first.st_ino, second.st_ino);
    lh__plugin_free(p);

    write_file(copy, "half", 4);
    p = lh__plugin_load(PLUGINS "/good.so", ".", NULL);
    cr_assert_not_null(p);
    free(read_file(copy, &size));
    cr_assert_eq(size, p->image_size);
    lh__plugin_free(p);
}

/* What a rebuild under a running host does: the old code goes on, the new code loads beside it. */
Test(plugin, survives_a_rebuild_of_its_file) {
    lh__plugin *before, *after;

    copy_file(PLUGINS "/good.so", "model.so");
    before = lh__plugin_load("./model.so", ".", NULL);
    copy_file(PLUGINS "/short_table.so", "model.so"); /* over the same inode */
    after = lh__plugin_load("./model.so", ".", NULL);
    cr_assert_str_eq(after->name, "short-table");
    cr_assert_null(before->module.forward(NULL, NULL, NULL));
    cr_assert_null(after->module.forward(NULL, NULL, NULL));
    cr_assert_neq(before->module.forward, after->module.forward);
    lh__plugin_free(before);
    lh__plugin_free(after);
}

Test(plugin, leaves_nothing_in_the_temporary_folder) {
    char here[PATH_MAX];

    cr_assert_not_null(getcwd(here, sizeof here));
    setenv("TMPDIR", here, 1);
    lh__plugin_free(lh__plugin_load(PLUGINS "/good.so", NULL, NULL));
    cr_assert_null(lh__plugin_load(PLUGINS "/missing_hook.so", NULL, NULL));
    cr_assert_null(lh__plugin_load(PLUGINS "/wrong_magic.so", NULL, NULL));
    cr_assert_null(lh__plugin_load(PLUGINS "/constructor_crash.so", NULL, NULL));
    cr_assert_eq(rmdir(here), 0, "something was left");
    cr_assert_eq(mkdir(here, 0755), 0);
    cr_assert_eq(chdir(here), 0);
}

Test(plugin, warns_of_exports_and_names_the_cure) {
    lh__plugin *p = lh__plugin_load(PLUGINS "/leaky.so", NULL, NULL);

    cr_assert_geq(p->n_warnings, 1);
    cr_assert(strstr(p->warnings[0], "helper_everyone_can_see"), "%s", p->warnings[0]);
    cr_assert(strstr(p->warnings[0], "pkg-config --cflags --libs lhost"), "%s", p->warnings[0]);
    lh__plugin_free(p);
}

Test(plugin, takes_a_hook_under_its_older_name) {
    lh__plugin *p = lh__plugin_load(PLUGINS "/older_name.so", NULL, NULL);

    cr_assert_not_null(p);
    cr_assert(p->module.configure_model);
    cr_assert_null(p->module.configure_sharded_model);
    lh__plugin_free(p);
}

Test(plugin, warns_of_a_second_blas) {
    lh__plugin *p = lh__plugin_load(PLUGINS "/own_blas.so", NULL, NULL);
    int found = 0;

    for (int i = 0; i < p->n_warnings; i++)
        found += strstr(p->warnings[i], "own-blas brings libopenblas.so") != NULL;
    cr_assert_eq(found, 1);
    lh__plugin_free(p);
}

Test(plugin, is_found_by_path_and_by_name) {
    char *by_path, *by_name, *by_file;

    copy_file(PLUGINS "/good.so", "early-stop.so");
    by_path = lh__plugin_find("./early-stop.so", NULL);
    by_file = lh__plugin_find("early-stop.so", NULL);
    setenv("LHOST_PLUGIN_PATH", "/nowhere:.", 1);
    by_name = lh__plugin_find("early-stop", NULL);
    cr_assert(by_path && by_path[0] == '/');
    cr_assert_str_eq(by_file, by_path);
    cr_assert_str_eq(by_name, by_path);
    free(by_path);
    free(by_file);
    free(by_name);
}

Test(plugin, not_found_says_where_and_suggests) {
    lh__error err = {0}, far = {0}, path = {0};

    copy_file(PLUGINS "/good.so", "early-stop.so");
    setenv("LHOST_PLUGIN_PATH", "/nowhere:.", 1);
    cr_assert_null(lh__plugin_find("earlystop", &err));
    cr_assert_eq(err.code, LH_ENOTFOUND);
    assert_says(err, "did you mean early-stop?");
    assert_says(err, "/nowhere, .,");
    cr_assert_null(lh__plugin_find("zzzzzzzzzz", &far));
    cr_assert_null(strstr(far.text, "did you mean"));
    cr_assert_null(lh__plugin_find("./no-such.so", &path));
    assert_says(path, "no plugin file ./no-such.so");
}

Test(plugin, refuses_what_is_no_regular_file) {
    lh__error folder = {0}, missing = {0};

    cr_assert_null(lh__plugin_load("/tmp", NULL, &folder));
    assert_says(folder, "not a regular file");
    cr_assert_null(lh__plugin_load("./missing.so", NULL, &missing));
    cr_assert_eq(missing.code, LH_ENOTFOUND);
}
