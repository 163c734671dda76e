/* Whether requests for a model that declares no batches can share a run all the same: all of its
 * inputs and outputs have a free first dimension, and its rows do not know of each other. Files
 * say only the first. The second is tried at load: rows of made-up values, and of the warm-up
 * samples, run alone and joined, and the joined ones must answer what the single ones did. On a
 * load thread.
 *
 * What this cannot see is a model whose rows depend on each other for some values only; so every
 * round is random, answers that do not vary prove nothing, and a model without real numbers among
 * its outputs, which shows small influences, is asked more often. */
#ifndef TERN_REGISTRY_BATCHABLE_H
#define TERN_REGISTRY_BATCHABLE_H

#include <stdbool.h>
#include <stdint.h>
#include "core/engine.h"
#include "registry/model_config.h"

#define TERN_BATCHABLE_TEXT 256

enum tern_batchable_verdict {
    TERN_BATCHABLE_NO,
    /* Real numbers differ in their last places, as they do when an engine adds in another order for
     * another number of rows; nothing else does. */
    TERN_BATCHABLE_CLOSE,
    TERN_BATCHABLE_EXACT, /* every bit is the same */
};

struct tern_batchable {
    enum tern_batchable_verdict verdict;
    char text[TERN_BATCHABLE_TEXT]; /* NO: why: "output 'y' of joined rows differs" */
};

struct tern_batchable_subject {
    const struct tern_engine_model *engine;
    void *instance;
    const struct tern_tensor_spec *inputs, *outputs; /* of the engine, as requests have them */
    const struct tern_model_config *config;          /* its warm-up samples */
    const char *folder;                              /* of their files */
    uint64_t run_ns;                                 /* one run of the smallest shape, about */
    uint64_t budget_ns; /* time for all of it; on a busy machine it may take a few times as long */
    uint32_t max_rows;  /* of the largest run to be tried, when it fits into the time */
};

/* Never a failure of the load: what goes wrong is a reason against batches. */
void tern_batchable_prove(const struct tern_batchable_subject *subject, struct tern_batchable *ret);

#endif
