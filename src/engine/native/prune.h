/* A program whose forests have fewer nodes (forest/prune.h): for one that leaves the server. */
#ifndef TERN_ENGINE_NATIVE_PRUNE_H
#define TERN_ENGINE_NATIVE_PRUNE_H

#include "engine/native/program.h"
#include "forest/prune.h"

/* ret_program: the same steps with other forests, which are the arena's; it lives no longer than
 * `program`. ret: of all forests; bounds are added. Without a forest it is the same program, and
 * all of ret is 0. */
enum tern_code tern_native_prune(const struct tern_program *program,
                                 const struct tern_forest_pruning *pruning,
                                 struct tern_arena *arena, struct tern_program *ret_program,
                                 struct tern_forest_pruned *ret, struct tern_err *err);

#endif
