/* Traces as OpenTelemetry's spans, sent over OTLP/HTTP in its JSON form
 * (https://opentelemetry.io/docs/specs/otlp/#otlphttp): for each request one span, in it one of the
 * model, in that one of waiting and one of computing, and those of what ran inside of it
 * (trace/family.h). */
#ifndef TERN_TRACE_OTLP_H
#define TERN_TRACE_OTLP_H

#include "base/buf.h"
#include "base/log.h"
#include "trace/tracer.h"

struct tern_otlp;

struct tern_otlp_settings {
    struct tern_str url;
    const struct tern_str *resource; /* "key=value"; service.name is tern unless given */
    uint32_t n_resource;
    struct tern_log *log; /* hears of failures */
};

/* Everything but the log is copied. UNAVAILABLE without libcurl. */
enum tern_code tern_otlp_new(const struct tern_otlp_settings *settings, struct tern_otlp **ret_otlp,
                             struct tern_err *err);
void tern_otlp_free(struct tern_otlp *otlp);
/* For a tracer, which then owns it. A batch that the collector does not take at once is lost. */
struct tern_trace_sink tern_otlp_sink(struct tern_otlp *otlp);

/* One request's body. wall_offset_ns: wall clock less monotonic clock. */
void tern_otlp_format(struct tern_str resource_json, const struct tern_trace_record *const *records,
                      uint32_t n, uint64_t wall_offset_ns, struct tern_buf *out);
/* The attributes of the resource, as the elements of a JSON array. */
void tern_otlp_format_resource(const struct tern_str *rows, uint32_t n, struct tern_buf *out);

#endif
