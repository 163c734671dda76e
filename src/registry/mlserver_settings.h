/* MLServer's model-settings.json as a configuration of ours: what it says of inputs and outputs,
 * the model's file, the cache and parameters becomes fields of a ModelConfig, with the places of
 * the file, and its batching becomes batching_parameters. For registry/model_config_read.c.
 *
 * The class that would run the model (`implementation`) and what prepares its environment are not
 * needed: the model's file decides. MLServer counts requests in a batch, here they are rows. */
#ifndef TERN_REGISTRY_MLSERVER_SETTINGS_H
#define TERN_REGISTRY_MLSERVER_SETTINGS_H

#include "registry/batching_parameters.h"
#include "conf/tree.h"

#define TERN_MLSERVER_SETTINGS_FILE "model-settings.json"

/* The tree of a ModelConfig, not yet bound; NULL without memory. *ret_batching: in the arena; NULL:
 * the file asks for no batches. Mistakes go into the list. */
struct tern_tree *tern_mlserver_settings_read(struct tern_str text, struct tern_str file,
                                              struct tern_arena *arena,
                                              const struct tern_batching_parameters **ret_batching,
                                              struct tern_problems *problems);

#endif
