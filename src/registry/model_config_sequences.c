#include "registry/model_config_sequences.h"

#include <string.h>
#include "base/num.h"
#include "registry/model_schema_value.h"

static uint32_t float_bits(struct tern_str text)
{
    float value = (float)tern_model_schema_real(text);
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* START, READY and END say what stands for no and yes in one of three types. */
static void extract_yes_and_no(const struct tern_config_reader *r, const struct tern_tree *node,
                               struct tern_control *control)
{
    static const struct {
        const char *key;
        enum tern_dtype dtype;
    } forms[] = {{"int32_false_true", TERN_DTYPE_INT32},
                 {"fp32_false_true", TERN_DTYPE_FP32},
                 {"bool_false_true", TERN_DTYPE_BOOL}};
    uint32_t n_forms = 0, n_values = 0;

    for (size_t i = 0; i < TERN_COUNT_OF(forms); i++) {
        const struct tern_tree *value = tern_config_node_first(node, forms[i].key);
        n_forms += value != NULL;
        for (; value != NULL; value = value->next, n_values++) {
            int64_t number = 0;
            uint32_t bits = 0;
            if (forms[i].dtype == TERN_DTYPE_FP32)
                bits = float_bits(value->text);
            else if (forms[i].dtype == TERN_DTYPE_BOOL)
                bits = tern_str_eq(value->text, TERN_STR("true"));
            else if (tern_num_parse_i64(value->text, &number))
                bits = (uint32_t)number;
            control->dtype = forms[i].dtype;
            if (n_values < 2)
                control->bits[n_values] = bits;
        }
    }
    if (n_forms != 1 || n_values != 2)
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "%s: expected two values in one of int32_false_true, fp32_false_true and "
                         "bool_false_true",
                         tern_control_kind_name(control->kind));
}

static void extract_id_type(const struct tern_config_reader *r, const struct tern_tree *node,
                            struct tern_control *control)
{
    control->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    if (control->dtype != TERN_DTYPE_UINT64 && control->dtype != TERN_DTYPE_INT64 &&
        control->dtype != TERN_DTYPE_UINT32 && control->dtype != TERN_DTYPE_INT32 &&
        control->dtype != TERN_DTYPE_BYTES)
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "CONTROL_SEQUENCE_CORRID: expected a data_type of TYPE_UINT64, "
                         "TYPE_INT64, TYPE_UINT32, TYPE_INT32 or TYPE_STRING, got \"%.*s\"",
                         TERN_STR_ARG(tern_config_node_text(node, "data_type")));
}

static void extract_control(const struct tern_config_reader *r, const struct tern_tree *node,
                            struct tern_control *control)
{
    const struct tern_tree *what = tern_config_node_first(node, "control");

    *control = (struct tern_control){.name = tern_config_node_text(node, "name"),
                                     .place = tern_config_reader_place(r, node)};
    if (control->name.n == 0)
        tern_problem_add(r->problems, control->place, "control_input: a name is missing");
    if (what == NULL || what->next != NULL) {
        tern_problem_add(r->problems, control->place,
                         "control_input: expected one control for an input");
        return;
    }
    struct tern_str kind = tern_config_node_text(what, "kind");
    while (kind.n > 0 && control->kind < TERN_CONTROL_CORRID &&
           !tern_str_eq(kind, tern_str_of(tern_control_kind_name(control->kind))))
        control->kind++;
    if (control->kind == TERN_CONTROL_CORRID)
        extract_id_type(r, what, control);
    else
        extract_yes_and_no(r, what, control);
}

static void extract_controls(struct tern_config_reader *r, const struct tern_tree *batching,
                             struct tern_sequencing *sequencing)
{
    uint32_t n = tern_config_node_count(batching, "control_input");
    const struct tern_tree *node = tern_config_node_first(batching, "control_input");

    if (n > TERN_CONTROL_KINDS) {
        tern_problem_add(r->problems, tern_config_reader_place(r, batching),
                         "control_input: more than %d", TERN_CONTROL_KINDS);
        return;
    }
    sequencing->controls = tern_config_reader_many(r, n, sizeof(*sequencing->controls));
    for (uint32_t i = 0; i < n && sequencing->controls != NULL; i++, node = node->next) {
        struct tern_control *control = &sequencing->controls[sequencing->n_controls++];
        extract_control(r, node, control);
        for (uint32_t j = 0; j < i; j++) {
            if (sequencing->controls[j].kind == control->kind ||
                tern_str_eq(sequencing->controls[j].name, control->name))
                tern_problem_add(
                    r->problems, control->place, "control_input: a second one for \"%.*s\" or %s",
                    TERN_STR_ARG(control->name), tern_control_kind_name(control->kind));
        }
    }
}

/* What the first request of a sequence sees: zeros, of one element where a dim is free, or a file.
 */
static void extract_first_state(const struct tern_config_reader *r, const struct tern_tree *node,
                                struct tern_state *state)
{
    const struct tern_tree *first = tern_config_node_first(node, "initial_state");
    char want[16];

    state->first = state->shape;
    for (int i = 0; i < state->first.rank; i++)
        state->first.dim[i] = state->first.dim[i] < 0 ? 1 : state->first.dim[i];
    if (first == NULL)
        return;
    if (first->next != NULL)
        tern_problem_add(r->problems, tern_config_reader_place(r, first->next),
                         "initial_state: expected one for a state");
    state->first.rank = 0;
    tern_config_reader_dims(r, first, "dims", &state->first);
    state->file = tern_config_reader_file(r, first, "data_file");
    if (tern_dtype_from_config_name(tern_config_node_text(first, "data_type")) != state->dtype) {
        tern_dtype_config_name(state->dtype, want);
        tern_problem_add(r->problems, tern_config_reader_place(r, first),
                         "initial_state: expected data_type %s", want);
    }
    if (!tern_shape_fits(&state->shape, &state->first))
        tern_problem_add(r->problems, tern_config_reader_place(r, first),
                         "initial_state: its dims do not fit those of the state");
    for (int i = 0; i < state->first.rank; i++) {
        if (state->first.dim[i] < 0)
            tern_problem_add(r->problems, tern_config_reader_place(r, first),
                             "initial_state: dims must be known, not -1");
    }
}

static void extract_state(const struct tern_config_reader *r, const struct tern_tree *node,
                          struct tern_state *state)
{
    state->input_name = tern_config_node_text(node, "input_name");
    state->output_name = tern_config_node_text(node, "output_name");
    state->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    state->place = tern_config_reader_place(r, node);
    tern_config_reader_dims(r, node, "dims", &state->shape);
    if (state->input_name.n == 0 || state->output_name.n == 0)
        tern_problem_add(r->problems, state->place,
                         "state: expected an input_name and an output_name");
    if (state->dtype == TERN_DTYPE_INVALID)
        tern_problem_add(r->problems, state->place, "state: a data_type is missing");
    for (uint32_t i = 0; i < r->config->n_outputs; i++)
        state->is_shown |= tern_str_eq(r->config->outputs[i].name, state->output_name);
    extract_first_state(r, node, state);
}

static void extract_states(struct tern_config_reader *r, const struct tern_tree *batching,
                           struct tern_sequencing *sequencing)
{
    uint32_t n = tern_config_node_count(batching, "state");
    const struct tern_tree *node = tern_config_node_first(batching, "state");

    if (n > TERN_SEQUENCE_STATES_MAX || (n > 0 && r->config->decoupled)) {
        tern_problem_add(r->problems, tern_config_reader_place(r, batching), "state: %s",
                         n > TERN_SEQUENCE_STATES_MAX
                             ? "too many"
                             : "a decoupled model has none, it answers too often");
        return;
    }
    sequencing->states = tern_config_reader_many(r, n, sizeof(*sequencing->states));
    for (uint32_t i = 0; i < n && sequencing->states != NULL; i++, node = node->next) {
        struct tern_state *state = &sequencing->states[sequencing->n_states++];
        extract_state(r, node, state);
        for (uint32_t j = 0; j < i; j++) {
            if (tern_str_eq(sequencing->states[j].input_name, state->input_name) ||
                tern_str_eq(sequencing->states[j].output_name, state->output_name))
                tern_problem_add(r->problems, state->place,
                                 "state: a second one with an input or output of that name");
        }
    }
}

static void extract_direct(const struct tern_config_reader *r, const struct tern_tree *node,
                           struct tern_sequencing *sequencing)
{
    if (node == NULL)
        return;
    uint64_t delay_us = tern_config_node_uint(node, "max_queue_delay_microseconds");
    struct tern_str part = tern_config_node_text(node, "minimum_slot_utilization");
    if (__builtin_mul_overflow(delay_us, UINT64_C(1000), &sequencing->max_delay_ns))
        sequencing->max_delay_ns = UINT64_MAX;
    if (part.n > 0)
        sequencing->least_utilization = tern_model_schema_real(part);
    if (sequencing->least_utilization < 0 || sequencing->least_utilization > 1)
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "minimum_slot_utilization: expected 0 to 1, got %.*s", TERN_STR_ARG(part));
}

void tern_model_config_sequences_read(struct tern_config_reader *r)
{
    const struct tern_tree *node = tern_tree_find(r->config->tree, TERN_STR("sequence_batching"));
    struct tern_sequencing *sequencing =
        node == NULL ? NULL : tern_config_reader_many(r, 1, sizeof(*sequencing));
    uint64_t idle_us;

    r->config->sequencing = sequencing;
    if (sequencing == NULL)
        return;
    idle_us = tern_config_node_uint(node, "max_sequence_idle_microseconds");
    if (idle_us == 0)
        sequencing->max_idle_ns = TERN_SEQUENCE_IDLE_NS;
    else if (__builtin_mul_overflow(idle_us, UINT64_C(1000), &sequencing->max_idle_ns))
        sequencing->max_idle_ns = UINT64_MAX;
    extract_direct(r, tern_tree_find(node, TERN_STR("direct")), sequencing);
    const struct tern_tree *oldest = tern_tree_find(node, TERN_STR("oldest"));
    sequencing->direct = oldest == NULL;
    sequencing->iterative = tern_config_node_bool(node, "iterative_sequence");
    if (oldest != NULL) {
        int64_t most = tern_config_node_int(oldest, "max_candidate_sequences");
        if (most < 0 || most > TERN_SEQUENCE_SLOTS_MAX)
            tern_problem_add(r->problems, tern_config_reader_place(r, oldest),
                             "max_candidate_sequences: expected at most %u, got %lld",
                             TERN_SEQUENCE_SLOTS_MAX, (long long)most);
        sequencing->slots_per_instance = most < 1 ? 0 : (uint64_t)most; /* 0: the largest batch */
    }
    extract_controls(r, node, sequencing);
    for (uint32_t i = 0; i < sequencing->n_controls; i++)
        sequencing->says_ready |= sequencing->controls[i].kind == TERN_CONTROL_READY;
    extract_states(r, node, sequencing);
}
