#include "sched/sequence.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "sched/lane.h"
#include "sched/sequence_inputs.h"
#include "sched/sequence_state.h"

#define BUCKETS_MAX (1u << 16)
/* How often those in the backlog look whether their version is still the one that is served. */
#define RETIRED_LOOK_NS (500u * TERN_NS_PER_MS)

struct sequence {
    struct sequence *next; /* in its bucket, or among the spare ones */
    uint64_t hash;
    uint64_t id;
    uint32_t text_n;
    char text[TERN_SEQUENCE_TEXT_MAX];
    struct tern_list link; /* in table->idle or table->backlog, or nowhere while a request runs */
    struct tern_list waiting;             /* member.link, in the order they came */
    struct tern_sequence_member *running; /* NULL: none */
    uint64_t idle_since;
    struct tern_kept *kept; /* owned: states, used by the request that runs */
    bool has_state;         /* kept is of this sequence, not of one before it under its id */
    bool has_slot;
    bool open; /* after all that came so far, a request without START may follow */
};

struct tern_sequences {
    struct tern_sched *sched;
    const struct tern_model_version *version;
    pthread_mutex_t lock; /* over all that follows */
    struct sequence **buckets;
    uint32_t mask;
    struct tern_list idle;    /* those with a slot and nothing to run, the oldest first */
    struct tern_list backlog; /* those without a slot, the oldest first */
    struct sequence *spare;   /* memory kept for the next ones */
    atomic_uint n_live;       /* with a slot; written under the lock */
    atomic_uint n_held;       /* requests that wait; written under the lock */
};

enum member_state {
    HELD,    /* in its sequence's queue */
    CALLED,  /* its turn, or its end: a task is on the way to its loop */
    RUNNING, /* the scheduler's */
};

/* Why a request that was called does not run. */
enum fate {
    RUN,
    CANCELLED,
    LATE,          /* its own deadline passed */
    SEQUENCE_LATE, /* one of its sequence's requests was not in time for a slot */
    NO_SLOT,       /* one of them waited for a slot for as long as it was to (work->timeout_ns) */
    WITHOUT_START, /* the START before it was not run */
};

struct tern_sequence_member {
    struct tern_work *work;
    struct tern_sequences *table;
    struct tern_sequence which;
    void (*on_done)(struct tern_work *work); /* the owner's */
    struct tern_loop_task task;
    uint64_t queued_ns;
    struct tern_sequence_extra extra;
    /* Under the table's lock. */
    struct tern_list link;
    struct sequence *sequence; /* NULL: it was forgotten before this request was done */
    enum member_state state;
    enum fate fate;
    bool orphan; /* the START before it was not run */
};

static uint32_t count_of(const atomic_uint *n)
{
    return atomic_load_explicit(n, memory_order_relaxed);
}

uint32_t tern_sequences_held(const struct tern_model_version *version)
{
    const struct tern_sequences *table = version->sequences;
    return table == NULL ? 0 : count_of(&table->n_held);
}

uint32_t tern_sequences_live(const struct tern_model_version *version)
{
    const struct tern_sequences *table = version->sequences;
    return table == NULL ? 0 : count_of(&table->n_live);
}

/* ---- the table, under its lock ---- */

static uint64_t hash_of(const struct tern_sequences *table, const struct tern_sequence *which)
{
    struct tern_str key = which->text.n > 0
                              ? which->text
                              : tern_str_make((const char *)&which->id, sizeof(which->id));
    return tern_hash_bytes(key, (uint64_t)(uintptr_t)table);
}

static bool is_called(const struct sequence *sequence, const struct tern_sequence *which)
{
    return which->text.n > 0 ? sequence->text_n == which->text.n &&
                                   memcmp(sequence->text, which->text.p, which->text.n) == 0
                             : sequence->text_n == 0 && sequence->id == which->id;
}

static struct sequence *find(const struct tern_sequences *table, const struct tern_sequence *which)
{
    uint64_t hash = hash_of(table, which);
    struct sequence *at = table->buckets[hash & table->mask];

    while (at != NULL && (at->hash != hash || !is_called(at, which)))
        at = at->next;
    return at;
}

static struct sequence *add(struct tern_sequences *table, const struct tern_sequence *which)
{
    struct sequence *sequence = table->spare;

    if (sequence != NULL)
        table->spare = sequence->next;
    else
        sequence = tern_mem_alloc(sizeof(*sequence));
    if (sequence == NULL)
        return NULL;
    memset(sequence, 0, sizeof(*sequence));
    sequence->hash = hash_of(table, which);
    sequence->id = which->id;
    sequence->text_n = (uint32_t)which->text.n;
    if (which->text.n > 0)
        memcpy(sequence->text, which->text.p, which->text.n);
    tern_list_init(&sequence->link);
    tern_list_init(&sequence->waiting);
    struct sequence **bucket = &table->buckets[sequence->hash & table->mask];
    sequence->next = *bucket;
    *bucket = sequence;
    return sequence;
}

/* Nothing of it waits or runs. */
static void forget(struct tern_sequences *table, struct sequence *sequence)
{
    struct sequence **at = &table->buckets[sequence->hash & table->mask];

    while (*at != sequence)
        at = &(*at)->next;
    *at = sequence->next;
    tern_list_remove(&sequence->link);
    if (sequence->has_slot)
        table->n_live--;
    tern_kept_free(table->version->sequencing, sequence->kept);
    sequence->kept = NULL;
    sequence->next = table->spare;
    table->spare = sequence;
}

static struct tern_sequence_member *first_waiting(const struct sequence *sequence)
{
    return tern_list_is_empty(&sequence->waiting)
               ? NULL
               : TERN_CONTAINER_OF(sequence->waiting.next, struct tern_sequence_member, link);
}

/* Out of its sequence's queue, to those whose loop will be told. */
static void call(struct tern_sequences *table, struct tern_sequence_member *m, enum fate fate,
                 struct tern_list *calls)
{
    tern_list_remove(&m->link);
    table->n_held--;
    m->state = CALLED;
    m->fate = fate;
    tern_list_append(calls, &m->link);
}

/* The next request of a sequence that has a slot and runs nothing. */
static void go_on(struct tern_sequences *table, struct sequence *sequence, struct tern_list *calls)
{
    struct tern_sequence_member *m = first_waiting(sequence);

    if (m != NULL) {
        sequence->running = m;
        call(table, m, m->orphan ? WITHOUT_START : RUN, calls);
    } else if (sequence->open) {
        sequence->idle_since = tern_clock_mono_ns();
        tern_list_append(&table->idle, &sequence->link);
    } else {
        forget(table, sequence);
    }
}

static bool has_room(const struct tern_sequences *table)
{
    return table->n_live < table->version->sequence_slots;
}

static void give_slot(struct tern_sequences *table, struct sequence *sequence,
                      struct tern_list *calls)
{
    sequence->has_slot = true;
    table->n_live++;
    go_on(table, sequence, calls);
}

/* Whoever waits for a slot gets one that is free: the last step of whatever may have freed one. */
static void serve_backlog(struct tern_sequences *table, struct tern_list *calls)
{
    while (has_room(table) && !tern_list_is_empty(&table->backlog))
        give_slot(table, TERN_CONTAINER_OF(tern_list_pop(&table->backlog), struct sequence, link),
                  calls);
}

/* A START was not run: what follows it must not be either. `next`: the request behind it. */
static void lose_start(struct sequence *sequence, struct tern_sequence_member *next)
{
    if (next == NULL)
        sequence->open = false;
    else if (!next->which.start)
        next->orphan = true;
}

/* A request that waits gives up. */
static void drop(struct tern_sequences *table, struct tern_sequence_member *m)
{
    struct sequence *sequence = m->sequence;
    bool is_last = m->link.next == &sequence->waiting;
    struct tern_sequence_member *next =
        is_last ? NULL : TERN_CONTAINER_OF(m->link.next, struct tern_sequence_member, link);

    if (m->which.start || m->orphan)
        lose_start(sequence, next);
    tern_list_remove(&m->link);
    table->n_held--;
    if (sequence->running == NULL && first_waiting(sequence) == NULL)
        forget(table, sequence); /* it stood in the backlog */
}

/* A request that was called is done. */
static void leave(struct tern_sequences *table, struct tern_sequence_member *m, bool ran,
                  struct tern_list *calls)
{
    struct sequence *sequence = m->sequence;
    struct tern_sequence_member *next;

    if (sequence == NULL)
        return;
    sequence->running = NULL;
    next = first_waiting(sequence);
    if (!ran && (m->which.start || m->orphan))
        lose_start(sequence, next);
    if (next != NULL && next->which.start && !tern_list_is_empty(&table->backlog)) {
        /* It begins anew, behind those that have not begun at all. */
        sequence->has_slot = false;
        table->n_live--;
        tern_list_append(&table->backlog, &sequence->link);
    } else {
        go_on(table, sequence, calls);
    }
}

/* `now` was read before the lock was taken: a sequence may be idle since later than that. */
static void forget_idle(struct tern_sequences *table, uint64_t now)
{
    while (!tern_list_is_empty(&table->idle)) {
        struct sequence *oldest = TERN_CONTAINER_OF(table->idle.next, struct sequence, link);
        if (now < oldest->idle_since ||
            now - oldest->idle_since < table->version->sequencing->max_idle_ns)
            return;
        forget(table, oldest);
    }
}

/* Of a version that is not served any more: nothing can follow what is idle, and those that still
 * wait for a slot need not wait for longer. `loop`: the caller's. */
static void forget_retired(struct tern_sequences *table, const struct tern_loop *loop)
{
    const struct tern_pins *pins = table->version->pins;

    if (pins == NULL || !pins[tern_loop_index(loop)].retired)
        return;
    while (!tern_list_is_empty(&table->idle))
        forget(table, TERN_CONTAINER_OF(table->idle.next, struct sequence, link));
}

/* A sequence in the backlog is not in time: none of it is run. */
static void refuse_all(struct tern_sequences *table, struct sequence *sequence, enum fate fate,
                       struct tern_list *calls)
{
    for (struct tern_sequence_member *m; (m = first_waiting(sequence)) != NULL;) {
        m->sequence = NULL;
        call(table, m, fate, calls);
    }
    forget(table, sequence);
}

/* ---- a request, on its loop ---- */

static void take_turn(struct tern_sequence_member *m);

static void on_called(struct tern_loop_task *task)
{
    take_turn(TERN_CONTAINER_OF(task, struct tern_sequence_member, task));
}

/* Without the lock. `here`: the loop that this runs on. */
static void tell(struct tern_list *calls, struct tern_loop *here)
{
    for (struct tern_list *link; (link = tern_list_pop(calls)) != NULL;) {
        struct tern_sequence_member *m = TERN_CONTAINER_OF(link, struct tern_sequence_member, link);
        m->task.run = on_called;
        if (m->work->loop == here)
            tern_loop_defer(here, &m->task);
        else
            tern_loop_post(m->work->loop, &m->task);
    }
}

static enum tern_code fail_without_start(const struct tern_sequence_member *m)
{
    struct tern_str name = m->work->version->info.name;
    char digits[20];
    struct tern_str id = m->which.text;

    if (id.n == 0)
        id = tern_str_make(digits, tern_num_format_u64(m->which.id, digits));
    return tern_fail(m->work->err, TERN_INVALID_ARGUMENT,
                     "inference request for sequence %.*s to model '%.*s' must specify the START "
                     "flag on the first request of the sequence",
                     TERN_STR_ARG(id), TERN_STR_ARG(name));
}

static enum tern_code explain(const struct tern_sequence_member *m, enum fate fate)
{
    struct tern_err *err = m->work->err;

    switch (fate) {
    case CANCELLED:
        return tern_fail(err, TERN_CANCELLED, "the client went away");
    case LATE:
        return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                         "Request timeout expired: the deadline passed while the request waited "
                         "for its sequence");
    case SEQUENCE_LATE:
        return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                         "timeout of the corresponding sequence has been expired");
    case NO_SLOT:
        return tern_fail(err, TERN_UNAVAILABLE,
                         "timeout of the corresponding sequence has been expired");
    case WITHOUT_START:
        return fail_without_start(m);
    case RUN:
        break;
    }
    return TERN_OK;
}

/* Back to its owner; m is gone afterwards. */
static void deliver(struct tern_sequence_member *m)
{
    struct tern_work *work = m->work;

    work->member = NULL;
    work->state = TERN_WORK_DONE;
    work->on_done = m->on_done;
    work->queued_ns = m->queued_ns;
    work->on_done(work);
}

static void finish(struct tern_sequence_member *m, bool ran)
{
    struct tern_sequences *table = m->table;
    struct tern_list calls;

    tern_list_init(&calls);
    pthread_mutex_lock(&table->lock);
    leave(table, m, ran, &calls);
    serve_backlog(table, &calls);
    pthread_mutex_unlock(&table->lock);
    tell(&calls, m->work->loop);
    deliver(m);
}

/* The sequence's states, or those it begins with. No other request of it runs. */
static void show_states(struct tern_sequence_member *m)
{
    struct sequence *sequence = m->sequence;

    if (m->which.start)
        sequence->has_state = false;
    tern_kept_show(m->table->version->sequencing, sequence->has_state ? sequence->kept : NULL,
                   m->extra.states);
}

static enum tern_code keep_states(struct tern_sequence_member *m)
{
    const struct tern_sequencing *sequencing = m->table->version->sequencing;
    struct sequence *sequence = m->sequence;

    if (sequencing->n_states == 0)
        return TERN_OK;
    TERN_TRY(tern_kept_take(sequencing, m->work->run.outputs, m->extra.state_outputs,
                            &sequence->kept, m->work->err));
    sequence->has_state = true;
    return TERN_OK;
}

static void on_run_done(struct tern_work *work)
{
    struct tern_sequence_member *m = work->member;

    if (work->code == TERN_OK)
        work->code = keep_states(m);
    tern_sequence_hand_over(&m->extra, &work->run);
    finish(m, work->started_ns != 0);
}

static void take_turn(struct tern_sequence_member *m)
{
    struct tern_work *work = m->work;

    tern_loop_timer_stop(work->loop, &work->timer);
    pthread_mutex_lock(&m->table->lock);
    enum fate fate = m->fate;
    m->state = RUNNING;
    pthread_mutex_unlock(&m->table->lock);
    if (fate == RUN) {
        work->on_done = on_run_done;
        show_states(m);
        tern_lane_submit(m->table->sched, work);
        return;
    }
    work->code = explain(m, fate);
    finish(m, false);
}

/* ---- waiting ---- */

static uint64_t later(uint64_t ns, uint64_t by)
{
    return by > UINT64_MAX - ns ? UINT64_MAX : ns + by;
}

static uint64_t deadline_of(const struct tern_sequence_member *m)
{
    return m->work->deadline_ns == 0 ? UINT64_MAX : m->work->deadline_ns;
}

/* How long its sequence may wait for a slot, as far as this request says. */
static uint64_t slot_limit_of(const struct tern_sequence_member *m)
{
    return m->work->timeout_ns == 0 ? UINT64_MAX : later(m->queued_ns, m->work->timeout_ns);
}

/* When to look after a request that waits: at its limits, or when an idle sequence leaves its
 * slot to those in the backlog. One that becomes idle later leaves later, too; one of a version
 * that is not served any more leaves soon. Under the lock. */
static uint64_t next_look(const struct tern_sequences *table, const struct tern_sequence_member *m,
                          uint64_t now)
{
    uint64_t deadline = deadline_of(m), limit = slot_limit_of(m);
    const struct sequence *oldest = TERN_CONTAINER_OF(table->idle.next, struct sequence, link);
    uint64_t since = tern_list_is_empty(&table->idle) ? now : oldest->idle_since;
    uint64_t idle = later(since, table->version->sequencing->max_idle_ns);

    if (idle > now && idle - now > RETIRED_LOOK_NS)
        idle = now + RETIRED_LOOK_NS;
    limit = deadline < limit ? deadline : limit;
    if (m->sequence->has_slot)
        return deadline;
    return limit < idle ? limit : idle;
}

static void on_look(struct tern_loop_timer *timer);

static void look_at(struct tern_work *work, uint64_t due, uint64_t now)
{
    work->timer.on_due = on_look;
    /* With tens of thousands waiting, those above are judged when their turn comes. */
    if (due != UINT64_MAX)
        (void)tern_loop_timer_offer(work->loop, &work->timer, due > now ? due - now : 0);
}

/* Under the lock: a request that still waits at its deadline, or at another reason to look. Where
 * its sequence has no slot, all of the sequence is refused. */
static bool is_late(struct tern_sequences *table, struct tern_sequence_member *m, uint64_t now,
                    struct tern_list *calls)
{
    if (m->sequence->has_slot) {
        if (now < deadline_of(m))
            return false;
        drop(table, m);
        return true;
    }
    if (now >= deadline_of(m))
        refuse_all(table, m->sequence, SEQUENCE_LATE, calls); /* itself among them */
    else if (now >= slot_limit_of(m))
        refuse_all(table, m->sequence, NO_SLOT, calls);
    return false;
}

static void on_look(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);
    struct tern_sequence_member *m = work->member;
    struct tern_sequences *table = m->table;
    uint64_t now = tern_clock_mono_ns(), due = UINT64_MAX;
    struct tern_list calls;

    tern_list_init(&calls);
    pthread_mutex_lock(&table->lock);
    forget_idle(table, now);
    forget_retired(table, work->loop);
    serve_backlog(table, &calls);
    bool late = m->state == HELD && is_late(table, m, now, &calls);
    if (!late && m->state == HELD)
        due = next_look(table, m, now);
    pthread_mutex_unlock(&table->lock);
    tell(&calls, work->loop);
    if (late) {
        work->code = explain(m, LATE);
        deliver(m);
    } else {
        look_at(work, due, now);
    }
}

/* ---- submitting ---- */

/* Under the lock. The request joins its sequence's queue, or the reason why not. */
static enum tern_code join(struct tern_sequences *table, struct tern_sequence_member *m,
                           struct tern_list *calls)
{
    struct sequence *sequence = find(table, &m->which);
    uint32_t queue_max = tern_sched_queue_max(table->sched);
    bool is_new = sequence == NULL;

    if (!m->which.start && (is_new || !sequence->open))
        return fail_without_start(m);
    bool waits = is_new ? !has_room(table) : !sequence->has_slot || sequence->running != NULL;
    if (waits && table->n_held >= queue_max)
        return tern_fail(m->work->err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", queue_max,
                         TERN_STR_ARG(table->version->info.name));
    if (is_new)
        sequence = add(table, &m->which);
    if (sequence == NULL)
        return tern_mem_fail(m->work->err, "a sequence", sizeof(*sequence));
    m->sequence = sequence;
    sequence->open = !m->which.end;
    tern_list_append(&sequence->waiting, &m->link);
    table->n_held++;
    if (waits && is_new) {
        tern_list_append(&table->backlog, &sequence->link);
    } else if (is_new) {
        give_slot(table, sequence, calls);
    } else if (!waits) {
        tern_list_remove(&sequence->link); /* it was idle */
        go_on(table, sequence, calls);
    }
    return TERN_OK;
}

static enum tern_code new_member(struct tern_work *work, const struct tern_sequence *which,
                                 struct tern_sequence_member **ret_member)
{
    struct tern_sequence_member *m;

    TERN_TRY(tern_sequence_check(work->version, which, &work->run, work->err));
    m = tern_arena_zalloc(work->run.arena, 1, sizeof(*m));
    if (m == NULL)
        return tern_arena_fail(work->run.arena, work->err, "a request of a sequence");
    TERN_TRY(tern_sequence_fill(work->version, which, &work->run, &m->extra, work->err));
    m->work = work;
    m->table = work->version->sequences;
    m->which = *which;
    m->on_done = work->on_done;
    m->queued_ns = work->queued_ns;
    tern_list_init(&m->link);
    *ret_member = m;
    return TERN_OK;
}

static void refuse(struct tern_work *work, enum tern_code code)
{
    work->member = NULL;
    work->code = code;
    work->state = TERN_WORK_DONE;
    work->on_done(work);
}

void tern_sequence_submit(struct tern_sched *sched, struct tern_work *work)
{
    static const struct tern_sequence none;
    const struct tern_sequence *which = work->sequence == NULL ? &none : work->sequence;
    struct tern_sequences *table = work->version->sequences;
    struct tern_sequence_member *m = NULL;
    uint64_t now = tern_clock_mono_ns(), due = UINT64_MAX;
    struct tern_list calls;
    (void)sched;

    work->queued_ns = now;
    work->started_ns = work->finished_ns = 0;
    work->timer.slot = 0;
    enum tern_code code = new_member(work, which, &m);
    if (code != TERN_OK) {
        refuse(work, code);
        return;
    }
    assert(m != NULL);
    work->member = m;
    work->state = TERN_WORK_WAITING;
    tern_list_init(&calls);
    pthread_mutex_lock(&table->lock);
    forget_idle(table, now);
    serve_backlog(table, &calls);
    code = join(table, m, &calls);
    bool is_next = code == TERN_OK && m->state == CALLED;
    if (is_next)
        tern_list_remove(&m->link); /* it needs no task to learn of it */
    else if (code == TERN_OK)
        due = next_look(table, m, now);
    pthread_mutex_unlock(&table->lock);
    tell(&calls, work->loop);
    if (is_next)
        take_turn(m);
    else if (code == TERN_OK)
        look_at(work, due, now);
    else
        refuse(work, code);
}

void tern_sequence_cancel(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_sequence_member *m = work->member;
    struct tern_sequences *table = m->table;
    struct tern_list calls;

    tern_list_init(&calls);
    pthread_mutex_lock(&table->lock);
    enum member_state state = m->state;
    if (state == HELD)
        drop(table, m);
    else if (state == CALLED && m->fate == RUN)
        m->fate = CANCELLED; /* its on_done is on the way */
    serve_backlog(table, &calls);
    pthread_mutex_unlock(&table->lock);
    tell(&calls, work->loop);
    if (state == RUNNING) {
        tern_lane_cancel(sched, work);
    } else if (state == HELD) {
        tern_loop_timer_stop(work->loop, &work->timer);
        work->code = explain(m, CANCELLED);
        deliver(m);
    }
}

/* ---- life ---- */

static uint32_t count_buckets(uint32_t slots)
{
    uint32_t n = 16;

    while (n < slots && n < BUCKETS_MAX)
        n *= 2;
    return n;
}

enum tern_code tern_sequences_new(struct tern_sched *sched, struct tern_model_version *version,
                                  struct tern_err *err)
{
    struct tern_sequences *table = tern_mem_zalloc(1, sizeof(*table));
    uint32_t n = count_buckets(version->sequence_slots);

    if (table == NULL)
        return tern_mem_fail(err, "the table of sequences", sizeof(*table));
    table->buckets = tern_mem_zalloc(n, sizeof(void *));
    if (table->buckets == NULL) {
        tern_mem_free(table);
        return tern_mem_fail(err, "the table of sequences", n * sizeof(void *));
    }
    table->sched = sched;
    table->version = version;
    table->mask = n - 1;
    pthread_mutex_init(&table->lock, NULL);
    tern_list_init(&table->idle);
    tern_list_init(&table->backlog);
    version->sequences = table;
    return TERN_OK;
}

static void free_chain(const struct tern_sequencing *sequencing, struct sequence *chain)
{
    for (struct sequence *next; chain != NULL; chain = next) {
        next = chain->next;
        tern_kept_free(sequencing, chain->kept);
        tern_mem_free(chain);
    }
}

void tern_sequences_free(struct tern_model_version *version)
{
    struct tern_sequences *table = version->sequences;

    if (table == NULL)
        return;
    for (uint32_t i = 0; i <= table->mask; i++)
        free_chain(table->version->sequencing, table->buckets[i]);
    free_chain(table->version->sequencing, table->spare);
    pthread_mutex_destroy(&table->lock);
    tern_mem_free(table->buckets);
    tern_mem_free(table);
    version->sequences = NULL;
}
