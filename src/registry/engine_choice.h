/* Which engines could run a model file, the best first. The first that loads it has it: a graph
 * that the native engine cannot run is ONNX Runtime's. */
#ifndef TERN_REGISTRY_ENGINE_CHOICE_H
#define TERN_REGISTRY_ENGINE_CHOICE_H

#include "registry/repository.h"

#define TERN_ENGINE_CHOICE_MAX 4

struct tern_engine_choice {
    const struct tern_engine_ops *rows[TERN_ENGINE_CHOICE_MAX];
    uint32_t n;
};

/* name: the configuration's backend or platform ("tern", "onnxruntime_onnx"), or empty. When that
 * is an engine which takes the file, it is the only one. */
void tern_engine_choice_make(const char *path, struct tern_str name,
                             const struct tern_engine_set *engines,
                             struct tern_engine_choice *ret_choice);
/* Whether another engine is to be asked after a load that ended so: the file is not for this one,
 * or is damaged in its eyes. */
bool tern_engine_choice_goes_on(enum tern_code code);

#endif
