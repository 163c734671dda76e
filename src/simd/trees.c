#include "simd/trees.h"

int32_t tern_tree_walk(const struct tern_tree_node *nodes, const uint16_t *ranks)
{
    int32_t at = 0;

    do {
        const struct tern_tree_node *node = &nodes[at];
        at = node->child[ranks[node->column] > node->cut];
    } while (at >= 0);
    return ~at;
}

int32_t tern_tree_walk_wide(const struct tern_tree_wide_node *nodes, const uint16_t *ranks)
{
    int32_t at = 0;

    do {
        const struct tern_tree_wide_node *node = &nodes[at];
        at = node->child[ranks[node->column] > node->cut];
    } while (at >= 0);
    return ~at;
}
