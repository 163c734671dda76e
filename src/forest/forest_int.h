/* What a compiled forest consists of: known to this folder only.
 *
 * Columns are what nodes look at: a feature together with the way in which its missing values go,
 * or a question about it (is it in this set). A forest in which a feature's missing values go both
 * ways has two columns of it, and NaN has the lowest rank in the one and the highest in the other:
 * nodes know nothing of missing values. */
#ifndef TERN_FOREST_FOREST_INT_H
#define TERN_FOREST_FOREST_INT_H

#include "forest/builder.h"
#include "forest/forest.h"
#include "simd/trees.h"

enum tern_column_kind {
    TERN_COLUMN_CUTS,  /* rank: how many cuts are below the value */
    TERN_COLUMN_EQUAL, /* rank 0: it is cuts[0]; 1: it is not */
    TERN_COLUMN_SET,   /* rank 0: a member; 1: none */
};

struct tern_column {
    uint32_t feature;
    uint8_t kind;
    bool missing_yes;
    bool zero_is_missing;
    uint32_t set;     /* SET */
    uint32_t n_cuts;  /* CUTS */
    size_t first_cut; /* in forest->cuts, ascending */
};

/* Bit c of the words: category c is a member. */
struct tern_category_set {
    size_t first_word;
    uint32_t n_categories; /* bits; what is beyond is no member */
    uint8_t rounding;
};

struct tern_compiled_tree {
    size_t first_node;  /* in nodes or wide_nodes; also in node_covers */
    size_t first_value; /* in values */
    size_t first_leaf;  /* in leaf_covers and linear */
    uint32_t n_nodes;   /* inner; 0: the one leaf is row `only` */
    uint32_t n_leaves;
    uint32_t output;
    uint32_t depth;
    int32_t root; /* 0, or ~leaf of a tree without inner nodes */
    bool vector;
};

/* Terms of all linear leaves, one after another. */
struct tern_linear_leaf {
    double constant;
    size_t first_term;
    uint32_t n_terms;
    bool is_linear;
};

struct tern_forest {
    struct tern_forest_settings settings; /* base: owned copy below */
    double *base;                         /* n_outputs */
    struct tern_column *columns;
    uint32_t n_columns;
    uint32_t depth;
    void *cuts; /* float when settings.float_input, else double */
    size_t n_cuts;
    struct tern_category_set *sets;
    uint32_t n_sets;
    uint64_t *words;
    size_t n_words;
    struct tern_compiled_tree *trees;
    uint32_t n_trees;
    struct tern_tree_node *nodes; /* NULL: wide_nodes */
    struct tern_tree_wide_node *wide_nodes;
    size_t n_nodes;
    void *values; /* float when settings.float_sum, else double */
    size_t n_values;
    size_t n_leaves;
    float *node_covers, *leaf_covers; /* NULL: not known */
    struct tern_linear_leaf *linear;  /* NULL: no tree has any */
    uint32_t *term_features;
    double *term_coefficients;
    size_t n_terms;
};

/* Ranks of one row, a column each. */
void tern_ranks_row(const struct tern_forest *forest, const struct tern_forest_rows *rows,
                    size_t row, uint16_t *ranks);

#endif
