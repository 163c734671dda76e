/* The Open Inference Protocol, version 2, over REST, as KServe and Triton speak it: health,
 * metadata, inference with JSON and binary tensors, the model repository. Where the two differ in a
 * body, ours is a JSON object that both clients accept. */
#ifndef TERN_PROTO_OIP_H
#define TERN_PROTO_OIP_H

#include "core/proto.h"

/* The header that tells where the JSON ends and the binary tensors start. */
#define TERN_OIP_LENGTH_HEADER "Inference-Header-Content-Length"

extern const struct tern_proto tern_oip;

#endif
