/* plugin.c - from a file to a plugin that may be called: read, inspect, copy, map, check.
 *
 * Invariant: the bytes inspected, hashed, copied and mapped are the same ones, read once.
 */
#include "plugin/plugin.h"

#include "plugin/child.h"
#include "plugin/gate.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include <sha2.h>

enum { PROBE_MS = 10000, MAX_WARNINGS = 16 };

static lh_status no_memory(lh__error *err) {
    return lh__fail(err, LH_ENOMEM, "out of memory");
}

/* Appends a sentence; one that does not fit in memory is lost. */
static void warn(lh__plugin *p, const char *fmt, ...) LH_PRINTF(2, 3);
static void warn(lh__plugin *p, const char *fmt, ...) {
    va_list args;

    if (!p->warnings)
        p->warnings = calloc(MAX_WARNINGS, sizeof *p->warnings);
    va_start(args, fmt);
    if (p->warnings && p->n_warnings < MAX_WARNINGS &&
        vasprintf(&p->warnings[p->n_warnings], fmt, args) >= 0)
        p->n_warnings++;
    va_end(args);
}

/* All of the regular file at `path`. */
static lh_status read_image(lh__plugin *p, lh__error *err) {
    int fd = open(p->path, O_RDONLY | O_CLOEXEC);
    lh_status status = LH_OK;
    struct stat s;

    if (fd < 0 || fstat(fd, &s) != 0) {
        status = lh__fail(err, errno == ENOENT ? LH_ENOTFOUND : LH_EIO, "%s", strerror(errno));
        goto done;
    }
    if (!S_ISREG(s.st_mode)) {
        status = lh__fail(err, LH_EPLUGIN, "not a regular file");
        goto done;
    }
    p->image = malloc((size_t)s.st_size + 1);
    if (!p->image) {
        status = no_memory(err);
        goto done;
    }
    while (p->image_size < (size_t)s.st_size) {
        ssize_t n = read(fd, p->image + p->image_size, (size_t)s.st_size - p->image_size);

        if (n <= 0 && !(n < 0 && errno == EINTR)) {
            status = lh__fail(err, LH_EIO, "%s", n < 0 ? strerror(errno) : "it is being written");
            goto done;
        }
        p->image_size += n > 0 ? (size_t)n : 0;
    }
done:
    if (fd >= 0)
        close(fd);
    return status;
}

static void hash_image(lh__plugin *p) {
    SHA2_CTX c;
    uint8_t digest[SHA256_DIGEST_LENGTH];

    SHA256Init(&c);
    SHA256Update(&c, p->image, p->image_size);
    SHA256Final(digest, &c);
    for (int i = 0; i < SHA256_DIGEST_LENGTH; i++)
        snprintf(p->sha256 + 2 * i, 3, "%02x", digest[i]);
}

/* Libraries with threads, devices or memory of their own, which two copies would fight over. */
static void warn_of_libraries(lh__plugin *p) {
    static const char *const shared[] = {"libopenblas", "libcudart", "libcublas", "libnccl"};

    for (int i = 0; i < p->elf.needed.count; i++)
        for (size_t k = 0; k < sizeof shared / sizeof *shared; k++)
            if (strncmp(p->elf.needed.at[i], shared[k], strlen(shared[k])) == 0)
                warn(p,
                     "plugin %s brings %s, of which the host has its own; compute with the "
                     "operators of lhost/ops.h instead",
                     p->name, p->elf.needed.at[i]);
}

/* What static inspection found: refused, or worth a warning. */
static lh_status judge_elf(lh__plugin *p, lh__error *err) {
    const lh__elf *e = &p->elf;

    if (e->has_textrel)
        return lh__fail(err, LH_EPLUGIN, "its code needs relocations; compile it with -fPIC");
    if (e->has_exec_stack)
        return lh__fail(err, LH_EPLUGIN,
                        "it asks for an executable stack; link it with -Wl,-z,noexecstack");
    if (e->leaks.total)
        warn(p,
             "plugin %s exports %d symbol%s beside lhost_plugin (%s%s), which may collide with "
             "those of others; build it with $(pkg-config --cflags --libs lhost) or make them "
             "static",
             p->name, e->leaks.total, e->leaks.total > 1 ? "s" : "", e->leaks.at[0],
             e->leaks.total > 1 ? ", ..." : "");
    if (e->constructors)
        warn(p,
             "plugin %s runs %d constructor%s when it is loaded; do that work in setup or "
             "configure_model",
             p->name, e->constructors, e->constructors > 1 ? "s" : "");
    if (e->has_static_tls)
        warn(p,
             "plugin %s wants static thread-local storage, of which there is little; compile "
             "it without -ftls-model=initial-exec",
             p->name);
    else if (e->has_tls)
        warn(p,
             "plugin %s has thread-local variables; each host thread gets its own, so keep "
             "state in self",
             p->name);
    if (e->has_unique)
        warn(p,
             "plugin %s defines symbols that are shared across plugins; compile it with "
             "-fno-gnu-unique",
             p->name);
    warn_of_libraries(p);
    return LH_OK;
}

/* Writes all of the image to a new file beside `p->copy` and renames it there, so that no process
 * ever sees a part. */
static lh_status write_copy(const lh__plugin *p, lh__error *err) {
    lh_status status = LH_OK;
    char *temp = NULL;
    int fd = -1;

    if (asprintf(&temp, "%s.XXXXXX", p->copy) < 0)
        return no_memory(err);
    fd = mkostemp(temp, O_CLOEXEC);
    for (size_t done = 0; fd >= 0 && done < p->image_size;) {
        ssize_t n = write(fd, p->image + done, p->image_size - done);
        if (n < 0 && errno != EINTR)
            goto fail;
        done += n > 0 ? (size_t)n : 0;
    }
    if (fd >= 0 && fchmod(fd, 0644) == 0 && rename(temp, p->copy) == 0)
        goto done;
fail:
    status = lh__fail(err, LH_EIO, "cannot copy it to %s: %s", p->copy, strerror(errno));
    if (fd >= 0)
        unlink(temp);
done:
    if (fd >= 0)
        close(fd);
    free(temp);
    return status;
}

/* The private copy. A copy of the same digest that is already there is the same plugin loaded
 * before, maybe mapped now: it stays as it is if its content is whole. */
static lh_status make_copy(lh__plugin *p, const char *dir, lh__error *err) {
    lh__plugin old = {0};
    char *absolute = NULL;
    lh_status status;
    int is_there;

    if (!dir) {
        const char *tmp = getenv("TMPDIR");
        if (asprintf(&p->temp_dir, "%s/lhost-XXXXXX", tmp && *tmp ? tmp : "/tmp") < 0)
            return p->temp_dir = NULL, no_memory(err);
        if (!mkdtemp(p->temp_dir)) {
            status =
                lh__fail(err, LH_EIO, "cannot make a folder %s: %s", p->temp_dir, strerror(errno));
            free(p->temp_dir);
            p->temp_dir = NULL;
            return status;
        }
        dir = p->temp_dir;
    }
    absolute = realpath(dir, NULL);
    if (!absolute)
        return lh__fail(err, LH_EIO, "cannot copy it to the folder %s: %s", dir, strerror(errno));
    if (asprintf(&p->copy, "%s/%s-%.12s.so", absolute, p->name, p->sha256) < 0) {
        p->copy = NULL;
        free(absolute);
        return no_memory(err);
    }
    free(absolute);

    old.path = p->copy;
    is_there = read_image(&old, NULL) == LH_OK && old.image_size == p->image_size &&
               memcmp(old.image, p->image, p->image_size) == 0;
    free(old.image);
    return is_there ? LH_OK : write_copy(p, err);
}

lh__plugin *lh__plugin_open(const char *path, const char *copy_dir, lh__error *err) {
    lh__error own = {0};
    lh__plugin *p = calloc(1, sizeof *p);
    lh_plugin root;

    if (!p || !(p->path = realpath(path, NULL))) {
        lh__fail(&own, p ? LH_ENOTFOUND : LH_ENOMEM, "%s", strerror(errno));
        goto fail;
    }
    if (read_image(p, &own) != LH_OK ||
        lh__elf_inspect(p->image, p->image_size, &p->elf, &own) != LH_OK)
        goto fail;
    memcpy(p->head, p->image + p->elf.plugin_offset, LH__PLUGIN_HEAD);
    if (lh__gate_prefix(p->head, p->elf.plugin_size, &own) != LH_OK)
        goto fail;
    memset(&root, 0, sizeof root);
    memcpy(&root, p->head, LH__PLUGIN_HEAD);
    memcpy(p->name, root.name, sizeof p->name);
    memcpy(p->version, root.version, sizeof p->version);
    p->kinds = root.kinds;
    p->abi_minor = root.abi_minor;
    hash_image(p);
    if (judge_elf(p, &own) == LH_OK && make_copy(p, copy_dir, &own) == LH_OK)
        return p;
fail:
    lh__fail(err, own.code, "%s: %s", path, own.text);
    lh__plugin_free(p);
    return NULL;
}

/* Collects the segments of the object that is loaded at `where->base`. */
typedef struct locator {
    uintptr_t base;
    lh__mapping mapping;
} locator;

static int note_segments(struct dl_phdr_info *info, size_t size, void *arg) {
    locator *l = arg;
    lh__mapping *m = &l->mapping;

    if (info->dlpi_addr != l->base)
        return 0;
    for (int i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *s = &info->dlpi_phdr[i];

        if (s->p_type == PT_LOAD && m->n_ranges < LH__MAX_RANGES) {
            m->range[m->n_ranges].begin = l->base + s->p_vaddr;
            m->range[m->n_ranges].end = l->base + s->p_vaddr + s->p_memsz;
            m->range[m->n_ranges++].is_code = (s->p_flags & PF_X) != 0;
        }
    }
    return 1;
}

/* What dlopen said, for the author of `plugin`. Undefined symbols are what it mostly finds. */
static lh_status explain_dlopen(const char *plugin, const char *text, lh__error *err) {
    static const char mark[] = "undefined symbol: ";
    const char *symbol = text ? strstr(text, mark) : NULL;

    if (!symbol)
        return lh__fail(err, LH_EPLUGIN, "%s: %s", plugin, text ? text : "dlopen failed");
    symbol += sizeof mark - 1;
    return lh__fail(err, LH_EPLUGIN,
                    "%s: undefined symbol %.*s; link the library that defines it (the host exports "
                    "none: its functions are the lh_ wrappers of <lhost/lhost.h>)",
                    plugin, (int)strcspn(symbol, " \t\n("), symbol);
}

lh_status lh__plugin_bind(lh__plugin *p, lh__error *err) {
    lh__tables_copy tables;
    locator l = {0};
    const lh_plugin *root;
    struct link_map *map;
    lh_status status;
    void *handle;

    handle = dlopen(p->copy, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (!handle)
        return explain_dlopen(p->path, dlerror(), err);
    root = dlsym(handle, "lhost_plugin");
    if (!root || dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0)
        return lh__fail(err, LH_EPLUGIN, "plugin %s: %s", p->name, dlerror());
    l.base = map->l_addr;
    dl_iterate_phdr(note_segments, &l);
    if ((uintptr_t)root != l.base + p->elf.plugin_address)
        return lh__fail(err, LH_EPLUGIN,
                        "plugin %s: its lhost_plugin is that of another object; link no other "
                        "plugin into it",
                        p->name);

    status = lh__gate_tables(root, p->head, &l.mapping, &tables, err);
    if (status != LH_OK)
        return status;
    p->module = tables.module;
    p->datamodule = tables.datamodule;
    p->callback = tables.callback;
    p->logger = tables.logger;
    p->strategy = tables.root.strategy;
    p->accelerator = tables.root.accelerator;
    p->exporter = tables.exporter;
    memcpy(p->hparams, tables.hparams, sizeof p->hparams);
    p->is_bound = 1;
    return LH_OK;
}

static int probe_job(void *arg, int fd) {
    const char *text;

    if (dlopen(arg, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))
        return 0;
    text = dlerror();
    return write(fd, text, strlen(text)) < 0 ? 2 : 1;
}

lh_status lh__plugin_probe(const char *path, int timeout_ms, lh__error *err) {
    char *absolute = realpath(path, NULL), *output = NULL;
    lh__error how = {0};

    if (!absolute)
        return lh__fail(err, LH_ENOTFOUND, "%s: %s", path, strerror(errno));
    if (lh__in_child(probe_job, absolute, timeout_ms, &output, &how) != LH_OK) {
        if (output && *output)
            explain_dlopen(path, output, err);
        else
            lh__fail(err, how.code, "%s: a constructor of it %s", path, how.text);
    }
    free(output);
    free(absolute);
    return how.code;
}

lh__plugin *lh__plugin_load(const char *path, const char *copy_dir, lh__error *err) {
    lh__plugin *p = lh__plugin_open(path, copy_dir, err);

    if (p && ((p->elf.constructors && lh__plugin_probe(p->copy, PROBE_MS, err) != LH_OK) ||
              lh__plugin_bind(p, err) != LH_OK)) {
        lh__plugin_free(p);
        p = NULL;
    }
    return p;
}

const void *lh__plugin_table(const lh__plugin *p, lh__table t) {
    const void *const tables[LH__N_TABLES] = {&p->module, &p->datamodule, &p->callback, &p->logger};
    return p->kinds & (1u << t) ? tables[t] : NULL;
}

void lh__plugin_free(lh__plugin *p) {
    if (!p)
        return;
    if (p->temp_dir) {
        if (p->copy)
            unlink(p->copy);
        rmdir(p->temp_dir);
    }
    for (int t = 0; t < LH__N_TABLES; t++)
        free(p->hparams[t]);
    for (int i = 0; i < p->n_warnings; i++)
        free(p->warnings[i]);
    free(p->warnings);
    free(p->temp_dir);
    free(p->image);
    free(p->copy);
    free(p->path);
    free(p);
}
