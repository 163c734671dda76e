#include "sched/cache_key.h"

#include <string.h>
#include "base/wide_hash.h"

/* The places of `specs` in rising order. False: too many, or one twice. */
static bool sort(const uint32_t *specs, uint32_t n, uint16_t at[TERN_TENSORS_MAX])
{
    if (n > TERN_TENSORS_MAX)
        return false;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = i;
        for (; j > 0 && specs[at[j - 1]] > specs[i]; j--)
            at[j] = at[j - 1];
        at[j] = (uint16_t)i;
        if (j > 0 && specs[at[j - 1]] == specs[i])
            return false;
    }
    return true;
}

/* ---- writing: every field has a fixed width or comes after its length ---- */

static void put_u64(struct tern_cache_pieces *out, uint64_t v)
{
    out->take(out, &v, sizeof(v));
}

static void put_bytes(struct tern_cache_pieces *out, const void *p, size_t n)
{
    put_u64(out, n);
    out->take(out, p, n);
}

static void put_input(struct tern_cache_pieces *out, uint32_t spec, const struct tern_tensor *input)
{
    const struct tern_shape *shape = &input->shape;

    put_u64(out, spec);
    put_u64(out, (uint64_t)input->dtype << 32 | (uint32_t)shape->rank);
    out->take(out, shape->dim, (size_t)shape->rank * sizeof(shape->dim[0]));
    put_bytes(out, input->data, input->n_bytes);
}

static bool is_about_scheduling(struct tern_str key)
{
    static const struct tern_str keys[] = {
        {"priority", 8},        {"timeout", 7},       {"sequence_id", 11},
        {"sequence_start", 14}, {"sequence_end", 12}, {"binary_data_output", 18},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(keys); i++) {
        if (tern_str_eq(key, keys[i]))
            return true;
    }
    return false;
}

static void put_param(struct tern_cache_pieces *out, const struct tern_param *param)
{
    if (is_about_scheduling(param->key))
        return;
    put_u64(out, (uint64_t)param->kind + 1); /* 0 ends the list */
    put_bytes(out, param->key.p, param->key.n);
    if (param->kind == TERN_PARAM_STRING)
        put_bytes(out, param->string.p, param->string.n);
    else if (param->kind == TERN_PARAM_BOOL)
        put_u64(out, param->boolean);
    else
        out->take(out, &param->uint64, sizeof(param->uint64)); /* of an int64 or a double too */
}

bool tern_cache_key_write(const struct tern_engine_run *run, struct tern_cache_pieces *pieces)
{
    uint16_t inputs[TERN_TENSORS_MAX], outputs[TERN_TENSORS_MAX];

    if (!sort(run->input_spec, run->n_inputs, inputs) ||
        !sort(run->output_spec, run->n_outputs, outputs))
        return false;
    put_u64(pieces, (uint64_t)run->n_inputs << 32 | run->n_outputs);
    for (uint32_t i = 0; i < run->n_outputs; i++)
        put_u64(pieces, run->output_spec[outputs[i]]);
    for (uint32_t i = 0; run->params != NULL && i < run->params->n; i++)
        put_param(pieces, &run->params->rows[i]);
    put_u64(pieces, 0);
    for (uint32_t i = 0; i < run->n_inputs; i++)
        put_input(pieces, run->input_spec[inputs[i]], &run->inputs[inputs[i]]);
    return true;
}

/* ---- our own hash ---- */

/* Short questions are gathered and hashed at once. */
struct gathering {
    struct tern_cache_pieces base;
    struct tern_wide_hash hash;
    char *exact;
    size_t n;
    bool is_long;
};

static void gather(struct tern_cache_pieces *self, const void *p, size_t n)
{
    struct gathering *g = TERN_CONTAINER_OF(self, struct gathering, base);

    if (n == 0)
        return;
    if (n > TERN_CACHE_EXACT_MAX - g->n) {
        tern_wide_hash_add(&g->hash, g->exact, g->n);
        g->n = 0;
        g->is_long = true;
    }
    if (n > TERN_CACHE_EXACT_MAX) {
        tern_wide_hash_add(&g->hash, p, n);
        return;
    }
    memcpy(g->exact + g->n, p, n);
    g->n += n;
}

bool tern_cache_key_make(const uint64_t seed[2], const struct tern_engine_run *run,
                         char scratch[TERN_CACHE_EXACT_MAX], struct tern_cache_key *ret_key)
{
    struct gathering g = {.base = {gather}, .exact = scratch};
    uint64_t sum[4];

    tern_wide_hash_init(&g.hash, seed);
    if (!tern_cache_key_write(run, &g.base))
        return false;
    tern_wide_hash_add(&g.hash, scratch, g.n);
    tern_wide_hash_end(&g.hash, sum);
    *ret_key = (struct tern_cache_key){
        .name = {sum[0], sum[1]},
        .check = {sum[2], sum[3]},
        .exact = g.is_long ? tern_str_make(NULL, 0) : tern_str_make(scratch, g.n),
    };
    return true;
}
