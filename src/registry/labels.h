/* What the classes of an output are called: a label file says it, one a line, else the model's own
 * file. */
#ifndef TERN_REGISTRY_LABELS_H
#define TERN_REGISTRY_LABELS_H

#include "base/arena.h"
#include "core/model.h"

#define TERN_LABELS_FILE_MAX (16u << 20)

/* Reads the files that the outputs name into the arena, and takes what the model says where there
 * is none: one list an output, or NULL when none has any. A file that is not there, or is larger
 * than TERN_LABELS_FILE_MAX, is an error that names the output. Blocking. */
enum tern_code tern_labels_load(const struct tern_tensor_spec *outputs, uint32_t n,
                                struct tern_arena *arena, const struct tern_labels **ret_labels,
                                struct tern_err *err);

#endif
