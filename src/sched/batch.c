#include "sched/batch.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"

#define FIRST_SIZE  ((size_t)16 * 1024)
#define INPUT_ALIGN 64

struct tern_batch_member {
    struct tern_work *work;
    uint64_t rows;
};

/* Idle batches are a stack: any thread pushes, one at a time pops. With one popper, the head it saw
 * cannot have left and come back, so a plain compare-and-swap is enough. */
struct tern_batch_pool {
    struct tern_batch_settings settings;
    _Atomic(struct tern_batch *) idle;
    atomic_uint n_idle;
    atomic_uint refs; /* the owner, and each batch that is out */
};

/* ---- the pool ---- */

enum tern_code tern_batch_pool_new(const struct tern_batch_settings *settings,
                                   struct tern_batch_pool **ret_pool, struct tern_err *err)
{
    struct tern_batch_pool *pool = tern_mem_zalloc(1, sizeof(*pool));

    if (pool == NULL)
        return tern_mem_fail(err, "a pool of batches", sizeof(*pool));
    pool->settings = *settings;
    atomic_init(&pool->refs, 1);
    *ret_pool = pool;
    return TERN_OK;
}

static void free_batch(struct tern_batch *batch)
{
    tern_arena_fini(&batch->arena);
    tern_mem_free(batch);
}

static void drop_pool(struct tern_batch_pool *pool)
{
    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    struct tern_batch *batch = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    while (batch != NULL) {
        struct tern_batch *next = batch->next_idle;
        free_batch(batch);
        batch = next;
    }
    tern_mem_free(pool);
}

void tern_batch_pool_close(struct tern_batch_pool *pool)
{
    if (pool != NULL)
        drop_pool(pool);
}

static struct tern_batch *pop_idle(struct tern_batch_pool *pool)
{
    struct tern_batch *batch = atomic_load_explicit(&pool->idle, memory_order_acquire);

    while (batch != NULL &&
           !atomic_compare_exchange_weak_explicit(&pool->idle, &batch, batch->next_idle,
                                                  memory_order_acquire, memory_order_acquire))
        ;
    if (batch != NULL)
        atomic_fetch_sub_explicit(&pool->n_idle, 1, memory_order_relaxed);
    return batch;
}

/* False when enough are idle. */
static bool push_idle(struct tern_batch_pool *pool, struct tern_batch *batch)
{
    if (atomic_fetch_add_explicit(&pool->n_idle, 1, memory_order_relaxed) >=
        pool->settings.idle_max) {
        atomic_fetch_sub_explicit(&pool->n_idle, 1, memory_order_relaxed);
        return false;
    }
    batch->next_idle = atomic_load_explicit(&pool->idle, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(&pool->idle, &batch->next_idle, batch,
                                                  memory_order_release, memory_order_relaxed))
        ;
    return true;
}

enum tern_code tern_batch_take(struct tern_batch_pool *pool, struct tern_batch **ret_batch,
                               struct tern_err *err)
{
    struct tern_batch *batch = pop_idle(pool);

    if (batch == NULL) {
        batch = tern_mem_zalloc(1, sizeof(*batch));
        if (batch == NULL)
            return tern_mem_fail(err, "a batch", sizeof(*batch));
        tern_arena_init(&batch->arena, FIRST_SIZE, pool->settings.memory_max);
        batch->pool = pool;
    }
    atomic_fetch_add_explicit(&pool->refs, 1, memory_order_relaxed);
    *ret_batch = batch;
    return TERN_OK;
}

/* An arena keeps its first chunk only, and starts with no more than a megabyte by itself: one that
 * was too small for a batch is replaced here, so that the next batch of this size fits into it. */
static void empty(struct tern_batch *batch)
{
    struct tern_arena *arena = &batch->arena;
    size_t used = arena->used, size = arena->first_size;
    size_t keep_max = batch->pool->settings.keep_max;

    if (keep_max > arena->max)
        keep_max = arena->max;
    batch->run = (struct tern_engine_run){.n_inputs = 0};
    batch->rows = batch->n_works = 0;
    tern_arena_reset(arena);
    while (size / 2 < used && size <= keep_max / 2)
        size *= 2; /* twice what was handed out: alignment takes its part */
    if (size == arena->first_size)
        return;
    tern_arena_release(arena);
    arena->first_size = size;
    /* Without memory the next batch finds out. */
    (void)!tern_arena_alloc(arena, 1, size - INPUT_ALIGN);
    tern_arena_reset(arena);
}

void tern_batch_give_back(struct tern_batch *batch)
{
    struct tern_batch_pool *pool = batch->pool;

    empty(batch);
    if (!push_idle(pool, batch))
        free_batch(batch);
    drop_pool(pool);
}

/* An arena's cleanup. */
static void drop(void *arg)
{
    struct tern_batch *batch = arg;

    if (atomic_fetch_sub_explicit(&batch->refs, 1, memory_order_acq_rel) == 1)
        tern_batch_give_back(batch);
}

/* ---- gather ---- */

/* Where `wanted` stands in spec, or n; mostly where it stands in the first work. */
static uint32_t place_of(const uint32_t *spec, uint32_t n, uint32_t wanted, uint32_t guess)
{
    uint32_t i = 0;

    if (guess < n && spec[guess] == wanted)
        return guess;
    while (i < n && spec[i] != wanted)
        i++;
    return i;
}

static const struct tern_tensor *input_of(const struct tern_batch_member *member, uint32_t wanted,
                                          uint32_t guess)
{
    const struct tern_engine_run *run = &member->work->run;
    uint32_t i = place_of(run->input_spec, run->n_inputs, wanted, guess);

    return i < run->n_inputs ? &run->inputs[i] : NULL;
}

static struct tern_tensor *output_of(const struct tern_batch_member *member, uint32_t wanted,
                                     uint32_t guess)
{
    const struct tern_engine_run *run = &member->work->run;
    uint32_t i = place_of(run->output_spec, run->n_outputs, wanted, guess);

    return i < run->n_outputs ? &run->outputs[i] : NULL;
}

static enum tern_code count_rows(struct tern_batch *batch, struct tern_work *work,
                                 struct tern_batch_member *member, struct tern_err *err)
{
    const struct tern_engine_run *run = &work->run;
    char text[160];
    size_t rows;

    if (run->sink != NULL)
        return tern_fail(err, TERN_INTERNAL, "a run that answers many times cannot be batched");
    if (run->n_inputs == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a request without inputs has no rows");
    const struct tern_tensor *input = &run->inputs[0];
    if (input->shape.rank == 0 || input->shape.dim[0] <= 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' has shape %s: a request in a batch has at least one row",
                         TERN_STR_ARG(input->name),
                         tern_shape_print(&input->shape, text, sizeof(text)));
    *member = (struct tern_batch_member){work, (uint64_t)input->shape.dim[0]};
    if (tern_num_add(batch->rows, member->rows, &rows) || rows > INT64_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s': too many rows in one batch",
                         TERN_STR_ARG(input->name));
    batch->rows = rows;
    return TERN_OK;
}

/* The same set of tensors is wanted as the first work wants. */
static enum tern_code check_outputs(const struct tern_batch *batch,
                                    const struct tern_batch_member *member, struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;

    if (member->work->run.n_inputs != first->n_inputs ||
        member->work->run.n_outputs != first->n_outputs)
        return tern_fail(err, TERN_INTERNAL,
                         "requests with %u inputs and %u outputs, and with %u and %u, do not go "
                         "into one batch",
                         first->n_inputs, first->n_outputs, member->work->run.n_inputs,
                         member->work->run.n_outputs);
    assert(first->n_outputs == 0 || first->outputs != NULL);
    for (uint32_t i = 0; i < first->n_outputs; i++) {
        const struct tern_tensor *output =
            output_of(member, first->output_spec[i], first->n_outputs);
        if (output != NULL && output_of(member, first->output_spec[i], i) != output)
            return tern_fail(err, TERN_INTERNAL, "output '%.*s' is wanted twice",
                             TERN_STR_ARG(first->outputs[i].name));
        if (output == NULL)
            return tern_fail(err, TERN_INTERNAL,
                             "output '%.*s' is not wanted by all requests of the batch",
                             TERN_STR_ARG(first->outputs[i].name));
    }
    return TERN_OK;
}

static enum tern_code check_input(const struct tern_tensor *first, const struct tern_tensor *input,
                                  uint64_t rows, struct tern_err *err)
{
    struct tern_shape want = first->shape;
    char got[160], wanted[160];

    if (input == NULL)
        return tern_fail(err, TERN_INTERNAL, "input '%.*s' is not in all requests of the batch",
                         TERN_STR_ARG(first->name));
    if (want.rank > 0)
        want.dim[0] = (int64_t)rows;
    if (want.rank == 0 || input->dtype != first->dtype || !tern_shape_eq(&want, &input->shape))
        return tern_fail(err, TERN_INTERNAL,
                         "input '%.*s' is %s of shape %s, but its batch needs %s of shape %s",
                         TERN_STR_ARG(first->name), tern_dtype_name(input->dtype),
                         tern_shape_print(&input->shape, got, sizeof(got)),
                         tern_dtype_name(first->dtype),
                         tern_shape_print(&want, wanted, sizeof(wanted)));
    return TERN_OK;
}

/* One input of all works, in one piece. */
static enum tern_code join_input(struct tern_batch *batch, uint32_t i, struct tern_tensor *joined,
                                 struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    uint32_t spec = first->input_spec[i];
    size_t n_bytes = 0;

    *joined = first->inputs[i];
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_tensor *input = input_of(&batch->members[k], spec, i);
        TERN_TRY(check_input(&first->inputs[i], input, batch->members[k].rows, err));
        if (tern_num_add(n_bytes, input->n_bytes, &n_bytes))
            return tern_arena_fail(&batch->arena, err, "the inputs of a batch");
    }
    char *at = tern_arena_alloc(&batch->arena, INPUT_ALIGN, n_bytes);
    if (at == NULL)
        return tern_arena_fail(&batch->arena, err, "the inputs of a batch");
    joined->data = at;
    joined->n_bytes = n_bytes;
    joined->shape.dim[0] = (int64_t)batch->rows;
    joined->region = NULL;
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_tensor *input = input_of(&batch->members[k], spec, i);
        if (input->n_bytes > 0)
            memcpy(at, input->data, input->n_bytes);
        at += input->n_bytes;
    }
    return TERN_OK;
}

static enum tern_code join(struct tern_batch *batch, struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    struct tern_arena *arena = &batch->arena;
    struct tern_tensor *inputs = tern_arena_zalloc(arena, first->n_inputs, sizeof(*inputs));
    struct tern_tensor *outputs = tern_arena_zalloc(arena, first->n_outputs, sizeof(*outputs));

    if (inputs == NULL || outputs == NULL)
        return tern_arena_fail(arena, err, "the tensors of a batch");
    for (uint32_t k = 0; k < batch->n_works; k++)
        TERN_TRY(check_outputs(batch, &batch->members[k], err));
    for (uint32_t i = 0; i < first->n_inputs; i++)
        TERN_TRY(join_input(batch, i, &inputs[i], err));
    for (uint32_t i = 0; i < first->n_outputs; i++)
        outputs[i].name = first->outputs[i].name;
    atomic_init(&batch->cancelled, false);
    batch->run = *first;
    batch->run.inputs = inputs;
    batch->run.outputs = outputs;
    batch->run.arena = arena;
    batch->run.cancelled = &batch->cancelled;
    return TERN_OK;
}

static enum tern_code gather(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                             struct tern_err *err)
{
    batch->members = tern_arena_zalloc(&batch->arena, n, sizeof(*batch->members));
    if (batch->members == NULL)
        return tern_arena_fail(&batch->arena, err, "the requests of a batch");
    batch->n_works = n;
    if (n == 1) {
        const struct tern_engine_run *run = &works[0]->run;
        batch->run = *run;
        batch->rows = run->n_inputs > 0 && run->inputs[0].shape.rank > 0
                          ? (uint64_t)run->inputs[0].shape.dim[0]
                          : 1;
        batch->members[0] = (struct tern_batch_member){works[0], batch->rows};
        return TERN_OK;
    }
    for (uint32_t k = 0; k < n; k++)
        TERN_TRY(count_rows(batch, works[k], &batch->members[k], err));
    return join(batch, err);
}

enum tern_code tern_batch_gather(struct tern_batch *batch, struct tern_work *const *works,
                                 uint32_t n, struct tern_err *err)
{
    enum tern_code code = gather(batch, works, n, err);

    if (code != TERN_OK)
        empty(batch);
    return code;
}

/* ---- scatter ---- */

static enum tern_code check_output(const struct tern_batch *batch, const struct tern_tensor *output,
                                   struct tern_err *err)
{
    const struct tern_shape *shape = &output->shape;
    char text[160];
    size_t n_bytes;

    if (shape->rank == 0 || shape->dim[0] < 0 || (uint64_t)shape->dim[0] != batch->rows)
        return tern_fail(err, TERN_INTERNAL,
                         "output '%.*s' has shape %s after a batch of %" PRIu64
                         " rows: its first dimension must be the number of rows",
                         TERN_STR_ARG(output->name), tern_shape_print(shape, text, sizeof(text)),
                         batch->rows);
    if (output->dtype == TERN_DTYPE_BYTES)
        return TERN_OK; /* the walk tells */
    if (tern_shape_bytes(output->name, output->dtype, shape, &n_bytes, err) != TERN_OK ||
        n_bytes != output->n_bytes)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has %zu bytes, not those of %s %s",
                         TERN_STR_ARG(output->name), output->n_bytes,
                         tern_dtype_name(output->dtype),
                         tern_shape_print(shape, text, sizeof(text)));
    return TERN_OK;
}

/* Bytes of the `rows` that start at `at`. */
static enum tern_code measure(const struct tern_batch *batch, const struct tern_tensor *output,
                              size_t at, uint64_t rows, size_t *ret_bytes, struct tern_err *err)
{
    size_t end = at, count;
    struct tern_str element;

    if (output->dtype != TERN_DTYPE_BYTES) {
        *ret_bytes = (size_t)(output->n_bytes / batch->rows * rows);
        return TERN_OK;
    }
    bool is_whole = tern_shape_count(&output->shape, &count);
    for (size_t left = is_whole ? count / batch->rows * rows : 0; is_whole && left > 0; left--)
        is_whole = tern_tensor_next_bytes(output, &end, &element);
    if (!is_whole)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has fewer strings than its shape says",
                         TERN_STR_ARG(output->name));
    *ret_bytes = end - at;
    return TERN_OK;
}

static enum tern_code slice(const struct tern_batch *batch, uint32_t i, struct tern_err *err)
{
    const struct tern_tensor *output = &batch->run.outputs[i];
    size_t at = 0, n_bytes = 0;

    TERN_TRY(check_output(batch, output, err));
    for (uint32_t k = 0; k < batch->n_works; k++, at += n_bytes) {
        const struct tern_batch_member *member = &batch->members[k];
        struct tern_tensor *part = output_of(member, batch->run.output_spec[i], i);
        TERN_TRY(measure(batch, output, at, member->rows, &n_bytes, err));
        part->dtype = output->dtype;
        part->shape = output->shape;
        part->shape.dim[0] = (int64_t)member->rows;
        part->data = n_bytes > 0 ? (char *)output->data + at : output->data;
        part->n_bytes = n_bytes;
    }
    if (at != output->n_bytes)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has more strings than its shape says",
                         TERN_STR_ARG(output->name));
    return TERN_OK;
}

static enum tern_code slice_all(const struct tern_batch *batch, struct tern_err *err)
{
    for (uint32_t i = 0; i < batch->run.n_outputs; i++)
        TERN_TRY(slice(batch, i, err));
    return TERN_OK;
}

static void settle(const struct tern_batch *batch, enum tern_code code, const struct tern_err *err)
{
    for (uint32_t k = 0; k < batch->n_works; k++) {
        struct tern_work *work = batch->members[k].work;
        work->code = code;
        if (code != TERN_OK && work->err != NULL && work->err != err)
            *work->err = *err;
    }
}

void tern_batch_scatter(struct tern_batch *batch, enum tern_code code, const struct tern_err *err)
{
    struct tern_err slicing;

    if (code == TERN_OK && batch->n_works > 1) {
        code = slice_all(batch, &slicing);
        err = &slicing;
    }
    settle(batch, code, err);
    /* One for this function: the arenas may be reset as soon as the last work has its outputs. */
    atomic_store_explicit(&batch->refs, 1, memory_order_relaxed);
    for (uint32_t k = 0; code == TERN_OK && batch->n_works > 1 && k < batch->n_works; k++) {
        struct tern_work *work = batch->members[k].work;
        work->code = tern_arena_on_reset(work->run.arena, drop, batch, work->err);
        if (work->code == TERN_OK)
            atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    }
    drop(batch);
}
