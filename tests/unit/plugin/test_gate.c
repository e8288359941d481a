/* test_gate.c - what the two gates refuse and what they say, on real plugins. */
#include "plugin/gate.h"
#include "plugin/plugin.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <string.h>

#include "files.h"

/* File, whether it may be loaded, and words of the message. */
typedef struct verdict {
    char file[24];
    int loads;
    char says[2][64];
} verdict;

static verdict verdicts[] = {
    {"good", 1, {"", ""}},
    {"wrong_magic", 0, {"magic", ""}},
    {"other_major", 0, {"needs host ABI 2.0", "this host is 1."}},
    {"newer_minor", 0, {"plugin newer-minor needs host ABI 1.999", "this host is 1."}},
    {"bad_name", 0, {"name is not", ""}},
    {"short_table", 1, {"", ""}},
    {"stunted_table", 0, {"plugin stunted-table", "struct_size 16"}},
    {"odd_table", 0, {"plugin odd-table", "multiple of 8"}},
    {"endless_table", 0, {"plugin endless-table", "struct_size 65536"}},
    {"long_zero", 1, {"", ""}},
    {"long_set", 0, {"plugin long-set: its module sets a member at byte", "newer lhost"}},
    {"both_names", 0, {"sets configure_model and configure_sharded_model", "one of the two"}},
    {"missing_hook", 0, {"plugin missing-hook: its module lacks configure_model", ""}},
    {"missing_step", 0, {"plugin missing-step: its module lacks a step", "training_step"}},
    {"kinds_differ", 0, {"kinds names a callback", "not set"}},
    {"old_exporter", 0, {"revision 1 of the draft", "rebuild"}},
    {"lacking_exporter", 0, {"exporter lacks maps or write"}},
    {"foreign_hook", 0, {"hook on_fit_start of its module", "not code of this plugin"}},
    {"hparam_range", 0, {"default of dropout, 1.5", "within 0 and 1"}},
    {"hparam_twice", 0, {"declares hidden twice", ""}},
    {"undefined", 0, {"undefined symbol function_that_nobody_has", ""}},
    {"no_symbol", 0, {"no_symbol.so: no symbol lhost_plugin", ""}},
};

ParameterizedTestParameters(gate, judges) {
    return cr_make_param_array(verdict, verdicts, sizeof verdicts / sizeof *verdicts);
}

ParameterizedTest(verdict *v, gate, judges) {
    lh__error err = {0};
    char path[512];
    lh__plugin *p;

    snprintf(path, sizeof path, PLUGINS "/%s.so", v->file);
    p = lh__plugin_load(path, NULL, &err);
    cr_assert_eq(p != NULL, v->loads, "%s: %s", v->file, err.text);
    cr_assert_eq(err.code, v->loads ? LH_OK : LH_EPLUGIN, "%s", err.text);
    assert_says(err, v->says[0]);
    assert_says(err, v->says[1]);
    lh__plugin_free(p);
}

/* The unknown hook of long_set is its second beyond this host's table. */
Test(gate, names_the_byte_it_does_not_know) {
    lh__error err = {0};
    char words[64];

    cr_assert_null(lh__plugin_load(PLUGINS "/long_set.so", NULL, &err));
    snprintf(words, sizeof words, "byte %zu", sizeof(lh_module) + 8);
    assert_says(err, words);
}

Test(gate, reads_zero_beyond_a_short_table) {
    lh__plugin *p = lh__plugin_load(PLUGINS "/short_table.so", NULL, NULL);

    cr_assert_not_null(p->module.forward);
    for (int h = 0; h < LH__N_HOOKS; h++)
        if (lh__hooks[h].offset[LH__TABLE_MODULE] >= (int)offsetof(lh_module, on_fit_start))
            cr_assert_null(lh__hook_of(&p->module, LH__TABLE_MODULE, (lh__hook)h));
    lh__plugin_free(p);
}

static lh_plugin prefix(void) {
    return (lh_plugin){.magic = LH_MAGIC_,
                       .abi_major = LH_ABI_MAJOR,
                       LH_SIZED(lh_plugin),
                       .kinds = LH_KIND_MODULE,
                       .name = "a-model-2",
                       .version = "1.0"};
}

static void refuses(const lh_plugin *p, uint64_t symbol_size, const char *words) {
    lh__error err = {0};

    cr_assert_eq(lh__gate_prefix(p, symbol_size, &err), LH_EPLUGIN, "%s", words);
    assert_says(err, words);
}

Test(gate, reads_the_prefix) {
    lh_plugin p = prefix();

    cr_assert_eq(lh__gate_prefix(&p, sizeof p, NULL), LH_OK);
    refuses(&p, sizeof p - 8, "its symbol has");
    p.struct_size = 72;
    refuses(&p, sizeof p, "says it is 72 bytes");
    p = prefix();
    p.kinds = 0;
    refuses(&p, sizeof p, "none set");
    p.kinds = 1 << 20;
    refuses(&p, sizeof p, "does not know");
    p = prefix();
    memset(p.version, 'v', sizeof p.version);
    refuses(&p, sizeof p, "version is longer");
    p = prefix();
    memset(p.name, 'n', sizeof p.name);
    refuses(&p, sizeof p, "name is not");
    memset(p.name, 0, sizeof p.name);
    refuses(&p, sizeof p, "name is not");
}
