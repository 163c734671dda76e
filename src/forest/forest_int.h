/* What a compiled forest consists of: known to this folder only.
 *
 * Columns are what nodes look at, and a row's ranks stand in their order: first the plain ones (a
 * feature with up to 255 cuts), then those of features with more, which have a column for each 255
 * of them, then questions of another kind (is it in this set). A feature's missing values go one
 * way in a column: where a forest sends them both ways it has two columns of that feature, in which
 * NaN has the lowest and the highest rank, so that nodes know nothing of missing values. */
#ifndef TERN_FOREST_FOREST_INT_H
#define TERN_FOREST_FOREST_INT_H

#include "forest/builder.h"
#include "forest/forest.h"
#include "simd/trees.h"

enum tern_column_kind {
    TERN_COLUMN_CUTS,  /* rank: how many cuts are below the value */
    TERN_COLUMN_EQUAL, /* rank 0: it is the value; 1: it is not */
    TERN_COLUMN_SET,   /* rank 0: a member; 1: none */
    TERN_COLUMN_GROUP, /* (while building) no column: the cuts that one or two columns share */
};

/* What is asked of a feature. */
struct tern_column {
    uint32_t feature;
    uint8_t kind;
    bool missing_yes;
    bool zero_is_missing;
    uint32_t set; /* SET */
};

/* A feature with so many cuts that the one column of it in which a value lies is found first; the
 * columns before that are full, those behind it empty. */
struct tern_wide_column {
    struct tern_column column;
    uint32_t first_part; /* in forest->parts: each as a column of its own, one after another */
    uint32_t n_parts;
    size_t first_bound; /* in forest->bounds: the last cut of each part but the last */
    uint32_t first;     /* its first column */
    bool is_two;        /* each is followed by that in which missing values go the other way */
};

struct tern_special_column {
    struct tern_column column;
    double value; /* EQUAL */
};

/* Bit c of the words: category c is a member. */
struct tern_category_set {
    size_t first_word;
    uint32_t n_categories; /* bits; what is beyond is no member */
    uint8_t rounding;
};

struct tern_compiled_tree {
    size_t first_node;  /* in nodes or wide_nodes; also in yes_shares */
    size_t first_value; /* in values */
    size_t first_leaf;  /* in linear */
    uint32_t n_nodes;   /* inner */
    uint32_t n_leaves;
    uint32_t output;
    uint32_t depth;
    int32_t root; /* 0, or ~leaf of a tree without inner nodes */
    bool vector;
};

/* The upper nodes of a tree that has too many leaves to be folded: they are a tree of their own,
 * whose leaves are the places from which rows walk on. */
struct tern_tree_top {
    size_t first_node; /* in top_nodes */
    size_t first_exit; /* in top_exits: a node of the tree, or ~leaf */
    uint32_t n_nodes;  /* 0: the tree has no top */
};

/* Terms of all linear leaves, one after another. */
struct tern_linear_leaf {
    double constant;
    size_t first_term;
    uint32_t n_terms;
    bool is_linear;
};

/* What trees add: a sum of any but MIXED is made without looking at the trees again. */
enum tern_leaf_kind {
    TERN_LEAVES_MIXED,   /* or functions of the row */
    TERN_LEAVES_NUMBERS, /* each tree to one output */
    TERN_LEAVES_VECTORS, /* each tree to all outputs */
};

struct tern_forest {
    struct tern_forest_settings settings; /* base: owned, n_outputs */
    double *base;
    uint32_t n_columns;        /* ranks of a row */
    uint32_t *column_features; /* one a column */
    struct tern_rank_column *plain;
    uint32_t n_plain;
    struct tern_wide_column *wide;
    uint32_t n_wide;
    struct tern_rank_column *parts;
    uint32_t n_parts;
    double *bounds;
    size_t n_bounds;
    struct tern_special_column *special;
    uint32_t n_special;
    void *cuts; /* float when settings.float_input, else double; aligned to 64 bytes */
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
    void *values; /* float when settings.float_sum, else double; 64 more may be read */
    size_t n_values;
    size_t n_leaves;
    float
        *yes_shares; /* one a node: which part of the training weight went to yes; NULL: unknown */
    struct tern_linear_leaf *linear; /* one a leaf; NULL: no tree has any */
    uint32_t *term_features;
    double *term_coefficients;
    size_t n_terms;
    /* The tops of trees, where this machine takes them in one piece; at most one of them. Value
     * heads are for sums of whole trees of floats. */
    struct tern_tree_level_head *level_heads;
    struct tern_tree_value_head *value_heads;
    struct tern_tree_tail_head *tail_heads;
    struct tern_tree_path_heads *path_heads;
    struct tern_tree_top *tops; /* one a tree; NULL: no tree has one */
    struct tern_tree_node *top_nodes;
    int32_t *top_exits;
    size_t n_top_nodes, n_top_exits;
    size_t n_heads; /* trees with a head, some of them empty: a multiple of 8 */
    enum tern_leaf_kind leaves;
    /* One a tree: its first node; its first value; its output. */
    uint32_t *node_at, *value_at, *outputs;
    /* About how long a row takes by itself, and a block of one tile and each further one, in ns. */
    double row_ns, block_ns, tile_ns;
    uint32_t depth;
    uint32_t widest; /* the most leaves of a tree */
};

/* Room for the ranks of a row: what kernels may read. */
size_t tern_ranks_room(const struct tern_forest *forest);
/* Ranks of one row: that of column i at ranks[i * step]. working: room for a row of doubles. */
void tern_ranks_row(const struct tern_forest *forest, const struct tern_forest_rows *rows,
                    size_t row, void *working, uint8_t *ranks, size_t step);

/* Whether values of that kind are added, and nothing else. */
bool tern_forest_adds(const struct tern_forest *forest, enum tern_leaf_kind kind);

/* Fills row_ns, block_ns and tile_ns. */
void tern_forest_guess_times(struct tern_forest *forest);

/* Makes the heads, if the forest and the machine are made for them. */
enum tern_code tern_heads_make(struct tern_forest *forest, struct tern_err *err);
/* Makes the tops, where any tree wants one. */
enum tern_code tern_tops_make(struct tern_forest *forest, struct tern_err *err);

#endif
