/* sequence_batching of a configuration, to struct tern_sequencing. For registry/model_config*.c
 * only. */
#ifndef TERN_REGISTRY_MODEL_CONFIG_SEQUENCES_H
#define TERN_REGISTRY_MODEL_CONFIG_SEQUENCES_H

#include "registry/config_reader.h"

/* To config->sequencing, NULL where there is none; after outputs and model_transaction_policy. */
void tern_model_config_sequences_read(struct tern_config_reader *r);

#endif
