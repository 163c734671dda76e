/* The Open Inference Protocol, version 2, over gRPC: inference.GRPCInferenceService as Triton,
 * KServe and MLServer speak it. Where they differ, the listener says whose form is meant
 * (tern_listener_info.grpc_form). Field numbers are those of api/grpc_service.proto. */
#ifndef TERN_PROTO_OIP_GRPC_H
#define TERN_PROTO_OIP_GRPC_H

#include "core/proto.h"

extern const struct tern_proto tern_oip_grpc;

#endif
