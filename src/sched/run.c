#include "sched/run.h"

#include "registry/reshape.h"

/* A batch of one in memory of its own. */
static enum tern_code run_gathered(struct tern_work *work)
{
    const struct tern_batch_settings settings = {.memory_max = TERN_RUN_MEMORY_MAX};
    struct tern_batch_pool *pool;
    struct tern_batch *batch;

    TERN_TRY(tern_batch_pool_new(&settings, &pool, work->err));
    enum tern_code code = tern_batch_take(pool, &batch, work->err);
    tern_batch_pool_close(pool); /* it stays while the batch is out */
    if (code != TERN_OK)
        return code;
    code = tern_batch_gather(batch, &work, 1, work->err);
    if (code != TERN_OK) {
        tern_batch_give_back(batch);
        return code;
    }
    code = tern_reshape_infer(work->version, work->instance, &batch->run, work->err);
    tern_batch_scatter(batch, code, work->err);
    return work->code;
}

void tern_run_alone(struct tern_work *work)
{
    const struct tern_scheduling *scheduling = work->version->scheduling;

    if (TERN_UNLIKELY(scheduling != NULL && scheduling->gathers))
        work->code = run_gathered(work);
    else
        work->code = tern_reshape_infer(work->version, work->instance, &work->run, work->err);
    work->batch_rows = work->rows;
    work->leads_batch = true;
}

static bool is_wanted(const struct tern_work *work)
{
    return !atomic_load_explicit(&work->cancelled, memory_order_acquire);
}

static void run_each(struct tern_work *const *works, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (is_wanted(works[i]))
            tern_run_alone(works[i]);
        else
            works[i]->code = tern_fail(works[i]->err, TERN_CANCELLED, "the client went away");
    }
}

static void tell(struct tern_work *const *works, uint32_t n, uint64_t rows)
{
    for (uint32_t i = 0; i < n; i++) {
        works[i]->batch_rows = (uint32_t)rows;
        works[i]->leads_batch = i == 0;
    }
}

bool tern_run_batch(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                    const atomic_bool *cancelled)
{
    const struct tern_model_version *version = works[0]->version;
    struct tern_err err;

    if (batch != NULL && tern_batch_gather(batch, works, n, &err) != TERN_OK) {
        tern_batch_give_back(batch);
        batch = NULL;
    }
    if (batch == NULL) {
        run_each(works, n);
        return n == 1;
    }
    if (cancelled != NULL)
        batch->run.cancelled = cancelled;
    uint64_t rows = batch->rows;
    enum tern_code code = tern_reshape_infer(version, works[0]->instance, &batch->run, &err);
    tern_batch_scatter(batch, code, &err);
    tell(works, n, rows);
    if (n == 1 || works[0]->code == TERN_OK || code == TERN_CANCELLED)
        return true;
    run_each(works, n);
    return false;
}

void tern_run_joined(struct tern_work *work)
{
    struct tern_run_joined *joined = work->joined;

    joined->was_one = false;
    for (uint32_t i = 0; i < joined->n; i++)
        joined->works[i]->instance = work->instance;
    if (is_wanted(work)) {
        joined->was_one = tern_run_batch(joined->batch, joined->works, joined->n, &work->cancelled);
    } else {
        for (uint32_t i = 0; i < joined->n; i++)
            joined->works[i]->code =
                tern_fail(joined->works[i]->err, TERN_CANCELLED, "the client went away");
        if (joined->batch != NULL)
            tern_batch_give_back(joined->batch);
    }
    work->code = TERN_OK;
    work->batch_rows = joined->n;
    work->leads_batch = true;
}
