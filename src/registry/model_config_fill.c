/* What the configuration leaves out goes into its tree, as Triton fills it in before it prints. */
#include "registry/model_config_fill.h"

#include "base/clock.h"
#include "registry/model_schema.h"

struct filler {
    struct tern_model_config *config;
    const struct tern_model_config_subject *subject;
    struct tern_arena *arena;
    bool out_of_memory;
};

static struct tern_tree *put(struct filler *f, struct tern_tree *message, const char *key,
                             enum tern_tree_kind kind, struct tern_str text)
{
    struct tern_tree *node =
        message == NULL ? NULL : tern_model_schema_put(message, key, kind, text, f->arena);

    f->out_of_memory |= node == NULL;
    return node;
}

static void put_number(struct filler *f, struct tern_tree *message, const char *key, int64_t v)
{
    struct tern_str text = tern_arena_printf(f->arena, "%lld", (long long)v);

    f->out_of_memory |= text.p == NULL;
    put(f, message, key, TERN_TREE_SCALAR, text);
}

static void put_if_missing(struct filler *f, const char *key, struct tern_str text)
{
    const struct tern_tree *node = tern_tree_find(f->config->tree, tern_str_of(key));

    if (node == NULL || node->text.n == 0)
        put(f, f->config->tree, key, TERN_TREE_SCALAR, text);
}

/* dims and data_type of an element of `input` or `output` that leaves them out. */
static void put_tensor(struct filler *f, struct tern_tree *element,
                       const struct tern_tensor_spec *spec)
{
    char type[16];
    const struct tern_tree *said = tern_tree_find(element, TERN_STR("data_type"));

    if (said == NULL || tern_str_eq(said->text, TERN_STR("TYPE_INVALID"))) {
        tern_dtype_config_name(spec->dtype, type);
        struct tern_str text = tern_arena_copy(f->arena, tern_str_of(type));
        f->out_of_memory |= text.p == NULL;
        put(f, element, "data_type", TERN_TREE_SCALAR, text);
    }
    if (tern_tree_find(element, TERN_STR("dims")) != NULL)
        return;
    struct tern_tree *dims = put(f, element, "dims", TERN_TREE_LIST, TERN_STR(""));
    for (int i = f->config->max_batch_size > 0; dims != NULL && i < spec->shape.rank; i++)
        put_number(f, dims, NULL, spec->shape.dim[i]);
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

static void put_tensors(struct filler *f, const char *key, const struct tern_tensor_spec *specs,
                        uint32_t n)
{
    struct tern_tree *list = put(f, f->config->tree, key, TERN_TREE_LIST, TERN_STR(""));

    for (uint32_t i = 0; list != NULL && i < n; i++) {
        struct tern_tree *element = element_named(list, specs[i].name);
        if (element == NULL) {
            element = put(f, list, NULL, TERN_TREE_MAP, TERN_STR(""));
            put(f, element, "name", TERN_TREE_SCALAR, specs[i].name);
            if (specs[i].optional)
                put(f, element, "optional", TERN_TREE_SCALAR, TERN_STR("true"));
        }
        if (element != NULL)
            put_tensor(f, element, &specs[i]);
    }
}

/* The server's own policy: a configuration that is pasted back means the same. */
static void put_version_policy(struct filler *f)
{
    static const struct tern_version_policy latest = {.kind = TERN_VERSION_POLICY_LATEST,
                                                      .latest = 1};
    const struct tern_version_policy *policy =
        f->subject->policy == NULL ? &latest : f->subject->policy;
    struct tern_tree *node = put(f, f->config->tree, "version_policy", TERN_TREE_MAP, TERN_STR(""));

    if (policy->kind == TERN_VERSION_POLICY_ALL) {
        put(f, node, "all", TERN_TREE_MAP, TERN_STR(""));
    } else if (policy->kind == TERN_VERSION_POLICY_LATEST) {
        struct tern_tree *block = put(f, node, "latest", TERN_TREE_MAP, TERN_STR(""));
        put_number(f, block, "num_versions", policy->latest);
    } else {
        struct tern_tree *block = put(f, node, "specific", TERN_TREE_MAP, TERN_STR(""));
        struct tern_tree *list = put(f, block, "versions", TERN_TREE_LIST, TERN_STR(""));
        for (uint32_t i = 0; i < policy->n_specific; i++)
            put_number(f, list, NULL, policy->specific[i]);
    }
}

static bool says_nothing(const struct tern_tree *message, const char *key, const char *nothing)
{
    const struct tern_tree *node =
        message == NULL ? NULL : tern_tree_find(message, tern_str_of(key));

    return node == NULL || tern_str_eq(node->text, tern_str_of(nothing));
}

/* The one group of a model that names none is called as the model; others get a number. */
static void put_groups(struct filler *f)
{
    struct tern_tree *tree = f->config->tree;
    struct tern_tree *groups = tern_tree_find(tree, TERN_STR("instance_group"));
    uint32_t n = 0;

    if (groups == NULL || groups->n == 0) {
        groups = put(f, tree, "instance_group", TERN_TREE_LIST, TERN_STR(""));
        struct tern_tree *group = put(f, groups, NULL, TERN_TREE_MAP, TERN_STR(""));
        put(f, group, "name", TERN_TREE_SCALAR, f->config->name);
        put_number(f, group, "count", f->subject->instances > 0 ? f->subject->instances : 1);
    }
    for (struct tern_tree *group = groups == NULL ? NULL : groups->first; group != NULL;
         group = group->next, n++) {
        if (says_nothing(group, "name", "")) {
            struct tern_str name =
                tern_arena_printf(f->arena, "%.*s_%u", TERN_STR_ARG(f->config->name), n);
            f->out_of_memory |= name.p == NULL;
            put(f, group, "name", TERN_TREE_SCALAR, name);
        }
        if (says_nothing(group, "kind", "KIND_AUTO"))
            put(f, group, "kind", TERN_TREE_SCALAR, TERN_STR("KIND_CPU"));
        if (says_nothing(group, "count", "0"))
            put_number(f, group, "count", 1);
    }
}

/* Batches as large as they may be, of a scheduler that names no sizes. */
static void put_preferred(struct filler *f, struct tern_tree *batching)
{
    if (batching == NULL || f->config->max_batch_size == 0 ||
        tern_tree_find(batching, TERN_STR("preferred_batch_size")) != NULL)
        return;
    struct tern_tree *list = put(f, batching, "preferred_batch_size", TERN_TREE_LIST, TERN_STR(""));
    put_number(f, list, NULL, f->config->max_batch_size);
}

static void put_sequences(struct filler *f, struct tern_tree *batching)
{
    if (batching == NULL)
        return;
    if (says_nothing(batching, "max_sequence_idle_microseconds", "0"))
        put_number(f, batching, "max_sequence_idle_microseconds",
                   TERN_SEQUENCE_IDLE_NS / TERN_NS_PER_US);
    put_preferred(f, tern_tree_find(batching, TERN_STR("oldest")));
}

/* Room for what is known when the ensemble is tied to its steps. */
static void put_transactions(struct filler *f)
{
    struct tern_str key = TERN_STR("model_transaction_policy");
    struct tern_tree *policy = tern_tree_find(f->config->tree, key);

    if (policy == NULL)
        policy = put(f, f->config->tree, key.p, TERN_TREE_MAP, TERN_STR(""));
    if (policy != NULL && tern_tree_find(policy, TERN_STR("decoupled")) == NULL)
        put(f, policy, "decoupled", TERN_TREE_SCALAR, TERN_STR("false"));
}

/* What Triton fills in before it prints: a version policy, instances, pinned memory, the file. */
static void put_defaults(struct filler *f)
{
    struct tern_tree *tree = f->config->tree;

    if (!f->config->has_version_policy)
        put_version_policy(f);
    if (f->config->ensembling != NULL) {
        put_transactions(f);
        return; /* its steps have instances, it has none */
    }
    put_preferred(f, tern_tree_find(tree, TERN_STR("dynamic_batching")));
    put_sequences(f, tern_tree_find(tree, TERN_STR("sequence_batching")));
    struct tern_tree *optimization = put(f, tree, "optimization", TERN_TREE_MAP, TERN_STR(""));
    static const char *const pinned[] = {"input_pinned_memory", "output_pinned_memory"};
    for (size_t i = 0; optimization != NULL && i < TERN_COUNT_OF(pinned); i++) {
        if (tern_tree_find(optimization, tern_str_of(pinned[i])) == NULL) {
            struct tern_tree *block = put(f, optimization, pinned[i], TERN_TREE_MAP, TERN_STR(""));
            put(f, block, "enable", TERN_TREE_SCALAR, TERN_STR("true"));
        }
    }
    put_groups(f);
    if (f->subject->file_name.n > 0)
        put_if_missing(f, "default_model_filename", f->subject->file_name);
}

bool tern_model_config_fill_batches(struct tern_model_config *config, bool dynamic,
                                    struct tern_arena *arena)
{
    struct filler f = {.config = config, .arena = arena};

    put_number(&f, config->tree, "max_batch_size", config->max_batch_size);
    if (dynamic)
        put(&f, config->tree, "dynamic_batching", TERN_TREE_MAP, TERN_STR(""));
    return !f.out_of_memory;
}

bool tern_model_config_fill(struct tern_model_config *config,
                            const struct tern_model_config_subject *subject,
                            const struct tern_seen *seen, struct tern_arena *arena)
{
    struct filler f = {config, subject, arena, false};

    put_if_missing(&f, "name", config->name);
    put_if_missing(&f, "backend", config->backend);
    put_if_missing(&f, "platform", config->platform);
    if (seen != NULL) {
        put_tensors(&f, "input", seen->inputs, seen->n_inputs);
        put_tensors(&f, "output", seen->outputs, seen->n_outputs);
    }
    put_defaults(&f);
    return !f.out_of_memory;
}
