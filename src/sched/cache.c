#include "sched/cache.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/random.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/wide_hash.h"
#include "sched/cache_shared.h"
#include "sched/ensemble.h"
#include "sched/submit.h"

#define STRIPES 256u
/* Answers up to this size are copied on a hit: cheaper than to be counted by all loops. */
#define COPIED_MAX 4096u
#define VALUE_MAX  ((size_t)64 << 20) /* an answer that is shared */

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
    struct stripe stripes[STRIPES];
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

static struct stripe *stripe_of(const struct tern_cache_member *m)
{
    return &m->cached->cache->stripes[m->key.name[0] % STRIPES];
}

/* ---- answers ---- */

static void fill(struct tern_tensor *output, const struct tern_cache_output *from, void *data)
{
    output->dtype = from->dtype;
    output->shape = from->shape;
    output->n_bytes = from->n_bytes;
    output->data = data;
}

/* The entry has the wanted outputs, maybe in another order. */
static const struct tern_cache_output *output_of(const struct tern_cache_entry *entry,
                                                 uint32_t hint, uint32_t spec)
{
    uint32_t i = hint;

    while (entry->outputs[i].spec != spec)
        i = (i + 1) % entry->n_outputs;
    return &entry->outputs[i];
}

/* Takes the caller's hold of the entry. */
static enum tern_code give(struct tern_cache_entry *entry, const struct tern_engine_run *run,
                           struct tern_err *err)
{
    bool copies = entry->data_bytes <= COPIED_MAX;

    if (!copies) {
        enum tern_code code = tern_arena_on_reset(run->arena, tern_cache_entry_release, entry, err);
        if (code != TERN_OK) {
            tern_cache_entry_release(entry);
            return code;
        }
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        const struct tern_cache_output *from = output_of(entry, i, run->output_spec[i]);
        void *data = from->data;
        if (copies) {
            data = tern_arena_alloc(run->arena, 16, from->n_bytes > 0 ? from->n_bytes : 1);
            if (data == NULL) {
                tern_cache_entry_release(entry);
                return tern_arena_fail(run->arena, err, "an answer from the cache");
            }
            if (from->n_bytes > 0)
                memcpy(data, from->data, from->n_bytes);
        }
        fill(&run->outputs[i], from, data);
    }
    if (copies)
        tern_cache_entry_release(entry);
    return TERN_OK;
}

/* The end of a work that did not run here. */
static void finish(struct tern_work *work, enum tern_code code)
{
    work->cache_member = NULL;
    work->code = code;
    work->state = TERN_WORK_DONE;
    work->on_done(work);
}

/* With an answer that another work got, or gets; takes the hold. spent_ns: in the cache before. */
static void answer(struct tern_work *work, struct tern_cache_entry *entry, uint64_t spent_ns,
                   uint64_t now)
{
    enum tern_code code = give(entry, &work->run, work->err);

    work->started_ns = now;
    work->finished_ns = tern_clock_mono_ns();
    work->from_cache = code == TERN_OK;
    work->cache_ns = spent_ns + (work->finished_ns - now);
    finish(work, code);
}

static struct tern_cache_entry *find_known(const struct cached *cached,
                                           const struct tern_cache_key *key)
{
    struct tern_cache_local *local = cached->cache->local;

    return local == NULL ? NULL : tern_cache_local_find(local, cached, key);
}

static void remember(const struct cached *cached, struct tern_cache_entry *entry)
{
    if (cached->cache->local != NULL && entry != NULL)
        tern_cache_local_put(cached->cache->local, entry);
}

/* ---- the end of a leader ---- */

static void on_led_done(struct tern_work *work);

/* What befell one request and says nothing of its question. */
static bool is_its_own(enum tern_code code)
{
    return code == TERN_CANCELLED || code == TERN_DEADLINE_EXCEEDED ||
           code == TERN_RESOURCE_EXHAUSTED || code == TERN_UNAVAILABLE || code == TERN_ABORTED;
}

/* Under the lock. */
static void leave(struct tern_cache_member *m)
{
    tern_list_remove(&m->link);
    atomic_fetch_sub_explicit(&m->cached->followers, 1, memory_order_relaxed);
}

/* Under the lock: its task is due, and it is nobody's follower any more. */
static void call(struct tern_cache_member *m, enum fate fate, struct tern_list *calls)
{
    leave(m);
    m->state = CALLED;
    m->fate = fate;
    tern_list_append(calls, &m->call);
}

/* Under the lock. */
static void call_all(struct tern_cache_member *leader, enum fate fate,
                     struct tern_cache_entry *entry, struct tern_list *calls)
{
    while (!tern_list_is_empty(&leader->followers)) {
        struct tern_cache_member *m =
            TERN_CONTAINER_OF(leader->followers.next, struct tern_cache_member, link);
        if (fate == ANSWERED) {
            tern_cache_entry_hold(entry);
            m->answer = entry;
        } else {
            m->work->code = leader->work->code;
            *m->work->err = *leader->work->err;
        }
        call(m, fate, calls);
    }
}

/* Under the lock: the first follower leads the others. */
static void call_next(struct tern_cache_member *leader, struct tern_list *calls)
{
    if (tern_list_is_empty(&leader->followers))
        return;
    struct tern_cache_member *m =
        TERN_CONTAINER_OF(leader->followers.next, struct tern_cache_member, link);
    call(m, LEADS, calls);
    while (!tern_list_is_empty(&leader->followers)) {
        struct tern_list *rest = leader->followers.next;
        tern_list_remove(rest);
        tern_list_append(&m->followers, rest);
    }
    tern_list_append(&stripe_of(m)->leaders, &m->link);
}

static void on_called(struct tern_loop_task *task);

static void tell(struct tern_list *calls, struct tern_loop *here)
{
    for (struct tern_list *at; (at = tern_list_pop(calls)) != NULL;) {
        struct tern_work *work = TERN_CONTAINER_OF(at, struct tern_cache_member, call)->work;
        work->task.run = on_called;
        if (work->loop == here)
            tern_loop_defer(here, &work->task);
        else
            tern_loop_post(work->loop, &work->task);
    }
}

/* The leader's work ended; entry is its answer, or NULL where there is none. */
static void end_lead(struct tern_cache_member *m, struct tern_cache_entry *entry)
{
    struct stripe *stripe = stripe_of(m);
    enum tern_code code = m->work->code;
    struct tern_list calls;

    tern_list_init(&calls);
    pthread_mutex_lock(&stripe->lock);
    tern_list_remove(&m->link);
    if (entry != NULL)
        call_all(m, ANSWERED, entry, &calls);
    else if (code == TERN_OK || is_its_own(code))
        call_next(m, &calls);
    else
        call_all(m, FAILED, NULL, &calls);
    pthread_mutex_unlock(&stripe->lock);
    tell(&calls, m->work->loop);
}

/* A copy of the answer, when it has a place or somebody waits for it. */
static struct tern_cache_entry *copy_answer(struct tern_cache_member *m)
{
    const struct tern_engine_run *run = &m->work->run;
    const struct tern_cache_local *local = m->cached->cache->local;
    size_t most = local == NULL ? 0 : tern_cache_local_entry_max(local);
    struct stripe *stripe = stripe_of(m);

    if (tern_cache_entry_size(&m->key, run->outputs, run->n_outputs) > most) {
        pthread_mutex_lock(&stripe->lock);
        bool wanted = !tern_list_is_empty(&m->followers);
        pthread_mutex_unlock(&stripe->lock);
        if (!wanted)
            return NULL;
    }
    return tern_cache_entry_new(&m->key, m->cached, run->outputs, run->output_spec, run->n_outputs);
}

static void share(const struct tern_cache_member *m)
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

static void on_led_done(struct tern_work *work)
{
    struct tern_cache_member *m = work->cache_member;
    struct tern_cache_entry *entry = NULL;

    if (work->code == TERN_OK) {
        uint64_t now = tern_clock_mono_ns();
        entry = copy_answer(m);
        remember(m->cached, entry);
        share(m);
        m->spent_ns += tern_clock_mono_ns() - now;
    }
    end_lead(m, entry);
    tern_cache_entry_release(entry);
    work->queued_ns = m->came_ns;
    work->cache_ns = m->spent_ns;
    work->cache_member = NULL;
    work->on_done = m->on_done;
    work->on_done(work);
}

/* The end of a leader that did not come to the model. */
static void give_up(struct tern_cache_member *m, enum tern_code code)
{
    m->work->code = code;
    end_lead(m, NULL);
    finish(m->work, code);
}

/* ---- following ---- */

static enum tern_code say_late(struct tern_work *work)
{
    return tern_fail(work->err, TERN_DEADLINE_EXCEEDED,
                     "Deadline Exceeded: the deadline passed while another request asked model "
                     "'%.*s' the same",
                     TERN_STR_ARG(work->version->info.name));
}

static enum tern_code say_cancelled(struct tern_work *work)
{
    return tern_fail(work->err, TERN_CANCELLED, "the client went away");
}

/* ---- leading ---- */

static bool is_late(const struct tern_work *work, uint64_t now)
{
    return work->deadline_ns != 0 && now >= work->deadline_ns;
}

static void ask_model(struct tern_cache_member *m)
{
    m->work->on_done = on_led_done;
    tern_submit_past_cache(m->sched, m->work);
}

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
    if (m->cancelled) {
        give_up(m, say_cancelled(work));
    } else if (entry == NULL) {
        ask_model(m);
    } else {
        remember(m->cached, entry);
        end_lead(m, entry);
        answer(work, entry, m->spent_ns, now);
    }
}

/* From the store's thread. */
static void on_reply(struct tern_redis_op *op)
{
    struct tern_work *work = op->owner;

    work->task.run = on_shared_reply;
    tern_loop_post(work->loop, &work->task);
}

static bool abandon(struct tern_cache_member *m)
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

    if (!abandon(m))
        return;
    m->spent_ns += now - m->asked_ns;
    if (is_late(work, now))
        give_up(m, say_late(work));
    else
        ask_model(m);
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

/* False: it cannot be asked. */
static bool ask_redis(struct tern_cache_member *m, uint64_t now)
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

static void lead(struct tern_cache_member *m)
{
    uint64_t now = tern_clock_mono_ns();

    if (m->cancelled)
        give_up(m, say_cancelled(m->work));
    else if (is_late(m->work, now))
        give_up(m, say_late(m->work));
    else if (!ask_redis(m, now))
        ask_model(m);
}

/* Its turn came to ask itself. */
static void take_lead(struct tern_cache_member *m)
{
    struct stripe *stripe = stripe_of(m);

    pthread_mutex_lock(&stripe->lock);
    m->state = LEADING;
    pthread_mutex_unlock(&stripe->lock);
    lead(m);
}

/* ---- from the loop's tasks, timers and owners ---- */

static void on_called(struct tern_loop_task *task)
{
    struct tern_work *work = TERN_CONTAINER_OF(task, struct tern_work, task);
    struct tern_cache_member *m = work->cache_member;

    tern_loop_timer_stop(work->loop, &work->timer);
    if (m->fate == ANSWERED) {
        work->cache_shared = true;
        answer(work, m->answer, m->spent_ns, tern_clock_mono_ns());
    } else if (m->fate == FAILED) {
        finish(work, work->code);
    } else {
        take_lead(m);
    }
}

/* Whether it was a follower until now. */
static bool stop_following(struct tern_cache_member *m)
{
    struct stripe *stripe = stripe_of(m);

    pthread_mutex_lock(&stripe->lock);
    bool followed = m->state == FOLLOWING;
    if (followed) {
        leave(m);
        m->state = CALLED;
    }
    pthread_mutex_unlock(&stripe->lock);
    return followed;
}

static void on_late(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);

    if (stop_following(work->cache_member))
        finish(work, say_late(work));
}

void tern_cache_cancel(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_cache_member *m = work->cache_member;

    if (m == NULL) { /* it had no key */
        tern_cancel_past_cache(sched, work);
        return;
    }
    struct stripe *stripe = stripe_of(m);
    if (stop_following(m)) {
        tern_loop_timer_stop(work->loop, &work->timer);
        finish(work, say_cancelled(work));
        return;
    }
    pthread_mutex_lock(&stripe->lock);
    enum state state = m->state;
    pthread_mutex_unlock(&stripe->lock);
    if (state == LEADING && m->op == NULL) {
        tern_cancel_past_cache(sched, work);
    } else if (state == LEADING && abandon(m)) {
        tern_loop_timer_stop(work->loop, &work->timer);
        give_up(m, say_cancelled(work));
    } else {
        m->cancelled = true; /* its turn to lead, an answer or its end is on the way */
    }
}

static void watch_deadline(struct tern_work *work, uint64_t now)
{
    if (work->deadline_ns == 0)
        return;
    work->timer.on_due = on_late;
    /* With tens of thousands waiting, those above are judged when they are called. */
    (void)tern_loop_timer_offer(work->loop, &work->timer,
                                work->deadline_ns > now ? work->deadline_ns - now : 0);
}

/* ---- asking ---- */

static bool is_more_urgent(const struct tern_work *work, const struct tern_work *leader)
{
    return work->priority != 0 && (leader->priority == 0 || work->priority < leader->priority);
}

/* Under the lock. The newest comes first: a more urgent one leads those after it. */
static struct tern_cache_member *find_leader(const struct stripe *stripe,
                                             const struct tern_cache_member *m)
{
    for (struct tern_list *at = stripe->leaders.prev; at != &stripe->leaders; at = at->prev) {
        struct tern_cache_member *leader = TERN_CONTAINER_OF(at, struct tern_cache_member, link);
        if (leader->cached == m->cached && tern_cache_key_eq(&leader->key, &m->key) &&
            !is_more_urgent(m->work, leader->work))
            return leader;
    }
    return NULL;
}

/* Under the lock. */
static enum tern_code follow(struct tern_cache_member *leader, struct tern_cache_member *m)
{
    uint32_t most = tern_sched_queue_max(m->sched);

    if (atomic_load_explicit(&m->cached->followers, memory_order_relaxed) >= most)
        return tern_fail(m->work->err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", most,
                         TERN_STR_ARG(m->work->version->info.name));
    m->state = FOLLOWING;
    tern_list_append(&leader->followers, &m->link);
    atomic_fetch_add_explicit(&m->cached->followers, 1, memory_order_relaxed);
    return TERN_OK;
}

/* Follows, leads, or got an answer: the leader may have ended since we looked. It remembers its
 * answer before it leaves the stripe, so that one of the two is there. Which of them it was is
 * said here: once the lock is let go a follower's fate is its leader's to write. */
static enum tern_code join(struct tern_cache_member *m, bool *ret_follows,
                           struct tern_cache_entry **ret_known)
{
    struct stripe *stripe = stripe_of(m);
    enum tern_code code = TERN_OK;

    *ret_known = NULL;
    pthread_mutex_lock(&stripe->lock);
    struct tern_cache_member *leader = find_leader(stripe, m);
    *ret_follows = leader != NULL;
    if (leader != NULL)
        code = follow(leader, m);
    else if ((*ret_known = find_known(m->cached, &m->key)) == NULL)
        tern_list_append(&stripe->leaders, &m->link);
    pthread_mutex_unlock(&stripe->lock);
    return code;
}

static enum tern_code new_member(struct tern_sched *sched, struct tern_work *work,
                                 const struct tern_cache_key *key,
                                 struct tern_cache_member **ret_member)
{
    struct tern_arena *arena = work->run.arena;
    struct tern_cache_member *m = tern_arena_zalloc(arena, 1, sizeof(*m));

    if (m == NULL)
        return tern_arena_fail(arena, work->err, "a question to the cache");
    m->key = *key;
    if (key->exact.p != NULL) {
        m->key.exact = tern_arena_copy(arena, key->exact);
        if (m->key.exact.p == NULL)
            return tern_arena_fail(arena, work->err, "a question to the cache");
    }
    m->work = work;
    m->sched = sched;
    m->cached = work->version->cache;
    m->on_done = work->on_done;
    m->came_ns = work->queued_ns;
    tern_list_init(&m->link);
    tern_list_init(&m->call);
    tern_list_init(&m->followers);
    *ret_member = m;
    return TERN_OK;
}

static void ask(struct tern_sched *sched, struct tern_work *work, const struct tern_cache_key *key)
{
    struct tern_cache_member *m = NULL;
    struct tern_cache_entry *known = NULL;
    bool follows = false;
    enum tern_code code = new_member(sched, work, key, &m);

    if (code == TERN_OK && m != NULL)
        code = join(m, &follows, &known);
    if (code != TERN_OK) {
        finish(work, code);
        return;
    }
    assert(m != NULL);
    uint64_t now = tern_clock_mono_ns();
    m->spent_ns = now - m->came_ns;
    if (known != NULL) {
        answer(work, known, m->spent_ns, now);
        return;
    }
    work->cache_member = m;
    if (follows) {
        work->state = TERN_WORK_WAITING;
        watch_deadline(work, now);
        return;
    }
    lead(m);
}

/* Inputs that lie in a client's memory become our own. */
static enum tern_code own_inputs(struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_tensor *inputs = NULL;

    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_tensor *from = &run->inputs[i];
        if (TERN_LIKELY(from->region == NULL))
            continue;
        if (inputs == NULL) {
            inputs = tern_arena_zalloc(run->arena, run->n_inputs, sizeof(*inputs));
            if (inputs == NULL)
                return tern_arena_fail(run->arena, err, "the inputs");
            memcpy(inputs, run->inputs, run->n_inputs * sizeof(*inputs));
        }
        inputs[i].data =
            tern_arena_alloc(run->arena, TERN_CACHE_LINE, from->n_bytes > 0 ? from->n_bytes : 1);
        if (inputs[i].data == NULL)
            return tern_arena_fail(run->arena, err, "a tensor from shared memory");
        if (from->n_bytes > 0)
            memcpy(inputs[i].data, from->data, from->n_bytes);
    }
    if (inputs != NULL)
        run->inputs = inputs;
    return TERN_OK;
}

void tern_cache_submit(struct tern_sched *sched, struct tern_work *work)
{
    const struct cached *cached = work->version->cache;
    char scratch[TERN_CACHE_EXACT_MAX] TERN_UNINITIALIZED;
    struct tern_cache_key key;

    work->cache_member = NULL;
    work->queued_ns = work->started_ns = work->finished_ns = tern_clock_mono_ns();
    work->batch_rows = 0;
    work->leads_batch = work->from_cache = work->cache_shared = false;
    work->cache_ns = 0;
    work->timer.slot = 0;
    enum tern_code code = own_inputs(&work->run, work->err);
    if (code != TERN_OK) {
        finish(work, code);
        return;
    }
    uint64_t seed[2] = {cached->seed[0], cached->seed[1]};
    bool known = work->version->ensembling == NULL || tern_ensemble_mix(work, seed);
    if (!known || !tern_cache_key_make(seed, &work->run, scratch, &key)) {
        tern_submit_past_cache(sched, work);
        return;
    }
    struct tern_cache_entry *entry = find_known(cached, &key);
    if (entry != NULL)
        answer(work, entry, 0, work->queued_ns);
    else
        ask(sched, work, &key);
}

/* ---- life ---- */

enum tern_code tern_cache_add(struct tern_cache *cache, struct tern_model_version *version,
                              struct tern_err *err)
{
    bool wanted = cache != NULL && version->scheduling != NULL && version->scheduling->cached &&
                  version->sequencing == NULL && !version->info.decoupled;
    uint64_t serial, sum[4];
    struct tern_wide_hash hash;

    version->cache = NULL;
    if (!wanted)
        return TERN_OK;
    struct cached *cached = tern_mem_zalloc(1, sizeof(*cached));
    if (cached == NULL)
        return tern_mem_fail(err, "a model's response cache", sizeof(*cached));
    serial = atomic_fetch_add(&cache->versions, 1);
    tern_wide_hash_init(&hash, cache->key);
    tern_wide_hash_add(&hash, &serial, sizeof(serial));
    tern_wide_hash_end(&hash, sum);
    cached->cache = cache;
    cached->seed[0] = sum[0];
    cached->seed[1] = sum[1];
    /* Ensembles keep theirs to themselves: another server's steps may be other models. */
    cached->shares = cache->redis != NULL && version->ensembling == NULL &&
                     tern_cache_shared_begin(version, &cached->begin);
    atomic_init(&cached->followers, 0);
    version->cache = cached;
    return TERN_OK;
}

void tern_cache_remove(struct tern_model_version *version)
{
    struct cached *cached = version->cache;

    if (cached == NULL)
        return;
    if (cached->cache->local != NULL)
        tern_cache_local_drop(cached->cache->local, cached);
    tern_mem_free(cached);
    version->cache = NULL;
}

uint32_t tern_cache_followers(const struct tern_model_version *version)
{
    const struct cached *cached = version->cache;

    return cached == NULL ? 0 : atomic_load_explicit(&cached->followers, memory_order_relaxed);
}

void tern_cache_usage(struct tern_cache *cache, struct tern_cache_usage *ret_usage)
{
    *ret_usage = (struct tern_cache_usage){0};
    if (cache != NULL && cache->local != NULL)
        tern_cache_local_usage(cache->local, ret_usage);
}

void tern_cache_shared_counts(struct tern_cache *cache, struct tern_redis_counts *ret_counts)
{
    *ret_counts = (struct tern_redis_counts){0};
    if (cache != NULL && cache->redis != NULL)
        tern_redis_counts(cache->redis, ret_counts);
}

static enum tern_code draw_key(uint64_t key[2], struct tern_err *err)
{
    /* Up to 256 bytes come whole or not at all (getrandom(2)). */
    if (getrandom(key, 2 * sizeof(key[0]), 0) < 0)
        return tern_fail(err, TERN_INTERNAL, "no random numbers for the response cache: %s",
                         strerror(errno));
    return TERN_OK;
}

enum tern_code tern_cache_new(const struct tern_cache_settings *settings,
                              struct tern_cache **ret_cache, struct tern_err *err)
{
    *ret_cache = NULL;
    if (settings->local_bytes == 0 && settings->redis == NULL)
        return TERN_OK;
    struct tern_cache *cache = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*cache));
    if (cache == NULL)
        return tern_mem_fail(err, "the response cache", sizeof(*cache));
    memset(cache, 0, sizeof(*cache));
    for (uint32_t i = 0; i < STRIPES; i++) {
        pthread_mutex_init(&cache->stripes[i].lock, NULL);
        tern_list_init(&cache->stripes[i].leaders);
    }
    enum tern_code code = draw_key(cache->key, err);
    if (code == TERN_OK && settings->local_bytes > 0)
        code = tern_cache_local_new(settings->local_bytes, &cache->local, err);
    if (code == TERN_OK && settings->redis != NULL) {
        cache->redis_timeout_ns = settings->redis->timeout_ns;
        code = tern_redis_open(settings->redis, &cache->redis, err);
    }
    if (code != TERN_OK) {
        tern_cache_free(cache);
        return code;
    }
    *ret_cache = cache;
    return TERN_OK;
}

void tern_cache_free(struct tern_cache *cache)
{
    if (cache == NULL)
        return;
    for (uint32_t i = 0; i < STRIPES; i++)
        pthread_mutex_destroy(&cache->stripes[i].lock);
    tern_redis_close(cache->redis);
    tern_cache_local_free(cache->local);
    tern_mem_free(cache);
}
