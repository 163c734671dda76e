/* Statistics of model versions, as the operation MODEL_STATISTICS answers them: Triton's statistics
 * extension. Sums since the version was loaded first; all of it lies in the call's arena. */
#ifndef TERN_CORE_STATS_H
#define TERN_CORE_STATS_H

#include <stdint.h>
#include "base/str.h"

/* How often something happened and how long it took in all. */
struct tern_stat {
    uint64_t count;
    uint64_t ns;
};

/* Runs of one batch size. */
struct tern_batch_stats {
    uint64_t batch_size;
    struct tern_stat compute_input, compute_infer, compute_output;
};

/* The n-th answers of a decoupled model's requests. */
struct tern_response_stats {
    struct tern_str key; /* n as text, from "0" */
    struct tern_stat compute_infer, compute_output, success, fail, empty_response, cancel;
};

struct tern_model_stats {
    struct tern_str name;
    int64_t version;
    uint64_t last_inference_ms; /* since 1970; 0: never */
    uint64_t inference_count;   /* rows: a request with a batch of 8 counts 8 */
    uint64_t execution_count;   /* runs of the engine */
    /* success: from the whole request to its encoded answer. compute_input: bytes to tensors,
     * compute_output: tensors to bytes. */
    struct tern_stat success, fail, queue;
    struct tern_stat compute_input, compute_infer, compute_output;
    struct tern_stat cache_hit, cache_miss;
    const struct tern_batch_stats *batches; /* ascending */
    uint32_t n_batches;
    const struct tern_response_stats *responses;
    uint32_t n_responses;
};

#endif
