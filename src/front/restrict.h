/* Restricted operations: a family of operations may demand a header with a secret value, as
 * Triton's restricted APIs do. Decided by the operation, from the head alone: a refusal costs no
 * upload. This is a shared password and no more; TLS with client certificates is what tells
 * clients apart. Immutable once made; any thread may check. */
#ifndef TERN_FRONT_RESTRICT_H
#define TERN_FRONT_RESTRICT_H

#include "core/proto.h"

#define TERN_FAMILIES_N (TERN_FAMILY_LOGGING + 1)

enum tern_restrict_over {
    TERN_RESTRICT_OVER_ANY,
    TERN_RESTRICT_OVER_HTTP, /* dialects that are not gRPC's */
    TERN_RESTRICT_OVER_GRPC,
};

struct tern_restrict_rule {
    const struct tern_str *families; /* "health", "model-repository", ...: as Triton names them */
    uint32_t n_families;
    struct tern_str header;
    struct tern_str value;
    enum tern_restrict_over over;
};

/* All zero: nothing is restricted. */
struct tern_restrict {
    struct tern_restrict_demand {
        struct tern_str header; /* p == NULL: none */
        struct tern_str value;
    } http[TERN_FAMILIES_N], grpc[TERN_FAMILIES_N];
    bool any; /* a rule was added */
};

/* Adds a rule, whose texts are borrowed for the life of the restrictions. INVALID_ARGUMENT, never
 * naming the value: no family, one that does not exist or has a rule already, a name that is no
 * header's, an empty value. */
enum tern_code tern_restrict_add(struct tern_restrict *restrict_,
                                 const struct tern_restrict_rule *rule, struct tern_err *err);

/* Whether this request may run the operation. Takes the same time for every wrong value. Errors:
 * PERMISSION_DENIED, over gRPC UNAVAILABLE; both as Triton says it. */
enum tern_code tern_restrict_judge(const struct tern_restrict *restrict_,
                                   const struct tern_exchange *x, const struct tern_proto *proto,
                                   enum tern_op op, struct tern_err *err);

/* The same, at no cost where nothing is restricted. */
TERN_INLINE enum tern_code tern_restrict_check(const struct tern_restrict *restrict_,
                                               const struct tern_exchange *x,
                                               const struct tern_proto *proto, enum tern_op op,
                                               struct tern_err *err)
{
    return TERN_LIKELY(!restrict_->any) ? TERN_OK
                                        : tern_restrict_judge(restrict_, x, proto, op, err);
}

#endif
