#include "registry/sequencing.h"

#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "os/file.h"

const char *tern_control_kind_name(enum tern_control_kind kind)
{
    static const char *const names[] = {
        [TERN_CONTROL_START] = "CONTROL_SEQUENCE_START",
        [TERN_CONTROL_READY] = "CONTROL_SEQUENCE_READY",
        [TERN_CONTROL_END] = "CONTROL_SEQUENCE_END",
        [TERN_CONTROL_CORRID] = "CONTROL_SEQUENCE_CORRID",
    };
    return names[kind];
}

struct tern_shape tern_sequencing_control_shape(const struct tern_sequencing *sequencing)
{
    return (struct tern_shape){.rank = sequencing->batched ? 2 : 1, .dim = {1, 1}};
}

bool tern_sequencing_fills(const struct tern_sequencing *sequencing, struct tern_str input)
{
    for (uint32_t i = 0; sequencing != NULL && i < sequencing->n_controls; i++) {
        if (tern_str_eq(sequencing->controls[i].name, input))
            return true;
    }
    for (uint32_t i = 0; sequencing != NULL && i < sequencing->n_states; i++) {
        if (tern_str_eq(sequencing->states[i].input_name, input))
            return true;
    }
    return false;
}

bool tern_sequencing_hides(const struct tern_sequencing *sequencing, struct tern_str output)
{
    for (uint32_t i = 0; sequencing != NULL && i < sequencing->n_states; i++) {
        const struct tern_state *state = &sequencing->states[i];
        if (!state->is_shown && tern_str_eq(state->output_name, output))
            return true;
    }
    return false;
}

static void tie_control(const struct tern_sequencing *sequencing, struct tern_control *control,
                        const struct tern_engine_model *model, struct tern_problems *problems)
{
    struct tern_shape shape = tern_sequencing_control_shape(sequencing);
    const struct tern_tensor_spec *spec =
        tern_model_find_spec(model->inputs, model->n_inputs, control->name);
    char want[16], has[16], want_shape[64], has_shape[160];

    if (spec == NULL) {
        tern_problem_add(problems, control->place,
                         "control_input: the model has no input \"%.*s\" for %s",
                         TERN_STR_ARG(control->name), tern_control_kind_name(control->kind));
        return;
    }
    control->input = (uint32_t)(spec - model->inputs);
    tern_dtype_config_name(control->dtype, want);
    tern_dtype_config_name(spec->dtype, has);
    if (spec->dtype != control->dtype)
        tern_problem_add(
            problems, control->place, "control_input \"%.*s\" is %s for %s, the model has %s",
            TERN_STR_ARG(control->name), want, tern_control_kind_name(control->kind), has);
    if (!tern_shape_fits(&spec->shape, &shape))
        tern_problem_add(
            problems, control->place, "control_input \"%.*s\" is given as %s, the model has %s",
            TERN_STR_ARG(control->name), tern_shape_print(&shape, want_shape, sizeof(want_shape)),
            tern_shape_print(&spec->shape, has_shape, sizeof(has_shape)));
}

/* One side of a state: the model's input, or its output. */
static uint32_t tie_side(const struct tern_state *state, const char *what, struct tern_str name,
                         const struct tern_tensor_spec *specs, uint32_t n,
                         struct tern_problems *problems)
{
    const struct tern_tensor_spec *spec = tern_model_find_spec(specs, n, name);
    char want[16], has[16], want_shape[160], has_shape[160];

    if (spec == NULL) {
        tern_problem_add(problems, state->place, "state: the model has no %s \"%.*s\"", what,
                         TERN_STR_ARG(name));
        return 0;
    }
    tern_dtype_config_name(state->dtype, want);
    tern_dtype_config_name(spec->dtype, has);
    if (spec->dtype != state->dtype)
        tern_problem_add(problems, state->place, "state: %s \"%.*s\" is %s, the model has %s", what,
                         TERN_STR_ARG(name), want, has);
    bool fits = spec->shape.rank == state->shape.rank;
    for (int i = 0; fits && i < spec->shape.rank; i++)
        fits = spec->shape.dim[i] < 0 || state->shape.dim[i] < 0 ||
               spec->shape.dim[i] == state->shape.dim[i];
    if (!fits)
        tern_problem_add(problems, state->place, "state: %s \"%.*s\" is %s, the model has %s", what,
                         TERN_STR_ARG(name),
                         tern_shape_print(&state->shape, want_shape, sizeof(want_shape)),
                         tern_shape_print(&spec->shape, has_shape, sizeof(has_shape)));
    return (uint32_t)(spec - specs);
}

/* In front of the dims stands the batch, of which there is one. */
static void put_batch(struct tern_shape *shape, int64_t batch)
{
    if (shape->rank == TERN_RANK_MAX)
        return; /* then it fits no tensor of the model */
    memmove(shape->dim + 1, shape->dim, (size_t)shape->rank * sizeof(shape->dim[0]));
    shape->dim[0] = batch;
    shape->rank++;
}

static void tie_state(const struct tern_sequencing *sequencing, struct tern_state *state,
                      const struct tern_engine_model *model, struct tern_problems *problems)
{
    if (sequencing->batched) {
        put_batch(&state->shape, -1);
        put_batch(&state->first, 1);
    }
    state->input =
        tie_side(state, "input", state->input_name, model->inputs, model->n_inputs, problems);
    state->output =
        tie_side(state, "output", state->output_name, model->outputs, model->n_outputs, problems);
}

/* ---- what the first request of a sequence sees ---- */

static enum tern_code load_zeros(struct tern_state *state, struct tern_arena *arena,
                                 struct tern_err *err)
{
    size_t count = 0;

    if (state->dtype == TERN_DTYPE_BYTES) { /* empty texts: each is its length */
        if (!tern_shape_count(&state->first, &count) || tern_num_mul(count, 4, &state->n_bytes))
            state->n_bytes = SIZE_MAX;
    } else {
        TERN_TRY(
            tern_shape_bytes(state->input_name, state->dtype, &state->first, &state->n_bytes, err));
    }
    if (state->n_bytes > TERN_SEQUENCE_STATE_MAX)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "state '%.*s': the first state has at most %u bytes",
                         TERN_STR_ARG(state->input_name), TERN_SEQUENCE_STATE_MAX);
    state->data = tern_arena_zalloc(arena, state->n_bytes + 1, 1);
    return state->data == NULL ? tern_arena_fail(arena, err, "a first state") : TERN_OK;
}

static enum tern_code check_file(const struct tern_state *state, size_t want, struct tern_err *err)
{
    size_t count = 0;

    if (state->dtype == TERN_DTYPE_BYTES)
        return tern_shape_count(&state->first, &count)
                   ? tern_tensor_check_bytes(state->input_name, state->data, state->n_bytes, count,
                                             err)
                   : TERN_OK;
    if (state->n_bytes != want)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "state '%.*s': data_file '%.*s' has %zu bytes, it takes %zu",
                         TERN_STR_ARG(state->input_name), TERN_STR_ARG(state->file), state->n_bytes,
                         want);
    return TERN_OK;
}

static enum tern_code load_file(struct tern_state *state, const char *folder,
                                struct tern_arena *arena, struct tern_err *err)
{
    const char *inside =
        tern_file_join(arena, folder == NULL ? "." : folder, TERN_STR("initial_state"));
    const char *path = inside == NULL ? NULL : tern_file_join(arena, inside, state->file);
    size_t want = state->n_bytes, n;
    char *bytes;

    if (path == NULL)
        return tern_arena_fail(arena, err, "a path");
    TERN_TRY(tern_file_read(path, TERN_SEQUENCE_STATE_MAX, 1, &bytes, &n, err));
    struct tern_str text = tern_arena_copy(arena, tern_str_make(bytes, n));
    tern_mem_free(bytes);
    if (text.p == NULL && n > 0)
        return tern_arena_fail(arena, err, "a first state");
    state->data = text.p;
    state->n_bytes = n;
    return check_file(state, want, err);
}

enum tern_code tern_sequencing_load(struct tern_sequencing *sequencing, const char *folder,
                                    struct tern_arena *arena, struct tern_err *err)
{
    for (uint32_t i = 0; i < sequencing->n_states; i++) {
        TERN_TRY(load_zeros(&sequencing->states[i], arena, err));
        if (sequencing->states[i].file.n > 0)
            TERN_TRY(load_file(&sequencing->states[i], folder, arena, err));
    }
    return TERN_OK;
}

void tern_sequencing_tie(struct tern_sequencing *sequencing, const struct tern_engine_model *model,
                         struct tern_problems *problems)
{
    for (uint32_t i = 0; i < sequencing->n_controls; i++)
        tie_control(sequencing, &sequencing->controls[i], model, problems);
    for (uint32_t i = 0; i < sequencing->n_states; i++)
        tie_state(sequencing, &sequencing->states[i], model, problems);
}
