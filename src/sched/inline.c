#include "sched/inline.h"

#include <string.h>
#include "base/clock.h"
#include "sched/batch_bucket.h"
#include "sched/run.h"

#define KEEP_MAX ((size_t)1 << 20)

/* ---- one by one ---- */

/* started_ns is set. */
static void run_alone(struct tern_inline *self, struct tern_work *work)
{
    work->instance = self->instance;
    work->state = TERN_WORK_RUNNING;
    tern_run_alone(work);
    work->finished_ns = tern_clock_mono_ns();
    tern_inline_learn(self, work);
}

static void answer(struct tern_work *work)
{
    work->state = TERN_WORK_DONE;
    work->in_round = false;
    work->on_done(work);
}

void tern_inline_learn(struct tern_inline *self, const struct tern_work *work)
{
    uint64_t took_ns = work->finished_ns - work->started_ns;

    if (work->code != TERN_OK || work->run.sink != NULL || work->batch_rows != work->rows)
        return;
    tern_rate_learn(&self->rate, took_ns, work->units);
    if (self->max_rows > 1)
        tern_service_learn(&self->service, work->rows, took_ns);
}

/* ---- by rounds ---- */

static struct tern_work *first_of(const struct tern_list *round)
{
    return TERN_CONTAINER_OF(round->next, struct tern_work, link);
}

/* The first works of the round that can be one run on a loop. */
static uint32_t take_batch(struct tern_inline *self)
{
    struct tern_work **works = self->works;
    uint32_t rows = 0, n = 0;
    uint32_t most = tern_service_rows_within(&self->service, self->most_ns, self->max_rows);

    while (n < TERN_INLINE_WORKS_MAX && !tern_list_is_empty(&self->round)) {
        struct tern_work *work = first_of(&self->round);
        if (n > 0 && (work->item.bucket != works[0]->item.bucket || work->rows > most ||
                      rows > most - work->rows))
            break;
        tern_list_remove(&work->link);
        rows += work->rows;
        works[n++] = work;
    }
    return n;
}

static void run_several(struct tern_inline *self, struct tern_work *const *works, uint32_t n)
{
    struct tern_batch *batch = NULL;
    struct tern_err err;
    uint64_t started_ns = tern_clock_mono_ns();
    uint32_t rows = 0;

    if (tern_batch_take(self->pool, &batch, &err) != TERN_OK)
        batch = NULL; /* one by one, then */
    for (uint32_t i = 0; i < n; i++) {
        works[i]->instance = self->instance;
        works[i]->started_ns = started_ns;
        works[i]->state = TERN_WORK_RUNNING;
        rows += works[i]->rows;
    }
    bool was_one = tern_run_batch(batch, works, n, NULL);
    uint64_t finished_ns = tern_clock_mono_ns();
    if (was_one && works[0]->code == TERN_OK)
        tern_service_learn(&self->service, rows, finished_ns - started_ns);
    for (uint32_t i = 0; i < n; i++)
        works[i]->finished_ns = finished_ns;
}

static void drop_cancelled(struct tern_inline *self, struct tern_list *done)
{
    struct tern_list *link = self->round.next;

    while (link != &self->round) {
        struct tern_work *work = TERN_CONTAINER_OF(link, struct tern_work, link);
        link = link->next;
        if (!atomic_load_explicit(&work->cancelled, memory_order_relaxed))
            continue;
        work->code = tern_fail(work->err, TERN_CANCELLED, "the client went away");
        tern_list_remove(&work->link);
        tern_list_append(done, &work->link);
    }
}

/* Answers come last: with the final one the version, and this, may go. */
static void on_end_of_round(struct tern_loop_task *task)
{
    struct tern_inline *self = TERN_CONTAINER_OF(task, struct tern_inline, end_of_round);
    struct tern_work **works = self->works;
    struct tern_list done, *link;

    tern_list_init(&done);
    drop_cancelled(self, &done);
    while (!tern_list_is_empty(&self->round)) {
        uint32_t n = take_batch(self);
        if (n > 1) {
            run_several(self, works, n);
        } else {
            works[0]->started_ns = tern_clock_mono_ns();
            run_alone(self, works[0]);
        }
        for (uint32_t i = 0; i < n; i++)
            tern_list_append(&done, &works[i]->link);
    }
    self->is_deferred = false;
    while ((link = tern_list_pop(&done)) != NULL)
        answer(TERN_CONTAINER_OF(link, struct tern_work, link));
}

static bool waits_for_others(const struct tern_inline *self, struct tern_work *work)
{
    if (self->max_rows == 1 || work->rows >= self->max_rows || !tern_service_gains(&self->service))
        return false;
    work->item.bucket = tern_batch_bucket(work->version, &work->run);
    return work->item.bucket != 0;
}

bool tern_inline_submit(struct tern_inline *self, struct tern_work *work)
{
    if (work->run.sink != NULL || tern_rate_predict_ns(&self->rate, work->units) > self->most_ns) {
        tern_rate_fade(&self->rate);
        return false;
    }
    if (waits_for_others(self, work)) {
        work->in_round = true;
        tern_list_append(&self->round, &work->link);
        if (!self->is_deferred)
            tern_loop_defer(work->loop, &self->end_of_round);
        self->is_deferred = true;
        return true;
    }
    work->started_ns = work->queued_ns; /* the clock is not free */
    run_alone(self, work);
    answer(work);
    return true;
}

/* ---- life ---- */

enum tern_code tern_inline_init(struct tern_inline *self, struct tern_model_version *version,
                                void *instance, uint64_t most_ns, struct tern_err *err)
{
    const struct tern_scheduling *scheduling = version->scheduling;
    const struct tern_batch_settings settings = {
        .memory_max = TERN_RUN_MEMORY_MAX, .keep_max = KEEP_MAX, .idle_max = 4};

    memset(self, 0, sizeof(*self));
    self->version = version;
    self->instance = instance;
    self->most_ns = most_ns;
    self->max_rows = 1;
    self->end_of_round.run = on_end_of_round;
    tern_list_init(&self->round);
    tern_rate_init(&self->rate, version->run_ns, version->warm_units);
    tern_service_init(&self->service, 1, version->run_ns > 0 ? version->run_ns : 1);
    if (scheduling == NULL || scheduling->batching == TERN_BATCHING_NONE ||
        scheduling->max_rows <= 1)
        return TERN_OK;
    self->max_rows = scheduling->max_rows;
    return tern_batch_pool_new(&settings, &self->pool, err);
}

void tern_inline_fini(struct tern_inline *self)
{
    tern_batch_pool_close(self->pool);
}
