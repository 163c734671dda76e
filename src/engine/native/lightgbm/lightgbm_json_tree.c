/* The trees of LightGBM's JSON. A tree is nested as deep as it was grown: nodes that are open are
 * kept in frames, not in calls, and the reader's TERN_JSON_DEPTH_MAX limits a tree's depth. */
#include "engine/native/lightgbm/lightgbm_json.h"

#include <math.h>
#include "base/grow.h"
#include "base/mem.h"
#include "base/num.h"

#define INFINITE 1e300 /* what dump_model writes for an infinite threshold */

/* X(name): the members of a node, splits and leaves, in the order of LightGBM. */
#define NODE_MEMBERS(X) \
    X(split_index)      \
    X(split_feature)    \
    X(split_gain)       \
    X(threshold)        \
    X(decision_type)    \
    X(default_left)     \
    X(missing_type)     \
    X(internal_value)   \
    X(internal_weight)  \
    X(internal_count)   \
    X(left_child)       \
    X(right_child)      \
    X(leaf_index)       \
    X(leaf_value)       \
    X(leaf_weight)      \
    X(leaf_count)       \
    X(leaf_const)       \
    X(leaf_features)    \
    X(leaf_coeff)

enum node_member {
#define X(name) NODE_##name,
    NODE_MEMBERS(X)
#undef X
        NODE_COUNT,
};

static const struct tern_str node_members[NODE_COUNT] = {
#define X(name) {#name, sizeof(#name) - 1},
    NODE_MEMBERS(X)
#undef X
};

/* A node whose object is not closed yet. */
struct tern_lightgbm_frame {
    uint32_t seen;  /* bits of node_member */
    uint32_t split; /* split_index: the node that it is */
    uint32_t feature;
    bool categorical;           /* its decision_type is "==" */
    bool has_text;              /* its threshold is a string: categories between "||" */
    struct tern_str categories; /* that string */
    double threshold;
    bool default_left;
    enum tern_lightgbm_missing missing;
    double cover;
    uint32_t yes, no;
    uint32_t leaf; /* leaf_index */
    double value;
    double constant;
    uint32_t terms_from, n_features; /* of a linear leaf, in the tree's lists */
    uint32_t n_coefficients;
    bool right; /* of its parent's */
};

static enum tern_code read_real(struct tern_lightgbm_json *doc, double *ret, struct tern_err *err)
{
    struct tern_json_number number;

    TERN_TRY(tern_json_number(&doc->json, &number, err));
    *ret = number.kind == TERN_JSON_INT64    ? (double)number.int64
           : number.kind == TERN_JSON_UINT64 ? (double)number.uint64
                                             : number.real;
    return TERN_OK;
}

static enum tern_code read_feature(struct tern_lightgbm_json *doc, const char *key, uint32_t *ret,
                                   struct tern_err *err)
{
    return tern_lightgbm_json_count(doc, key, doc->model.n_features - 1, ret, err);
}

/* ---- a node ---- */

static enum tern_code read_decision(struct tern_lightgbm_json *doc,
                                    struct tern_lightgbm_frame *frame, struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_json_string(&doc->json, &text, err));
    frame->categorical = tern_str_eq(text, TERN_STR("=="));
    if (!frame->categorical && !tern_str_eq(text, TERN_STR("<=")))
        return tern_json_fail(&doc->json, err, "decision_type: expected \"<=\" or \"==\"");
    return TERN_OK;
}

static enum tern_code read_missing(struct tern_lightgbm_json *doc,
                                   struct tern_lightgbm_frame *frame, struct tern_err *err)
{
    struct tern_str text;

    TERN_TRY(tern_json_string(&doc->json, &text, err));
    if (tern_str_eq(text, TERN_STR("None")))
        frame->missing = TERN_LIGHTGBM_NONE;
    else if (tern_str_eq(text, TERN_STR("Zero")))
        frame->missing = TERN_LIGHTGBM_ZERO;
    else if (tern_str_eq(text, TERN_STR("NaN")))
        frame->missing = TERN_LIGHTGBM_NAN;
    else
        return tern_json_fail(&doc->json, err,
                              "missing_type: expected \"None\", \"Zero\" or \"NaN\"");
    return TERN_OK;
}

static enum tern_code read_threshold(struct tern_lightgbm_json *doc,
                                     struct tern_lightgbm_frame *frame, struct tern_err *err)
{
    frame->has_text = tern_json_peek(&doc->json) == TERN_JSON_STRING;
    if (frame->has_text)
        return tern_json_string(&doc->json, &frame->categories, err);
    TERN_TRY(read_real(doc, &frame->threshold, err));
    if (fabs(frame->threshold) >= INFINITE)
        frame->threshold = copysign(INFINITY, frame->threshold);
    return TERN_OK;
}

/* The terms of one leaf come in two lists, in either order: the longer of both makes the room. */
static enum tern_code read_terms(struct tern_lightgbm_json *doc, struct tern_lightgbm_frame *frame,
                                 bool features, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &doc->model.tree;
    uint32_t *n = features ? &frame->n_features : &frame->n_coefficients;
    bool more;

    TERN_TRY(tern_json_array(&doc->json, err));
    while (true) {
        TERN_TRY(tern_json_item(&doc->json, &more, err));
        if (!more)
            return TERN_OK;
        uint32_t at = frame->terms_from + *n;
        if (at == tree->n_terms) {
            TERN_TRY(tern_lightgbm_tree_terms(tree, 1, err));
            tree->n_terms++;
        }
        if (features)
            TERN_TRY(read_feature(doc, "leaf_features", &tree->features[at], err));
        else
            TERN_TRY(read_real(doc, &tree->coefficients[at], err));
        (*n)++;
    }
}

static enum tern_code read_member(struct tern_lightgbm_json *doc, struct tern_lightgbm_frame *frame,
                                  enum node_member member, struct tern_err *err)
{
    switch (member) {
    case NODE_split_feature:
        return read_feature(doc, "split_feature", &frame->feature, err);
    case NODE_threshold:
        return read_threshold(doc, frame, err);
    case NODE_decision_type:
        return read_decision(doc, frame, err);
    case NODE_default_left:
        return tern_json_bool(&doc->json, &frame->default_left, err);
    case NODE_missing_type:
        return read_missing(doc, frame, err);
    case NODE_internal_count:
    case NODE_leaf_count:
        return read_real(doc, &frame->cover, err);
    case NODE_split_index:
        return tern_lightgbm_json_count(doc, "split_index", TERN_FOREST_LEAVES_MAX, &frame->split,
                                        err);
    case NODE_leaf_index:
        return tern_lightgbm_json_count(doc, "leaf_index", doc->model.tree.n_leaves - 1,
                                        &frame->leaf, err);
    case NODE_leaf_value:
        return read_real(doc, &frame->value, err);
    case NODE_leaf_const:
        return read_real(doc, &frame->constant, err);
    case NODE_leaf_features:
    case NODE_leaf_coeff:
        return read_terms(doc, frame, member == NODE_leaf_features, err);
    case NODE_left_child:
    case NODE_right_child:
    case NODE_split_gain:
    case NODE_internal_value:
    case NODE_internal_weight:
    case NODE_leaf_weight:
    case NODE_COUNT:
        break;
    }
    return tern_json_skip(&doc->json, err);
}

/* "1||4||7" */
static enum tern_code read_set(struct tern_lightgbm_json *doc, struct tern_str text,
                               uint32_t *ret_set, struct tern_err *err)
{
    uint32_t n = 0;

    while (text.n > 0) {
        size_t at = tern_str_find(text, '|');
        uint64_t category;
        if (!tern_num_parse_u64(tern_str_make(text.p, at), TERN_FOREST_CATEGORY_MAX - 1,
                                &category) ||
            (at < text.n && (at + 2 >= text.n || text.p[at + 1] != '|')))
            return tern_json_fail(&doc->json, err,
                                  "threshold: expected categories below %u between \"||\"",
                                  TERN_FOREST_CATEGORY_MAX);
        TERN_TRY(tern_grow(&doc->categories, &doc->categories_cap, n, 1, sizeof(*doc->categories),
                           TERN_LIGHTGBM_PARTS_MAX, "categories of a set", err));
        doc->categories[n++] = (uint32_t)category;
        text = tern_str_from(text, at + 2);
    }
    return tern_forest_builder_add_set(doc->model.builder, doc->categories, n,
                                       TERN_FOREST_TOWARD_ZERO, ret_set, err);
}

static enum tern_code need(struct tern_lightgbm_json *doc, const struct tern_lightgbm_frame *frame,
                           uint32_t members, struct tern_err *err)
{
    uint32_t missing = members & ~frame->seen;

    if (missing == 0)
        return TERN_OK;
    return tern_json_fail(&doc->json, err, "%s is missing", node_members[__builtin_ctz(missing)].p);
}

#define BIT(name) (1u << NODE_##name)

static enum tern_code close_leaf(struct tern_lightgbm_json *doc,
                                 const struct tern_lightgbm_frame *frame, uint32_t *ret,
                                 struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &doc->model.tree;
    uint32_t single = tree->n_leaves == 1 ? 0 : BIT(leaf_index);

    TERN_TRY(need(doc, frame, BIT(leaf_value) | single, err));
    if (doc->n_leaves == tree->n_leaves)
        return tern_json_fail(&doc->json, err, "more leaves than num_leaves, which is %u",
                              tree->n_leaves);
    *ret = tree->n_leaves - 1 + frame->leaf;
    tree->nodes[*ret].cover = frame->cover;
    tree->values[frame->leaf] = frame->value;
    if (tree->is_linear || (frame->seen & BIT(leaf_const)) != 0) {
        TERN_TRY(need(doc, frame, BIT(leaf_const) | BIT(leaf_features) | BIT(leaf_coeff), err));
        if (doc->n_leaves > 0 && !tree->is_linear)
            return tern_json_fail(&doc->json, err, "leaf_const: other leaves have none");
        if (frame->n_features != frame->n_coefficients)
            return tern_json_fail(&doc->json, err, "leaf_features: %u, but leaf_coeff: %u",
                                  frame->n_features, frame->n_coefficients);
        tree->is_linear = true;
        tree->linear[frame->leaf].constant = frame->constant;
        tree->linear[frame->leaf].n = frame->n_features;
        doc->starts[frame->leaf] = frame->terms_from;
    }
    doc->n_leaves++;
    return TERN_OK;
}

static enum tern_code close_split(struct tern_lightgbm_json *doc,
                                  const struct tern_lightgbm_frame *frame, uint32_t *ret,
                                  struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &doc->model.tree;
    uint32_t set;

    TERN_TRY(need(doc, frame,
                  BIT(split_index) | BIT(split_feature) | BIT(threshold) | BIT(decision_type) |
                      BIT(left_child) | BIT(right_child),
                  err));
    if (frame->split >= tree->n_leaves - 1)
        return tern_json_fail(&doc->json, err, "split_index: %u, but num_leaves is %u",
                              frame->split, tree->n_leaves);
    struct tern_forest_node *node = &tree->nodes[frame->split];
    if (node->test != TERN_FOREST_LEAF)
        return tern_json_fail(&doc->json, err, "split_index: %u stands there twice", frame->split);
    *ret = frame->split;
    node->feature = frame->feature;
    node->yes = frame->yes;
    node->no = frame->no;
    node->cover = frame->cover;
    if (frame->categorical != frame->has_text)
        return tern_json_fail(&doc->json, err, "threshold: expected %s",
                              frame->categorical ? "categories" : "a number");
    if (frame->categorical) {
        TERN_TRY(read_set(doc, frame->categories, &set, err));
        tern_lightgbm_split_categories(node, set);
        return TERN_OK;
    }
    TERN_TRY(need(doc, frame, BIT(default_left) | BIT(missing_type), err));
    tern_lightgbm_split(node, frame->threshold, frame->default_left, frame->missing);
    return TERN_OK;
}

/* ---- a tree ---- */

static enum tern_code open_node(struct tern_lightgbm_json *doc, bool right, struct tern_err *err)
{
    TERN_TRY(tern_grow(&doc->frames, &doc->frames_cap, doc->n_frames, 1, sizeof(*doc->frames),
                       TERN_LIGHTGBM_PARTS_MAX, "open nodes", err));
    doc->frames[doc->n_frames++] =
        (struct tern_lightgbm_frame){.right = right, .terms_from = doc->model.tree.n_terms};
    return tern_json_object(&doc->json, err);
}

/* The innermost node's object was closed: makes the node and tells its parent. */
static enum tern_code close_node(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    const struct tern_lightgbm_frame *frame = &doc->frames[doc->n_frames - 1];
    uint32_t node = 0;

    if ((frame->seen & BIT(leaf_value)) == 0)
        TERN_TRY(close_split(doc, frame, &node, err));
    else if ((frame->seen & (BIT(left_child) | BIT(right_child))) == 0)
        TERN_TRY(close_leaf(doc, frame, &node, err));
    else
        return tern_json_fail(&doc->json, err, "a leaf with children");
    doc->n_frames--;
    if (doc->n_frames == 0)
        return node == 0 ? TERN_OK
                         : tern_json_fail(&doc->json, err, "split_index: the root's is not 0");
    struct tern_lightgbm_frame *parent = &doc->frames[doc->n_frames - 1];
    if (frame->right)
        parent->no = node;
    else
        parent->yes = node;
    return TERN_OK;
}

/* Members nearly always follow each other as they do in the table. */
static bool find_member(struct tern_lightgbm_json *doc, struct tern_str key, unsigned *ret)
{
    for (unsigned tried = 0; tried < NODE_COUNT; tried++) {
        unsigned member = (doc->last_member + 1 + tried) % NODE_COUNT;
        if (tern_str_eq(node_members[member], key)) {
            doc->last_member = member;
            *ret = member;
            return true;
        }
    }
    return false;
}

/* The next member of the innermost node, or its end. */
static enum tern_code step_node(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    struct tern_lightgbm_frame *frame = &doc->frames[doc->n_frames - 1];
    struct tern_str key;
    unsigned member = 0;
    bool more;

    TERN_TRY(tern_json_key(&doc->json, &more, &key, err));
    if (!more)
        return close_node(doc, err);
    if (!find_member(doc, key, &member))
        return tern_fail(err, TERN_UNIMPLEMENTED, "what '%.*s' of a node does is not known",
                         TERN_STR_ARG(key));
    TERN_TRY(tern_json_once(&doc->json, &frame->seen, member, key, err));
    if (member == NODE_left_child || member == NODE_right_child)
        return open_node(doc, member == NODE_right_child, err);
    return read_member(doc, frame, (enum node_member)member, err);
}

static enum tern_code read_structure(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    struct tern_lightgbm_tree *tree = &doc->model.tree;

    doc->n_leaves = 0;
    doc->n_frames = 0;
    tree->is_linear = false;
    TERN_TRY(tern_grow(&doc->starts, &doc->starts_cap, 0, tree->n_leaves, sizeof(*doc->starts),
                       TERN_LIGHTGBM_PARTS_MAX, "leaves of a tree", err));
    TERN_TRY(open_node(doc, false, err));
    while (doc->n_frames > 0)
        TERN_TRY(step_node(doc, err));
    if (doc->n_leaves != tree->n_leaves)
        return tern_json_fail(&doc->json, err, "num_leaves is %u, but there are %u", tree->n_leaves,
                              doc->n_leaves);
    for (uint32_t i = 0; tree->is_linear && i < tree->n_leaves; i++) {
        if (tree->linear[i].n > 0) {
            tree->linear[i].features = tree->features + doc->starts[i];
            tree->linear[i].coefficients = tree->coefficients + doc->starts[i];
        }
    }
    return tern_lightgbm_add(&doc->model, err);
}

/* Every leaf takes bytes of the file: so that no count makes us take more than it has. */
static enum tern_code read_leaves(struct tern_lightgbm_json *doc, uint32_t *ret,
                                  struct tern_err *err)
{
    size_t left = (size_t)(doc->json.end - doc->json.p);
    size_t max = left / sizeof("{\"leaf_value\":0}");

    TERN_TRY(tern_lightgbm_json_count(
        doc, "num_leaves",
        max < TERN_FOREST_LEAVES_MAX / 2 ? (uint32_t)max : TERN_FOREST_LEAVES_MAX / 2, ret, err));
    return tern_lightgbm_tree_begin(&doc->model.tree, *ret, err);
}

enum tern_code tern_lightgbm_json_tree(struct tern_lightgbm_json *doc, struct tern_err *err)
{
    enum { LEAVES, CATEGORIES, SHRINKAGE, INDEX, STRUCTURE, COUNT };
    static const char *const members[COUNT] = {"num_leaves", "num_cat", "shrinkage", "tree_index",
                                               "tree_structure"};
    uint32_t n_leaves = 0;
    uint32_t seen = 0;
    struct tern_str key;
    bool more;

    TERN_TRY(tern_json_object(&doc->json, err));
    while (true) {
        unsigned i = 0;
        TERN_TRY(tern_json_key(&doc->json, &more, &key, err));
        if (!more)
            break;
        while (i < COUNT && !tern_str_eq(tern_str_of(members[i]), key))
            i++;
        if (i == COUNT)
            return tern_fail(err, TERN_UNIMPLEMENTED, "what '%.*s' does is not known",
                             TERN_STR_ARG(key));
        TERN_TRY(tern_json_once(&doc->json, &seen, i, key, err));
        if (i == STRUCTURE && n_leaves == 0)
            return tern_json_fail(&doc->json, err, "tree_structure comes before num_leaves");
        if (i == LEAVES)
            TERN_TRY(read_leaves(doc, &n_leaves, err));
        else if (i == STRUCTURE)
            TERN_TRY(read_structure(doc, err));
        else
            TERN_TRY(tern_json_skip(&doc->json, err));
    }
    if ((seen & (1u << STRUCTURE)) == 0)
        return tern_json_fail(&doc->json, err, "tree_structure is missing");
    return TERN_OK;
}

void tern_lightgbm_json_fini(struct tern_lightgbm_json *doc)
{
    tern_mem_free(doc->frames);
    tern_mem_free(doc->categories);
    tern_mem_free(doc->starts);
}
