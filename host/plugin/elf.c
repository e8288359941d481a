/* elf.c - a bounds-checked reader of ELF-64 shared objects.
 *
 * Invariant: every access goes through at() or text(), which check it against the buffer; records
 * are copied out, so no alignment is assumed. The work is bounded by the size of the file.
 */
#include "plugin/elf.h"

#include <elf.h>
#include <string.h>

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#define MACHINE_NAME "x86-64"
#elif defined(__aarch64__)
#define MACHINE EM_AARCH64
#define MACHINE_NAME "AArch64"
#else
#error "name this machine's ELF number here"
#endif

enum { MAX_SEGMENTS = 64, MAX_DYNAMIC = 4096 };

typedef struct reader {
    const unsigned char *bytes;
    size_t size;
    Elf64_Phdr segments[MAX_SEGMENTS];
    int n_segments;
    /* From PT_DYNAMIC; addresses. */
    const unsigned char *strings; /* the dynamic string table */
    uint64_t symtab, strtab, strsize, hash, gnu_hash, init_array_size, flags;
    int has_textrel;
    lh__error *err;
} reader;

/* The `count` bytes at file offset `offset`, or NULL if the file does not have them all. */
static const unsigned char *at(const reader *r, uint64_t offset, uint64_t count) {
    return offset <= r->size && count <= r->size - offset ? r->bytes + offset : NULL;
}

/* Copies the record at `offset` to *record. */
static int read_record(const reader *r, uint64_t offset, void *record, size_t size) {
    const unsigned char *p = at(r, offset, size);

    if (p)
        memcpy(record, p, size);
    return p != NULL;
}

/* The file offset of `count` bytes at address `address`, or UINT64_MAX where no segment has them
 * all in the file. */
static uint64_t offset_of(const reader *r, uint64_t address, uint64_t count) {
    for (int i = 0; i < r->n_segments; i++) {
        const Elf64_Phdr *s = &r->segments[i];
        uint64_t within = address - s->p_vaddr;

        if (s->p_type == PT_LOAD && address >= s->p_vaddr && within <= s->p_filesz &&
            count <= s->p_filesz - within && s->p_offset <= UINT64_MAX - within &&
            at(r, s->p_offset + within, count))
            return s->p_offset + within;
    }
    return UINT64_MAX;
}

/* As read_record, at an address. */
static int read_mapped(const reader *r, uint64_t address, void *record, size_t size) {
    uint64_t offset = offset_of(r, address, size);
    return offset != UINT64_MAX && read_record(r, offset, record, size);
}

/* The string at `index` of the dynamic string table, or NULL. The table's last byte is zero, which
 * ends every string in it. */
static const char *text(const reader *r, uint64_t index) {
    return index < r->strsize ? (const char *)(r->strings + index) : NULL;
}

static void add_name(lh__elf_names *names, const char *name) {
    if (names->count < LH__ELF_NAMES)
        names->at[names->count++] = name;
    names->total++;
}

static lh_status broken(const reader *r, const char *what) {
    return lh__fail(r->err, LH_EPLUGIN, "damaged ELF file: %s", what);
}

/* The file header and the program headers. */
static lh_status read_segments(reader *r, lh__elf *out) {
    Elf64_Ehdr h;
    int stack_seen = 0;

    if (r->size < SELFMAG || memcmp(r->bytes, ELFMAG, SELFMAG) != 0)
        return lh__fail(r->err, LH_EPLUGIN,
                        "not an ELF file; a plugin is a shared object: cc -shared -fPIC");
    if (!read_record(r, 0, &h, sizeof h))
        return broken(r, "it ends within its header");
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_ident[EI_DATA] != ELFDATA2LSB)
        return lh__fail(r->err, LH_EPLUGIN,
                        "not a 64-bit little-endian object; build it for " MACHINE_NAME);
    if (h.e_machine != MACHINE)
        return lh__fail(r->err, LH_EPLUGIN,
                        "built for another machine (ELF machine %d, this host runs on " MACHINE_NAME
                        ", %d); build it on this machine",
                        h.e_machine, MACHINE);
    if (h.e_type != ET_DYN)
        return lh__fail(r->err, LH_EPLUGIN,
                        "not a shared object but ELF type %d; link it with cc -shared -fPIC",
                        h.e_type);
    if (h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum == 0 || h.e_phnum > MAX_SEGMENTS ||
        h.e_phoff > r->size)
        return broken(r, "its program headers make no sense");
    if (h.e_shoff > r->size || (uint64_t)h.e_shnum * h.e_shentsize > r->size - h.e_shoff)
        return broken(r, "it ends before its section headers");

    for (r->n_segments = 0; r->n_segments < h.e_phnum; r->n_segments++) {
        Elf64_Phdr *s = &r->segments[r->n_segments];

        if (!read_record(r, h.e_phoff + (uint64_t)r->n_segments * sizeof *s, s, sizeof *s))
            return broken(r, "it ends within its program headers");
        out->has_tls |= s->p_type == PT_TLS;
        if (s->p_type == PT_GNU_STACK) {
            stack_seen = 1;
            out->has_exec_stack |= (s->p_flags & PF_X) != 0;
        }
    }
    out->has_exec_stack |= !stack_seen; /* the dynamic linker's default */
    return LH_OK;
}

/* The dynamic section: where the tables are. Needed libraries are named in a second pass, once the
 * string table is known. */
static lh_status read_dynamic(reader *r, lh__elf *out) {
    uint64_t needed[LH__ELF_NAMES], strings;
    const Elf64_Phdr *dynamic = NULL;
    int n_needed = 0;

    for (int i = 0; i < r->n_segments; i++)
        if (r->segments[i].p_type == PT_DYNAMIC)
            dynamic = &r->segments[i];
    if (!dynamic)
        return broken(r, "it has no dynamic section");

    for (uint64_t i = 0; i < MAX_DYNAMIC && i < dynamic->p_filesz / sizeof(Elf64_Dyn); i++) {
        Elf64_Dyn d;

        if (dynamic->p_offset > r->size ||
            !read_record(r, dynamic->p_offset + i * sizeof d, &d, sizeof d))
            return broken(r, "it ends within its dynamic section");
        if (d.d_tag == DT_NULL)
            break;
        switch (d.d_tag) {
        case DT_SYMTAB:
            r->symtab = d.d_un.d_ptr;
            break;
        case DT_STRTAB:
            r->strtab = d.d_un.d_ptr;
            break;
        case DT_STRSZ:
            r->strsize = d.d_un.d_val;
            break;
        case DT_HASH:
            r->hash = d.d_un.d_ptr;
            break;
        case DT_GNU_HASH:
            r->gnu_hash = d.d_un.d_ptr;
            break;
        case DT_INIT_ARRAYSZ:
            r->init_array_size = d.d_un.d_val;
            break;
        case DT_FLAGS:
            r->flags = d.d_un.d_val;
            break;
        case DT_TEXTREL:
            out->has_textrel = 1;
            break;
        case DT_NEEDED:
            if (n_needed < LH__ELF_NAMES)
                needed[n_needed++] = d.d_un.d_val;
            break;
        default:
            break;
        }
    }
    strings = offset_of(r, r->strtab, r->strsize);
    if (r->strsize == 0 || strings == UINT64_MAX || r->bytes[strings + r->strsize - 1] != 0)
        return broken(r, "its string table is not one");
    r->strings = r->bytes + strings;
    for (int i = 0; i < n_needed; i++) {
        const char *name = text(r, needed[i]);
        if (!name)
            return broken(r, "a needed library has no name");
        add_name(&out->needed, name);
    }
    out->has_textrel |= (r->flags & DF_TEXTREL) != 0;
    out->has_static_tls |= (r->flags & DF_STATIC_TLS) != 0;
    if (r->init_array_size > sizeof(void *))
        out->constructors = (int)(r->init_array_size / sizeof(void *) % INT32_MAX) - 1;
    return LH_OK;
}

/* The number of dynamic symbols by the GNU hash table: one more than the last of the longest-placed
 * chain. Work: one step per bucket and per symbol of one chain, both within the file. */
static uint64_t count_gnu(const reader *r) {
    struct {
        uint32_t n_buckets, first, bloom_words, shift;
    } head;
    uint64_t buckets, chains, last = 0;
    uint32_t word;

    if (!read_mapped(r, r->gnu_hash, &head, sizeof head))
        return 0;
    buckets = r->gnu_hash + sizeof head + (uint64_t)head.bloom_words * sizeof(uint64_t);
    chains = buckets + (uint64_t)head.n_buckets * sizeof word;
    for (uint64_t i = 0; i < head.n_buckets; i++) {
        if (!read_mapped(r, buckets + i * sizeof word, &word, sizeof word))
            return 0;
        last = word > last ? word : last;
    }
    if (last < head.first)
        return head.first;
    do {
        if (!read_mapped(r, chains + (last - head.first) * sizeof word, &word, sizeof word))
            return 0;
        last++;
    } while (!(word & 1));
    return last;
}

static uint64_t count_symbols(const reader *r) {
    uint32_t head[2] = {0, 0}; /* buckets, chains: one per symbol */

    if (r->hash)
        return read_mapped(r, r->hash, head, sizeof head) ? head[1] : 0;
    return r->gnu_hash ? count_gnu(r) : 0;
}

/* Symbols that the linker and the compiler define in any object; "__" is theirs by the standard. */
static int is_toolchains(const char *name) {
    static const char *const names[] = {"_init", "_fini", "_edata", "_end"};

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return 1;
    return name[0] == '_' && name[1] == '_';
}

/* One dynamic symbol. `*plugin` is set when it is the one. */
static void sort_symbol(const Elf64_Sym *s, const char *name, Elf64_Sym *plugin, lh__elf *out) {
    int bind = ELF64_ST_BIND(s->st_info), type = ELF64_ST_TYPE(s->st_info);
    int hidden = ELF64_ST_VISIBILITY(s->st_other) != STV_DEFAULT &&
                 ELF64_ST_VISIBILITY(s->st_other) != STV_PROTECTED;

    if (s->st_shndx == SHN_UNDEF) {
        if (bind == STB_GLOBAL)
            add_name(&out->undefined, name);
    } else if (bind != STB_LOCAL && !hidden && type != STT_SECTION && type != STT_FILE) {
        out->has_unique |= bind == STB_GNU_UNIQUE;
        if (strcmp(name, "lhost_plugin") == 0)
            *plugin = *s;
        else if (!is_toolchains(name) && s->st_shndx != SHN_ABS)
            add_name(&out->leaks, name);
    }
}

static lh_status read_symbols(reader *r, lh__elf *out) {
    uint64_t n = count_symbols(r);
    Elf64_Sym plugin = {.st_shndx = SHN_UNDEF};

    for (uint64_t i = 1; i < n; i++) {
        const char *name;
        Elf64_Sym s;

        if (r->symtab > UINT64_MAX - i * sizeof s ||
            !read_mapped(r, r->symtab + i * sizeof s, &s, sizeof s) || !(name = text(r, s.st_name)))
            return broken(r, "its symbol table leads outside");
        if (*name)
            sort_symbol(&s, name, &plugin, out);
    }
    if (plugin.st_shndx == SHN_UNDEF)
        return lh__fail(r->err, LH_EPLUGIN,
                        "no symbol lhost_plugin; end the source with LH_EXPORT_MODULE(...) or "
                        "another of the LH_EXPORT_ macros");
    if (ELF64_ST_TYPE(plugin.st_info) != STT_OBJECT)
        return lh__fail(r->err, LH_EPLUGIN,
                        "lhost_plugin is not data; define it with one of the LH_EXPORT_ macros");
    out->plugin_address = plugin.st_value;
    out->plugin_size = plugin.st_size;
    out->plugin_offset = offset_of(r, plugin.st_value, LH__PLUGIN_HEAD);
    if (plugin.st_size < LH__PLUGIN_HEAD || out->plugin_offset == UINT64_MAX)
        return lh__fail(r->err, LH_EPLUGIN,
                        "lhost_plugin is %llu bytes of data, %d are the least; define it with one "
                        "of the LH_EXPORT_ macros",
                        (unsigned long long)plugin.st_size, LH__PLUGIN_HEAD);
    return LH_OK;
}

lh_status lh__elf_inspect(const void *bytes, size_t size, lh__elf *out, lh__error *err) {
    reader r = {.bytes = bytes, .size = size, .err = err};
    lh_status status;

    memset(out, 0, sizeof *out);
    if ((status = read_segments(&r, out)) == LH_OK && (status = read_dynamic(&r, out)) == LH_OK)
        status = read_symbols(&r, out);
    return status;
}
