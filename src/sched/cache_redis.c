/* What a leader asks of the Redis that servers share, and leaves there. */
#include "base/clock.h"
#include "sched/cache_int.h"

#define VALUE_MAX ((size_t)64 << 20) /* an answer that is shared */

static struct tern_cache_entry *read_reply(struct tern_cache_member *m,
                                           const struct tern_redis_op *op)
{
    const struct tern_engine_run *run = &m->work->run;
    struct tern_tensor *outputs =
        op->found ? tern_arena_zalloc(run->arena, run->n_outputs, sizeof(*outputs)) : NULL;

    if (outputs == NULL ||
        !tern_cache_shared_read(&m->shared, op->reply, m->work->version, run, outputs))
        return NULL;
    return tern_cache_entry_new(&m->key, m->cached, outputs, run->output_spec, run->n_outputs);
}

static void on_shared_reply(struct tern_loop_task *task)
{
    struct tern_work *work = TERN_CONTAINER_OF(task, struct tern_work, task);
    struct tern_cache_member *m = work->cache_member;
    struct tern_redis_op *op = m->op;
    uint64_t now = tern_clock_mono_ns();

    tern_loop_timer_stop(work->loop, &work->timer);
    m->op = NULL;
    m->spent_ns += now - m->asked_ns;
    struct tern_cache_entry *entry = m->cancelled ? NULL : read_reply(m, op);
    tern_redis_op_free(op);
    tern_cache_replied(m, entry, now);
}

/* From the store's thread. */
static void on_reply(struct tern_redis_op *op)
{
    struct tern_work *work = op->owner;

    work->task.run = on_shared_reply;
    tern_loop_post(work->loop, &work->task);
}

bool tern_cache_redis_abandon(struct tern_cache_member *m)
{
    if (!tern_redis_abandon(m->cached->cache->redis, m->op))
        return false; /* its reply is on the way */
    m->op = NULL;
    return true;
}

static void on_waited(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);
    struct tern_cache_member *m = work->cache_member;
    uint64_t now = tern_clock_mono_ns();

    if (!tern_cache_redis_abandon(m))
        return;
    m->spent_ns += now - m->asked_ns;
    tern_cache_unanswered(m, now);
}

/* The question to Redis, or NULL: it has none, or there is no memory for it. */
static struct tern_redis_op *new_op(struct tern_cache_member *m)
{
    if (!m->has_shared && !tern_cache_shared_key_make(&m->cached->begin, &m->work->run, &m->shared))
        return NULL;
    m->has_shared = true;
    struct tern_redis_op *op =
        tern_redis_op_new(tern_str_make(m->shared.name, TERN_CACHE_SHARED_NAME));
    if (op != NULL) {
        op->owner = m->work;
        op->on_reply = on_reply;
    }
    return op;
}

/* No longer than the store's timeout or the deadline. */
static void watch_reply(struct tern_work *work, uint64_t now, uint64_t wait_ns)
{
    if (work->deadline_ns != 0 && work->deadline_ns - now < wait_ns)
        wait_ns = work->deadline_ns - now;
    work->timer.on_due = on_waited;
    /* Without a timer the store's own timeout ends it. */
    (void)tern_loop_timer_offer(work->loop, &work->timer, wait_ns);
}

bool tern_cache_redis_ask(struct tern_cache_member *m, uint64_t now)
{
    const struct tern_cache *cache = m->cached->cache;

    if (!m->cached->shares || !tern_redis_is_up(cache->redis))
        return false;
    m->op = new_op(m);
    if (m->op == NULL)
        return false;
    m->asked_ns = now;
    m->work->state = TERN_WORK_WAITING;
    if (!tern_redis_get(cache->redis, m->op)) {
        tern_redis_op_free(m->op);
        m->op = NULL;
        return false;
    }
    watch_reply(m->work, now, cache->redis_timeout_ns);
    return true;
}

void tern_cache_redis_share(const struct tern_cache_member *m)
{
    const struct tern_cache *cache = m->cached->cache;
    size_t n = 0;

    if (!m->has_shared || !tern_redis_is_up(cache->redis))
        return;
    char *value = tern_cache_shared_write(&m->shared, &m->work->run, VALUE_MAX, &n);
    if (value != NULL)
        tern_redis_put(cache->redis, tern_str_make(m->shared.name, TERN_CACHE_SHARED_NAME), value,
                       n);
}
