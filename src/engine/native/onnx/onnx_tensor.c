#include "engine/native/onnx/onnx_tensor.h"

#include <string.h>
#include "base/num.h"

/* Fields of a TensorProto. */
enum {
    DIMS = 1,
    DATA_TYPE = 2,
    SEGMENT = 3,
    FLOAT_DATA = 4,
    INT32_DATA = 5,
    STRING_DATA = 6,
    INT64_DATA = 7,
    NAME = 8,
    RAW_DATA = 9,
    DOUBLE_DATA = 10,
    UINT64_DATA = 11,
    EXTERNAL_DATA = 13,
    DATA_LOCATION = 14,
};

enum tern_dtype tern_onnx_tensor_dtype(uint64_t data_type)
{
    static const enum tern_dtype dtypes[] = {
        TERN_DTYPE_INVALID, TERN_DTYPE_FP32,
        TERN_DTYPE_UINT8,   TERN_DTYPE_INT8,
        TERN_DTYPE_UINT16,  TERN_DTYPE_INT16,
        TERN_DTYPE_INT32,   TERN_DTYPE_INT64,
        TERN_DTYPE_BYTES,   TERN_DTYPE_BOOL,
        TERN_DTYPE_FP16,    TERN_DTYPE_FP64,
        TERN_DTYPE_UINT32,  TERN_DTYPE_UINT64,
        TERN_DTYPE_INVALID, /* complex64 */
        TERN_DTYPE_INVALID, /* complex128 */ TERN_DTYPE_BF16,
    };
    return data_type < TERN_COUNT_OF(dtypes) ? dtypes[data_type] : TERN_DTYPE_INVALID;
}

/* ---- repeated fields ---- */

static size_t width_of(enum tern_pb_wire wire)
{
    return wire == TERN_PB_FIXED32 ? 4 : 8;
}

/* How many numbers a field holds; false: it is no list of them. */
static bool count_in(const struct tern_pb_field *field, enum tern_pb_wire wire, size_t *n)
{
    if (field->wire == wire)
        *n += 1;
    else if (field->wire != TERN_PB_BYTES)
        return false;
    else if (wire == TERN_PB_VARINT)
        *n += tern_pb_packed_count(field->bytes);
    else if (field->bytes.n % width_of(wire) != 0)
        return false;
    else
        *n += field->bytes.n / width_of(wire);
    return true;
}

static bool put(const struct tern_pb_field *field, enum tern_pb_wire wire, char **at)
{
    if (field->wire == wire) {
        memcpy(*at, &field->value, width_of(wire)); /* little-endian */
        *at += width_of(wire);
        return true;
    }
    if (wire != TERN_PB_VARINT) {
        if (field->bytes.n > 0)
            memcpy(*at, field->bytes.p, field->bytes.n);
        *at += field->bytes.n;
        return true;
    }
    size_t i = 0;
    uint64_t value;
    while (tern_pb_packed_varint(field->bytes, &i, &value)) {
        memcpy(*at, &value, sizeof(value));
        *at += sizeof(value);
    }
    return i <= field->bytes.n;
}

static enum tern_code count_numbers(struct tern_str message, uint32_t number,
                                    enum tern_pb_wire wire, size_t *ret_n, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;
    size_t n = 0;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == number && !count_in(&field, wire, &n))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "field %u holds no list of numbers",
                             number);
        size_t same = tern_pb_run(&pb, &field, NULL);
        n += field.number == number ? same : 0;
    }
    *ret_n = n;
    return TERN_OK;
}

enum tern_code tern_onnx_tensor_numbers(struct tern_str message, uint32_t number,
                                        enum tern_pb_wire wire, struct tern_arena *arena,
                                        void **ret_numbers, size_t *ret_n, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;
    size_t n = 0, n_bytes;

    TERN_TRY(count_numbers(message, number, wire, &n, err));
    if (tern_num_mul(n, width_of(wire), &n_bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "field %u holds too many numbers", number);
    char *numbers = tern_arena_alloc(arena, 64, n_bytes);
    if (numbers == NULL)
        return tern_arena_fail(arena, err, "a list of numbers");
    char *at = numbers;
    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == number && !put(&field, wire, &at))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "field %u has a damaged number", number);
        /* As many as were counted: this is the same walk. */
        size_t same = tern_pb_run(&pb, &field, field.number == number ? at : NULL);
        at += field.number == number ? same * width_of(wire) : 0;
    }
    *ret_numbers = numbers;
    *ret_n = n;
    return TERN_OK;
}

enum tern_code tern_onnx_tensor_texts(struct tern_str message, uint32_t number,
                                      struct tern_arena *arena, struct tern_str **ret_texts,
                                      size_t *ret_n, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;
    size_t n = 0;
    struct tern_str *texts = NULL;

    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        tern_pb_init(&pb, message);
        for (;;) {
            TERN_TRY(tern_pb_next(&pb, &field, &more, err));
            if (!more)
                break;
            if (field.number != number)
                continue;
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "a string", err));
            if (texts != NULL)
                texts[n] = field.bytes;
            n++;
        }
        if (pass == 0) {
            texts = tern_arena_zalloc(arena, n + 1, sizeof(*texts));
            if (texts == NULL)
                return tern_arena_fail(arena, err, "a list of strings");
        }
    }
    *ret_texts = texts;
    *ret_n = n;
    return TERN_OK;
}

/* ---- tensors ---- */

/* What a tensor says before its elements are read. */
struct head {
    struct tern_str name;
    struct tern_str raw; /* p == NULL: the elements are numbers of the message */
    uint64_t data_type;
    bool is_elsewhere;
    bool is_segment;
};

static enum tern_code read_head(struct tern_str message, struct head *ret, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    struct head head = {0};
    bool more;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        if (field.number == NAME)
            TERN_TRY(tern_pb_text(&field, "a tensor's name", &head.name, err));
        else if (field.number == RAW_DATA) {
            TERN_TRY(tern_pb_want(&field, TERN_PB_BYTES, "raw_data", err));
            head.raw = field.bytes;
        } else if (field.number == DATA_TYPE)
            head.data_type = field.value;
        else if (field.number == SEGMENT)
            head.is_segment = true;
        else if (field.number == EXTERNAL_DATA || (field.number == DATA_LOCATION && field.value))
            head.is_elsewhere = true;
    }
    *ret = head;
    return TERN_OK;
}

static enum tern_code read_shape(struct tern_str message, struct tern_arena *arena,
                                 struct tern_shape *ret, struct tern_err *err)
{
    void *dims;
    size_t n;

    TERN_TRY(tern_onnx_tensor_numbers(message, DIMS, TERN_PB_VARINT, arena, &dims, &n, err));
    if (n > TERN_RANK_MAX)
        return tern_fail(err, TERN_UNIMPLEMENTED, "it has %zu dimensions, at most %d are read", n,
                         TERN_RANK_MAX);
    ret->rank = (int)n;
    memcpy(ret->dim, dims, n * sizeof(ret->dim[0]));
    return TERN_OK;
}

/* Where the elements of a datatype stand when they are not raw. */
static uint32_t field_of(enum tern_dtype dtype, enum tern_pb_wire *ret_wire)
{
    *ret_wire = TERN_PB_VARINT;
    if (dtype == TERN_DTYPE_FP32) {
        *ret_wire = TERN_PB_FIXED32;
        return FLOAT_DATA;
    }
    if (dtype == TERN_DTYPE_FP64) {
        *ret_wire = TERN_PB_FIXED64;
        return DOUBLE_DATA;
    }
    if (dtype == TERN_DTYPE_INT64)
        return INT64_DATA;
    return dtype == TERN_DTYPE_UINT64 || dtype == TERN_DTYPE_UINT32 ? UINT64_DATA : INT32_DATA;
}

static enum tern_code fail_count(size_t expected, size_t found, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "its shape has %zu elements, its data %zu",
                     expected, found);
}

/* Elements as numbers of the message: integers of all sizes come as varints. */
static enum tern_code read_numbers(struct tern_str message, struct tern_arena *arena, size_t count,
                                   struct tern_tensor *tensor, struct tern_err *err)
{
    size_t size = tern_dtype_size(tensor->dtype), n;
    enum tern_pb_wire wire;
    uint32_t field = field_of(tensor->dtype, &wire);
    void *numbers;

    TERN_TRY(tern_onnx_tensor_numbers(message, field, wire, arena, &numbers, &n, err));
    if (n != count)
        return fail_count(count, n, err);
    for (size_t i = 0; i < n && size < width_of(wire); i++) /* the low bytes come first */
        memmove((char *)numbers + i * size, (char *)numbers + i * width_of(wire), size);
    tensor->data = numbers;
    tensor->n_bytes = n * size;
    return TERN_OK;
}

static enum tern_code read_raw(struct tern_str raw, struct tern_arena *arena, size_t count,
                               struct tern_tensor *tensor, struct tern_err *err)
{
    size_t size = tern_dtype_size(tensor->dtype);

    if (raw.n % size != 0 || raw.n / size != count)
        return fail_count(count, raw.n / size, err);
    tensor->data = tern_arena_alloc(arena, 64, raw.n);
    if (tensor->data == NULL)
        return tern_arena_fail(arena, err, "a tensor");
    memcpy(tensor->data, raw.p, raw.n);
    tensor->n_bytes = raw.n;
    return TERN_OK;
}

static enum tern_code read_texts(struct tern_str message, struct tern_arena *arena, size_t count,
                                 struct tern_tensor *tensor, struct tern_err *err)
{
    struct tern_str *texts;
    size_t n, n_bytes = 0;

    TERN_TRY(tern_onnx_tensor_texts(message, STRING_DATA, arena, &texts, &n, err));
    if (n != count)
        return fail_count(count, n, err);
    for (size_t i = 0; i < n; i++)
        n_bytes += 4 + texts[i].n; /* of the message: no overflow */
    char *at = tern_arena_alloc(arena, 64, n_bytes);
    if (at == NULL)
        return tern_arena_fail(arena, err, "a tensor");
    tensor->data = at;
    tensor->n_bytes = n_bytes;
    for (size_t i = 0; i < n; i++) {
        uint32_t length = (uint32_t)texts[i].n;
        memcpy(at, &length, 4);
        if (length > 0)
            memcpy(at + 4, texts[i].p, length);
        at += 4 + texts[i].n;
    }
    return TERN_OK;
}

static enum tern_code read_body(struct tern_str message, const struct head *head,
                                struct tern_arena *arena, struct tern_tensor *tensor,
                                struct tern_err *err)
{
    size_t count;

    if (head->is_elsewhere)
        return tern_fail(err, TERN_UNIMPLEMENTED, "its data is in another file");
    if (head->is_segment)
        return tern_fail(err, TERN_UNIMPLEMENTED, "it comes in segments");
    if (tensor->dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_UNIMPLEMENTED, "datatype %llu is not read",
                         (unsigned long long)head->data_type);
    TERN_TRY(read_shape(message, arena, &tensor->shape, err));
    if (!tern_shape_count(&tensor->shape, &count))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "it has a bad shape");
    if (tensor->dtype == TERN_DTYPE_BYTES)
        return read_texts(message, arena, count, tensor, err);
    if (head->raw.p != NULL && head->raw.n > 0)
        return read_raw(head->raw, arena, count, tensor, err);
    return read_numbers(message, arena, count, tensor, err);
}

enum tern_code tern_onnx_tensor_read(struct tern_str message, struct tern_arena *arena,
                                     struct tern_tensor *ret_tensor, struct tern_err *err)
{
    struct head head;
    struct tern_tensor tensor = {0};

    TERN_TRY(read_head(message, &head, err));
    tensor.name = head.name;
    tensor.dtype = tern_onnx_tensor_dtype(head.data_type);
    enum tern_code code = read_body(message, &head, arena, &tensor, err);
    if (code != TERN_OK) {
        tern_err_prefix(err, "tensor '%.*s'", TERN_STR_ARG(head.name));
        return code;
    }
    *ret_tensor = tensor;
    return TERN_OK;
}
