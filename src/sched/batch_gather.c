/* The inputs of several works become those of one run. */
#include <assert.h>
#include <string.h>
#include "base/account.h"
#include "base/num.h"
#include "registry/batch_input.h"
#include "sched/batch_int.h"

/* ---- what belongs together ---- */

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

const struct tern_tensor *batch_input_of(const struct tern_batch_member *member, uint32_t wanted,
                                         uint32_t guess)
{
    const struct tern_engine_run *run = &member->work->run;
    uint32_t i = place_of(run->input_spec, run->n_inputs, wanted, guess);

    return i < run->n_inputs ? &run->inputs[i] : NULL;
}

struct tern_tensor *batch_output_of(const struct tern_batch_member *member, uint32_t wanted,
                                    uint32_t guess)
{
    const struct tern_engine_run *run = &member->work->run;
    uint32_t i = place_of(run->output_spec, run->n_outputs, wanted, guess);

    return i < run->n_outputs ? &run->outputs[i] : NULL;
}

static const struct tern_scheduling *scheduling_of(const struct tern_batch *batch)
{
    return batch->members[0].work->version->scheduling;
}

static bool is_ragged(const struct tern_batch *batch, uint32_t spec)
{
    const struct tern_scheduling *scheduling = scheduling_of(batch);

    return scheduling != NULL && scheduling->ragged != NULL && scheduling->ragged[spec];
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

/* The allowed size that holds the rows; none is large enough, or there are none: the rows. */
static uint64_t allowed_rows(const struct tern_scheduling *scheduling, uint64_t rows)
{
    if (scheduling == NULL || !scheduling->gathers || tern_scheduling_regroups(scheduling))
        return rows;
    for (uint32_t i = 0; i < scheduling->n_allowed; i++) {
        if (scheduling->allowed[i] >= rows)
            return scheduling->allowed[i];
    }
    return rows;
}

static uint64_t bits_of(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static bool same_param(const struct tern_param *a, const struct tern_param *b)
{
    if (!tern_str_eq(a->key, b->key) || a->kind != b->kind)
        return false;
    switch (a->kind) {
    case TERN_PARAM_BOOL:
        return a->boolean == b->boolean;
    case TERN_PARAM_INT64:
        return a->int64 == b->int64;
    case TERN_PARAM_UINT64:
        return a->uint64 == b->uint64;
    case TERN_PARAM_DOUBLE:
        return bits_of(a->real) == bits_of(b->real);
    case TERN_PARAM_STRING:
        return tern_str_eq(a->string, b->string);
    }
    return false;
}

/* The same parameters in the same order, where the engine reads them. */
static bool same_params(const struct tern_batch *batch, const struct tern_batch_member *member)
{
    const struct tern_work *first = batch->members[0].work;
    const struct tern_params *a = first->run.params, *b = member->work->run.params;
    uint32_t n = a != NULL ? a->n : 0;

    if (a == b || !first->version->engine.ops->reads_params)
        return true;
    if (n != (b != NULL ? b->n : 0))
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (!same_param(&a->rows[i], &b->rows[i]))
            return false;
    }
    return true;
}

/* It has as many inputs as the first work, parameters that go with its, and wants nothing twice. */
static enum tern_code check_member(const struct tern_batch *batch,
                                   const struct tern_batch_member *member, struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run, *run = &member->work->run;

    if (run->n_inputs != first->n_inputs)
        return tern_fail(err, TERN_INTERNAL,
                         "requests with %u inputs, and with %u, do not go into one batch",
                         first->n_inputs, run->n_inputs);
    if (!same_params(batch, member))
        return tern_fail(err, TERN_INTERNAL,
                         "requests with different parameters do not go into one batch");
    assert(run->n_outputs == 0 || run->outputs != NULL);
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        if (batch_output_of(member, run->output_spec[i], run->n_outputs) != &run->outputs[i])
            return tern_fail(err, TERN_INTERNAL, "output '%.*s' is wanted twice",
                             TERN_STR_ARG(run->outputs[i].name));
    }
    return TERN_OK;
}

/* ---- what any of them wants ---- */

/* Mostly all want the same, and then in the same order. */
static uint32_t count_outputs(const struct tern_batch *batch, bool *ret_same)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    uint32_t n = first->n_outputs;

    *ret_same = true;
    for (uint32_t k = 1; k < batch->n_works; k++) {
        const struct tern_engine_run *run = &batch->members[k].work->run;
        for (uint32_t i = 0; i < run->n_outputs; i++) {
            if (place_of(first->output_spec, first->n_outputs, run->output_spec[i], i) <
                first->n_outputs)
                continue;
            *ret_same = false;
            n++;
        }
    }
    return n;
}

static enum tern_code join_outputs(struct tern_batch *batch, struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    bool is_same;
    uint32_t room = count_outputs(batch, &is_same), n = 0;
    struct tern_tensor *outputs = tern_arena_zalloc(&batch->arena, room, sizeof(*outputs));
    uint32_t *spec = is_same ? NULL : tern_arena_zalloc(&batch->arena, room, sizeof(*spec));

    if (outputs == NULL || (!is_same && spec == NULL))
        return tern_arena_fail(&batch->arena, err, "the tensors of a batch");
    for (; n < first->n_outputs; n++) {
        outputs[n].name = first->outputs[n].name;
        if (!is_same)
            spec[n] = first->output_spec[n];
    }
    for (uint32_t k = 1; k < batch->n_works && !is_same; k++) {
        const struct tern_engine_run *run = &batch->members[k].work->run;
        for (uint32_t i = 0; i < run->n_outputs; i++) {
            if (place_of(spec, n, run->output_spec[i], i) < n)
                continue;
            outputs[n].name = run->outputs[i].name;
            spec[n++] = run->output_spec[i];
        }
    }
    batch->run.outputs = outputs;
    batch->run.n_outputs = n;
    if (!is_same)
        batch->run.output_spec = spec;
    return TERN_OK;
}

/* ---- one input of all works, in one piece ---- */

static enum tern_code check_input(const struct tern_tensor *first, const struct tern_tensor *input,
                                  uint64_t rows, bool is_ragged, struct tern_err *err)
{
    struct tern_shape want = first->shape;
    char got[160], wanted[160];

    if (input == NULL)
        return tern_fail(err, TERN_INTERNAL, "input '%.*s' is not in all requests of the batch",
                         TERN_STR_ARG(first->name));
    if (is_ragged && want.rank == input->shape.rank)
        want = input->shape;
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

/* The bytes of the last of its rows. */
static struct tern_str last_row(const struct tern_tensor *input)
{
    size_t rows = (size_t)input->shape.dim[0], at = input->n_bytes / rows * (rows - 1), count;
    struct tern_str element;

    if (input->dtype == TERN_DTYPE_BYTES && tern_shape_count(&input->shape, &count)) {
        at = 0;
        for (size_t i = 0; i < count / rows * (rows - 1); i++) {
            if (!tern_tensor_next_bytes(input, &at, &element))
                break; /* the engine will say so too */
        }
    }
    return tern_str_make((const char *)input->data + at, input->n_bytes - at);
}

static enum tern_code fail_room(struct tern_batch *batch, struct tern_err *err)
{
    return tern_arena_fail(&batch->arena, err, "the inputs of a batch");
}

static char *put(char *at, const void *bytes, size_t n)
{
    if (n > 0)
        memcpy(at, bytes, n);
    return at + n;
}

static enum tern_code copy_input(struct tern_batch *batch, uint32_t i, struct tern_tensor *joined,
                                 struct tern_err *err)
{
    uint32_t spec = batch->members[0].work->run.input_spec[i];
    const struct tern_tensor *last = batch_input_of(&batch->members[batch->n_works - 1], spec, i);
    uint64_t more = batch->run_rows - batch->rows;
    struct tern_str row = more > 0 ? last_row(last) : TERN_STR("");
    size_t room;

    if (tern_num_mul(row.n, (size_t)more, &room) ||
        tern_num_add(room, joined->n_bytes, &joined->n_bytes))
        return fail_room(batch, err);
    char *at = tern_arena_alloc(&batch->arena, BATCH_ALIGN, joined->n_bytes);
    if (at == NULL)
        return fail_room(batch, err);
    joined->data = at;
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_tensor *input = batch_input_of(&batch->members[k], spec, i);
        at = put(at, input->data, input->n_bytes);
    }
    while (more-- > 0)
        at = put(at, row.p, row.n);
    return TERN_OK;
}

static enum tern_code join_input(struct tern_batch *batch, uint32_t i, struct tern_tensor *joined,
                                 struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    uint32_t spec = first->input_spec[i];
    bool ragged = is_ragged(batch, spec);
    size_t n_bytes = 0, elements = 0, count;

    *joined = first->inputs[i];
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_tensor *input = batch_input_of(&batch->members[k], spec, i);
        TERN_TRY(check_input(&first->inputs[i], input, batch->members[k].rows, ragged, err));
        if (tern_num_add(n_bytes, input->n_bytes, &n_bytes))
            return fail_room(batch, err);
        if (ragged &&
            (!tern_shape_count(&input->shape, &count) || tern_num_add(elements, count, &elements)))
            return fail_room(batch, err);
    }
    joined->n_bytes = n_bytes;
    joined->region = NULL;
    joined->shape.dim[0] = (int64_t)batch->run_rows;
    if (ragged)
        joined->shape = (struct tern_shape){1, {(int64_t)elements}};
    if (batch->n_works == 1 && batch->run_rows == batch->rows)
        return TERN_OK; /* in one piece already */
    return copy_input(batch, i, joined, err);
}

/* ---- the whole ---- */

/* An input that is made from the shapes of another one. */
static enum tern_code make_input(struct tern_batch *batch, const struct tern_batch_input *row,
                                 struct tern_tensor *made, struct tern_err *err)
{
    const struct tern_tensor_spec *specs = batch->members[0].work->version->engine.inputs;
    const struct tern_shape **shapes =
        tern_arena_zalloc(&batch->arena, batch->n_works, sizeof(struct tern_shape *));

    if (shapes == NULL)
        return fail_room(batch, err);
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_tensor *source = batch_input_of(&batch->members[k], row->source, 0);
        if (source == NULL)
            return tern_fail(
                err, TERN_INVALID_ARGUMENT, "input '%.*s' is missing: input '%.*s' is made from it",
                TERN_STR_ARG(specs[row->source].name), TERN_STR_ARG(specs[row->input].name));
        shapes[k] = &source->shape;
    }
    return tern_batch_input_make(row, specs[row->input].name, shapes, batch->n_works, &batch->arena,
                                 made, err);
}

/* Behind those of the requests. */
static enum tern_code make_inputs(struct tern_batch *batch,
                                  const struct tern_scheduling *scheduling,
                                  struct tern_tensor *inputs, struct tern_err *err)
{
    const struct tern_engine_run *first = &batch->members[0].work->run;
    uint32_t n = first->n_inputs;
    uint32_t *spec = tern_arena_zalloc(&batch->arena, batch->run.n_inputs, sizeof(*spec));

    if (spec == NULL)
        return fail_room(batch, err);
    memcpy(spec, first->input_spec, n * sizeof(*spec));
    for (uint32_t i = 0; i < scheduling->n_batch_inputs; i++) {
        spec[n + i] = scheduling->batch_inputs[i].input;
        TERN_TRY(make_input(batch, &scheduling->batch_inputs[i], &inputs[n + i], err));
    }
    batch->run.input_spec = spec;
    return TERN_OK;
}

/* A row each; those that fill up a batch are nobody's. */
static enum tern_code join_again(struct tern_batch *batch, struct tern_err *err)
{
    struct tern_engine_again *rows;
    uint64_t at = 0;

    if (batch->run.again == NULL)
        return TERN_OK;
    rows = tern_arena_zalloc(&batch->arena, batch->run_rows, sizeof(*rows));
    if (rows == NULL)
        return fail_room(batch, err);
    for (uint32_t k = 0; k < batch->n_works; k++) {
        const struct tern_batch_member *member = &batch->members[k];
        memcpy(rows + at, member->work->run.again, member->rows * sizeof(*rows));
        at += member->rows;
    }
    batch->run.again = rows;
    return TERN_OK;
}

static enum tern_code join(struct tern_batch *batch, struct tern_err *err)
{
    const struct tern_scheduling *scheduling = scheduling_of(batch);
    const struct tern_engine_run *first = &batch->members[0].work->run;
    struct tern_arena *arena = &batch->arena;
    uint32_t made = scheduling != NULL ? scheduling->n_batch_inputs : 0;
    uint32_t n_inputs = first->n_inputs + made;
    struct tern_tensor *inputs = tern_arena_zalloc(arena, n_inputs, sizeof(*inputs));

    if (inputs == NULL)
        return tern_arena_fail(arena, err, "the tensors of a batch");
    for (uint32_t k = 0; k < batch->n_works; k++)
        TERN_TRY(check_member(batch, &batch->members[k], err));
    for (uint32_t i = 0; i < first->n_inputs; i++)
        TERN_TRY(join_input(batch, i, &inputs[i], err));
    batch->run = *first;
    batch->run.inputs = inputs;
    batch->run.n_inputs = n_inputs;
    batch->run.arena = arena;
    TERN_TRY(join_outputs(batch, err));
    batch->is_joined = true;
    TERN_TRY(join_again(batch, err));
    if (batch->n_works > 1) {
        atomic_init(&batch->cancelled, false);
        batch->run.cancelled = &batch->cancelled;
    }
    return made > 0 ? make_inputs(batch, scheduling, inputs, err) : TERN_OK;
}

/* Whether a work by itself is a run already. */
static bool stands_alone(const struct tern_work *work, uint64_t rows)
{
    const struct tern_scheduling *scheduling = work->version->scheduling;

    if (scheduling == NULL || !scheduling->gathers)
        return true;
    return !tern_scheduling_regroups(scheduling) &&
           (rows == 0 || allowed_rows(scheduling, rows) == rows);
}

/* The chunk that an arena keeps from batch to batch is nobody's until it is used. */
static enum tern_code charge(struct tern_batch *batch, struct tern_till *till, struct tern_err *err)
{
    if (!tern_till_take(till, batch->arena.first_size))
        return tern_till_fail(err);
    batch->charged = batch->arena.first_size;
    batch->arena.till = till;
    return TERN_OK;
}

static enum tern_code gather(struct tern_batch *batch, struct tern_work *const *works, uint32_t n,
                             struct tern_err *err)
{
    const struct tern_engine_run *run = &works[0]->run;
    uint64_t rows = run->n_inputs > 0 && run->inputs[0].shape.rank > 0
                        ? (uint64_t)run->inputs[0].shape.dim[0]
                        : 1;

    batch->members = tern_arena_zalloc(&batch->arena, n, sizeof(*batch->members));
    if (batch->members == NULL)
        return tern_arena_fail(&batch->arena, err, "the requests of a batch");
    batch->n_works = n;
    if (n == 1 && stands_alone(works[0], rows)) {
        batch->run = *run;
        batch->rows = batch->run_rows = rows;
        batch->members[0] = (struct tern_batch_member){works[0], rows};
        return TERN_OK;
    }
    TERN_TRY(charge(batch, run->arena->till, err));
    for (uint32_t k = 0; k < n; k++)
        TERN_TRY(count_rows(batch, works[k], &batch->members[k], err));
    batch->run_rows = allowed_rows(works[0]->version->scheduling, batch->rows);
    return join(batch, err);
}

enum tern_code tern_batch_gather(struct tern_batch *batch, struct tern_work *const *works,
                                 uint32_t n, struct tern_err *err)
{
    enum tern_code code = gather(batch, works, n, err);

    if (code != TERN_OK)
        batch_empty(batch);
    return code;
}
