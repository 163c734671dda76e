#include "core/request.h"

#include <string.h>

const struct tern_param *tern_params_find(const struct tern_params *params, struct tern_str key)
{
    for (uint32_t i = 0; i < params->n; i++) {
        if (tern_str_eq(params->rows[i].key, key))
            return &params->rows[i];
    }
    return NULL;
}

/* Capacity is the power of two (at least 4) that n has reached: it needs no member of its own. */
static bool is_full(uint32_t n)
{
    return n == 0 || (n >= 4 && (n & (n - 1)) == 0);
}

enum tern_code tern_params_add(struct tern_arena *arena, struct tern_params *params,
                               const struct tern_param *param, struct tern_err *err)
{
    uint32_t n = params->n;

    if (tern_params_find(params, param->key) != NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "parameter '%.*s' is given twice",
                         TERN_STR_ARG(param->key));
    if (n == TERN_PARAMS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "more than %d parameters", TERN_PARAMS_MAX);
    if (is_full(n)) {
        size_t rows = n == 0 ? 4 : (size_t)n * 2;
        struct tern_param *grown =
            tern_arena_alloc(arena, _Alignof(struct tern_param), rows * sizeof(*grown));
        if (grown == NULL)
            return tern_arena_fail(arena, err, "the parameters");
        if (n > 0)
            memcpy(grown, params->rows, n * sizeof(*grown));
        params->rows = grown;
    }
    params->rows[params->n++] = *param;
    return TERN_OK;
}

enum tern_code tern_param_bool(const struct tern_param *param, bool *ret, struct tern_err *err)
{
    if (param->kind != TERN_PARAM_BOOL)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "Invalid value for '%.*s': expected a boolean",
                         TERN_STR_ARG(param->key));
    *ret = param->boolean;
    return TERN_OK;
}

enum tern_code tern_param_u64(const struct tern_param *param, uint64_t *ret, struct tern_err *err)
{
    if (param->kind == TERN_PARAM_UINT64)
        *ret = param->uint64;
    else if (param->kind == TERN_PARAM_INT64 && param->int64 >= 0)
        *ret = (uint64_t)param->int64;
    else
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid value for '%.*s': expected an unsigned integer",
                         TERN_STR_ARG(param->key));
    return TERN_OK;
}
