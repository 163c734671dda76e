#include "core/inputs.h"

#include <inttypes.h>
#include "base/buf.h"

/* ---- which is which ---- */

static enum tern_code fail_missing(const struct tern_model_info *info,
                                   const struct tern_tensor *inputs, uint32_t n, const bool *given,
                                   struct tern_err *err)
{
    struct tern_buf got, missing;
    bool first = true;

    tern_buf_init(&got, 192);
    tern_buf_init(&missing, 192);
    for (uint32_t i = 0; i < n; i++)
        tern_buf_printf(&got, "%s'%.*s'", i == 0 ? "" : ",", TERN_STR_ARG(inputs[i].name));
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        if (given[i] || info->inputs[i].optional)
            continue;
        tern_buf_printf(&missing, "%s'%.*s'", first ? "" : ",", TERN_STR_ARG(info->inputs[i].name));
        first = false;
    }
    enum tern_code code = tern_fail(
        err, TERN_INVALID_ARGUMENT,
        "expected %u inputs but got %u inputs for model '%.*s'. Got input(s) [%.*s], but missing "
        "required input(s) [%.*s]. Please provide all required input(s).",
        info->n_inputs, n, TERN_STR_ARG(info->name), (int)got.n, got.n > 0 ? got.p : "",
        (int)missing.n, missing.n > 0 ? missing.p : "");
    tern_buf_fini(&got);
    tern_buf_fini(&missing);
    return code;
}

enum tern_code tern_inputs_match(const struct tern_model_info *info,
                                 const struct tern_tensor *inputs, uint32_t n,
                                 struct tern_arena *arena, uint32_t **ret_spec_of,
                                 struct tern_err *err)
{
    uint32_t n_required = 0, n_given = 0;
    /* One an input of the request, then one an input of the model, which may have more. */
    size_t size = (size_t)n * sizeof(uint32_t);
    uint32_t *spec_of = tern_arena_zalloc(arena, 1, size + info->n_inputs + 1);

    if (spec_of == NULL)
        return tern_arena_fail(arena, err, "the inputs");
    bool *given = (bool *)(spec_of + n);
    *ret_spec_of = spec_of;
    for (uint32_t i = 0; i < n; i++) {
        struct tern_str name = inputs[i].name;
        const struct tern_tensor_spec *spec = tern_model_input(info, name);
        if (spec == NULL)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "unexpected inference input '%.*s' for model '%.*s'",
                             TERN_STR_ARG(name), TERN_STR_ARG(info->name));
        uint32_t at = (uint32_t)(spec - info->inputs);
        if (given[at])
            return tern_fail(err, TERN_INVALID_ARGUMENT, "input '%.*s' already exists in request",
                             TERN_STR_ARG(name));
        given[at] = true;
        spec_of[i] = at;
    }
    for (uint32_t i = 0; i < info->n_inputs; i++) {
        n_required += !info->inputs[i].optional;
        n_given += given[i] && !info->inputs[i].optional;
    }
    return n_given == n_required ? TERN_OK : fail_missing(info, inputs, n, given, err);
}

/* ---- whether they fit ---- */

static enum tern_code check_size(const struct tern_model_info *info,
                                 const struct tern_tensor *input, struct tern_err *err)
{
    size_t want;

    if (input->dtype == TERN_DTYPE_BYTES) {
        if (!tern_shape_count(&input->shape, &want))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' for model '%.*s': byte size overflow for input",
                             TERN_STR_ARG(input->name), TERN_STR_ARG(info->name));
        return tern_tensor_check_bytes(input->name, input->data, input->n_bytes, want, err);
    }
    TERN_TRY(tern_shape_bytes(input->name, input->dtype, &input->shape, &want, err));
    if (want != input->n_bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input byte size mismatch for input '%.*s' for model '%.*s'. Expected "
                         "%zu, got %zu",
                         TERN_STR_ARG(input->name), TERN_STR_ARG(info->name), want, input->n_bytes);
    return TERN_OK;
}

static enum tern_code check_input(const struct tern_model_info *info,
                                  const struct tern_tensor *input,
                                  const struct tern_tensor_spec *spec, struct tern_err *err)
{
    char want[160], got[160];

    if (input->dtype != spec->dtype)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference input '%.*s' data-type is '%s', but model '%.*s' expects '%s'",
                         TERN_STR_ARG(input->name), tern_dtype_name(input->dtype),
                         TERN_STR_ARG(info->name), tern_dtype_name(spec->dtype));
    if (!tern_shape_fits(&spec->shape, &input->shape))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unexpected shape for input '%.*s' for model '%.*s'. Expected %s, got %s",
                         TERN_STR_ARG(input->name), TERN_STR_ARG(info->name),
                         tern_shape_print(&spec->shape, want, sizeof(want)),
                         tern_shape_print(&input->shape, got, sizeof(got)));
    return check_size(info, input, err);
}

/* With max_batch_size, the first dimension of every input is the batch, and it is the same. */
static enum tern_code check_batch(const struct tern_model_info *info,
                                  const struct tern_tensor *inputs, uint32_t n,
                                  struct tern_err *err)
{
    if (info->max_batch_size == 0 || n == 0)
        return TERN_OK;
    int64_t batch = inputs[0].shape.dim[0];
    if (batch < 1 || batch > info->max_batch_size)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "inference request batch-size must be between 1 and %" PRId64
                         " for '%.*s', got %" PRId64,
                         info->max_batch_size, TERN_STR_ARG(info->name), batch);
    for (uint32_t i = 1; i < n; i++) {
        if (inputs[i].shape.dim[0] != batch)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "input '%.*s' batch size does not match other inputs for '%.*s'",
                             TERN_STR_ARG(inputs[i].name), TERN_STR_ARG(info->name));
    }
    return TERN_OK;
}

enum tern_code tern_inputs_check(const struct tern_model_info *info,
                                 const struct tern_tensor *inputs, const uint32_t *spec_of,
                                 uint32_t n, struct tern_err *err)
{
    for (uint32_t i = 0; i < n; i++)
        TERN_TRY(check_input(info, &inputs[i], &info->inputs[spec_of[i]], err));
    return check_batch(info, inputs, n, err);
}

/* ---- how much they are ---- */

uint64_t tern_inputs_units(const struct tern_tensor *inputs, uint32_t n)
{
    uint64_t units = 0;

    for (uint32_t i = 0; i < n; i++) {
        size_t size = tern_dtype_size(inputs[i].dtype);
        units += inputs[i].n_bytes / (size > 0 ? size : 1);
    }
    return units > 0 ? units : 1;
}

uint32_t tern_inputs_rows(const struct tern_model_info *info, const struct tern_tensor *inputs,
                          uint32_t n)
{
    bool batched = info->n_inputs > 0 && info->inputs[0].shape.rank > 0 &&
                   (info->max_batch_size > 0 || info->inputs[0].shape.dim[0] < 0);

    if (!batched || n == 0)
        return 1;
    return inputs[0].shape.dim[0] < UINT32_MAX ? (uint32_t)inputs[0].shape.dim[0] : UINT32_MAX;
}
