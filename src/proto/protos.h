/* Every dialect there is. */
#ifndef TERN_PROTO_PROTOS_H
#define TERN_PROTO_PROTOS_H

#include "core/proto.h"

#define TERN_PROTOS_N 2

extern const struct tern_proto *const tern_protos[TERN_PROTOS_N];

/* The dialect of that name, or NULL. */
const struct tern_proto *tern_protos_find(struct tern_str name);

#endif
