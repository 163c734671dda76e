/* Header forwarding: request headers whose names match a pattern become string parameters of an
 * infer request, so that a model can see who asks. As Triton's: the pattern matches the whole name,
 * without regard to case unless it begins with (?-i). Patterns are PCRE2's; what RE2 takes means
 * the same in it. */
#ifndef TERN_FRONT_FORWARD_H
#define TERN_FRONT_FORWARD_H

#include "core/exchange.h"
#include "core/request.h"

struct tern_forward;

/* INVALID_ARGUMENT with what is wrong in the pattern, and where. Each loop gets memory of its own
 * to match in. */
enum tern_code tern_forward_new(struct tern_str pattern, uint32_t n_loops,
                                struct tern_forward **ret_forward, struct tern_err *err);
void tern_forward_free(struct tern_forward *forward);

/* Whether a header of that name matches. */
bool tern_forward_takes(const struct tern_forward *forward, uint32_t loop, struct tern_str name);
/* Adds what matches to params; names and values stay in the head of x. A parameter of that name
 * that is there already stays as it is; of a repeated header the first counts. A name whose match
 * takes unduly long does not match. forward NULL: nothing to do. */
enum tern_code tern_forward_apply(const struct tern_forward *forward, uint32_t loop,
                                  const struct tern_exchange *x, struct tern_arena *arena,
                                  struct tern_params *params, struct tern_err *err);

#endif
