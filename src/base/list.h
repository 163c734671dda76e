/* An intrusive doubly linked ring. A node is its own list when unlinked, so removing twice is safe.
 */
#ifndef TERN_BASE_LIST_H
#define TERN_BASE_LIST_H

#include <stdbool.h>
#include "base/compiler.h"

struct tern_list {
    struct tern_list *next;
    struct tern_list *prev;
};

TERN_INLINE void tern_list_init(struct tern_list *node)
{
    node->next = node;
    node->prev = node;
}

TERN_INLINE bool tern_list_is_empty(const struct tern_list *head)
{
    return head->next == head;
}

TERN_INLINE void tern_list_append(struct tern_list *head, struct tern_list *node)
{
    node->next = head;
    node->prev = head->prev;
    head->prev->next = node;
    head->prev = node;
}

TERN_INLINE void tern_list_remove(struct tern_list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    tern_list_init(node);
}

/* The first node, unlinked; NULL when empty. */
TERN_INLINE struct tern_list *tern_list_pop(struct tern_list *head)
{
    if (tern_list_is_empty(head))
        return (struct tern_list *)0;
    struct tern_list *node = head->next;
    tern_list_remove(node);
    return node;
}

#endif
