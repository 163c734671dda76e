#include "core/access.h"

static struct tern_kv text(const char *key, struct tern_str value)
{
    struct tern_kv kv = TERN_KV_STR(key, value);

    if (value.n == 0)
        kv.kind = TERN_KV_KIND_NONE;
    return kv;
}

void tern_access_log(struct tern_log *log, const struct tern_access_line *line)
{
    if (!tern_log_wants(log, TERN_LOG_INFO))
        return;
    const struct tern_kv kv[] = {
        text("peer", line->peer),
        text("method", line->method),
        text("path", line->path),
        TERN_KV_I64("status", line->status),
        TERN_KV_U64("bytes_in", line->bytes_in),
        TERN_KV_U64("bytes_out", line->bytes_out),
        TERN_KV_NS("duration", line->duration_ns),
        text("op", line->op),
        text("model", line->model),
        line->version == 0 ? TERN_KV_NONE : TERN_KV_I64("version", line->version),
        text("request_id", line->request_id),
        text("trace_id", line->trace_id),
        text("error", line->error),
    };
    tern_log_write(log, TERN_LOG_INFO, "access", "request", kv, TERN_COUNT_OF(kv));
}
