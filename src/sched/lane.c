#include "sched/lane.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sched/sched_int.h"

#define LATELY_NS TERN_NS_PER_S

static struct tern_work *work_of(struct tern_queue_item *item)
{
    return TERN_CONTAINER_OF(item, struct tern_work, item);
}

/* ---- what the policy sees ---- */

static struct tern_policy_view view_of(const struct tern_lane *lane,
                                       const struct tern_lane_bucket *bucket, uint64_t now_ns)
{
    const struct tern_scheduling *scheduling = lane->scheduling;
    bool is_configured = scheduling != NULL && scheduling->batching == TERN_BATCHING_CONFIGURED;

    return (struct tern_policy_view){
        .now_ns = now_ns,
        .queue = &bucket->queue,
        .busy_until_ns = lane->busy_until_ns,
        .n_executors = lane->n_slots,
        .service = &bucket->service,
        .rows_per_s = tern_arrivals_rate(&bucket->arrivals, now_ns),
        .max_batch = lane->max_cost > 0 ? lane->max_cost : lane->max_rows,
        .slo_ns = scheduling == NULL ? 0 : scheduling->slo_ns,
        .triton = is_configured ? &lane->triton : NULL,
    };
}

uint64_t tern_lane_run_ns(const struct tern_lane *lane)
{
    return lane->usual_ns;
}

static void note(struct tern_lane *lane, const struct tern_policy_view *view,
                 const struct tern_policy_decision *decision)
{
    lane->notes[lane->n_notes++ % TERN_LANE_NOTES] = (struct tern_lane_note){
        .at_ns = view->now_ns,
        .service = view->service,
        .decision = *decision,
        .queue_rows = view->queue->rows,
        .n_busy = lane->n_slots - lane->n_idle,
        .n_slots = lane->n_slots,
        .rows_per_s = view->rows_per_s,
    };
}

/* ---- answering ---- */

/* The work goes home to its loop; where an order has to be kept, with those before it. */
static void send_home(struct tern_lane *lane, struct tern_work *work)
{
    work->state = TERN_WORK_DONE;
    if (tern_list_is_empty(&work->link)) {
        tern_loop_post(work->loop, &work->task);
        return;
    }
    while (!tern_list_is_empty(&lane->order)) {
        struct tern_work *first = TERN_CONTAINER_OF(lane->order.next, struct tern_work, link);
        if (first->state != TERN_WORK_DONE)
            return;
        tern_list_remove(&first->link);
        first->released_ns = tern_clock_mono_ns();
        tern_loop_post(first->loop, &first->task);
    }
}

/* What has so much time has none for a run of its own, with nobody before it: more time helps it,
 * and asking again later does not. */
static bool is_too_little(const struct tern_lane_bucket *bucket, uint32_t rows, uint64_t time_ns)
{
    return tern_service_p50_ns(&bucket->service, rows) > time_ns;
}

static enum tern_code fail_too_little(const struct tern_lane *lane,
                                      const struct tern_lane_bucket *bucket, uint32_t rows,
                                      uint64_t time_ns, struct tern_err *err)
{
    return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                     "Deadline Exceeded: a run of model '%.*s' takes about %.1f ms, and there are "
                     "%.1f ms for the answer",
                     TERN_STR_ARG(lane->version->info.name),
                     (double)tern_service_p50_ns(&bucket->service, rows) / TERN_NS_PER_MS,
                     (double)time_ns / TERN_NS_PER_MS);
}

static enum tern_code fail_overloaded(const struct tern_lane *lane, struct tern_err *err)
{
    return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                     "model '%.*s' is overloaded: the request could not be answered before its "
                     "deadline",
                     TERN_STR_ARG(lane->version->info.name));
}

/* Others' work is why it is late, or it never had a chance: that is not the same to its client. */
static enum tern_code explain_late(const struct tern_lane *lane,
                                   const struct tern_lane_bucket *bucket,
                                   const struct tern_work *work, uint64_t now_ns)
{
    const struct tern_queue_item *item = &work->item;
    uint64_t had_ns = item->deadline_ns > item->queued_ns ? item->deadline_ns - item->queued_ns : 0;

    if (work->deadline_ns != 0 && now_ns >= work->deadline_ns)
        return tern_fail(
            work->err, TERN_DEADLINE_EXCEEDED,
            "Deadline Exceeded: the deadline passed while the request waited for model '%.*s'",
            TERN_STR_ARG(lane->version->info.name));
    if (is_too_little(bucket, item->rows, had_ns))
        return fail_too_little(lane, bucket, item->rows, had_ns, work->err);
    return fail_overloaded(lane, work->err);
}

/* It left the queue without running. */
static void lose(struct tern_lane *lane, struct tern_lane_bucket *bucket,
                 struct tern_queue_item *item, enum tern_queue_loss loss, uint64_t now_ns)
{
    struct tern_work *work = work_of(item);

    atomic_fetch_sub_explicit(&lane->depth, 1, memory_order_relaxed);
    if (loss == TERN_QUEUE_TIMED_OUT) {
        lane->n_timed_out++;
        work->code = tern_fail(work->err, TERN_UNAVAILABLE, "Request timeout expired");
    } else {
        if (item->deadline_ns > now_ns)
            tern_service_refused(&bucket->service);
        work->code = explain_late(lane, bucket, work, now_ns);
        lane->n_late += work->code == TERN_DEADLINE_EXCEEDED;
        lane->n_shed += work->code != TERN_DEADLINE_EXCEEDED;
    }
    send_home(lane, work);
}

static void drop_lost(struct tern_lane *lane, struct tern_lane_bucket *bucket,
                      const struct tern_policy_view *view)
{
    struct tern_queue_item *item;
    enum tern_queue_loss loss;

    if (tern_queue_earliest_ns(&bucket->queue) == TERN_QUEUE_NEVER)
        return;
    uint64_t cutoff_ns = tern_policy_cutoff_ns(view);
    while ((item = tern_queue_take_lost(&bucket->queue, view->now_ns, cutoff_ns, &loss)) != NULL)
        lose(lane, bucket, item, loss, view->now_ns);
}

static void shed(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint32_t n,
                 uint64_t now_ns)
{
    while (n-- > 0) {
        struct tern_queue_item *item = tern_queue_first(&bucket->queue);
        tern_queue_remove(&bucket->queue, item);
        lose(lane, bucket, item, TERN_QUEUE_TOO_LATE, now_ns);
    }
}

/* ---- the door ---- */

/* Since when the one waits that came first; 0: none does. */
static uint64_t oldest_ns(const struct tern_lane *lane)
{
    uint64_t oldest = 0;

    for (uint32_t i = 0; i < lane->n_buckets; i++) {
        const struct tern_queue_item *first = tern_queue_first(&lane->buckets[i]->queue);
        if (first != NULL && (oldest == 0 || first->queued_ns < oldest))
            oldest = first->queued_ns;
    }
    return oldest;
}

/* An overload began: who waits longer than an answer may take has no use for it any more. */
static void drop_overdue(struct tern_lane *lane, uint64_t allowed_ns, uint64_t now_ns)
{
    for (uint32_t i = 0; i < lane->n_buckets; i++) {
        struct tern_lane_bucket *bucket = lane->buckets[i];
        struct tern_queue_item *item = tern_queue_first(&bucket->queue), *next;
        for (; item != NULL && item->queued_ns + allowed_ns < now_ns; item = next) {
            next = tern_queue_next(&bucket->queue, item);
            if (work_of(item)->has_own_deadline)
                continue;
            tern_queue_remove(&bucket->queue, item);
            lose(lane, bucket, item, TERN_QUEUE_TOO_LATE, now_ns);
        }
    }
}

/* Queue policies say all that is to be said of the first, and clients of the second. */
static bool has_overloads(const struct tern_lane *lane)
{
    const struct tern_scheduling *scheduling = lane->scheduling;
    bool is_configured = scheduling != NULL && scheduling->batching == TERN_BATCHING_CONFIGURED;

    return !is_configured && lane->threads == NULL;
}

void tern_lane_came(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint64_t now_ns)
{
    struct tern_policy_view view = view_of(lane, bucket, now_ns);
    uint64_t allowed_ns = tern_policy_slo_ns(&view);

    if (has_overloads(lane) &&
        tern_overload_came(&lane->overload, now_ns, oldest_ns(lane), allowed_ns))
        drop_overdue(lane, allowed_ns, now_ns);
}

uint64_t tern_lane_deadline(const struct tern_lane *lane, const struct tern_lane_bucket *bucket,
                            uint64_t own_ns, uint64_t now_ns)
{
    struct tern_policy_view view = view_of(lane, bucket, now_ns);

    if (own_ns > 0)
        return own_ns;
    if (!has_overloads(lane) || (view.slo_ns == 0 && !lane->overload.is_on))
        return TERN_QUEUE_NEVER;
    return now_ns + tern_policy_slo_ns(&view);
}

/* Shapes are not known yet: of those that somebody asked for lately, the one with the best chance
 * stands for all, so that who floods a model with large shapes does not lock out small ones. What
 * then turns out to be another is refused when it is known. */
static struct tern_lane_bucket *best_bucket(struct tern_lane *lane, uint64_t deadline_ns,
                                            uint64_t now_ns)
{
    struct tern_lane_bucket *best = lane->buckets[lane->n_buckets > 1 ? 1 : 0];
    uint64_t answer_in_ns, least_ns = UINT64_MAX;

    for (uint32_t i = 1; lane->n_buckets > 2 && i < lane->n_buckets; i++) {
        struct tern_lane_bucket *bucket = lane->buckets[i];
        if (bucket->used_ns + LATELY_NS < now_ns)
            continue;
        struct tern_policy_view view = view_of(lane, bucket, now_ns);
        bool admits = tern_policy_admits(
            &view, tern_lane_deadline(lane, bucket, deadline_ns, now_ns), &answer_in_ns);
        if (admits)
            return bucket;
        if (answer_in_ns < least_ns) {
            least_ns = answer_in_ns;
            best = bucket;
        }
    }
    return best;
}

static enum tern_code admit(struct tern_lane *lane, uint64_t deadline_ns,
                            uint64_t *ret_answer_in_ns, struct tern_err *err)
{
    uint64_t now = tern_clock_mono_ns();
    struct tern_lane_bucket *bucket = best_bucket(lane, deadline_ns, now);
    uint32_t depth = atomic_load_explicit(&lane->depth, memory_order_relaxed);
    uint32_t queue_max = lane->sched->queue_max;

    if (depth >= queue_max) {
        tern_lane_came(lane, bucket, now);
        *ret_answer_in_ns = tern_service_p50_ns(&bucket->service, 1) * (depth / lane->n_slots + 1);
        return tern_fail(err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", queue_max,
                         TERN_STR_ARG(lane->version->info.name));
    }
    deadline_ns = tern_lane_deadline(lane, bucket, deadline_ns, now);
    if (deadline_ns == TERN_QUEUE_NEVER || lane->threads != NULL)
        return TERN_OK;
    enum tern_code code = tern_lane_ask(lane, bucket, 1, deadline_ns, now, ret_answer_in_ns, err);
    if (code != TERN_OK) {
        tern_lane_came(lane, bucket, now);
        tern_arrivals_add(&bucket->arrivals, now, 1);
    }
    return code;
}

enum tern_code tern_lane_ask(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint32_t rows,
                             uint64_t deadline_ns, uint64_t now_ns, uint64_t *ret_answer_in_ns,
                             struct tern_err *err)
{
    struct tern_policy_view view = view_of(lane, bucket, now_ns);
    uint64_t left_ns = deadline_ns > now_ns ? deadline_ns - now_ns : 0;

    if (tern_policy_admits(&view, deadline_ns, ret_answer_in_ns))
        return TERN_OK;
    tern_service_refused(&bucket->service);
    if (is_too_little(bucket, rows, left_ns)) {
        *ret_answer_in_ns = 0;
        lane->n_late++;
        return fail_too_little(lane, bucket, rows, left_ns, err);
    }
    lane->n_shed++;
    return fail_overloaded(lane, err);
}

enum tern_code tern_lane_admits(const struct tern_sched *sched,
                                const struct tern_model_version *version, uint64_t deadline_ns,
                                uint64_t *ret_answer_in_ns, struct tern_err *err)
{
    struct tern_lane *lane = version->lane;
    (void)sched;

    pthread_mutex_lock(&lane->sched->executors.lock);
    enum tern_code code = admit(lane, deadline_ns, ret_answer_in_ns, err);
    pthread_mutex_unlock(&lane->sched->executors.lock);
    return code;
}

/* ---- looking ---- */

/* What is to be done with a bucket, after all that cannot be answered in time was refused. */
static struct tern_policy_decision decide(struct tern_lane *lane, struct tern_lane_bucket *bucket,
                                          uint64_t now_ns)
{
    struct tern_policy_view view = view_of(lane, bucket, now_ns);
    struct tern_policy_decision decision;

    drop_lost(lane, bucket, &view);
    while ((decision = tern_policy_decide(&view)).action == TERN_POLICY_SHED) {
        note(lane, &view, &decision);
        shed(lane, bucket, decision.items, now_ns);
    }
    if (decision.reason != TERN_POLICY_EMPTY && decision.reason != TERN_POLICY_ALL_BUSY)
        note(lane, &view, &decision);
    return decision;
}

static bool is_held(struct tern_lane *lane)
{
    if (lane->hold_until == 0)
        return false;
    if (atomic_load_explicit(&lane->depth, memory_order_relaxed) < lane->hold_until)
        return true;
    lane->hold_until = 0;
    return false;
}

/* Of the buckets with a batch that should run now, the one whose first request came first. */
static struct tern_lane_bucket *choose(struct tern_lane *lane, uint64_t now_ns,
                                       struct tern_policy_decision *ret_decision,
                                       uint64_t *ret_wake_ns)
{
    struct tern_lane_bucket *best = NULL;
    uint64_t best_ns = UINT64_MAX;

    *ret_wake_ns = UINT64_MAX;
    for (uint32_t i = 0; i < lane->n_buckets; i++) {
        struct tern_lane_bucket *bucket = lane->buckets[i];
        if (bucket->queue.n == 0)
            continue;
        struct tern_policy_decision decision = decide(lane, bucket, now_ns);
        if (decision.action == TERN_POLICY_WAIT) {
            /* With all of them busy, the end of a run is what to wait for. */
            if (lane->n_idle > 0 && decision.until_ns < *ret_wake_ns)
                *ret_wake_ns = decision.until_ns;
            continue;
        }
        uint64_t queued_ns = tern_queue_first(&bucket->queue)->queued_ns;
        if (best == NULL || queued_ns < best_ns) {
            best = bucket;
            best_ns = queued_ns;
            *ret_decision = decision;
        }
    }
    return best;
}

/* ---- instances ---- */

/* An idle one that may run the first work of the bucket now: it holds all that it has to compete
 * for. Works that only one instance may run come one at a time for each, so that it is idle. */
static struct tern_lane_slot *free_slot(struct tern_lane *lane,
                                        const struct tern_lane_bucket *bucket)
{
    struct tern_resources *resources = lane->sched->resources;
    uint32_t pin = work_of(tern_queue_first(&bucket->queue))->pin;

    for (uint32_t i = 0; i < lane->n_slots; i++) {
        struct tern_lane_slot *slot = lane->slots[i];
        if (!slot->is_busy && (pin == 0 || pin == i + 1) &&
            (resources == NULL || slot->claim.state == TERN_RESOURCE_HELD))
            return slot;
    }
    for (uint32_t i = 0; resources != NULL && i < lane->n_slots; i++) {
        struct tern_lane_slot *slot = lane->slots[i];
        if (!slot->is_busy && (pin == 0 || pin == i + 1) &&
            slot->claim.state == TERN_RESOURCE_IDLE &&
            tern_resources_acquire(resources, &slot->claim))
            return slot;
    }
    return NULL;
}

/* There is nothing to run: others may have what idle instances hold or wait for. */
static void give_up_resources(struct tern_lane *lane)
{
    struct tern_resources *resources = lane->sched->resources;

    for (uint32_t i = 0; i < lane->n_slots; i++) {
        struct tern_lane_slot *slot = lane->slots[i];
        if (slot->is_busy)
            continue;
        if (slot->claim.state == TERN_RESOURCE_HELD)
            tern_resources_release(resources, &slot->claim, false);
        else
            tern_resources_forgo(resources, &slot->claim);
    }
}

static void look_at_one(struct tern_lane *lane, uint64_t now_ns)
{
    struct tern_policy_decision decision;
    uint64_t wake_ns;

    const struct tern_lane_bucket *bucket = choose(lane, now_ns, &decision, &wake_ns);
    bool has_batch = bucket != NULL && !is_held(lane);
    bool is_ready = has_batch && free_slot(lane, bucket) != NULL;
    if (lane->threads != NULL && is_ready)
        pthread_cond_signal(&lane->work_came);
    if (lane->threads == NULL)
        tern_executors_offer(&lane->sched->executors, lane, is_ready);
    /* They keep the time for those with threads of their own, too. */
    tern_executors_wake_at(&lane->sched->executors, lane, has_batch ? UINT64_MAX : wake_ns);
    if (TERN_UNLIKELY(lane->sched->resources != NULL) && !has_batch)
        give_up_resources(lane);
}

/* Whoever was granted what it waited for is looked at: it may want to run, or not any more, which
 * may grant it to others again. */
void tern_lane_serve_granted(struct tern_sched *sched, uint64_t now_ns)
{
    struct tern_resource_claim *claim;

    if (TERN_LIKELY(sched->resources == NULL))
        return;
    while ((claim = tern_resources_granted(sched->resources)) != NULL) {
        struct tern_lane_slot *slot = claim->owner;
        look_at_one(slot->lane, now_ns);
    }
}

void tern_lane_look(struct tern_lane *lane, uint64_t now_ns)
{
    look_at_one(lane, now_ns);
    tern_lane_serve_granted(lane->sched, now_ns);
}

/* ---- a run ---- */

/* The first works of the queue, as many as were decided on; fewer when a run cannot have so many,
 * in number or (where something else is counted) in rows. */
static void take_works(struct tern_lane *lane, struct tern_lane_slot *slot, uint32_t items)
{
    struct tern_queue *queue = &slot->bucket->queue;
    bool keeps_order = lane->scheduling != NULL && lane->scheduling->preserve_ordering;
    uint64_t rows = 0;

    slot->n_works = slot->cost = 0;
    for (uint32_t i = 0; i < items && i < lane->most_works; i++) {
        struct tern_queue_item *item = tern_queue_first(queue);
        struct tern_work *work = work_of(item);
        if (i > 0 && rows + work->rows > lane->max_rows)
            break;
        rows += work->rows;
        slot->cost += item->rows;
        tern_queue_remove(queue, item);
        work->state = TERN_WORK_RUNNING;
        work->slot = slot;
        work->instance = slot->instance;
        slot->works[slot->n_works++] = work;
        if (keeps_order)
            tern_list_append(&lane->order, &work->link);
    }
    atomic_fetch_sub_explicit(&lane->depth, slot->n_works, memory_order_relaxed);
    slot->n_wanted = slot->n_works;
}

struct tern_lane_slot *tern_lane_start(struct tern_lane *lane, uint64_t now_ns)
{
    struct tern_policy_decision decision;
    struct tern_err err;
    uint64_t wake_ns;

    struct tern_lane_bucket *bucket = choose(lane, now_ns, &decision, &wake_ns);
    struct tern_lane_slot *slot = bucket == NULL || is_held(lane) ? NULL : free_slot(lane, bucket);
    if (slot == NULL) {
        tern_lane_look(lane, now_ns);
        return NULL;
    }
    slot->bucket = bucket;
    take_works(lane, slot, decision.items);
    slot->batch = NULL;
    atomic_store_explicit(&slot->cancelled, false, memory_order_relaxed);
    if ((slot->n_works > 1 || (lane->gathers && slot->works[0]->task_run == NULL)) &&
        tern_batch_take(lane->pool, &slot->batch, &err) != TERN_OK)
        slot->batch = NULL; /* one by one, then */
    slot->is_busy = true;
    slot->started_ns = now_ns;
    lane->n_idle--;
    lane->busy_until_ns[slot->index] = now_ns + tern_service_p50_ns(&bucket->service, slot->cost);
    tern_lane_look(lane, now_ns);
    return slot;
}

void tern_lane_run(struct tern_lane_slot *slot)
{
    struct tern_work *const *works = slot->works;

    slot->started_ns = tern_clock_mono_ns();
    for (uint32_t i = 0; i < slot->n_works; i++)
        works[i]->started_ns = slot->started_ns;
    slot->was_one = true;
    if (TERN_UNLIKELY(works[0]->joined != NULL))
        tern_run_joined(works[0]);
    else if (slot->n_works == 1 && slot->batch == NULL)
        tern_run_alone(works[0]);
    else
        slot->was_one = tern_run_batch(slot->batch, works, slot->n_works, &slot->cancelled);
    slot->finished_ns = tern_clock_mono_ns();
    for (uint32_t i = 0; i < slot->n_works; i++)
        works[i]->finished_ns = slot->finished_ns;
}

static void learn(struct tern_lane *lane, const struct tern_lane_slot *slot)
{
    uint64_t took_ns = slot->finished_ns - slot->started_ns;
    const struct tern_work *first = slot->works[0];

    lane->used_ns += took_ns * lane->priority;
    if (TERN_UNLIKELY(first->task_run != NULL || first->off_loop))
        return;
    tern_overload_left(&lane->overload, slot->n_works);
    lane->usual_ns = lane->usual_ns - lane->usual_ns / 4 + took_ns / 4;
    lane->n_runs++;
    lane->n_works_run += slot->n_works;
    if (first->code != TERN_OK || first->run.sink != NULL || !slot->was_one)
        return;
    tern_service_learn(&slot->bucket->service, slot->cost, took_ns);
    if (slot->n_works == 1)
        tern_rate_learn(&lane->rate, took_ns, first->units);
}

void tern_lane_finish(struct tern_lane_slot *slot)
{
    struct tern_lane *lane = slot->lane;

    learn(lane, slot);
    slot->is_busy = false;
    if (TERN_UNLIKELY(slot->is_leaving)) {
        pthread_cond_signal(&lane->slot_left);
    } else {
        lane->n_idle++;
        lane->busy_until_ns[slot->index] = 0;
    }
    for (uint32_t i = 0; i < slot->n_works; i++)
        slot->works[i]->slot = NULL;
    if (TERN_UNLIKELY(lane->sched->resources != NULL))
        tern_resources_release(lane->sched->resources, &slot->claim,
                               lane->depth > 0 && !slot->is_leaving);
    tern_lane_look(lane, slot->finished_ns);
    for (uint32_t i = 0; i < slot->n_works; i++)
        send_home(lane, slot->works[i]);
}
