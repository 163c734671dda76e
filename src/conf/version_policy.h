/* Which versions of a model are served: Triton's version_policy, as text in our own options
 * ("latest:2") and as a message in a model's configuration. */
#ifndef TERN_CONF_VERSION_POLICY_H
#define TERN_CONF_VERSION_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

#define TERN_VERSION_POLICY_MAX 64 /* versions that can be named */

enum tern_version_policy_kind {
    TERN_VERSION_POLICY_LATEST,
    TERN_VERSION_POLICY_ALL,
    TERN_VERSION_POLICY_SPECIFIC,
};

struct tern_version_policy {
    enum tern_version_policy_kind kind;
    uint32_t latest; /* LATEST: how many, at least 1 */
    int64_t specific[TERN_VERSION_POLICY_MAX];
    uint32_t n_specific;
};

/* "latest", "latest:3", "all", "specific:1,4"; false when it is none of these. */
bool tern_version_policy_parse(struct tern_str text, struct tern_version_policy *ret);
/* Of `n` versions sorted ascending, marks those that are served; answers how many. */
uint32_t tern_version_policy_apply(const struct tern_version_policy *policy,
                                   const int64_t *versions, uint32_t n, bool *ret_served);

#endif
