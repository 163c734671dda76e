/* Which dialects are spoken where: for each set of dialects that some listener speaks, one router
 * and one welcome page. A path that only other dialects know does not exist on a listener, and two
 * dialects may own the same path on different ones. Immutable once made; any thread may look. */
#ifndef TERN_FRONT_DIALECTS_H
#define TERN_FRONT_DIALECTS_H

#include "front/router.h"

#define TERN_DIALECTS_MAX 32 /* bits of tern_listener_info.protos */

struct tern_dialects;

/* What is spoken on one kind of listener. */
struct tern_dialect_set {
    uint32_t mask;                                      /* as in tern_listener_info */
    const struct tern_proto *protos[TERN_DIALECTS_MAX]; /* the first answers where none fits */
    uint32_t n_protos;
    const struct tern_proto *grpc; /* the first of them that is gRPC's; NULL: none is */
    struct tern_router *router;
    struct tern_buf welcome; /* what GET / answers */
};

/* protos: every dialect, borrowed. Without listeners there is one set, with all of them.
 * ALREADY_EXISTS when two dialects of one listener claim the same path, naming all three. */
enum tern_code tern_dialects_new(const struct tern_proto *const *protos, uint32_t n_protos,
                                 const struct tern_listener_info *const *listeners,
                                 uint32_t n_listeners, struct tern_dialects **ret_dialects,
                                 struct tern_err *err);
void tern_dialects_free(struct tern_dialects *dialects);

/* What this listener speaks; never NULL. */
const struct tern_dialect_set *tern_dialects_of(const struct tern_dialects *dialects,
                                                const struct tern_listener_info *listener);

#endif
