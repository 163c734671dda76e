/* What the two files share that make a forest smaller.
 *
 *     prune.c       the forest: which trees stay, and the new one
 *     prune_tree.c  one tree: its nodes as they were asked for, and which of them stay */
#ifndef TERN_FOREST_PRUNE_INT_H
#define TERN_FOREST_PRUNE_INT_H

#include "forest/builder.h"
#include "forest/forest_int.h"
#include "forest/prune.h"

/* What a column asks, as a loader would say it. */
struct tern_prune_question {
    struct tern_forest_node node; /* all but threshold, children, leaf and cover */
    uint32_t group;               /* of columns that know of each other: those of one feature */
    size_t first_cut;             /* in the forest's cuts */
};

/* What the way to a node has said of a group: numbers in (low, high], or missing values. */
struct tern_prune_known {
    double low, high;
    bool has_low, has_high;
    bool is_number;   /* no missing value comes here */
    bool is_answered; /* of a question that is no cut: */
    bool answer;
};

/* A node that is being walked. */
struct tern_prune_frame {
    int32_t node;
    int stage;                      /* how many steps of it are done */
    struct tern_prune_known before; /* what was known of its group */
    uint32_t parent;                /* in the new tree, and which of its sides it is */
    bool is_no;
};

struct tern_pruner {
    const struct tern_forest *f;
    const struct tern_forest_pruning *pruning;
    struct tern_prune_question *columns; /* one a column */
    struct tern_prune_known *known;      /* one a group */
    uint32_t n_groups;
    uint32_t *sets;       /* of the new forest; UINT32_MAX: not there yet */
    uint32_t *categories; /* room for those of the largest set */
    struct tern_forest_builder *builder;
    /* Of the tree at hand: where its nodes lead to now, a node or ~leaf; of a node that goes, what
     * is there instead of it. */
    int32_t (*child)[2];
    int32_t *instead;
    double *low, *high, *value;     /* of its leaves: what they stand for, and their value */
    struct tern_prune_frame *stack; /* TERN_FOREST_DEPTH_MAX + 2 */
    struct tern_forest_node *nodes;
    double *values;
    struct tern_forest_linear *linear;
    double *left;     /* one an output: how much may change yet */
    uint32_t *n_left; /* one an output: trees that are to come */
};

/* Makes the tree smaller, its leaves off by at most `within`; ret_change: by how much they are. */
void tern_prune_tree(struct tern_pruner *p, const struct tern_compiled_tree *tree, double within,
                     double *ret_change);
/* What is left of it, in the pruner's nodes, values and linear. */
enum tern_code tern_prune_rebuild(struct tern_pruner *p, const struct tern_compiled_tree *tree,
                                  struct tern_forest_tree *ret, struct tern_err *err);

/* The test of a node. */
struct tern_forest_node tern_prune_node(const struct tern_pruner *p,
                                        const struct tern_compiled_tree *tree, uint32_t node,
                                        uint32_t *ret_column);

#endif
