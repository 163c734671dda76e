#include "engine/native/onnx/onnx_trees.h"

#include <string.h>
#include "engine/native/ops/op_shape.h"
#include "engine/native/ops/ops.h"

/* ---- numbers ---- */

enum tern_code tern_onnx_trees_widen(struct tern_onnx_node *node, const float *from, size_t n,
                                     struct tern_onnx_reals *ret, struct tern_err *err)
{
    double *reals = tern_arena_alloc(node->scratch, 8, n * sizeof(*reals) + 1);

    if (reals == NULL)
        return tern_arena_fail(node->scratch, err, "a list of numbers");
    for (size_t i = 0; i < n; i++)
        reals[i] = (double)from[i];
    *ret = (struct tern_onnx_reals){reals, n};
    return TERN_OK;
}

enum tern_code tern_onnx_trees_tensor(struct tern_onnx_node *node, const char *name, bool is_double,
                                      struct tern_onnx_reals *ret, struct tern_err *err)
{
    struct tern_tensor tensor;

    *ret = (struct tern_onnx_reals){0};
    TERN_TRY(tern_onnx_node_tensor(node, name, &tensor, err));
    if (tensor.dtype == TERN_DTYPE_INVALID)
        return TERN_OK;
    if (tensor.dtype != (is_double ? TERN_DTYPE_FP64 : TERN_DTYPE_FP32))
        return tern_onnx_node_refuse(node, "its numbers have another datatype than its input", err);
    if (!is_double)
        return tern_onnx_trees_widen(node, tensor.data, tern_op_shape_count(&tensor), ret, err);
    *ret = (struct tern_onnx_reals){tensor.data, tern_op_shape_count(&tensor)};
    return TERN_OK;
}

/* ---- nodes ---- */

void tern_onnx_trees_ask(enum tern_onnx_mode mode, bool missing_is_true, uint32_t true_node,
                         uint32_t false_node, struct tern_forest_node *node)
{
    static const struct {
        enum tern_forest_test test;
        bool is_turned; /* the question is its opposite */
    } tests[] = {
        [TERN_ONNX_LEQ] = {TERN_FOREST_LESS_EQUAL, false},
        [TERN_ONNX_LT] = {TERN_FOREST_LESS, false},
        [TERN_ONNX_GTE] = {TERN_FOREST_LESS, true},
        [TERN_ONNX_GT] = {TERN_FOREST_LESS_EQUAL, true},
        [TERN_ONNX_EQ] = {TERN_FOREST_EQUAL, false},
        [TERN_ONNX_NEQ] = {TERN_FOREST_EQUAL, true},
        [TERN_ONNX_MEMBER] = {TERN_FOREST_MEMBER, false},
        [TERN_ONNX_LEAF] = {TERN_FOREST_LEAF, false},
    };
    bool is_turned = tests[mode].is_turned;

    node->test = tests[mode].test;
    node->yes = is_turned ? false_node : true_node;
    node->no = is_turned ? true_node : false_node;
    /* NaN differs from everything, and no other comparison with it holds. */
    bool missing_goes_true = missing_is_true || mode == TERN_ONNX_NEQ;
    node->missing_yes = missing_goes_true != is_turned;
}

/* ---- the forest ---- */

enum tern_code tern_onnx_trees_begin(struct tern_onnx_node *node, uint32_t n_features,
                                     uint32_t n_outputs, enum tern_forest_combine combine,
                                     const struct tern_onnx_reals *base,
                                     struct tern_onnx_ensemble *ensemble, struct tern_err *err)
{
    bool is_double = tern_onnx_node_dtype(node, 0) == TERN_DTYPE_FP64;
    const struct tern_forest_settings settings = {
        .n_features = n_features,
        .n_outputs = n_outputs,
        .float_input = !is_double,
        .float_sum = !is_double,
        .combine = combine,
        .base = base->n > 0 ? base->p : NULL,
    };

    if (base->n > 0 && base->n != n_outputs)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "operator %.*s has %zu base values for %u outputs",
                         TERN_STR_ARG(node->op_type), base->n, n_outputs);
    *ensemble = (struct tern_onnx_ensemble){
        .node = node,
        .is_double = is_double,
        .combine = combine,
        .n_outputs = n_outputs,
        .has_base = base->n > 0 && n_outputs > 1,
        .is_always = tern_arena_zalloc(node->scratch, n_outputs + 1u, sizeof(bool)),
        .is_sometimes = tern_arena_zalloc(node->scratch, n_outputs + 1u, sizeof(bool)),
    };
    if (ensemble->is_always == NULL || ensemble->is_sometimes == NULL)
        return tern_arena_fail(node->scratch, err, "the outputs");
    return tern_forest_builder_new(&settings, &ensemble->builder, err);
}

/* Whether all leaves have one weight, all for the same output. */
static bool is_scalar(const struct tern_onnx_tree *tree)
{
    if (tree->first[tree->n_leaves] != tree->n_leaves)
        return false;
    for (uint32_t i = 0; i < tree->n_leaves; i++)
        if (tree->first[i] != i || tree->outputs[i] != tree->outputs[0])
            return false;
    return true;
}

/* Rows of all outputs; what a leaf does not name is zero, which changes no sum. */
static enum tern_code spread(struct tern_onnx_ensemble *e, const struct tern_onnx_tree *tree,
                             double **ret_values, struct tern_err *err)
{
    size_t n = e->n_outputs;
    double *values = tern_arena_zalloc(e->node->scratch, tree->n_leaves * n + 1, sizeof(*values));
    uint32_t *counts = tern_arena_zalloc(e->node->scratch, n + 1, sizeof(*counts));
    uint32_t *seen_by = tern_arena_zalloc(e->node->scratch, n + 1, sizeof(*seen_by));

    if (values == NULL || counts == NULL || seen_by == NULL)
        return tern_arena_fail(e->node->scratch, err, "the weights");
    for (uint32_t leaf = 0; leaf < tree->n_leaves; leaf++) {
        for (size_t i = tree->first[leaf]; i < tree->first[leaf + 1]; i++) {
            uint32_t output = tree->outputs[i];
            if (seen_by[output] == leaf + 1)
                return tern_onnx_node_refuse(e->node, "a leaf has two weights for an output", err);
            seen_by[output] = leaf + 1;
            counts[output]++;
            values[leaf * n + output] = tree->weights[i];
        }
    }
    for (size_t k = 0; k < n; k++) {
        e->is_always[k] = e->is_always[k] || counts[k] == tree->n_leaves;
        e->is_sometimes[k] = e->is_sometimes[k] || counts[k] > 0;
        bool is_extreme = e->combine == TERN_FOREST_MIN || e->combine == TERN_FOREST_MAX;
        if (is_extreme && counts[k] != tree->n_leaves)
            return tern_onnx_node_refuse(e->node, "some of its leaves have no weight", err);
    }
    *ret_values = values;
    return TERN_OK;
}

enum tern_code tern_onnx_trees_add(struct tern_onnx_ensemble *e, const struct tern_onnx_tree *tree,
                                   struct tern_err *err)
{
    struct tern_forest_tree made = {
        .nodes = tree->nodes, .n_nodes = tree->n_nodes, .n_leaves = tree->n_leaves};
    double *values = NULL;

    for (uint32_t leaf = 0; leaf < tree->n_leaves; leaf++) {
        if (tree->first[leaf] == tree->first[leaf + 1] && e->n_outputs == 1)
            return tern_onnx_node_refuse(e->node, "some of its leaves have no weight", err);
    }
    if (is_scalar(tree)) {
        made.values = tree->weights;
        made.output = tree->n_leaves > 0 ? tree->outputs[0] : 0;
        e->is_always[made.output] = true;
    } else {
        TERN_TRY(spread(e, tree, &values, err));
        made.values = values;
        made.vector = true;
    }
    enum tern_code code = tern_forest_builder_add_tree(e->builder, &made, err);
    if (code != TERN_OK)
        tern_err_prefix(err, "operator %.*s", TERN_STR_ARG(e->node->op_type));
    return code;
}

enum tern_code tern_onnx_trees_finish(struct tern_onnx_ensemble *e, uint32_t *ret_value,
                                      struct tern_err *err)
{
    enum tern_dtype dtype = e->is_double ? TERN_DTYPE_FP64 : TERN_DTYPE_FP32;
    struct tern_forest *forest;

    /* ONNX Runtime adds no base value where no tree has a score. */
    bool needs_all = e->combine >= TERN_FOREST_MIN || e->has_base;
    for (uint32_t k = 0; needs_all && k < e->n_outputs; k++) {
        if (!e->is_always[k])
            return tern_onnx_node_refuse(e->node, "some of its outputs have no trees", err);
    }
    TERN_TRY(tern_onnx_node_read(e->node, 0, ret_value, err));
    TERN_TRY(tern_op_cast(e->node->program, dtype, ret_value, err));
    TERN_TRY(tern_forest_builder_finish(e->builder, &forest, err));
    return tern_op_forest(e->node->program, forest, ret_value, err);
}
