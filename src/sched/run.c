#include "sched/run.h"

#include <string.h>
#include "core/inputs.h"
#include "registry/reshape.h"
#include "registry/seen.h"

/* A batch in memory of its own. */
static enum tern_code new_batch(struct tern_batch **ret_batch, struct tern_err *err)
{
    const struct tern_batch_settings settings = {.memory_max = TERN_RUN_MEMORY_MAX};
    struct tern_batch_pool *pool;

    TERN_TRY(tern_batch_pool_new(&settings, &pool, err));
    enum tern_code code = tern_batch_take(pool, ret_batch, err);
    tern_batch_pool_close(pool); /* it stays while the batch is out */
    return code;
}

static enum tern_code run_gathered(struct tern_work *work)
{
    struct tern_batch *batch;

    TERN_TRY(new_batch(&batch, work->err));
    enum tern_code code = tern_batch_gather(batch, &work, 1, work->err);
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

    if (TERN_UNLIKELY(work->task_run != NULL)) {
        work->code = work->task_run(work);
        return; /* no run that says how long runs take */
    }
    if (TERN_UNLIKELY(scheduling != NULL && scheduling->gathers))
        work->code = run_gathered(work);
    else
        work->code = tern_reshape_infer(work->version, work->instance, &work->run, work->err);
    work->batch_rows = work->rows;
    work->leads_batch = true;
}

enum tern_code tern_run_asked(struct tern_model_version *version, void *instance,
                              const struct tern_engine_run *run, struct tern_err *err)
{
    uint32_t *specs = tern_arena_zalloc(run->arena, run->n_inputs + run->n_outputs, sizeof(*specs));
    struct tern_work work = {.version = version, .instance = instance, .run = *run, .err = err};

    if (specs == NULL)
        return tern_arena_fail(run->arena, err, "a run");
    memcpy(specs, run->input_spec, run->n_inputs * sizeof(*specs));
    memcpy(specs + run->n_inputs, run->output_spec, run->n_outputs * sizeof(*specs));
    tern_seen_to_engine(version->input_at, specs, run->n_inputs);
    tern_seen_to_engine(version->output_at, specs + run->n_inputs, run->n_outputs);
    work.run.input_spec = specs;
    work.run.output_spec = specs + run->n_inputs;
    work.rows = tern_inputs_rows(&version->info, run->inputs, run->n_inputs);
    tern_run_alone(&work);
    return work.code;
}

static bool is_wanted(const struct tern_work *work)
{
    return !atomic_load_explicit(&work->cancelled, memory_order_acquire);
}

static void run_one(struct tern_work *work)
{
    if (is_wanted(work))
        tern_run_alone(work);
    else
        work->code = tern_fail(work->err, TERN_CANCELLED, "the client went away");
}

static void tell(struct tern_work *const *works, uint32_t n, uint64_t rows)
{
    for (uint32_t i = 0; i < n; i++) {
        works[i]->batch_rows = (uint32_t)rows;
        works[i]->leads_batch = i == 0;
    }
}

/* False: they do not run together; the batch is used up all the same. */
static bool run_together(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                         const atomic_bool *cancelled)
{
    struct tern_err err;

    if (tern_batch_gather(batch, works, n, &err) != TERN_OK) {
        tern_batch_give_back(batch);
        return false;
    }
    if (cancelled != NULL)
        batch->run.cancelled = cancelled;
    uint64_t rows = batch->rows;
    enum tern_code code =
        tern_reshape_infer(works[0]->version, works[0]->instance, &batch->run, &err);
    tern_batch_scatter(batch, code, &err);
    tell(works, n, rows);
    return n == 1 || works[0]->code == TERN_OK || code == TERN_CANCELLED;
}

/* False: the engine refuses it, or one of them. */
static bool run_part(struct tern_work *const *works, uint32_t n, const atomic_bool *cancelled)
{
    struct tern_batch *batch;
    struct tern_err err;

    if (n > 1)
        return new_batch(&batch, &err) == TERN_OK && run_together(batch, works, n, cancelled);
    run_one(works[0]);
    return works[0]->code == TERN_OK || works[0]->code == TERN_CANCELLED;
}

/* Works that did not run together. Mostly it is one that the engine refuses: it is looked for by
 * halves, and from there on the parts grow again, so that whoever sends such requests does not take
 * the batches from all others. When there are many of them, this is hardly more than one by one. */
static void run_parts(struct tern_work *const *works, uint32_t n, const atomic_bool *cancelled)
{
    uint32_t at = 0, bad = n, size = 1; /* of the next `bad` works at least one is refused */

    while (at < n) {
        uint32_t part = bad > 1 ? bad / 2 : bad == 1 ? 1 : size;
        part = part < n - at ? part : n - at;
        bool ran = run_part(works + at, part, cancelled);
        if (!ran && part > 1) {
            bad = part;
            continue;
        }
        at += part;
        bad = ran && bad > part ? bad - part : 0;
        size = ran ? part * 2 : 1;
    }
}

bool tern_run_batch(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                    const atomic_bool *cancelled)
{
    for (uint32_t i = 0; batch == NULL && i < n; i++)
        run_one(works[i]);
    if (batch == NULL)
        return n == 1;
    if (run_together(batch, works, n, cancelled))
        return true;
    run_parts(works, n, cancelled);
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
