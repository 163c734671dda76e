#include "forest/forest.h"

#include <math.h>
#include <string.h>
#include "base/mem.h"
#include "base/num.h"
#include "forest/forest_int.h"

void tern_forest_free(struct tern_forest *f)
{
    if (f == NULL)
        return;
    void *owned[] = {
        f->base,          f->columns,          f->cuts,   f->sets,        f->words,       f->trees,
        f->nodes,         f->wide_nodes,       f->values, f->node_covers, f->leaf_covers, f->linear,
        f->term_features, f->term_coefficients};
    for (size_t i = 0; i < TERN_COUNT_OF(owned); i++)
        tern_mem_free(owned[i]);
    tern_mem_free(f);
}

struct tern_forest_info tern_forest_info(const struct tern_forest *f)
{
    size_t number = f->settings.float_sum ? sizeof(float) : sizeof(double);
    size_t cut = f->settings.float_input ? sizeof(float) : sizeof(double);
    size_t node = f->nodes != NULL ? sizeof(*f->nodes) : sizeof(*f->wide_nodes);
    bool has_covers = f->node_covers != NULL || f->leaf_covers != NULL;

    return (struct tern_forest_info){
        .n_features = f->settings.n_features,
        .n_outputs = f->settings.n_outputs,
        .n_trees = f->n_trees,
        .n_nodes = (uint64_t)f->n_nodes + f->n_leaves,
        .depth = f->depth,
        .float_sum = f->settings.float_sum,
        .has_covers = has_covers,
        .n_bytes = sizeof(*f) + f->n_columns * sizeof(*f->columns) + f->n_cuts * cut +
                   f->n_words * sizeof(*f->words) + f->n_trees * sizeof(*f->trees) +
                   f->n_nodes * node + f->n_values * number +
                   (has_covers ? (f->n_nodes + f->n_leaves) * sizeof(float) : 0) +
                   (f->linear != NULL ? f->n_leaves * sizeof(*f->linear) : 0) +
                   f->n_terms * (sizeof(uint32_t) + sizeof(double)),
        .kernel = "portable",
    };
}

/* ---- one row ---- */

static uint32_t leaf_of(const struct tern_forest *f, const struct tern_compiled_tree *tree,
                        const uint16_t *ranks)
{
    if (tree->n_nodes == 0)
        return (uint32_t)~tree->root;
    if (f->nodes != NULL)
        return (uint32_t)tern_tree_walk(f->nodes + tree->first_node, ranks);
    return (uint32_t)tern_tree_walk_wide(f->wide_nodes + tree->first_node, ranks);
}

static double feature_of(const struct tern_forest_rows *rows, size_t row, uint32_t feature)
{
    size_t at = row * rows->stride + feature;
    return rows->is_double ? ((const double *)rows->data)[at]
                           : (double)((const float *)rows->data)[at];
}

static double linear_value(const struct tern_forest *f, const struct tern_linear_leaf *leaf,
                           const struct tern_forest_rows *rows, size_t row, double plain)
{
    double sum = leaf->constant;

    if (!leaf->is_linear)
        return plain;
    for (uint32_t i = 0; i < leaf->n_terms; i++) {
        double x = feature_of(rows, row, f->term_features[leaf->first_term + i]);
        if (isnan(x))
            return plain;
        sum += f->term_coefficients[leaf->first_term + i] * x;
    }
    return sum;
}

/* ---- sums ---- */

#define COMBINE(type, acc, v, first, how)                                \
    ((how) == TERN_FOREST_MIN   ? ((first) || (v) < (acc) ? (v) : (acc)) \
     : (how) == TERN_FOREST_MAX ? ((first) || (v) > (acc) ? (v) : (acc)) \
                                : (type)((acc) + (v)))

static void add_floats(const struct tern_forest *f, const uint16_t *ranks, float *sums, bool *begun)
{
    const float *values = f->values;
    uint32_t k = f->settings.n_outputs;

    for (uint32_t t = 0; t < f->n_trees; t++) {
        const struct tern_compiled_tree *tree = &f->trees[t];
        uint32_t leaf = leaf_of(f, tree, ranks);
        uint32_t first = tree->vector ? 0 : tree->output, n = tree->vector ? k : 1;
        const float *v = values + tree->first_value + (size_t)leaf * n;
        for (uint32_t i = 0; i < n; i++) {
            sums[first + i] =
                COMBINE(float, sums[first + i], v[i], !begun[first + i], f->settings.combine);
            begun[first + i] = true;
        }
    }
}

static void add_doubles(const struct tern_forest *f, const uint16_t *ranks,
                        const struct tern_forest_rows *rows, size_t row, double *sums, bool *begun)
{
    const double *values = f->values;
    uint32_t k = f->settings.n_outputs;

    for (uint32_t t = 0; t < f->n_trees; t++) {
        const struct tern_compiled_tree *tree = &f->trees[t];
        uint32_t leaf = leaf_of(f, tree, ranks);
        uint32_t first = tree->vector ? 0 : tree->output, n = tree->vector ? k : 1;
        const double *v = values + tree->first_value + (size_t)leaf * n;
        for (uint32_t i = 0; i < n; i++) {
            double x = v[i];
            if (f->linear != NULL)
                x = linear_value(f, &f->linear[tree->first_leaf + leaf], rows, row, x);
            sums[first + i] =
                COMBINE(double, sums[first + i], x, !begun[first + i], f->settings.combine);
            begun[first + i] = true;
        }
    }
}

static uint32_t divisor_of(const struct tern_forest *f)
{
    return f->settings.n_averaged > 0 ? f->settings.n_averaged : f->n_trees;
}

static void end_floats(const struct tern_forest *f, float *sums)
{
    uint32_t divisor = divisor_of(f);

    for (uint32_t i = 0; i < f->settings.n_outputs; i++) {
        if (f->settings.combine == TERN_FOREST_AVERAGE && divisor > 0)
            sums[i] /= (float)divisor;
        if (!f->settings.base_first)
            sums[i] += (float)f->base[i];
    }
}

static void end_doubles(const struct tern_forest *f, double *sums)
{
    uint32_t divisor = divisor_of(f);

    for (uint32_t i = 0; i < f->settings.n_outputs; i++) {
        if (f->settings.combine == TERN_FOREST_AVERAGE && divisor > 0)
            sums[i] /= (double)divisor;
        if (!f->settings.base_first)
            sums[i] += f->base[i];
    }
}

static void run_row(const struct tern_forest *f, const struct tern_forest_rows *rows, size_t row,
                    const uint16_t *ranks, bool *begun, void *out)
{
    uint32_t k = f->settings.n_outputs;

    memset(begun, 0, k);
    if (f->settings.float_sum) {
        float *sums = (float *)out + row * k;
        for (uint32_t i = 0; i < k; i++)
            sums[i] = f->settings.base_first ? (float)f->base[i] : 0;
        add_floats(f, ranks, sums, begun);
        end_floats(f, sums);
        return;
    }
    double *sums = (double *)out + row * k;
    for (uint32_t i = 0; i < k; i++)
        sums[i] = f->settings.base_first ? f->base[i] : 0;
    add_doubles(f, ranks, rows, row, sums, begun);
    end_doubles(f, sums);
}

enum tern_code tern_forest_run(const struct tern_forest *f, const struct tern_forest_rows *rows,
                               void *out, struct tern_arena *arena, struct tern_err *err)
{
    uint16_t *ranks = tern_arena_alloc(arena, 64, (f->n_columns + 1u) * sizeof(*ranks));
    bool *begun = tern_arena_alloc(arena, 1, f->settings.n_outputs);

    if (ranks == NULL || begun == NULL)
        return tern_arena_fail(arena, err, "a forest's ranks");
    for (size_t row = 0; row < rows->n; row++) {
        tern_ranks_row(f, rows, row, ranks);
        run_row(f, rows, row, ranks, begun, out);
    }
    return TERN_OK;
}

enum tern_code tern_forest_leaves(const struct tern_forest *f, const struct tern_forest_rows *rows,
                                  uint32_t *leaves, struct tern_arena *arena, struct tern_err *err)
{
    uint16_t *ranks = tern_arena_alloc(arena, 64, (f->n_columns + 1u) * sizeof(*ranks));

    if (ranks == NULL)
        return tern_arena_fail(arena, err, "a forest's ranks");
    for (size_t row = 0; row < rows->n; row++) {
        tern_ranks_row(f, rows, row, ranks);
        for (uint32_t t = 0; t < f->n_trees; t++)
            leaves[row * f->n_trees + t] = leaf_of(f, &f->trees[t], ranks);
    }
    return TERN_OK;
}
