/* From a configuration to struct tern_scheduling. For registry/model_config*.c only. */
#ifndef TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_H
#define TERN_REGISTRY_MODEL_CONFIG_SCHEDULING_H

#include "registry/model_config.h"

/* What the file says by itself, to config->scheduling and config->instances. Mistakes go into the
 * list. */
void tern_model_config_scheduling_read(struct tern_model_config *config, struct tern_arena *arena,
                                       struct tern_problems *problems);
/* What depends on the model and on the server's rules: whether and how it is batched, and which of
 * its tensors are made from the batch. After max_batch_size is known. False without memory. */
bool tern_model_config_scheduling_tie(struct tern_model_config *config,
                                      const struct tern_model_config_settings *settings,
                                      const struct tern_engine_model *model,
                                      struct tern_arena *arena, struct tern_problems *problems);

/* Whether a key of `parameters` is about scheduling, and none of the engine's. */
bool tern_model_config_scheduling_owns(struct tern_str key);

#endif
