/* Tensors of the model that the batch itself fills, cuts or counts: batch_input, batch_output,
 * ragged inputs and the input whose elements cost. */
#include "registry/model_config_scheduling_int.h"

/* The index of a tensor of the model; a mistake when there is none. */
static bool find(const struct tern_config_reader *r, const struct tern_tree *name,
                 const char *field, const char *what, const struct tern_tensor_spec *specs,
                 uint32_t n, uint32_t *ret_index)
{
    const struct tern_tensor_spec *spec = tern_model_find_spec(specs, n, name->text);

    if (spec == NULL) {
        tern_problem_add(r->problems, tern_config_reader_place(r, name),
                         "%s: the model has no %s \"%.*s\"", field, what, TERN_STR_ARG(name->text));
        return false;
    }
    *ret_index = (uint32_t)(spec - specs);
    return true;
}

/* The one source_input of a batch_input or batch_output. */
static bool find_source(const struct tern_config_reader *r, const struct tern_tree *node,
                        const char *field, const struct tern_engine_model *model,
                        uint32_t *ret_index)
{
    uint32_t n = tern_config_node_count(node, "source_input");

    if (n != 1) {
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "%s: expected one source_input, got %u", field, n);
        return false;
    }
    return find(r, tern_config_node_first(node, "source_input"), field, "input", model->inputs,
                model->n_inputs, ret_index);
}

static enum tern_batch_input_kind kind_of(struct tern_str name)
{
    static const char *const names[] = {
        [TERN_BATCH_ELEMENT_COUNT] = "BATCH_ELEMENT_COUNT",
        [TERN_BATCH_ACCUMULATED_ELEMENT_COUNT] = "BATCH_ACCUMULATED_ELEMENT_COUNT",
        [TERN_BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO] =
            "BATCH_ACCUMULATED_ELEMENT_COUNT_WITH_ZERO",
        [TERN_BATCH_MAX_ELEMENT_COUNT_AS_SHAPE] = "BATCH_MAX_ELEMENT_COUNT_AS_SHAPE",
        [TERN_BATCH_ITEM_SHAPE] = "BATCH_ITEM_SHAPE",
        [TERN_BATCH_ITEM_SHAPE_FLATTEN] = "BATCH_ITEM_SHAPE_FLATTEN",
    };
    uint32_t kind = 0;

    while (kind + 1 < TERN_COUNT_OF(names) && !tern_str_eq(name, tern_str_of(names[kind])))
        kind++;
    /* Left out is the first; what is no kind was reported when the tree was bound. */
    return name.n == 0 ? TERN_BATCH_ELEMENT_COUNT : (enum tern_batch_input_kind)kind;
}

/* One number a request, or for ITEM_SHAPE one row of them. */
static void check_target(const struct tern_config_reader *r, const struct tern_tree *name,
                         const struct tern_batch_input *row, const struct tern_engine_model *model)
{
    const struct tern_tensor_spec *spec = &model->inputs[row->input];
    int rank = row->kind == TERN_BATCH_ITEM_SHAPE ? 2 : 1;
    char want[16], has[16], shape[160];

    tern_dtype_config_name(row->dtype, want);
    tern_dtype_config_name(spec->dtype, has);
    if (spec->dtype != row->dtype)
        tern_problem_add(r->problems, tern_config_reader_place(r, name),
                         "batch_input: \"%.*s\" is made as %s, the model has %s",
                         TERN_STR_ARG(name->text), want, has);
    if (spec->shape.rank != rank || spec->shape.dim[0] != -1)
        tern_problem_add(r->problems, tern_config_reader_place(r, name),
                         "batch_input: \"%.*s\" is made with %d free dimension%s, the model has %s",
                         TERN_STR_ARG(name->text), rank, rank == 1 ? "" : "s",
                         tern_shape_print(&spec->shape, shape, sizeof(shape)));
    if (row->input == row->source)
        tern_problem_add(r->problems, tern_config_reader_place(r, name),
                         "batch_input: \"%.*s\" cannot be made from itself",
                         TERN_STR_ARG(name->text));
}

static void tie_batch_input(struct tern_config_reader *r, const struct tern_tree *node,
                            const struct tern_engine_model *model, struct tern_batch_input *rows)
{
    struct tern_batch_input row = {
        .kind = kind_of(tern_config_node_text(node, "kind")),
        .dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"))};

    if (row.dtype != TERN_DTYPE_INT32 && row.dtype != TERN_DTYPE_FP32) {
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "batch_input: expected a data_type of TYPE_INT32 or TYPE_FP32");
        return;
    }
    if (tern_config_node_count(node, "target_name") == 0)
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "batch_input: a target_name is missing");
    if (!find_source(r, node, "batch_input", model, &row.source))
        return;
    for (const struct tern_tree *name = tern_config_node_first(node, "target_name"); name != NULL;
         name = name->next) {
        if (!find(r, name, "batch_input", "input", model->inputs, model->n_inputs, &row.input))
            continue;
        check_target(r, name, &row, model);
        if (tern_scheduling_fills(r->config->scheduling, row.input))
            tern_problem_add(r->problems, tern_config_reader_place(r, name),
                             "batch_input: \"%.*s\" is made twice", TERN_STR_ARG(name->text));
        else
            rows[r->config->scheduling->n_batch_inputs++] = row;
    }
}

static void tie_batch_output(struct tern_config_reader *r, const struct tern_tree *node,
                             const struct tern_engine_model *model, struct tern_batch_output *rows)
{
    struct tern_batch_output row = {0};

    if (tern_config_node_count(node, "target_name") == 0)
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         "batch_output: a target_name is missing");
    if (!find_source(r, node, "batch_output", model, &row.source))
        return;
    for (const struct tern_tree *name = tern_config_node_first(node, "target_name"); name != NULL;
         name = name->next) {
        if (!find(r, name, "batch_output", "output", model->outputs, model->n_outputs, &row.output))
            continue;
        if (tern_scheduling_scatters(r->config->scheduling, row.output))
            tern_problem_add(r->problems, tern_config_reader_place(r, name),
                             "batch_output: \"%.*s\" is cut twice", TERN_STR_ARG(name->text));
        else
            rows[r->config->scheduling->n_batch_outputs++] = row;
    }
}

void tern_scheduling_tie_batch_tensors(struct tern_config_reader *r,
                                       const struct tern_engine_model *model)
{
    const struct tern_tree *tree = r->config->tree;
    struct tern_batch_input *inputs = tern_config_reader_many(r, model->n_inputs, sizeof(*inputs));
    struct tern_batch_output *outputs =
        tern_config_reader_many(r, model->n_outputs, sizeof(*outputs));

    if (inputs == NULL || outputs == NULL)
        return;
    r->config->scheduling->batch_inputs = inputs;
    r->config->scheduling->batch_outputs = outputs;
    for (const struct tern_tree *node = tern_config_node_first(tree, "batch_input"); node != NULL;
         node = node->next)
        tie_batch_input(r, node, model, inputs);
    for (const struct tern_tree *node = tern_config_node_first(tree, "batch_output"); node != NULL;
         node = node->next)
        tie_batch_output(r, node, model, outputs);
    for (uint32_t i = 0; i < r->config->scheduling->n_batch_inputs; i++) {
        if (tern_scheduling_fills(r->config->scheduling, inputs[i].source))
            tern_problem_add(r->problems, r->config->file,
                             "batch_input: \"%.*s\" is itself made from the batch",
                             TERN_STR_ARG(model->inputs[inputs[i].source].name));
    }
}

void tern_scheduling_tie_ragged(struct tern_config_reader *r, const struct tern_engine_model *model)
{
    bool *ragged = NULL;
    char shape[160];

    for (uint32_t i = 0; i < model->n_inputs && r->config->max_batch_size > 0; i++) {
        const struct tern_tensor_spec *spec = &model->inputs[i];
        const struct tern_config_tensor *said =
            tern_model_config_find(r->config->inputs, r->config->n_inputs, spec->name);
        if (said == NULL || !said->ragged)
            continue;
        if (ragged == NULL)
            ragged = tern_config_reader_many(r, model->n_inputs, sizeof(*ragged));
        if (ragged == NULL)
            return;
        ragged[i] = true;
        if (spec->shape.rank != 1 || spec->shape.dim[0] != -1)
            tern_problem_add(r->problems, said->place,
                             "input \"%.*s\" allows ragged batches, so the model must take it as "
                             "[-1]; it has %s",
                             TERN_STR_ARG(spec->name),
                             tern_shape_print(&spec->shape, shape, sizeof(shape)));
    }
    r->config->scheduling->ragged = ragged;
}

void tern_scheduling_tie_cost(struct tern_config_reader *r, const struct tern_engine_model *model)
{
    const struct tern_tree *node = r->config->scheduling->max_cost == 0
                                       ? NULL
                                       : tern_config_reader_parameter(r, TERN_SCHEDULING_COST);
    struct tern_str name;

    if (node == NULL)
        return;
    name = tern_config_node_text(node, "string_value");
    const struct tern_tensor_spec *spec =
        tern_model_find_spec(model->inputs, model->n_inputs, name);
    if (spec == NULL || tern_sequencing_fills(r->config->sequencing, name) ||
        tern_scheduling_fills(r->config->scheduling, (uint32_t)(spec - model->inputs)))
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
                         TERN_SCHEDULING_COST ": clients send no input \"%.*s\"",
                         TERN_STR_ARG(name));
    else
        r->config->scheduling->cost_input = (uint32_t)(spec - model->inputs);
}
