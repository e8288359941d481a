/* The program itself, as a process: subcommands, exit codes, streams. */
#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char out[65536], err[65536];
static char folder[] = "/tmp/lhost-cli-XXXXXX";

static void slurp(const char *path, char *text, size_t size) {
    FILE *f = fopen(path, "r");

    text[f ? fread(text, 1, size - 1, f) : 0] = '\0';
    if (f)
        fclose(f);
}

/* Runs "lhost WORDS" in a folder of this test's own; fills out and err. Returns the exit code. */
static int lhost(const char *words) {
    char command[1024];
    int status;

    snprintf(command, sizeof command, "cd %s && %s %s >out 2>err", folder, getenv("LHOST"), words);
    status = system(command);
    snprintf(command, sizeof command, "%s/out", folder);
    slurp(command, out, sizeof out);
    snprintf(command, sizeof command, "%s/err", folder);
    slurp(command, err, sizeof err);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void begin(void) {
    cr_assert(getenv("LHOST"), "LHOST names the program");
    cr_assert(mkdtemp(folder));
}

static void end(void) {
    char command[256];

    snprintf(command, sizeof command, "rm -rf %s", folder);
    cr_assert_eq(system(command), 0);
}

TestSuite(commands, .init = begin, .fini = end);

Test(commands, usage) {
    cr_expect_eq(lhost(""), 2);
    cr_expect_eq(lhost("runn"), 2);
    cr_expect(strstr(err, "did you mean 'run'?"), "%s", err);
    cr_expect_str_empty(out);
    cr_expect_eq(lhost("run"), 2);
    cr_expect(strstr(err, "--model FILE.so"), "%s", err);
    cr_expect_eq(lhost("fit --max_epoch 3"), 2);
    cr_expect(strstr(err, "did you mean 'max_epochs'?"), "%s", err);
    cr_expect_eq(lhost("test --model x.so --test"), 2);
    cr_expect_eq(lhost("run --model nonexistent.so --max_epochs 1"), 2);
    cr_expect(strstr(err, "nonexistent.so"), "%s", err);
}

Test(commands, help_is_made_from_the_tables) {
    static const char *const words[] = {
        "help",         "--help",         "-h",          "run --help", "fit -h",        "help test",
        "help inspect", "inspect --help", "ckpt --help", "new --help", "version --help"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        cr_expect_eq(lhost(words[i]), 0, "%s", words[i]);
        cr_expect(strstr(out, "usage: lhost"), "%s", words[i]);
        cr_expect_str_empty(err);
    }
    lhost("run --help");
    cr_expect(strstr(out, "--max_epochs") && strstr(out, "--seed_everything") &&
              strstr(out, "--profiler"));
    cr_expect_eq(lhost("help nothing"), 2);
}

Test(commands, version) {
    json_t *facts;

    cr_assert_eq(lhost("version"), 0);
    cr_expect(strstr(out, "plugin abi  1."), "%s", out);
    cr_expect_eq(lhost("version --json"), 0);
    facts = json_loads(out, 0, NULL);
    cr_expect(json_is_string(json_object_get(facts, "compiler")), "%s", out);
    json_decref(facts);
    cr_expect_eq(lhost("version 3"), 2);
}

Test(commands, print_config_can_be_run_again) {
    char first[sizeof out], command[256];

    cr_assert_eq(lhost("run --model m.so --max_epochs 3 --model.lr 1e-3 --print_config"), 0);
    strcpy(first, out);
    cr_expect(strstr(first, "max_epochs: 3"), "%s", first);
    snprintf(command, sizeof command, "cd %s && cp out a.yaml", folder);
    cr_assert_eq(system(command), 0);
    cr_assert_eq(lhost("run --config a.yaml --print_config"), 0, "%s", err);
    cr_expect_str_eq(out, first);
}

Test(commands, new_makes_a_plugin_that_builds) {
    char command[1024];

    cr_assert_eq(lhost("new model tiny_net"), 0, "%s", err);
    snprintf(
        command, sizeof command,
        "cd %s/tiny_net && cc -shared -fPIC -fvisibility=hidden -I%s tiny_net.c -o tiny_net.so -lm",
        folder, getenv("SDK"));
    cr_assert_eq(system(command), 0);
    cr_assert_eq(lhost("inspect tiny_net/tiny_net.so"), 0, "%s", err);
    cr_expect(strstr(out, "tiny-net"), "%s", out);
    cr_expect_eq(lhost("new model tiny_net"), 2);
    cr_expect(strstr(err, "exists"), "%s", err);
    cr_expect_eq(lhost("new callback my_watch"), 0, "%s", err);
    cr_expect_eq(lhost("new modul x"), 2);
    cr_expect(strstr(err, "did you mean 'model'?"), "%s", err);
    cr_expect_eq(lhost("new model ../x"), 2);
}

Test(commands, inspect_refuses_what_is_no_plugin) {
    cr_expect_eq(lhost("inspect"), 2);
    cr_expect_eq(lhost("inspect err"), 2);
    cr_expect_eq(lhost("inspect /bin/sh"), 2);
    cr_expect_eq(lhost("inspect --jsn x"), 2);
}

/* A file made by the rules of the format: one f32 tensor "w" of shape 2 x 1. */
Test(commands, ckpt_show_lists_tensors) {
    const char *header = "{\"w\":{\"dtype\":\"F32\",\"shape\":[2,1],\"data_offsets\":[0,8]}}     ";
    unsigned char size[8] = {(unsigned char)strlen(header)}, data[8] = {0};
    char path[128];
    FILE *f;
    json_t *shown;

    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    f = fopen(path, "wb");
    fwrite(size, 1, 8, f);
    fwrite(header, 1, strlen(header), f);
    fwrite(data, 1, 8, f);
    fclose(f);
    cr_assert_eq(lhost("ckpt show w.safetensors"), 0, "%s", err);
    cr_expect(strstr(out, "1 tensors, 8 bytes, not written by lhost"), "%s", out);
    cr_expect(strstr(out, "2 x 1"), "%s", out);
    cr_assert_eq(lhost("ckpt show w.safetensors --json"), 0);
    shown = json_loads(out, 0, NULL);
    cr_expect_eq(json_integer_value(json_object_get(
                     json_array_get(json_object_get(shown, "tensors"), 0), "bytes")),
                 8);
    json_decref(shown);
    cr_expect_eq(lhost("ckpt show nothing"), 2);
    cr_expect_eq(lhost("ckpt"), 2);
    cr_expect_eq(lhost("ckpt show err"), 2);
}
