/* CatBoost's .cbm: "CBM1", the size of what follows, and a FlatBuffer with the trees as arrays over
 * all of them (catboost/libs/model/flatbuffers/model.fbs). Tables of categories follow in models
 * that have them. */
#include "engine/native/catboost/catboost.h"

#include "base/grow.h"
#include "base/mem.h"
#include "engine/native/catboost/catboost_int.h"
#include "wire/flatbuf.h"

enum { CORE_VERSION, CORE_TREES, CORE_INFO, CORE_PARTS }; /* TModelCore */
enum { INFO_KEY, INFO_VALUE };                            /* TKeyValue */

/* TModelTrees */
enum {
    TREES_OUTPUTS,
    TREES_SPLITS,
    TREES_SIZES,
    TREES_STARTS,
    TREES_CATEGORIES,
    TREES_FLOATS,
    TREES_ONE_HOT,
    TREES_CTRS,
    TREES_VALUES,
    TREES_WEIGHTS,
    TREES_STEPS,
    TREES_LEAF_IDS,
    TREES_TEXTS,
    TREES_ESTIMATED,
    TREES_SCALE,
    TREES_BIAS,
    TREES_BIASES,
    TREES_REPACKED_BINS,
    TREES_EMBEDDINGS,
};

enum { FLOAT_HAS_NANS, FLOAT_INDEX, FLOAT_COLUMN, FLOAT_BORDERS, FLOAT_NAME, FLOAT_NANS };
enum { OTHER_INDEX, OTHER_COLUMN, OTHER_NAME }; /* a feature that is no number */
enum { ONE_HOT_INDEX, ONE_HOT_VALUES };         /* TOneHotFeature */

#define NANS_AS_TRUE 2
#define NANS_MAX     2

struct cbm {
    struct tern_catboost model;
    struct tern_flatbuf_table trees;
    struct tern_flatbuf_vector splits, sizes, starts, values, weights, steps, leaf_ids;
    size_t value_at;  /* of the next symmetric tree */
    double *numbers;  /* owned: values and weights of one tree */
    uint32_t *places; /* owned: splits of one tree */
    size_t numbers_cap, places_cap;
};

/* ---- the head ---- */

static enum tern_code read_feature(struct cbm *cbm, const struct tern_flatbuf_table *feature,
                                   struct tern_err *err)
{
    struct tern_flatbuf_vector borders;
    struct tern_str name;
    int32_t index, column;
    uint8_t has_nans, nans;

    TERN_TRY(tern_flatbuf_byte(feature, FLOAT_HAS_NANS, 0, &has_nans, err));
    TERN_TRY(tern_flatbuf_int32(feature, FLOAT_INDEX, -1, &index, err));
    TERN_TRY(tern_flatbuf_int32(feature, FLOAT_COLUMN, -1, &column, err));
    TERN_TRY(tern_flatbuf_vector(feature, FLOAT_BORDERS, 4, &borders, err));
    TERN_TRY(tern_flatbuf_string(feature, FLOAT_NAME, &name, err));
    TERN_TRY(tern_flatbuf_byte(feature, FLOAT_NANS, 0, &nans, err));
    if (nans > NANS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NanValueTreatment is %u, expected 0 to %d",
                         nans, NANS_MAX);
    TERN_TRY(tern_catboost_add_feature(&cbm->model, index, column,
                                       has_nans != 0 && nans == NANS_AS_TRUE, name, err));
    for (uint32_t i = 0; i < borders.n; i++)
        TERN_TRY(tern_catboost_add_border(&cbm->model, (double)tern_flatbuf_f32(&borders, i), err));
    return TERN_OK;
}

static enum tern_code read_features(struct cbm *cbm, struct tern_err *err)
{
    struct tern_flatbuf_vector list;
    struct tern_flatbuf_table feature;

    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_FLOATS, 4, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        enum tern_code code = tern_flatbuf_element(&list, i, &feature, err);
        if (code == TERN_OK)
            code = read_feature(cbm, &feature, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "FloatFeatures %u", i);
            return code;
        }
    }
    return TERN_OK;
}

static enum tern_code read_category(struct cbm *cbm, const struct tern_flatbuf_table *feature,
                                    struct tern_err *err)
{
    struct tern_str name;
    int32_t index, column;

    TERN_TRY(tern_flatbuf_int32(feature, OTHER_INDEX, -1, &index, err));
    TERN_TRY(tern_flatbuf_int32(feature, OTHER_COLUMN, -1, &column, err));
    TERN_TRY(tern_flatbuf_string(feature, OTHER_NAME, &name, err));
    return tern_catboost_add_category(&cbm->model, index, column, name, err);
}

static enum tern_code read_one_hot(struct cbm *cbm, const struct tern_flatbuf_table *feature,
                                   struct tern_err *err)
{
    struct tern_flatbuf_vector hashes;
    int32_t index;

    TERN_TRY(tern_flatbuf_int32(feature, ONE_HOT_INDEX, -1, &index, err));
    TERN_TRY(tern_flatbuf_vector(feature, ONE_HOT_VALUES, 4, &hashes, err));
    for (uint32_t i = 0; i < hashes.n; i++)
        TERN_TRY(tern_catboost_add_value(&cbm->model, index, tern_flatbuf_u32(&hashes, i), err));
    return TERN_OK;
}

/* The columns of categories, then those of their values that trees ask for. */
static enum tern_code read_categories(struct cbm *cbm, struct tern_err *err)
{
    struct tern_flatbuf_vector list;
    struct tern_flatbuf_table feature;

    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_CATEGORIES, 4, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        TERN_TRY(tern_flatbuf_element(&list, i, &feature, err));
        TERN_TRY(read_category(cbm, &feature, err));
    }
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_ONE_HOT, 4, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        TERN_TRY(tern_flatbuf_element(&list, i, &feature, err));
        TERN_TRY(read_one_hot(cbm, &feature, err));
    }
    return TERN_OK;
}

/* Columns that hold something else. */
static enum tern_code read_others(struct cbm *cbm, uint16_t field, struct tern_err *err)
{
    struct tern_flatbuf_vector list;
    struct tern_flatbuf_table feature;
    struct tern_str name;
    int32_t column;

    TERN_TRY(tern_flatbuf_vector(&cbm->trees, field, 4, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        TERN_TRY(tern_flatbuf_element(&list, i, &feature, err));
        TERN_TRY(tern_flatbuf_int32(&feature, OTHER_COLUMN, -1, &column, err));
        TERN_TRY(tern_flatbuf_string(&feature, OTHER_NAME, &name, err));
        TERN_TRY(tern_catboost_column(&cbm->model, column, name, err));
    }
    return TERN_OK;
}

static enum tern_code refuse(struct cbm *cbm, uint16_t field, const char *what,
                             struct tern_err *err)
{
    struct tern_flatbuf_vector list;

    TERN_TRY(tern_flatbuf_vector(&cbm->trees, field, 4, &list, err));
    if (list.n == 0)
        return TERN_OK;
    return tern_fail(err, TERN_UNIMPLEMENTED, "its trees look at %s, which is not served", what);
}

static enum tern_code read_biases(struct cbm *cbm, struct tern_err *err)
{
    struct tern_flatbuf_vector biases;
    double bias;

    TERN_TRY(tern_flatbuf_double(&cbm->trees, TREES_SCALE, 1, &cbm->model.scale, err));
    TERN_TRY(tern_flatbuf_double(&cbm->trees, TREES_BIAS, 0, &bias, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_BIASES, 8, &biases, err));
    for (uint32_t i = 0; i < biases.n; i++)
        TERN_TRY(tern_catboost_add_bias(&cbm->model, tern_flatbuf_f64(&biases, i), err));
    return biases.n == 0 ? tern_catboost_add_bias(&cbm->model, bias, err) : TERN_OK;
}

static enum tern_code read_info(struct cbm *cbm, const struct tern_flatbuf_table *core,
                                struct tern_err *err)
{
    struct tern_flatbuf_vector list;
    struct tern_flatbuf_table row;
    struct tern_str key, value;

    TERN_TRY(tern_flatbuf_vector(core, CORE_INFO, 4, &list, err));
    for (uint32_t i = 0; i < list.n; i++) {
        enum tern_code code = TERN_OK;
        TERN_TRY(tern_flatbuf_element(&list, i, &row, err));
        TERN_TRY(tern_flatbuf_string(&row, INFO_KEY, &key, err));
        TERN_TRY(tern_flatbuf_string(&row, INFO_VALUE, &value, err));
        if (tern_str_eq(key, TERN_STR("params")))
            code = tern_catboost_read_params(&cbm->model, value, err);
        else if (tern_str_eq(key, TERN_STR("class_params")))
            code = tern_catboost_read_classes(&cbm->model, value, err);
        if (code != TERN_OK) {
            tern_err_prefix(err, "%.*s", TERN_STR_ARG(key));
            return code;
        }
    }
    return TERN_OK;
}

static enum tern_code read_core(struct cbm *cbm, struct tern_str text, struct tern_err *err)
{
    struct tern_flatbuf_table core;
    struct tern_flatbuf_vector parts;
    struct tern_str version;
    int32_t n_outputs;

    TERN_TRY(tern_flatbuf_root(text, &core, err));
    TERN_TRY(tern_flatbuf_string(&core, CORE_VERSION, &version, err));
    if (!tern_str_eq(version, TERN_STR("FlabuffersModel_v1")))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "FormatVersion '%.*s' is not known: FlabuffersModel_v1 is",
                         TERN_STR_ARG(version));
    TERN_TRY(tern_flatbuf_table(&core, CORE_TREES, &cbm->trees, err));
    TERN_TRY(refuse(cbm, TREES_CTRS, "statistics of categories (CTR)", err));
    TERN_TRY(refuse(cbm, TREES_ESTIMATED, "texts or embeddings", err));
    TERN_TRY(tern_flatbuf_vector(&core, CORE_PARTS, 4, &parts, err));
    if (parts.n > 0)
        return tern_fail(err, TERN_UNIMPLEMENTED, "%u parts after the trees are not served",
                         parts.n);
    TERN_TRY(tern_flatbuf_int32(&cbm->trees, TREES_OUTPUTS, 0, &n_outputs, err));
    if (n_outputs < 1 || n_outputs > (int32_t)TERN_FOREST_OUTPUTS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "ApproxDimension is %d, expected 1 to %u",
                         n_outputs, TERN_FOREST_OUTPUTS_MAX);
    cbm->model.n_outputs = (uint32_t)n_outputs;
    TERN_TRY(read_features(cbm, err));
    TERN_TRY(read_categories(cbm, err));
    TERN_TRY(read_others(cbm, TREES_TEXTS, err));
    TERN_TRY(read_others(cbm, TREES_EMBEDDINGS, err));
    TERN_TRY(read_biases(cbm, err));
    return read_info(cbm, &core, err);
}

/* ---- trees ---- */

static enum tern_code open_arrays(struct cbm *cbm, struct tern_err *err)
{
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_SPLITS, 4, &cbm->splits, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_SIZES, 4, &cbm->sizes, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_STARTS, 4, &cbm->starts, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_VALUES, 8, &cbm->values, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_WEIGHTS, 8, &cbm->weights, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_STEPS, 4, &cbm->steps, err));
    TERN_TRY(tern_flatbuf_vector(&cbm->trees, TREES_LEAF_IDS, 4, &cbm->leaf_ids, err));
    if (cbm->sizes.n != cbm->starts.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "TreeSizes: %u, but TreeStartOffsets: %u",
                         cbm->sizes.n, cbm->starts.n);
    if (cbm->steps.n > 0 && (cbm->steps.n != cbm->splits.n || cbm->steps.n != cbm->leaf_ids.n))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NonSymmetricStepNodes: %u, but TreeSplits: %u and "
                         "NonSymmetricNodeIdToLeafId: %u",
                         cbm->steps.n, cbm->splits.n, cbm->leaf_ids.n);
    if (cbm->weights.n > 0 && (uint64_t)cbm->weights.n * cbm->model.n_outputs != cbm->values.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "LeafWeights: %u, but LeafValues: %u of %u outputs", cbm->weights.n,
                         cbm->values.n, cbm->model.n_outputs);
    return TERN_OK;
}

/* The values of a tree's leaves and then their weights, from value `at` on, in cbm->numbers. */
static enum tern_code copy_leaves(struct cbm *cbm, size_t at, size_t n_leaves, struct tern_err *err)
{
    uint32_t k = cbm->model.n_outputs;
    size_t n = n_leaves * k;

    if (at > cbm->values.n || n > cbm->values.n - at)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "LeafValues: %u, but %zu are needed",
                         cbm->values.n, at + n);
    TERN_TRY(tern_grow(&cbm->numbers, &cbm->numbers_cap, 0, n + n_leaves, sizeof(*cbm->numbers),
                       TERN_CATBOOST_PARTS_MAX, "leaves of a tree", err));
    for (size_t i = 0; i < n; i++)
        cbm->numbers[i] = tern_flatbuf_f64(&cbm->values, at + i);
    for (size_t i = 0; i < n_leaves; i++)
        cbm->numbers[n + i] = cbm->weights.n > 0 ? tern_flatbuf_f64(&cbm->weights, at / k + i) : 0;
    return TERN_OK;
}

static enum tern_code read_symmetric(struct cbm *cbm, uint32_t start, uint32_t n_splits,
                                     struct tern_err *err)
{
    size_t n_leaves = (size_t)1 << (n_splits < 32 ? n_splits : 0);

    if (n_splits > TERN_CATBOOST_DEPTH_MAX)
        return tern_catboost_add_symmetric(&cbm->model, NULL, n_splits, NULL, NULL, err);
    TERN_TRY(copy_leaves(cbm, cbm->value_at, n_leaves, err));
    TERN_TRY(tern_grow(&cbm->places, &cbm->places_cap, 0, n_splits, sizeof(*cbm->places),
                       TERN_CATBOOST_PARTS_MAX, "splits of a tree", err));
    for (uint32_t i = 0; i < n_splits; i++)
        cbm->places[i] = tern_flatbuf_u32(&cbm->splits, (size_t)start + i);
    cbm->value_at += n_leaves * cbm->model.n_outputs;
    return tern_catboost_add_symmetric(&cbm->model, cbm->places, n_splits, cbm->numbers,
                                       cbm->numbers + n_leaves * cbm->model.n_outputs, err);
}

/* Of step i of n, the node on one side: `step` further on, or, for 0, the leaf of the step. */
static enum tern_code side_of(struct cbm *cbm, uint32_t i, uint32_t n, uint16_t step, uint32_t id,
                              uint32_t *ret, struct tern_err *err)
{
    if (step == 0) {
        TERN_TRY(tern_catboost_add_node(&cbm->model, ret, err));
        cbm->model.nodes[*ret].leaf = id;
        return TERN_OK;
    }
    if (step >= n - i)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "step %u leads to step %u of %u", i, i + step,
                         n);
    *ret = i + step;
    return TERN_OK;
}

/* A step asks its question and goes on by one of two distances. Where that is 0 the walk ends with
 * the step's leaf; a step with two such sides asks nothing. */
static enum tern_code read_step(struct cbm *cbm, uint32_t start, uint32_t i, uint32_t n,
                                struct tern_err *err)
{
    uint16_t left = tern_flatbuf_u16(&cbm->steps, 2 * ((size_t)start + i));
    uint16_t right = tern_flatbuf_u16(&cbm->steps, 2 * ((size_t)start + i) + 1);
    uint32_t id = tern_flatbuf_u32(&cbm->leaf_ids, (size_t)start + i);
    uint32_t to_left, to_right;

    if (left == 0 && right == 0) {
        cbm->model.nodes[i].leaf = id;
        return TERN_OK;
    }
    TERN_TRY(side_of(cbm, i, n, left, id, &to_left, err));
    TERN_TRY(side_of(cbm, i, n, right, id, &to_right, err));
    return tern_catboost_ask(&cbm->model, i, tern_flatbuf_u32(&cbm->splits, (size_t)start + i),
                             to_left, to_right, err);
}

/* Leaves know the place of their value among all: it becomes their number in the tree. */
static enum tern_code number_leaves(struct cbm *cbm, struct tern_err *err)
{
    struct tern_catboost *model = &cbm->model;
    uint32_t k = model->n_outputs;
    uint32_t first = UINT32_MAX;
    size_t n_leaves = 0;

    for (size_t i = 0; i < model->n_nodes; i++) {
        const struct tern_forest_node *node = &model->nodes[i];
        if (node->test != TERN_FOREST_LEAF)
            continue;
        first = node->leaf < first ? node->leaf : first;
        n_leaves++;
    }
    if (first % k != 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a leaf's value at %u, within a leaf of %u",
                         first, k);
    TERN_TRY(copy_leaves(cbm, first, n_leaves, err));
    for (size_t i = 0; i < model->n_nodes; i++) {
        struct tern_forest_node *node = &model->nodes[i];
        if (node->test != TERN_FOREST_LEAF)
            continue;
        if (node->leaf % k != 0 || (node->leaf - first) / k >= n_leaves)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "a leaf's value at %u, expected from %u on for %zu leaves", node->leaf,
                             first, n_leaves);
        node->leaf = (node->leaf - first) / k;
        node->cover = cbm->numbers[n_leaves * k + node->leaf];
    }
    return tern_catboost_add_tree(model, cbm->numbers, (uint32_t)n_leaves, err);
}

static enum tern_code read_steps(struct cbm *cbm, uint32_t start, uint32_t n, struct tern_err *err)
{
    uint32_t node;

    if (n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "no steps");
    cbm->model.n_nodes = 0;
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(tern_catboost_add_node(&cbm->model, &node, err));
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(read_step(cbm, start, i, n, err));
    return number_leaves(cbm, err);
}

static enum tern_code read_trees(struct cbm *cbm, struct tern_err *err)
{
    uint32_t expected = 0;

    TERN_TRY(open_arrays(cbm, err));
    TERN_TRY(tern_catboost_begin(&cbm->model, err));
    for (uint32_t i = 0; i < cbm->sizes.n; i++) {
        uint32_t start = tern_flatbuf_u32(&cbm->starts, i);
        uint32_t n = tern_flatbuf_u32(&cbm->sizes, i);
        enum tern_code code;
        if (start != expected || n > cbm->splits.n - start)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "tree %u: %u splits from %u on, expected from %u of %u", i, n, start,
                             expected, cbm->splits.n);
        expected += n;
        code =
            cbm->steps.n > 0 ? read_steps(cbm, start, n, err) : read_symmetric(cbm, start, n, err);
        if (code != TERN_OK) {
            if (err == NULL || !tern_str_starts(tern_str_of(err->text), TERN_STR("tree ")))
                tern_err_prefix(err, "tree %u", i);
            return code;
        }
    }
    return tern_catboost_end(&cbm->model, err);
}

/* ---- the file ---- */

static enum tern_code read_file(struct cbm *cbm, struct tern_str text, struct tern_err *err)
{
    if (text.n < 8)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%zu bytes are no .cbm", text.n);
    const struct tern_flatbuf_vector sizes = {text, 4, 1};
    uint32_t size = tern_flatbuf_u32(&sizes, 0);
    if (size > text.n - 8)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the model is of %u bytes, but the file has %zu", size, text.n - 8);
    TERN_TRY(read_core(cbm, tern_str_make(text.p + 8, size), err));
    return read_trees(cbm, err);
}

static enum tern_code load(const struct tern_native_source *source, struct tern_program *program,
                           struct tern_err *err)
{
    struct cbm cbm = {.value_at = 0};

    tern_catboost_init(&cbm.model, source, program);
    enum tern_code code = read_file(&cbm, source->bytes, err);
    tern_catboost_fini(&cbm.model);
    tern_mem_free(cbm.numbers);
    tern_mem_free(cbm.places);
    return code;
}

static int probe(struct tern_str file_name, struct tern_str head)
{
    (void)file_name;
    return tern_str_starts(head, TERN_STR("CBM1")) ? 100 : 0;
}

const struct tern_native_format tern_catboost_cbm = {
    .name = "catboost",
    .help = "CatBoost, binary",
    .probe = probe,
    .load = load,
};
