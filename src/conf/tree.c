#include "conf/tree.h"

struct tern_tree *tern_tree_add(struct tern_arena *arena, struct tern_tree *parent,
                                enum tern_tree_kind kind)
{
    struct tern_tree *node = tern_arena_zalloc(arena, 1, sizeof(*node));

    if (node == NULL)
        return NULL;
    node->kind = kind;
    if (parent != NULL)
        tern_tree_append(parent, node);
    return node;
}

void tern_tree_append(struct tern_tree *parent, struct tern_tree *node)
{
    node->parent = parent;
    node->next = NULL;
    if (parent->last == NULL)
        parent->first = node;
    else
        parent->last->next = node;
    parent->last = node;
    parent->n++;
}

struct tern_tree *tern_tree_find(const struct tern_tree *map, struct tern_str key)
{
    for (struct tern_tree *node = map->first; node != NULL; node = node->next) {
        if (tern_str_eq(node->key, key))
            return node;
    }
    return NULL;
}

static struct tern_tree *after(const struct tern_tree *root, const struct tern_tree *node)
{
    while (node != root && node->next == NULL)
        node = node->parent;
    return node == root ? NULL : node->next;
}

struct tern_tree *tern_tree_step(const struct tern_tree *root, struct tern_tree *node)
{
    return node->first != NULL ? node->first : after(root, node);
}

const struct tern_tree *tern_tree_next(const struct tern_tree *root, const struct tern_tree *node)
{
    return node->first != NULL ? node->first : after(root, node);
}

const struct tern_tree *tern_tree_skip(const struct tern_tree *root, const struct tern_tree *node)
{
    return after(root, node);
}

bool tern_tree_is_null(const struct tern_tree *node)
{
    return node->kind == TERN_TREE_SCALAR && !node->quoted &&
           (node->text.n == 0 || tern_str_eq(node->text, TERN_STR("~")) ||
            tern_str_eq(node->text, TERN_STR("null")));
}
