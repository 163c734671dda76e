/* Carries records from the loops to one thread that writes them to a file or sends them away.
 *
 * A loop pushes with one compare-and-swap, and wakes the thread only for the first record of a
 * batch and for a full one. No more than queue_max records wait: further ones are dropped and
 * counted, so that a slow disk or collector costs traces and never requests. */
#ifndef TERN_TRACE_TRACER_H
#define TERN_TRACE_TRACER_H

#include <stdint.h>
#include "base/err.h"
#include "trace/record.h"

struct tern_tracer;

/* Where batches go; on the tracer's thread. */
struct tern_trace_sink {
    /* In the order of their ends; the tracer frees them. Answers how many could not be delivered.
     */
    uint32_t (*write)(void *self, const struct tern_trace_record *const *records, uint32_t n);
    void (*close)(void *self); /* may be NULL */
    void *self;
};

struct tern_tracer_settings {
    struct tern_trace_sink sink; /* closed by tern_tracer_stop, or when start fails */
    uint32_t queue_max;
    uint32_t batch_max;
    uint64_t delay_ns; /* from the first record of a batch that is not full to its delivery */
};

struct tern_tracer_counts {
    uint64_t written; /* requests whose traces were delivered */
    uint64_t dropped; /* the queue was full, or the delivery failed */
};

enum tern_code tern_tracer_start(const struct tern_tracer_settings *settings,
                                 struct tern_tracer **ret_tracer, struct tern_err *err);
/* Delivers what waits, then ends. No loop may push any more. NULL is fine. */
void tern_tracer_stop(struct tern_tracer *tracer);

/* A copy of the record, handed over later; NULL when no more may wait (which is counted). */
struct tern_trace_record *tern_tracer_reserve(struct tern_tracer *tracer,
                                              const struct tern_trace_record *from);
/* Hands a reserved one over. Any thread. */
void tern_tracer_push(struct tern_tracer *tracer, struct tern_trace_record *record);

struct tern_tracer_counts tern_tracer_count(const struct tern_tracer *tracer);

#endif
