/* From a configuration to struct tern_scheduling: what registry/model_config_scheduling*.c share.
 */
#ifndef TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_INT_H
#define TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_INT_H

#include "registry/config_reader.h"
#include "registry/model_config_scheduling.h"

/* Keys of `parameters`: what Triton has no field for. */
#define TERN_SCHEDULING_SLO       "slo"
#define TERN_SCHEDULING_COST      "batch_cost_input"
#define TERN_SCHEDULING_COST_MOST "batch_cost_max"

/* model_config_scheduling_tie.c */
/* A tensor is the target of one row at most. */
void tern_scheduling_tie_batch_tensors(struct tern_config_reader *r,
                                       const struct tern_engine_model *model);
/* Inputs whose shape may differ inside a batch come to the model as one flat row. */
void tern_scheduling_tie_ragged(struct tern_config_reader *r,
                                const struct tern_engine_model *model);
/* The input whose elements are counted: one that clients send. */
void tern_scheduling_tie_cost(struct tern_config_reader *r, const struct tern_engine_model *model);

#endif
