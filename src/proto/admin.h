/* The server's own pages: what answers here, metrics, and Kubernetes' names for health. */
#ifndef TERN_PROTO_ADMIN_H
#define TERN_PROTO_ADMIN_H

#include "core/proto.h"

extern const struct tern_proto tern_admin;

#endif
