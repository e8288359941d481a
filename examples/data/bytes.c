/* bytes.c - see bytes.h. zlib's gzread reads plain files as well. */
#include "bytes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PATH_SIZE = 4096, FIRST_ROOM = 1 << 20 };

/* Where the file is, in `path` of PATH_SIZE bytes; 0: nowhere. */
static int find(lh_ctx *c, const char *name, char *path) {
    static const char *const suffixes[] = {"", ".gz"};

    for (int i = 0; i < 2; i++) {
        snprintf(path, PATH_SIZE, "%s/%s%s", lh_text(c, LH_DATA_ROOT), name, suffixes[i]);
        if (access(path, R_OK) == 0)
            return 1;
    }
    return 0;
}

int bytes_are_there(lh_ctx *c, const char *name) {
    char path[PATH_SIZE];

    return find(c, name, path);
}

/* The whole file, in memory to be freed by the caller; NULL and a recorded error. */
static uint8_t *slurp(lh_ctx *c, const char *path, size_t *size) {
    size_t room = FIRST_ROOM;
    uint8_t *data = malloc(room), *more;
    gzFile f = gzopen(path, "rbe");
    int n = 1, code = Z_OK;

    *size = 0;
    while (f && data && (n = gzread(f, data + *size, (unsigned)(room - *size))) > 0) {
        *size += (size_t)n;
        if (*size == room) {
            more = realloc(data, room *= 2);
            if (!more)
                free(data);
            data = more;
        }
    }
    if (!f)
        lh_fail(c, LH_EIO, "%s: %s", path, strerror(errno));
    else if (!data)
        lh_fail(c, LH_ENOMEM, "%s: out of memory", path);
    else if (n < 0)
        lh_fail(c, LH_ECORRUPT, "%s: %s; get the file again", path, gzerror(f, &code));
    if (f && gzclose(f) != Z_OK && n >= 0) /* the end of the stream is missing */
        lh_fail(c, LH_ECORRUPT, "%s: cut short; get the file again", path);
    if (lh_status_of(c) == LH_OK)
        return data;
    free(data);
    return NULL;
}

const uint8_t *bytes_read(lh_ctx *c, const char *name, size_t head, size_t record, int64_t *n) {
    uint8_t *data, *records = NULL;
    char path[PATH_SIZE];
    size_t size;

    if (!find(c, name, path)) {
        lh_fail(c, LH_ENOTFOUND, "%s is not there; name the folder of the data with --data.root",
                path);
        return NULL;
    }
    data = slurp(c, path, &size);
    if (!data)
        return NULL;
    if (size <= head || (size - head) % record != 0) {
        lh_fail(c, LH_ECORRUPT,
                "%s: %zu bytes are no head of %zu and then whole records of %zu; get the file "
                "again",
                path, size, head, record);
    } else {
        *n = (int64_t)((size - head) / record);
        records = lh_alloc(c, size - head);
        if (records)
            memcpy(records, data + head, size - head);
    }
    free(data);
    return records;
}
