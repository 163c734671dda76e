/* What a Redis server says is the answer to a question: either it is none, or each output has the
 * model's datatype and as many bytes as its shape says, all of them inside the value. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "sched/cache_shared.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define OUTPUTS  3
#define CHECK_AT 8 /* in a value, after "TRN1" and how many outputs it has */

static const struct tern_tensor_spec specs[OUTPUTS] = {
    {.name = {"y", 1}, .dtype = TERN_DTYPE_FP32},
    {.name = {"t", 1}, .dtype = TERN_DTYPE_BYTES},
    {.name = {"z", 1}, .dtype = TERN_DTYPE_INT64},
};

static void check(const struct tern_tensor *output, struct tern_str value)
{
    const char *data = output->data;
    size_t n;

    assert(output->n_bytes == 0 ||
           (data >= value.p && data + output->n_bytes <= value.p + value.n));
    if (output->dtype != TERN_DTYPE_BYTES) {
        assert(tern_shape_bytes(output->name, output->dtype, &output->shape, &n, NULL) == TERN_OK);
        assert(n == output->n_bytes);
        return;
    }
    struct tern_str text;
    size_t at = 0;
    assert(tern_shape_count(&output->shape, &n));
    for (size_t i = 0; i < n; i++)
        assert(tern_tensor_next_bytes(output, &at, &text));
    assert(at == output->n_bytes);
}

/* The question's half of the hash and the size are made to agree, or nothing would be read any
 * further. */
static void agree(char *value, size_t n, struct tern_cache_shared_key *key)
{
    uint64_t size = n;

    if (n < CHECK_AT + sizeof(key->check) + sizeof(size))
        return;
    memcpy(key->check, value + CHECK_AT, sizeof(key->check));
    memcpy(value + CHECK_AT + sizeof(key->check), &size, sizeof(size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint32_t wanted[OUTPUTS] = {1, 0, 2};
    struct tern_model_version version = {.info = {.outputs = specs, .n_outputs = OUTPUTS}};
    struct tern_cache_shared_key key = {.name = "tern:1:"};
    struct tern_tensor outputs[OUTPUTS];
    char *copy = malloc(size + 1);

    if (copy == NULL)
        abort();
    if (size > 0)
        memcpy(copy, data, size);
    agree(copy, size, &key);
    struct tern_str value = tern_str_make(copy, size);
    for (uint32_t n = 1; n <= OUTPUTS; n++) {
        const struct tern_engine_run run = {.output_spec = wanted, .n_outputs = n};
        if (!tern_cache_shared_read(&key, value, &version, &run, outputs))
            continue;
        for (uint32_t i = 0; i < n; i++) {
            assert(outputs[i].dtype == specs[wanted[i]].dtype);
            check(&outputs[i], value);
        }
    }
    free(copy);
    return 0;
}
