/* How requests are batched, as TF Serving's BatchingParameters say it
 * (tensorflow_serving/servables/tensorflow/session_bundle_config.proto), for one model or for all,
 * and as MLServer's settings do for one. They do not say that a model can be batched in our sense:
 * what is told for all models holds for those that say so, or for which it is proven
 * (registry/batchable.h); what is told for one model is believed. */
#ifndef TERN_REGISTRY_BATCHING_PARAMETERS_H
#define TERN_REGISTRY_BATCHING_PARAMETERS_H

#include <stdbool.h>
#include <stdint.h>
#include "conf/problem.h"
#include "registry/scheduling.h"

#define TERN_BATCHING_PARAMETERS_FILE     "batching_params.pbtxt" /* in a version's folder */
#define TERN_BATCHING_PARAMETERS_FILE_MAX (1u << 20)              /* bytes */

struct tern_batching_parameters {
    uint32_t max_rows;       /* of a batch, at least 1 */
    uint64_t delay_ns;       /* that the first request waits for others */
    uint32_t max_queue_size; /* requests that may wait; 0: the server's own limit */
    uint32_t threads;        /* batches of one model at a time; 0: nothing is said */
    uint32_t allowed[TERN_SCHEDULING_PREFERRED_MAX]; /* rows of a run, rising, up to max_rows */
    uint32_t n_allowed;
    struct tern_str place; /* where they stand; ends with a zero */
};

/* Reads the text protobuf; what it leaves out is as in TF Serving. Mistakes go into the list. */
void tern_batching_parameters_read(struct tern_str text, struct tern_str file,
                                   struct tern_arena *arena,
                                   struct tern_batching_parameters *ret_parameters,
                                   struct tern_problems *problems);
/* Whether only a queue can give it. parameters may be NULL. */
bool tern_batching_parameters_need_queue(const struct tern_batching_parameters *parameters);

#endif
