/* A Redis server as a store of bytes by key, for those that must not wait: everything happens on
 * one thread of its own, which sends what has gathered as one pipeline. hiredis speaks the
 * protocol.
 *
 * Redis is a convenience, never a necessity. While it is not reachable nothing is asked at all (the
 * breaker): the thread tries again by itself, and requests take notice only when it worked. A
 * pipeline that fails or takes longer than the timeout closes the connection, and what it asked is
 * not found. Queues are bounded in number and bytes; what does not fit is not asked, or not kept.
 */
#ifndef TERN_STORE_REDIS_H
#define TERN_STORE_REDIS_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/str.h"

#define TERN_REDIS_KEY_MAX 64

struct tern_redis;

struct tern_redis_settings {
    struct tern_str host; /* a name or an address; or a path: a Unix socket */
    uint16_t port;
    struct tern_str user, password; /* empty: none; never logged */
    uint32_t database;
    uint64_t timeout_ns;  /* of connecting, and of a pipeline */
    uint64_t ttl_ns;      /* of what is put; 0: as long as Redis keeps it */
    uint32_t queue_max;   /* operations that may wait */
    uint64_t bytes_max;   /* of values that may wait to be put */
    struct tern_log *log; /* may be NULL */
};

struct tern_redis_counts {
    bool up;
    uint64_t found, absent; /* answers to what was asked */
    uint64_t failed;        /* asked, and no answer */
    uint64_t put;
    uint64_t dropped; /* not put for want of room, or because it is not reachable */
};

/* A question. Its owner's from tern_redis_op_new to tern_redis_get, and again from on_reply. */
struct tern_redis_op {
    struct tern_list link;
    char key[TERN_REDIS_KEY_MAX];
    size_t n_key;
    char *value; /* owned: of a put */
    size_t n_value;
    /* From the store's thread, and under its lock: only tells somebody else. */
    void (*on_reply)(struct tern_redis_op *op);
    void *owner;
    bool found;
    struct tern_str reply; /* valid until the op is freed */
    void *held;            /* hiredis's reply */
    bool abandoned;
};

/* Starts the thread, which connects by itself. UNAVAILABLE without the library. Texts are copied.
 */
enum tern_code tern_redis_open(const struct tern_redis_settings *settings,
                               struct tern_redis **ret_redis, struct tern_err *err);
/* What waits to be put is lost; what was asked is not found. NULL is fine. */
void tern_redis_close(struct tern_redis *redis);

/* NULL: no memory, or the key is too long. */
struct tern_redis_op *tern_redis_op_new(struct tern_str key);
void tern_redis_op_free(struct tern_redis_op *op);

/* Asks for op->key; on_reply comes, unless the op is abandoned. False: it is not asked, now or
 * ever.
 */
bool tern_redis_get(struct tern_redis *redis, struct tern_redis_op *op);
/* True: on_reply will not come, and the op is not the caller's any more. False: it has come. */
bool tern_redis_abandon(struct tern_redis *redis, struct tern_redis_op *op);
/* Keeps a value of tern_mem_alloc, which the store takes in any case. */
void tern_redis_put(struct tern_redis *redis, struct tern_str key, char *value, size_t n_value);
/* Whether anything can be asked now; without a lock. */
bool tern_redis_is_up(const struct tern_redis *redis);
void tern_redis_counts(struct tern_redis *redis, struct tern_redis_counts *ret_counts);

#endif
