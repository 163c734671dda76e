/* What the builder has gathered and compile reads: checked, in preorder, thresholds still by
 * number.
 */
#ifndef TERN_FOREST_IR_H
#define TERN_FOREST_IR_H

#include "forest/forest_int.h"

/* A cut as the table of all cuts knows it. */
struct tern_ir_cut {
    double value;
    uint32_t group; /* a column of that kind */
    uint32_t next;  /* in the table's chain; UINT32_MAX: the end */
};

struct tern_ir_node {
    uint32_t column;
    uint32_t cut; /* number of a cut; of no meaning for columns that are no cuts */
    int32_t child[2];
};

struct tern_ir_column {
    struct tern_column column;
    double value;   /* EQUAL */
    uint32_t group; /* CUTS: whose cuts it has */
    bool has[2];    /* GROUP: which columns there are: missing values to no, to yes */
    uint32_t next;  /* in the table's chain */
};

/* Numbers by hash: heads[hash & mask] leads to a chain. */
struct tern_ir_table {
    uint32_t *heads;
    uint32_t mask;
};

struct tern_forest_builder {
    struct tern_forest_settings settings;
    double *base;
    struct tern_ir_node *nodes;
    size_t n_nodes, nodes_cap;
    float *yes_shares; /* one a node */
    size_t yes_shares_cap;
    size_t n_leaves;
    double *values;
    size_t n_values, values_cap;
    struct tern_compiled_tree *trees;
    size_t n_trees, trees_cap;
    struct tern_ir_column *columns;
    size_t n_columns, columns_cap;
    struct tern_ir_table column_table;
    struct tern_ir_cut *cuts;
    size_t n_cuts, cuts_cap;
    struct tern_ir_table cut_table;
    struct tern_category_set *sets;
    size_t n_sets, sets_cap;
    uint64_t *words;
    size_t n_words, words_cap;
    struct tern_linear_leaf *linear; /* one a leaf, once any tree has one */
    size_t linear_cap;
    uint32_t *term_features;
    double *term_coefficients;
    size_t n_terms, features_cap, coefficients_cap;
    bool lacks_covers, has_linear, has_large;
    uint32_t empty_set; /* UINT32_MAX: not made yet */
    /* Of the tree that is being added: */
    struct tern_ir_visit *stack; /* TERN_FOREST_DEPTH_MAX + 2 */
    uint8_t *seen;
    size_t seen_cap;
};

/* Makes the forest of a whole builder. */
enum tern_code tern_forest_compile(struct tern_forest_builder *builder,
                                   struct tern_forest **ret_forest, struct tern_err *err);

#endif
