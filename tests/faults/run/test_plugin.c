/* test_plugin.c - files that are no plugin, or a bad one: refused before training, with the reason.
 */
#include "folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

TestSuite(plugin, .init = enter_folder, .fini = leave_folder, .timeout = 60);

#define REFUSED(words, model) expect(2, words, "run --model %s --max_epochs 1", model)

Test(plugin, no_such_file) {
    REFUSED("no plugin file ./absent.so", "./absent.so");
    REFUSED("no plugin absent|LHOST_PLUGIN_PATH", "absent");
}

Test(plugin, not_an_elf_file) {
    write_bytes("text.so", "#!/bin/sh\necho this is no plugin\n", 33);
    REFUSED("text.so|not an ELF file", "./text.so");
    write_bytes("empty.so", "", 0);
    REFUSED("empty.so", "./empty.so");
}

/* e_machine is the 16 bits at 18 of an ELF file; 243 is RISC-V. */
Test(plugin, wrong_machine) {
    size_t size;
    char *bytes = read_text("p/steady.so", &size);

    bytes[18] = (char)243;
    bytes[19] = 0;
    write_bytes("other.so", bytes, size);
    REFUSED("other.so|machine", "./other.so");
    free(bytes);
}

Test(plugin, truncated) {
    size_t size;
    char *bytes = read_text("p/steady.so", &size);

    for (size_t part = 1; part < 16; part++) {
        write_bytes("part.so", bytes, size * part / 16);
        REFUSED("part.so", "./part.so");
    }
    free(bytes);
}

Test(plugin, breaks_the_contract) {
    static const struct {
        const char *file, *words;
    } cases[] = {
        {"no_symbol", "lhost_plugin"},
        {"wrong_magic", "magic"},
        {"other_major", "ABI 2"},
        {"newer_minor", "999"},
        {"stunted_table", "module"},
        {"odd_table", "module"},
        {"endless_table", "module"},
        {"long_set", "newer"},
        {"missing_hook", "configure_model"},
        {"missing_step", "training_step"},
        {"undefined", "undefined symbol function_that_nobody_has"},
        {"constructor_crash", "constructor|SIGSEGV"},
        {"constructor_abort", "constructor|SIGABRT"},
        {"constructor_exit", "constructor|exit(3)"},
        {"bad_name", "name"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char file[64];

        snprintf(file, sizeof file, "p/%s.so", cases[i].file);
        REFUSED(cases[i].words, file);
        cr_assert_neq(access("lightning_logs", F_OK), 0, "%s left a folder", file);
    }
}

Test(plugin, of_another_kind) {
    REFUSED("breaks.so is no model", "p/breaks.so");
    expect(2, "steady.so is no callback",
           "run --model p/steady.so --callback p/steady.so --max_epochs 1");
}

/* A module whose table ends early is one that does not define the later hooks. */
Test(plugin, short_table_is_an_older_one) {
    REFUSED("short-table does not define", "p/short_table.so");
}
