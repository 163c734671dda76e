/* From a configuration to struct tern_scheduling: what registry/model_config_scheduling*.c share.
 */
#ifndef TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_INT_H
#define TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_INT_H

#include "registry/model_config_scheduling.h"

/* Keys of `parameters`: what Triton has no field for. */
#define TERN_SCHEDULING_SLO       "slo"
#define TERN_SCHEDULING_COST      "batch_cost_input"
#define TERN_SCHEDULING_COST_MOST "batch_cost_max"

struct tern_scheduling_reader {
    struct tern_model_config *config;
    struct tern_scheduling *s; /* what is being made */
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool out_of_memory;
};

/* model_config_scheduling.c */
struct tern_str tern_scheduling_place(const struct tern_scheduling_reader *r,
                                      const struct tern_tree *node);
/* n zeroed elements, at least one. NULL without memory, which is noted and reported once. */
void *tern_scheduling_many(struct tern_scheduling_reader *r, uint32_t n, size_t size);
/* NULL: the configuration has no such parameter. */
const struct tern_tree *tern_scheduling_parameter(const struct tern_scheduling_reader *r,
                                                  const char *key);

/* model_config_scheduling_tie.c */
/* A tensor is the target of one row at most. */
void tern_scheduling_tie_batch_tensors(struct tern_scheduling_reader *r,
                                       const struct tern_engine_model *model);
/* Inputs whose shape may differ inside a batch come to the model as one flat row. */
void tern_scheduling_tie_ragged(struct tern_scheduling_reader *r,
                                const struct tern_engine_model *model);
/* The input whose elements are counted: one that clients send. */
void tern_scheduling_tie_cost(struct tern_scheduling_reader *r,
                              const struct tern_engine_model *model);

#endif
