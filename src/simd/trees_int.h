/* What the forms of the tree kernels share. */
#ifndef TERN_SIMD_TREES_INT_H
#define TERN_SIMD_TREES_INT_H

#include <string.h>
#include "simd/trees.h"

/* Where the two sides of a node come from while a tree is folded up: the results that wait on the
 * stack, the yes-side above the no-side, or a leaf. */
struct tern_tree_sides {
    const uint8_t *yes, *no; /* of a leaf: of no meaning, but valid */
    bool yes_waits, no_waits;
    uint8_t yes_leaf, no_leaf;
    uint8_t *result; /* where the node's own goes; may be one of the two */
};

TERN_INLINE struct tern_tree_sides tern_tree_sides_of(const struct tern_tree_node *node,
                                                      uint8_t **top, size_t slot)
{
    struct tern_tree_sides s = {.yes_waits = node->child[0] >= 0,
                                .no_waits = node->child[1] >= 0,
                                .yes_leaf = (uint8_t)~node->child[0],
                                .no_leaf = (uint8_t)~node->child[1]};

    /* Products instead of branches: the shape of a tree cannot be predicted. */
    *top -= slot * s.yes_waits;
    s.yes = *top;
    *top -= slot * s.no_waits;
    s.no = *top;
    s.result = *top;
    *top += slot;
    return s;
}

/* The same as bytes to be read in steps: a leaf is the same ones again and again. */
struct tern_tree_bytes {
    const uint8_t *p;
    size_t step; /* 0, or 1 times what is read at once */
};

TERN_INLINE struct tern_tree_bytes tern_tree_bytes_of(bool waits, const uint8_t *p, uint8_t leaf,
                                                      uint8_t *room, size_t n)
{
    memset(room, leaf, n);
    return (struct tern_tree_bytes){waits ? p : room, waits};
}

#endif
