/* Every dialect there is. */
#ifndef TERN_PROTO_PROTOS_H
#define TERN_PROTO_PROTOS_H

#include "core/proto.h"

#define TERN_PROTOS_N 9

extern const struct tern_proto *const tern_protos[TERN_PROTOS_N];

/* The bits of these dialects, as in tern_listener_info; 0 (all) when none is named.
 * INVALID_ARGUMENT for a name that is none: the text says which there are. */
enum tern_code tern_protos_mask(const struct tern_str *names, uint32_t n, uint32_t *ret_mask,
                                struct tern_err *err);
/* The other way: "oip,oip_grpc"; 0 is all. */
void tern_protos_print(uint32_t mask, struct tern_buf *out);

#endif
