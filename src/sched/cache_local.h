/* The answers that a server remembers in its own memory: least recently used go first, by bytes.
 *
 * Entries are spread over shards, each with a lock, a table and a list of its own, and an equal
 * part of the bytes; a small store is one shard, so that its order is exact. Everything that an
 * entry takes is counted: itself, its outputs, the question it answers, the allocator's overhead,
 * and the tables. An entry is immutable and counted by references: who reads one may go on when it
 * was thrown out meanwhile.
 *
 * Any thread. */
#ifndef TERN_SCHED_CACHE_LOCAL_H
#define TERN_SCHED_CACHE_LOCAL_H

#include <stdatomic.h>
#include "base/err.h"
#include "base/list.h"
#include "sched/cache_key.h"

struct tern_cache_local;

struct tern_cache_output {
    uint32_t spec; /* index among the engine's outputs */
    enum tern_dtype dtype;
    struct tern_shape shape;
    void *data; /* behind the entry */
    size_t n_bytes;
};

struct tern_cache_entry {
    struct tern_list used; /* the store's: newest at its end */
    struct tern_cache_entry *next;
    struct tern_cache_key key;
    const void *owner; /* the model version */
    atomic_uint refs;
    uint32_t n_outputs;
    size_t size;                        /* in all */
    size_t data_bytes;                  /* of the outputs */
    struct tern_cache_output outputs[]; /* then the question, then the data */
};

struct tern_cache_usage {
    uint64_t bytes, bytes_max, entries;
    uint64_t evicted; /* since the start, for want of room */
};

/* How large an entry with this answer is; SIZE_MAX: too large for a number. */
size_t tern_cache_entry_size(const struct tern_cache_key *key, const struct tern_tensor *outputs,
                             uint32_t n_outputs);
/* A copy of the answer, held once. NULL: no memory. */
struct tern_cache_entry *tern_cache_entry_new(const struct tern_cache_key *key, const void *owner,
                                              const struct tern_tensor *outputs,
                                              const uint32_t *specs, uint32_t n_outputs);
void tern_cache_entry_hold(struct tern_cache_entry *entry);
void tern_cache_entry_release(void *arg);

/* `bytes`: at most that much in all. */
enum tern_code tern_cache_local_new(uint64_t bytes, struct tern_cache_local **ret_local,
                                    struct tern_err *err);
void tern_cache_local_free(struct tern_cache_local *local);

/* The owner's answer to that question, held for the caller, and now the most recently used; NULL:
 * not known. */
struct tern_cache_entry *tern_cache_local_find(struct tern_cache_local *local, const void *owner,
                                               const struct tern_cache_key *key);
/* The largest entry that it takes. */
size_t tern_cache_local_entry_max(const struct tern_cache_local *local);
/* Remembers the entry, in the place of the one with its key; does nothing when it is too large. */
void tern_cache_local_put(struct tern_cache_local *local, struct tern_cache_entry *entry);
/* Forgets all of an owner's. */
void tern_cache_local_drop(struct tern_cache_local *local, const void *owner);
void tern_cache_local_usage(struct tern_cache_local *local, struct tern_cache_usage *ret_usage);

#endif
