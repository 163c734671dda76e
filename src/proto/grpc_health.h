/* grpc.health.v1: whether the server, or a model by its name, can serve. */
#ifndef TERN_PROTO_GRPC_HEALTH_H
#define TERN_PROTO_GRPC_HEALTH_H

#include "core/proto.h"

extern const struct tern_proto tern_grpc_health;

#endif
