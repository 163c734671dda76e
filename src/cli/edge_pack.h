/* The sources that run a model outside of the server, as they are packed into the program
 * (mk/more/edge.mk). */
#ifndef TERN_CLI_EDGE_PACK_H
#define TERN_CLI_EDGE_PACK_H

#include <stddef.h>
#include "base/arena.h"
#include "base/err.h"
#include "base/str.h"
#include "engine/native/emit.h"

extern const unsigned char tern_edge_pack[]; /* gzip */
extern const size_t tern_edge_pack_bytes;

/* Writes them below a folder that has none of them. `ret_sources`: the paths of those to compile
 * for this model, each after a space, main.c excepted; in the arena. */
enum tern_code tern_edge_unpack(const char *folder, const struct tern_native_emitted *model,
                                struct tern_arena *arena, struct tern_str *ret_sources,
                                struct tern_err *err);

#endif
