#include "sched/sched.h"

#include <pthread.h>
#include <stdatomic.h>
#include "base/clock.h"
#include "base/mem.h"
#include "registry/reshape.h"
#include "sched/cache.h"
#include "sched/ensemble.h"
#include "sched/lane.h"
#include "sched/sequence.h"
#include "sched/wakeup.h"

#define LONG_RUN_NS (10u * TERN_NS_PER_MS)

/* Nearly the median of ns per unit of work, in 1/1024 ns: each run moves it by a 32nd towards
 * itself. A mean would believe the runs during which the kernel had given the processor to somebody
 * else. Each loop has its own, so that loops share no cache line; the executors share one, under
 * the scheduler's lock. */
struct rate {
    TERN_ALIGNED(TERN_CACHE_LINE) uint64_t per_unit_x1024;
    bool was_long; /* the last run took more than LONG_RUN_NS */
};

struct tern_lane {
    struct tern_sched *sched;
    struct tern_model_version *version;
    struct tern_list waiting; /* tern_work.link; guarded by sched->lock */
    struct tern_list ready;   /* in sched->ready while something waits and an instance is idle */
    uint32_t *idle_instances; /* stack of indexes into version->instances */
    uint32_t n_idle;
    atomic_uint depth;
    struct rate *loop_rates; /* one a loop instance */
    struct rate rate;        /* of the executors */
    /* Of a decoupled model, whose runs wait for their clients: its own executors, one an instance.
     * NULL: those of all models. */
    pthread_t *threads;
    uint32_t n_threads;
    pthread_cond_t work_came;
    bool stopping; /* guarded by sched->lock */
};

struct tern_sched {
    struct tern_sched_settings settings;
    struct tern_sched_watcher watcher;
    _Atomic uint32_t queue_max;
    pthread_mutex_t lock;
    pthread_cond_t work_came;
    struct tern_list ready; /* lanes that an executor can serve now */
    pthread_t *executors;
    uint32_t n_executors;
    bool stopping;
};

/* ---- prediction ---- */

static uint64_t predict_ns(const struct rate *rate, uint64_t units)
{
    return rate->per_unit_x1024 / 1024 * units + rate->per_unit_x1024 % 1024 * units / 1024;
}

static void learn(struct rate *rate, const struct tern_work *work)
{
    uint64_t took_ns = work->finished_ns - work->started_ns;
    uint64_t now = took_ns * 1024 / (work->units > 0 ? work->units : 1);
    uint64_t step = rate->per_unit_x1024 / 32 + 1;
    bool is_long = took_ns > LONG_RUN_NS;

    /* One long run may be the kernel's doing; a second one is the model's, and believed at once. */
    if (is_long && rate->was_long && now > rate->per_unit_x1024)
        rate->per_unit_x1024 = now;
    else if (now > rate->per_unit_x1024)
        rate->per_unit_x1024 += step;
    else if (rate->per_unit_x1024 > step)
        rate->per_unit_x1024 -= step;
    rate->was_long = is_long;
}

/* A rate that sends work away would never be corrected: it fades, and some run tries again. */
static void fade(struct rate *rate)
{
    rate->per_unit_x1024 -= rate->per_unit_x1024 / 4096;
}

bool tern_sched_is_inline(const struct tern_sched *sched, uint64_t run_ns)
{
    return run_ns <= sched->settings.inline_max_ns;
}

void tern_sched_set_queue_max(struct tern_sched *sched, uint32_t queue_max)
{
    sched->queue_max = queue_max;
}

uint32_t tern_sched_queue_max(const struct tern_sched *sched)
{
    return sched->queue_max;
}

void tern_sched_watch(struct tern_sched *sched, const struct tern_sched_watcher *watcher)
{
    sched->watcher = *watcher;
}

void tern_sched_note_step(const struct tern_sched *sched, const struct tern_work *work)
{
    if (sched->watcher.on_step != NULL)
        sched->watcher.on_step(sched->watcher.arg, work);
}

uint64_t tern_sched_inline_max_ns(const struct tern_sched *sched)
{
    return sched->settings.inline_max_ns;
}

uint32_t tern_sched_depth(const struct tern_model_version *version)
{
    const struct tern_lane *lane = version->lane;
    uint32_t depth = lane == NULL ? 0 : atomic_load_explicit(&lane->depth, memory_order_relaxed);
    return depth + tern_sequences_held(version);
}

/* ---- running ---- */

/* started_ns is set. */
static void run(struct tern_work *work)
{
    work->code = tern_reshape_infer(work->version, work->instance, &work->run, work->err);
    work->finished_ns = tern_clock_mono_ns();
}

static struct rate *loop_rate(const struct tern_work *work)
{
    struct tern_lane *lane = work->version->lane;
    return lane->loop_rates == NULL ? NULL : &lane->loop_rates[tern_loop_index(work->loop)];
}

/* Back on its loop, which learns from the executor's run: one that was sent away because a unit
 * used to cost more (a first large request after small ones) is soon kept here. */
static void deliver(struct tern_loop_task *task)
{
    struct tern_work *work = TERN_CONTAINER_OF(task, struct tern_work, task);
    struct rate *rate = loop_rate(work);

    tern_loop_timer_stop(work->loop, &work->timer);
    if (work->code == TERN_OK && rate != NULL && work->run.sink == NULL)
        learn(rate, work);
    if (work->expired && work->code != TERN_OK)
        work->code = tern_fail(work->err, TERN_DEADLINE_EXCEEDED,
                               "Deadline Exceeded: the deadline passed while model '%.*s' ran",
                               TERN_STR_ARG(work->version->info.name));
    work->on_done(work);
}

/* From an executor's thread: the work goes home to its loop. */
static void send_home(struct tern_work *work)
{
    work->state = TERN_WORK_DONE;
    work->task.run = deliver;
    tern_loop_post(work->loop, &work->task);
}

static void put_in_ready(struct tern_sched *sched, struct tern_lane *lane)
{
    bool servable =
        lane->threads == NULL && lane->n_idle > 0 && !tern_list_is_empty(&lane->waiting);
    if (servable && tern_list_is_empty(&lane->ready))
        tern_list_append(&sched->ready, &lane->ready);
    else if (!servable)
        tern_list_remove(&lane->ready);
}

/* The oldest work of a lane that has one, and an idle instance for it. */
static struct tern_work *take_oldest(struct tern_lane *lane, uint32_t *ret_instance)
{
    struct tern_list *oldest = lane->waiting.next;
    struct tern_work *work = TERN_CONTAINER_OF(oldest, struct tern_work, link);
    tern_list_remove(oldest);
    atomic_fetch_sub_explicit(&lane->depth, 1, memory_order_relaxed);
    *ret_instance = lane->idle_instances[--lane->n_idle];
    work->instance = lane->version->instances[*ret_instance];
    work->state = TERN_WORK_RUNNING;
    put_in_ready(lane->sched, lane);
    return work;
}

static struct tern_work *take_work(struct tern_sched *sched, uint32_t *ret_instance)
{
    struct tern_list *first = tern_list_pop(&sched->ready);

    return first == NULL
               ? NULL
               : take_oldest(TERN_CONTAINER_OF(first, struct tern_lane, ready), ret_instance);
}

static void run_or_expire(struct tern_work *work)
{
    uint64_t now = tern_clock_mono_ns();

    if (work->deadline_ns != 0 && now > work->deadline_ns) {
        work->code = tern_fail(
            work->err, TERN_DEADLINE_EXCEEDED,
            "Deadline Exceeded: the deadline passed while the request waited for model '%.*s'",
            TERN_STR_ARG(work->version->info.name));
        return;
    }
    work->started_ns = now;
    run(work);
}

/* Under the lock, which is let go meanwhile. */
static void execute(struct tern_work *work, uint32_t instance)
{
    struct tern_lane *lane = work->version->lane;
    struct tern_sched *sched = lane->sched;

    pthread_mutex_unlock(&sched->lock);
    run_or_expire(work);
    pthread_mutex_lock(&sched->lock);
    if (work->code == TERN_OK && work->run.sink == NULL)
        learn(&lane->rate, work);
    lane->idle_instances[lane->n_idle++] = instance;
    put_in_ready(sched, lane);
    send_home(work); /* last: the owner may unpin, and the lane may go */
}

static void *executor_main(void *arg)
{
    struct tern_sched *sched = arg;
    uint32_t instance;

    pthread_mutex_lock(&sched->lock);
    while (!sched->stopping) {
        struct tern_work *work = take_work(sched, &instance);
        if (work == NULL)
            pthread_cond_wait(&sched->work_came, &sched->lock);
        else
            execute(work, instance);
    }
    pthread_mutex_unlock(&sched->lock);
    return NULL;
}

/* As many of them as instances: one is always idle here. */
static void *lane_main(void *arg)
{
    struct tern_lane *lane = arg;
    uint32_t instance;

    pthread_mutex_lock(&lane->sched->lock);
    while (!lane->stopping) {
        if (tern_list_is_empty(&lane->waiting)) {
            pthread_cond_wait(&lane->work_came, &lane->sched->lock);
            continue;
        }
        struct tern_work *work = take_oldest(lane, &instance);
        execute(work, instance);
    }
    pthread_mutex_unlock(&lane->sched->lock);
    return NULL;
}

/* ---- submitting ---- */

static void refuse(struct tern_work *work)
{
    work->state = TERN_WORK_DONE;
    work->on_done(work);
}

static bool fits_inline(const struct tern_sched *sched, const struct tern_work *work,
                        const struct rate *rate)
{
    return rate != NULL && work->run.sink == NULL &&
           predict_ns(rate, work->units) <= sched->settings.inline_max_ns;
}

/* Whether work that joins the lane now can start before its deadline. */
static bool is_in_time(const struct tern_lane *lane, const struct tern_work *work)
{
    if (work->deadline_ns == 0)
        return true;
    uint64_t ahead = atomic_load_explicit(&lane->depth, memory_order_relaxed);
    uint64_t wait_ns = predict_ns(&lane->rate, work->units) * (ahead / lane->version->n_instances);
    return work->queued_ns + wait_ns < work->deadline_ns;
}

/* Under the lock. */
static enum tern_code may_join(const struct tern_sched *sched, const struct tern_lane *lane,
                               struct tern_work *work)
{
    struct tern_str name = work->version->info.name;

    uint32_t queue_max = sched->queue_max;
    if (atomic_load_explicit(&lane->depth, memory_order_relaxed) >= queue_max)
        return tern_fail(work->err, TERN_UNAVAILABLE,
                         "Exceeds maximum queue size: %u requests wait for model '%.*s'", queue_max,
                         TERN_STR_ARG(name));
    if (!is_in_time(lane, work))
        return tern_fail(work->err, TERN_RESOURCE_EXHAUSTED,
                         "model '%.*s' is overloaded: the request could not start before its "
                         "deadline",
                         TERN_STR_ARG(name));
    return TERN_OK;
}

static enum tern_code join_lane(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_lane *lane = work->version->lane;

    pthread_mutex_lock(&sched->lock);
    enum tern_code code = may_join(sched, lane, work);
    if (code == TERN_OK) {
        work->state = TERN_WORK_WAITING;
        tern_list_append(&lane->waiting, &work->link);
        atomic_fetch_add_explicit(&lane->depth, 1, memory_order_relaxed);
        put_in_ready(sched, lane);
        pthread_cond_signal(lane->threads == NULL ? &sched->work_came : &lane->work_came);
    }
    pthread_mutex_unlock(&sched->lock);
    return code;
}

/* Takes the work back while it waits, or tells the engine to stop. True: it was taken back. */
static bool stop_work(struct tern_sched *sched, struct tern_work *work)
{
    struct tern_lane *lane = work->version->lane;
    const struct tern_engine_model *model = &work->version->engine;
    bool was_waiting;

    pthread_mutex_lock(&sched->lock);
    was_waiting = work->state == TERN_WORK_WAITING;
    if (was_waiting) {
        tern_list_remove(&work->link);
        atomic_fetch_sub_explicit(&lane->depth, 1, memory_order_relaxed);
        put_in_ready(sched, lane);
    } else if (work->state == TERN_WORK_RUNNING) {
        /* Under the lock: the instance cannot have gone on to other work. */
        atomic_store_explicit(&work->cancelled, true, memory_order_release);
        if (work->run.sink != NULL)
            work->run.sink->stop(work->run.sink);
        if (model->ops->cancel != NULL)
            model->ops->cancel(model, work->instance);
    }
    pthread_mutex_unlock(&sched->lock);
    return was_waiting;
}

static void on_deadline(struct tern_loop_timer *timer)
{
    struct tern_work *work = TERN_CONTAINER_OF(timer, struct tern_work, timer);
    const struct tern_lane *lane = work->version->lane;

    work->expired = true;
    if (!stop_work(lane->sched, work))
        return; /* its on_done is on the way */
    work->code = tern_fail(
        work->err, TERN_DEADLINE_EXCEEDED,
        "Deadline Exceeded: the deadline passed while the request waited for model '%.*s'",
        TERN_STR_ARG(work->version->info.name));
    refuse(work);
}

static void watch_deadline(struct tern_work *work)
{
    uint64_t now = tern_clock_mono_ns();

    if (work->deadline_ns == 0)
        return;
    work->timer.on_due = on_deadline;
    /* With tens of thousands waiting, those above are judged when their turn comes. */
    (void)tern_loop_timer_offer(work->loop, &work->timer,
                                work->deadline_ns > now ? work->deadline_ns - now : 0);
}

void tern_lane_submit(struct tern_sched *sched, struct tern_work *work)
{
    tern_list_init(&work->link);
    work->code = TERN_OK;
    work->expired = false;
    atomic_init(&work->cancelled, false);
    work->run.cancelled = &work->cancelled;
    work->timer.slot = 0;
    work->queued_ns = tern_clock_mono_ns();
    struct rate *rate = loop_rate(work);
    if (fits_inline(sched, work, rate)) {
        work->state = TERN_WORK_RUNNING;
        work->instance = work->version->loop_instances[tern_loop_index(work->loop)];
        work->started_ns = work->queued_ns; /* the clock is not free */
        run(work);
        learn(rate, work);
        work->state = TERN_WORK_DONE;
        work->on_done(work);
        return;
    }
    if (rate != NULL)
        fade(rate);
    enum tern_code code = join_lane(sched, work);
    if (code == TERN_OK) {
        watch_deadline(work); /* an executor has it now; it comes back through this loop */
        return;
    }
    work->code = code;
    refuse(work);
}

void tern_lane_cancel(struct tern_sched *sched, struct tern_work *work)
{
    if (!stop_work(sched, work))
        return; /* its on_done is on the way */
    tern_loop_timer_stop(work->loop, &work->timer);
    work->code = tern_fail(work->err, TERN_CANCELLED, "the client went away");
    refuse(work);
}

/* ---- lanes ---- */

static void stop_threads(struct tern_lane *lane)
{
    if (lane->threads == NULL)
        return;
    pthread_mutex_lock(&lane->sched->lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->work_came);
    pthread_mutex_unlock(&lane->sched->lock);
    for (uint32_t i = 0; i < lane->n_threads; i++)
        pthread_join(lane->threads[i], NULL);
    pthread_cond_destroy(&lane->work_came);
    tern_mem_free(lane->threads);
}

static enum tern_code start_threads(struct tern_lane *lane, struct tern_err *err)
{
    uint32_t n = lane->version->n_instances;

    lane->threads = tern_mem_zalloc(n, sizeof(*lane->threads));
    if (lane->threads == NULL)
        return tern_mem_fail(err, "the threads of a model", n * sizeof(*lane->threads));
    pthread_cond_init(&lane->work_came, NULL);
    for (; lane->n_threads < n; lane->n_threads++) {
        if (pthread_create(&lane->threads[lane->n_threads], NULL, lane_main, lane) != 0)
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                             "cannot start thread %u of %u of model '%.*s'", lane->n_threads + 1, n,
                             TERN_STR_ARG(lane->version->info.name));
    }
    return TERN_OK;
}

static void free_lane(struct tern_lane *lane)
{
    if (lane == NULL)
        return;
    stop_threads(lane);
    tern_mem_free(lane->loop_rates);
    tern_mem_free(lane->idle_instances);
    tern_mem_free(lane);
}

static struct rate *new_rates(uint32_t n, uint64_t per_unit_x1024)
{
    struct rate *rates = tern_mem_alloc_aligned(TERN_CACHE_LINE, n * sizeof(*rates));
    for (uint32_t i = 0; rates != NULL && i < n; i++)
        rates[i] = (struct rate){.per_unit_x1024 = per_unit_x1024};
    return rates;
}

static struct tern_lane *new_lane(struct tern_sched *sched, struct tern_model_version *version)
{
    struct tern_lane *lane = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*lane));
    uint64_t units = version->warm_units > 0 ? version->warm_units : 1;

    if (lane == NULL)
        return NULL;
    *lane = (struct tern_lane){.sched = sched, .version = version};
    lane->rate.per_unit_x1024 = version->run_ns * 1024 / units;
    lane->idle_instances = tern_mem_zalloc(version->n_instances, sizeof(uint32_t));
    if (version->n_loop_instances > 0)
        lane->loop_rates = new_rates(version->n_loop_instances, lane->rate.per_unit_x1024);
    if (lane->idle_instances == NULL ||
        (version->n_loop_instances > 0 && lane->loop_rates == NULL)) {
        free_lane(lane);
        return NULL;
    }
    return lane;
}

static enum tern_code add_ensemble(struct tern_sched *sched, struct tern_model_version *version,
                                   struct tern_err *err)
{
    TERN_TRY(tern_ensemble_add(version, err));
    enum tern_code code = tern_cache_add(sched->settings.cache, version, err);
    if (code != TERN_OK)
        tern_ensemble_remove(version);
    return code;
}

enum tern_code tern_sched_add(struct tern_sched *sched, struct tern_model_version *version,
                              struct tern_err *err)
{
    if (version->ensembling != NULL)
        return add_ensemble(sched, version, err);
    struct tern_lane *lane = new_lane(sched, version);
    enum tern_code code = TERN_OK;

    if (lane == NULL)
        return tern_mem_fail(err, "a scheduling lane", sizeof(*lane));
    tern_list_init(&lane->waiting);
    tern_list_init(&lane->ready);
    for (uint32_t i = 0; i < version->n_instances; i++)
        lane->idle_instances[lane->n_idle++] = i;
    atomic_init(&lane->depth, 0);
    if (version->info.decoupled)
        code = start_threads(lane, err);
    if (code == TERN_OK && version->sequencing != NULL)
        code = tern_sequences_new(sched, version, err);
    if (code == TERN_OK)
        code = tern_cache_add(sched->settings.cache, version, err);
    if (code == TERN_OK) {
        version->lane = lane;
    } else {
        tern_sequences_free(version);
        free_lane(lane);
    }
    return code;
}

void tern_sched_remove(struct tern_sched *sched, struct tern_model_version *version)
{
    struct tern_lane *lane = version->lane;

    tern_ensemble_remove(version);
    tern_cache_remove(version);
    if (lane == NULL)
        return;
    /* The executor that ran the last work may still be on its way out of the lane. */
    pthread_mutex_lock(&sched->lock);
    tern_list_remove(&lane->ready);
    pthread_mutex_unlock(&sched->lock);
    free_lane(lane);
    tern_sequences_free(version);
    version->lane = NULL;
}

/* ---- life ---- */

static void stop_executors(struct tern_sched *sched)
{
    pthread_mutex_lock(&sched->lock);
    sched->stopping = true;
    pthread_cond_broadcast(&sched->work_came);
    pthread_mutex_unlock(&sched->lock);
    for (uint32_t i = 0; i < sched->n_executors; i++)
        pthread_join(sched->executors[i], NULL);
}

enum tern_code tern_sched_new(const struct tern_sched_settings *settings,
                              struct tern_sched **ret_sched, struct tern_err *err)
{
    struct tern_sched *sched = tern_mem_zalloc(1, sizeof(*sched));
    if (sched == NULL)
        return tern_mem_fail(err, "the scheduler", sizeof(*sched));
    sched->settings = *settings;
    sched->queue_max = settings->queue_max;
    if (sched->settings.inline_max_ns == 0)
        sched->settings.inline_max_ns = tern_wakeup_measure_ns();
    pthread_mutex_init(&sched->lock, NULL);
    pthread_cond_init(&sched->work_came, NULL);
    tern_list_init(&sched->ready);
    sched->executors = tern_mem_zalloc(settings->executors, sizeof(*sched->executors));
    if (sched->executors == NULL) {
        tern_sched_free(sched);
        return tern_mem_fail(err, "the executors", settings->executors * sizeof(pthread_t));
    }
    for (; sched->n_executors < settings->executors; sched->n_executors++) {
        if (pthread_create(&sched->executors[sched->n_executors], NULL, executor_main, sched) !=
            0) {
            tern_sched_free(sched);
            return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot start executor thread %u of %u",
                             sched->n_executors + 1, settings->executors);
        }
    }
    *ret_sched = sched;
    return TERN_OK;
}

void tern_sched_free(struct tern_sched *sched)
{
    if (sched == NULL)
        return;
    stop_executors(sched);
    pthread_cond_destroy(&sched->work_came);
    pthread_mutex_destroy(&sched->lock);
    tern_mem_free(sched->executors);
    tern_mem_free(sched);
}
