#include "sched/sequence.h"

#include <assert.h>
#include "base/clock.h"
#include "base/mem.h"
#include "base/num.h"
#include "sched/lane.h"
#include "sched/sched_int.h"
#include "sched/sequence_int.h"

#define BUCKETS_MAX (1u << 16)
/* How often those in the backlog look whether their version is still the one that is served. */
#define RETIRED_LOOK_NS (500u * TERN_NS_PER_MS)

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

/* ---- a request, on its loop ---- */

static void take_turn(struct tern_sequence_member *m);

static void on_called(struct tern_loop_task *task)
{
    take_turn(TERN_CONTAINER_OF(task, struct tern_sequence_member, task));
}

void sequence_calls_init(struct sequence_calls *calls)
{
    tern_list_init(&calls->members);
    tern_list_init(&calls->boards);
}

void sequence_tell(struct sequence_calls *calls, struct tern_loop *here)
{
    struct tern_list *link;

    /* Boards first: with the last member that is told the version, and its boards, may go. */
    while ((link = tern_list_pop(&calls->boards)) != NULL)
        sequence_board_start(link, here);
    while ((link = tern_list_pop(&calls->members)) != NULL) {
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
    case ANSWERED:
        break;
    }
    return TERN_OK;
}

static void fail_expired(struct tern_work *work)
{
    work->code = tern_fail(work->err, TERN_DEADLINE_EXCEEDED,
                           "Deadline Exceeded: the deadline passed while model '%.*s' ran",
                           TERN_STR_ARG(work->version->info.name));
}

/* Back to its owner; m is gone afterwards. */
static void deliver(struct tern_sequence_member *m)
{
    struct tern_work *work = m->work;

    if (work->run.again != NULL)
        work->run.arena = m->arena;
    work->run.again = NULL;
    work->member = NULL;
    work->state = TERN_WORK_DONE;
    work->on_done = m->on_done;
    work->queued_ns = m->queued_ns;
    work->on_done(work);
}

static void finish(struct tern_sequence_member *m, bool ran)
{
    struct tern_sequences *table = m->table;
    struct sequence_calls calls;

    sequence_calls_init(&calls);
    pthread_mutex_lock(&table->lock);
    sequence_leave(table, m, ran, &calls);
    sequence_settle(table, tern_clock_mono_ns(), &calls);
    pthread_mutex_unlock(&table->lock);
    sequence_tell(&calls, m->work->loop);
    deliver(m);
}

void sequence_show_states(struct tern_sequence_member *m)
{
    struct sequence *sequence = m->sequence;

    if (m->which.start)
        sequence->has_state = false;
    tern_kept_show(m->table->version->sequencing, sequence->has_state ? sequence->kept : NULL,
                   m->extra.states);
}

enum tern_code sequence_keep_states(struct tern_sequence_member *m)
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

bool sequence_runs_again(struct tern_sequence_member *m, bool is_unwanted)
{
    struct tern_work *work = m->work;

    if (work->code != TERN_OK || !m->again.wanted)
        return false;
    if (is_unwanted)
        work->code = tern_fail(work->err, TERN_CANCELLED, "the client went away");
    if (is_unwanted)
        return false;
    m->again.n++;
    m->again.wanted = false;
    m->which.start = false;
    tern_sequence_go_on(m->table->version, &m->extra);
    tern_arena_reset(&m->iteration);
    return true;
}

static void on_run_done(struct tern_work *work)
{
    struct tern_sequence_member *m = work->member;

    if (work->code == TERN_OK)
        work->code = sequence_keep_states(m);
    if (TERN_UNLIKELY(sequence_runs_again(m, work->is_unwanted))) {
        sequence_show_states(m);
        tern_lane_submit(m->table->sched, work);
        return;
    }
    if (work->expired && work->code != TERN_OK)
        fail_expired(work);
    tern_sequence_hand_over(&m->extra, &work->run);
    finish(m, work->started_ns != 0);
}

/* Its board ran it, and has told the table. */
static void take_answer(struct tern_sequence_member *m)
{
    struct tern_work *work = m->work;

    tern_sequence_hand_over(&m->extra, &work->run);
    if (work->expired && work->code != TERN_OK)
        fail_expired(work);
    deliver(m);
}

static void take_turn(struct tern_sequence_member *m)
{
    struct tern_work *work = m->work;

    tern_loop_timer_stop(work->loop, &work->timer);
    pthread_mutex_lock(&m->table->lock);
    enum fate fate = m->fate;
    m->state = RUNNING;
    pthread_mutex_unlock(&m->table->lock);
    if (fate == ANSWERED) {
        take_answer(m);
        return;
    }
    if (fate == RUN) {
        work->on_done = on_run_done;
        sequence_show_states(m);
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
    if (m->sequence->has_slot) {
        uint64_t due = sequence_board_due(table, m);
        return due > now && due < deadline ? due : deadline;
    }
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
                    struct sequence_calls *calls)
{
    if (m->sequence->has_slot) {
        if (now < deadline_of(m)) {
            sequence_board_stir(table, m->sequence); /* it waited for others long enough */
            return false;
        }
        sequence_drop(table, m, calls);
        return true;
    }
    if (now >= deadline_of(m))
        sequence_refuse_all(table, m->sequence, SEQUENCE_LATE, calls); /* itself among them */
    else if (now >= slot_limit_of(m))
        sequence_refuse_all(table, m->sequence, NO_SLOT, calls);
    return false;
}

/* Under the lock. What is to be done at the limits of a request's time. True: it left. */
static bool look_under_lock(struct tern_sequence_member *m, uint64_t now,
                            struct sequence_calls *calls, uint64_t *ret_due)
{
    struct tern_sequences *table = m->table;
    struct tern_work *work = m->work;

    sequence_forget_idle(table, now);
    sequence_forget_retired(table, work->loop);
    sequence_settle(table, now, calls);
    bool late = m->state == HELD && is_late(table, m, now, calls);
    sequence_settle(table, now, calls);
    if (m->state == RUNNING && now >= deadline_of(m)) {
        work->expired = true;
        sequence_board_unwant(table, m);
    } else if (m->state == RUNNING) {
        *ret_due = deadline_of(m);
    } else if (m->state == HELD && !late) {
        *ret_due = next_look(table, m, now);
    }
    return late;
}

static void on_look(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);
    struct tern_sequence_member *m = work->member;
    struct tern_sequences *table = m->table;
    uint64_t now = tern_clock_mono_ns(), due = UINT64_MAX;
    struct sequence_calls calls;

    sequence_calls_init(&calls);
    pthread_mutex_lock(&table->lock);
    bool late = look_under_lock(m, now, &calls, &due);
    pthread_mutex_unlock(&table->lock);
    sequence_tell(&calls, work->loop);
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
                           struct sequence_calls *calls)
{
    struct sequence *sequence = sequence_find(table, m);
    uint32_t queue_max = tern_sched_queue_max(table->sched);
    bool is_new = sequence == NULL;

    if (!m->which.start && (is_new || !sequence->open))
        return fail_without_start(m);
    bool waits = is_new ? !sequence_has_room(table)
                        : !sequence->has_slot || sequence->running != NULL ||
                              sequence_first(sequence) != NULL;
    if (waits && table->n_held >= queue_max)
        return tern_fail(m->work->err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", queue_max,
                         TERN_STR_ARG(table->version->info.name));
    if (is_new)
        sequence = sequence_add(table, m);
    if (sequence == NULL)
        return tern_mem_fail(m->work->err, "a sequence", sizeof(*sequence));
    m->sequence = sequence;
    sequence->open = !m->which.end;
    tern_list_append(&sequence->waiting, &m->link);
    table->n_held++;
    if (waits && is_new) {
        tern_list_append(&table->backlog, &sequence->link);
    } else if (is_new) {
        sequence_give_slot(table, sequence, calls);
    } else if (!waits) {
        tern_list_remove(&sequence->link); /* it was idle */
        sequence_go_on(table, sequence, calls);
    }
    return TERN_OK;
}

static void end_iterations(void *arena)
{
    tern_arena_fini(arena);
}

/* A request is a sequence by itself; its iterations are what belongs together. What one gives is
 * kept until the next, and the last one's as long as all else of the request. */
static enum tern_code make_iterative(struct tern_sequence_member *m, struct tern_work *work)
{
    m->arena = work->run.arena;
    TERN_TRY(tern_arena_on_reset(m->arena, end_iterations, &m->iteration, work->err));
    tern_arena_init(&m->iteration, 4096, m->arena->max);
    m->which.end = true;
    work->run.arena = &m->iteration;
    work->run.again = &m->again;
    return TERN_OK;
}

/* Without an id, a request of an iterative model is a sequence by itself. */
static void name_it(struct tern_sequences *table, struct tern_sequence_member *m)
{
    m->own = table->version->sequencing->iterative && m->which.id == 0 && m->which.text.n == 0;
    if (!m->own)
        return;
    m->which.id = 1 + atomic_fetch_add(&table->own_ids, 1) % INT32_MAX;
    m->which.start = true;
}

static enum tern_code new_member(struct tern_work *work, const struct tern_sequence *which,
                                 struct tern_sequence_member **ret_member)
{
    struct tern_sequence_member *m = tern_arena_zalloc(work->run.arena, 1, sizeof(*m));

    if (m == NULL)
        return tern_arena_fail(work->run.arena, work->err, "a request of a sequence");
    m->work = work;
    m->table = work->version->sequences;
    m->which = *which;
    name_it(m->table, m);
    TERN_TRY(tern_sequence_check(work->version, &m->which, &work->run, work->err));
    TERN_TRY(tern_sequence_fill(work->version, &m->which, &work->run, &m->extra, work->err));
    if (work->version->sequencing->iterative)
        TERN_TRY(make_iterative(m, work));
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
    struct sequence_calls calls;
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
    sequence_calls_init(&calls);
    pthread_mutex_lock(&table->lock);
    sequence_forget_idle(table, now);
    sequence_settle(table, now, &calls);
    code = join(table, m, &calls);
    sequence_settle(table, now, &calls);
    bool is_next = code == TERN_OK && m->state == CALLED;
    if (is_next)
        tern_list_remove(&m->link); /* it needs no task to learn of it */
    else if (code == TERN_OK)
        due = m->state == HELD ? next_look(table, m, now) : deadline_of(m);
    pthread_mutex_unlock(&table->lock);
    sequence_tell(&calls, work->loop);
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
    struct sequence_calls calls;

    sequence_calls_init(&calls);
    pthread_mutex_lock(&table->lock);
    enum member_state state = m->state;
    if (state == HELD)
        sequence_drop(table, m, &calls);
    else if (state == CALLED && m->fate == RUN)
        m->fate = CANCELLED; /* its on_done is on the way */
    else if (state == RUNNING)
        sequence_board_unwant(table, m);
    bool in_lane = state == RUNNING && table->boards == NULL;
    sequence_settle(table, tern_clock_mono_ns(), &calls);
    pthread_mutex_unlock(&table->lock);
    sequence_tell(&calls, work->loop);
    if (in_lane) {
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
    table->hold_until = sched->settings.hold_until;
    table->hold_backlog = sched->settings.hold_backlog;
    pthread_mutex_init(&table->lock, NULL);
    tern_list_init(&table->idle);
    tern_list_init(&table->backlog);
    tern_list_init(&table->stirred);
    version->sequences = table;
    enum tern_code code =
        tern_sequence_is_direct(version) ? sequence_boards_new(table, err) : TERN_OK;
    if (code != TERN_OK)
        tern_sequences_free(version);
    return code;
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
    sequence_boards_free(table);
    pthread_mutex_destroy(&table->lock);
    tern_mem_free(table->buckets);
    tern_mem_free(table);
    version->sequences = NULL;
}
