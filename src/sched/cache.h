/* The response cache: the first of the scheduler's stages, for models whose configuration says
 * `response_cache { enable: true }`. A known answer comes at once, on the caller's loop. A question
 * that is being answered already is not asked again: who asks it meanwhile waits for that answer.
 *
 * - The first to ask *leads*: its work goes on to the next stage. The others *follow*: they wait
 *   without a place in any queue, each with its own deadline, on its own loop.
 * - The leader's answer goes to all. So does an error that the same question would meet again
 *   (INVALID_ARGUMENT, INTERNAL and the like): asking the model as often as there are followers
 *   would not make it better.
 * - What befell the leader alone does not: when it was cancelled, late, refused by a full queue or
 *   out of memory, or the server ends, the next follower leads, with what it has left of its own
 *   deadline. What the leader's run had done by then is lost.
 * - A request that is more urgent than the leader does not wait behind it: it leads a run of its
 * own, and those after it follow that one.
 *
 * Not for models that take sequences of requests or answer more than once: the same question then
 * has another answer next time. Errors are not remembered. Memory that a client shares is copied
 * before it is hashed: it could change between the hash and the run, and a wrong answer would be
 * remembered for everybody.
 *
 * With a Redis server, a leader asks there before the model, and waits no longer than the store's
 * timeout or its own deadline; what it then gets goes to its followers too (sched/cache_shared.h).
 * A Redis that is not there is not asked (store/redis.h).
 *
 * Answers in memory belong to the version object that gave them, so that a reload begins with none.
 */
#ifndef TERN_SCHED_CACHE_H
#define TERN_SCHED_CACHE_H

#include "sched/cache_local.h"
#include "sched/sched.h"
#include "store/redis.h"

struct tern_cache;

struct tern_cache_settings {
    uint64_t local_bytes; /* 0: nothing is remembered in this process */
    /* Where answers are shared with other servers; asked when this process does not know. NULL:
     * nowhere. */
    const struct tern_redis_settings *redis;
};

/* NULL in *ret_cache when the settings ask for none. */
enum tern_code tern_cache_new(const struct tern_cache_settings *settings,
                              struct tern_cache **ret_cache, struct tern_err *err);
/* After the last version was removed. NULL is fine. */
void tern_cache_free(struct tern_cache *cache);

/* Before the version is published; does nothing for one that is not cached, or without a cache. */
enum tern_code tern_cache_add(struct tern_cache *cache, struct tern_model_version *version,
                              struct tern_err *err);
/* After it came home. Forgets its answers. */
void tern_cache_remove(struct tern_model_version *version);

/* For work of a version with a cache. */
void tern_cache_submit(struct tern_sched *sched, struct tern_work *work);
void tern_cache_cancel(struct tern_sched *sched, struct tern_work *work);

/* How many works wait for the run of another one. Any thread. */
uint32_t tern_cache_followers(const struct tern_model_version *version);
void tern_cache_usage(struct tern_cache *cache, struct tern_cache_usage *ret_usage);
void tern_cache_shared_counts(struct tern_cache *cache, struct tern_redis_counts *ret_counts);

#endif
