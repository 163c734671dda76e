/* One traced request, from the loop that answered it to the thread that writes it down. Made by the
 * loop in one piece of memory, handed over once, freed by whom it was handed to. */
#ifndef TERN_TRACE_RECORD_H
#define TERN_TRACE_RECORD_H

#include <stdbool.h>
#include <stdint.h>
#include "core/tensor.h"
#include "core/trace.h"

/* Moments of a request, in order. X(NAME, in Triton's files over HTTP, over gRPC) */
#define TERN_TRACE_POINTS(X)                                                   \
    X(RECV_START, "HTTP_RECV_START", "GRPC_WAITREAD_START")                    \
    X(RECV_END, "HTTP_RECV_END", "GRPC_WAITREAD_END")                          \
    X(REQUEST_START, "REQUEST_START", "REQUEST_START")                         \
    X(QUEUE_START, "QUEUE_START", "QUEUE_START")                               \
    X(COMPUTE_START, "COMPUTE_START", "COMPUTE_START")                         \
    X(COMPUTE_INPUT_END, "COMPUTE_INPUT_END", "COMPUTE_INPUT_END")             \
    X(COMPUTE_OUTPUT_START, "COMPUTE_OUTPUT_START", "COMPUTE_OUTPUT_START")    \
    X(COMPUTE_END, "COMPUTE_END", "COMPUTE_END")                               \
    X(RESPONSE_COMPLETE, "INFER_RESPONSE_COMPLETE", "INFER_RESPONSE_COMPLETE") \
    X(REQUEST_END, "REQUEST_END", "REQUEST_END")                               \
    X(SEND_START, "HTTP_SEND_START", "GRPC_SEND_START")                        \
    X(SEND_END, "HTTP_SEND_END", "GRPC_SEND_END")

enum tern_trace_point {
#define X(name, http, grpc) TERN_TRACE_AT_##name,
    TERN_TRACE_POINTS(X)
#undef X
        TERN_TRACE_POINT_COUNT
};

/* Bytes of one tensor that a record keeps; what is longer is cut after a whole element. */
#define TERN_TRACE_TENSOR_BYTES_MAX (64u << 10)
/* Tensors of one record, inputs and outputs; further ones are left out. */
#define TERN_TRACE_TENSORS_MAX 64
/* Bytes of all of them. */
#define TERN_TRACE_BYTES_MAX (1u << 20)

struct tern_trace_tensor {
    bool output;
    bool cut;
    struct tern_str name;
    enum tern_dtype dtype;
    struct tern_shape shape;
    const void *data;
    size_t n_bytes;
};

enum tern_trace_kind {
    TERN_TRACE_REQUEST, /* with a client, or a graph of this server that asks as one */
    TERN_TRACE_STEP,    /* a model's run for an ensemble */
    TERN_TRACE_CALL,    /* of another server; `model` is the name of the step */
};

struct tern_trace_record {
    struct tern_trace_record *next; /* the tracer's; of a member: the next one */
    enum tern_trace_kind kind;
    uint64_t id, parent_id; /* in files: the sampler's; 0: has no parent */
    /* In its family (trace/family.h): 0 for the request that all belongs to, which owns the others.
     */
    uint32_t number, parent;
    struct tern_trace_record *members; /* in the order of their ends */
    unsigned level;                    /* TERN_TRACE_TIMESTAMPS ... */
    uint64_t log_frequency;
    bool grpc;
    enum tern_code code; /* how the request ended */
    int status;          /* HTTP's */
    struct tern_str model;
    int64_t version;
    struct tern_str request_id;
    /* Ids; zero in files, which count traces by themselves. trace.span_id is the request's, or that
     * of what a step or call is part of; `span` that of the model, step or call. */
    struct tern_trace trace;
    uint8_t span[8];
    uint64_t at[TERN_TRACE_POINT_COUNT]; /* monotonic ns; 0: not reached */
    const struct tern_trace_tensor *tensors;
    uint32_t n_tensors;
};

/* A copy of everything that `from` points to: one block. Tensors are cut to their bounds. NULL
 * without memory. */
struct tern_trace_record *tern_trace_record_new(const struct tern_trace_record *from);
/* With its members. */
void tern_trace_record_free(struct tern_trace_record *record);
/* A list of them. NULL is fine. */
void tern_trace_record_free_all(struct tern_trace_record *first);

/* The span of the request's model (number 0), or of what has that number in its family: random
 * because the request's span is. */
void tern_trace_span_of(const uint8_t request[8], uint32_t number, uint8_t ret[8]);
/* The nth span below another. */
void tern_trace_span_below(const uint8_t span[8], uint64_t nth, uint8_t ret[8]);

/* What Triton's files call the moment. */
const char *tern_trace_point_name(enum tern_trace_point point, bool grpc);

#endif
