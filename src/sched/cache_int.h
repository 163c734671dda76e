/* What the files of the response cache share. */
#ifndef TERN_SCHED_CACHE_INT_H
#define TERN_SCHED_CACHE_INT_H

#include <pthread.h>
#include <stdatomic.h>
#include "sched/cache.h"
#include "sched/cache_shared.h"

#define TERN_CACHE_STRIPES 256u

/* The questions that are being answered, by their hash. */
struct stripe {
    TERN_ALIGNED(TERN_CACHE_LINE) pthread_mutex_t lock;
    struct tern_list leaders; /* tern_cache_member.link */
};

struct tern_cache {
    struct tern_cache_local *local; /* NULL: none */
    struct tern_redis *redis;       /* NULL: none */
    uint64_t redis_timeout_ns;
    uint64_t key[2];           /* random */
    _Atomic uint64_t versions; /* that there have been */
    struct stripe stripes[TERN_CACHE_STRIPES];
};

/* A model version's part. */
struct cached {
    struct tern_cache *cache;
    uint64_t seed[2];
    bool shares;
    struct tern_blake2b begin; /* shares: of its keys */
    atomic_uint followers;
};

enum state {
    LEADING,
    FOLLOWING,
    CALLED, /* its fate is known, and a task that carries it out is on the way to its loop */
};

enum fate {
    ANSWERED,
    FAILED, /* work->err has it already */
    LEADS,
};

/* A work between its question and its answer; in its run's arena. The stripe's lock guards link,
 * followers, state and what comes with CALLED. */
struct tern_cache_member {
    struct tern_work *work;
    struct tern_sched *sched;
    struct cached *cached;
    struct tern_cache_key key;
    void (*on_done)(struct tern_work *work); /* the owner's */
    struct tern_list link;      /* leaders: in the stripe; followers: in the leader's */
    struct tern_list followers; /* leaders: in the order they came */
    struct tern_list call;      /* until it is told of its fate */
    enum state state;
    enum fate fate;
    struct tern_cache_entry *answer; /* ANSWERED: held */
    /* Its loop's. */
    bool cancelled;           /* while it was called to lead, or an answer was on the way */
    struct tern_redis_op *op; /* a question to Redis; NULL: none now */
    bool has_shared;
    struct tern_cache_shared_key shared;
    uint64_t came_ns;
    uint64_t asked_ns; /* op */
    uint64_t spent_ns; /* in the cache itself */
};

/* ---- cache.c: who leads, who follows ---- */

/* The answer to tern_cache_redis_ask: takes the hold of entry. NULL: Redis does not know, or what
 * it said is none. */
void tern_cache_replied(struct tern_cache_member *m, struct tern_cache_entry *entry, uint64_t now);
/* Or none came in time. */
void tern_cache_unanswered(struct tern_cache_member *m, uint64_t now);

/* ---- cache_answer.c ---- */

/* Held for the caller, or NULL. */
struct tern_cache_entry *tern_cache_find_known(const struct cached *cached,
                                               const struct tern_cache_key *key);
void tern_cache_remember(const struct cached *cached, struct tern_cache_entry *entry);
/* With an answer that another work got, or gets; takes the hold. spent_ns: in the cache before. */
void tern_cache_answer(struct tern_work *work, struct tern_cache_entry *entry, uint64_t spent_ns,
                       uint64_t now);
/* The end of a work that did not run here. */
void tern_cache_finish(struct tern_work *work, enum tern_code code);

/* ---- cache_redis.c ---- */

/* False: it cannot be asked. Else one of the two above follows, from the loop. */
bool tern_cache_redis_ask(struct tern_cache_member *m, uint64_t now);
/* False: its reply is on the way. Else neither follows. */
bool tern_cache_redis_abandon(struct tern_cache_member *m);
/* The answer of the leader's run, for others. */
void tern_cache_redis_share(const struct tern_cache_member *m);

#endif
