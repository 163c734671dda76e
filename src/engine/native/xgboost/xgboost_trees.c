/* The trees of an XGBoost file: arrays with an entry a node. A node whose left child is -1 is a
 * leaf, and its value stands where an inner node has its threshold. Vector leaves have rows of
 * leaf_weights, numbered by right_children (3.1 and later), or of base_weights. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/xgboost/xgboost_int.h"

#define NODES_MAX (1u << 28) /* of one tree */

enum array {
    LEFT,
    RIGHT,
    FEATURES,
    CONDITIONS,
    DEFAULT_LEFT,
    COVERS,
    LEAF_WEIGHTS,
    SPLIT_TYPES,
    CATEGORIES,
    CATEGORY_NODES,
    CATEGORY_SEGMENTS,
    CATEGORY_SIZES,
    ARRAYS,
};

/* One tree at a time; the arrays are used again. */
struct reading {
    struct tern_document_numbers arrays[ARRAYS];
    struct tern_document base_weights; /* before their array; read for vector leaves only */
    bool has_base_weights;
    uint32_t index, id; /* of the tree */
    uint32_t n_nodes;
    uint32_t size_leaf_vector;
    struct tern_forest_node *nodes;
    size_t nodes_cap;
    double *values;
    size_t values_cap;
    uint32_t n_leaves;
    uint32_t next_categorical; /* in the arrays of categorical nodes */
};

static const int32_t *ints(const struct reading *r, enum array which)
{
    return r->arrays[which].data;
}

static const float *floats(const struct reading *r, enum array which)
{
    return r->arrays[which].data;
}

static const uint8_t *bytes(const struct reading *r, enum array which)
{
    return r->arrays[which].data;
}

/* ---- reading arrays ---- */

static enum tern_code read_array(struct reading *r, enum array which, struct tern_document *doc,
                                 struct tern_err *err)
{
    return tern_document_numbers(doc, &r->arrays[which], err);
}

#define ARRAY_READER(name, which)                                                           \
    static enum tern_code name(void *self, struct tern_document *doc, struct tern_err *err) \
    {                                                                                       \
        return read_array(self, which, doc, err);                                           \
    }

ARRAY_READER(read_left, LEFT)
ARRAY_READER(read_right, RIGHT)
ARRAY_READER(read_features, FEATURES)
ARRAY_READER(read_conditions, CONDITIONS)
ARRAY_READER(read_default_left, DEFAULT_LEFT)
ARRAY_READER(read_covers, COVERS)
ARRAY_READER(read_leaf_weights, LEAF_WEIGHTS)
ARRAY_READER(read_split_types, SPLIT_TYPES)
ARRAY_READER(read_categories, CATEGORIES)
ARRAY_READER(read_category_nodes, CATEGORY_NODES)
ARRAY_READER(read_category_segments, CATEGORY_SEGMENTS)
ARRAY_READER(read_category_sizes, CATEGORY_SIZES)

static enum tern_code read_base_weights(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct reading *r = self;

    r->base_weights = *doc;
    r->has_base_weights = true;
    return tern_document_skip(doc, err);
}

static enum tern_code read_id(void *self, struct tern_document *doc, struct tern_err *err)
{
    struct reading *r = self;
    int64_t id = 0;

    TERN_TRY(tern_document_integer(doc, r->index, r->index, &id, err));
    return TERN_OK;
}

static enum tern_code read_n_nodes(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_xgboost_read_count(doc, NODES_MAX, &((struct reading *)self)->n_nodes, err);
}

static enum tern_code read_size(void *self, struct tern_document *doc, struct tern_err *err)
{
    return tern_xgboost_read_count(doc, TERN_FOREST_OUTPUTS_MAX,
                                   &((struct reading *)self)->size_leaf_vector, err);
}

static enum tern_code read_tree_param(void *self, struct tern_document *doc, struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("num_nodes"), read_n_nodes, false},
        {TERN_XGBOOST_KEY("size_leaf_vector"), read_size, true},
    };
    return tern_xgboost_read(self, doc, "tree_param", members, TERN_COUNT_OF(members), err);
}

static enum tern_code read_arrays(struct reading *r, struct tern_document *doc,
                                  struct tern_err *err)
{
    static const struct tern_xgboost_member members[] = {
        {TERN_XGBOOST_KEY("tree_param"), read_tree_param, false},
        {TERN_XGBOOST_KEY("left_children"), read_left, false},
        {TERN_XGBOOST_KEY("right_children"), read_right, false},
        {TERN_XGBOOST_KEY("split_indices"), read_features, false},
        {TERN_XGBOOST_KEY("split_conditions"), read_conditions, false},
        {TERN_XGBOOST_KEY("default_left"), read_default_left, false},
        {TERN_XGBOOST_KEY("base_weights"), read_base_weights, true},
        {TERN_XGBOOST_KEY("sum_hessian"), read_covers, true},
        {TERN_XGBOOST_KEY("leaf_weights"), read_leaf_weights, true},
        {TERN_XGBOOST_KEY("split_type"), read_split_types, true},
        {TERN_XGBOOST_KEY("categories"), read_categories, true},
        {TERN_XGBOOST_KEY("categories_nodes"), read_category_nodes, true},
        {TERN_XGBOOST_KEY("categories_segments"), read_category_segments, true},
        {TERN_XGBOOST_KEY("categories_sizes"), read_category_sizes, true},
        {TERN_XGBOOST_KEY("id"), read_id, true},
    };

    for (int i = 0; i < ARRAYS; i++)
        r->arrays[i].n = 0;
    r->has_base_weights = false;
    r->size_leaf_vector = 1;
    return tern_xgboost_read(r, doc, "tree", members, TERN_COUNT_OF(members), err);
}

/* ---- checking them ---- */

static enum tern_code check_lengths(const struct reading *r, struct tern_err *err)
{
    static const struct {
        const char *name;
        enum array which;
        bool optional;
    } rows[] = {
        {"left_children", LEFT, false},        {"right_children", RIGHT, false},
        {"split_indices", FEATURES, false},    {"split_conditions", CONDITIONS, false},
        {"default_left", DEFAULT_LEFT, false}, {"sum_hessian", COVERS, true},
        {"split_type", SPLIT_TYPES, true},
    };

    if (r->n_nodes == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "num_nodes is 0");
    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        size_t n = r->arrays[rows[i].which].n;
        if (n != r->n_nodes && !(rows[i].optional && n == 0))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "%s has %zu entries, but num_nodes is %u",
                             rows[i].name, n, r->n_nodes);
    }
    size_t n = r->arrays[CATEGORY_NODES].n;
    if (r->arrays[CATEGORY_SEGMENTS].n != n || r->arrays[CATEGORY_SIZES].n != n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "categories_nodes, categories_segments and categories_sizes have %zu, %zu "
                         "and %zu entries",
                         n, r->arrays[CATEGORY_SEGMENTS].n, r->arrays[CATEGORY_SIZES].n);
    return TERN_OK;
}

static enum tern_code check_vector(struct tern_xgboost *x, struct reading *r, struct tern_err *err)
{
    if (r->size_leaf_vector <= 1)
        return TERN_OK;
    if (x->booster == TERN_XGBOOST_DART)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "dart has no trees of vector leaves: neither has XGBoost");
    if (r->size_leaf_vector != x->n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "size_leaf_vector is %u, but the model has %u outputs",
                         r->size_leaf_vector, x->n_outputs);
    if (r->arrays[LEAF_WEIGHTS].n != 0)
        return TERN_OK;
    if (!r->has_base_weights)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "there are neither leaf_weights nor "
                         "base_weights");
    struct tern_document doc = r->base_weights;
    TERN_TRY(tern_document_numbers(&doc, &r->arrays[LEAF_WEIGHTS], err));
    if (r->arrays[LEAF_WEIGHTS].n != (size_t)r->n_nodes * r->size_leaf_vector)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "base_weights has %zu entries, but there are %u nodes of %u",
                         r->arrays[LEAF_WEIGHTS].n, r->n_nodes, r->size_leaf_vector);
    for (uint32_t i = 0; i < r->n_nodes; i++) /* rows are numbered as the nodes are */
        if (ints(r, LEFT)[i] == -1)
            ((int32_t *)r->arrays[RIGHT].data)[i] = (int32_t)i;
    return TERN_OK;
}

/* ---- nodes ---- */

static enum tern_code add_leaf(struct reading *r, uint32_t i, float weight,
                               struct tern_forest_node *node, struct tern_err *err)
{
    size_t width = r->size_leaf_vector > 1 ? r->size_leaf_vector : 1;
    const float *from = floats(r, CONDITIONS) + i;

    if (width > 1) {
        int32_t row = ints(r, RIGHT)[i];
        if (row < 0 || ((size_t)row + 1) * width > r->arrays[LEAF_WEIGHTS].n)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "node %u: row %d of leaf_weights, which has %zu", i, row,
                             r->arrays[LEAF_WEIGHTS].n / width);
        from = floats(r, LEAF_WEIGHTS) + (size_t)row * width;
    }
    TERN_TRY(tern_grow(&r->values, &r->values_cap, r->n_leaves * width, width, sizeof(*r->values),
                       TERN_FOREST_LEAVES_MAX, "leaf values", err));
    for (size_t k = 0; k < width; k++)
        r->values[r->n_leaves * width + k] = (double)(float)(from[k] * weight);
    node->test = TERN_FOREST_LEAF;
    node->leaf = r->n_leaves++;
    return TERN_OK;
}

/* Members of the set go right. Nodes with sets are listed in ascending order. */
static enum tern_code add_set(struct reading *r, struct tern_forest_builder *builder, uint32_t i,
                              struct tern_forest_node *node, struct tern_err *err)
{
    uint32_t c = r->next_categorical;
    const struct tern_document_numbers *all = &r->arrays[CATEGORIES];

    if (c >= r->arrays[CATEGORY_NODES].n || ints(r, CATEGORY_NODES)[c] != (int64_t)i)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "node %u: it asks for categories, but is not next in categories_nodes", i);
    int64_t first = ((const int64_t *)r->arrays[CATEGORY_SEGMENTS].data)[c];
    int64_t n = ((const int64_t *)r->arrays[CATEGORY_SIZES].data)[c];
    if (n < 1 || first < 0 || (uint64_t)first > all->n || (uint64_t)n > all->n - (uint64_t)first)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "node %u: categories %lld and %lld more, expected at least one of %zu", i,
                         (long long)first, (long long)n, all->n);
    const int32_t *members = (const int32_t *)all->data + first;
    for (int64_t k = 0; k < n; k++) {
        if (members[k] < 0 || members[k] >= (int32_t)TERN_FOREST_CATEGORY_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "node %u: category %d", i, members[k]);
    }
    r->next_categorical++;
    node->test = TERN_FOREST_MEMBER;
    return tern_forest_builder_add_set(builder, (const uint32_t *)(const void *)members, (size_t)n,
                                       TERN_FOREST_DOWN, &node->set, err);
}

static enum tern_code add_split(struct reading *r, struct tern_forest_builder *builder, uint32_t i,
                                struct tern_forest_node *node, struct tern_err *err)
{
    int32_t left = ints(r, LEFT)[i];
    int32_t right = ints(r, RIGHT)[i];
    bool missing_left = bytes(r, DEFAULT_LEFT)[i] != 0;
    uint8_t type = r->arrays[SPLIT_TYPES].n == 0 ? 0 : bytes(r, SPLIT_TYPES)[i];

    if (left < 0 || right < 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "node %u: children %d and %d", i, left, right);
    if (type > 1)
        return tern_fail(err, TERN_UNIMPLEMENTED, "node %u: split_type %u is not known", i, type);
    node->feature = (uint32_t)ints(r, FEATURES)[i];
    node->yes = (uint32_t)(type == 1 ? right : left);
    node->no = (uint32_t)(type == 1 ? left : right);
    node->missing_yes = (type == 1) != missing_left;
    if (type == 1)
        return add_set(r, builder, i, node, err);
    node->test = TERN_FOREST_LESS;
    node->threshold = (double)floats(r, CONDITIONS)[i];
    return TERN_OK;
}

static enum tern_code make_nodes(struct reading *r, struct tern_forest_builder *builder,
                                 float weight, struct tern_err *err)
{
    TERN_TRY(tern_grow(&r->nodes, &r->nodes_cap, 0, r->n_nodes, sizeof(*r->nodes),
                       TERN_FOREST_NODES_MAX, "nodes", err));
    r->n_leaves = 0;
    r->next_categorical = 0;
    for (uint32_t i = 0; i < r->n_nodes; i++) {
        struct tern_forest_node *node = &r->nodes[i];
        memset(node, 0, sizeof(*node));
        if (r->arrays[COVERS].n != 0)
            node->cover = (double)floats(r, COVERS)[i];
        if (ints(r, LEFT)[i] == -1)
            TERN_TRY(add_leaf(r, i, weight, node, err));
        else
            TERN_TRY(add_split(r, builder, i, node, err));
    }
    if (r->next_categorical != r->arrays[CATEGORY_NODES].n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "categories_nodes names node %d, which asks for no categories",
                         ints(r, CATEGORY_NODES)[r->next_categorical]);
    return TERN_OK;
}

/* ---- trees ---- */

static enum tern_code make_tree(struct tern_xgboost *x, struct reading *r,
                                struct tern_document *doc, struct tern_forest_builder *builder,
                                struct tern_err *err)
{
    float weight = 1;

    if (r->index == x->n_trees)
        return tern_document_fail(doc, err, "expected no tree, num_trees is %u", x->n_trees);
    if (x->booster == TERN_XGBOOST_DART)
        weight = ((const float *)x->drops.data)[r->index];
    TERN_TRY(read_arrays(r, doc, err));
    TERN_TRY(check_lengths(r, err));
    TERN_TRY(check_vector(x, r, err));
    return make_nodes(r, builder, weight, err);
}

static enum tern_code read_trees(struct tern_xgboost *x, struct reading *r,
                                 struct tern_forest_builder *builder, struct tern_err *err)
{
    struct tern_document *doc = &x->trees;
    bool more = false;

    TERN_TRY(tern_document_array(doc, err));
    for (;; r->index++) {
        TERN_TRY(tern_document_item(doc, &more, err));
        if (!more)
            break;
        enum tern_code code = make_tree(x, r, doc, builder, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "tree %u", r->index);
            return code;
        }
        bool vector = r->size_leaf_vector > 1;
        const struct tern_forest_tree tree = {
            .nodes = r->nodes,
            .n_nodes = r->n_nodes,
            .values = r->values,
            .n_leaves = r->n_leaves,
            .vector = vector,
            .output = vector ? 0 : (uint32_t)((const int32_t *)x->groups.data)[r->index],
        };
        TERN_TRY(tern_forest_builder_add_tree(builder, &tree, err));
    }
    if (r->index != x->n_trees)
        return tern_document_fail(doc, err, "expected %u trees (num_trees), found %u", x->n_trees,
                                  r->index);
    return TERN_OK;
}

static enum tern_code check_groups(const struct tern_xgboost *x, struct tern_err *err)
{
    const int32_t *groups = x->groups.data, *rounds = x->rounds.data;

    if (x->groups.n != x->n_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tree_info has %zu entries, but num_trees is %u", x->groups.n, x->n_trees);
    for (size_t i = 0; i < x->groups.n; i++) {
        if (groups[i] < 0 || (uint32_t)groups[i] >= x->n_outputs)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "tree_info: tree %zu is for output %d, the model has %u", i, groups[i],
                             x->n_outputs);
    }
    if (x->booster == TERN_XGBOOST_DART && x->drops.n != x->n_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "weight_drop has %zu entries, but num_trees is %u", x->drops.n,
                         x->n_trees);
    for (size_t i = 0; i < x->rounds.n; i++) {
        if (rounds[i] < (i == 0 ? 0 : rounds[i - 1]) || (i == 0 && rounds[0] != 0))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "iteration_indptr: entry %zu is %d, expected 0 first and then no less "
                             "than the one before",
                             i, rounds[i]);
    }
    if (x->rounds.n != 0 && (uint32_t)rounds[x->rounds.n - 1] != x->n_trees)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "iteration_indptr ends with %d, but num_trees is %u",
                         rounds[x->rounds.n - 1], x->n_trees);
    return TERN_OK;
}

static void init_reading(struct reading *r)
{
    static const enum tern_dtype dtypes[ARRAYS] = {
        [LEFT] = TERN_DTYPE_INT32,
        [RIGHT] = TERN_DTYPE_INT32,
        [FEATURES] = TERN_DTYPE_INT32,
        [CONDITIONS] = TERN_DTYPE_FP32,
        [DEFAULT_LEFT] = TERN_DTYPE_BOOL,
        [COVERS] = TERN_DTYPE_FP32,
        [LEAF_WEIGHTS] = TERN_DTYPE_FP32,
        [SPLIT_TYPES] = TERN_DTYPE_UINT8,
        [CATEGORIES] = TERN_DTYPE_INT32,
        [CATEGORY_NODES] = TERN_DTYPE_INT32,
        [CATEGORY_SEGMENTS] = TERN_DTYPE_INT64,
        [CATEGORY_SIZES] = TERN_DTYPE_INT64,
    };

    memset(r, 0, sizeof(*r));
    for (int i = 0; i < ARRAYS; i++) {
        tern_document_numbers_init(&r->arrays[i], dtypes[i]);
        r->arrays[i].max = TERN_FOREST_LEAVES_MAX;
    }
}

static void fini_reading(struct reading *r)
{
    for (int i = 0; i < ARRAYS; i++)
        tern_document_numbers_fini(&r->arrays[i]);
    tern_mem_free(r->nodes);
    tern_mem_free(r->values);
}

enum tern_code tern_xgboost_forest(struct tern_xgboost *x, struct tern_forest **ret,
                                   struct tern_err *err)
{
    double *base = tern_arena_zalloc(x->arena, x->n_outputs, sizeof(*base));
    struct tern_forest_builder *builder;
    struct reading reading;

    if (base == NULL)
        return tern_arena_fail(x->arena, err, "base_score");
    for (uint32_t i = 0; i < x->n_outputs; i++)
        base[i] = (double)x->margins[i];
    const struct tern_forest_settings settings = {
        .n_features = x->n_features,
        .n_outputs = x->n_outputs,
        .float_input = true,
        .float_sum = true,
        .combine = TERN_FOREST_SUM,
        .base = base,
        .base_first = true,
    };
    TERN_TRY(check_groups(x, err));
    TERN_TRY(tern_forest_builder_new(&settings, &builder, err));
    init_reading(&reading);
    enum tern_code code = read_trees(x, &reading, builder, err);
    fini_reading(&reading);
    if (code == TERN_OK)
        code = tern_forest_builder_finish(builder, ret, err);
    tern_forest_builder_free(builder);
    return code;
}
