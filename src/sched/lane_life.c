/* How a lane begins and ends, and its buckets. */
#include <string.h>
#include "base/mem.h"
#include "sched/lane.h"
#include "sched/sched_int.h"
#include "sched/sequence.h"

#define KEEP_MAX ((size_t)4 << 20) /* of memory that an idle batch holds on to */

/* ---- buckets ---- */

static struct tern_queue_policy policy_of(const struct tern_scheduling_level *level)
{
    return (struct tern_queue_policy){
        .level = level->level,
        .timeout_action = level->delay ? TERN_QUEUE_DELAY : TERN_QUEUE_REJECT,
        .allow_timeout_override = level->allow_timeout_override,
        .default_timeout_ns = level->default_timeout_ns,
        .max_queue_size = level->max_queue_size,
    };
}

static void init_queue(const struct tern_lane *lane, struct tern_queue *queue)
{
    const struct tern_scheduling *scheduling = lane->scheduling;
    const struct tern_sched_settings *settings = &lane->sched->settings;
    struct tern_queue_settings s = {
        .levels = 1,
        .default_level = 1,
        .max_items = UINT32_MAX, /* the lane counts those of all its buckets */
        .max_bytes = settings->queue_bytes_max > 0 ? settings->queue_bytes_max : UINT64_MAX,
    };

    if (scheduling != NULL && scheduling->n_levels > 0) {
        s.levels = scheduling->n_levels;
        s.default_level = scheduling->default_level;
    }
    if (scheduling != NULL && scheduling->levels != NULL) {
        s.policy = policy_of(&scheduling->levels[0]);
        for (; s.n_own < scheduling->n_own_levels; s.n_own++)
            s.own[s.n_own] = policy_of(&scheduling->levels[1 + s.n_own]);
    }
    tern_queue_init(queue, &s);
}

static void begin_bucket(struct tern_lane *lane, struct tern_lane_bucket *bucket, uint64_t key,
                         uint32_t cost, uint64_t run_ns)
{
    memset(bucket, 0, sizeof(*bucket));
    bucket->key = key;
    init_queue(lane, &bucket->queue);
    tern_service_init(&bucket->service, cost > 0 ? cost : 1, run_ns > 0 ? run_ns : 1);
}

static bool is_running(const struct tern_lane *lane, const struct tern_lane_bucket *bucket)
{
    for (uint32_t i = 0; i < lane->n_all_slots; i++) {
        if (lane->slots[i]->is_busy && lane->slots[i]->bucket == bucket)
            return true;
    }
    return false;
}

/* A new one, or of those that nobody uses now the one that was used the longest ago; NULL: all are
 * in use, or there is no memory. */
static struct tern_lane_bucket *spare_bucket(struct tern_lane *lane)
{
    struct tern_lane_bucket *oldest = NULL;

    if (lane->n_buckets < TERN_LANE_BUCKETS) {
        struct tern_lane_bucket *bucket = tern_mem_zalloc(1, sizeof(*bucket));
        if (bucket != NULL)
            lane->buckets[lane->n_buckets++] = bucket;
        return bucket;
    }
    for (uint32_t i = 1; i < lane->n_buckets; i++) {
        struct tern_lane_bucket *bucket = lane->buckets[i];
        bool is_older = oldest == NULL || bucket->used_ns < oldest->used_ns;
        if (bucket->queue.n == 0 && is_older && !is_running(lane, bucket))
            oldest = bucket;
    }
    return oldest;
}

/* What a run of new shapes will take. Too little costs a late answer, after which it is known; too
 * much refuses who could be answered: what runs take otherwise is enough, for what a unit takes in
 * small ones says nothing of large ones. */
static uint64_t guess_ns(const struct tern_lane *lane, const struct tern_work *work)
{
    uint64_t ns = tern_rate_predict_ns(&lane->rate, work->units);
    return ns < lane->usual_ns ? ns : lane->usual_ns;
}

struct tern_lane_bucket *tern_lane_find_bucket(struct tern_lane *lane, const struct tern_work *work)
{
    const struct tern_scheduling *scheduling = lane->scheduling;
    uint64_t key = work->item.bucket;
    bool is_one = scheduling == NULL || scheduling->batching != TERN_BATCHING_ADAPTIVE;
    struct tern_lane_bucket *found = lane->buckets[0];

    for (uint32_t i = 1; !is_one && key != 0 && found->key != key && i < lane->n_buckets; i++) {
        if (lane->buckets[i]->key == key)
            found = lane->buckets[i];
    }
    if (!is_one && key != 0 && found->key != key) {
        struct tern_lane_bucket *spare = spare_bucket(lane);
        if (spare != NULL) {
            begin_bucket(lane, spare, key, work->item.rows, guess_ns(lane, work));
            found = spare;
        }
    }
    found->used_ns = work->queued_ns;
    return found;
}

/* ---- memory ---- */

static enum tern_code make_inlines(struct tern_lane *lane, struct tern_err *err)
{
    struct tern_model_version *version = lane->version;
    uint32_t n = version->n_loop_instances;

    if (n == 0)
        return TERN_OK;
    lane->inlines = tern_mem_alloc_aligned(TERN_CACHE_LINE, n * sizeof(*lane->inlines));
    if (lane->inlines == NULL)
        return tern_mem_fail(err, "a lane's part of the loops", n * sizeof(*lane->inlines));
    memset(lane->inlines, 0, n * sizeof(*lane->inlines));
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(tern_inline_init(&lane->inlines[i], version, version->loop_instances[i],
                                  lane->sched->settings.inline_max_ns, err));
    return TERN_OK;
}

static void take_scheduling(struct tern_lane *lane)
{
    const struct tern_scheduling *s = lane->scheduling;

    lane->max_rows = lane->priority = 1;
    /* Where sequences have slots, these wait for requests, and the lane sees whole runs. */
    if (!tern_sequence_is_direct(lane->version))
        lane->hold_until = lane->sched->settings.hold_until;
    if (s == NULL)
        return;
    lane->gathers = s->gathers;
    if (s->batching != TERN_BATCHING_NONE && s->max_rows > 1) {
        lane->max_rows = s->max_rows;
        lane->max_cost = s->max_cost;
    }
    lane->triton.max_queue_delay_ns = s->max_queue_delay_ns;
    for (uint32_t i = 0; i < s->n_preferred && i < TERN_POLICY_PREFERRED_MAX; i++)
        lane->triton.preferred[lane->triton.n_preferred++] = s->preferred[i];
    if (s->n_groups > 0 && s->groups[0].priority > 1)
        lane->priority = s->groups[0].priority;
}

static enum tern_code fill(struct tern_lane *lane, struct tern_err *err)
{
    const struct tern_batch_settings batches = {
        .memory_max = TERN_RUN_MEMORY_MAX, .keep_max = KEEP_MAX, .idle_max = 8};
    const struct tern_model_version *version = lane->version;
    uint64_t run_ns = version->run_ns;

    lane->most_works = lane->max_rows < TERN_RUN_WORKS_MAX ? lane->max_rows : TERN_RUN_WORKS_MAX;
    lane->usual_ns = run_ns;
    tern_rate_init(&lane->rate, run_ns, version->warm_units);
    lane->buckets[0] = tern_mem_zalloc(1, sizeof(*lane->buckets[0]));
    if (lane->buckets[0] == NULL)
        return tern_mem_fail(err, "a lane's queue", sizeof(*lane->buckets[0]));
    lane->n_buckets = 1;
    begin_bucket(lane, lane->buckets[0], 0, 1, run_ns);
    TERN_TRY(tern_lane_make_slots(lane, version->instances, version->n_instances, err));
    TERN_TRY(make_inlines(lane, err));
    if (lane->max_rows > 1 || lane->gathers)
        TERN_TRY(tern_batch_pool_new(&batches, &lane->pool, err));
    return TERN_OK;
}

/* ---- threads of its own ---- */

static void lane_main(void *arg)
{
    struct tern_lane *lane = arg;
    pthread_mutex_t *lock = &lane->sched->executors.lock;

    pthread_mutex_lock(lock);
    while (!lane->stopping) {
        struct tern_lane_slot *slot = tern_lane_start(lane, tern_clock_mono_ns());
        if (slot == NULL) {
            pthread_cond_wait(&lane->work_came, lock);
            continue;
        }
        pthread_mutex_unlock(lock);
        tern_lane_run(slot);
        pthread_mutex_lock(lock);
        tern_lane_finish(slot);
    }
    pthread_mutex_unlock(lock);
}

static enum tern_code start_threads(struct tern_lane *lane, struct tern_err *err)
{
    lane->threads = tern_mem_zalloc(lane->n_slots, sizeof(*lane->threads));
    if (lane->threads == NULL)
        return tern_mem_fail(err, "the threads of a model", lane->n_slots * sizeof(*lane->threads));
    pthread_cond_init(&lane->work_came, NULL);
    for (; lane->n_threads < lane->n_slots; lane->n_threads++)
        TERN_TRY(tern_thread_start(&lane->threads[lane->n_threads], "tern-lane", -1, lane_main,
                                   lane, err));
    return TERN_OK;
}

static void stop_threads(struct tern_lane *lane)
{
    if (lane->threads == NULL)
        return;
    pthread_mutex_lock(&lane->sched->executors.lock);
    lane->stopping = true;
    pthread_cond_broadcast(&lane->work_came);
    pthread_mutex_unlock(&lane->sched->executors.lock);
    for (uint32_t i = 0; i < lane->n_threads; i++)
        tern_thread_join(&lane->threads[i]);
    pthread_cond_destroy(&lane->work_came);
    tern_mem_free(lane->threads);
}

/* ---- life ---- */

enum tern_code tern_lane_new(struct tern_sched *sched, struct tern_model_version *version,
                             struct tern_lane **ret_lane, struct tern_err *err)
{
    struct tern_lane *lane = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*lane));

    if (lane == NULL)
        return tern_mem_fail(err, "a scheduling lane", sizeof(*lane));
    memset(lane, 0, sizeof(*lane));
    lane->sched = sched;
    lane->version = version;
    lane->scheduling = version->scheduling;
    tern_list_init(&lane->ready);
    tern_list_init(&lane->delaying);
    tern_list_init(&lane->order);
    atomic_init(&lane->depth, 0);
    pthread_cond_init(&lane->slot_left, NULL);
    take_scheduling(lane);
    enum tern_code code = fill(lane, err);
    if (code == TERN_OK && version->info.decoupled)
        code = start_threads(lane, err);
    if (code != TERN_OK) {
        tern_lane_free(lane);
        return code;
    }
    *ret_lane = lane;
    return TERN_OK;
}

void tern_lane_free(struct tern_lane *lane)
{
    if (lane == NULL)
        return;
    stop_threads(lane);
    tern_lane_free_slots(lane);
    for (uint32_t i = 0; lane->inlines != NULL && i < lane->version->n_loop_instances; i++)
        tern_inline_fini(&lane->inlines[i]);
    for (uint32_t i = 0; i < lane->n_buckets; i++)
        tern_mem_free(lane->buckets[i]);
    tern_batch_pool_close(lane->pool);
    pthread_cond_destroy(&lane->slot_left);
    tern_mem_free(lane->inlines);
    tern_mem_free(lane);
}
