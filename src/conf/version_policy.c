#include "conf/version_policy.h"

#include "base/num.h"

static bool parse_specific(struct tern_str list, struct tern_version_policy *policy)
{
    struct tern_str piece;

    while (tern_str_split(&list, ',', &piece)) {
        int64_t version;
        if (policy->n_specific == TERN_VERSION_POLICY_MAX ||
            !tern_num_parse_i64(tern_str_trim(piece), &version) || version < 1)
            return false;
        policy->specific[policy->n_specific++] = version;
    }
    return policy->n_specific > 0;
}

bool tern_version_policy_parse(struct tern_str text, struct tern_version_policy *ret)
{
    struct tern_version_policy policy = {.kind = TERN_VERSION_POLICY_LATEST, .latest = 1};
    size_t colon = tern_str_find(text, ':');
    struct tern_str word = tern_str_make(text.p, colon);
    struct tern_str value = tern_str_from(text, colon + 1);
    bool has_value = colon < text.n;
    bool ok = false;

    if (tern_str_eq(word, TERN_STR("latest"))) {
        uint64_t latest = 1;
        ok = !has_value || (tern_num_parse_u64(value, UINT32_MAX, &latest) && latest > 0);
        policy.latest = (uint32_t)latest;
    } else if (tern_str_eq(word, TERN_STR("all"))) {
        policy.kind = TERN_VERSION_POLICY_ALL;
        ok = !has_value;
    } else if (tern_str_eq(word, TERN_STR("specific"))) {
        policy.kind = TERN_VERSION_POLICY_SPECIFIC;
        ok = has_value && parse_specific(value, &policy);
    }
    if (ok)
        *ret = policy;
    return ok;
}

static bool names(const struct tern_version_policy *policy, int64_t version)
{
    for (uint32_t i = 0; i < policy->n_specific; i++) {
        if (policy->specific[i] == version)
            return true;
    }
    return false;
}

uint32_t tern_version_policy_apply(const struct tern_version_policy *policy,
                                   const int64_t *versions, uint32_t n, bool *ret_served)
{
    uint32_t served = 0;

    for (uint32_t i = 0; i < n; i++) {
        ret_served[i] =
            policy->kind == TERN_VERSION_POLICY_ALL ||
            (policy->kind == TERN_VERSION_POLICY_LATEST && n - i <= policy->latest) ||
            (policy->kind == TERN_VERSION_POLICY_SPECIFIC && names(policy, versions[i]));
        served += ret_served[i];
    }
    return served;
}
