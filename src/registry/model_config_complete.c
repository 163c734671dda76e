/* Completing a configuration from the model itself: what the file says against what the model has,
 * and what clients see of it. */
#include "registry/model_config.h"

#include "os/file.h"
#include "registry/model_config_fill.h"
#include "registry/model_config_scheduling.h"

struct completer {
    struct tern_model_config *config;
    const char *folder;
    const struct tern_engine_model *model;
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool out_of_memory;
};

/* ---- one tensor: what the file says against what the model has ---- */

/* A known dimension wins over -1; two known ones must be equal. */
static bool merge_shape(struct tern_shape *shape, const struct tern_shape *said)
{
    if (shape->rank != said->rank)
        return false;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] == -1)
            shape->dim[i] = said->dim[i];
        else if (said->dim[i] != -1 && said->dim[i] != shape->dim[i])
            return false;
    }
    return true;
}

static void shapes_differ(struct completer *c, const char *what,
                          const struct tern_config_tensor *said,
                          const struct tern_tensor_spec *spec)
{
    char file_dims[160], model_dims[160];
    const struct tern_shape *dims = said->has_reshape ? &said->reshape : &said->dims;
    bool batch_left_out = c->config->max_batch_size == 0 && spec->shape.rank > 0 &&
                          spec->shape.dim[0] == -1 && dims->rank == spec->shape.rank - 1;

    tern_problem_add(c->problems, said->place, "%s \"%.*s\" has %s %s%s, the model has %s%s", what,
                     TERN_STR_ARG(said->name), said->has_reshape ? "reshape" : "dims",
                     tern_shape_print(dims, file_dims, sizeof(file_dims)),
                     c->config->max_batch_size > 0 ? " after the batch dimension" : "",
                     tern_shape_print(&spec->shape, model_dims, sizeof(model_dims)),
                     batch_left_out ? "; dims leave out the batch dimension only when "
                                      "max_batch_size is above 0"
                                    : "");
}

/* Elements that the known dims make, and how many are free. */
static void measure_shape(const struct tern_shape *shape, uint64_t *ret_product, int *ret_free)
{
    *ret_product = 1;
    *ret_free = 0;
    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0)
            (*ret_free)++;
        else if (__builtin_mul_overflow(*ret_product, (uint64_t)shape->dim[i], ret_product))
            *ret_product = 0;
    }
}

/* Clients see dims, the model has reshape: as many elements whatever the free dims are. */
static void check_reshape(struct completer *c, const char *what,
                          const struct tern_config_tensor *said, struct tern_tensor_spec *spec,
                          struct tern_shape *ret_model_shape)
{
    struct tern_shape client = tern_model_config_whole(c->config, &said->dims);
    struct tern_shape whole = tern_model_config_whole(c->config, &said->reshape);
    struct tern_shape merged = spec->shape;
    uint64_t said_product, reshape_product;
    int said_free, reshape_free;

    measure_shape(&said->dims, &said_product, &said_free);
    measure_shape(&said->reshape, &reshape_product, &reshape_free);
    if (!said->has_dims)
        tern_problem_add(c->problems, said->place, "%s \"%.*s\" has a reshape, but no dims", what,
                         TERN_STR_ARG(said->name));
    else if (said_product != reshape_product || said_free != reshape_free || said_product == 0)
        tern_problem_add(c->problems, said->place,
                         "%s \"%.*s\": dims and reshape do not hold the same number of elements, "
                         "with as many -1 in each",
                         what, TERN_STR_ARG(said->name));
    else if (!merge_shape(&merged, &whole))
        shapes_differ(c, what, said, spec);
    *ret_model_shape = whole;
    spec->shape = client;
}

static void check_dims(struct completer *c, const char *what, const struct tern_config_tensor *said,
                       struct tern_tensor_spec *spec)
{
    struct tern_shape whole = tern_model_config_whole(c->config, &said->dims);
    struct tern_shape merged = spec->shape;

    if (said->has_dims && !merge_shape(&merged, &whole))
        shapes_differ(c, what, said, spec);
    else if (said->has_dims)
        spec->shape = merged;
}

/* What the batch flattens, or cuts into pieces, has another shape for clients than for the model.
 */
static void take_client_dims(struct completer *c, const char *what,
                             const struct tern_config_tensor *said, struct tern_tensor_spec *spec)
{
    if (said == NULL || !said->has_dims || said->has_reshape)
        tern_problem_add(c->problems, said == NULL ? c->config->file : said->place,
                         "%s \"%.*s\" is made of a whole batch: expected dims and no reshape", what,
                         TERN_STR_ARG(spec->name));
    else
        spec->shape = tern_model_config_whole(c->config, &said->dims);
}

static void check_tensor(struct completer *c, const char *what,
                         const struct tern_config_tensor *said, struct tern_tensor_spec *spec)
{
    char said_type[16], model_type[16];

    if (said->dtype != TERN_DTYPE_INVALID && said->dtype != spec->dtype) {
        tern_dtype_config_name(said->dtype, said_type);
        tern_dtype_config_name(spec->dtype, model_type);
        tern_problem_add(c->problems, said->place, "%s \"%.*s\" has data_type %s, the model has %s",
                         what, TERN_STR_ARG(said->name), said_type, model_type);
    }
    if (said->optional && !spec->optional)
        tern_problem_add(c->problems, said->place,
                         "%s \"%.*s\" is called optional, but the model needs it", what,
                         TERN_STR_ARG(said->name));
    if (said->label_filename.n > 0 && c->folder != NULL) {
        const char *path = tern_file_join(c->arena, c->folder, said->label_filename);
        c->out_of_memory |= path == NULL;
        spec->label_path = tern_str_of(path);
    }
}

static void check_batch_dim(struct completer *c, const char *what,
                            const struct tern_tensor_spec *spec)
{
    char dims[160];

    if (c->config->max_batch_size == 0 || (spec->shape.rank > 0 && spec->shape.dim[0] == -1))
        return;
    tern_problem_add(c->problems, c->config->file,
                     "max_batch_size is %lld, but %s \"%.*s\" has no free first dimension: the "
                     "model has %s",
                     (long long)c->config->max_batch_size, what, TERN_STR_ARG(spec->name),
                     tern_shape_print(&spec->shape, dims, sizeof(dims)));
}

/* ---- all of them, and the names ---- */

/* The engine's tensor i as clients would see it. */
static void complete_tensor(struct completer *c, const char *what, uint32_t i,
                            const struct tern_config_tensor *said, struct tern_tensor_spec *spec,
                            struct tern_shape *ret_model_shape)
{
    const struct tern_scheduling *s = c->config->scheduling;
    bool is_input = what[0] == 'i';

    ret_model_shape->rank = -1;
    if (is_input && tern_scheduling_fills(s, i))
        return;
    if (said != NULL)
        check_tensor(c, what, said, spec);
    if (is_input ? s->ragged != NULL && s->ragged[i] : tern_scheduling_scatters(s, i)) {
        take_client_dims(c, what, said, spec);
        return;
    }
    check_batch_dim(c, what, spec);
    if (said != NULL && said->has_reshape)
        check_reshape(c, what, said, spec, ret_model_shape);
    else if (said != NULL)
        check_dims(c, what, said, spec);
}

static struct tern_tensor_spec *complete_tensors(struct completer *c, const char *what,
                                                 const struct tern_tensor_spec *model, uint32_t n,
                                                 const struct tern_config_tensor *said,
                                                 uint32_t n_said, struct tern_shape **ret_shapes)
{
    struct tern_tensor_spec *specs = tern_arena_zalloc(c->arena, n == 0 ? 1 : n, sizeof(*specs));
    struct tern_shape *shapes = tern_arena_zalloc(c->arena, n == 0 ? 1 : n, sizeof(*shapes));

    *ret_shapes = shapes;
    if (specs == NULL || shapes == NULL) {
        c->out_of_memory = true;
        return NULL;
    }
    for (uint32_t i = 0; i < n; i++) {
        specs[i] = model[i];
        complete_tensor(c, what, i, tern_model_config_find(said, n_said, model[i].name), &specs[i],
                        &shapes[i]);
    }
    for (uint32_t i = 0; i < n_said; i++) {
        bool known = false;
        for (uint32_t j = 0; j < n && !known; j++)
            known = tern_str_eq(model[j].name, said[i].name);
        if (!known && said[i].name.n > 0)
            tern_problem_add(c->problems, said[i].place, "the model has no %s \"%.*s\"; %s%.*s%s",
                             what, TERN_STR_ARG(said[i].name), n == 0 ? "it has none" : "it has \"",
                             TERN_STR_ARG(n == 0 ? TERN_STR("") : model[0].name),
                             n == 0 ? "" : (n == 1 ? "\"" : "\" and others"));
    }
    return specs;
}

static bool reshapes(const struct tern_model_config *config)
{
    bool any = false;

    for (uint32_t i = 0; i < config->n_inputs; i++)
        any |= config->inputs[i].has_reshape;
    for (uint32_t i = 0; i < config->n_outputs; i++)
        any |= config->outputs[i].has_reshape;
    return any;
}

/* Where the file gives a field of the model itself. */
static struct tern_str place_of(struct completer *c, const char *key)
{
    const struct tern_tree *node = tern_tree_find(c->config->tree, tern_str_of(key));

    return node == NULL
               ? c->config->file
               : tern_problem_place(c->problems, c->config->file, node->line, node->column);
}

/* Whether the engine goes by that name of a backend at other servers. */
static bool is_also(const struct tern_engine_ops *ops, struct tern_str backend)
{
    if (ops == NULL || ops->also == NULL)
        return false;
    for (const char *const *name = ops->also; *name != NULL; name++) {
        if (tern_str_eq(backend, tern_str_of(*name)))
            return true;
    }
    return false;
}

static void check_names(struct completer *c, struct tern_str model_name)
{
    struct tern_model_config *config = c->config;
    struct tern_str backend = tern_str_of(c->model->backend);
    struct tern_str platform = tern_str_of(c->model->platform);

    if (config->name.n > 0 && !tern_str_eq(config->name, model_name))
        tern_problem_add(
            c->problems, place_of(c, "name"),
            "unexpected directory name '%.*s' for model '%.*s', directory name must equal "
            "model name",
            TERN_STR_ARG(model_name), TERN_STR_ARG(config->name));
    if (is_also(c->model->ops, config->backend))
        backend = config->backend;
    if (config->backend.n > 0 && !tern_str_eq(config->backend, backend))
        tern_problem_add(c->problems, place_of(c, "backend"),
                         "backend is \"%.*s\", but the model's file is one for \"%.*s\"",
                         TERN_STR_ARG(config->backend), TERN_STR_ARG(backend));
    if (config->platform.n > 0 && !tern_str_eq(config->platform, platform))
        tern_problem_add(c->problems, place_of(c, "platform"),
                         "platform is \"%.*s\", but the model's file is one for \"%.*s\"",
                         TERN_STR_ARG(config->platform), TERN_STR_ARG(platform));
    config->name = model_name;
    config->backend = backend;
    config->platform = platform;
}

/* ---- max_batch_size that nobody gave ---- */

/* Every first dimension is free, and the dims that the file gives leave it out. */
static bool can_batch(const struct tern_tensor_spec *specs, uint32_t n,
                      const struct tern_config_tensor *said, uint32_t n_said)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_config_tensor *row = tern_model_config_find(said, n_said, specs[i].name);
        if (specs[i].shape.rank == 0 || specs[i].shape.dim[0] != -1 ||
            (row != NULL && row->has_dims && row->dims.rank != specs[i].shape.rank - 1))
            return false;
    }
    return true;
}

static void take_default_batch(struct completer *c,
                               const struct tern_model_config_settings *settings)
{
    struct tern_model_config *config = c->config;
    int64_t size = settings->default_max_batch_size;
    static const char *const schedulers[] = {"dynamic_batching", "sequence_batching"};
    bool scheduled = false;

    if (config->has_max_batch_size || size <= 0 || config->ensembling != NULL ||
        !can_batch(c->model->inputs, c->model->n_inputs, config->inputs, config->n_inputs) ||
        !can_batch(c->model->outputs, c->model->n_outputs, config->outputs, config->n_outputs))
        return;
    config->max_batch_size = size;
    for (size_t i = 0; i < TERN_COUNT_OF(schedulers); i++)
        scheduled |= tern_tree_find(config->tree, tern_str_of(schedulers[i])) != NULL;
    bool dynamic = !scheduled && size > 1;
    c->out_of_memory |= !tern_model_config_fill_batches(config, dynamic, c->arena);
    if (dynamic && settings->batching == TERN_BATCHING_RULE_CONFIGURED)
        config->scheduling->batching = TERN_BATCHING_CONFIGURED;
}

/* ---- nothing is completed: what has to be there ---- */

/* Whether the server sends or takes the tensor itself. */
static bool is_served(const struct completer *c, const char *what, uint32_t i, struct tern_str name)
{
    return what[0] == 'i' ? tern_sequencing_fills(c->config->sequencing, name) ||
                                tern_scheduling_fills(c->config->scheduling, i)
                          : tern_sequencing_hides(c->config->sequencing, name);
}

static void demand_tensors(struct completer *c, const char *what,
                           const struct tern_tensor_spec *specs, uint32_t n,
                           const struct tern_config_tensor *said, uint32_t n_said)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct tern_config_tensor *row = tern_model_config_find(said, n_said, specs[i].name);
        if (is_served(c, what, i, specs[i].name))
            continue;
        if (row == NULL)
            tern_problem_add(c->problems, c->config->file,
                             "%s \"%.*s\" is not described, and nothing is completed "
                             "(model.auto_complete is off)",
                             what, TERN_STR_ARG(specs[i].name));
        else if (!row->has_dims || row->dtype == TERN_DTYPE_INVALID)
            tern_problem_add(c->problems, row->place,
                             "%s \"%.*s\" needs %s: nothing is completed (model.auto_complete is "
                             "off)",
                             what, TERN_STR_ARG(row->name), row->has_dims ? "data_type" : "dims");
    }
}

/* ---- what is left for clients ---- */

/* Those that clients see of inputs or outputs. */
static bool keep_seen(struct completer *c, const char *what, struct tern_tensor_spec *specs,
                      uint32_t n, struct tern_tensor_spec **ret_specs, uint32_t *ret_n,
                      const uint32_t **ret_at)
{
    bool *hidden = tern_arena_zalloc(c->arena, n + 1, sizeof(*hidden));

    for (uint32_t i = 0; i < n && hidden != NULL; i++)
        hidden[i] = is_served(c, what, i, specs[i].name);
    bool ok =
        hidden != NULL && tern_seen_keep(specs, n, hidden, c->arena, ret_specs, ret_n, ret_at);
    c->out_of_memory |= !ok;
    return ok;
}

/* What is left for clients to send and to get. */
static bool take_seen(struct completer *c, struct tern_model_config_specs *specs)
{
    struct tern_sequencing *sequencing = c->config->sequencing;

    if (sequencing != NULL) {
        sequencing->batched = c->config->max_batch_size > 0;
        if (sequencing->slots_per_instance == 0)
            sequencing->slots_per_instance =
                sequencing->batched ? (uint64_t)c->config->max_batch_size : 1;
        tern_sequencing_tie(sequencing, c->model, c->problems);
    }
    return keep_seen(c, "input", specs->inputs, c->model->n_inputs, &specs->seen.inputs,
                     &specs->seen.n_inputs, &specs->seen.input_at) &&
           keep_seen(c, "output", specs->outputs, c->model->n_outputs, &specs->seen.outputs,
                     &specs->seen.n_outputs, &specs->seen.output_at);
}

/* ---- the whole ---- */

void tern_model_config_complete(struct tern_model_config *config,
                                const struct tern_model_config_settings *settings,
                                const struct tern_model_config_subject *subject,
                                struct tern_arena *arena, struct tern_model_config_specs *ret_specs,
                                struct tern_problems *problems)
{
    const struct tern_engine_model *model = subject->model;
    struct completer c = {config, subject->folder, model, arena, problems, false};
    struct tern_model_config_specs specs = {.inputs = NULL};

    if (!settings->strict)
        take_default_batch(&c, settings);
    c.out_of_memory |= !tern_model_config_scheduling_tie(config, settings, model, arena, problems);
    if (settings->strict) {
        demand_tensors(&c, "input", model->inputs, model->n_inputs, config->inputs,
                       config->n_inputs);
        demand_tensors(&c, "output", model->outputs, model->n_outputs, config->outputs,
                       config->n_outputs);
    }
    specs.max_batch_size = config->max_batch_size;
    check_names(&c, subject->name);
    specs.inputs = complete_tensors(&c, "input", model->inputs, model->n_inputs, config->inputs,
                                    config->n_inputs, &specs.input_shapes);
    specs.outputs = complete_tensors(&c, "output", model->outputs, model->n_outputs,
                                     config->outputs, config->n_outputs, &specs.output_shapes);
    if (!reshapes(config))
        specs.input_shapes = specs.output_shapes = NULL;
    bool seen = specs.inputs != NULL && specs.outputs != NULL && take_seen(&c, &specs);
    c.out_of_memory |= !tern_model_config_fill(config, subject, seen ? &specs.seen : NULL, arena);
    if (c.out_of_memory)
        tern_problem_add(problems, config->file, "the configuration is too large for its memory");
    *ret_specs = specs;
}
