#include "registry/seen.h"

bool tern_seen_keep(struct tern_tensor_spec *specs, uint32_t n, const bool *hidden,
                    struct tern_arena *arena, struct tern_tensor_spec **ret_specs, uint32_t *ret_n,
                    const uint32_t **ret_at)
{
    uint32_t n_hidden = 0;

    *ret_specs = specs;
    *ret_n = n;
    *ret_at = NULL;
    for (uint32_t i = 0; i < n; i++)
        n_hidden += hidden[i];
    if (n_hidden == 0)
        return true;
    uint32_t *at = tern_arena_zalloc(arena, n, sizeof(*at));
    struct tern_tensor_spec *kept = tern_arena_zalloc(arena, n, sizeof(*kept));
    if (at == NULL || kept == NULL)
        return false;
    *ret_n = 0;
    for (uint32_t i = 0; i < n; i++) {
        if (hidden[i])
            continue;
        at[*ret_n] = i;
        kept[(*ret_n)++] = specs[i];
    }
    *ret_specs = kept;
    *ret_at = at;
    return true;
}

void tern_seen_to_engine(const uint32_t *at, uint32_t *specs, uint32_t n)
{
    for (uint32_t i = 0; at != NULL && i < n; i++)
        specs[i] = at[specs[i]];
}
