/* The way into a lane and out of it: on the work's own loop. */
#include <assert.h>
#include "base/clock.h"
#include "base/mem.h"
#include "sched/batch_bucket.h"
#include "sched/lane.h"
#include "sched/sched_int.h"

static struct tern_lane *lane_of(const struct tern_work *work)
{
    return work->version->lane;
}

static struct tern_inline *inline_of(const struct tern_work *work)
{
    struct tern_lane *lane = lane_of(work);
    return lane->inlines == NULL ? NULL : &lane->inlines[tern_loop_index(work->loop)];
}

/* Whether it is like others of its size: it may run on its loop, and tells how long those take. */
static bool may_stay(const struct tern_work *work)
{
    return work->task_run == NULL && !work->off_loop;
}

static void answer(struct tern_work *work)
{
    work->state = TERN_WORK_DONE;
    work->on_done(work);
}

/* Back on its loop, which learns from the executor's run: one that was sent away because a unit
 * used to cost more (a first large request after small ones) is soon kept here. */
static void deliver(struct tern_loop_task *task)
{
    struct tern_work *work = TERN_CONTAINER_OF(task, struct tern_work, task);
    struct tern_inline *here = inline_of(work);

    tern_loop_timer_stop(work->loop, &work->timer);
    if (here != NULL && work->started_ns != 0 && may_stay(work))
        tern_inline_learn(here, work);
    if (work->expired && work->code != TERN_OK)
        work->code = tern_fail(work->err, TERN_DEADLINE_EXCEEDED,
                               "Deadline Exceeded: the deadline passed while model '%.*s' ran",
                               TERN_STR_ARG(work->version->info.name));
    work->on_done(work);
}

/* ---- the limits of its time ---- */

/* Nobody waits for it any more. Its engine is asked to stop when that is true of the whole run.
 * Under the lock: the instance cannot have gone on to other work. */
static void stop_running(struct tern_work *work)
{
    struct tern_lane_slot *slot = work->slot;
    const struct tern_engine_model *model = &work->version->engine;

    if (work->is_unwanted)
        return;
    work->is_unwanted = true;
    atomic_store_explicit(&work->cancelled, true, memory_order_release);
    if (work->run.sink != NULL)
        work->run.sink->stop(work->run.sink);
    if (slot == NULL || --slot->n_wanted > 0)
        return;
    atomic_store_explicit(&slot->cancelled, true, memory_order_release);
    if (model->ops->cancel != NULL)
        model->ops->cancel(model, slot->instance);
}

static void watch(struct tern_work *work, uint64_t limit_ns, uint64_t now_ns);

static void on_limit(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);
    struct tern_lane *lane = lane_of(work);
    uint64_t now = tern_clock_mono_ns(), next_ns = UINT64_MAX;
    bool is_late = work->deadline_ns != 0 && now >= work->deadline_ns;

    pthread_mutex_lock(&lane->sched->executors.lock);
    if (work->state == TERN_WORK_WAITING)
        tern_lane_look(lane, now); /* whatever is lost goes, this one or others before it */
    if (work->state == TERN_WORK_WAITING) {
        next_ns = work->deadline_ns;
    } else if (work->state == TERN_WORK_RUNNING && !is_late) {
        next_ns = work->deadline_ns; /* it was the limit of its wait */
    } else if (work->state == TERN_WORK_RUNNING) {
        work->expired = true;
        stop_running(work);
    }
    pthread_mutex_unlock(&lane->sched->executors.lock);
    watch(work, next_ns, now);
}

static void watch(struct tern_work *work, uint64_t limit_ns, uint64_t now_ns)
{
    if (limit_ns == UINT64_MAX || limit_ns == 0)
        return;
    work->timer.on_due = on_limit;
    /* With tens of thousands waiting, those above are judged when their turn comes. */
    (void)tern_loop_timer_offer(work->loop, &work->timer,
                                limit_ns >= now_ns ? limit_ns - now_ns + 1 : 1);
}

/* ---- in ---- */

/* Elements of the input that the cost is counted in. */
static uint32_t cost_of(const struct tern_lane *lane, const struct tern_work *work)
{
    const struct tern_engine_run *run = &work->run;

    if (lane->max_cost == 0)
        return work->rows;
    for (uint32_t i = 0; i < run->n_inputs; i++) {
        size_t count;
        if (run->input_spec[i] == lane->scheduling->cost_input &&
            tern_shape_count(&run->inputs[i].shape, &count) && count < UINT32_MAX)
            return (uint32_t)count;
    }
    return work->rows;
}

static void fill_item(const struct tern_lane *lane, struct tern_work *work)
{
    struct tern_queue_item *item = &work->item;

    item->rows = cost_of(lane, work);
    item->priority = work->priority;
    item->timeout_ns = work->timeout_ns;
    item->bytes = 0;
    for (uint32_t i = 0; i < work->run.n_inputs; i++)
        item->bytes += work->run.inputs[i].n_bytes;
}

/* Under the lock. */
static enum tern_code join(struct tern_lane *lane, struct tern_work *work)
{
    struct tern_sched *sched = lane->sched;
    struct tern_lane_bucket *bucket = tern_lane_find_bucket(lane, work);
    uint32_t queue_max = sched->queue_max;
    uint64_t answer_in_ns;

    work->bucket = bucket;
    tern_arrivals_add(&bucket->arrivals, work->queued_ns, work->item.rows);
    tern_lane_came(lane, bucket, work->queued_ns);
    uint64_t deadline_ns = tern_lane_deadline(
        lane, bucket, work->has_own_deadline ? work->deadline_ns : 0, work->queued_ns);
    if (deadline_ns != TERN_QUEUE_NEVER)
        TERN_TRY(tern_lane_ask(lane, bucket, work->item.rows, deadline_ns, work->queued_ns,
                               &answer_in_ns, work->err));
    if (work->deadline_ns != 0 && work->deadline_ns < deadline_ns)
        deadline_ns = work->deadline_ns;
    work->item.deadline_ns = deadline_ns;
    if (atomic_load_explicit(&lane->depth, memory_order_relaxed) >= queue_max)
        return tern_fail(work->err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", queue_max,
                         TERN_STR_ARG(work->version->info.name));
    TERN_TRY(tern_queue_add(&bucket->queue, &work->item, work->queued_ns, work->err));
    atomic_fetch_add_explicit(&lane->depth, 1, memory_order_relaxed);
    work->state = TERN_WORK_WAITING;
    tern_lane_look(lane, work->queued_ns);
    return TERN_OK;
}

static void prepare(struct tern_work *work)
{
    tern_list_init(&work->link);
    work->code = TERN_OK;
    work->expired = work->is_unwanted = false;
    work->item.level = 0;
    work->slot = NULL;
    work->in_round = false;
    atomic_init(&work->cancelled, false);
    work->run.cancelled = &work->cancelled;
    work->timer.slot = 0;
    work->task.run = deliver;
    work->started_ns = work->finished_ns = work->released_ns = 0;
    work->batch_rows = 0;
    work->leads_batch = false;
    work->queued_ns = tern_clock_mono_ns();
    work->rows = work->rows > 0 ? work->rows : 1;
}

void tern_lane_submit(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_lane *lane = lane_of(work);
    struct tern_inline *here = inline_of(work);

    prepare(work);
    if (here != NULL && may_stay(work) && tern_inline_submit(here, work))
        return;
    work->item.bucket = work->task_run != NULL ? 0 : tern_batch_bucket(work->version, &work->run);
    fill_item(lane, work);
    pthread_mutex_lock(&sched->executors.lock);
    enum tern_code code = join(lane, work);
    uint64_t limit_ns = work->item.expires_ns < work->item.deadline_ns ? work->item.expires_ns
                                                                       : work->item.deadline_ns;
    pthread_mutex_unlock(&sched->executors.lock);
    if (code == TERN_OK) {
        watch(work, limit_ns, work->queued_ns); /* it comes back through this loop */
        return;
    }
    work->code = code;
    answer(work);
}

/* ---- back ---- */

/* Takes the work out of its queue. Under the lock. */
static void take_back(struct tern_lane *lane, struct tern_work *work)
{
    tern_queue_remove(&work->bucket->queue, &work->item);
    atomic_fetch_sub_explicit(&lane->depth, 1, memory_order_relaxed);
    tern_lane_look(lane, tern_clock_mono_ns());
}

void tern_lane_interrupt(struct tern_sched *sched, struct tern_work *work)
{
    pthread_mutex_lock(&sched->executors.lock);
    if (work->state == TERN_WORK_RUNNING)
        stop_running(work);
    else if (work->state == TERN_WORK_WAITING)
        atomic_store_explicit(&work->cancelled, true, memory_order_release);
    pthread_mutex_unlock(&sched->executors.lock);
}

void tern_lane_cancel(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_lane *lane = lane_of(work);

    if (work->in_round) {
        atomic_store_explicit(&work->cancelled, true, memory_order_relaxed);
        return;
    }
    pthread_mutex_lock(&sched->executors.lock);
    bool was_waiting = work->state == TERN_WORK_WAITING;
    if (was_waiting)
        take_back(lane, work);
    else if (work->state == TERN_WORK_RUNNING)
        stop_running(work);
    else
        work->is_unwanted = true; /* its run is over: there is to be no other */
    pthread_mutex_unlock(&sched->executors.lock);
    if (!was_waiting)
        return; /* its on_done is on the way */
    tern_loop_timer_stop(work->loop, &work->timer);
    work->code = tern_fail(work->err, TERN_CANCELLED, "the client went away");
    answer(work);
}
