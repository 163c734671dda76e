#include "engine/native/program.h"

#include <string.h>
#include "base/num.h"
#include "engine/native/convert.h"

#define FIRST 16

void tern_program_begin(struct tern_program *program, struct tern_arena *arena)
{
    *program = (struct tern_program){.arena = arena};
}

/* ---- building ---- */

/* Room for one more row; what is outgrown stays in the arena until the model goes. */
static enum tern_code room(struct tern_program *program, void *rows, uint32_t n, uint32_t *cap,
                           size_t size, uint32_t max, const char *what, struct tern_err *err)
{
    void *old, *grown;

    if (n < *cap)
        return TERN_OK;
    if (n >= max)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "the model has more than %u %s", max, what);
    uint32_t want = *cap == 0 ? FIRST : *cap * 2;
    grown = tern_arena_zalloc(program->arena, want, size);
    if (grown == NULL)
        return tern_arena_fail(program->arena, err, what);
    memcpy(&old, rows, sizeof(old));
    if (n > 0)
        memcpy(grown, old, n * size);
    memcpy(rows, &grown, sizeof(grown));
    *cap = want;
    return TERN_OK;
}

static enum tern_code add_value(struct tern_program *program, enum tern_value_kind kind,
                                const struct tern_tensor *tensor, uint32_t *ret_value,
                                struct tern_err *err)
{
    TERN_TRY(room(program, &program->values, program->n_values, &program->values_cap,
                  sizeof(*program->values), TERN_PROGRAM_VALUES_MAX, "values", err));
    struct tern_value *value = &program->values[program->n_values];
    *value = (struct tern_value){.kind = kind, .tensor = *tensor};
    value->tensor.name = tern_arena_copy(program->arena, tensor->name);
    if (value->tensor.name.p == NULL && tensor->name.n > 0)
        return tern_arena_fail(program->arena, err, "a name");
    *ret_value = program->n_values++;
    return TERN_OK;
}

enum tern_code tern_program_constant(struct tern_program *program, const struct tern_tensor *tensor,
                                     uint32_t *ret_value, struct tern_err *err)
{
    return add_value(program, TERN_VALUE_CONSTANT, tensor, ret_value, err);
}

enum tern_code tern_program_made(struct tern_program *program, struct tern_str name,
                                 enum tern_dtype dtype, uint32_t *ret_value, struct tern_err *err)
{
    const struct tern_tensor tensor = {.name = name, .dtype = dtype};
    return add_value(program, TERN_VALUE_MADE, &tensor, ret_value, err);
}

/* One of the model's inputs or outputs, told apart by the lists that are grown. */
static enum tern_code add_port(struct tern_program *program, const struct tern_tensor_spec *spec,
                               uint32_t value, struct tern_tensor_spec **specs, uint32_t **at,
                               uint32_t *n, uint32_t *cap, struct tern_err *err)
{
    uint32_t same_cap = *cap;

    TERN_TRY(
        room(program, specs, *n, cap, sizeof(**specs), TERN_TENSORS_MAX, "inputs or outputs", err));
    TERN_TRY(
        room(program, at, *n, &same_cap, sizeof(**at), TERN_TENSORS_MAX, "inputs or outputs", err));
    (*specs)[*n] = *spec;
    (*specs)[*n].name = tern_arena_copy(program->arena, spec->name);
    if ((*specs)[*n].name.p == NULL && spec->name.n > 0)
        return tern_arena_fail(program->arena, err, "a name");
    (*at)[(*n)++] = value;
    return TERN_OK;
}

enum tern_code tern_program_input(struct tern_program *program, const struct tern_tensor_spec *spec,
                                  uint32_t *ret_value, struct tern_err *err)
{
    const struct tern_tensor tensor = {.name = spec->name, .dtype = spec->dtype};
    uint32_t value;

    TERN_TRY(add_value(program, TERN_VALUE_INPUT, &tensor, &value, err));
    TERN_TRY(add_port(program, spec, value, &program->inputs, &program->inputs_at,
                      &program->n_inputs, &program->inputs_cap, err));
    *ret_value = value;
    return TERN_OK;
}

enum tern_code tern_program_output(struct tern_program *program,
                                   const struct tern_tensor_spec *spec, uint32_t value,
                                   struct tern_err *err)
{
    return add_port(program, spec, value, &program->outputs, &program->outputs_at,
                    &program->n_outputs, &program->outputs_cap, err);
}

/* 0, 1, 2, ...: what the place of a column says already. */
static bool only_count(const struct tern_str *names, size_t n)
{
    uint64_t number;

    for (size_t i = 0; i < n; i++) {
        if (!tern_num_parse_u64(names[i], UINT32_MAX, &number) || number != i)
            return false;
    }
    return true;
}

enum tern_code tern_program_label(struct tern_program *program, uint32_t value,
                                  const struct tern_str *names, size_t n, struct tern_err *err)
{
    if (n > UINT32_MAX || only_count(names, n))
        return TERN_OK;
    struct tern_str *copies = tern_arena_zalloc(program->arena, n, sizeof(*copies));
    if (copies == NULL)
        return tern_arena_fail(program->arena, err, "the classes");
    for (size_t i = 0; i < n; i++) {
        copies[i] = tern_arena_copy(program->arena, names[i]);
        if (copies[i].p == NULL && names[i].n > 0)
            return tern_arena_fail(program->arena, err, "the classes");
    }
    program->values[value].labels = (struct tern_labels){copies, (uint32_t)n};
    return TERN_OK;
}

static const uint32_t *copy_list(struct tern_arena *arena, const uint32_t *list, uint32_t n)
{
    uint32_t *copy = tern_arena_alloc(arena, sizeof(*copy), (n + 1u) * sizeof(*copy));

    if (copy != NULL && n > 0)
        memcpy(copy, list, n * sizeof(*copy));
    return copy;
}

enum tern_code tern_program_step(struct tern_program *program, const struct tern_operator *op,
                                 const void *state, const uint32_t *in, uint32_t n_in,
                                 const uint32_t *out, uint32_t n_out, struct tern_err *err)
{
    TERN_TRY(room(program, &program->steps, program->n_steps, &program->steps_cap,
                  sizeof(*program->steps), TERN_PROGRAM_STEPS_MAX, "steps", err));
    struct tern_step step = {
        .op = op,
        .state = state,
        .in = copy_list(program->arena, in, n_in),
        .out = copy_list(program->arena, out, n_out),
        .n_in = n_in,
        .n_out = n_out,
    };
    if (step.in == NULL || step.out == NULL)
        return tern_arena_fail(program->arena, err, "a step");
    program->steps[program->n_steps++] = step;
    return TERN_OK;
}

enum tern_code tern_program_then(struct tern_program *program, const struct tern_operator *op,
                                 const void *state, enum tern_dtype dtype, uint32_t *value,
                                 struct tern_err *err)
{
    uint32_t made;

    TERN_TRY(tern_program_made(program, tern_str_make(NULL, 0), dtype, &made, err));
    TERN_TRY(tern_program_step(program, op, state, value, 1, &made, 1, err));
    *value = made;
    return TERN_OK;
}

/* ---- finishing ---- */

/* From the last step to the first: what feeds an output, and what feeds that. */
static void mark(const struct tern_program *program, uint64_t *needed)
{
    for (uint32_t i = 0; i < program->n_outputs; i++)
        needed[program->outputs_at[i]] |= UINT64_C(1) << (i < 63 ? i : 63);
    for (uint32_t s = program->n_steps; s-- > 0;) {
        const struct tern_step *step = &program->steps[s];
        for (uint32_t i = 0; i < step->n_out; i++)
            if (step->out[i] != TERN_VALUE_NONE)
                program->feeds[s] |= needed[step->out[i]];
        for (uint32_t i = 0; i < step->n_in; i++)
            if (step->in[i] != TERN_VALUE_NONE)
                needed[step->in[i]] |= program->feeds[s];
    }
}

/* The step that makes the value; NULL: none does. */
static const struct tern_step *maker_of(const struct tern_program *program, uint32_t value)
{
    for (uint32_t s = program->n_steps; s-- > 0;) {
        const struct tern_step *step = &program->steps[s];
        for (uint32_t i = 0; i < step->n_out; i++) {
            if (step->out[i] == value)
                return step;
        }
    }
    return NULL;
}

/* Of a value, or of what it was before its columns were changed one for one. */
static struct tern_labels labels_of(const struct tern_program *program, uint32_t value)
{
    const struct tern_step *step;

    while (program->values[value].labels.n == 0) {
        step = maker_of(program, value);
        if (step == NULL || step->out[0] != value ||
            (step->op->reach != TERN_REACH_ROW && step->op->reach != TERN_REACH_ELEMENT))
            break;
        value = step->in[0];
    }
    return program->values[value].labels;
}

/* Those that are as many as the output has columns. */
static void label_outputs(const struct tern_program *program)
{
    for (uint32_t i = 0; i < program->n_outputs; i++) {
        struct tern_tensor_spec *spec = &program->outputs[i];
        int rank = spec->shape.rank;
        struct tern_labels labels = labels_of(program, program->outputs_at[i]);
        if (rank > 1 && (spec->shape.dim[rank - 1] == -1 || spec->shape.dim[rank - 1] == labels.n))
            spec->labels = labels;
    }
}

enum tern_code tern_program_finish(struct tern_program *program, struct tern_err *err)
{
    uint64_t *needed = tern_arena_zalloc(program->arena, program->n_values + 1u, sizeof(*needed));

    program->feeds =
        tern_arena_zalloc(program->arena, program->n_steps + 1u, sizeof(*program->feeds));
    if (needed == NULL || program->feeds == NULL)
        return tern_arena_fail(program->arena, err, "a program");
    if (program->n_outputs == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the model has no outputs");
    mark(program, needed);
    label_outputs(program);
    return TERN_OK;
}

/* ---- running ---- */

/* Operators read elements where they lie; clients' bytes may lie anywhere, and may be of another
 * datatype than the file has. */
static enum tern_code take_input(const struct tern_tensor *given, struct tern_tensor *value,
                                 struct tern_arena *arena, struct tern_err *err)
{
    enum tern_dtype wanted = value->dtype;
    size_t size = tern_dtype_size(given->dtype), n_bytes = given->n_bytes;
    bool is_aligned = size == 0 || ((uintptr_t)given->data & (size - 1)) == 0;

    *value = *given;
    if (!is_aligned) {
        value->data = tern_arena_alloc(arena, 64, n_bytes > 0 ? n_bytes : 1);
        if (value->data == NULL)
            return tern_arena_fail(arena, err, "an input");
        memcpy(value->data, given->data, n_bytes);
    }
    if (given->dtype == wanted)
        return TERN_OK;
    size_t n = size == 0 ? 0 : n_bytes / size;
    void *converted = tern_arena_alloc(arena, 64, n * tern_dtype_size(wanted) + 1);
    if (converted == NULL)
        return tern_arena_fail(arena, err, "an input");
    tern_convert(given->dtype, value->data, wanted, converted, n);
    value->data = converted;
    value->n_bytes = n * tern_dtype_size(wanted);
    value->dtype = wanted;
    return TERN_OK;
}

static enum tern_code take_values(const struct tern_program *program,
                                  const struct tern_engine_run *run,
                                  struct tern_program_run *ret_run, struct tern_err *err)
{
    struct tern_tensor *values =
        tern_arena_alloc(run->arena, 8, (program->n_values + 1u) * sizeof(*values));

    if (values == NULL)
        return tern_arena_fail(run->arena, err, "a run's values");
    for (uint32_t i = 0; i < program->n_values; i++) {
        values[i] = program->values[i].tensor;
        if (program->values[i].kind != TERN_VALUE_CONSTANT)
            values[i].data = NULL;
    }
    for (uint32_t i = 0; i < run->n_inputs; i++)
        TERN_TRY(take_input(&run->inputs[i], &values[program->inputs_at[run->input_spec[i]]],
                            run->arena, err));
    *ret_run = (struct tern_program_run){program, values, run->arena};
    return TERN_OK;
}

static enum tern_code give_output(const struct tern_tensor *value,
                                  const struct tern_tensor_spec *spec, struct tern_tensor *output,
                                  struct tern_arena *arena, struct tern_err *err)
{
    size_t size = tern_dtype_size(value->dtype);

    output->dtype = spec->dtype;
    output->shape = value->shape;
    output->data = value->data;
    output->n_bytes = value->n_bytes;
    if (value->dtype == spec->dtype)
        return TERN_OK;
    size_t n = size == 0 ? 0 : value->n_bytes / size;
    output->n_bytes = n * tern_dtype_size(spec->dtype);
    output->data = tern_arena_alloc(arena, 64, output->n_bytes + 1);
    if (output->data == NULL)
        return tern_arena_fail(arena, err, "an output");
    tern_convert(value->dtype, value->data, spec->dtype, output->data, n);
    return TERN_OK;
}

static enum tern_code run_step(const struct tern_step *step, struct tern_program_run *run,
                               struct tern_err *err)
{
    enum tern_code code = step->op->run(step, run, err);

    if (code != TERN_OK)
        tern_err_prefix(err, "%s", step->op->name);
    return code;
}

enum tern_code tern_program_run_until(const struct tern_program *program,
                                      const struct tern_engine_run *run, const bool *steps,
                                      uint32_t value, struct tern_tensor *ret, struct tern_err *err)
{
    struct tern_program_run self;

    TERN_TRY(take_values(program, run, &self, err));
    for (uint32_t i = 0; i < program->n_steps; i++) {
        if (steps[i])
            TERN_TRY(run_step(&program->steps[i], &self, err));
    }
    *ret = self.values[value];
    return TERN_OK;
}

enum tern_code tern_program_run(const struct tern_program *program,
                                const struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_program_run self;
    uint64_t wanted = 0;

    for (uint32_t i = 0; i < run->n_outputs; i++)
        wanted |= UINT64_C(1) << (run->output_spec[i] < 63 ? run->output_spec[i] : 63);
    TERN_TRY(take_values(program, run, &self, err));
    for (uint32_t i = 0; i < program->n_steps; i++) {
        const struct tern_step *step = &program->steps[i];
        if ((program->feeds[i] & wanted) != 0)
            TERN_TRY(run_step(step, &self, err));
    }
    for (uint32_t i = 0; i < run->n_outputs; i++) {
        uint32_t at = run->output_spec[i];
        TERN_TRY(give_output(&self.values[program->outputs_at[at]], &program->outputs[at],
                             &run->outputs[i], run->arena, err));
    }
    return TERN_OK;
}

/* ---- for operators ---- */

const struct tern_tensor *tern_step_in(const struct tern_step *step,
                                       const struct tern_program_run *run, uint32_t i)
{
    return i >= step->n_in || step->in[i] == TERN_VALUE_NONE ? NULL : &run->values[step->in[i]];
}

enum tern_code tern_step_out(const struct tern_step *step, struct tern_program_run *run, uint32_t i,
                             const struct tern_shape *shape, struct tern_tensor **ret,
                             struct tern_err *err)
{
    struct tern_tensor *value = &run->values[step->out[i]];
    size_t n_bytes;

    TERN_TRY(tern_shape_bytes(value->name, value->dtype, shape, &n_bytes, err));
    value->shape = *shape;
    value->n_bytes = n_bytes;
    value->data = tern_arena_alloc(run->arena, 64, n_bytes > 0 ? n_bytes : 1);
    if (value->data == NULL)
        return tern_arena_fail(run->arena, err, step->op->name);
    *ret = value;
    return TERN_OK;
}

void tern_step_pass(const struct tern_step *step, struct tern_program_run *run, uint32_t i,
                    const struct tern_tensor *from, const struct tern_shape *shape)
{
    struct tern_tensor *value = &run->values[step->out[i]];
    struct tern_str name = value->name;

    *value = *from;
    value->name = name;
    value->shape = *shape;
}
