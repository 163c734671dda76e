/* Vertex AI's predict and explain over REST, as its endpoints answer them: an endpoint is a model.
 */
#ifndef TERN_PROTO_VERTEX_H
#define TERN_PROTO_VERTEX_H

#include "core/proto.h"

extern const struct tern_proto tern_vertex;

#endif
