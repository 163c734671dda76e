/* Parameters: the protocol's open-ended key-value pairs, of a request, an input or an output. */
#include "proto/oip_int.h"
#include "simd/numbers.h"

static enum tern_code read_number(struct tern_json *json, struct tern_param *ret,
                                  struct tern_err *err)
{
    struct tern_json_number number;

    TERN_TRY(tern_json_number(json, &number, err));
    switch (number.kind) {
    case TERN_JSON_INT64:
        ret->kind = TERN_PARAM_INT64;
        ret->int64 = number.int64;
        break;
    case TERN_JSON_UINT64:
        ret->kind = TERN_PARAM_UINT64;
        ret->uint64 = number.uint64;
        break;
    case TERN_JSON_DOUBLE:
    default:
        ret->kind = TERN_PARAM_DOUBLE;
        ret->real = number.real;
    }
    return TERN_OK;
}

enum tern_code tern_oip_read_param(struct tern_json *json, struct tern_str key,
                                   struct tern_param *ret, struct tern_err *err)
{
    ret->key = key;
    switch (tern_json_peek(json)) {
    case TERN_JSON_BOOL:
        ret->kind = TERN_PARAM_BOOL;
        return tern_json_bool(json, &ret->boolean, err);
    case TERN_JSON_NUMBER:
        return read_number(json, ret, err);
    case TERN_JSON_STRING:
        ret->kind = TERN_PARAM_STRING;
        return tern_json_string(json, &ret->string, err);
    case TERN_JSON_NONE:
        return tern_json_fail(json, err, "expected a value");
    case TERN_JSON_NULL:
    case TERN_JSON_ARRAY:
    case TERN_JSON_OBJECT:
    default:
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "parameter '%.*s' has invalid type, expected a boolean, a number or a "
                         "string",
                         TERN_STR_ARG(key));
    }
}

/* shared_memory_region, shared_memory_offset and shared_memory_byte_size; *ref is made at the first
 * of them. */
static enum tern_code take_region_param(struct tern_arena *arena, const struct tern_param *param,
                                        struct tern_region_ref **ref, struct tern_err *err)
{
    struct tern_str name = TERN_STR("shared_memory_region");
    struct tern_str offset = TERN_STR("shared_memory_offset");
    struct tern_str size = TERN_STR("shared_memory_byte_size");

    if (!tern_str_eq(param->key, name) && !tern_str_eq(param->key, offset) &&
        !tern_str_eq(param->key, size))
        return TERN_OK; /* what else an input or output is given means nothing to us */
    if (*ref == NULL)
        *ref = tern_arena_zalloc(arena, 1, sizeof(**ref));
    if (*ref == NULL)
        return tern_arena_fail(arena, err, "a shared memory region");
    if (tern_str_eq(param->key, offset))
        return tern_param_u64(param, &(*ref)->offset, err);
    if (tern_str_eq(param->key, size))
        return tern_param_u64(param, &(*ref)->byte_size, err);
    if (param->kind != TERN_PARAM_STRING || param->string.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid value for 'shared_memory_region': expected the name of a region");
    (*ref)->name = param->string;
    return TERN_OK;
}

enum tern_code tern_oip_check_region(const char *what, struct tern_str name,
                                     const struct tern_region_ref *ref, struct tern_err *err)
{
    if (ref == NULL)
        return TERN_OK;
    if (ref->name.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%s '%.*s': 'shared_memory_offset' and 'shared_memory_byte_size' need "
                         "'shared_memory_region'",
                         what, TERN_STR_ARG(name));
    if (ref->byte_size == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "%s '%.*s': 'shared_memory_byte_size' must be specified, above 0, along "
                         "with 'shared_memory_region'",
                         what, TERN_STR_ARG(name));
    return TERN_OK;
}

enum tern_code tern_oip_check_output(const struct tern_infer_request *request,
                                     const struct tern_requested_output *output,
                                     struct tern_err *err)
{
    struct tern_str name = output->name;

    if (name.n == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "output %u has no 'name'", request->n_outputs);
    for (uint32_t i = 0; i < request->n_outputs; i++) {
        if (tern_str_eq(request->outputs[i].name, name))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "output '%.*s' already exists in request",
                             TERN_STR_ARG(name));
    }
    TERN_TRY(tern_oip_check_region("output", name, output->region, err));
    if (output->region == NULL || (!output->binary && output->classification == 0))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "output '%.*s': '%s' can't be used together with 'shared_memory_region'",
                     TERN_STR_ARG(name),
                     output->classification > 0 ? "classification" : "binary_data");
}

enum tern_code tern_oip_take_input_param(struct tern_arena *arena, struct tern_tensor *tensor,
                                         const struct tern_param *param, struct tern_err *err)
{
    return take_region_param(arena, param, &tensor->region, err);
}

enum tern_code tern_oip_take_output_param(struct tern_arena *arena,
                                          struct tern_requested_output *output,
                                          const struct tern_param *param, struct tern_err *err)
{
    uint64_t n;

    if (!tern_str_eq(param->key, TERN_STR("classification")))
        return take_region_param(arena, param, &output->region, err);
    TERN_TRY(tern_param_u64(param, &n, err));
    if (n > INT32_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Invalid value for 'classification': expected at most %d", INT32_MAX);
    output->classification = (uint32_t)n;
    return TERN_OK;
}

enum tern_code tern_oip_parse_datatype(struct tern_str name, enum tern_dtype *ret,
                                       struct tern_err *err)
{
    *ret = tern_dtype_from_name(name);
    if (*ret == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "Unable to parse 'datatype': '%.*s' is unknown, expected BOOL, UINT8, "
                         "UINT16, UINT32, UINT64, INT8, INT16, INT32, INT64, FP16, BF16, FP32, "
                         "FP64 or BYTES",
                         TERN_STR_ARG(name));
    return TERN_OK;
}

static void write_value(struct tern_buf *buf, const struct tern_param *param)
{
    char text[32];

    switch (param->kind) {
    case TERN_PARAM_BOOL:
        tern_buf_add_str(buf, param->boolean ? TERN_STR("true") : TERN_STR("false"));
        break;
    case TERN_PARAM_INT64:
        tern_buf_add_i64(buf, param->int64);
        break;
    case TERN_PARAM_UINT64:
        tern_buf_add_u64(buf, param->uint64);
        break;
    case TERN_PARAM_DOUBLE:
        tern_buf_add(buf, text, tern_numbers_write_double(param->real, text));
        break;
    case TERN_PARAM_STRING:
        tern_json_add_string(buf, param->string);
        break;
    }
}

void tern_oip_write_param(struct tern_buf *buf, const struct tern_param *param)
{
    tern_json_add_string(buf, param->key);
    tern_buf_add_char(buf, ':');
    write_value(buf, param);
}

void tern_oip_write_params(struct tern_buf *buf, const struct tern_params *params)
{
    tern_buf_add_char(buf, '{');
    for (uint32_t i = 0; i < params->n; i++) {
        if (i > 0)
            tern_buf_add_char(buf, ',');
        tern_oip_write_param(buf, &params->rows[i]);
    }
    tern_buf_add_char(buf, '}');
}
