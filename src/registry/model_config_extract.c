#include "registry/model_config_extract.h"

#include "base/num.h"
#include "registry/config_reader.h"
#include "registry/model_config_scheduling.h"
#include "registry/model_config_sequences.h"

#define TENSORS_MAX 256

/* ---- tensors ---- */

static void extract_tensor(const struct tern_config_reader *x, const struct tern_tree *node,
                           const char *what, struct tern_config_tensor *ret)
{
    ret->name = tern_config_node_text(node, "name");
    ret->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    ret->has_dims = tern_tree_find(node, TERN_STR("dims")) != NULL;
    ret->optional = tern_config_node_bool(node, "optional");
    ret->ragged = tern_config_node_bool(node, "allow_ragged_batch");
    ret->label_filename = tern_config_reader_file(x, node, "label_filename");
    ret->place = tern_config_reader_place(x, node);
    tern_config_reader_dims(x, node, "dims", &ret->dims);
    const struct tern_tree *reshape = tern_tree_find(node, TERN_STR("reshape"));
    ret->has_reshape = reshape != NULL;
    if (reshape != NULL)
        tern_config_reader_dims(x, reshape, "shape", &ret->reshape);
    if (ret->name.n == 0)
        tern_problem_add(x->problems, ret->place, "%s: a name is missing", what);
}

static struct tern_config_tensor *extract_tensors(struct tern_config_reader *x, const char *what,
                                                  uint32_t *ret_n)
{
    uint32_t n = tern_config_node_count(x->config->tree, what);
    struct tern_config_tensor *rows;

    *ret_n = 0;
    if (n > TENSORS_MAX) {
        tern_problem_add(x->problems, x->config->file, "%s: more than %d", what, TENSORS_MAX);
        return NULL;
    }
    rows = tern_config_reader_many(x, n, sizeof(*rows));
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

static void extract_versions(const struct tern_config_reader *x, const struct tern_tree *specific)
{
    struct tern_version_policy *policy = &x->config->version_policy;

    policy->kind = TERN_VERSION_POLICY_SPECIFIC;
    for (const struct tern_tree *node = tern_config_node_first(specific, "versions"); node != NULL;
         node = node->next) {
        int64_t version = 0;
        if (!tern_num_parse_i64(node->text, &version) || version < 1) {
            tern_problem_add(x->problems, tern_config_reader_place(x, node),
                             "versions: expected a number from 1, got \"%.*s\"",
                             TERN_STR_ARG(node->text));
        } else if (policy->n_specific == TERN_VERSION_POLICY_MAX) {
            tern_problem_add(x->problems, tern_config_reader_place(x, node),
                             "versions: more than %d", TERN_VERSION_POLICY_MAX);
            return;
        } else {
            policy->specific[policy->n_specific++] = version;
        }
    }
    if (policy->n_specific == 0)
        tern_problem_add(x->problems, tern_config_reader_place(x, specific),
                         "versions: at least one is needed");
}

static void extract_version_policy(const struct tern_config_reader *x)
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
            tern_problem_add(x->problems, tern_config_reader_place(x, number),
                             "num_versions: expected 1 or more, got %.*s",
                             TERN_STR_ARG(number->text));
        policy->latest = latest == 0 ? 1 : (uint32_t)latest;
    }
}

static void extract_transactions(const struct tern_config_reader *x)
{
    const struct tern_tree *node =
        tern_tree_find(x->config->tree, TERN_STR("model_transaction_policy"));

    x->config->decoupled = node != NULL && tern_config_node_bool(node, "decoupled");
}

static void extract_warmup_input(const struct tern_config_reader *x, const struct tern_tree *node,
                                 struct tern_config_warmup_input *ret)
{
    ret->name = node->key;
    ret->dtype = tern_dtype_from_config_name(tern_config_node_text(node, "data_type"));
    tern_config_reader_dims(x, node, "dims", &ret->dims);
    ret->file = tern_config_reader_file(x, node, "input_data_file");
    ret->source = ret->file.n > 0                              ? TERN_WARMUP_FILE
                  : tern_config_node_bool(node, "random_data") ? TERN_WARMUP_RANDOM
                                                               : TERN_WARMUP_ZERO;
    if (ret->dtype == TERN_DTYPE_INVALID)
        tern_problem_add(x->problems, tern_config_reader_place(x, node),
                         "model_warmup: a data_type is missing");
    for (int i = 0; i < ret->dims.rank; i++) {
        if (ret->dims.dim[i] == -1)
            tern_problem_add(x->problems, tern_config_reader_place(x, node),
                             "model_warmup: dims of a sample must be known, not -1");
    }
}

static void extract_warmup(struct tern_config_reader *x)
{
    uint32_t n = tern_config_node_count(x->config->tree, "model_warmup");
    struct tern_config_warmup *rows = tern_config_reader_many(x, n, sizeof(*rows));
    const struct tern_tree *node = tern_config_node_first(x->config->tree, "model_warmup");

    for (uint32_t i = 0; i < n && rows != NULL; i++, node = node->next) {
        uint32_t n_inputs = tern_config_node_count(node, "inputs");
        rows[i].name = tern_config_node_text(node, "name");
        rows[i].batch_size = tern_config_node_uint(node, "batch_size");
        rows[i].count =
            tern_config_node_uint(node, "count") == 0 ? 1 : tern_config_node_uint(node, "count");
        rows[i].inputs = tern_config_reader_many(x, n_inputs, sizeof(*rows[i].inputs));
        if (rows[i].inputs == NULL)
            return;
        if (rows[i].batch_size > (uint64_t)x->config->max_batch_size)
            tern_problem_add(x->problems, tern_config_reader_place(x, node),
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

static void extract_tags(struct tern_config_reader *x)
{
    struct tern_model_tag *rows = tern_config_reader_many(
        x, tern_config_node_count(x->config->tree, "metric_tags"), sizeof(*rows));
    uint32_t n = 0;

    for (const struct tern_tree *node = tern_config_node_first(x->config->tree, "metric_tags");
         node != NULL && rows != NULL; node = node->next)
        rows[n++] = (struct tern_model_tag){node->key, node->text};
    x->config->metric_tags = rows;
    x->config->n_metric_tags = n;
}

/* ---- options of the engine ---- */

static void add_option(struct tern_config_reader *x, struct tern_str key, struct tern_str value)
{
    if (key.p == NULL)
        tern_config_reader_say_no_memory(x);
    else
        x->config->options[x->config->n_options++] = (struct tern_engine_option){key, value};
}

static void add_accelerators(struct tern_config_reader *x, const struct tern_tree *accelerators,
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

static void extract_options(struct tern_config_reader *x)
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
    x->config->options =
        tern_config_reader_many(x,
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
    struct tern_config_reader x = {config, arena, problems, false};
    const struct tern_tree *tree = config->tree;
    const struct tern_tree *batch = tern_tree_find(tree, TERN_STR("max_batch_size"));

    config->name = tern_config_node_text(tree, "name");
    config->platform = tern_config_node_text(tree, "platform");
    config->backend = tern_config_node_text(tree, "backend");
    config->default_model_filename = tern_config_reader_file(&x, tree, "default_model_filename");
    config->has_max_batch_size = batch != NULL;
    config->max_batch_size = tern_config_node_int(tree, "max_batch_size");
    if (batch != NULL && config->max_batch_size < 0) {
        tern_problem_add(problems, tern_config_reader_place(&x, batch),
                         "max_batch_size: expected 0 or more, got %lld",
                         (long long)config->max_batch_size);
        config->max_batch_size = 0;
    }
    config->inputs = extract_tensors(&x, "input", &config->n_inputs);
    config->outputs = extract_tensors(&x, "output", &config->n_outputs);
    extract_version_policy(&x);
    extract_transactions(&x);
    tern_model_config_sequences_read(&x);
    config->ensembling = tern_ensembling_read(config, arena, problems);
    extract_warmup(&x);
    extract_tags(&x);
    extract_options(&x);
    tern_model_config_scheduling_read(config, arena, problems);
}
