#include "sched/report.h"

#include <string.h>
#include "base/clock.h"
#include "sched/lane.h"
#include "sched/sched_int.h"

static struct tern_str batching_name(const struct tern_scheduling *scheduling)
{
    static const char *const names[] = {
        [TERN_BATCHING_NONE] = "none",
        [TERN_BATCHING_ADAPTIVE] = "adaptive",
        [TERN_BATCHING_CONFIGURED] = "configured",
    };
    return tern_str_of(names[scheduling == NULL ? TERN_BATCHING_NONE : scheduling->batching]);
}

/* ---- what was learned ---- */

static enum tern_code copy_sizes(const struct tern_service *service, struct tern_arena *arena,
                                 struct tern_schedule_bucket *ret, struct tern_err *err)
{
    struct tern_schedule_size *sizes =
        tern_arena_zalloc(arena, TERN_SERVICE_POINTS, sizeof(*sizes));

    if (sizes == NULL)
        return tern_arena_fail(arena, err, "a table of run times");
    ret->sizes = sizes;
    for (uint32_t i = 0; i < TERN_SERVICE_POINTS; i++) {
        if ((service->measured >> i & 1u) == 0)
            continue;
        sizes[ret->n_sizes++] = (struct tern_schedule_size){
            .rows = tern_service_point_rows(i),
            .runs = service->points[i].seen,
            .p50_ns = service->points[i].p50_ns,
            .p99_ns = service->points[i].p99_ns,
        };
    }
    ret->gains = tern_service_gains(service);
    return TERN_OK;
}

static enum tern_code copy_buckets(const struct tern_lane *lane, struct tern_arena *arena,
                                   uint64_t now_ns, struct tern_schedule *report,
                                   struct tern_err *err)
{
    struct tern_schedule_bucket *rows =
        tern_arena_zalloc(arena, lane->n_buckets + 1, sizeof(*rows));

    if (rows == NULL)
        return tern_arena_fail(arena, err, "the shapes of a model");
    report->buckets = rows;
    for (uint32_t i = 0; i < lane->n_buckets; i++) {
        const struct tern_lane_bucket *bucket = lane->buckets[i];
        struct tern_schedule_bucket *row = &rows[report->n_buckets++];
        row->waiting = bucket->queue.n;
        row->rows_per_s = tern_arrivals_rate(&bucket->arrivals, now_ns);
        TERN_TRY(copy_sizes(&bucket->service, arena, row, err));
        row->gains &= lane->max_rows > 1;
    }
    return TERN_OK;
}

static enum tern_code copy_inline(const struct tern_inline *here, struct tern_arena *arena,
                                  struct tern_schedule *report, struct tern_err *err)
{
    struct tern_schedule_bucket *row = tern_arena_zalloc(arena, 1, sizeof(*row));

    if (row == NULL)
        return tern_arena_fail(arena, err, "the shapes of a model");
    report->buckets = row;
    report->n_buckets = 1;
    TERN_TRY(copy_sizes(&here->service, arena, row, err));
    row->gains &= here->max_rows > 1;
    return TERN_OK;
}

/* ---- what was decided ---- */

/* The view at that time, as far as its sentence needs it. */
static enum tern_code explain_note(const struct tern_lane *lane, const struct tern_lane_note *note,
                                   uint64_t now_ns, struct tern_arena *arena,
                                   struct tern_schedule_decision *ret, struct tern_err *err)
{
    const struct tern_scheduling *scheduling = lane->scheduling;
    bool is_configured = scheduling != NULL && scheduling->batching == TERN_BATCHING_CONFIGURED;
    const struct tern_queue queue = {.rows = note->queue_rows};
    char text[TERN_POLICY_TEXT_MAX];
    uint64_t *busy_until_ns = tern_arena_zalloc(arena, note->n_slots + 1, sizeof(*busy_until_ns));

    if (busy_until_ns == NULL)
        return tern_arena_fail(arena, err, "a decision in words");
    for (uint32_t i = 0; i < note->n_busy && i < note->n_slots; i++)
        busy_until_ns[i] = note->at_ns;
    const struct tern_policy_view view = {
        .now_ns = note->at_ns,
        .queue = &queue,
        .busy_until_ns = busy_until_ns,
        .n_executors = note->n_slots,
        .service = note->service,
        .rows_per_s = note->rows_per_s,
        .max_batch = lane->max_rows,
        .triton = is_configured ? &lane->triton : NULL,
    };
    tern_policy_explain(&view, &note->decision, text);
    ret->ago_ns = now_ns > note->at_ns ? now_ns - note->at_ns : 0;
    ret->reason = tern_str_of(tern_policy_reason_label(note->decision.reason));
    ret->text = tern_arena_copy(arena, tern_str_of(text));
    return ret->text.p == NULL ? tern_arena_fail(arena, err, "a decision in words") : TERN_OK;
}

static enum tern_code copy_notes(const struct tern_lane *lane, struct tern_arena *arena,
                                 uint64_t now_ns, struct tern_schedule *report,
                                 struct tern_err *err)
{
    uint32_t n = lane->n_notes < TERN_LANE_NOTES ? lane->n_notes : TERN_LANE_NOTES;
    struct tern_schedule_decision *rows = tern_arena_zalloc(arena, n + 1, sizeof(*rows));

    if (rows == NULL)
        return tern_arena_fail(arena, err, "the last decisions");
    report->decisions = rows;
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(explain_note(lane, &lane->notes[(lane->n_notes - 1 - i) % TERN_LANE_NOTES], now_ns,
                              arena, &rows[report->n_decisions++], err));
    return TERN_OK;
}

/* ---- all of it ---- */

/* What is planned for, by what was learned last; the first bucket may have learned nothing. */
static uint64_t slo_of(const struct tern_lane *lane, const struct tern_service *service)
{
    const struct tern_policy_view view = {
        .service = service, .slo_ns = lane->scheduling == NULL ? 0 : lane->scheduling->slo_ns};

    return tern_policy_slo_ns(&view);
}

static const struct tern_service *newest_service(const struct tern_lane *lane)
{
    const struct tern_lane_bucket *newest = lane->buckets[0];

    for (uint32_t i = 1; i < lane->n_buckets; i++) {
        if (lane->buckets[i]->used_ns >= newest->used_ns)
            newest = lane->buckets[i];
    }
    return &newest->service;
}

static enum tern_code copy_lane(const struct tern_lane *lane, struct tern_arena *arena,
                                struct tern_schedule *report, struct tern_err *err)
{
    uint64_t now = tern_clock_mono_ns();

    report->slo_ns = slo_of(lane, newest_service(lane));
    report->instances = lane->n_slots;
    report->busy = lane->n_slots - lane->n_idle;
    report->waiting = atomic_load_explicit(&lane->depth, memory_order_relaxed);
    report->runs = lane->n_runs;
    report->requests = lane->n_works_run;
    report->shed = lane->n_shed;
    report->timed_out = lane->n_timed_out;
    report->late = lane->n_late;
    TERN_TRY(copy_notes(lane, arena, now, report, err));
    return lane->inlines == NULL ? copy_buckets(lane, arena, now, report, err) : TERN_OK;
}

enum tern_code tern_sched_report(const struct tern_model_version *version, uint32_t loop,
                                 struct tern_arena *arena, struct tern_schedule *ret_report,
                                 struct tern_err *err)
{
    const struct tern_scheduling *scheduling = version->scheduling;
    struct tern_lane *lane = version->lane;
    const char *place = lane == NULL            ? "graph"
                        : lane->inlines != NULL ? "loop"
                        : lane->threads != NULL ? "threads"
                                                : "lane";

    *ret_report = (struct tern_schedule){
        .name = version->info.name,
        .version = version->info.version,
        .place = tern_str_of(place),
        .batching = batching_name(scheduling),
        .why = version->batches,
        .max_rows = scheduling == NULL || scheduling->batching == TERN_BATCHING_NONE
                        ? 1
                        : scheduling->max_rows,
        .unit = scheduling != NULL && scheduling->max_cost > 0 ? TERN_STR("elements")
                                                               : TERN_STR("rows"),
    };
    if (lane == NULL)
        return TERN_OK;
    pthread_mutex_lock(&lane->sched->executors.lock);
    enum tern_code code = copy_lane(lane, arena, ret_report, err);
    pthread_mutex_unlock(&lane->sched->executors.lock);
    if (lane->inlines != NULL)
        ret_report->slo_ns = slo_of(lane, &lane->inlines[loop].service);
    if (code == TERN_OK && lane->inlines != NULL)
        code = copy_inline(&lane->inlines[loop], arena, ret_report, err);
    return code;
}
