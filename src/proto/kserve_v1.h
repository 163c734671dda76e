/* KServe's V1 protocol over REST: rows as "instances", answers as "predictions", and explanations.
 * Paths as in TensorFlow Serving, envelopes as KServe's own servers have them. */
#ifndef TERN_PROTO_KSERVE_V1_H
#define TERN_PROTO_KSERVE_V1_H

#include "core/proto.h"

extern const struct tern_proto tern_kserve_v1;

#endif
