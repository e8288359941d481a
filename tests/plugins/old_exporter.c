/* old_exporter.c - an exporter of an earlier draft or, with LACKS, one of now without `write`. */
#include <lhost/draft/exporter.h>

static int32_t maps(uint32_t op) {
    return 1;
}

LH_EXPORT_EXPORTER("old-exporter", "1", .revision = LACKS ? LH_DRAFT_EXPORTER_REVISION : 1,
                   .maps = maps);
