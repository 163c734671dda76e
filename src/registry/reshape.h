/* Models whose clients see other shapes than the model itself (`reshape` in its configuration): a
 * run with the shapes changed on both sides of the engine. The bytes are the same. */
#ifndef TERN_REGISTRY_RESHAPE_H
#define TERN_REGISTRY_RESHAPE_H

#include "registry/snapshot.h"

/* Runs a version; every caller that has shapes from a client goes through it. The run's inputs keep
 * the client's shapes, its outputs end with them. Memory comes from the run's arena. Thread: as the
 * engine's infer. */
enum tern_code tern_reshape_infer(const struct tern_model_version *version, void *instance,
                                  const struct tern_engine_run *run, struct tern_err *err);

#endif
