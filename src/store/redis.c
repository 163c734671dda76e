#include "store/redis.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "os/thread.h"
#include "store/hiredis.h"

#define PIPELINE_MAX   64u
#define RETRY_FIRST_NS (100u * TERN_NS_PER_MS)
#define RETRY_LAST_NS  (5u * (uint64_t)TERN_NS_PER_S)

struct tern_redis {
    struct tern_redis_settings settings;
    char *host, *user, *password; /* owned */
    struct tern_thread thread;
    bool started;
    redisContext *context; /* the thread's; NULL: not connected */
    uint64_t retry_ns;     /* the thread's: how long until the next attempt */
    atomic_bool up;
    pthread_mutex_t lock; /* guards the rest */
    pthread_cond_t changed;
    struct tern_list queue; /* tern_redis_op.link */
    struct tern_list sent;  /* those that the thread works on */
    uint32_t n_queued;
    uint64_t bytes_queued;
    bool stopping;
    struct tern_redis_counts counts;
};

/* ---- operations ---- */

struct tern_redis_op *tern_redis_op_new(struct tern_str key)
{
    struct tern_redis_op *op = key.n > TERN_REDIS_KEY_MAX ? NULL : tern_mem_zalloc(1, sizeof(*op));

    if (op == NULL)
        return NULL;
    tern_list_init(&op->link);
    memcpy(op->key, key.p, key.n);
    op->n_key = key.n;
    return op;
}

void tern_redis_op_free(struct tern_redis_op *op)
{
    if (op == NULL)
        return;
    if (op->held != NULL)
        freeReplyObject(op->held);
    tern_mem_free(op->value);
    tern_mem_free(op);
}

static bool is_put(const struct tern_redis_op *op)
{
    return op->value != NULL;
}

/* Under the lock. */
static bool has_room(const struct tern_redis *redis, size_t bytes)
{
    return redis->n_queued < redis->settings.queue_max &&
           bytes <= redis->settings.bytes_max - redis->bytes_queued;
}

/* Whether it is in the queue now. */
static bool offer(struct tern_redis *redis, struct tern_redis_op *op)
{
    if (!tern_redis_is_up(redis))
        return false;
    pthread_mutex_lock(&redis->lock);
    bool fits = !redis->stopping && has_room(redis, op->n_value);
    if (fits) {
        tern_list_append(&redis->queue, &op->link);
        redis->n_queued++;
        redis->bytes_queued += op->n_value;
        pthread_cond_signal(&redis->changed);
    }
    pthread_mutex_unlock(&redis->lock);
    return fits;
}

bool tern_redis_get(struct tern_redis *redis, struct tern_redis_op *op)
{
    return offer(redis, op);
}

void tern_redis_put(struct tern_redis *redis, struct tern_str key, char *value, size_t n_value)
{
    struct tern_redis_op *op = tern_redis_op_new(key);

    if (op == NULL) {
        tern_mem_free(value);
        return;
    }
    op->value = value;
    op->n_value = n_value;
    if (offer(redis, op))
        return;
    tern_redis_op_free(op);
    pthread_mutex_lock(&redis->lock);
    redis->counts.dropped++;
    pthread_mutex_unlock(&redis->lock);
}

/* One that waits in the queue stays there, and is thrown away when its turn comes. */
bool tern_redis_abandon(struct tern_redis *redis, struct tern_redis_op *op)
{
    pthread_mutex_lock(&redis->lock);
    bool in_time = !tern_list_is_empty(&op->link);
    op->abandoned = in_time;
    pthread_mutex_unlock(&redis->lock);
    return in_time;
}

bool tern_redis_is_up(const struct tern_redis *redis)
{
    return atomic_load_explicit(&redis->up, memory_order_relaxed);
}

void tern_redis_counts(struct tern_redis *redis, struct tern_redis_counts *ret_counts)
{
    pthread_mutex_lock(&redis->lock);
    *ret_counts = redis->counts;
    pthread_mutex_unlock(&redis->lock);
    ret_counts->up = tern_redis_is_up(redis);
}

/* ---- the connection: on the thread ---- */

static struct timeval timeout_of(const struct tern_redis *redis)
{
    uint64_t ns = redis->settings.timeout_ns;

    return (struct timeval){.tv_sec = (time_t)(ns / TERN_NS_PER_S),
                            .tv_usec = (suseconds_t)(ns % TERN_NS_PER_S / 1000)};
}

static enum tern_code fail_of(const redisContext *context, struct tern_err *err)
{
    return tern_fail(err, TERN_UNAVAILABLE, "%s",
                     context == NULL ? "no memory for a connection" : context->errstr);
}

/* A command whose answer only says whether it was accepted. */
static enum tern_code command(redisContext *context, int n, const char **words,
                              struct tern_err *err)
{
    redisReply *reply = redisCommandArgv(context, n, words, NULL);
    enum tern_code code = TERN_OK;

    if (reply == NULL)
        return fail_of(context, err);
    if (reply->type == REDIS_REPLY_ERROR)
        code = tern_fail(err, TERN_UNAUTHENTICATED, "%.*s",
                         (int)(reply->len < 200 ? reply->len : 200), reply->str);
    freeReplyObject(reply);
    return code;
}

static enum tern_code sign_on(struct tern_redis *redis, redisContext *context, struct tern_err *err)
{
    const char *with_user[] = {"AUTH", redis->user, redis->password};
    const char *without[] = {"AUTH", redis->password};
    char digits[21];
    const char *select[] = {"SELECT", digits};
    const char *ping[] = {"PING"};

    if (redis->user[0] != '\0')
        TERN_TRY(command(context, 3, with_user, err));
    else if (redis->password[0] != '\0')
        TERN_TRY(command(context, 2, without, err));
    digits[tern_num_format_u64(redis->settings.database, digits)] = '\0';
    if (redis->settings.database != 0)
        TERN_TRY(command(context, 2, select, err));
    return command(context, 1, ping, err);
}

static enum tern_code try_connect(struct tern_redis *redis, struct tern_err *err)
{
    struct timeval timeout = timeout_of(redis);
    redisContext *context =
        redis->host[0] == '/' ? redisConnectUnixWithTimeout(redis->host, timeout)
                              : redisConnectWithTimeout(redis->host, redis->settings.port, timeout);
    enum tern_code code = TERN_OK;

    if (context == NULL || context->err != 0)
        code = fail_of(context, err);
    if (code == TERN_OK && redisSetTimeout(context, timeout) != REDIS_OK)
        code = fail_of(context, err);
    if (code == TERN_OK)
        code = sign_on(redis, context, err);
    if (code != TERN_OK) {
        if (context != NULL)
            redisFree(context);
        return code;
    }
    redis->context = context;
    return TERN_OK;
}

/* Said once for each time it goes. */
static void go_down(struct tern_redis *redis, const struct tern_err *err)
{
    bool was_up = atomic_exchange(&redis->up, false);

    if (redis->context != NULL)
        redisFree(redis->context);
    redis->context = NULL;
    if ((was_up || redis->retry_ns == 0) && redis->settings.log != NULL)
        tern_log_warn(redis->settings.log, "cache.redis.down",
                      "Redis cannot be used; answers are computed until it can",
                      TERN_KV_Z("host", redis->host), TERN_KV_U64("port", redis->settings.port),
                      TERN_KV_ERR(err));
    if (was_up || redis->retry_ns == 0)
        redis->retry_ns = RETRY_FIRST_NS;
}

static void connect_now(struct tern_redis *redis)
{
    struct tern_err err;

    if (try_connect(redis, &err) != TERN_OK) {
        uint64_t longer = 2 * redis->retry_ns;
        go_down(redis, &err);
        redis->retry_ns = longer == 0              ? RETRY_FIRST_NS
                          : longer < RETRY_LAST_NS ? longer
                                                   : RETRY_LAST_NS;
        return;
    }
    redis->retry_ns = RETRY_FIRST_NS;
    atomic_store(&redis->up, true);
    if (redis->settings.log != NULL)
        tern_log_info(redis->settings.log, "cache.redis.up", "answers are shared through Redis",
                      TERN_KV_Z("host", redis->host), TERN_KV_U64("port", redis->settings.port));
}

/* ---- pipelines: on the thread ---- */

static bool append(struct tern_redis *redis, const struct tern_redis_op *op)
{
    char ttl[21];
    const char *words[] = {"GET", op->key, op->value, "PX", ttl};
    size_t sizes[] = {3, op->n_key, op->n_value, 2, 0};
    int n = 2;

    if (is_put(op)) {
        words[0] = "SET";
        sizes[4] = tern_num_format_u64(redis->settings.ttl_ns / TERN_NS_PER_MS, ttl);
        n = redis->settings.ttl_ns >= TERN_NS_PER_MS ? 5 : 3;
    }
    return redisAppendCommandArgv(redis->context, n, words, sizes) == REDIS_OK;
}

static void take_reply(struct tern_redis_op *op, redisReply *reply)
{
    op->found = reply->type == REDIS_REPLY_STRING;
    if (op->found)
        op->reply = tern_str_make(reply->str, reply->len);
    op->held = reply;
}

/* Fills what was found. On failure the rest is not. */
static enum tern_code exchange(struct tern_redis *redis, struct tern_redis_op **ops, uint32_t n,
                               struct tern_err *err)
{
    uint64_t until = tern_clock_mono_ns() + 2 * redis->settings.timeout_ns;
    void *reply;

    for (uint32_t i = 0; i < n; i++) {
        if (!append(redis, ops[i]))
            return fail_of(redis->context, err);
    }
    for (uint32_t i = 0; i < n; i++) {
        if (redisGetReply(redis->context, &reply) != REDIS_OK)
            return fail_of(redis->context, err);
        take_reply(ops[i], reply);
        if (tern_clock_mono_ns() > until)
            return tern_fail(err, TERN_DEADLINE_EXCEEDED, "it is too slow");
    }
    return TERN_OK;
}

/* Under the lock: what became of it, and to whom it belongs now. */
static void settle(struct tern_redis *redis, struct tern_redis_op *op)
{
    struct tern_redis_counts *counts = &redis->counts;
    uint64_t *count = op->held == NULL ? (is_put(op) ? &counts->dropped : &counts->failed)
                      : is_put(op)     ? &counts->put
                      : op->found      ? &counts->found
                                       : &counts->absent;

    (*count)++;
    redis->bytes_queued -= op->n_value;
    redis->n_queued--;
    tern_list_remove(&op->link);
    if (is_put(op) || op->abandoned)
        tern_redis_op_free(op);
    else
        op->on_reply(op);
}

/* Under the lock, which is let go meanwhile. */
static void serve(struct tern_redis *redis)
{
    struct tern_redis_op *ops[PIPELINE_MAX];
    struct tern_err err;
    uint32_t n = 0;

    for (struct tern_list *at; n < PIPELINE_MAX && (at = tern_list_pop(&redis->queue)) != NULL;) {
        ops[n] = TERN_CONTAINER_OF(at, struct tern_redis_op, link);
        tern_list_append(&redis->sent, &ops[n++]->link);
    }
    pthread_mutex_unlock(&redis->lock);
    if (redis->context != NULL && exchange(redis, ops, n, &err) != TERN_OK)
        go_down(redis, &err);
    pthread_mutex_lock(&redis->lock);
    for (uint32_t i = 0; i < n; i++)
        settle(redis, ops[i]);
}

/* Under the lock. */
static void wait_for(struct tern_redis *redis, uint64_t ns)
{
    struct timespec until;

    clock_gettime(CLOCK_MONOTONIC, &until);
    ns += (uint64_t)until.tv_nsec;
    until.tv_sec += (time_t)(ns / TERN_NS_PER_S);
    until.tv_nsec = (long)(ns % TERN_NS_PER_S);
    pthread_cond_timedwait(&redis->changed, &redis->lock, &until);
}

static void run(void *arg)
{
    struct tern_redis *redis = arg;
    uint64_t retry_at = 0;

    pthread_mutex_lock(&redis->lock);
    while (!redis->stopping) {
        uint64_t now = tern_clock_mono_ns();
        if (!tern_list_is_empty(&redis->queue)) {
            serve(redis);
            retry_at = tern_clock_mono_ns() + redis->retry_ns;
        } else if (redis->context != NULL) {
            pthread_cond_wait(&redis->changed, &redis->lock);
        } else if (now < retry_at) {
            wait_for(redis, retry_at - now);
        } else {
            pthread_mutex_unlock(&redis->lock);
            connect_now(redis);
            retry_at = tern_clock_mono_ns() + redis->retry_ns;
            pthread_mutex_lock(&redis->lock);
        }
    }
    atomic_store(&redis->up, false);
    if (redis->context != NULL)
        redisFree(redis->context);
    redis->context = NULL;
    while (!tern_list_is_empty(&redis->queue))
        serve(redis);
    pthread_mutex_unlock(&redis->lock);
}

/* ---- life ---- */

static enum tern_code copy_texts(struct tern_redis *redis, struct tern_err *err)
{
    const struct tern_redis_settings *settings = &redis->settings;

    redis->host = tern_mem_strdup(settings->host);
    redis->user = tern_mem_strdup(settings->user);
    redis->password = tern_mem_strdup(settings->password);
    if (redis->host == NULL || redis->user == NULL || redis->password == NULL)
        return tern_mem_fail(err, "the connection to Redis", settings->host.n);
    return TERN_OK;
}

static void init_lock(struct tern_redis *redis)
{
    pthread_condattr_t monotonic;

    pthread_mutex_init(&redis->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&redis->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

enum tern_code tern_redis_open(const struct tern_redis_settings *settings,
                               struct tern_redis **ret_redis, struct tern_err *err)
{
    TERN_TRY(tern_hiredis_load(err));
    struct tern_redis *redis = tern_mem_zalloc(1, sizeof(*redis));
    if (redis == NULL)
        return tern_mem_fail(err, "the connection to Redis", sizeof(*redis));
    redis->settings = *settings;
    atomic_init(&redis->up, false);
    init_lock(redis);
    tern_list_init(&redis->queue);
    tern_list_init(&redis->sent);
    enum tern_code code = copy_texts(redis, err);
    if (code == TERN_OK)
        code = tern_thread_start(&redis->thread, "tern-redis", -1, run, redis, err);
    redis->started = code == TERN_OK;
    if (code != TERN_OK) {
        tern_redis_close(redis);
        return code;
    }
    *ret_redis = redis;
    return TERN_OK;
}

void tern_redis_close(struct tern_redis *redis)
{
    if (redis == NULL)
        return;
    if (redis->started) {
        pthread_mutex_lock(&redis->lock);
        redis->stopping = true;
        pthread_cond_signal(&redis->changed);
        pthread_mutex_unlock(&redis->lock);
        tern_thread_join(&redis->thread);
    }
    pthread_cond_destroy(&redis->changed);
    pthread_mutex_destroy(&redis->lock);
    tern_mem_free(redis->host);
    tern_mem_free(redis->user);
    tern_mem_free(redis->password);
    tern_mem_free(redis);
}
