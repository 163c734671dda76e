/* A configuration file as a neutral tree: maps, lists and scalars, each with its place. YAML, JSON
 * and protobuf text are read into it, so that what a file means is written once. A map may hold a
 * key more than once when the format allows that (protobuf text: a repeated field). Everything lies
 * in one arena; a tree is at most TERN_TREE_DEPTH_MAX deep, and walked without recursion. */
#ifndef TERN_CONF_TREE_H
#define TERN_CONF_TREE_H

#include <stdbool.h>
#include <stdint.h>
#include "base/arena.h"
#include "base/str.h"

#define TERN_TREE_DEPTH_MAX 32
#define TERN_TREE_KEYS_MAX  8192 /* entries of one map: looking for a double key is quadratic */

enum tern_tree_kind {
    TERN_TREE_SCALAR,
    TERN_TREE_MAP,
    TERN_TREE_LIST,
};

struct tern_tree {
    enum tern_tree_kind kind;
    bool quoted;          /* a scalar written in quotes: text, never a number or null */
    struct tern_str key;  /* of an entry of a map */
    struct tern_str text; /* of a scalar */
    uint32_t key_line, key_column;
    uint32_t line, column; /* of the value, from 1 */
    const void *meaning;   /* what a schema took it for; NULL after reading */
    struct tern_tree *parent;
    struct tern_tree *first; /* child */
    struct tern_tree *last;
    struct tern_tree *next; /* sibling */
    uint32_t n;             /* children */
};

/* A zeroed node appended to parent (NULL: the root); NULL without memory. */
struct tern_tree *tern_tree_add(struct tern_arena *arena, struct tern_tree *parent,
                                enum tern_tree_kind kind);
/* Moves a node without siblings of its own to the end of parent's children. */
void tern_tree_append(struct tern_tree *parent, struct tern_tree *node);
/* The first entry of a map under key, or NULL. */
struct tern_tree *tern_tree_find(const struct tern_tree *map, struct tern_str key);
/* The node after `node` in document order within root; NULL at the end. */
const struct tern_tree *tern_tree_next(const struct tern_tree *root, const struct tern_tree *node);
struct tern_tree *tern_tree_step(const struct tern_tree *root, struct tern_tree *node);
/* The same, without going into node's children. */
const struct tern_tree *tern_tree_skip(const struct tern_tree *root, const struct tern_tree *node);
/* A plain scalar that stands for nothing: empty, ~ or null. */
bool tern_tree_is_null(const struct tern_tree *node);

#endif
