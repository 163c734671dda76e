#include "explain/background.h"

#include "base/mem.h"
#include "core/inputs.h"
#include "core/value.h"
#include "os/file.h"
#include "wire/npy.h"

enum tern_code tern_background_check(const struct tern_model_info *info,
                                     const struct tern_tensor *tensors, const uint32_t *spec_of,
                                     uint32_t n, struct tern_err *err)
{
    struct tern_model_info any = *info;

    if (any.max_batch_size > 0)
        any.max_batch_size = INT64_MAX;
    return tern_inputs_check(&any, tensors, spec_of, n, err);
}

static enum tern_code convert(const struct tern_npy *array, const struct tern_tensor_spec *spec,
                              struct tern_tensor *tensor, struct tern_err *err)
{
    struct tern_tensor from = {.dtype = array->dtype};
    size_t n = array->data.n / tern_dtype_size(array->dtype);

    from.data = (void *)(uintptr_t)array->data.p; /* it is only read */
    for (size_t i = 0; i < n; i++) {
        double value = tern_value_get(&from, i);
        if (!tern_value_set(spec->dtype, tensor->data, i, value))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "element %zu is %g, which input '%.*s' of %s cannot hold", i, value,
                             TERN_STR_ARG(spec->name), tern_dtype_name(spec->dtype));
    }
    return TERN_OK;
}

static enum tern_code take(struct tern_str file, const struct tern_model_info *info,
                           struct tern_arena *arena, struct tern_tensor *tensor,
                           struct tern_err *err)
{
    const struct tern_tensor_spec *spec = &info->inputs[0];
    struct tern_npy array;

    TERN_TRY(tern_npy_read(file, &array, err));
    if (info->n_inputs != 1 || spec->dtype == TERN_DTYPE_BYTES)
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "the file serves models with one input of numbers: send the background "
                         "with the request");
    *tensor = (struct tern_tensor){.name = spec->name, .dtype = spec->dtype};
    tensor->shape.rank = array.rank;
    for (int i = 0; i < array.rank; i++)
        tensor->shape.dim[i] = array.dim[i];
    size_t n = array.data.n / tern_dtype_size(array.dtype);
    tensor->n_bytes = n * tern_dtype_size(spec->dtype);
    tensor->data = tern_arena_alloc(arena, 64, tensor->n_bytes + 1);
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "the background");
    return convert(&array, spec, tensor, err);
}

enum tern_code tern_background_read(const char *path, const struct tern_model_info *info,
                                    struct tern_arena *arena, struct tern_tensor **ret_tensors,
                                    uint32_t *ret_n, struct tern_err *err)
{
    struct tern_tensor *tensor = tern_arena_zalloc(arena, 1, sizeof(*tensor));
    char *bytes;
    size_t n;

    if (tensor == NULL)
        return tern_arena_fail(arena, err, "the background");
    enum tern_code code = tern_file_read(path, TERN_BACKGROUND_BYTES_MAX, 0, &bytes, &n, err);
    if (code == TERN_OK) {
        code = take(tern_str_make(bytes, n), info, arena, tensor, err);
        tern_mem_free(bytes);
    }
    if (code != TERN_OK) {
        tern_err_hide(err, path, strlen(path));
        tern_err_prefix(err, "the model's background");
        return code;
    }
    *ret_tensors = tensor;
    *ret_n = 1;
    return TERN_OK;
}
