/* Comes before every source of a model outside of the server (-include): failures are codes
 * without texts, so that nothing of printf is linked. */
#ifndef TERN_EDGE_QUIET_H
#define TERN_EDGE_QUIET_H

#define TERN_EDGE 1

#include "base/arena.h"
#include "base/err.h"

#define tern_fail(err, code, ...)         ((void)(err), (code))
#define tern_err_prefix(...)              ((void)0)
#define tern_arena_fail(arena, err, what) ((void)(arena), (void)(err), TERN_RESOURCE_EXHAUSTED)

#endif
