/* How the requests of a model are scheduled, as its configuration says it: Triton's
 * dynamic_batching, instance_group, batch_input, batch_output, response_cache and ragged inputs
 * (model_config.proto), MLServer's max_batch_size and max_batch_time, TF Serving's
 * batching_parameters. What none of them says is adaptive batching, where the model can be batched.
 *
 * Everything lies in the arena of the configuration; immutable once the version is published. */
#ifndef TERN_REGISTRY_SCHEDULING_H
#define TERN_REGISTRY_SCHEDULING_H

#include <stdbool.h>
#include <stdint.h>
#include "base/str.h"
#include "core/tensor.h"

#define TERN_SCHEDULING_LEVELS_MAX    16u /* of priority, with a policy of their own */
#define TERN_SCHEDULING_PREFERRED_MAX 32u
#define TERN_SCHEDULING_INSTANCES_MAX 1024u

enum tern_batching {
    TERN_BATCHING_NONE,       /* each request runs alone */
    TERN_BATCHING_ADAPTIVE,   /* nothing is said: sched/policy.h decides */
    TERN_BATCHING_CONFIGURED, /* dynamic_batching and its kin, to the letter */
};

/* ModelQueuePolicy. All zero: no limit but the server's own. */
struct tern_scheduling_level {
    uint64_t level; /* whose it is */
    bool delay;     /* on timeout: serve late instead of refusing */
    bool allow_timeout_override;
    uint64_t default_timeout_ns; /* 0: none */
    uint32_t max_queue_size;     /* 0: the server's own limit */
};

/* A share of a thing that instances compete for (ModelRateLimiter.Resource). */
struct tern_scheduling_resource {
    struct tern_str name;
    uint32_t count;
    bool global; /* there is one such thing for all devices */
};

struct tern_scheduling_group {
    struct tern_str name;
    uint32_t count;    /* of instances, at least 1 */
    uint32_t priority; /* the inverse of its weight; 0 counts as 1 */
    bool passive;      /* never scheduled: no instances are made of it */
    const struct tern_scheduling_resource *resources;
    uint32_t n_resources;
};

enum tern_batch_input_kind {
    TERN_BATCH_ELEMENT_COUNT,
    TERN_BATCH_ACCUMULATED_ELEMENT_COUNT,
    TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO,
    TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE,
    TERN_BATCH_ITEM_SHAPE,
    TERN_BATCH_ITEM_SHAPE_FLATTEN,
};

/* An input that says what a batch is made of; the server fills it. */
struct tern_batch_input {
    enum tern_batch_input_kind kind;
    enum tern_dtype dtype; /* INT32 or FP32 */
    uint32_t input;        /* index among the engine's inputs */
    uint32_t source;       /* the input it speaks of, in the same way */
};

/* BATCH_SCATTER_WITH_INPUT_SHAPE: the output is cut into the shapes of an input. */
struct tern_batch_output {
    uint32_t output; /* index among the engine's outputs */
    uint32_t source; /* index among the engine's inputs */
};

struct tern_scheduling {
    enum tern_batching batching;
    uint32_t max_rows; /* of a batch; 1: no batches. What a single request may have is another
                          matter (info.max_batch_size) */
    /* CONFIGURED: */
    const uint32_t *preferred; /* rows, rising */
    uint32_t n_preferred;
    uint64_t max_queue_delay_ns;
    bool preserve_ordering;
    /* optimization.eager_batching: a batch is gathered before an instance is idle. */
    bool eager;

    uint64_t n_levels;      /* of priority; 1: all requests are equal */
    uint64_t default_level; /* 1 to n_levels */
    /* The first one is any level's that has none of the others, of which there are n_own_levels;
     * NULL: no level has limits. */
    const struct tern_scheduling_level *levels;
    uint32_t n_own_levels;

    /* Any of the next four is there: also a request that runs alone is made into a batch of one,
     * since the model sees other shapes than clients do. */
    bool gathers;
    const bool *ragged; /* an engine's input each: its shape may differ inside a batch; NULL: none
                           may */
    const struct tern_batch_input *batch_inputs;
    uint32_t n_batch_inputs;
    const struct tern_batch_output *batch_outputs;
    uint32_t n_batch_outputs;
    /* Rows that a run may have, rising (TF Serving's allowed_batch_sizes): fewer are filled up.
     * Does not apply to a model with one of the three above. */
    const uint32_t *allowed;
    uint32_t n_allowed;

    const struct tern_scheduling_group *groups;
    uint32_t n_groups;
    bool cached; /* response_cache */

    /* How large a request is for the policy: its rows, or when max_cost is not 0 the elements of
     * one input (tokens), of which a batch has at most max_cost. */
    uint32_t cost_input; /* index among the engine's inputs */
    uint32_t max_cost;
    uint64_t slo_ns; /* how long an answer usually may take; 0: nobody said */
};

/* Whether the configuration asks for what only a queue can give (a delay, levels, bounds, an order,
 * resources): such a model does not run on the loops. */
bool tern_scheduling_needs_queue(const struct tern_scheduling *scheduling);
/* Whether inputs or outputs are not simply rows: ragged, made from the batch, or cut by an input.
 */
bool tern_scheduling_regroups(const struct tern_scheduling *scheduling);
/* Whether an engine's input is made from the batch; clients do not see it. */
bool tern_scheduling_fills(const struct tern_scheduling *scheduling, uint32_t input);
/* Whether an engine's output is cut into the shapes of an input. */
bool tern_scheduling_scatters(const struct tern_scheduling *scheduling, uint32_t output);
/* The group of an instance of the version: the instances of the first group that is not passive
 * stand first, then those of the next. Instances beyond belong to the last. NULL: there is none. */
const struct tern_scheduling_group *
tern_scheduling_group_of(const struct tern_scheduling *scheduling, uint32_t instance);

#endif
