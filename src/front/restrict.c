#include "front/restrict.h"

#include <stdio.h>

static const char *const family_names[TERN_FAMILIES_N] = {
    [TERN_FAMILY_HEALTH] = "health",
    [TERN_FAMILY_METADATA] = "metadata",
    [TERN_FAMILY_INFERENCE] = "inference",
    [TERN_FAMILY_SHARED_MEMORY] = "shared-memory",
    [TERN_FAMILY_MODEL_CONFIG] = "model-config",
    [TERN_FAMILY_MODEL_REPOSITORY] = "model-repository",
    [TERN_FAMILY_STATISTICS] = "statistics",
    [TERN_FAMILY_TRACE] = "trace",
    [TERN_FAMILY_LOGGING] = "logging",
};

static enum tern_family family_of(struct tern_str name)
{
    for (int i = TERN_FAMILY_NONE + 1; i < TERN_FAMILIES_N; i++) {
        if (tern_str_eq(name, tern_str_of(family_names[i])))
            return (enum tern_family)i;
    }
    return TERN_FAMILY_NONE;
}

static enum tern_code fail_family(struct tern_str name, struct tern_err *err)
{
    char known[256] = "";
    size_t n = 0;

    for (int i = TERN_FAMILY_NONE + 1; i < TERN_FAMILIES_N && n < sizeof(known); i++)
        n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", n == 0 ? "" : ", ",
                              family_names[i]);
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "no such family of operations: \"%.*s\", expected of: %s", TERN_STR_ARG(name),
                     known);
}

/* RFC 9110 5.6.2: the signs of a token. */
static bool is_header_name(struct tern_str name)
{
    const struct tern_str signs = TERN_STR("!#$%&'*+-.^_`|~");

    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && tern_str_find(signs, c) == signs.n)
            return false;
    }
    return name.n > 0;
}

static enum tern_code demand(struct tern_restrict_demand *demands, enum tern_family family,
                             const struct tern_restrict_rule *rule, struct tern_err *err)
{
    if (demands[family].header.p != NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the family %s is restricted twice",
                         family_names[family]);
    demands[family] = (struct tern_restrict_demand){rule->header, rule->value};
    return TERN_OK;
}

enum tern_code tern_restrict_add(struct tern_restrict *restrict_,
                                 const struct tern_restrict_rule *rule, struct tern_err *err)
{
    if (rule->n_families == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "needs a family of operations");
    if (!is_header_name(rule->header))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected the name of a header, got \"%.*s\"",
                         TERN_STR_ARG(rule->header));
    if (rule->value.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "the header %.*s needs a value",
                         TERN_STR_ARG(rule->header));
    restrict_->any = true;
    for (uint32_t i = 0; i < rule->n_families; i++) {
        enum tern_family family = family_of(rule->families[i]);
        if (family == TERN_FAMILY_NONE)
            return fail_family(rule->families[i], err);
        if (rule->over != TERN_RESTRICT_OVER_GRPC)
            TERN_TRY(demand(restrict_->http, family, rule, err));
        if (rule->over != TERN_RESTRICT_OVER_HTTP)
            TERN_TRY(demand(restrict_->grpc, family, rule, err));
    }
    return TERN_OK;
}

/* As long for a value that differs at once as for one that differs at its end. */
static bool is_same(struct tern_str given, struct tern_str wanted)
{
    volatile unsigned char difference = given.n != wanted.n;
    const char *p = given.n == wanted.n ? given.p : wanted.p;

    for (size_t i = 0; i < wanted.n; i++)
        difference = (unsigned char)(difference | (unsigned char)(p[i] ^ wanted.p[i]));
    return difference == 0;
}

enum tern_code tern_restrict_judge(const struct tern_restrict *restrict_,
                                   const struct tern_exchange *x, const struct tern_proto *proto,
                                   enum tern_op op, struct tern_err *err)
{
    enum tern_family family = tern_op_family(op);
    const struct tern_restrict_demand *demand_ =
        proto->is_grpc ? &restrict_->grpc[family] : &restrict_->http[family];

    if (demand_->header.p == NULL)
        return TERN_OK;
    struct tern_str given = tern_exchange_header(x, demand_->header);
    if (given.p != NULL && is_same(given, demand_->value))
        return TERN_OK;
    if (proto->is_grpc)
        return tern_fail(err, TERN_UNAVAILABLE,
                         "This protocol is restricted, expecting header '%.*s'",
                         TERN_STR_ARG(demand_->header));
    return tern_fail(err, TERN_PERMISSION_DENIED, "This API is restricted, expecting header '%.*s'",
                     TERN_STR_ARG(demand_->header));
}
