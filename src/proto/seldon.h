/* The dialect of Seldon Core v1: SeldonMessages in JSON, to trees of units and to single models. */
#ifndef TERN_PROTO_SELDON_H
#define TERN_PROTO_SELDON_H

#include "core/proto.h"

extern const struct tern_proto tern_seldon;

/* seldon_message.c: one SeldonMessage as the one input of a model, and its outputs as a message in
 * the form that the request had. A tree takes the message as it is. */
enum tern_code tern_seldon_decode(struct tern_call *call, struct tern_err *err);
enum tern_code tern_seldon_encode(struct tern_call *call, struct tern_err *err);
/* For feedback, and for a path that names no graph: the message alone. */
enum tern_code tern_seldon_decode_document(struct tern_call *call, struct tern_err *err);

#endif
