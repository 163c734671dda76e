/* How requests of a model version wait and run, as the operation MODEL_SCHEDULE answers: what was
 * learned of its runs, and the last decisions with their reasons. All of it lies in the call's
 * arena. */
#ifndef TERN_CORE_SCHEDULE_H
#define TERN_CORE_SCHEDULE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"

/* Runs of so many rows (or whatever the model's batches are counted in). */
struct tern_schedule_size {
    uint32_t rows;
    uint32_t runs; /* that were seen; saturates */
    uint64_t p50_ns, p99_ns;
};

/* Requests of one shape; the first row of a model is for all others. */
struct tern_schedule_bucket {
    uint32_t waiting; /* requests */
    double rows_per_s;
    bool gains; /* larger batches bring more rows a second */
    const struct tern_schedule_size *sizes;
    uint32_t n_sizes;
};

struct tern_schedule_decision {
    uint64_t ago_ns;
    struct tern_str reason; /* "enough" */
    struct tern_str text;   /* "runs 8 rows of 8: with so many the executors take turns evenly" */
};

struct tern_schedule {
    struct tern_str name;
    int64_t version;
    struct tern_str place;    /* "loop": on the event loops; "lane": by executors; "threads" */
    struct tern_str batching; /* "none", "adaptive", "configured" */
    struct tern_str why;      /* in a sentence */
    uint32_t max_rows;        /* of a batch */
    struct tern_str unit;     /* "rows", "elements" */
    uint64_t slo_ns;          /* that is planned for */
    uint32_t instances, busy, waiting;
    /* Since it was loaded; of the lane alone, not of the loops. */
    uint64_t runs, requests, shed, timed_out, late;
    const struct tern_schedule_bucket *buckets;
    uint32_t n_buckets;
    const struct tern_schedule_decision *decisions; /* the last one first */
    uint32_t n_decisions;
};

#endif
