/* A configuration's tree, which says everything the file says, says what was completed too: the
 * config route prints it. For registry/model_config*.c only. */
#ifndef TERN_REGISTRY_MODEL_CONFIG_FILL_H
#define TERN_REGISTRY_MODEL_CONFIG_FILL_H

#include "registry/model_config.h"

/* A max_batch_size that nobody gave, and with `dynamic` an empty dynamic_batching. False without
 * memory. */
bool tern_model_config_fill_batches(struct tern_model_config *config, bool dynamic,
                                    struct tern_arena *arena);
/* Everything else, once config's name, backend and platform are the model's. What the file says
 * stays. `seen`: the tensors that clients see; NULL: they are not known. False without memory. */
bool tern_model_config_fill(struct tern_model_config *config,
                            const struct tern_model_config_subject *subject,
                            const struct tern_seen *seen, struct tern_arena *arena);

#endif
