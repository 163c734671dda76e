/* Which works may share an engine run (sched/batch.h): those of one bucket.
 *
 * A bucket is a 64-bit hash of what must be equal: which inputs are there and their shapes but for
 * the first dimension (of a ragged input only how many dimensions it has), the set of wanted
 * outputs, and the parameters where the engine reads them. The order of tensors does not matter. It
 * is keyed by the version's address, so that clients cannot aim at a collision; one that happens
 * costs a batch (gather refuses it), never a wrong answer. No engine here has shape tensors, whose
 * contents would count too: the configuration refuses them. */
#ifndef TERN_SCHED_BATCH_BUCKET_H
#define TERN_SCHED_BATCH_BUCKET_H

#include <stdint.h>
#include "core/engine.h"
#include "registry/snapshot.h"

/* 0: the run goes alone. The version has no batches, answers go to a sink, an output is wanted
 * twice, or an input is no rows of the others' number. Any thread. */
uint64_t tern_batch_bucket(const struct tern_model_version *version,
                           const struct tern_engine_run *run);
/* The same whether or not the version has batches: for those who make their own. */
uint64_t tern_batch_key(const struct tern_model_version *version,
                        const struct tern_engine_run *run);

#endif
