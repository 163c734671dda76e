/* The trace of a request that ended: what the call knows, as a record for the tracer, with those of
 * what ran inside of it (trace/family.h). */
#ifndef TERN_GATEWAY_TRACING_H
#define TERN_GATEWAY_TRACING_H

#include "core/proto.h"
#include "core/trace.h"
#include "trace/family.h"
#include "trace/tracer.h"

struct tern_observation;
struct tern_work;

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

/* Decides, unless it was decided, whether the request is traced; when it is, to observation->place,
 * what runs inside of it is, too. */
void tern_tracing_open(const struct tern_tracing *tracing, const struct tern_call *call,
                       struct tern_observation *observation);
/* Where what the request runs stands, once the request is decoded: its id is theirs, too. */
struct tern_trace_place tern_tracing_place(const struct tern_call *call,
                                           const struct tern_observation *observation);
/* A step of an ensemble, or a call of another server, is over: for those with a place. */
void tern_tracing_step(const struct tern_work *work);
void tern_tracing_call(const struct tern_trace_place *place, struct tern_str name,
                       enum tern_code code, int status, uint64_t start_ns);

/* NULL when it is not to be traced by itself. On the call's loop, before its answer is sent; the
 * record is to be pushed after that. */
struct tern_trace_record *tern_tracing_record(const struct tern_tracing *tracing,
                                              const struct tern_call *call,
                                              const struct tern_observation *observation,
                                              enum tern_code code,
                                              const struct tern_tracing_times *times);

#endif
