/* tensorboard.c - an event file that TensorBoard reads: TensorBoardLogger.
 *
 * events.out.tfevents.SECONDS.HOST.PID.N holds records: length (u64), masked CRC32C of it (u32),
 * the event, masked CRC32C of the event (u32), all little-endian. An event is a protocol buffer,
 * written by hand here; field numbers are those of tensorboard/compat/proto/event.proto and
 * summary.proto and of plugins/hparams/plugin_data.proto. Invariant: bytes reach the file in whole
 * records, so that a reader can follow while the run goes on.
 */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <unistd.h>

static const lh_hparam_spec hparams[] = {
    LH_HPARAM_FLAG("default_hp_metric", 1, "log hp_metric = -1 beside the hyper-parameters"),
    LH_HPARAM_TEXT("prefix", "", "before every metric's name, with a dash"),
};

struct tensorboard {
    char path[PATH_MAX];
    int fd;                /* 0: not open (never the standard input) */
    struct output waiting; /* whole records */
};

static void release(struct tensorboard *m) {
    output_free(&m->waiting);
    if (m->fd > 0)
        close(m->fd);
    m->fd = 0;
}

static double now(void) {
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ---- protocol buffers: fields of a message, appended */

enum { VARINT = 0, FIXED64 = 1, BYTES = 2, FIXED32 = 5 }; /* wire types */

static void add_varint(struct output *o, uint64_t v) {
    for (; v > 127; v >>= 7)
        output_add(o, &(uint8_t){(uint8_t)(v | 128)}, 1);
    output_add(o, &(uint8_t){(uint8_t)v}, 1);
}

static void add_little_endian(struct output *o, uint64_t v, int bytes) {
    for (int i = 0; i < bytes; i++)
        output_add(o, &(uint8_t){(uint8_t)(v >> 8 * i)}, 1);
}

static void add_key(struct output *o, uint32_t field, uint32_t wire_type) {
    add_varint(o, field << 3 | wire_type);
}

static void put_int(struct output *o, uint32_t field, int64_t v) {
    add_key(o, field, VARINT);
    add_varint(o, (uint64_t)v);
}

static void put_double(struct output *o, uint32_t field, double v) {
    uint64_t bits;

    memcpy(&bits, &v, sizeof bits);
    add_key(o, field, FIXED64);
    add_little_endian(o, bits, 8);
}

static void put_float(struct output *o, uint32_t field, float v) {
    uint32_t bits;

    memcpy(&bits, &v, sizeof bits);
    add_key(o, field, FIXED32);
    add_little_endian(o, bits, 4);
}

static void put_text(struct output *o, uint32_t field, const char *text) {
    add_key(o, field, BYTES);
    add_varint(o, strlen(text));
    output_text(o, text);
}

/* Takes `message` in and empties it. */
static void put_message(struct output *o, uint32_t field, struct output *message) {
    add_key(o, field, BYTES);
    add_varint(o, message->n);
    output_add(o, message->data, message->n);
    o->is_short |= message->is_short;
    output_free(message);
}

/* ---- records */

/* CRC-32C (Castagnoli), bit by bit: records are short. */
static uint32_t crc32c(const void *data, size_t n) {
    const uint8_t *p = data;
    uint32_t crc = 0xffffffffu;

    while (n--) {
        crc ^= *p++;
        for (int i = 0; i < 8; i++)
            crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

static uint32_t masked_crc(const void *data, size_t n) {
    uint32_t crc = crc32c(data, n);

    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

/* Queues an event; empties it. */
static void add_record(struct tensorboard *m, struct output *event) {
    struct output *o = &m->waiting;
    size_t start = o->n;

    add_little_endian(o, event->n, 8);
    if (!o->is_short)
        add_little_endian(o, masked_crc(o->data + start, 8), 4);
    output_add(o, event->data, event->n);
    add_little_endian(o, masked_crc(event->data, event->n), 4);
    o->is_short |= event->is_short;
    output_free(event);
}

/* Event: wall_time 1, step 2, file_version 3, summary 5. Empties the summary. */
static void add_summary(struct tensorboard *m, struct output *summary, int64_t step) {
    struct output event = {0};

    put_double(&event, 1, now());
    put_int(&event, 2, step);
    put_message(&event, 5, summary);
    add_record(m, &event);
}

/* Summary: value 1; Value: tag 1, simple_value 2. */
static void add_scalar(struct output *summary, const char *tag, double value) {
    struct output v = {0};

    put_text(&v, 1, tag);
    put_float(&v, 2, (float)value);
    put_message(summary, 1, &v);
}

/* ---- hyper-parameters, for the tab of that name */

/* google.protobuf.Value: number 2, string 3, bool 4, from a YAML scalar. */
static void put_setting(struct output *value, const char *text) {
    size_t n = strlen(text);
    char *end, plain[256];
    double number = strtod(text, &end);

    if (*text && !*end) {
        put_double(value, 2, number);
    } else if (strcmp(text, "true") == 0 || strcmp(text, "false") == 0) {
        put_int(value, 4, *text == 't');
    } else if (n > 1 && n < sizeof plain && (*text == '"' || *text == '\'') &&
               text[n - 1] == *text) {
        snprintf(plain, sizeof plain, "%.*s", (int)n - 2, text + 1);
        put_text(value, 3, plain);
    } else {
        put_text(value, 3, text);
    }
}

/* A value that is all metadata: Value: tag 1, metadata 9; SummaryMetadata: plugin_data 1;
 * PluginData: plugin_name 1, content 2; content: HParamsPluginData with `field`. Empties `info`. */
static void add_hparams(struct tensorboard *m, const char *tag, uint32_t field,
                        struct output *info) {
    struct output content = {0}, plugin = {0}, metadata = {0}, value = {0}, summary = {0};

    put_message(&content, field, info);
    put_text(&plugin, 1, "hparams");
    put_message(&plugin, 2, &content);
    put_message(&metadata, 1, &plugin);
    put_text(&value, 1, tag);
    put_message(&value, 9, &metadata);
    put_message(&summary, 1, &value);
    add_summary(m, &summary, 0);
}

/* session_start_info 3: hparams 1, a map of key 1 and value 2; start_time_secs 5. */
static void add_session_start(struct tensorboard *m, const lh_setting *settings, int32_t n) {
    struct output info = {0};

    for (int32_t i = 0; i < n; i++) {
        struct output entry = {0}, value = {0};

        put_setting(&value, settings[i].text);
        put_text(&entry, 1, settings[i].name);
        put_message(&entry, 2, &value);
        put_message(&info, 1, &entry);
    }
    put_double(&info, 5, now());
    add_hparams(m, "_hparams_/session_start_info", 3, &info);
}

/* session_end_info 4: status 1 (1 success, 2 failure), end_time_secs 2. */
static void add_session_end(struct tensorboard *m, int32_t outcome) {
    struct output info = {0};

    put_int(&info, 1, outcome == LH_FAILED ? 2 : 1);
    put_double(&info, 2, now());
    add_hparams(m, "_hparams_/session_end_info", 4, &info);
}

/* ---- hooks; one that fails is the last, so it gives back what the logger holds */

static lh_status write_out(lh_ctx *c, struct tensorboard *m) {
    lh_status status = output_append(c, &m->waiting, m->fd, m->path);

    if (status != LH_OK)
        release(m);
    return status;
}

/* Opens a file of a name that nobody has. */
static lh_status open_file(lh_ctx *c, struct tensorboard *m) {
    char host[256] = "localhost", name[400];

    gethostname(host, sizeof host - 1);
    for (int n = 0; m->fd <= 0; n++) {
        snprintf(name, sizeof name, "events.out.tfevents.%lld.%s.%ld.%d", (long long)time(NULL),
                 host, (long)getpid(), n);
        if (output_path(c, name, m->path) != LH_OK)
            return lh_status_of(c);
        m->fd = open(m->path, O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_CLOEXEC, 0666);
        if (m->fd < 0 && errno != EEXIST)
            return lh_fail(c, LH_EIO, "cannot make %s: %s", m->path, strerror(errno));
    }
    return LH_OK;
}

static lh_status setup(lh_ctx *c, void *self) {
    struct tensorboard *m = self;
    struct output event = {0};

    if (open_file(c, m) != LH_OK)
        return lh_status_of(c);
    put_double(&event, 1, now());
    put_text(&event, 3, "brain.Event:2");
    add_record(m, &event);
    return write_out(c, m);
}

static lh_status log_metrics(lh_ctx *c, void *self, const lh_scalar *metrics, int32_t n,
                             int64_t step) {
    const char *prefix = lh_hparam_text(c, "prefix");
    struct tensorboard *m = self;
    struct output summary = {0};
    char name[512];

    for (int32_t i = 0; i < n; i++) {
        snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "-" : "", metrics[i].name);
        add_scalar(&summary, name, metrics[i].value);
    }
    add_summary(m, &summary, step);
    return m->waiting.n < 1 << 16 ? LH_OK : write_out(c, m);
}

static lh_status log_hyperparams(lh_ctx *c, void *self, const lh_setting *settings, int32_t n) {
    struct tensorboard *m = self;
    struct output summary = {0};

    add_session_start(m, settings, n);
    if (lh_hparam_int(c, "default_hp_metric")) {
        add_scalar(&summary, "hp_metric", -1);
        add_summary(m, &summary, 0);
    }
    if (output_hparams(c, settings, n) == LH_OK)
        return LH_OK;
    release(m);
    return lh_status_of(c);
}

static lh_status save(lh_ctx *c, void *self) {
    return write_out(c, self);
}

static lh_status finalize(lh_ctx *c, void *self, int32_t outcome) {
    struct tensorboard *m = self;
    lh_status status;

    add_session_end(m, outcome);
    status = write_out(c, m);
    release(m);
    return status;
}

/* clang-format off */
LH_EXPORT_LOGGER("tensorboard", "1.0.0",
    .state_size = sizeof(struct tensorboard),
    LH_HPARAMS(hparams),
    .setup = setup,
    .log_metrics = log_metrics,
    .log_hyperparams = log_hyperparams,
    .save = save,
    .finalize = finalize);
