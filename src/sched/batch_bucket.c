#include "sched/batch_bucket.h"

#include <string.h>
#include "base/hash.h"

enum { KEY_INPUT, KEY_OUTPUT, KEY_PARAM };

static uint64_t hash_words(const uint64_t *words, size_t n, uint64_t key)
{
    return tern_hash_bytes(tern_str_make((const char *)words, n * sizeof(*words)), key);
}

/* False: an input that does not have the batch's rows. The sum forgets the order. */
static bool add_inputs(const struct tern_scheduling *scheduling, const struct tern_engine_run *run,
                       uint64_t key, uint64_t *sum)
{
    uint64_t words[3 + TERN_RANK_MAX];

    for (uint32_t i = 0; i < run->n_inputs; i++) {
        const struct tern_shape *shape = &run->inputs[i].shape;
        uint32_t spec = run->input_spec[i];
        size_t n = 3;
        if (shape->rank == 0 || shape->dim[0] <= 0 || shape->dim[0] != run->inputs[0].shape.dim[0])
            return false;
        words[0] = (uint64_t)spec << 8 | KEY_INPUT;
        words[1] = (uint64_t)run->inputs[i].dtype;
        words[2] = (uint64_t)shape->rank;
        for (int d = 1;
             d < shape->rank && !(scheduling && scheduling->ragged && scheduling->ragged[spec]);
             d++)
            words[n++] = (uint64_t)shape->dim[d];
        *sum += hash_words(words, n, key);
    }
    return run->n_inputs > 0;
}

/* False: one is wanted twice. Where batches are configured they are of what was configured: who
 * wants which outputs does not part them, as it does not in Triton. Otherwise nobody waits for what
 * others want to be computed. */
static bool add_outputs(const struct tern_scheduling *scheduling, const struct tern_engine_run *run,
                        uint64_t key, uint64_t *sum)
{
    uint64_t seen[TERN_TENSORS_MAX / 64] = {0};

    for (uint32_t i = 0; i < run->n_outputs; i++) {
        uint32_t spec = run->output_spec[i];
        uint64_t bit = UINT64_C(1) << spec % 64;
        if (spec >= TERN_TENSORS_MAX || (seen[spec / 64] & bit) != 0)
            return false;
        seen[spec / 64] |= bit;
    }
    if (scheduling == NULL || scheduling->batching != TERN_BATCHING_CONFIGURED)
        *sum += hash_words(seen, TERN_COUNT_OF(seen), key + KEY_OUTPUT);
    return true;
}

static uint64_t hash_param(const struct tern_param *param, uint64_t key)
{
    uint64_t words[2] = {(uint64_t)param->kind << 8 | KEY_PARAM, 0};

    switch (param->kind) {
    case TERN_PARAM_BOOL:
        words[1] = param->boolean;
        break;
    case TERN_PARAM_INT64:
        words[1] = (uint64_t)param->int64;
        break;
    case TERN_PARAM_UINT64:
        words[1] = param->uint64;
        break;
    case TERN_PARAM_DOUBLE:
        memcpy(&words[1], &param->real, sizeof(words[1]));
        break;
    case TERN_PARAM_STRING:
        words[1] = tern_hash_bytes(param->string, key);
        break;
    }
    return hash_words(words, 2, tern_hash_bytes(param->key, key));
}

uint64_t tern_batch_key(const struct tern_model_version *version, const struct tern_engine_run *run)
{
    const struct tern_scheduling *scheduling = version->scheduling;
    const uint64_t key = (uint64_t)(uintptr_t)version;
    uint64_t sum = 0;

    if (run->sink != NULL)
        return 0;
    if (!add_inputs(scheduling, run, key, &sum) || !add_outputs(scheduling, run, key, &sum))
        return 0;
    if (version->engine.ops->reads_params && run->params != NULL) {
        for (uint32_t i = 0; i < run->params->n; i++)
            sum += hash_param(&run->params->rows[i], key);
    }
    return sum != 0 ? sum : 1;
}

uint64_t tern_batch_bucket(const struct tern_model_version *version,
                           const struct tern_engine_run *run)
{
    const struct tern_scheduling *scheduling = version->scheduling;

    if (scheduling == NULL || scheduling->batching == TERN_BATCHING_NONE ||
        scheduling->max_rows <= 1)
        return 0;
    return tern_batch_key(version, run);
}
