#include "core/request.h"

const struct tern_param *tern_params_find(const struct tern_params *params, struct tern_str key)
{
    for (uint32_t i = 0; i < params->n; i++) {
        if (tern_str_eq(params->rows[i].key, key))
            return &params->rows[i];
    }
    return NULL;
}
