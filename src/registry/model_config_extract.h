/* From a bound tree to the plain struct. For registry/model_config*.c only. */
#ifndef TERN_REGISTRY_MODEL_CONFIG_EXTRACT_H
#define TERN_REGISTRY_MODEL_CONFIG_EXTRACT_H

#include "registry/model_config.h"

/* Fills every field from config->tree and checks what the schema cannot: ranges, names given twice,
 * file names that leave the folder. */
void tern_model_config_extract(struct tern_model_config *config, struct tern_arena *arena,
                               struct tern_problems *problems);

#endif
