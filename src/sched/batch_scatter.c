/* The outputs of one run become those of its works, which are answered. */
#include <inttypes.h>
#include <string.h>
#include "base/num.h"
#include "sched/batch_int.h"

/* ---- one output ---- */

static enum tern_code check_bytes(const struct tern_tensor *output, struct tern_err *err)
{
    char text[160];
    size_t n_bytes;

    if (output->dtype == TERN_DTYPE_BYTES)
        return TERN_OK; /* the walk tells */
    if (tern_shape_bytes(output->name, output->dtype, &output->shape, &n_bytes, err) != TERN_OK ||
        n_bytes != output->n_bytes)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has %zu bytes, not those of %s %s",
                         TERN_STR_ARG(output->name), output->n_bytes,
                         tern_dtype_name(output->dtype),
                         tern_shape_print(&output->shape, text, sizeof(text)));
    return TERN_OK;
}

static enum tern_code check_rows(const struct tern_batch *batch, const struct tern_tensor *output,
                                 bool regroups, struct tern_err *err)
{
    const struct tern_shape *shape = &output->shape;
    uint64_t rows = shape->rank > 0 && shape->dim[0] >= 0 ? (uint64_t)shape->dim[0] : 0;
    char text[160];

    if (rows == batch->run_rows || (regroups && rows > batch->run_rows))
        return TERN_OK;
    return tern_fail(err, TERN_INTERNAL,
                     "output '%.*s' has shape %s after a batch of %" PRIu64
                     " rows: its first dimension must be the number of rows",
                     TERN_STR_ARG(output->name), tern_shape_print(shape, text, sizeof(text)),
                     batch->run_rows);
}

/* Where the `n` elements that start at *at end. */
static enum tern_code pass(const struct tern_tensor *output, size_t n, size_t *at,
                           struct tern_err *err)
{
    struct tern_str element;
    bool is_there = true;
    size_t bytes;

    if (output->dtype != TERN_DTYPE_BYTES) {
        is_there = !tern_num_mul(n, tern_dtype_size(output->dtype), &bytes) &&
                   bytes <= output->n_bytes - *at;
        *at += is_there ? bytes : 0;
    }
    for (size_t i = 0; output->dtype == TERN_DTYPE_BYTES && is_there && i < n; i++)
        is_there = tern_tensor_next_bytes(output, at, &element);
    if (is_there)
        return TERN_OK;
    return tern_fail(err, TERN_INTERNAL, "output '%.*s' has fewer %s than its shape says",
                     TERN_STR_ARG(output->name),
                     output->dtype == TERN_DTYPE_BYTES ? "strings" : "elements");
}

/* part NULL: the work did not ask for this output, others did. */
static void give(struct tern_tensor *part, const struct tern_tensor *output,
                 const struct tern_shape *shape, size_t at, size_t end)
{
    if (part == NULL)
        return;
    part->dtype = output->dtype;
    part->shape = *shape;
    part->data = end > at ? (char *)output->data + at : output->data;
    part->n_bytes = end - at;
}

static enum tern_code fail_more(const struct tern_tensor *output, struct tern_err *err)
{
    return tern_fail(err, TERN_INTERNAL, "output '%.*s' has more %s than its shape says",
                     TERN_STR_ARG(output->name),
                     output->dtype == TERN_DTYPE_BYTES ? "strings" : "elements");
}

/* Each work gets as many rows as it brought. */
static enum tern_code slice(const struct tern_batch *batch, uint32_t i, bool regroups,
                            struct tern_err *err)
{
    const struct tern_tensor *output = &batch->run.outputs[i];
    struct tern_shape shape = output->shape;
    size_t count, at = 0, end = 0;

    TERN_TRY(check_rows(batch, output, regroups, err));
    TERN_TRY(check_bytes(output, err));
    if (!tern_shape_count(&shape, &count))
        return pass(output, SIZE_MAX, &end, err);
    size_t row = count / (size_t)shape.dim[0];
    for (uint32_t k = 0; k < batch->n_works; k++, at = end) {
        const struct tern_batch_member *member = &batch->members[k];
        shape.dim[0] = (int64_t)member->rows;
        TERN_TRY(pass(output, row * (size_t)member->rows, &end, err));
        give(batch_output_of(member, batch->run.output_spec[i], i), output, &shape, at, end);
    }
    TERN_TRY(pass(output, count - row * (size_t)batch->rows, &end, err));
    return end == output->n_bytes ? TERN_OK : fail_more(output, err);
}

/* What a work's part of a scattered output is shaped like. */
static enum tern_code shape_like(const struct tern_batch_member *member,
                                 const struct tern_batch_output *row, struct tern_shape *ret_shape,
                                 struct tern_err *err)
{
    const struct tern_model_version *version = member->work->version;
    const struct tern_tensor *source = batch_input_of(member, row->source, 0);
    const struct tern_tensor_spec *spec = &version->output_specs[row->output];
    struct tern_shape shape = spec->shape;
    char text[160];

    for (int d = 0; d < shape.rank; d++) {
        if (shape.dim[d] != -1)
            continue;
        if (source == NULL || d >= source->shape.rank)
            return tern_fail(err, TERN_INTERNAL,
                             "output '%.*s' of shape %s takes its dimensions from input '%.*s', "
                             "which does not have them",
                             TERN_STR_ARG(spec->name),
                             tern_shape_print(&spec->shape, text, sizeof(text)),
                             TERN_STR_ARG(version->engine.inputs[row->source].name));
        shape.dim[d] = source->shape.dim[d];
    }
    *ret_shape = shape;
    return TERN_OK;
}

/* Each work gets what is shaped like its source input. */
static enum tern_code cut(const struct tern_batch *batch, uint32_t i,
                          const struct tern_batch_output *row, struct tern_err *err)
{
    const struct tern_tensor *output = &batch->run.outputs[i];
    size_t at = 0, end = 0, count;
    struct tern_shape shape;

    TERN_TRY(check_bytes(output, err));
    for (uint32_t k = 0; k < batch->n_works; k++, at = end) {
        const struct tern_batch_member *member = &batch->members[k];
        TERN_TRY(shape_like(member, row, &shape, err));
        if (!tern_shape_count(&shape, &count))
            count = SIZE_MAX;
        TERN_TRY(pass(output, count, &end, err));
        give(batch_output_of(member, row->output, i), output, &shape, at, end);
    }
    return end == output->n_bytes ? TERN_OK : fail_more(output, err);
}

static const struct tern_batch_output *find_cut(const struct tern_scheduling *scheduling,
                                                uint32_t output)
{
    for (uint32_t i = 0; scheduling != NULL && i < scheduling->n_batch_outputs; i++) {
        if (scheduling->batch_outputs[i].output == output)
            return &scheduling->batch_outputs[i];
    }
    return NULL;
}

/* ---- the whole ---- */

static enum tern_code slice_all(const struct tern_batch *batch, struct tern_err *err)
{
    const struct tern_scheduling *scheduling = batch->members[0].work->version->scheduling;
    bool regroups = scheduling != NULL && tern_scheduling_regroups(scheduling);

    for (uint32_t i = 0; i < batch->run.n_outputs; i++) {
        const struct tern_batch_output *row = find_cut(scheduling, batch->run.output_spec[i]);
        if (row != NULL)
            TERN_TRY(cut(batch, i, row, err));
        else
            TERN_TRY(slice(batch, i, regroups, err));
    }
    return TERN_OK;
}

static void tell_again(const struct tern_batch *batch)
{
    const struct tern_engine_again *rows = batch->run.again;

    for (uint32_t k = 0; rows != NULL && k < batch->n_works; k++) {
        const struct tern_batch_member *member = &batch->members[k];
        memcpy(member->work->run.again, rows, member->rows * sizeof(*rows));
        rows += member->rows;
    }
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

    if (code == TERN_OK && batch->is_joined) {
        code = slice_all(batch, &slicing);
        err = &slicing;
        tell_again(batch);
    }
    settle(batch, code, err);
    /* One for this function: the arenas may be reset as soon as the last work has its outputs. */
    atomic_store_explicit(&batch->refs, 1, memory_order_relaxed);
    for (uint32_t k = 0; code == TERN_OK && batch->is_joined && k < batch->n_works; k++) {
        struct tern_work *work = batch->members[k].work;
        work->code = tern_arena_on_reset(work->run.arena, batch_drop, batch, work->err);
        if (work->code == TERN_OK)
            atomic_fetch_add_explicit(&batch->refs, 1, memory_order_relaxed);
    }
    batch_drop(batch);
}
