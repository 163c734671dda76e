/* A configuration on its way from a bound tree to plain structs: where a value stands, memory for
 * it, and the readings that several parts of it share. For registry/model_config*.c only. */
#ifndef TERN_REGISTRY_CONFIG_READER_H
#define TERN_REGISTRY_CONFIG_READER_H

#include "registry/config_node.h"
#include "registry/model_config.h"

struct tern_config_reader {
    struct tern_model_config *config;
    struct tern_arena *arena;
    struct tern_problems *problems; /* where mistakes go */
    bool out_of_memory;             /* which is said once */
};

/* "file:line:column", for a mistake at that node. */
struct tern_str tern_config_reader_place(const struct tern_config_reader *r,
                                         const struct tern_tree *node);
void tern_config_reader_say_no_memory(struct tern_config_reader *r);
/* Zeroed; at least one element, so that NULL means no memory. */
void *tern_config_reader_many(struct tern_config_reader *r, uint32_t n, size_t size);
/* A file name inside the model's folder: no way up, no way out. Empty where it is left out, or a
 * mistake. */
struct tern_str tern_config_reader_file(const struct tern_config_reader *r,
                                        const struct tern_tree *message, const char *key);
/* `key`: "dims", or "shape" of a reshape. */
void tern_config_reader_dims(const struct tern_config_reader *r, const struct tern_tree *message,
                             const char *key, struct tern_shape *ret_shape);
/* An entry of the map `parameters`; NULL: there is none. */
const struct tern_tree *tern_config_reader_parameter(const struct tern_config_reader *r,
                                                     const char *key);

#endif
