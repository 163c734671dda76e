/* Answers that several servers share: how a question is named in their store, and how an answer is
 * written there.
 *
 * The name cannot be made with a secret of one process, so it is a hash for which nobody can find a
 * collision (base/blake2b.h): half of it is the name, the other half stands in the value and has to
 * agree. It is over the model's name, version and content (registry/content.h) and Tern's version,
 * and then over what sched/cache_key.h says.
 *
 *     name   "tern:1:" and 32 hexadecimal digits; 1 is the version of this form
 *     value  "TRN1", outputs (u32), the other half (16 bytes), size of the value in all (u64), then
 *            for each output: index among the engine's outputs (u32), datatype (u32), rank (u64),
 *            dimensions (i64 each), bytes (u64), and the bytes. Little-endian.
 *
 * What comes back is not trusted: a value that is not whole, or whose tensors are not what the
 * model gives, is no answer. */
#ifndef TERN_SCHED_CACHE_SHARED_H
#define TERN_SCHED_CACHE_SHARED_H

#include <stdbool.h>
#include "base/blake2b.h"
#include "core/engine.h"
#include "registry/snapshot.h"

#define TERN_CACHE_SHARED_NAME 39 /* bytes */

struct tern_cache_shared_key {
    char name[TERN_CACHE_SHARED_NAME + 1];
    unsigned char check[16];
};

/* What the keys of all of a version's questions begin with. False: it has none to share. */
bool tern_cache_shared_begin(const struct tern_model_version *version,
                             struct tern_blake2b *ret_begin);
/* False as tern_cache_key_make. */
bool tern_cache_shared_key_make(const struct tern_blake2b *begin, const struct tern_engine_run *run,
                                struct tern_cache_shared_key *ret_key);
/* The value for the run's outputs, of tern_mem_alloc. NULL: no memory, or larger than max. */
char *tern_cache_shared_write(const struct tern_cache_shared_key *key,
                              const struct tern_engine_run *run, size_t max, size_t *ret_n);
/* Fills outputs, one for each of the run's and in their order, with what the value says; their data
 * lies in it. False: it is not an answer to that question. */
bool tern_cache_shared_read(const struct tern_cache_shared_key *key, struct tern_str value,
                            const struct tern_model_version *version,
                            const struct tern_engine_run *run, struct tern_tensor *outputs);

#endif
