#include "registry/sequencing.h"

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
    return false;
}

static const struct tern_tensor_spec *find(const struct tern_tensor_spec *specs, uint32_t n,
                                           struct tern_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tern_str_eq(specs[i].name, name))
            return &specs[i];
    }
    return NULL;
}

static void tie_control(const struct tern_sequencing *sequencing, struct tern_control *control,
                        const struct tern_engine_model *model, struct tern_problems *problems)
{
    struct tern_shape shape = tern_sequencing_control_shape(sequencing);
    const struct tern_tensor_spec *spec = find(model->inputs, model->n_inputs, control->name);
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

static bool see_inputs(struct tern_sequencing *sequencing, const struct tern_tensor_spec *inputs,
                       uint32_t n, struct tern_arena *arena, struct tern_sequencing_seen *seen)
{
    uint32_t *at = tern_arena_zalloc(arena, n + 1, sizeof(*at));

    seen->inputs = tern_arena_zalloc(arena, n + 1, sizeof(*seen->inputs));
    seen->n_inputs = 0;
    sequencing->input_at = at;
    if (at == NULL || seen->inputs == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        if (tern_sequencing_fills(sequencing, inputs[i].name))
            continue;
        at[seen->n_inputs] = i;
        seen->inputs[seen->n_inputs++] = inputs[i];
    }
    return true;
}

static bool see_outputs(struct tern_sequencing *sequencing, const struct tern_tensor_spec *outputs,
                        uint32_t n, struct tern_arena *arena, struct tern_sequencing_seen *seen)
{
    uint32_t *at = tern_arena_zalloc(arena, n + 1, sizeof(*at));

    seen->outputs = tern_arena_zalloc(arena, n + 1, sizeof(*seen->outputs));
    seen->n_outputs = 0;
    sequencing->output_at = at;
    if (at == NULL || seen->outputs == NULL)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        at[seen->n_outputs] = i;
        seen->outputs[seen->n_outputs++] = outputs[i];
    }
    return true;
}

bool tern_sequencing_tie(struct tern_sequencing *sequencing, const struct tern_engine_model *model,
                         const struct tern_tensor_spec *inputs,
                         const struct tern_tensor_spec *outputs, struct tern_arena *arena,
                         struct tern_sequencing_seen *ret_seen, struct tern_problems *problems)
{
    for (uint32_t i = 0; i < sequencing->n_controls; i++)
        tie_control(sequencing, &sequencing->controls[i], model, problems);
    return see_inputs(sequencing, inputs, model->n_inputs, arena, ret_seen) &&
           see_outputs(sequencing, outputs, model->n_outputs, arena, ret_seen);
}
