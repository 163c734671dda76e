/* grpc.reflection.v1 and v1alpha: what this server serves, told by itself. */
#ifndef TERN_PROTO_GRPC_REFLECTION_H
#define TERN_PROTO_GRPC_REFLECTION_H

#include "core/proto.h"

extern const struct tern_proto tern_grpc_reflection;

#endif
