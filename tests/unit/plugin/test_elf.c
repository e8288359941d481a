/* test_elf.c - static inspection of real, damaged and foreign objects. */
#include "plugin/elf.h"

#include <criterion/criterion.h>
#include <elf.h>
#include <string.h>

#include "files.h"

static lh_status inspect(const char *name, lh__elf *elf, unsigned char **bytes, lh__error *err) {
    char path[512];
    size_t size;

    snprintf(path, sizeof path, PLUGINS "/%s.so", name);
    *bytes = read_file(path, &size);
    return lh__elf_inspect(*bytes, size, elf, err);
}

static int has(const lh__elf_names *names, const char *name) {
    for (int i = 0; i < names->count; i++)
        if (strcmp(names->at[i], name) == 0)
            return 1;
    return 0;
}

Test(elf, finds_the_prefix_in_the_file) {
    lh__error err = {0};
    unsigned char *bytes;
    lh__elf elf;

    cr_assert_eq(inspect("good", &elf, &bytes, &err), LH_OK, "%s", err.text);
    cr_assert_eq(memcmp(bytes + elf.plugin_offset, "LHPLUG\r\n", 8), 0);
    cr_assert_str_eq((char *)bytes + elf.plugin_offset + 24, "good");
    cr_assert_eq(elf.plugin_size, 136);
    cr_assert_eq(elf.leaks.total, 0);
    cr_assert(!elf.has_textrel && !elf.has_exec_stack && !elf.has_tls);
    free(bytes);
}

Test(elf, tells_leaks_libraries_and_undefined_symbols) {
    lh__error err = {0};
    unsigned char *bytes;
    lh__elf elf;

    cr_assert_eq(inspect("leaky", &elf, &bytes, &err), LH_OK, "%s", err.text);
    cr_assert(has(&elf.leaks, "helper_everyone_can_see"));
    cr_assert_eq(elf.leaks.total, 1);
    free(bytes);
    cr_assert_eq(inspect("undefined", &elf, &bytes, &err), LH_OK, "%s", err.text);
    cr_assert(has(&elf.undefined, "function_that_nobody_has"));
    free(bytes);
    cr_assert_eq(inspect("foreign_hook", &elf, &bytes, &err), LH_OK, "%s", err.text);
    cr_assert(has(&elf.needed, "libc.so.6"));
    free(bytes);
}

/* Sanitizers bring constructors of their own, so counts are compared. */
Test(elf, counts_constructors_beyond_the_compilers) {
    lh__error err = {0};
    unsigned char *bytes;
    lh__elf plain, with;

    cr_assert_eq(inspect("good", &plain, &bytes, &err), LH_OK);
    free(bytes);
    cr_assert_eq(inspect("constructor_crash", &with, &bytes, &err), LH_OK);
    free(bytes);
    cr_assert_eq(with.constructors, plain.constructors + 1);
}

Test(elf, refuses_what_exports_no_plugin) {
    lh__error none = {0}, function = {0};
    unsigned char *bytes;
    lh__elf elf;

    cr_assert_eq(inspect("no_symbol", &elf, &bytes, &none), LH_EPLUGIN);
    assert_says(none, "no symbol lhost_plugin");
    free(bytes);
    cr_assert_eq(inspect("function_symbol", &elf, &bytes, &function), LH_EPLUGIN);
    assert_says(function, "not data");
    free(bytes);
}

Test(elf, refuses_other_files_and_machines) {
    lh__error err = {0};
    unsigned char *bytes;
    lh__elf elf;
    Elf64_Ehdr h;
    size_t size;

    cr_assert_eq(lh__elf_inspect("int main;\n", 10, &elf, &err), LH_EPLUGIN);
    assert_says(err, "not an ELF file");

    bytes = read_file(PLUGINS "/good.so", &size);
    memcpy(&h, bytes, sizeof h);
    h.e_machine = EM_SPARC;
    memcpy(bytes, &h, sizeof h);
    err = (lh__error){0};
    cr_assert_eq(lh__elf_inspect(bytes, size, &elf, &err), LH_EPLUGIN);
    assert_says(err, "another machine");
    free(bytes);

    bytes = read_file(PLUGINS "/good.so", &size);
    memcpy(&h, bytes, sizeof h);
    h.e_type = ET_REL;
    memcpy(bytes, &h, sizeof h);
    err = (lh__error){0};
    cr_assert_eq(lh__elf_inspect(bytes, size, &elf, &err), LH_EPLUGIN);
    assert_says(err, "not a shared object");
    free(bytes);
}

/* A stack that may be executed and text relocations are told: both are flags in program headers
 * and in the dynamic section. */
Test(elf, tells_an_executable_stack) {
    lh__error err = {0};
    unsigned char *bytes;
    lh__elf elf;
    Elf64_Ehdr h;
    size_t size;

    bytes = read_file(PLUGINS "/good.so", &size);
    memcpy(&h, bytes, sizeof h);
    for (int i = 0; i < h.e_phnum; i++) {
        unsigned char *at = bytes + h.e_phoff + (size_t)i * sizeof(Elf64_Phdr);
        Elf64_Phdr p;

        memcpy(&p, at, sizeof p);
        if (p.p_type == PT_GNU_STACK)
            p.p_flags |= PF_X;
        memcpy(at, &p, sizeof p);
    }
    cr_assert_eq(lh__elf_inspect(bytes, size, &elf, &err), LH_OK, "%s", err.text);
    cr_assert(elf.has_exec_stack);
    free(bytes);
}

/* Every prefix of the file, in a buffer of exactly that size, so that a sanitizer sees one byte too
 * far; and every byte of the headers set to 0xff. */
Test(elf, survives_truncation_and_damage) {
    unsigned char *bytes, *part;
    lh__elf elf;
    size_t size;

    bytes = read_file(PLUGINS "/good.so", &size);
    for (size_t n = 0; n < size; n += n < 4096 ? 1 : 61) {
        lh__error err = {0};

        part = malloc(n ? n : 1);
        memcpy(part, bytes, n);
        if (lh__elf_inspect(part, n, &elf, &err) != LH_OK)
            cr_assert_gt(strlen(err.text), 0);
        free(part);
    }
    for (size_t i = 0; i < 4096; i++) {
        unsigned char old = bytes[i];

        bytes[i] = 0xff;
        lh__elf_inspect(bytes, size, &elf, NULL);
        bytes[i] = old;
    }
    cr_assert_eq(lh__elf_inspect(bytes, size, &elf, NULL), LH_OK);
    free(bytes);
}
