/* The trees of CatBoost's JSON: symmetric ones as lists of questions and values, others as nested
 * objects, whose open ones are kept in frames, not in calls. */
#include "engine/native/catboost/catboost_json.h"

#include <math.h>
#include "base/grow.h"

enum tern_code tern_catboost_number(struct tern_catboost_document *doc, double *ret,
                                    struct tern_err *err)
{
    struct tern_json_number number;

    TERN_TRY(tern_document_number(&doc->json, &number, err));
    *ret = number.kind == TERN_JSON_INT64    ? (double)number.int64
           : number.kind == TERN_JSON_UINT64 ? (double)number.uint64
                                             : number.real;
    return TERN_OK;
}

/* ---- questions ---- */

enum {
    SPLIT_INDEX,
    SPLIT_FEATURE,
    SPLIT_BORDER,
    SPLIT_CATEGORY,
    SPLIT_VALUE,
    SPLIT_TYPE,
    SPLIT_COUNT
};

static const char *const split_members[SPLIT_COUNT] = {
    [SPLIT_INDEX] = "split_index", [SPLIT_FEATURE] = "float_feature_index",
    [SPLIT_BORDER] = "border",     [SPLIT_CATEGORY] = "cat_feature_index",
    [SPLIT_VALUE] = "value",       [SPLIT_TYPE] = "split_type",
};

struct split {
    uint32_t seen;
    int64_t index, feature, hash;
    double border;
    bool is_category;
};

static enum tern_code read_type(struct tern_catboost_document *doc, bool *ret_is_category,
                                struct tern_err *err)
{
    struct tern_str type;

    TERN_TRY(tern_document_string(&doc->json, &type, err));
    *ret_is_category = tern_str_eq(type, TERN_STR("OneHotFeature"));
    if (*ret_is_category || tern_str_eq(type, TERN_STR("FloatFeature")))
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED,
                     "split_type %.*s: its trees look at statistics of categories, texts or "
                     "embeddings, which is not served",
                     TERN_STR_ARG(type));
}

static enum tern_code read_split_member(struct tern_catboost_document *doc, struct split *split,
                                        unsigned member, struct tern_err *err)
{
    switch (member) {
    case SPLIT_INDEX:
        return tern_document_integer(&doc->json, 0, UINT32_MAX, &split->index, err);
    case SPLIT_FEATURE:
    case SPLIT_CATEGORY:
        return tern_document_integer(&doc->json, 0, UINT32_MAX, &split->feature, err);
    case SPLIT_BORDER:
        return tern_catboost_number(doc, &split->border, err);
    case SPLIT_VALUE:
        return tern_document_integer(&doc->json, INT32_MIN, UINT32_MAX, &split->hash, err);
    case SPLIT_TYPE:
        return read_type(doc, &split->is_category, err);
    default:
        return tern_document_skip(&doc->json, err);
    }
}

static bool is_same(const struct tern_catboost *model, const struct tern_catboost_bin *bin,
                    const struct split *split)
{
    if (bin->is_category != split->is_category)
        return false;
    return bin->is_category ? model->categories[bin->feature].index == split->feature &&
                                  bin->hash == (uint32_t)split->hash
                            : model->features[bin->feature].index == split->feature &&
                                  bin->border == (float)split->border;
}

/* CatBoost goes by the index; what else is said of the split has to be the same. */
static enum tern_code find_bin(struct tern_catboost_document *doc, const struct split *split,
                               uint32_t *ret, struct tern_err *err)
{
    const struct tern_catboost *model = &doc->model;
    uint32_t of_kind = split->is_category ? 1u << SPLIT_CATEGORY | 1u << SPLIT_VALUE
                                          : 1u << SPLIT_FEATURE | 1u << SPLIT_BORDER;
    uint32_t missing = (1u << SPLIT_TYPE | 1u << SPLIT_INDEX | of_kind) & ~split->seen;

    if (missing != 0)
        return tern_document_fail(&doc->json, err, "%s is missing",
                                  split_members[__builtin_ctz(missing)]);
    if ((uint64_t)split->index >= model->n_bins)
        return tern_document_fail(&doc->json, err, "split_index: %lld, but there are %zu borders",
                                  (long long)split->index, model->n_bins);
    if (!is_same(model, &model->bins[split->index], split))
        return tern_document_fail(
            &doc->json, err, "split_index %lld is another %s than feature %lld at %.9g",
            (long long)split->index, split->is_category ? "category" : "border",
            (long long)split->feature, split->is_category ? (double)split->hash : split->border);
    *ret = (uint32_t)split->index;
    return TERN_OK;
}

static enum tern_code read_split(struct tern_catboost_document *doc, uint32_t *ret_bin,
                                 struct tern_err *err)
{
    struct split split = {0};
    struct tern_str key;
    bool more;

    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            return find_bin(doc, &split, ret_bin, err);
        while (i < SPLIT_COUNT && !tern_str_eq(tern_str_of(split_members[i]), key))
            i++;
        if (i < SPLIT_COUNT)
            TERN_TRY(tern_document_once(&doc->json, &split.seen, i, key, err));
        TERN_TRY(read_split_member(doc, &split, i, err));
    }
}

/* ---- how many outputs ---- */

/* Known from the first tree, where it is more than the biases say. */
static enum tern_code begin(struct tern_catboost_document *doc, size_t n_outputs,
                            struct tern_err *err)
{
    if (doc->model.builder != NULL) {
        if (n_outputs == doc->model.n_outputs)
            return TERN_OK;
        return tern_document_fail(&doc->json, err, "%zu values a leaf, but %u in other leaves",
                                  n_outputs, doc->model.n_outputs);
    }
    if (n_outputs == 0 || n_outputs > TERN_FOREST_OUTPUTS_MAX)
        return tern_document_fail(&doc->json, err, "%zu values a leaf, expected 1 to %u", n_outputs,
                                  TERN_FOREST_OUTPUTS_MAX);
    doc->model.n_outputs = (uint32_t)n_outputs;
    return tern_catboost_begin(&doc->model, err);
}

/* ---- symmetric trees ---- */

enum { TREE_VALUES, TREE_WEIGHTS, TREE_SPLITS, TREE_COUNT };

static const char *const tree_members[TREE_COUNT] = {
    [TREE_VALUES] = "leaf_values",
    [TREE_WEIGHTS] = "leaf_weights",
    [TREE_SPLITS] = "splits",
};

static enum tern_code read_splits(struct tern_catboost_document *doc, uint32_t *ret_n,
                                  struct tern_err *err)
{
    uint32_t n = 0;
    bool more;

    *ret_n = 0;
    if (tern_document_peek(&doc->json) == TERN_JSON_NULL) /* of a tree with one leaf */
        return tern_document_skip(&doc->json, err);
    TERN_TRY(tern_document_array(&doc->json, err));
    while (true) {
        TERN_TRY(tern_document_item(&doc->json, &more, err));
        if (!more)
            break;
        TERN_TRY(tern_grow(&doc->splits, &doc->splits_cap, n, 1, sizeof(*doc->splits),
                           TERN_CATBOOST_PARTS_MAX, "splits of a tree", err));
        TERN_TRY(read_split(doc, &doc->splits[n], err));
        n++;
    }
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code add_symmetric(struct tern_catboost_document *doc, uint32_t n_splits,
                                    struct tern_err *err)
{
    if (n_splits > TERN_CATBOOST_DEPTH_MAX)
        return tern_catboost_add_symmetric(&doc->model, NULL, n_splits, NULL, NULL, err);
    size_t n_leaves = (size_t)1 << n_splits;
    if (doc->numbers.n % n_leaves != 0)
        return tern_document_fail(&doc->json, err, "leaf_values: %zu for %zu leaves",
                                  doc->numbers.n, n_leaves);
    if (doc->weights.n != 0 && doc->weights.n != n_leaves)
        return tern_document_fail(&doc->json, err, "leaf_weights: %zu for %zu leaves",
                                  doc->weights.n, n_leaves);
    TERN_TRY(begin(doc, doc->numbers.n / n_leaves, err));
    return tern_catboost_add_symmetric(&doc->model, doc->splits, n_splits, doc->numbers.data,
                                       doc->weights.n == 0 ? NULL : doc->weights.data, err);
}

static enum tern_code read_symmetric(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_str key;
    uint32_t seen = 0, n_splits = 0;
    bool more;

    doc->numbers.n = 0;
    doc->weights.n = 0;
    TERN_TRY(tern_document_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
        if (!more)
            return add_symmetric(doc, n_splits, err);
        while (i < TREE_COUNT && !tern_str_eq(tern_str_of(tree_members[i]), key))
            i++;
        if (i < TREE_COUNT)
            TERN_TRY(tern_document_once(&doc->json, &seen, i, key, err));
        if (i == TREE_VALUES)
            TERN_TRY(tern_document_numbers(&doc->json, &doc->numbers, err));
        else if (i == TREE_WEIGHTS)
            TERN_TRY(tern_document_numbers(&doc->json, &doc->weights, err));
        else if (i == TREE_SPLITS)
            TERN_TRY(read_splits(doc, &n_splits, err));
        else
            TERN_TRY(tern_document_skip(&doc->json, err));
    }
}

/* ---- other trees ---- */

enum { NODE_LEFT, NODE_RIGHT, NODE_SPLIT, NODE_VALUE, NODE_WEIGHT, NODE_COUNT };

static const char *const node_members[NODE_COUNT] = {
    [NODE_LEFT] = "left",   [NODE_RIGHT] = "right",   [NODE_SPLIT] = "split",
    [NODE_VALUE] = "value", [NODE_WEIGHT] = "weight",
};

static enum tern_code open_node(struct tern_catboost_document *doc, bool is_right,
                                struct tern_err *err)
{
    struct tern_catboost_frame frame = {.is_right = is_right};

    TERN_TRY(tern_catboost_add_node(&doc->model, &frame.node, err));
    TERN_TRY(tern_grow(&doc->frames, &doc->frames_cap, doc->n_frames, 1, sizeof(frame),
                       TERN_JSON_DEPTH_MAX, "nodes within nodes", err));
    doc->frames[doc->n_frames++] = frame;
    return tern_document_object(&doc->json, err);
}

/* A number, or one for each output. */
static enum tern_code read_value(struct tern_catboost_document *doc, struct tern_err *err)
{
    const double *values;
    double one;

    doc->numbers.n = 1;
    if (tern_document_peek(&doc->json) == TERN_JSON_ARRAY) {
        TERN_TRY(tern_document_numbers(&doc->json, &doc->numbers, err));
        values = doc->numbers.data;
    } else {
        TERN_TRY(tern_catboost_number(doc, &one, err));
        values = &one;
    }
    TERN_TRY(begin(doc, doc->numbers.n, err));
    TERN_TRY(tern_grow(&doc->values, &doc->values_cap, doc->n_values, doc->numbers.n,
                       sizeof(*doc->values), TERN_CATBOOST_PARTS_MAX, "values of a tree", err));
    for (size_t i = 0; i < doc->numbers.n; i++)
        doc->values[doc->n_values++] = values[i];
    return TERN_OK;
}

static enum tern_code close_leaf(struct tern_catboost_document *doc,
                                 const struct tern_catboost_frame *frame, struct tern_err *err)
{
    struct tern_forest_node *node = &doc->model.nodes[frame->node];
    uint32_t of_split = 1u << NODE_LEFT | 1u << NODE_RIGHT | 1u << NODE_SPLIT;

    if ((frame->seen & of_split) != 0)
        return tern_document_fail(&doc->json, err, "a leaf with children or a split");
    node->leaf = doc->n_leaves++;
    node->cover = frame->weight;
    return TERN_OK;
}

static enum tern_code close_split(struct tern_catboost_document *doc,
                                  const struct tern_catboost_frame *frame, struct tern_err *err)
{
    for (unsigned i = NODE_LEFT; i <= NODE_SPLIT; i++) {
        if ((frame->seen & (1u << i)) == 0)
            return tern_document_fail(&doc->json, err, "%s is missing", node_members[i]);
    }
    return tern_catboost_ask(&doc->model, frame->node, frame->bin, frame->left, frame->right, err);
}

/* The innermost node's object was closed. */
static enum tern_code close_node(struct tern_catboost_document *doc, struct tern_err *err)
{
    const struct tern_catboost_frame *frame = &doc->frames[doc->n_frames - 1];

    if ((frame->seen & (1u << NODE_VALUE)) != 0)
        TERN_TRY(close_leaf(doc, frame, err));
    else
        TERN_TRY(close_split(doc, frame, err));
    doc->n_frames--;
    if (doc->n_frames == 0)
        return TERN_OK;
    struct tern_catboost_frame *parent = &doc->frames[doc->n_frames - 1];
    if (frame->is_right)
        parent->right = frame->node;
    else
        parent->left = frame->node;
    return TERN_OK;
}

/* The next member of the innermost node, or its end. */
static enum tern_code step_node(struct tern_catboost_document *doc, struct tern_err *err)
{
    struct tern_catboost_frame *frame = &doc->frames[doc->n_frames - 1];
    struct tern_str key;
    unsigned i = 0;
    bool more;

    TERN_TRY(tern_document_key(&doc->json, &more, &key, err));
    if (!more)
        return close_node(doc, err);
    while (i < NODE_COUNT && !tern_str_eq(tern_str_of(node_members[i]), key))
        i++;
    if (i < NODE_COUNT)
        TERN_TRY(tern_document_once(&doc->json, &frame->seen, i, key, err));
    switch (i) {
    case NODE_LEFT:
    case NODE_RIGHT:
        return open_node(doc, i == NODE_RIGHT, err);
    case NODE_SPLIT:
        return read_split(doc, &frame->bin, err);
    case NODE_VALUE:
        return read_value(doc, err);
    case NODE_WEIGHT:
        return tern_catboost_number(doc, &frame->weight, err);
    default:
        return tern_document_skip(&doc->json, err);
    }
}

static enum tern_code read_tree(struct tern_catboost_document *doc, struct tern_err *err)
{
    doc->model.n_nodes = 0;
    doc->n_frames = 0;
    doc->n_values = 0;
    doc->n_leaves = 0;
    TERN_TRY(open_node(doc, false, err));
    while (doc->n_frames > 0)
        TERN_TRY(step_node(doc, err));
    return tern_catboost_add_tree(&doc->model, doc->values, doc->n_leaves, err);
}

/* ---- all ---- */

enum tern_code tern_catboost_read_trees(struct tern_catboost_document *doc, struct tern_err *err)
{
    bool more;

    doc->json = doc->trees;
    TERN_TRY(tern_document_array(&doc->json, err));
    for (uint32_t i = 0;; i++) {
        TERN_TRY(tern_document_item(&doc->json, &more, err));
        if (!more)
            break;
        enum tern_code code = doc->symmetric ? read_symmetric(doc, err) : read_tree(doc, err);
        if (code != TERN_OK) {
            if (err == NULL || !tern_str_starts(tern_str_of(err->text), TERN_STR("tree ")))
                tern_err_prefix(err, "tree %u", i);
            return code;
        }
    }
    /* Without a tree the biases are all there is. */
    return doc->model.builder != NULL
               ? TERN_OK
               : begin(doc, doc->model.n_bias > 0 ? doc->model.n_bias : 1, err);
}
