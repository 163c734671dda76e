/* What a configuration says by itself of how requests wait: dynamic_batching, instance_group,
 * response_cache and the parameters that Triton has no field for. */
#include "registry/model_config_scheduling_int.h"

#include <stdlib.h>
#include "base/clock.h"
#include "base/num.h"

/* Microseconds of the file as nanoseconds. */
static uint64_t duration_of(const struct tern_config_reader *r, const struct tern_tree *message,
                            const char *key)
{
    const struct tern_tree *node = tern_tree_find(message, tern_str_of(key));
    uint64_t ns = 0;

    if (__builtin_mul_overflow(tern_config_node_uint(message, key), (uint64_t)TERN_NS_PER_US, &ns))
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
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

static void read_preferred(struct tern_config_reader *r, const struct tern_tree *batching)
{
    const struct tern_tree *list = tern_tree_find(batching, TERN_STR("preferred_batch_size"));
    uint32_t n = list == NULL ? 0 : list->n, kept = 0;

    if (n > TERN_SCHEDULING_PREFERRED_MAX) {
        tern_problem_add(r->problems, tern_config_reader_place(r, list),
                         "preferred_batch_size: expected at most %u sizes, got %u",
                         TERN_SCHEDULING_PREFERRED_MAX, n);
        return;
    }
    uint32_t *sizes = tern_config_reader_many(r, n, sizeof(*sizes));
    if (n == 0 || sizes == NULL)
        return;
    n = 0;
    for (const struct tern_tree *size = list->first; size != NULL; size = size->next) {
        int64_t v = 0;
        if (!tern_num_parse_i64(size->text, &v))
            return; /* reported when the tree was bound */
        if (v < 1 || v > r->config->max_batch_size)
            tern_problem_add(r->problems, tern_config_reader_place(r, size),
                             "preferred_batch_size: expected 1 to max_batch_size (%lld), got %lld",
                             (long long)r->config->max_batch_size, (long long)v);
        sizes[n++] = (uint32_t)v;
    }
    qsort(sizes, n, sizeof(*sizes), rising);
    for (uint32_t i = 0; i < n; i++) {
        if (kept == 0 || sizes[i] != sizes[kept - 1])
            sizes[kept++] = sizes[i];
    }
    r->config->scheduling->preferred = sizes;
    r->config->scheduling->n_preferred = kept;
}

static struct tern_scheduling_level read_level(const struct tern_config_reader *r,
                                               const struct tern_tree *policy, uint64_t level)
{
    return (struct tern_scheduling_level){
        .level = level,
        .delay = tern_str_eq(tern_config_node_text(policy, "timeout_action"), TERN_STR("DELAY")),
        .allow_timeout_override = tern_config_node_bool(policy, "allow_timeout_override"),
        .default_timeout_ns = duration_of(r, policy, "default_timeout_microseconds"),
        .max_queue_size = (uint32_t)tern_config_node_uint(policy, "max_queue_size"),
    };
}

/* A level's own policy stands in for the whole of the default one. Without levels Triton does not
 * look at these. */
static void read_own_levels(const struct tern_config_reader *r, const struct tern_tree *batching,
                            struct tern_scheduling_level *levels, uint64_t n)
{
    uint32_t *n_own = &r->config->scheduling->n_own_levels;

    for (const struct tern_tree *node = tern_config_node_first(batching, "priority_queue_policy");
         node != NULL && n > 0; node = node->next) {
        uint64_t level = 0;
        if (!tern_num_parse_u64(node->key, UINT64_MAX, &level) || level < 1 || level > n)
            tern_problem_add(r->problems, tern_config_reader_place(r, node),
                             "priority_queue_policy: expected a level from 1 to priority_levels "
                             "(%llu), got %.*s",
                             (unsigned long long)n, TERN_STR_ARG(node->key));
        else if (*n_own == TERN_SCHEDULING_LEVELS_MAX)
            tern_problem_add(r->problems, tern_config_reader_place(r, node),
                             "priority_queue_policy: expected at most %u levels with a policy of "
                             "their own",
                             TERN_SCHEDULING_LEVELS_MAX);
        else
            levels[++*n_own] = read_level(r, node, level);
    }
}

static void read_levels(struct tern_config_reader *r, const struct tern_tree *batching)
{
    static const struct tern_tree nothing = {.kind = TERN_TREE_MAP};
    const struct tern_tree *policy = tern_tree_find(batching, TERN_STR("default_queue_policy"));
    uint64_t said = tern_config_node_uint(batching, "priority_levels");
    uint64_t level = tern_config_node_uint(batching, "default_priority_level");

    if (level > said || (said > 0 && level == 0)) {
        const struct tern_tree *node = tern_tree_find(batching, TERN_STR("default_priority_level"));
        tern_problem_add(r->problems, tern_config_reader_place(r, node == NULL ? batching : node),
                         "default_priority_level: expected a level from %d to priority_levels "
                         "(%llu), got %llu",
                         said > 0, (unsigned long long)said, (unsigned long long)level);
        return;
    }
    r->config->scheduling->n_levels = said > 0 ? said : 1;
    r->config->scheduling->default_level = level > 0 ? level : 1;
    struct tern_scheduling_level *levels =
        tern_config_reader_many(r, 1 + TERN_SCHEDULING_LEVELS_MAX, sizeof(*levels));
    if (levels == NULL)
        return;
    levels[0] = read_level(r, policy == NULL ? &nothing : policy, 0);
    read_own_levels(r, batching, levels, said);
    r->config->scheduling->levels = levels;
}

/* Sequences that take turns ("oldest") are batched as requests are. */
static void read_batching(struct tern_config_reader *r)
{
    static const struct tern_tree nothing = {.kind = TERN_TREE_MAP};
    const struct tern_tree *tree = r->config->tree;
    const struct tern_tree *batching = tern_tree_find(tree, TERN_STR("dynamic_batching"));
    const struct tern_tree *sequences = tern_tree_find(tree, TERN_STR("sequence_batching"));

    if (sequences != NULL)
        batching = tern_tree_find(sequences, TERN_STR("oldest"));
    r->config->scheduling->batching =
        batching == NULL ? TERN_BATCHING_NONE : TERN_BATCHING_CONFIGURED;
    if (batching != NULL) {
        read_preferred(r, batching);
        r->config->scheduling->max_queue_delay_ns =
            duration_of(r, batching, "max_queue_delay_microseconds");
        r->config->scheduling->preserve_ordering =
            tern_config_node_bool(batching, "preserve_ordering");
    }
    read_levels(r, batching == NULL ? &nothing : batching);
}

/* ---- instance_group ---- */

static void read_resources(struct tern_config_reader *r, const struct tern_tree *limiter,
                           struct tern_scheduling_group *group)
{
    uint32_t n = tern_config_node_count(limiter, "resources");
    struct tern_scheduling_resource *rows = tern_config_reader_many(r, n, sizeof(*rows));
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
            tern_problem_add(r->problems, tern_config_reader_place(r, node),
                             "resources: expected a %s",
                             row->name.n == 0 ? "name" : "count from 1");
        for (const struct tern_scheduling_resource *other = rows; other < row; other++) {
            if (tern_str_eq(other->name, row->name))
                tern_problem_add(r->problems, tern_config_reader_place(r, node),
                                 "resources: \"%.*s\" is asked for twice", TERN_STR_ARG(row->name));
        }
    }
}

/* How many of the group there are; 0 after a mistake. */
static uint32_t read_group(struct tern_config_reader *r, const struct tern_tree *node,
                           struct tern_scheduling_group *group)
{
    const struct tern_tree *limiter = tern_tree_find(node, TERN_STR("rate_limiter"));
    int64_t count = tern_config_node_int(node, "count");

    if (count < 0 || count > TERN_SCHEDULING_INSTANCES_MAX) {
        tern_problem_add(r->problems, tern_config_reader_place(r, node),
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

static void read_groups(struct tern_config_reader *r)
{
    const struct tern_tree *list = tern_tree_find(r->config->tree, TERN_STR("instance_group"));
    uint32_t n = list == NULL ? 0 : list->n, all = 0;
    struct tern_scheduling_group *groups;

    if (n > TERN_SCHEDULING_INSTANCES_MAX) {
        tern_problem_add(r->problems, tern_config_reader_place(r, list),
                         "instance_group: more than %u", TERN_SCHEDULING_INSTANCES_MAX);
        return;
    }
    groups = tern_config_reader_many(r, n, sizeof(*groups));
    r->config->scheduling->groups = groups;
    if (n == 0 || groups == NULL)
        return;
    for (const struct tern_tree *node = list->first; node != NULL; node = node->next) {
        struct tern_scheduling_group *group = &groups[r->config->scheduling->n_groups++];
        uint32_t count = read_group(r, node, group);
        all += count;
        if (!group->passive)
            r->config->instances += count;
    }
    if (all > TERN_SCHEDULING_INSTANCES_MAX)
        tern_problem_add(r->problems, tern_config_reader_place(r, list),
                         "instance_group: expected at most %u instances, got %u",
                         TERN_SCHEDULING_INSTANCES_MAX, all);
    else if (all > 0 && r->config->instances == 0)
        tern_problem_add(r->problems, tern_config_reader_place(r, list),
                         "instance_group: all are passive, nothing would run");
}

/* ---- the rest that needs no model ---- */

static void read_cache(struct tern_config_reader *r)
{
    const struct tern_tree *cache = tern_tree_find(r->config->tree, TERN_STR("response_cache"));
    const char *other = r->config->decoupled            ? "'decoupled' transaction policy"
                        : r->config->sequencing != NULL ? "sequence batching scheduler"
                                                        : NULL;

    r->config->scheduling->cached = cache != NULL && tern_config_node_bool(cache, "enable");
    if (r->config->scheduling->cached && other != NULL)
        tern_problem_add(r->problems, tern_config_reader_place(r, cache),
                         "Response Cache does not currently support a model with %s: it answers "
                         "the same request differently. Please disable the response cache.",
                         other);
}

/* ---- parameters: what Triton has no field for ---- */

bool tern_model_config_scheduling_owns(struct tern_str key)
{
    return tern_str_eq(key, TERN_STR(TERN_SCHEDULING_SLO)) ||
           tern_str_eq(key, TERN_STR(TERN_SCHEDULING_COST)) ||
           tern_str_eq(key, TERN_STR(TERN_SCHEDULING_COST_MOST));
}

static void read_parameters(struct tern_config_reader *r)
{
    const struct tern_tree *slo = tern_config_reader_parameter(r, TERN_SCHEDULING_SLO),
                           *most = tern_config_reader_parameter(r, TERN_SCHEDULING_COST_MOST);
    struct tern_str slo_text =
        slo == NULL ? TERN_STR("0") : tern_config_node_text(slo, "string_value");
    struct tern_str most_text =
        most == NULL ? TERN_STR("1") : tern_config_node_text(most, "string_value");
    uint64_t cost = 0;

    if (!tern_num_parse_duration(slo_text, &r->config->scheduling->slo_ns))
        tern_problem_add(r->problems, tern_config_reader_place(r, slo),
                         TERN_SCHEDULING_SLO
                         ": expected a time such as 20ms, or 0 for none, got \"%.*s\"",
                         TERN_STR_ARG(slo_text));
    if (!tern_num_parse_u64(most_text, UINT32_MAX, &cost) || cost == 0)
        tern_problem_add(r->problems, tern_config_reader_place(r, most),
                         TERN_SCHEDULING_COST_MOST
                         ": expected a number of elements from 1, got \"%.*s\"",
                         TERN_STR_ARG(most_text));
    if ((most == NULL) != (tern_config_reader_parameter(r, TERN_SCHEDULING_COST) == NULL))
        tern_problem_add(
            r->problems,
            tern_config_reader_place(
                r, most == NULL ? tern_config_reader_parameter(r, TERN_SCHEDULING_COST) : most),
            "expected both " TERN_SCHEDULING_COST " and " TERN_SCHEDULING_COST_MOST ", or neither");
    else if (most != NULL)
        r->config->scheduling->max_cost = (uint32_t)cost;
}

void tern_model_config_scheduling_read(struct tern_model_config *config, struct tern_arena *arena,
                                       struct tern_problems *problems)
{
    struct tern_config_reader r = {.config = config, .arena = arena, .problems = problems};
    const struct tern_tree *optimization = tern_tree_find(config->tree, TERN_STR("optimization"));

    config->instances = 0;
    config->scheduling = tern_config_reader_many(&r, 1, sizeof(*config->scheduling));
    if (config->scheduling == NULL)
        return;
    r.config->scheduling->eager =
        optimization != NULL && tern_config_node_bool(optimization, "eager_batching");
    r.config->scheduling->gathers = tern_config_node_count(config->tree, "batch_input") > 0 ||
                                    tern_config_node_count(config->tree, "batch_output") > 0;
    for (uint32_t i = 0; i < config->n_inputs && config->max_batch_size > 0; i++)
        r.config->scheduling->gathers |= config->inputs[i].ragged;
    read_batching(&r);
    read_groups(&r);
    read_cache(&r);
    read_parameters(&r);
}
