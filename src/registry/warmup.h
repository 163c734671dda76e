/* Warm-up: runs a fresh instance before anybody waits for it, and learns how long a run takes.
 * On a load thread. */
#ifndef TERN_REGISTRY_WARMUP_H
#define TERN_REGISTRY_WARMUP_H

#include <stdint.h>
#include "base/err.h"
#include "core/engine.h"
#include "registry/model_config.h"

/* The best of a few runs on zeros of the smallest shape, in ns, and its size in input elements. An
 * error is no fault of the model: zeros need not be a valid input. */
enum tern_code tern_warmup_time(const struct tern_engine_model *engine, void *instance,
                                uint64_t *ret_best_ns, uint64_t *ret_units, struct tern_err *err);

/* Runs the samples that the configuration lists (model_warmup), each as often as it says. An error
 * here names the sample, and the load fails: the configuration asked for exactly this. */
enum tern_code tern_warmup_samples(const struct tern_engine_model *engine, void *instance,
                                   const struct tern_model_config *config, const char *folder,
                                   struct tern_err *err);

/* The inputs of one sample, in the arena: sample->n_inputs of each. */
enum tern_code tern_warmup_inputs(const struct tern_engine_model *engine,
                                  const struct tern_model_config *config,
                                  const struct tern_config_warmup *sample, const char *folder,
                                  struct tern_arena *arena, struct tern_tensor **ret_inputs,
                                  uint32_t **ret_input_spec, struct tern_err *err);
/* A run over these inputs, whose outputs are all of the model's; a decoupled model's answers go
 * nowhere. */
enum tern_code tern_warmup_run(const struct tern_engine_model *engine,
                               const struct tern_tensor *inputs, const uint32_t *input_spec,
                               uint32_t n_inputs, struct tern_arena *arena,
                               struct tern_engine_run *ret_run, struct tern_err *err);

#endif
