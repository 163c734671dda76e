#include "registry/model_config_scheduling.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/num.h"
#include "registry/config_node.h"

struct reader {
    struct tern_model_config *config;
    struct tern_scheduling *s;
    struct tern_arena *arena;
    struct tern_problems *problems;
    bool out_of_memory;
};

static struct tern_str place_of(const struct reader *r, const struct tern_tree *node)
{
    return tern_problem_place(r->problems, r->config->file, node->line, node->column);
}

/* Zeroed; at least one element. */
static void *many(struct reader *r, uint32_t n, size_t size)
{
    void *p = tern_arena_zalloc(r->arena, n == 0 ? 1 : n, size);

    if (p == NULL && !r->out_of_memory)
        tern_problem_add(r->problems, r->config->file,
                         "the configuration is too large for its memory");
    r->out_of_memory |= p == NULL;
    return p;
}

/* Microseconds of the file as nanoseconds. */
static uint64_t duration_of(const struct reader *r, const struct tern_tree *message,
                            const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));
    uint64_t ns = 0;

    if (__builtin_mul_overflow(tern_config_node_uint(message, key), (uint64_t)TERN_NS_PER_US, &ns))
        tern_problem_add(r->problems, place_of(r, node),
                         "%s: expected at most %llu, which is longer than anybody waits, got %.*s",
                         key, (unsigned long long)(UINT64_MAX / TERN_NS_PER_US),
                         TERN_STR_ARG(node->text));
    return ns;
}

/* ---- dynamic_batching ---- */

static int rising(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

    return (x > y) - (x < y);
}

static void read_preferred(struct reader *r, const struct tern_tree *batching)
{
    const struct tern_tree *list = tern_tree_find(batching, TERN_STR("preferred_batch_size"));
    uint32_t n = list == NULL ? 0 : list->n, kept = 0;

    if (n > TERN_SCHEDULING_PREFERRED_MAX) {
        tern_problem_add(r->problems, place_of(r, list),
                         "preferred_batch_size: expected at most %u sizes, got %u",
                         TERN_SCHEDULING_PREFERRED_MAX, n);
        return;
    }
    uint32_t *sizes = many(r, n, sizeof(*sizes));
    if (n == 0 || sizes == NULL)
        return;
    n = 0;
    for (const struct tern_tree *size = list->first; size != NULL; size = size->next) {
        int64_t v = 0;
        if (!tern_num_parse_i64(size->text, &v))
            return; /* reported when the tree was bound */
        if (v < 1 || v > r->config->max_batch_size)
            tern_problem_add(r->problems, place_of(r, size),
                             "preferred_batch_size: expected 1 to max_batch_size (%lld), got %lld",
                             (long long)r->config->max_batch_size, (long long)v);
        sizes[n++] = (uint32_t)v;
    }
    qsort(sizes, n, sizeof(*sizes), rising);
    for (uint32_t i = 0; i < n; i++) {
        if (kept == 0 || sizes[i] != sizes[kept - 1])
            sizes[kept++] = sizes[i];
    }
    r->s->preferred = sizes;
    r->s->n_preferred = kept;
}

static struct tern_scheduling_level read_level(const struct reader *r,
                                               const struct tern_tree *policy)
{
    return (struct tern_scheduling_level){
        .delay = tern_str_eq(tern_config_node_text(policy, "timeout_action"), TERN_STR("DELAY")),
        .allow_timeout_override = tern_config_node_bool(policy, "allow_timeout_override"),
        .default_timeout_ns = duration_of(r, policy, "default_timeout_microseconds"),
        .max_queue_size = (uint32_t)tern_config_node_uint(policy, "max_queue_size"),
    };
}

/* A level's own policy stands in for the whole of the default one. Without levels Triton does not
 * look at these. */
static void read_own_levels(const struct reader *r, const struct tern_tree *batching,
                            struct tern_scheduling_level *levels, uint64_t n)
{
    for (const struct tern_tree *node = tern_config_node_first(batching, "priority_queue_policy");
         node != NULL && n > 0; node = node->next) {
        uint64_t level = 0;
        if (!tern_num_parse_u64(node->key, UINT64_MAX, &level) || level < 1 || level > n)
            tern_problem_add(r->problems, place_of(r, node),
                             "priority_queue_policy: expected a level from 1 to priority_levels "
                             "(%llu), got %.*s",
                             (unsigned long long)n, TERN_STR_ARG(node->key));
        else
            levels[level - 1] = read_level(r, node);
    }
}

static void read_levels(struct reader *r, const struct tern_tree *batching)
{
    static const struct tern_tree nothing = {.kind = TERN_TREE_MAP};
    const struct tern_tree *policy = tern_tree_find(batching, TERN_STR("default_queue_policy"));
    uint64_t said = tern_config_node_uint(batching, "priority_levels");
    uint64_t level = tern_config_node_uint(batching, "default_priority_level");
    uint32_t n = said > TERN_SCHEDULING_LEVELS_MAX ? TERN_SCHEDULING_LEVELS_MAX : (uint32_t)said;

    if (said > n) {
        const struct tern_tree *node = tern_tree_find(batching, TERN_STR("priority_levels"));
        tern_problem_add(r->problems, place_of(r, node),
                         "priority_levels: expected at most %u, got %llu", n,
                         (unsigned long long)said);
        return;
    }
    if (level > said || (said > 0 && level == 0)) {
        const struct tern_tree *node = tern_tree_find(batching, TERN_STR("default_priority_level"));
        tern_problem_add(r->problems, place_of(r, node == NULL ? batching : node),
                         "default_priority_level: expected a level from %d to priority_levels "
                         "(%llu), got %llu",
                         said > 0, (unsigned long long)said, (unsigned long long)level);
        return;
    }
    r->s->n_levels = n > 0 ? n : 1;
    r->s->default_level = level > 0 ? (uint32_t)level : 1;
    struct tern_scheduling_level *levels = many(r, r->s->n_levels, sizeof(*levels));
    for (uint32_t i = 0; i < r->s->n_levels && levels != NULL; i++)
        levels[i] = read_level(r, policy == NULL ? &nothing : policy);
    if (levels != NULL)
        read_own_levels(r, batching, levels, n);
    r->s->levels = levels;
}

/* Sequences that take turns ("oldest") are batched as requests are. */
static void read_batching(struct reader *r)
{
    static const struct tern_tree nothing = {.kind = TERN_TREE_MAP};
    const struct tern_tree *tree = r->config->tree;
    const struct tern_tree *batching = tern_tree_find(tree, TERN_STR("dynamic_batching"));
    const struct tern_tree *sequences = tern_tree_find(tree, TERN_STR("sequence_batching"));

    if (sequences != NULL)
        batching = tern_tree_find(sequences, TERN_STR("oldest"));
    r->s->batching = batching == NULL ? TERN_BATCHING_NONE : TERN_BATCHING_CONFIGURED;
    if (batching != NULL) {
        read_preferred(r, batching);
        r->s->max_queue_delay_ns = duration_of(r, batching, "max_queue_delay_microseconds");
        r->s->preserve_ordering = tern_config_node_bool(batching, "preserve_ordering");
    }
    read_levels(r, batching == NULL ? &nothing : batching);
}

/* ---- instance_group ---- */

static void read_resources(struct reader *r, const struct tern_tree *limiter,
                           struct tern_scheduling_group *group)
{
    uint32_t n = tern_config_node_count(limiter, "resources");
    struct tern_scheduling_resource *rows = many(r, n, sizeof(*rows));
    const struct tern_tree *node = tern_config_node_first(limiter, "resources");

    group->resources = rows;
    for (; node != NULL && rows != NULL; node = node->next) {
        struct tern_scheduling_resource *row = &rows[group->n_resources++];
        *row = (struct tern_scheduling_resource){
            .name = tern_config_node_text(node, "name"),
            .count = (uint32_t)tern_config_node_uint(node, "count"),
            .global = tern_config_node_bool(node, "global"),
        };
        if (row->name.n == 0 || row->count == 0)
            tern_problem_add(r->problems, place_of(r, node), "resources: expected a %s",
                             row->name.n == 0 ? "name" : "count from 1");
        for (const struct tern_scheduling_resource *other = rows; other < row; other++) {
            if (tern_str_eq(other->name, row->name))
                tern_problem_add(r->problems, place_of(r, node),
                                 "resources: \"%.*s\" is asked for twice", TERN_STR_ARG(row->name));
        }
    }
}

/* How many of the group there are; 0 after a mistake. */
static uint32_t read_group(struct reader *r, const struct tern_tree *node,
                           struct tern_scheduling_group *group)
{
    const struct tern_tree *limiter = tern_tree_find(node, TERN_STR("rate_limiter"));
    int64_t count = tern_config_node_int(node, "count");

    if (count < 0 || count > TERN_SCHEDULING_INSTANCES_MAX) {
        tern_problem_add(r->problems, place_of(r, node),
                         "instance_group: expected a count from 1 to %u, got %lld",
                         TERN_SCHEDULING_INSTANCES_MAX, (long long)count);
        return 0;
    }
    group->name = tern_config_node_text(node, "name");
    group->count = count == 0 ? 1 : (uint32_t)count;
    group->passive = tern_config_node_bool(node, "passive");
    if (limiter != NULL) {
        group->priority = (uint32_t)tern_config_node_uint(limiter, "priority");
        read_resources(r, limiter, group);
    }
    return group->count;
}

static void read_groups(struct reader *r)
{
    const struct tern_tree *list = tern_tree_find(r->config->tree, TERN_STR("instance_group"));
    uint32_t n = list == NULL ? 0 : list->n, all = 0;
    struct tern_scheduling_group *groups;

    if (n > TERN_SCHEDULING_INSTANCES_MAX) {
        tern_problem_add(r->problems, place_of(r, list), "instance_group: more than %u",
                         TERN_SCHEDULING_INSTANCES_MAX);
        return;
    }
    groups = many(r, n, sizeof(*groups));
    r->s->groups = groups;
    if (n == 0 || groups == NULL)
        return;
    for (const struct tern_tree *node = list->first; node != NULL; node = node->next) {
        struct tern_scheduling_group *group = &groups[r->s->n_groups++];
        uint32_t count = read_group(r, node, group);
        all += count;
        if (!group->passive)
            r->config->instances += count;
    }
    if (all > TERN_SCHEDULING_INSTANCES_MAX)
        tern_problem_add(r->problems, place_of(r, list),
                         "instance_group: expected at most %u instances, got %u",
                         TERN_SCHEDULING_INSTANCES_MAX, all);
    else if (all > 0 && r->config->instances == 0)
        tern_problem_add(r->problems, place_of(r, list),
                         "instance_group: all are passive, nothing would run");
}

/* ---- the rest that needs no model ---- */

static void read_cache(struct reader *r)
{
    const struct tern_tree *cache = tern_tree_find(r->config->tree, TERN_STR("response_cache"));
    const char *other = r->config->decoupled            ? "decoupled"
                        : r->config->sequencing != NULL ? "sequence_batching"
                                                        : NULL;

    r->s->cached = cache != NULL && tern_config_node_bool(cache, "enable");
    if (r->s->cached && other != NULL)
        tern_problem_add(r->problems, place_of(r, cache),
                         "response_cache: a model with %s answers the same request differently",
                         other);
}

/* ---- parameters: what Triton has no field for ---- */

#define SLO       "slo"
#define COST      "batch_cost_input"
#define COST_MOST "batch_cost_max"

bool tern_model_config_scheduling_owns(struct tern_str key)
{
    return tern_str_eq(key, TERN_STR(SLO)) || tern_str_eq(key, TERN_STR(COST)) ||
           tern_str_eq(key, TERN_STR(COST_MOST));
}

static const struct tern_tree *parameter(const struct reader *r, const char *key)
{
    const struct tern_tree *map = tern_tree_find(r->config->tree, TERN_STR("parameters"));

    return map == NULL ? NULL : tern_tree_find(map, tern_str_of(key));
}

static void read_parameters(struct reader *r)
{
    const struct tern_tree *slo = parameter(r, SLO), *most = parameter(r, COST_MOST);
    struct tern_str slo_text =
        slo == NULL ? TERN_STR("0") : tern_config_node_text(slo, "string_value");
    struct tern_str most_text =
        most == NULL ? TERN_STR("1") : tern_config_node_text(most, "string_value");
    uint64_t cost = 0;

    if (!tern_num_parse_duration(slo_text, &r->s->slo_ns))
        tern_problem_add(r->problems, place_of(r, slo),
                         SLO ": expected a time such as 20ms, or 0 for none, got \"%.*s\"",
                         TERN_STR_ARG(slo_text));
    if (!tern_num_parse_u64(most_text, UINT32_MAX, &cost) || cost == 0)
        tern_problem_add(r->problems, place_of(r, most),
                         COST_MOST ": expected a number of elements from 1, got \"%.*s\"",
                         TERN_STR_ARG(most_text));
    if ((most == NULL) != (parameter(r, COST) == NULL))
        tern_problem_add(r->problems, place_of(r, most == NULL ? parameter(r, COST) : most),
                         "expected both " COST " and " COST_MOST ", or neither");
    else if (most != NULL)
        r->s->max_cost = (uint32_t)cost;
}

void tern_model_config_scheduling_read(struct tern_model_config *config, struct tern_arena *arena,
                                       struct tern_problems *problems)
{
    struct reader r = {.config = config, .arena = arena, .problems = problems};
    const struct tern_tree *optimization = tern_tree_find(config->tree, TERN_STR("optimization"));

    config->instances = 0;
    config->scheduling = r.s = many(&r, 1, sizeof(*r.s));
    if (r.s == NULL)
        return;
    r.s->eager = optimization != NULL && tern_config_node_bool(optimization, "eager_batching");
    r.s->gathers = tern_config_node_count(config->tree, "batch_input") > 0 ||
                   tern_config_node_count(config->tree, "batch_output") > 0;
    for (uint32_t i = 0; i < config->n_inputs && config->max_batch_size > 0; i++)
        r.s->gathers |= config->inputs[i].ragged;
    read_batching(&r);
    read_groups(&r);
    read_cache(&r);
    read_parameters(&r);
}

/* ---- tensors made from the batch ---- */

/* The index of a tensor of the model; a mistake when there is none. */
static bool find(const struct reader *r, const struct tern_tree *name, const char *field,
                 const char *what, const struct tern_tensor_spec *specs, uint32_t n,
                 uint32_t *ret_index)
{
    const struct tern_tensor_spec *spec = tern_model_find_spec(specs, n, name->text);

    if (spec == NULL) {
        tern_problem_add(r->problems, place_of(r, name), "%s: the model has no %s \"%.*s\"", field,
                         what, TERN_STR_ARG(name->text));
        return false;
    }
    *ret_index = (uint32_t)(spec - specs);
    return true;
}

/* The one source_input of a batch_input or batch_output. */
static bool find_source(const struct reader *r, const struct tern_tree *node, const char *field,
                        const struct tern_engine_model *model, uint32_t *ret_index)
{
    uint32_t n = tern_config_node_count(node, "source_input");

    if (n != 1) {
        tern_problem_add(r->problems, place_of(r, node), "%s: expected one source_input, got %u",
                         field, n);
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
static void check_target(const struct reader *r, const struct tern_tree *name,
                         const struct tern_batch_input *row, const struct tern_engine_model *model)
{
    const struct tern_tensor_spec *spec = &model->inputs[row->input];
    int rank = row->kind == TERN_BATCH_ITEM_SHAPE ? 2 : 1;
    char want[16], has[16], shape[160];

    tern_dtype_config_name(row->dtype, want);
    tern_dtype_config_name(spec->dtype, has);
    if (spec->dtype != row->dtype)
        tern_problem_add(r->problems, place_of(r, name),
                         "batch_input: \"%.*s\" is made as %s, the model has %s",
                         TERN_STR_ARG(name->text), want, has);
    if (spec->shape.rank != rank || spec->shape.dim[0] != -1)
        tern_problem_add(r->problems, place_of(r, name),
                         "batch_input: \"%.*s\" is made with %d free dimension%s, the model has %s",
                         TERN_STR_ARG(name->text), rank, rank == 1 ? "" : "s",
                         tern_shape_print(&spec->shape, shape, sizeof(shape)));
    if (row->input == row->source)
        tern_problem_add(r->problems, place_of(r, name),
                         "batch_input: \"%.*s\" cannot be made from itself",
                         TERN_STR_ARG(name->text));
}

static void tie_batch_input(struct reader *r, const struct tern_tree *node,
                            const struct tern_engine_model *model, struct tern_batch_input *rows)
{
    struct tern_batch_input row = {
        .kind = kind_of(tern_config_node_text(node, "kind")),
        .dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"))};

    if (row.dtype != TERN_DTYPE_INT32 && row.dtype != TERN_DTYPE_FP32) {
        tern_problem_add(r->problems, place_of(r, node),
                         "batch_input: expected a data_type of TYPE_INT32 or TYPE_FP32");
        return;
    }
    if (tern_config_node_count(node, "target_name") == 0)
        tern_problem_add(r->problems, place_of(r, node), "batch_input: a target_name is missing");
    if (!find_source(r, node, "batch_input", model, &row.source))
        return;
    for (const struct tern_tree *name = tern_config_node_first(node, "target_name"); name != NULL;
         name = name->next) {
        if (!find(r, name, "batch_input", "input", model->inputs, model->n_inputs, &row.input))
            continue;
        check_target(r, name, &row, model);
        if (tern_scheduling_fills(r->s, row.input))
            tern_problem_add(r->problems, place_of(r, name), "batch_input: \"%.*s\" is made twice",
                             TERN_STR_ARG(name->text));
        else
            rows[r->s->n_batch_inputs++] = row;
    }
}

static void tie_batch_output(struct reader *r, const struct tern_tree *node,
                             const struct tern_engine_model *model, struct tern_batch_output *rows)
{
    struct tern_batch_output row = {0};

    if (tern_config_node_count(node, "target_name") == 0)
        tern_problem_add(r->problems, place_of(r, node), "batch_output: a target_name is missing");
    if (!find_source(r, node, "batch_output", model, &row.source))
        return;
    for (const struct tern_tree *name = tern_config_node_first(node, "target_name"); name != NULL;
         name = name->next) {
        if (!find(r, name, "batch_output", "output", model->outputs, model->n_outputs, &row.output))
            continue;
        if (tern_scheduling_scatters(r->s, row.output))
            tern_problem_add(r->problems, place_of(r, name), "batch_output: \"%.*s\" is cut twice",
                             TERN_STR_ARG(name->text));
        else
            rows[r->s->n_batch_outputs++] = row;
    }
}

/* A tensor is the target of one row at most. */
static void tie_batch_tensors(struct reader *r, const struct tern_engine_model *model)
{
    const struct tern_tree *tree = r->config->tree;
    struct tern_batch_input *inputs = many(r, model->n_inputs, sizeof(*inputs));
    struct tern_batch_output *outputs = many(r, model->n_outputs, sizeof(*outputs));

    if (inputs == NULL || outputs == NULL)
        return;
    r->s->batch_inputs = inputs;
    r->s->batch_outputs = outputs;
    for (const struct tern_tree *node = tern_config_node_first(tree, "batch_input"); node != NULL;
         node = node->next)
        tie_batch_input(r, node, model, inputs);
    for (const struct tern_tree *node = tern_config_node_first(tree, "batch_output"); node != NULL;
         node = node->next)
        tie_batch_output(r, node, model, outputs);
    for (uint32_t i = 0; i < r->s->n_batch_inputs; i++) {
        if (tern_scheduling_fills(r->s, inputs[i].source))
            tern_problem_add(r->problems, r->config->file,
                             "batch_input: \"%.*s\" is itself made from the batch",
                             TERN_STR_ARG(model->inputs[inputs[i].source].name));
    }
}

/* Inputs whose shape may differ inside a batch come to the model as one flat row. */
static void tie_ragged(struct reader *r, const struct tern_engine_model *model)
{
    bool *ragged = NULL;
    char shape[160];

    for (uint32_t i = 0; i < model->n_inputs && r->config->max_batch_size > 0; i++) {
        const struct tern_tensor_spec *spec = &model->inputs[i];
        const struct tern_config_tensor *said = tern_model_config_input(r->config, spec->name);
        if (said == NULL || !said->ragged)
            continue;
        if (ragged == NULL)
            ragged = many(r, model->n_inputs, sizeof(*ragged));
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
    r->s->ragged = ragged;
}

/* The input whose elements are counted: one that clients send. */
static void tie_cost(struct reader *r, const struct tern_engine_model *model)
{
    const struct tern_tree *node = r->s->max_cost == 0 ? NULL : parameter(r, COST);
    struct tern_str name;

    if (node == NULL)
        return;
    name = tern_config_node_text(node, "string_value");
    const struct tern_tensor_spec *spec =
        tern_model_find_spec(model->inputs, model->n_inputs, name);
    if (spec == NULL || tern_sequencing_fills(r->config->sequencing, name) ||
        tern_scheduling_fills(r->s, (uint32_t)(spec - model->inputs)))
        tern_problem_add(r->problems, place_of(r, node), COST ": clients send no input \"%.*s\"",
                         TERN_STR_ARG(name));
    else
        r->s->cost_input = (uint32_t)(spec - model->inputs);
}

/* ---- TF Serving's and MLServer's parameters ---- */

static const struct tern_batching_parameters *
parameters_for(const struct reader *r, const struct tern_model_config_settings *settings)
{
    const struct tern_model_config *config = r->config;

    if (r->s->batching != TERN_BATCHING_NONE || config->sequencing != NULL || config->decoupled ||
        config->ensembling != NULL || settings->batching == TERN_BATCHING_RULE_OFF)
        return NULL;
    return config->batching != NULL ? config->batching : settings->batching_parameters;
}

static void take_parameters(struct reader *r, const struct tern_batching_parameters *p,
                            uint32_t most_rows)
{
    struct tern_scheduling *s = r->s;
    struct tern_scheduling_level *level = many(r, 1, sizeof(*level));

    if (level == NULL)
        return;
    level->max_queue_size = p->max_queue_size;
    s->levels = level;
    s->batching = TERN_BATCHING_CONFIGURED;
    s->max_rows = p->max_rows < most_rows ? p->max_rows : most_rows;
    s->max_queue_delay_ns = p->delay_ns;
    s->allowed = p->allowed;
    while (s->n_allowed < p->n_allowed && p->allowed[s->n_allowed] <= s->max_rows)
        s->n_allowed++;
    s->gathers |= s->n_allowed > 0;
}

bool tern_model_config_take_batches(struct tern_model_config *config,
                                    const struct tern_model_config_settings *settings,
                                    struct tern_arena *arena)
{
    struct tern_problems problems;
    struct reader r = {
        .config = config, .s = config->scheduling, .arena = arena, .problems = &problems};

    tern_problem_init(&problems, arena);
    if (settings->batching_parameters != NULL) {
        take_parameters(&r, settings->batching_parameters, UINT32_MAX);
    } else {
        r.s->batching = TERN_BATCHING_ADAPTIVE;
        r.s->max_rows = settings->batch_max;
    }
    return !r.out_of_memory;
}

/* The first tensor that cannot hold several rows, or NULL. */
static const struct tern_tensor_spec *find_fixed(const struct tern_tensor_spec *specs, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (specs[i].shape.rank == 0 || specs[i].shape.dim[0] != -1)
            return &specs[i];
    }
    return NULL;
}

/* Parameters of the model's own are believed; those of all models wait for a proof. */
static void take_own_parameters(struct reader *r, const struct tern_engine_model *model)
{
    const struct tern_tensor_spec *fixed = find_fixed(model->inputs, model->n_inputs);

    if (fixed == NULL)
        fixed = find_fixed(model->outputs, model->n_outputs);
    if (fixed != NULL && r->config->batching->max_rows > 1)
        tern_problem_add(r->problems, r->config->batching->place,
                         "max_batch_size is %u, but \"%.*s\" of the model has no free first "
                         "dimension",
                         r->config->batching->max_rows, TERN_STR_ARG(fixed->name));
    else
        take_parameters(r, r->config->batching, UINT32_MAX);
}

/* ---- whether and how it is batched ---- */

static void decide_by_rule(struct reader *r, const struct tern_model_config_settings *settings)
{
    struct tern_scheduling *s = r->s;
    bool sequences = r->config->sequencing != NULL;
    bool batches = r->config->max_batch_size > 1 && !r->config->decoupled;

    if (s->batching == TERN_BATCHING_NONE && settings->batching == TERN_BATCHING_RULE_ADAPTIVE &&
        !sequences)
        s->batching = TERN_BATCHING_ADAPTIVE;
    if (settings->batching == TERN_BATCHING_RULE_OFF) {
        batches = false;
        if (sequences)
            r->config->sequencing->direct = false;
        s->n_preferred = 0;
        s->max_queue_delay_ns = 0;
    }
    if (!batches && s->batching == TERN_BATCHING_ADAPTIVE)
        s->batching = TERN_BATCHING_NONE;
    s->max_rows =
        batches && s->batching != TERN_BATCHING_NONE ? (uint32_t)r->config->max_batch_size : 1;
}

static void decide(struct reader *r, const struct tern_model_config_settings *settings,
                   const struct tern_engine_model *model)
{
    const struct tern_batching_parameters *parameters = parameters_for(r, settings);

    r->s->max_rows = 1;
    if (parameters != NULL && r->config->max_batch_size > 0)
        take_parameters(r, parameters, (uint32_t)r->config->max_batch_size);
    else if (parameters != NULL && parameters == r->config->batching)
        take_own_parameters(r, model);
    else
        decide_by_rule(r, settings);
}

bool tern_model_config_scheduling_tie(struct tern_model_config *config,
                                      const struct tern_model_config_settings *settings,
                                      const struct tern_engine_model *model,
                                      struct tern_arena *arena, struct tern_problems *problems)
{
    struct reader r = {
        .config = config, .s = config->scheduling, .arena = arena, .problems = problems};

    decide(&r, settings, model);
    tie_batch_tensors(&r, model);
    tie_ragged(&r, model);
    tie_cost(&r, model);
    if (parameter(&r, SLO) == NULL)
        config->scheduling->slo_ns = settings->slo_ns;
    return !r.out_of_memory;
}
