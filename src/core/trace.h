/* W3C Trace Context (https://www.w3.org/TR/trace-context/, level 1 and 2) and random identifiers.
 *
 * A server reads `traceparent`, makes a span of its own under the same trace, and hands that on
 * together with the caller's `tracestate`, unread. A header that is not exactly right is ignored
 * and a new trace begins: a wrong trace id is worse than none. */
#ifndef TERN_CORE_TRACE_H
#define TERN_CORE_TRACE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_TRACE_PARENT_LEN 55 /* 00-<32>-<16>-<2> */
#define TERN_TRACE_STATE_MAX  512
#define TERN_REQUEST_ID_LEN   32
#define TERN_TRACE_SAMPLED    1u

struct tern_trace {
    uint8_t trace_id[16];
    uint8_t span_id[8];   /* ours */
    uint8_t parent_id[8]; /* the caller's span; zero when the trace began here */
    uint8_t flags;
};

/* Random bits for identifiers, one generator a thread: xoshiro256++ seeded by the kernel. Unique,
 * not secret: never for keys or tokens. */
struct tern_trace_ids {
    uint64_t s[4];
};

enum tern_code tern_trace_ids_init(struct tern_trace_ids *ids, struct tern_err *err);
uint64_t tern_trace_ids_next(struct tern_trace_ids *ids);

/* Strict: lower-case hex, no zero ids, version ff refused; of later versions the known front part
 * is read (section 3.2.4 of the recommendation). On success trace_id, parent_id and flags are set
 * and span_id is zero. */
TERN_MUST_USE bool tern_trace_parse(struct tern_str header, struct tern_trace *ret_trace);

/* The span of a request: continues the caller's trace when its traceparent is valid, else begins a
 * new one (not sampled). span_id is new. */
void tern_trace_begin(struct tern_trace *trace, struct tern_str traceparent,
                      struct tern_trace_ids *ids);

/* Another span beside it: only span_id is new. */
void tern_trace_new_span(struct tern_trace *trace, struct tern_trace_ids *ids);
/* "00-<trace id>-<our span id>-<flags>" and a terminating zero. */
void tern_trace_format(const struct tern_trace *trace, char dst[TERN_TRACE_PARENT_LEN + 1]);
/* The trace id alone, 32 hex digits and a zero: for logs. */
void tern_trace_format_id(const struct tern_trace *trace, char dst[33]);
/* Whether a tracestate may be handed on: printable ASCII, not longer than TERN_TRACE_STATE_MAX. */
bool tern_trace_state_is_ok(struct tern_str tracestate);

/* A request id: 128 random bits in hex and a terminating zero. */
void tern_trace_request_id(struct tern_trace_ids *ids, char dst[TERN_REQUEST_ID_LEN + 1]);
/* Whether a client's own X-Request-Id may be taken over: 1..128 of [A-Za-z0-9._:/+=-]. */
bool tern_trace_request_id_is_ok(struct tern_str id);

#endif
