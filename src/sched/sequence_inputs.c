#include "sched/sequence_inputs.h"

#include <inttypes.h>
#include <string.h>
#include "base/num.h"

enum tern_code tern_sequence_check(const struct tern_model_version *version,
                                   const struct tern_sequence *which,
                                   const struct tern_engine_run *run, struct tern_err *err)
{
    struct tern_str name = version->info.name;

    if (version->sequencing->batched && run->n_inputs > 0 && run->inputs[0].shape.dim[0] != 1)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference request to model '%.*s' must specify batch-size 1 due to "
                         "requirements of sequence batcher",
                         TERN_STR_ARG(name));
    if (which->id == 0 && which->text.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference request to model '%.*s' must specify a non-zero or non-empty "
                         "correlation ID",
                         TERN_STR_ARG(name));
    return TERN_OK;
}

/* ---- the id ---- */

/* An element of BYTES: its length goes in front of it. */
static enum tern_code put_text(struct tern_str text, struct tern_arena *arena,
                               struct tern_tensor *tensor, struct tern_err *err)
{
    unsigned char *p = tern_arena_alloc(arena, 8, text.n + 4);

    if (p == NULL)
        return tern_arena_fail(arena, err, "the sequence's id");
    for (unsigned i = 0; i < 4; i++)
        p[i] = (unsigned char)(text.n >> (8 * i));
    memcpy(p + 4, text.p, text.n);
    tensor->data = p;
    tensor->n_bytes = text.n + 4;
    return TERN_OK;
}

static uint64_t largest_id(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_INT32    ? INT32_MAX
           : dtype == TERN_DTYPE_UINT32 ? UINT32_MAX
           : dtype == TERN_DTYPE_INT64  ? INT64_MAX
                                        : UINT64_MAX;
}

static enum tern_code put_id(const struct tern_model_version *version,
                             const struct tern_control *control, const struct tern_sequence *which,
                             struct tern_arena *arena, struct tern_tensor *tensor,
                             struct tern_err *err)
{
    char digits[20];

    if (control->dtype == TERN_DTYPE_BYTES)
        return put_text(which->text.n > 0
                            ? which->text
                            : tern_str_make(digits, tern_num_format_u64(which->id, digits)),
                        arena, tensor, err);
    if (which->text.n > 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "sequence '%.*s': model '%.*s' takes ids of type %s, not texts",
                         TERN_STR_ARG(which->text), TERN_STR_ARG(version->info.name),
                         tern_dtype_name(control->dtype));
    if (which->id > largest_id(control->dtype))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "sequence %" PRIu64 ": model '%.*s' takes ids of type %s, up to %" PRIu64,
                         which->id, TERN_STR_ARG(version->info.name),
                         tern_dtype_name(control->dtype), largest_id(control->dtype));
    tensor->data = tern_arena_alloc(arena, 8, sizeof(which->id));
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "the sequence's id");
    memcpy(tensor->data, &which->id, sizeof(which->id)); /* little-endian: the low bytes lead */
    tensor->n_bytes = tern_dtype_size(control->dtype);
    return TERN_OK;
}

/* ---- inputs ---- */

static enum tern_code put_control(const struct tern_model_version *version,
                                  const struct tern_control *control,
                                  const struct tern_sequence *which, struct tern_arena *arena,
                                  struct tern_tensor *tensor, struct tern_err *err)
{
    *tensor = (struct tern_tensor){
        .name = control->name,
        .dtype = control->dtype,
        .shape = tern_sequencing_control_shape(version->sequencing),
    };
    if (control->kind == TERN_CONTROL_CORRID)
        return put_id(version, control, which, arena, tensor, err);
    bool yes = control->kind == TERN_CONTROL_START ? which->start
               : control->kind == TERN_CONTROL_END ? which->end
                                                   : true;
    tensor->data = tern_arena_alloc(arena, 8, sizeof(control->bits[0]));
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "the control inputs");
    memcpy(tensor->data, &control->bits[yes], sizeof(control->bits[0]));
    tensor->n_bytes = tern_dtype_size(control->dtype);
    return TERN_OK;
}

static enum tern_code fill_inputs(const struct tern_model_version *version,
                                  const struct tern_sequence *which, struct tern_engine_run *run,
                                  struct tern_sequence_extra *extra, struct tern_err *err)
{
    const struct tern_sequencing *sequencing = version->sequencing;
    uint32_t n = run->n_inputs + sequencing->n_controls + sequencing->n_states;
    struct tern_tensor *inputs = tern_arena_zalloc(run->arena, n + 1, sizeof(*inputs));
    uint32_t *input_spec = tern_arena_zalloc(run->arena, n + 1, sizeof(*input_spec));

    if (inputs == NULL || input_spec == NULL)
        return tern_arena_fail(run->arena, err, "the control inputs");
    n = 0;
    for (; n < run->n_inputs; n++) {
        inputs[n] = run->inputs[n];
        input_spec[n] = run->input_spec[n];
    }
    extra->controls = &inputs[n];
    for (uint32_t i = 0; i < sequencing->n_controls; i++, n++) {
        TERN_TRY(
            put_control(version, &sequencing->controls[i], which, run->arena, &inputs[n], err));
        input_spec[n] = sequencing->controls[i].input;
    }
    extra->states = &inputs[n];
    for (uint32_t i = 0; i < sequencing->n_states; i++)
        input_spec[n++] = sequencing->states[i].input;
    run->inputs = inputs;
    run->input_spec = input_spec;
    run->n_inputs = n;
    return TERN_OK;
}

void tern_sequence_go_on(const struct tern_model_version *version,
                         const struct tern_sequence_extra *extra)
{
    const struct tern_sequencing *sequencing = version->sequencing;

    for (uint32_t i = 0; i < sequencing->n_controls; i++) {
        const struct tern_control *control = &sequencing->controls[i];
        if (control->kind == TERN_CONTROL_START)
            memcpy(extra->controls[i].data, &control->bits[0], sizeof(control->bits[0]));
    }
}

/* ---- outputs ---- */

/* The place of an output that the client asked for, or n. */
static uint32_t place_of(const uint32_t *output_spec, uint32_t n, uint32_t wanted)
{
    uint32_t i = 0;

    while (i < n && output_spec[i] != wanted)
        i++;
    return i;
}

static enum tern_code fill_outputs(const struct tern_sequencing *sequencing,
                                   struct tern_engine_run *run, struct tern_sequence_extra *extra,
                                   struct tern_err *err)
{
    uint32_t n = run->n_outputs, most = n + sequencing->n_states;
    struct tern_tensor *outputs = tern_arena_zalloc(run->arena, most + 1, sizeof(*outputs));
    uint32_t *output_spec = tern_arena_zalloc(run->arena, most + 1, sizeof(*output_spec));
    uint32_t *at = tern_arena_zalloc(run->arena, sequencing->n_states + 1, sizeof(*at));

    if (outputs == NULL || output_spec == NULL || at == NULL)
        return tern_arena_fail(run->arena, err, "the outputs");
    for (uint32_t i = 0; i < n; i++) {
        outputs[i] = run->outputs[i];
        output_spec[i] = run->output_spec[i];
    }
    for (uint32_t i = 0; i < sequencing->n_states; i++) {
        const struct tern_state *state = &sequencing->states[i];
        at[i] = place_of(output_spec, n, state->output);
        if (at[i] < n)
            continue;
        outputs[n].name = state->output_name;
        output_spec[n++] = state->output;
    }
    extra->state_outputs = at;
    extra->asked = run->outputs;
    extra->n_asked = run->n_outputs;
    run->outputs = outputs;
    run->output_spec = output_spec;
    run->n_outputs = n;
    return TERN_OK;
}

void tern_sequence_hand_over(const struct tern_sequence_extra *extra, struct tern_engine_run *run)
{
    memcpy(extra->asked, run->outputs, extra->n_asked * sizeof(*extra->asked));
    run->outputs = extra->asked;
    run->n_outputs = extra->n_asked;
}

enum tern_code tern_sequence_fill(const struct tern_model_version *version,
                                  const struct tern_sequence *which, struct tern_engine_run *run,
                                  struct tern_sequence_extra *ret_extra, struct tern_err *err)
{
    TERN_TRY(fill_outputs(version->sequencing, run, ret_extra, err));
    return fill_inputs(version, which, run, ret_extra, err);
}
