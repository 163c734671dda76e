/* The trace of a request that ended: what the call knows, as a record for the tracer. */
#ifndef TERN_GATEWAY_TRACING_H
#define TERN_GATEWAY_TRACING_H

#include "core/proto.h"
#include "core/trace.h"
#include "trace/sampler.h"
#include "trace/tracer.h"

struct tern_observation;

/* Where traces come from and go to. */
struct tern_tracing {
    struct tern_sampler *sampler;
    struct tern_tracer *tracer;
    struct tern_trace_ids *ids; /* the loop's */
};

/* When the request of an INFER call began to come, was complete, and its answer was encoded. */
struct tern_tracing_times {
    uint64_t start_ns, body_ns, end_ns;
};

/* Whether the call is to be traced, and the which one it is: to observation->sample. Asked once,
 * when its model is known. */
void tern_tracing_sample(const struct tern_tracing *tracing, const struct tern_call *call,
                         struct tern_observation *observation);

/* NULL when it is not to be traced. On the call's loop, before its answer is sent; the record is to
 * be pushed after that. */
struct tern_trace_record *tern_tracing_record(const struct tern_tracing *tracing,
                                              const struct tern_call *call,
                                              const struct tern_observation *observation,
                                              enum tern_code code,
                                              const struct tern_tracing_times *times);

#endif
