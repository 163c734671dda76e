#include "registry/model_config_extract.h"

#include "base/num.h"
#include "registry/config_node.h"
#include "registry/model_config_scheduling.h"
#include "registry/model_schema_value.h"

#define TENSORS_MAX 256

struct extractor {
    struct tern_model_config *config;
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool out_of_memory;
};

/* ---- looking into the tree ---- */

static struct tern_str place_of(const struct extractor *x, const struct tern_tree *node)
{
    return tern_problem_place(x->problems, x->config->file, node->line, node->column);
}

static void say_no_memory(struct extractor *x)
{
    if (!x->out_of_memory)
        tern_problem_add(x->problems, x->config->file,
                         "the configuration is too large for its memory");
    x->out_of_memory = true;
}

/* Zeroed; at least one element, so that NULL means no memory and is said once. */
static void *many(struct extractor *x, uint32_t n, size_t size)
{
    void *p = tern_arena_zalloc(x->arena, n == 0 ? 1 : n, size);

    if (p == NULL)
        say_no_memory(x);
    return p;
}

/* A file name inside the model's folder: no way up, no way out. */
static bool is_inside(struct tern_str name)
{
    struct tern_str rest = name;
    struct tern_str part;

    if (name.n == 0 || name.p[0] == '/' || memchr(name.p, 0, name.n) != NULL)
        return false;
    while (tern_str_split(&rest, '/', &part)) {
        if (part.n == 0 || tern_str_eq(part, TERN_STR("..")) || tern_str_eq(part, TERN_STR(".")))
            return false;
    }
    return true;
}

static struct tern_str file_of(const struct extractor *x, const struct tern_tree *message,
                               const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));

    if (node == NULL || node->text.n == 0)
        return TERN_STR("");
    if (is_inside(node->text))
        return node->text;
    tern_problem_add(x->problems, place_of(x, node),
                     "%s: expected a file name inside the model's folder, got \"%.*s\"", key,
                     TERN_STR_ARG(node->text));
    return TERN_STR("");
}

/* ---- tensors ---- */

/* `key`: "dims", or "shape" of a reshape. */
static void extract_dims(const struct extractor *x, const struct tern_tree *message,
                         const char *key, struct tern_shape *ret_shape)
{
    int rank_max = x->config->max_batch_size > 0 ? TERN_RANK_MAX - 1 : TERN_RANK_MAX;

    ret_shape->rank = 0;
    for (const struct tern_tree *node = tern_config_node_first(message, key); node != NULL;
         node = node->next) {
        int64_t dim = 0;
        if (ret_shape->rank == rank_max) {
            tern_problem_add(x->problems, place_of(x, node), "%s: more than %d dimensions", key,
                             rank_max);
            return;
        }
        if (!tern_num_parse_i64(node->text, &dim))
            return; /* reported when the tree was bound */
        if (dim < -1 || dim == 0)
            tern_problem_add(x->problems, place_of(x, node),
                             "%s: expected a positive number, or -1 for any, got %lld", key,
                             (long long)dim);
        ret_shape->dim[ret_shape->rank++] = dim;
    }
}

static void extract_tensor(const struct extractor *x, const struct tern_tree *node,
                           const char *what, struct tern_config_tensor *ret)
{
    ret->name = tern_config_node_text(node, "name");
    ret->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    ret->has_dims = tern_tree_find(node, TERN_STR("dims")) != NULL;
    ret->optional = tern_config_node_bool(node, "optional");
    ret->ragged = tern_config_node_bool(node, "allow_ragged_batch");
    ret->label_filename = file_of(x, node, "label_filename");
    ret->place = place_of(x, node);
    extract_dims(x, node, "dims", &ret->dims);
    const struct tern_tree *reshape = tern_tree_find(node, TERN_STR("reshape"));
    ret->has_reshape = reshape != NULL;
    if (reshape != NULL)
        extract_dims(x, reshape, "shape", &ret->reshape);
    if (ret->name.n == 0)
        tern_problem_add(x->problems, ret->place, "%s: a name is missing", what);
}

static struct tern_config_tensor *extract_tensors(struct extractor *x, const char *what,
                                                  uint32_t *ret_n)
{
    uint32_t n = tern_config_node_count(x->config->tree, what);
    struct tern_config_tensor *rows;

    *ret_n = 0;
    if (n > TENSORS_MAX) {
        tern_problem_add(x->problems, x->config->file, "%s: more than %d", what, TENSORS_MAX);
        return NULL;
    }
    rows = many(x, n, sizeof(*rows));
    if (rows == NULL)
        return NULL;
    const struct tern_tree *node = tern_config_node_first(x->config->tree, what);
    for (uint32_t i = 0; i < n; i++, node = node->next) {
        extract_tensor(x, node, what, &rows[i]);
        for (uint32_t j = 0; j < i && rows[i].name.n > 0; j++) {
            if (tern_str_eq(rows[i].name, rows[j].name))
                tern_problem_add(x->problems, rows[i].place, "%s: \"%.*s\" is described twice",
                                 what, TERN_STR_ARG(rows[i].name));
        }
    }
    *ret_n = n;
    return rows;
}

/* ---- the rest, field by field ---- */

static void extract_versions(const struct extractor *x, const struct tern_tree *specific)
{
    struct tern_version_policy *policy = &x->config->version_policy;

    policy->kind = TERN_VERSION_POLICY_SPECIFIC;
    for (const struct tern_tree *node = tern_config_node_first(specific, "versions"); node != NULL;
         node = node->next) {
        int64_t version = 0;
        if (!tern_num_parse_i64(node->text, &version) || version < 1) {
            tern_problem_add(x->problems, place_of(x, node),
                             "versions: expected a number from 1, got \"%.*s\"",
                             TERN_STR_ARG(node->text));
        } else if (policy->n_specific == TERN_VERSION_POLICY_MAX) {
            tern_problem_add(x->problems, place_of(x, node), "versions: more than %d",
                             TERN_VERSION_POLICY_MAX);
            return;
        } else {
            policy->specific[policy->n_specific++] = version;
        }
    }
    if (policy->n_specific == 0)
        tern_problem_add(x->problems, place_of(x, specific), "versions: at least one is needed");
}

static void extract_version_policy(const struct extractor *x)
{
    const struct tern_tree *node = tern_tree_find(x->config->tree, TERN_STR("version_policy"));
    struct tern_version_policy *policy = &x->config->version_policy;

    *policy = (struct tern_version_policy){.kind = TERN_VERSION_POLICY_LATEST, .latest = 1};
    if (node == NULL || node->first == NULL)
        return;
    x->config->has_version_policy = true;
    const struct tern_tree *kind = node->first;
    if (tern_str_eq(kind->key, TERN_STR("all"))) {
        policy->kind = TERN_VERSION_POLICY_ALL;
    } else if (tern_str_eq(kind->key, TERN_STR("specific"))) {
        extract_versions(x, kind);
    } else {
        const struct tern_tree *number = tern_tree_find(kind, TERN_STR("num_versions"));
        uint64_t latest = tern_config_node_uint(kind, "num_versions");
        if (number != NULL && latest == 0)
            tern_problem_add(x->problems, place_of(x, number),
                             "num_versions: expected 1 or more, got %.*s",
                             TERN_STR_ARG(number->text));
        policy->latest = latest == 0 ? 1 : (uint32_t)latest;
    }
}

static void extract_transactions(const struct extractor *x)
{
    const struct tern_tree *node =
        tern_tree_find(x->config->tree, TERN_STR("model_transaction_policy"));

    x->config->decoupled = node != NULL && tern_config_node_bool(node, "decoupled");
}

static void extract_warmup_input(const struct extractor *x, const struct tern_tree *node,
                                 struct tern_config_warmup_input *ret)
{
    ret->name = node->key;
    ret->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    extract_dims(x, node, "dims", &ret->dims);
    ret->file = file_of(x, node, "input_data_file");
    ret->source = ret->file.n > 0                              ? TERN_WARMUP_FILE
                  : tern_config_node_bool(node, "random_data") ? TERN_WARMUP_RANDOM
                                                               : TERN_WARMUP_ZERO;
    if (ret->dtype == TERN_DTYPE_INVALID)
        tern_problem_add(x->problems, place_of(x, node), "model_warmup: a data_type is missing");
    for (int i = 0; i < ret->dims.rank; i++) {
        if (ret->dims.dim[i] == -1)
            tern_problem_add(x->problems, place_of(x, node),
                             "model_warmup: dims of a sample must be known, not -1");
    }
}

static void extract_warmup(struct extractor *x)
{
    uint32_t n = tern_config_node_count(x->config->tree, "model_warmup");
    struct tern_config_warmup *rows = many(x, n, sizeof(*rows));
    const struct tern_tree *node = tern_config_node_first(x->config->tree, "model_warmup");

    for (uint32_t i = 0; i < n && rows != NULL; i++, node = node->next) {
        uint32_t n_inputs = tern_config_node_count(node, "inputs");
        rows[i].name = tern_config_node_text(node, "name");
        rows[i].batch_size = tern_config_node_uint(node, "batch_size");
        rows[i].count =
            tern_config_node_uint(node, "count") == 0 ? 1 : tern_config_node_uint(node, "count");
        rows[i].inputs = many(x, n_inputs, sizeof(*rows[i].inputs));
        if (rows[i].inputs == NULL)
            return;
        if (rows[i].batch_size > (uint64_t)x->config->max_batch_size)
            tern_problem_add(x->problems, place_of(x, node),
                             "model_warmup: batch_size %llu is above max_batch_size (%lld)",
                             (unsigned long long)rows[i].batch_size,
                             (long long)x->config->max_batch_size);
        for (const struct tern_tree *input = tern_config_node_first(node, "inputs"); input != NULL;
             input = input->next)
            extract_warmup_input(x, input, &rows[i].inputs[rows[i].n_inputs++]);
    }
    x->config->warmup = rows;
    x->config->n_warmup = rows == NULL ? 0 : n;
}

static void extract_tags(struct extractor *x)
{
    struct tern_model_tag *rows =
        many(x, tern_config_node_count(x->config->tree, "metric_tags"), sizeof(*rows));
    uint32_t n = 0;

    for (const struct tern_tree *node = tern_config_node_first(x->config->tree, "metric_tags");
         node != NULL && rows != NULL; node = node->next)
        rows[n++] = (struct tern_model_tag){node->key, node->text};
    x->config->metric_tags = rows;
    x->config->n_metric_tags = n;
}

/* ---- sequences ---- */

static uint32_t float_bits(struct tern_str text)
{
    float value = (float)tern_model_schema_real(text);
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* START, READY and END say what stands for no and yes in one of three types. */
static void extract_yes_and_no(const struct extractor *x, const struct tern_tree *node,
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
        tern_problem_add(x->problems, place_of(x, node),
                         "%s: expected two values in one of int32_false_true, fp32_false_true and "
                         "bool_false_true",
                         tern_control_kind_name(control->kind));
}

static void extract_id_type(const struct extractor *x, const struct tern_tree *node,
                            struct tern_control *control)
{
    control->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    if (control->dtype != TERN_DTYPE_UINT64 && control->dtype != TERN_DTYPE_INT64 &&
        control->dtype != TERN_DTYPE_UINT32 && control->dtype != TERN_DTYPE_INT32 &&
        control->dtype != TERN_DTYPE_BYTES)
        tern_problem_add(x->problems, place_of(x, node),
                         "CONTROL_SEQUENCE_CORRID: expected a data_type of TYPE_UINT64, "
                         "TYPE_INT64, TYPE_UINT32, TYPE_INT32 or TYPE_STRING, got \"%.*s\"",
                         TERN_STR_ARG(tern_config_node_text(node, "data_type")));
}

static void extract_control(const struct extractor *x, const struct tern_tree *node,
                            struct tern_control *control)
{
    const struct tern_tree *what = tern_config_node_first(node, "control");

    *control = (struct tern_control){.name = tern_config_node_text(node, "name"),
                                     .place = place_of(x, node)};
    if (control->name.n == 0)
        tern_problem_add(x->problems, control->place, "control_input: a name is missing");
    if (what == NULL || what->next != NULL) {
        tern_problem_add(x->problems, control->place,
                         "control_input: expected one control for an input");
        return;
    }
    struct tern_str kind = tern_config_node_text(what, "kind");
    while (kind.n > 0 && control->kind < TERN_CONTROL_CORRID &&
           !tern_str_eq(kind, tern_str_of(tern_control_kind_name(control->kind))))
        control->kind++;
    if (control->kind == TERN_CONTROL_CORRID)
        extract_id_type(x, what, control);
    else
        extract_yes_and_no(x, what, control);
}

static void extract_controls(struct extractor *x, const struct tern_tree *batching,
                             struct tern_sequencing *sequencing)
{
    uint32_t n = tern_config_node_count(batching, "control_input");
    const struct tern_tree *node = tern_config_node_first(batching, "control_input");

    if (n > TERN_CONTROL_KINDS) {
        tern_problem_add(x->problems, place_of(x, batching), "control_input: more than %d",
                         TERN_CONTROL_KINDS);
        return;
    }
    sequencing->controls = many(x, n, sizeof(*sequencing->controls));
    for (uint32_t i = 0; i < n && sequencing->controls != NULL; i++, node = node->next) {
        struct tern_control *control = &sequencing->controls[sequencing->n_controls++];
        extract_control(x, node, control);
        for (uint32_t j = 0; j < i; j++) {
            if (sequencing->controls[j].kind == control->kind ||
                tern_str_eq(sequencing->controls[j].name, control->name))
                tern_problem_add(
                    x->problems, control->place, "control_input: a second one for \"%.*s\" or %s",
                    TERN_STR_ARG(control->name), tern_control_kind_name(control->kind));
        }
    }
}

/* What the first request of a sequence sees: zeros, of one element where a dim is free, or a file.
 */
static void extract_first_state(const struct extractor *x, const struct tern_tree *node,
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
        tern_problem_add(x->problems, place_of(x, first->next),
                         "initial_state: expected one for a state");
    state->first.rank = 0;
    extract_dims(x, first, "dims", &state->first);
    state->file = file_of(x, first, "data_file");
    if (tern_dtype_from_config_name(tern_config_node_text(first, "data_type")) != state->dtype) {
        tern_dtype_config_name(state->dtype, want);
        tern_problem_add(x->problems, place_of(x, first), "initial_state: expected data_type %s",
                         want);
    }
    if (!tern_shape_fits(&state->shape, &state->first))
        tern_problem_add(x->problems, place_of(x, first),
                         "initial_state: its dims do not fit those of the state");
    for (int i = 0; i < state->first.rank; i++) {
        if (state->first.dim[i] < 0)
            tern_problem_add(x->problems, place_of(x, first),
                             "initial_state: dims must be known, not -1");
    }
}

static void extract_state(const struct extractor *x, const struct tern_tree *node,
                          struct tern_state *state)
{
    state->input_name = tern_config_node_text(node, "input_name");
    state->output_name = tern_config_node_text(node, "output_name");
    state->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    state->place = place_of(x, node);
    extract_dims(x, node, "dims", &state->shape);
    if (state->input_name.n == 0 || state->output_name.n == 0)
        tern_problem_add(x->problems, state->place,
                         "state: expected an input_name and an output_name");
    if (state->dtype == TERN_DTYPE_INVALID)
        tern_problem_add(x->problems, state->place, "state: a data_type is missing");
    for (uint32_t i = 0; i < x->config->n_outputs; i++)
        state->is_shown |= tern_str_eq(x->config->outputs[i].name, state->output_name);
    extract_first_state(x, node, state);
}

static void extract_states(struct extractor *x, const struct tern_tree *batching,
                           struct tern_sequencing *sequencing)
{
    uint32_t n = tern_config_node_count(batching, "state");
    const struct tern_tree *node = tern_config_node_first(batching, "state");

    if (n > TERN_SEQUENCE_STATES_MAX || (n > 0 && x->config->decoupled)) {
        tern_problem_add(x->problems, place_of(x, batching), "state: %s",
                         n > TERN_SEQUENCE_STATES_MAX
                             ? "too many"
                             : "a decoupled model has none, it answers too often");
        return;
    }
    sequencing->states = many(x, n, sizeof(*sequencing->states));
    for (uint32_t i = 0; i < n && sequencing->states != NULL; i++, node = node->next) {
        struct tern_state *state = &sequencing->states[sequencing->n_states++];
        extract_state(x, node, state);
        for (uint32_t j = 0; j < i; j++) {
            if (tern_str_eq(sequencing->states[j].input_name, state->input_name) ||
                tern_str_eq(sequencing->states[j].output_name, state->output_name))
                tern_problem_add(x->problems, state->place,
                                 "state: a second one with an input or output of that name");
        }
    }
}

static void extract_direct(const struct extractor *x, const struct tern_tree *node,
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
        tern_problem_add(x->problems, place_of(x, node),
                         "minimum_slot_utilization: expected 0 to 1, got %.*s", TERN_STR_ARG(part));
}

static void extract_sequences(struct extractor *x)
{
    const struct tern_tree *node = tern_tree_find(x->config->tree, TERN_STR("sequence_batching"));
    struct tern_sequencing *sequencing = node == NULL ? NULL : many(x, 1, sizeof(*sequencing));
    uint64_t idle_us;

    x->config->sequencing = sequencing;
    if (sequencing == NULL)
        return;
    idle_us = tern_config_node_uint(node, "max_sequence_idle_microseconds");
    if (idle_us == 0)
        sequencing->max_idle_ns = TERN_SEQUENCE_IDLE_NS;
    else if (__builtin_mul_overflow(idle_us, UINT64_C(1000), &sequencing->max_idle_ns))
        sequencing->max_idle_ns = UINT64_MAX;
    extract_direct(x, tern_tree_find(node, TERN_STR("direct")), sequencing);
    const struct tern_tree *oldest = tern_tree_find(node, TERN_STR("oldest"));
    sequencing->direct = oldest == NULL;
    sequencing->iterative = tern_config_node_bool(node, "iterative_sequence");
    if (oldest != NULL) {
        int64_t most = tern_config_node_int(oldest, "max_candidate_sequences");
        if (most < 0 || most > TERN_SEQUENCE_SLOTS_MAX)
            tern_problem_add(x->problems, place_of(x, oldest),
                             "max_candidate_sequences: expected at most %u, got %lld",
                             TERN_SEQUENCE_SLOTS_MAX, (long long)most);
        sequencing->slots_per_instance = most < 1 ? 0 : (uint64_t)most; /* 0: the largest batch */
    }
    extract_controls(x, node, sequencing);
    for (uint32_t i = 0; i < sequencing->n_controls; i++)
        sequencing->says_ready |= sequencing->controls[i].kind == TERN_CONTROL_READY;
    extract_states(x, node, sequencing);
}

/* ---- options of the engine ---- */

static void add_option(struct extractor *x, struct tern_str key, struct tern_str value)
{
    if (key.p == NULL)
        say_no_memory(x);
    else
        x->config->options[x->config->n_options++] = (struct tern_engine_option){key, value};
}

static void add_accelerators(struct extractor *x, const struct tern_tree *accelerators,
                             const char *key)
{
    for (const struct tern_tree *a = tern_config_node_first(accelerators, key); a != NULL;
         a = a->next) {
        struct tern_str name = tern_config_node_text(a, "name");
        add_option(x, TERN_STR("execution_providers"), name);
        for (const struct tern_tree *p = tern_config_node_first(a, "parameters"); p != NULL;
             p = p->next)
            add_option(
                x,
                tern_arena_printf(x->arena, "%.*s.%.*s", TERN_STR_ARG(name), TERN_STR_ARG(p->key)),
                p->text);
    }
}

static uint32_t count_accelerators(const struct tern_tree *accelerators, const char *key)
{
    uint32_t n = 0;

    for (const struct tern_tree *a = tern_config_node_first(accelerators, key); a != NULL;
         a = a->next)
        n += 1 + tern_config_node_count(a, "parameters");
    return n;
}

/* The numbers are those of Triton's ONNX Runtime backend. */
static struct tern_str graph_level(int64_t level)
{
    return level == -1  ? TERN_STR("basic")
           : level == 1 ? TERN_STR("extended")
           : level == 2 ? TERN_STR("none")
                        : TERN_STR("all");
}

static void extract_options(struct extractor *x)
{
    static const struct tern_tree none = {.kind = TERN_TREE_MAP};
    const struct tern_tree *tree = x->config->tree;
    const struct tern_tree *optimization = tern_tree_find(tree, TERN_STR("optimization"));
    const struct tern_tree *graph =
        optimization == NULL ? NULL : tern_tree_find(optimization, TERN_STR("graph"));
    const struct tern_tree *accelerators =
        optimization == NULL ? NULL
                             : tern_tree_find(optimization, TERN_STR("execution_accelerators"));

    if (accelerators == NULL)
        accelerators = &none;
    x->config->options = many(x,
                              tern_config_node_count(tree, "parameters") + 1 +
                                  count_accelerators(accelerators, "gpu_execution_accelerator") +
                                  count_accelerators(accelerators, "cpu_execution_accelerator"),
                              sizeof(*x->config->options));
    if (x->config->options == NULL)
        return;
    for (const struct tern_tree *p = tern_config_node_first(tree, "parameters"); p != NULL;
         p = p->next) {
        if (!tern_model_config_scheduling_owns(p->key))
            add_option(x, p->key, tern_config_node_text(p, "string_value"));
    }
    if (graph != NULL)
        add_option(x, TERN_STR("graph_optimization_level"),
                   graph_level(tern_config_node_int(graph, "level")));
    add_accelerators(x, accelerators, "gpu_execution_accelerator");
    add_accelerators(x, accelerators, "cpu_execution_accelerator");
}

void tern_model_config_extract(struct tern_model_config *config, struct tern_arena *arena,
                               struct tern_problems *problems)
{
    struct extractor x = {config, arena, problems, false};
    const struct tern_tree *tree = config->tree;
    const struct tern_tree *batch = tern_tree_find(tree, TERN_STR("max_batch_size"));

    config->name = tern_config_node_text(tree, "name");
    config->platform = tern_config_node_text(tree, "platform");
    config->backend = tern_config_node_text(tree, "backend");
    config->default_model_filename = file_of(&x, tree, "default_model_filename");
    config->has_max_batch_size = batch != NULL;
    config->max_batch_size = tern_config_node_int(tree, "max_batch_size");
    if (batch != NULL && config->max_batch_size < 0) {
        tern_problem_add(problems, place_of(&x, batch),
                         "max_batch_size: expected 0 or more, got %lld",
                         (long long)config->max_batch_size);
        config->max_batch_size = 0;
    }
    config->inputs = extract_tensors(&x, "input", &config->n_inputs);
    config->outputs = extract_tensors(&x, "output", &config->n_outputs);
    extract_version_policy(&x);
    extract_transactions(&x);
    extract_sequences(&x);
    config->ensembling = tern_ensembling_read(config, arena, problems);
    extract_warmup(&x);
    extract_tags(&x);
    extract_options(&x);
    tern_model_config_scheduling_read(config, arena, problems);
}
