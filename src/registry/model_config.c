/* Completing a configuration from the model itself, and printing the whole. */
#include "registry/model_config.h"

#include "base/buf.h"
#include "base/clock.h"
#include "os/file.h"
#include "registry/model_config_scheduling.h"
#include "registry/model_schema.h"

#define POLICY   "model_transaction_policy"
#define FORM_MAX (8u << 20) /* bytes of the whole, as JSON or encoded */

struct completer {
    struct tern_model_config *config;
    const struct tern_model_config_subject *subject;
    const char *folder;
    const struct tern_engine_model *model;
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool out_of_memory;
};

/* ---- one tensor: what the file says against what the model has ---- */

static const struct tern_config_tensor *find_tensor(const struct tern_config_tensor *rows,
                                                    uint32_t n, struct tern_str name)
{
    for (uint32_t i = 0; i < n; i++) {
        if (tern_str_eq(rows[i].name, name))
            return &rows[i];
    }
    return NULL;
}

const struct tern_config_tensor *tern_model_config_input(const struct tern_model_config *config,
                                                         struct tern_str name)
{
    return find_tensor(config->inputs, config->n_inputs, name);
}

struct tern_shape tern_model_config_whole(const struct tern_model_config *config,
                                          const struct tern_shape *dims)
{
    struct tern_shape whole = {.rank = 0};

    if (config->max_batch_size > 0)
        whole.dim[whole.rank++] = -1;
    for (int i = 0; i < dims->rank && whole.rank < TERN_RANK_MAX; i++)
        whole.dim[whole.rank++] = dims->dim[i];
    return whole;
}

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

/* ---- the tree: what the config route will print ---- */

static struct tern_tree *put(struct completer *c, struct tern_tree *message, const char *key,
                             enum tern_tree_kind kind, struct tern_str text)
{
    struct tern_tree *node =
        message == NULL ? NULL : tern_model_schema_put(message, key, kind, text, c->arena);

    c->out_of_memory |= node == NULL;
    return node;
}

static void put_number(struct completer *c, struct tern_tree *message, const char *key, int64_t v)
{
    struct tern_str text = tern_arena_printf(c->arena, "%lld", (long long)v);

    c->out_of_memory |= text.p == NULL;
    put(c, message, key, TERN_TREE_SCALAR, text);
}

static void put_if_missing(struct completer *c, const char *key, struct tern_str text)
{
    const struct tern_tree *node = tern_tree_find(c->config->tree, tern_str_of(key));

    if (node == NULL || node->text.n == 0)
        put(c, c->config->tree, key, TERN_TREE_SCALAR, text);
}

/* dims and data_type of an element of `input` or `output` that leaves them out. */
static void put_tensor(struct completer *c, struct tern_tree *element,
                       const struct tern_tensor_spec *spec)
{
    char type[16];
    const struct tern_tree *said = tern_tree_find(element, TERN_STR("data_type"));

    if (said == NULL || tern_str_eq(said->text, TERN_STR("TYPE_INVALID"))) {
        tern_dtype_config_name(spec->dtype, type);
        struct tern_str text = tern_arena_copy(c->arena, tern_str_of(type));
        c->out_of_memory |= text.p == NULL;
        put(c, element, "data_type", TERN_TREE_SCALAR, text);
    }
    if (tern_tree_find(element, TERN_STR("dims")) != NULL)
        return;
    struct tern_tree *dims = put(c, element, "dims", TERN_TREE_LIST, TERN_STR(""));
    for (int i = c->config->max_batch_size > 0; dims != NULL && i < spec->shape.rank; i++)
        put_number(c, dims, NULL, spec->shape.dim[i]);
}

static struct tern_tree *element_named(const struct tern_tree *list, struct tern_str name)
{
    for (struct tern_tree *e = list->first; e != NULL; e = e->next) {
        const struct tern_tree *node = tern_tree_find(e, TERN_STR("name"));
        if (node != NULL && tern_str_eq(node->text, name))
            return e;
    }
    return NULL;
}

static void put_tensors(struct completer *c, const char *key, const struct tern_tensor_spec *specs,
                        uint32_t n)
{
    struct tern_tree *list = put(c, c->config->tree, key, TERN_TREE_LIST, TERN_STR(""));

    for (uint32_t i = 0; list != NULL && i < n; i++) {
        struct tern_tree *element = element_named(list, specs[i].name);
        if (element == NULL) {
            element = put(c, list, NULL, TERN_TREE_MAP, TERN_STR(""));
            put(c, element, "name", TERN_TREE_SCALAR, specs[i].name);
            if (specs[i].optional)
                put(c, element, "optional", TERN_TREE_SCALAR, TERN_STR("true"));
        }
        if (element != NULL)
            put_tensor(c, element, &specs[i]);
    }
}

/* The server's own policy: a configuration that is pasted back means the same. */
static void put_version_policy(struct completer *c)
{
    static const struct tern_version_policy latest = {.kind = TERN_VERSION_POLICY_LATEST,
                                                      .latest = 1};
    const struct tern_version_policy *policy =
        c->subject->policy == NULL ? &latest : c->subject->policy;
    struct tern_tree *node = put(c, c->config->tree, "version_policy", TERN_TREE_MAP, TERN_STR(""));

    if (policy->kind == TERN_VERSION_POLICY_ALL) {
        put(c, node, "all", TERN_TREE_MAP, TERN_STR(""));
    } else if (policy->kind == TERN_VERSION_POLICY_LATEST) {
        struct tern_tree *block = put(c, node, "latest", TERN_TREE_MAP, TERN_STR(""));
        put_number(c, block, "num_versions", policy->latest);
    } else {
        struct tern_tree *block = put(c, node, "specific", TERN_TREE_MAP, TERN_STR(""));
        struct tern_tree *list = put(c, block, "versions", TERN_TREE_LIST, TERN_STR(""));
        for (uint32_t i = 0; i < policy->n_specific; i++)
            put_number(c, list, NULL, policy->specific[i]);
    }
}

static bool says_nothing(const struct tern_tree *message, const char *key, const char *nothing)
{
    const struct tern_tree *node =
        message == NULL ? NULL : tern_tree_find(message, tern_str_of(key));

    return node == NULL || tern_str_eq(node->text, tern_str_of(nothing));
}

/* The one group of a model that names none is called as the model; others get a number. */
static void put_groups(struct completer *c)
{
    struct tern_tree *tree = c->config->tree;
    struct tern_tree *groups = tern_tree_find(tree, TERN_STR("instance_group"));
    uint32_t n = 0;

    if (groups == NULL || groups->n == 0) {
        groups = put(c, tree, "instance_group", TERN_TREE_LIST, TERN_STR(""));
        struct tern_tree *group = put(c, groups, NULL, TERN_TREE_MAP, TERN_STR(""));
        put(c, group, "name", TERN_TREE_SCALAR, c->config->name);
        put_number(c, group, "count", c->subject->instances > 0 ? c->subject->instances : 1);
    }
    for (struct tern_tree *group = groups == NULL ? NULL : groups->first; group != NULL;
         group = group->next, n++) {
        if (says_nothing(group, "name", "")) {
            struct tern_str name =
                tern_arena_printf(c->arena, "%.*s_%u", TERN_STR_ARG(c->config->name), n);
            c->out_of_memory |= name.p == NULL;
            put(c, group, "name", TERN_TREE_SCALAR, name);
        }
        if (says_nothing(group, "kind", "KIND_AUTO"))
            put(c, group, "kind", TERN_TREE_SCALAR, TERN_STR("KIND_CPU"));
        if (says_nothing(group, "count", "0"))
            put_number(c, group, "count", 1);
    }
}

/* Batches as large as they may be, of a scheduler that names no sizes. */
static void put_preferred(struct completer *c, struct tern_tree *batching)
{
    if (batching == NULL || c->config->max_batch_size == 0 ||
        tern_tree_find(batching, TERN_STR("preferred_batch_size")) != NULL)
        return;
    struct tern_tree *list = put(c, batching, "preferred_batch_size", TERN_TREE_LIST, TERN_STR(""));
    put_number(c, list, NULL, c->config->max_batch_size);
}

static void put_sequences(struct completer *c, struct tern_tree *batching)
{
    if (batching == NULL)
        return;
    if (says_nothing(batching, "max_sequence_idle_microseconds", "0"))
        put_number(c, batching, "max_sequence_idle_microseconds",
                   TERN_SEQUENCE_IDLE_NS / TERN_NS_PER_US);
    put_preferred(c, tern_tree_find(batching, TERN_STR("oldest")));
}

/* What Triton fills in before it prints: a version policy, instances, pinned memory, the file. */
/* Room for what is known when the ensemble is tied to its steps. */
static void put_transactions(struct completer *c)
{
    struct tern_tree *policy = tern_tree_find(c->config->tree, TERN_STR(POLICY));

    if (policy == NULL)
        policy = put(c, c->config->tree, POLICY, TERN_TREE_MAP, TERN_STR(""));
    if (policy != NULL && tern_tree_find(policy, TERN_STR("decoupled")) == NULL)
        put(c, policy, "decoupled", TERN_TREE_SCALAR, TERN_STR("false"));
}

static void put_defaults(struct completer *c)
{
    struct tern_tree *tree = c->config->tree;

    if (!c->config->has_version_policy)
        put_version_policy(c);
    if (c->config->ensembling != NULL) {
        put_transactions(c);
        return; /* its steps have instances, it has none */
    }
    put_preferred(c, tern_tree_find(tree, TERN_STR("dynamic_batching")));
    put_sequences(c, tern_tree_find(tree, TERN_STR("sequence_batching")));
    struct tern_tree *optimization = put(c, tree, "optimization", TERN_TREE_MAP, TERN_STR(""));
    static const char *const pinned[] = {"input_pinned_memory", "output_pinned_memory"};
    for (size_t i = 0; optimization != NULL && i < TERN_COUNT_OF(pinned); i++) {
        if (tern_tree_find(optimization, tern_str_of(pinned[i])) == NULL) {
            struct tern_tree *block = put(c, optimization, pinned[i], TERN_TREE_MAP, TERN_STR(""));
            put(c, block, "enable", TERN_TREE_SCALAR, TERN_STR("true"));
        }
    }
    put_groups(c);
    if (c->subject->file_name.n > 0)
        put_if_missing(c, "default_model_filename", c->subject->file_name);
}

/* ---- the whole ---- */

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
        complete_tensor(c, what, i, find_tensor(said, n_said, model[i].name), &specs[i],
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
        const struct tern_config_tensor *row = find_tensor(said, n_said, specs[i].name);
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
    put_number(c, config->tree, "max_batch_size", size);
    for (size_t i = 0; i < TERN_COUNT_OF(schedulers); i++)
        scheduled |= tern_tree_find(config->tree, tern_str_of(schedulers[i])) != NULL;
    if (scheduled || size <= 1)
        return;
    put(c, config->tree, "dynamic_batching", TERN_TREE_MAP, TERN_STR(""));
    if (settings->batching == TERN_BATCHING_RULE_CONFIGURED)
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
        const struct tern_config_tensor *row = find_tensor(said, n_said, specs[i].name);
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

void tern_model_config_complete(struct tern_model_config *config,
                                const struct tern_model_config_settings *settings,
                                const struct tern_model_config_subject *subject,
                                struct tern_arena *arena, struct tern_model_config_specs *ret_specs,
                                struct tern_problems *problems)
{
    const struct tern_engine_model *model = subject->model;
    struct completer c = {config, subject, subject->folder, model, arena, problems, false};
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
    put_if_missing(&c, "name", config->name);
    put_if_missing(&c, "backend", config->backend);
    put_if_missing(&c, "platform", config->platform);
    if (specs.inputs != NULL && specs.outputs != NULL && take_seen(&c, &specs)) {
        put_tensors(&c, "input", specs.seen.inputs, specs.seen.n_inputs);
        put_tensors(&c, "output", specs.seen.outputs, specs.seen.n_outputs);
    }
    put_defaults(&c);
    if (c.out_of_memory)
        tern_problem_add(problems, config->file, "the configuration is too large for its memory");
    *ret_specs = specs;
}

/* Writes the whole tree in one of its forms, and keeps it in the arena. */
static enum tern_code write_form(const struct tern_model_config *config,
                                 void (*write)(const struct tern_schema_message *message,
                                               const struct tern_tree *tree, struct tern_buf *out),
                                 const char *what, struct tern_arena *arena,
                                 struct tern_str *ret_text, struct tern_err *err)
{
    struct tern_buf out;
    struct tern_str text = {NULL, 0};

    tern_buf_init(&out, FORM_MAX);
    write(&tern_model_schema, config->tree, &out);
    enum tern_code code = tern_buf_check(&out, what, err);
    if (code == TERN_OK) {
        text = tern_arena_copy(arena, tern_buf_str(&out));
        if (text.p == NULL)
            code = tern_arena_fail(arena, err, what);
    }
    tern_buf_fini(&out);
    if (code == TERN_OK)
        *ret_text = text;
    return code;
}

enum tern_code tern_model_config_print_rest(const struct tern_model_config *config,
                                            struct tern_arena *arena, struct tern_str *ret_json,
                                            struct tern_err *err)
{
    struct tern_tree *groups = tern_tree_find(config->tree, TERN_STR("instance_group"));
    struct tern_tree before = {.kind = TERN_TREE_LIST};

    if (groups != NULL) { /* empty while it is printed */
        before = *groups;
        groups->first = groups->last = NULL;
        groups->n = 0;
    }
    enum tern_code code = tern_model_config_print(config, arena, ret_json, err);
    if (groups != NULL)
        *groups = before;
    if (code != TERN_OK || config->batching == NULL)
        return code;
    /* What no field of a ModelConfig says. */
    *ret_json = tern_arena_printf(arena, "%.*s %u rows, %llu ns", TERN_STR_ARG(*ret_json),
                                  config->batching->max_rows,
                                  (unsigned long long)config->batching->delay_ns);
    return ret_json->p == NULL ? tern_arena_fail(arena, err, "the configuration") : TERN_OK;
}

static enum tern_code write_forms(const struct tern_model_config *config, struct tern_arena *arena,
                                  struct tern_model_config_text *text, struct tern_err *err)
{
    TERN_TRY(tern_model_config_print(config, arena, &text->json, err));
    return tern_model_config_encode(config, arena, &text->pb, err);
}

enum tern_code tern_model_config_text(const struct tern_model_config *config,
                                      struct tern_arena *arena,
                                      const struct tern_model_config_text **ret_text,
                                      struct tern_err *err)
{
    struct tern_model_config_text *texts = tern_arena_zalloc(arena, 2, sizeof(*texts));
    struct tern_tree *policy = tern_tree_find(config->tree, TERN_STR(POLICY));
    struct tern_tree *decoupled =
        policy == NULL ? NULL : tern_tree_find(policy, TERN_STR("decoupled"));

    if (texts == NULL)
        return tern_arena_fail(arena, err, "the configuration's text");
    TERN_TRY(write_forms(config, arena, &texts[0], err));
    *ret_text = texts;
    if (config->ensembling == NULL || decoupled == NULL)
        return TERN_OK;
    struct tern_str before = decoupled->text;
    decoupled->text = TERN_STR("true"); /* while it is written */
    enum tern_code code = write_forms(config, arena, &texts[1], err);
    decoupled->text = before;
    texts[0].decoupled = &texts[1];
    return code;
}

enum tern_code tern_model_config_print(const struct tern_model_config *config,
                                       struct tern_arena *arena, struct tern_str *ret_json,
                                       struct tern_err *err)
{
    return write_form(config, tern_model_schema_print, "the configuration as JSON", arena, ret_json,
                      err);
}

enum tern_code tern_model_config_encode(const struct tern_model_config *config,
                                        struct tern_arena *arena, struct tern_str *ret_pb,
                                        struct tern_err *err)
{
    return write_form(config, tern_model_schema_encode, "the configuration as protocol buffers",
                      arena, ret_pb, err);
}
