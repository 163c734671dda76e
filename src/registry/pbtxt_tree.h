/* Protobuf text as a tree: what wire/pbtxt.h reads, for those who look things up by name. */
#ifndef TERN_REGISTRY_PBTXT_TREE_H
#define TERN_REGISTRY_PBTXT_TREE_H

#include "conf/problem.h"
#include "conf/tree.h"

/* A field that is repeated stands in its map as often as it was written, a list as a list. NULL
 * after a mistake, which is in the list. Texts may point into `text`, the rest lies in the arena.
 */
struct tern_tree *tern_pbtxt_tree_read(struct tern_str text, struct tern_str file,
                                       struct tern_arena *arena, struct tern_problems *problems);

#endif
