#include "registry/ensembling.h"

#include "base/num.h"
#include "registry/model_config.h"

#define NOBODY UINT32_MAX

/* A tensor of the ensemble, while the plan is made. */
struct node {
    struct tern_str name;
    uint32_t writer; /* step; NOBODY: an input of the ensemble, or nothing writes it */
    bool is_input, is_output, is_read;
};

struct reader {
    const struct tern_model_config *config;
    struct tern_arena *arena;
    struct tern_problems *problems;
    struct node *nodes;
    uint32_t n_nodes, nodes_max;
    struct tern_ensemble_step *steps; /* as the file has them */
    uint32_t n_steps;
    uint32_t max_inflight;
    bool failed;
};

/* ---- helpers ---- */

static void *many(struct reader *r, uint32_t n, size_t size)
{
    void *p = tern_arena_zalloc(r->arena, n == 0 ? 1 : n, size);

    if (p == NULL && !r->failed)
        tern_problem_add(r->problems, r->config->file,
                         "the configuration is too large for its memory");
    r->failed |= p == NULL;
    return p;
}

static struct tern_str place_of(const struct reader *r, const struct tern_tree *node)
{
    return tern_problem_place(r->problems, r->config->file, node->line, node->column);
}

#define FAIL(r, place, ...)                                    \
    do {                                                       \
        tern_problem_add((r)->problems, (place), __VA_ARGS__); \
        (r)->failed = true;                                    \
    } while (0)

static uint32_t tensor_named(struct reader *r, struct tern_str name)
{
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        if (tern_str_eq(r->nodes[i].name, name))
            return i;
    }
    r->nodes[r->n_nodes] = (struct node){.name = name, .writer = NOBODY};
    return r->n_nodes++;
}

/* ---- reading ---- */

static uint32_t count_maps(const struct tern_tree *list)
{
    uint32_t n = 0;

    for (const struct tern_tree *step = list->first; step != NULL; step = step->next) {
        const struct tern_tree *inputs = tern_tree_find(step, TERN_STR("input_map"));
        const struct tern_tree *outputs = tern_tree_find(step, TERN_STR("output_map"));
        n += (inputs == NULL ? 0 : inputs->n) + (outputs == NULL ? 0 : outputs->n);
    }
    return n;
}

/* input_map or output_map of step i. */
static struct tern_ensemble_map *read_map(struct reader *r, const struct tern_tree *node,
                                          const char *key, uint32_t step, uint32_t *ret_n)
{
    const struct tern_tree *map = tern_tree_find(node, tern_str_of(key));
    uint32_t n = map == NULL ? 0 : map->n;
    struct tern_ensemble_map *rows = many(r, n, sizeof(*rows));

    *ret_n = 0;
    if (n == 0)
        FAIL(r, place_of(r, node), "must specify '%s' in step %u of ensemble '%.*s'", key, step,
             TERN_STR_ARG(r->config->name));
    if (rows == NULL || n == 0)
        return NULL;
    for (const struct tern_tree *one = map->first; one != NULL; one = one->next) {
        for (uint32_t i = 0; i < *ret_n; i++) {
            if (tern_str_eq(rows[i].name, one->key))
                FAIL(r, place_of(r, one),
                     "'%.*s' in model '%.*s' is mapped to multiple ensemble tensors for ensemble "
                     "'%.*s' step %u",
                     TERN_STR_ARG(one->key), TERN_STR_ARG(r->steps[step].model),
                     TERN_STR_ARG(r->config->name), step);
        }
        rows[(*ret_n)++] = (struct tern_ensemble_map){one->key, tensor_named(r, one->text)};
    }
    return rows;
}

static void read_version(struct reader *r, const struct tern_tree *node,
                         struct tern_ensemble_step *step)
{
    const struct tern_tree *version = tern_tree_find(node, TERN_STR("model_version"));

    if (version == NULL || !tern_num_parse_i64(version->text, &step->version))
        return;
    if (step->version < -1)
        FAIL(r, place_of(r, version), "model_version: expected a version, or -1 for the latest");
    if (step->version < 0)
        step->version = 0;
}

static void read_step(struct reader *r, const struct tern_tree *node)
{
    uint32_t at = r->n_steps++;
    struct tern_ensemble_step *step = &r->steps[at];
    const struct tern_tree *name = tern_tree_find(node, TERN_STR("model_name"));

    step->place = place_of(r, node);
    if (name == NULL || name->text.n == 0)
        FAIL(r, step->place, "must specify 'model_name' in step %u of ensemble '%.*s'", at,
             TERN_STR_ARG(r->config->name));
    else
        step->model = name->text;
    read_version(r, node, step);
    step->inputs = read_map(r, node, "input_map", at, &step->n_inputs);
    step->outputs = read_map(r, node, "output_map", at, &step->n_outputs);
    for (uint32_t i = 0; i < step->n_inputs; i++)
        r->nodes[step->inputs[i].tensor].is_read = true;
    for (uint32_t i = 0; i < step->n_outputs; i++) {
        struct node *tensor = &r->nodes[step->outputs[i].tensor];
        if (tensor->writer != NOBODY || tensor->is_input)
            FAIL(r, step->place,
                 "ensemble tensor '%.*s' can appear in an output map only once for ensemble '%.*s' "
                 "step %u%s",
                 TERN_STR_ARG(tensor->name), TERN_STR_ARG(r->config->name), at,
                 tensor->is_input ? ": it is an input of the ensemble" : "");
        tensor->writer = at;
    }
}

/* ---- what goes where ---- */

/* Inputs and outputs of the ensemble are the first tensors. */
static uint32_t *add_own(struct reader *r, const struct tern_config_tensor *rows, uint32_t n,
                         bool inputs)
{
    uint32_t *tensors = many(r, n, sizeof(*tensors));

    for (uint32_t i = 0; i < n && tensors != NULL; i++) {
        tensors[i] = tensor_named(r, rows[i].name);
        if (inputs)
            r->nodes[tensors[i]].is_input = true;
        else
            r->nodes[tensors[i]].is_output = true;
        if (rows[i].dtype == TERN_DTYPE_INVALID || !rows[i].has_dims)
            FAIL(r, rows[i].place, "%s \"%.*s\" of an ensemble needs data_type and dims",
                 inputs ? "input" : "output", TERN_STR_ARG(rows[i].name));
    }
    return tensors;
}

static void check_tensors(struct reader *r)
{
    struct tern_str ensemble = r->config->name;

    for (uint32_t i = 0; i < r->n_nodes; i++) {
        const struct node *tensor = &r->nodes[i];
        if (tensor->is_input && !tensor->is_read && !tensor->is_output)
            FAIL(r, r->config->file, "ensemble input '%.*s' for ensemble '%.*s' is not used",
                 TERN_STR_ARG(tensor->name), TERN_STR_ARG(ensemble));
        else if (tensor->is_output && tensor->writer == NOBODY && !tensor->is_input)
            FAIL(r, r->config->file, "output '%.*s' for ensemble '%.*s' is not written",
                 TERN_STR_ARG(tensor->name), TERN_STR_ARG(ensemble));
        else if (tensor->is_read && tensor->writer == NOBODY && !tensor->is_input)
            FAIL(r, r->config->file,
                 "ensemble tensor '%.*s' of ensemble '%.*s' is not connected: no step writes it "
                 "and it is no input",
                 TERN_STR_ARG(tensor->name), TERN_STR_ARG(ensemble));
        else if (!tensor->is_read && !tensor->is_output)
            FAIL(r, r->config->file, "ensemble tensor '%.*s' is unused in ensemble '%.*s'",
                 TERN_STR_ARG(tensor->name), TERN_STR_ARG(ensemble));
    }
}

static bool takes_from(const struct reader *r, const struct tern_ensemble_step *step,
                       uint32_t other)
{
    for (uint32_t i = 0; i < step->n_inputs; i++) {
        if (r->nodes[step->inputs[i].tensor].writer == other)
            return true;
    }
    return false;
}

/* Behind those it takes from, else as the file has them. False: there is a circle. */
static bool sort_steps(struct reader *r, uint32_t *order)
{
    bool *placed = many(r, r->n_steps, sizeof(*placed));
    uint32_t n = 0;

    for (bool found = placed != NULL; found && n < r->n_steps;) {
        found = false;
        for (uint32_t i = 0; i < r->n_steps; i++) {
            bool free = !placed[i];
            for (uint32_t other = 0; free && other < r->n_steps; other++)
                free = placed[other] || !takes_from(r, &r->steps[i], other);
            if (!free)
                continue;
            placed[i] = found = true;
            order[n++] = i;
        }
    }
    for (uint32_t i = 0; placed != NULL && i < r->n_steps && n < r->n_steps; i++) {
        if (!placed[i])
            FAIL(r, r->steps[i].place,
                 "step %u of ensemble '%.*s' (model '%.*s') waits for itself: the steps make a "
                 "circle",
                 i, TERN_STR_ARG(r->config->name), TERN_STR_ARG(r->steps[i].model));
    }
    return !r->failed;
}

static void link_step(struct reader *r, struct tern_ensemble_step *steps, const uint32_t *order,
                      uint32_t at)
{
    uint32_t *next = many(r, r->n_steps, sizeof(*next));

    steps[at] = r->steps[order[at]];
    steps[at].next = next;
    for (uint32_t i = 0; i < r->n_steps && next != NULL; i++) {
        steps[at].n_before += takes_from(r, &steps[at], i);
        if (takes_from(r, &r->steps[order[i]], order[at]))
            next[steps[at].n_next++] = i;
    }
}

static bool is_chain(const struct tern_ensemble_step *steps, uint32_t n)
{
    for (uint32_t i = 0; i + 1 < n; i++) {
        bool goes_on = false;
        for (uint32_t j = 0; j < steps[i].n_next; j++)
            goes_on |= steps[i].next[j] == i + 1;
        if (!goes_on)
            return false;
    }
    return true;
}

static const struct tern_ensembling *make(struct reader *r, const uint32_t *inputs,
                                          const uint32_t *outputs)
{
    uint32_t *order = many(r, r->n_steps, sizeof(*order));
    struct tern_ensemble_step *steps = many(r, r->n_steps, sizeof(*steps));
    struct tern_str *tensors = many(r, r->n_nodes, sizeof(*tensors));
    struct tern_ensembling *ensembling = many(r, 1, sizeof(*ensembling));

    if (r->failed || !sort_steps(r, order))
        return NULL;
    for (uint32_t i = 0; i < r->n_steps; i++)
        link_step(r, steps, order, i);
    for (uint32_t i = 0; i < r->n_nodes; i++)
        tensors[i] = r->nodes[i].name;
    *ensembling = (struct tern_ensembling){
        .steps = steps,
        .n_steps = r->n_steps,
        .tensors = tensors,
        .n_tensors = r->n_nodes,
        .inputs = inputs,
        .n_inputs = r->config->n_inputs,
        .outputs = outputs,
        .n_outputs = r->config->n_outputs,
        .max_inflight = r->max_inflight,
        .is_chain = is_chain(steps, r->n_steps),
    };
    return r->failed ? NULL : ensembling;
}

/* What an ensemble cannot have, since it has no instances of its own. */
static void check_config(struct reader *r)
{
    static const struct {
        const char *key, *what;
    } foreign[] = {{"instance_group", "instance group"},
                   {"optimization", "optimization"},
                   {"model_warmup", "model_warmup"}};
    const struct tern_tree *tree = r->config->tree;

    if (r->config->platform.n > 0 && !tern_str_eq(r->config->platform, TERN_STR("ensemble")))
        FAIL(r, r->config->file,
             "ensemble scheduling cannot be set for model '%.*s' whose platform is not ensemble",
             TERN_STR_ARG(r->config->name));
    for (size_t i = 0; i < TERN_COUNT_OF(foreign); i++) {
        const struct tern_tree *node = tern_tree_find(tree, tern_str_of(foreign[i].key));
        if (node != NULL)
            FAIL(r, place_of(r, node), "%s should not be specified for ensemble '%.*s'",
                 foreign[i].what, TERN_STR_ARG(r->config->name));
    }
}

const struct tern_ensembling *tern_ensembling_read(const struct tern_model_config *config,
                                                   struct tern_arena *arena,
                                                   struct tern_problems *problems)
{
    const struct tern_tree *node = tern_tree_find(config->tree, TERN_STR("ensemble_scheduling"));
    struct reader r = {.config = config, .arena = arena, .problems = problems};

    if (node == NULL) {
        if (tern_str_eq(config->platform, TERN_STR("ensemble")))
            FAIL(&r, config->file, "must specify 'step' for ensemble '%.*s'",
                 TERN_STR_ARG(config->name));
        return NULL;
    }
    check_config(&r);
    const struct tern_tree *most = tern_tree_find(node, TERN_STR("max_inflight_requests"));
    uint64_t inflight;
    if (most != NULL && tern_num_parse_u64(most->text, UINT32_MAX, &inflight))
        r.max_inflight = (uint32_t)inflight;
    const struct tern_tree *list = tern_tree_find(node, TERN_STR("step"));
    if (list == NULL || list->n == 0) {
        FAIL(&r, place_of(&r, node), "must specify 'step' for ensemble '%.*s'",
             TERN_STR_ARG(config->name));
        return NULL;
    }
    uint32_t n_maps = count_maps(list);
    if (list->n > TERN_ENSEMBLE_STEPS_MAX || n_maps > TERN_ENSEMBLE_MAPS_MAX) {
        FAIL(&r, place_of(&r, list), "at most %u steps with %u mapped tensors are served",
             TERN_ENSEMBLE_STEPS_MAX, TERN_ENSEMBLE_MAPS_MAX);
        return NULL;
    }
    r.nodes = many(&r, n_maps + config->n_inputs + config->n_outputs, sizeof(*r.nodes));
    r.steps = many(&r, list->n, sizeof(*r.steps));
    if (r.failed && (r.nodes == NULL || r.steps == NULL))
        return NULL;
    const uint32_t *inputs = add_own(&r, config->inputs, config->n_inputs, true);
    const uint32_t *outputs = add_own(&r, config->outputs, config->n_outputs, false);
    for (const struct tern_tree *step = list->first; step != NULL; step = step->next)
        read_step(&r, step);
    check_tensors(&r);
    return make(&r, inputs, outputs);
}
