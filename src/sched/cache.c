#include "sched/cache.h"

#include <assert.h>
#include <string.h>
#include "base/clock.h"
#include "sched/cache_int.h"
#include "sched/ensemble.h"
#include "sched/submit.h"

static struct stripe *stripe_of(const struct tern_cache_member *m)
{
    return &m->cached->cache->stripes[m->key.name[0] % TERN_CACHE_STRIPES];
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

static void on_led_done(struct tern_work *work)
{
    struct tern_cache_member *m = work->cache_member;
    struct tern_cache_entry *entry = NULL;

    if (work->code == TERN_OK) {
        uint64_t now = tern_clock_mono_ns();
        entry = copy_answer(m);
        tern_cache_remember(m->cached, entry);
        tern_cache_redis_share(m);
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
    tern_cache_finish(m->work, code);
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

void tern_cache_replied(struct tern_cache_member *m, struct tern_cache_entry *entry, uint64_t now)
{
    if (m->cancelled) {
        give_up(m, say_cancelled(m->work));
    } else if (entry == NULL) {
        ask_model(m);
    } else {
        tern_cache_remember(m->cached, entry);
        end_lead(m, entry);
        tern_cache_answer(m->work, entry, m->spent_ns, now);
    }
}

void tern_cache_unanswered(struct tern_cache_member *m, uint64_t now)
{
    if (is_late(m->work, now))
        give_up(m, say_late(m->work));
    else
        ask_model(m);
}

static void lead(struct tern_cache_member *m)
{
    uint64_t now = tern_clock_mono_ns();

    if (m->cancelled)
        give_up(m, say_cancelled(m->work));
    else if (is_late(m->work, now))
        give_up(m, say_late(m->work));
    else if (!tern_cache_redis_ask(m, now))
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
        tern_cache_answer(work, m->answer, m->spent_ns, tern_clock_mono_ns());
    } else if (m->fate == FAILED) {
        tern_cache_finish(work, work->code);
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
        tern_cache_finish(work, say_late(work));
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
        tern_cache_finish(work, say_cancelled(work));
        return;
    }
    pthread_mutex_lock(&stripe->lock);
    enum state state = m->state;
    pthread_mutex_unlock(&stripe->lock);
    if (state == LEADING && m->op == NULL) {
        tern_cancel_past_cache(sched, work);
    } else if (state == LEADING && tern_cache_redis_abandon(m)) {
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
    else if ((*ret_known = tern_cache_find_known(m->cached, &m->key)) == NULL)
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
        tern_cache_finish(work, code);
        return;
    }
    assert(m != NULL);
    uint64_t now = tern_clock_mono_ns();
    m->spent_ns = now - m->came_ns;
    if (known != NULL) {
        tern_cache_answer(work, known, m->spent_ns, now);
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
        tern_cache_finish(work, code);
        return;
    }
    uint64_t seed[2] = {cached->seed[0], cached->seed[1]};
    bool known = work->version->ensembling == NULL || tern_ensemble_mix(work, seed);
    if (!known || !tern_cache_key_make(seed, &work->run, scratch, &key)) {
        tern_submit_past_cache(sched, work);
        return;
    }
    struct tern_cache_entry *entry = tern_cache_find_known(cached, &key);
    if (entry != NULL)
        tern_cache_answer(work, entry, 0, work->queued_ns);
    else
        ask(sched, work, &key);
}
