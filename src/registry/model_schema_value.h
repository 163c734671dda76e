/* Scalars of a model's configuration: whether a text is a value of a type, and its one spelling. */
#ifndef TERN_REGISTRY_MODEL_SCHEMA_VALUE_H
#define TERN_REGISTRY_MODEL_SCHEMA_VALUE_H

#include "registry/model_schema.h"

/* Puts the canonical text (true, 12, 0.5, TYPE_FP32) into the node; false when it is no value of
 * the field's type. */
bool tern_model_schema_value(const struct tern_schema_field *field, struct tern_tree *node,
                             struct tern_arena *arena);
/* Of a canonical text. */
double tern_model_schema_real(struct tern_str text);
/* UTF-8 without a zero byte: engines and files take such texts as C strings. */
bool tern_model_schema_is_text(struct tern_str text);
/* "a whole number from 0 to 4294967295"; static, or for an enum written to dst. */
const char *tern_model_schema_expected(const struct tern_schema_field *field, char *dst,
                                       size_t cap);
/* "0", "false", "\"\"" or an enum's first name quoted: what JSON shows for a scalar left out. */
const char *tern_model_schema_default(const struct tern_schema_field *field);

#endif
