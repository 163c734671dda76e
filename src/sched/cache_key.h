/* What makes two requests to one model version the same question, as a key of a cache.
 *
 * All that can change an answer is in it: which inputs are there, in the model's order, each with
 * its datatype, shape and bytes; the parameters that reach the engine, in the order they came;
 * which outputs are wanted, in whatever order. What only says when a request runs (priority,
 * timeout, its sequence) or how its answer is written (binary or not, classes) is not. The version
 * is in the seed.
 *
 * The hash finds, and something else agrees: of a short question the question itself, which costs
 * next to nothing to keep and compare; of a longer one, whose copy would take more room than most
 * answers, 128 further bits. Its key is random and known to this process alone, so that nobody can
 * search for two questions that collide; by chance it happens once in 2^128 pairs. */
#ifndef TERN_SCHED_CACHE_KEY_H
#define TERN_SCHED_CACHE_KEY_H

#include <stdbool.h>
#include <stdint.h>
#include "base/compiler.h"
#include "base/str.h"
#include "core/engine.h"

#define TERN_CACHE_EXACT_MAX 4096u /* bytes of a question that is kept whole */

struct tern_cache_key {
    uint64_t name[2];
    uint64_t check[2];
    struct tern_str exact; /* the question when it is short; p == NULL: too long */
};

/* Fills the key; `exact` then lies in scratch. False: the request has no key and is not cached (a
 * tensor twice, or more of them than a request may have). */
bool tern_cache_key_make(const uint64_t seed[2], const struct tern_engine_run *run,
                         char scratch[TERN_CACHE_EXACT_MAX], struct tern_cache_key *ret_key);

TERN_INLINE bool tern_cache_key_eq(const struct tern_cache_key *a, const struct tern_cache_key *b)
{
    return a->name[0] == b->name[0] && a->name[1] == b->name[1] && a->check[0] == b->check[0] &&
           a->check[1] == b->check[1] && tern_str_eq(a->exact, b->exact);
}

/* Gives the question piece by piece, for another hash than ours. */
struct tern_cache_pieces {
    void (*take)(struct tern_cache_pieces *self, const void *p, size_t n);
};
bool tern_cache_key_write(const struct tern_engine_run *run, struct tern_cache_pieces *pieces);

#endif
