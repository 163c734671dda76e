/* What an ensemble is made of: ensemble_scheduling of its configuration (ModelEnsembling in
 * model_config.proto), checked and turned into steps that stand behind those they depend on.
 * Nothing here knows the models: registry/binding.h ties the steps to those that are served.
 *
 * Everything lies in the arena of the configuration. */
#ifndef TERN_REGISTRY_ENSEMBLING_H
#define TERN_REGISTRY_ENSEMBLING_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/str.h"
#include "conf/problem.h"

#define TERN_ENSEMBLE_STEPS_MAX 256u
#define TERN_ENSEMBLE_MAPS_MAX  1024u /* of all steps together */

struct tern_model_config;

/* An input or output of a step's model, and the tensor of the ensemble that it is. */
struct tern_ensemble_map {
    struct tern_str name;
    uint32_t tensor;
};

struct tern_ensemble_step {
    struct tern_str model;
    int64_t version; /* 0: the latest that is served */
    const struct tern_ensemble_map *inputs;
    uint32_t n_inputs;
    const struct tern_ensemble_map *outputs;
    uint32_t n_outputs;
    const uint32_t *next; /* steps that take what this one gives */
    uint32_t n_next;
    uint32_t n_before; /* how many it takes from */
    struct tern_str place;
};

struct tern_ensembling {
    const struct tern_ensemble_step *steps;
    uint32_t n_steps;
    const struct tern_str *tensors; /* their names */
    uint32_t n_tensors;
    const uint32_t *inputs, *outputs; /* which tensor the ensemble's own i-th one is */
    uint32_t n_inputs, n_outputs;
    uint32_t max_inflight; /* answers of one run of a decoupled step that are worked on at a time;
                              0: not said */
    bool is_chain;         /* two steps never run at the same time */
};

/* Reads it from the configuration's tree, whose inputs and outputs are known. NULL: there is none,
 * or a mistake was added to the list. */
const struct tern_ensembling *tern_ensembling_read(const struct tern_model_config *config,
                                                   struct tern_arena *arena,
                                                   struct tern_problems *problems);

#endif
