/* gzip.c - see gzip.h. libdeflate does the work: about three times as fast as zlib, at the price of
 * needing all of the data and room for all of the content. */
#include "data/gzip.h"

#include <errno.h>
#include <fcntl.h>
#include <libdeflate.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Deflate can't shrink anything further than 1032 to 1; data that asks for more room is lying. */
enum { MAX_RATIO = 1032, SMALLEST = 18 };

int lh__is_gzip(const void *bytes, size_t size) {
    return size >= 2 && memcmp(bytes, "\x1f\x8b", 2) == 0;
}

static int reserve(lh__blob *b, size_t size) {
    lh__blob_free(b);
    b->memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (b->memory == MAP_FAILED) {
        b->memory = NULL;
        return 0;
    }
    b->reserved = size;
    if (size >= 2u << 20)
        madvise(b->memory, size, MADV_HUGEPAGE);
    return 1;
}

/* All members into out->memory. LH_SKIP: there is not room enough. */
static lh_status inflate(struct libdeflate_decompressor *d, const uint8_t *in, size_t size,
                         const char *name, lh__blob *out, lh__error *e) {
    out->size = 0;
    while (size > 0) {
        size_t used, made;
        enum libdeflate_result r =
            libdeflate_gzip_decompress_ex(d, in, size, (uint8_t *)out->memory + out->size,
                                          out->reserved - out->size, &used, &made);

        if (r == LIBDEFLATE_INSUFFICIENT_SPACE)
            return LH_SKIP;
        if (r != LIBDEFLATE_SUCCESS)
            return lh__fail(e, LH_ECORRUPT, "%s: truncated or corrupt gzip data; fetch it again",
                            name);
        in += used, size -= used;
        out->size += made;
    }
    return LH_OK;
}

lh_status lh__gunzip(const void *bytes, size_t size, const char *name, lh__blob *out,
                     lh__error *e) {
    struct libdeflate_decompressor *d = libdeflate_alloc_decompressor();
    const uint8_t *in = bytes, *last = in + size - 4;
    lh_status status = LH_SKIP;
    size_t room, most = size < SIZE_MAX / 2 / MAX_RATIO ? size * MAX_RATIO : SIZE_MAX / 2;

    memset(out, 0, sizeof *out);
    if (!d)
        return lh__fail(e, LH_ENOMEM, "%s: no memory to inflate it", name);
    if (size < SMALLEST) {
        status = lh__fail(e, LH_ECORRUPT, "%s: truncated gzip data; fetch it again", name);
        goto done;
    }
    /* The last four bytes are the length of the last member; an empty one needs room all the same.
     */
    room = ((size_t)last[3] << 24 | (size_t)last[2] << 16 | (size_t)last[1] << 8 | last[0]) + 1;
    for (; status == LH_SKIP; room *= 2) {
        room = room < most ? room : most;
        if (!reserve(out, room))
            status = lh__fail(e, LH_ENOMEM, "%s: no memory for %zu bytes", name, room);
        else
            status = inflate(d, in, size, name, out, e);
        if (status == LH_SKIP && room == most)
            status = lh__fail(e, LH_ECORRUPT, "%s: corrupt gzip data; fetch it again", name);
    }
done:
    libdeflate_free_decompressor(d);
    if (status != LH_OK)
        lh__blob_free(out);
    return status;
}

lh_status lh__map_file(const char *path, lh__blob *out, lh__error *e) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    lh_status status = LH_OK;
    struct stat st;

    memset(out, 0, sizeof *out);
    if (fd < 0 || fstat(fd, &st) != 0) {
        status =
            lh__fail(e, errno == ENOENT ? LH_ENOTFOUND : LH_EIO, "%s: %s", path, strerror(errno));
        goto done;
    }
    if (!S_ISREG(st.st_mode) || st.st_size == 0) {
        status = lh__fail(e, LH_ECORRUPT, "%s: %s", path,
                          S_ISREG(st.st_mode) ? "truncated: the file is empty" : "not a file");
        goto done;
    }
    out->size = out->reserved = (size_t)st.st_size;
    out->memory = mmap(NULL, out->size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, fd, 0);
    if (out->memory == MAP_FAILED) {
        out->memory = NULL;
        status = lh__fail(e, LH_EIO, "%s: %s", path, strerror(errno));
    }
done:
    if (fd >= 0)
        close(fd);
    return status;
}

void lh__blob_free(lh__blob *b) {
    if (b->memory)
        munmap(b->memory, b->reserved);
    memset(b, 0, sizeof *b);
}
