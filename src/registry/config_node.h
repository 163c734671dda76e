/* Looking into a bound message of a configuration (registry/model_schema.h): its fields by name,
 * and what a field that is left out means, which is the default of proto3. */
#ifndef TERN_REGISTRY_CONFIG_NODE_H
#define TERN_REGISTRY_CONFIG_NODE_H

#include <stdbool.h>
#include <stdint.h>
#include "conf/tree.h"

/* Empty, 0 or false when it is not there. A text that is no value of its field was reported when
 * the tree was bound, and counts as left out. */
struct tern_str tern_config_node_text(const struct tern_tree *message, const char *key);
int64_t tern_config_node_int(const struct tern_tree *message, const char *key);
uint64_t tern_config_node_uint(const struct tern_tree *message, const char *key);
bool tern_config_node_bool(const struct tern_tree *message, const char *key);
/* The first element of a list or map, and how many there are. */
const struct tern_tree *tern_config_node_first(const struct tern_tree *message, const char *key);
uint32_t tern_config_node_count(const struct tern_tree *message, const char *key);

#endif
