/* Structured log lines: an event name for machines, a message for people, and key/value pairs.
 *
 *     tern_log_info(log, "model.ready", "model is ready", TERN_KV_STR("model", name),
 *                   TERN_KV_U64("version", version));
 *     tern_log_warn(log, "drain.started", "no new connections", TERN_KV_NONE);
 *
 * One call makes one line of at most TERN_LOG_LINE_MAX bytes in a stack buffer and hands it to the
 * log's sink; nothing is allocated. Text for terminals:
 *
 *     2026-03-01 12:00:00.123 info  model is ready  model=iris version=2
 *
 * JSON for collectors: {"time":"2026-03-01T12:00:00.123Z","level":"info","event":"model.ready",
 * "message":"model is ready","model":"iris","version":2}. Times are UTC.
 *
 * A value can never forge a line or a field, nor steer a terminal: control bytes, C1 controls,
 * bidirectional overrides and bytes that are not UTF-8 are escaped. Values longer than
 * TERN_LOG_VALUE_MAX are cut (marked by "..."); fields that do not fit the line are left out and
 * the line then ends in truncated=true. Events and messages are
 * escaped too; keys are the program's own literals of [a-z0-9_].
 *
 * Any thread may log; the sink says what its write costs. */
#ifndef TERN_BASE_LOG_H
#define TERN_BASE_LOG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/compiler.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_LOG_LINE_MAX  4096 /* with the newline */
#define TERN_LOG_VALUE_MAX 1024 /* bytes of one string value that are looked at */

enum tern_log_level {
    TERN_LOG_ERROR, /* somebody has to act */
    TERN_LOG_WARN,  /* something is wrong and the program copes */
    TERN_LOG_INFO,  /* the life of the server, and the access log */
    TERN_LOG_DEBUG,
};

enum tern_log_format {
    TERN_LOG_TEXT,
    TERN_LOG_JSON,
};

enum tern_kv_kind {
    TERN_KV_KIND_NONE, /* left out of the line */
    TERN_KV_KIND_STR,
    TERN_KV_KIND_U64,
    TERN_KV_KIND_I64,
    TERN_KV_KIND_BOOL,
    TERN_KV_KIND_NS,  /* a duration; text: 1.25ms; JSON: seconds as a number, key + "_s" */
    TERN_KV_KIND_ERR, /* code and text: two fields, error and code */
};

struct tern_kv {
    const char *key;
    enum tern_kv_kind kind;
    union {
        struct tern_str str;
        uint64_t u64;
        int64_t i64;
        bool boolean;
        const struct tern_err *err;
    };
};

#define TERN_KV_NONE ((struct tern_kv){.key = "", .kind = TERN_KV_KIND_NONE, .u64 = 0})
#define TERN_KV_STR(k, v) \
    ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_STR, .str = (v)}) /* a tern_str */
#define TERN_KV_Z(k, v) \
    ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_STR, .str = tern_str_of(v)}) /* a char * */
#define TERN_KV_U64(k, v)  ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_U64, .u64 = (v)})
#define TERN_KV_I64(k, v)  ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_I64, .i64 = (v)})
#define TERN_KV_BOOL(k, v) ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_BOOL, .boolean = (v)})
#define TERN_KV_NS(k, v)   ((struct tern_kv){.key = (k), .kind = TERN_KV_KIND_NS, .u64 = (v)})
#define TERN_KV_ERR(e)     ((struct tern_kv){.key = "error", .kind = TERN_KV_KIND_ERR, .err = (e)})

/* Where lines go. `line` ends in a newline and is valid during the call only; any thread calls. */
struct tern_log_sink {
    void (*write)(void *self, struct tern_str line);
    void *self;
};

struct tern_log {
    struct tern_log_sink sink;
    enum tern_log_format format;
    bool colour; /* text only; the caller knows whether a terminal is there */
    /* The next two may change at any time. */
    _Atomic unsigned levels; /* one bit a level; lines of others are dropped */
    atomic_bool iso_times;   /* text only: 2026-03-01T12:00:00.123Z, as JSON has it anyway */
};

void tern_log_init(struct tern_log *log, struct tern_log_sink sink, enum tern_log_level level,
                   enum tern_log_format format, bool colour);

TERN_INLINE bool tern_log_wants(struct tern_log *log, enum tern_log_level level)
{
    return (atomic_load_explicit(&log->levels, memory_order_relaxed) >> level & 1u) != 0;
}

/* The bits of a level and of all that are more important. */
TERN_INLINE unsigned tern_log_levels_upto(enum tern_log_level level)
{
    return (2u << level) - 1;
}

TERN_INLINE void tern_log_set_level(struct tern_log *log, enum tern_log_level level)
{
    atomic_store_explicit(&log->levels, tern_log_levels_upto(level), memory_order_relaxed);
}

/* Makes the line and hands it to the sink, without looking at the level. */
void tern_log_write(struct tern_log *log, enum tern_log_level level, const char *event,
                    const char *message, const struct tern_kv *kv, size_t n);

/* Only formats: the bytes written to dst, newline included. cap >= 256. */
size_t tern_log_format(const struct tern_log *log, uint64_t wall_ns, enum tern_log_level level,
                       const char *event, const char *message, const struct tern_kv *kv, size_t n,
                       char *dst, size_t cap);

/* The arguments are evaluated only when the level is wanted. At least one pair: TERN_KV_NONE. */
#define TERN_LOG_AT(log, level, event, message, ...)                                       \
    do {                                                                                   \
        if (tern_log_wants((log), (level)))                                                \
            tern_log_write(                                                                \
                (log), (level), (event), (message), (const struct tern_kv[]){__VA_ARGS__}, \
                sizeof((const struct tern_kv[]){__VA_ARGS__}) / sizeof(struct tern_kv));   \
    } while (0)

#define tern_log_error(log, event, message, ...) \
    TERN_LOG_AT(log, TERN_LOG_ERROR, event, message, __VA_ARGS__)
#define tern_log_warn(log, event, message, ...) \
    TERN_LOG_AT(log, TERN_LOG_WARN, event, message, __VA_ARGS__)
#define tern_log_info(log, event, message, ...) \
    TERN_LOG_AT(log, TERN_LOG_INFO, event, message, __VA_ARGS__)
#define tern_log_debug(log, event, message, ...) \
    TERN_LOG_AT(log, TERN_LOG_DEBUG, event, message, __VA_ARGS__)

/* At most `burst` lines a second from one place in the code; the limit lives in that place's owner,
 * zeroed. Thread-safe. When true, *ret_suppressed says how many were swallowed since the last line:
 * put it into the line. */
struct tern_log_limit {
    _Atomic uint64_t second; /* the second that `count` belongs to, + 1 */
    _Atomic uint32_t count;
    _Atomic uint32_t suppressed;
};

bool tern_log_allow(struct tern_log_limit *limit, uint64_t now_ns, uint32_t burst,
                    uint32_t *ret_suppressed);

#endif
