#include "registry/trial_rows.h"

#include <string.h>
#include "base/num.h"

/* ---- values ---- */

/* xorshift64* (Vigna 2016): never zero. */
static uint64_t next(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * UINT64_C(0x2545F4914F6CDD1D);
}

/* How many bits of a real number are its exponent (IEEE 754); 0: it is none. */
static unsigned exponent_bits(enum tern_dtype dtype)
{
    if (dtype == TERN_DTYPE_FP16)
        return 5;
    if (dtype == TERN_DTYPE_FP64)
        return 11;
    return dtype == TERN_DTYPE_FP32 || dtype == TERN_DTYPE_BF16 ? 8 : 0;
}

/* The bits of a real number of magnitude 1/8 to 2. */
static uint64_t real_bits(uint64_t random, enum tern_dtype dtype, bool negative)
{
    unsigned bits = 8 * (unsigned)tern_dtype_size(dtype);
    unsigned fraction_bits = bits - 1 - exponent_bits(dtype);
    uint64_t bias = (UINT64_C(1) << (exponent_bits(dtype) - 1)) - 1;
    uint64_t exponent = bias - 3 + (random >> 1 & 3);
    uint64_t fraction = random >> 3 & ((UINT64_C(1) << fraction_bits) - 1);
    uint64_t sign = negative ? random & 1 : 0;

    return sign << (bits - 1) | exponent << fraction_bits | fraction;
}

static uint64_t value_bits(enum tern_dtype dtype, const struct tern_trial_values *values,
                           uint64_t *state)
{
    uint64_t random = next(state);
    uint32_t below = values->below;

    if (exponent_bits(dtype) > 0)
        return real_bits(random, dtype, values->negative);
    if (dtype == TERN_DTYPE_BOOL)
        below = 2;
    else if (tern_dtype_size(dtype) == 1 && below > 100)
        below = 100; /* what 8 bits with a sign hold */
    return (random >> 33) % below;
}

/* A string of `below` letters at most; a digit now and then, for models that read numbers. */
static size_t put_string(char *dst, const struct tern_trial_values *values, uint64_t *state)
{
    uint64_t random = next(state);
    uint32_t n = 1 + (uint32_t)(random >> 33) % (values->below < 8 ? values->below : 8);

    memcpy(dst, &n, 4); /* the wire's order is the machine's: little-endian */
    for (uint32_t i = 0; i < n; i++)
        dst[4 + i] = (char)(values->negative ? 'a' + (next(state) >> 33) % 26
                                             : '0' + (next(state) >> 33) % 10);
    return 4 + n;
}

static enum tern_code fill(struct tern_tensor *tensor, const struct tern_trial_values *values,
                           uint64_t *state, struct tern_arena *arena, struct tern_err *err)
{
    size_t size = tern_dtype_size(tensor->dtype);
    size_t room = tensor->dtype == TERN_DTYPE_BYTES ? 12 : size, count, bytes;

    if (!tern_shape_count(&tensor->shape, &count) || tern_num_mul(count, room, &bytes))
        return tern_arena_fail(arena, err, "made-up inputs");
    char *at = tern_arena_alloc(arena, 8, bytes);
    if (at == NULL)
        return tern_arena_fail(arena, err, "made-up inputs");
    tensor->data = at;
    for (size_t i = 0; i < count; i++) {
        if (tensor->dtype == TERN_DTYPE_BYTES) {
            at += put_string(at, values, state);
        } else {
            uint64_t bits = value_bits(tensor->dtype, values, state);
            memcpy(at, &bits, size);
            at += size;
        }
    }
    tensor->n_bytes = (size_t)(at - (char *)tensor->data);
    return TERN_OK;
}

enum tern_code tern_trial_rows_make(const struct tern_tensor_spec *specs, uint32_t n_specs,
                                    const struct tern_trial_values *values, uint32_t n_rows,
                                    struct tern_arena *arena, struct tern_trial_rows *ret_rows,
                                    struct tern_err *err)
{
    uint64_t state = values->seed * UINT64_C(0x9E3779B97F4A7C15) | 1;
    struct tern_trial_rows rows = {
        .inputs = tern_arena_zalloc(arena, n_specs + 1, sizeof(*rows.inputs)),
        .input_spec = tern_arena_zalloc(arena, n_specs + 1, sizeof(*rows.input_spec)),
    };

    if (rows.inputs == NULL || rows.input_spec == NULL)
        return tern_arena_fail(arena, err, "made-up inputs");
    for (uint32_t i = 0; i < n_specs; i++) {
        if (specs[i].optional && !values->optional)
            continue;
        struct tern_tensor *tensor = &rows.inputs[rows.n_inputs];
        rows.input_spec[rows.n_inputs++] = i;
        *tensor = (struct tern_tensor){
            .name = specs[i].name, .dtype = specs[i].dtype, .shape = specs[i].shape};
        tensor->shape.dim[0] = n_rows;
        for (int d = 1; d < tensor->shape.rank; d++) {
            if (tensor->shape.dim[d] < 0)
                tensor->shape.dim[d] = values->inner;
        }
        TERN_TRY(fill(tensor, values, &state, arena, err));
    }
    *ret_rows = rows;
    return tern_trial_rows_index(ret_rows, arena, err);
}

/* ---- rows ---- */

static enum tern_code find_starts(const struct tern_tensor *tensor, uint32_t n_rows, size_t *starts,
                                  struct tern_err *err)
{
    size_t count, at = 0;
    struct tern_str element;

    if (!tern_shape_count(&tensor->shape, &count))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' is too large",
                         TERN_STR_ARG(tensor->name));
    for (uint32_t row = 0; row < n_rows; row++) {
        starts[row] = at;
        if (tensor->dtype != TERN_DTYPE_BYTES)
            at += tensor->n_bytes / n_rows;
        for (size_t i = 0; tensor->dtype == TERN_DTYPE_BYTES && i < count / n_rows; i++) {
            if (!tern_tensor_next_bytes(tensor, &at, &element))
                return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' has too few strings",
                                 TERN_STR_ARG(tensor->name));
        }
    }
    starts[n_rows] = at;
    return TERN_OK;
}

enum tern_code tern_trial_rows_index(struct tern_trial_rows *rows, struct tern_arena *arena,
                                     struct tern_err *err)
{
    rows->n_rows = 0;
    rows->starts = tern_arena_zalloc(arena, rows->n_inputs + 1, sizeof(*rows->starts));
    if (rows->starts == NULL)
        return tern_arena_fail(arena, err, "the rows of an input");
    for (uint32_t i = 0; i < rows->n_inputs; i++) {
        const struct tern_tensor *tensor = &rows->inputs[i];
        int64_t n = tensor->shape.rank > 0 ? tensor->shape.dim[0] : 0;
        if (n <= 0 || n > UINT32_MAX || (i > 0 && (uint32_t)n != rows->n_rows))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' does not have the rows of the others",
                             TERN_STR_ARG(tensor->name));
        rows->n_rows = (uint32_t)n;
        rows->starts[i] = tern_arena_zalloc(arena, (size_t)n + 1, sizeof(size_t));
        if (rows->starts[i] == NULL)
            return tern_arena_fail(arena, err, "the rows of an input");
        TERN_TRY(find_starts(tensor, rows->n_rows, rows->starts[i], err));
    }
    return rows->n_inputs > 0
               ? TERN_OK
               : tern_fail(err, TERN_INVALID_ARGUMENT, "there is no input to have rows");
}

enum tern_code tern_trial_rows_pick(const struct tern_trial_rows *rows, const uint32_t *picks,
                                    uint32_t n, struct tern_arena *arena,
                                    struct tern_tensor **ret_inputs, struct tern_err *err)
{
    struct tern_tensor *inputs = tern_arena_zalloc(arena, rows->n_inputs, sizeof(*inputs));

    if (inputs == NULL)
        return tern_arena_fail(arena, err, "picked rows");
    for (uint32_t i = 0; i < rows->n_inputs; i++) {
        const size_t *starts = rows->starts[i];
        size_t bytes = 0;
        for (uint32_t k = 0; k < n; k++)
            bytes += starts[picks[k] + 1] - starts[picks[k]];
        char *at = tern_arena_alloc(arena, 64, bytes);
        if (at == NULL)
            return tern_arena_fail(arena, err, "picked rows");
        inputs[i] = rows->inputs[i];
        inputs[i].shape.dim[0] = n;
        inputs[i].data = at;
        inputs[i].n_bytes = bytes;
        for (uint32_t k = 0; k < n; k++) {
            size_t row = starts[picks[k] + 1] - starts[picks[k]];
            if (row > 0)
                memcpy(at, (const char *)rows->inputs[i].data + starts[picks[k]], row);
            at += row;
        }
    }
    *ret_inputs = inputs;
    return TERN_OK;
}
