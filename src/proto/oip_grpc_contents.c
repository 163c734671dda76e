/* InferTensorContents, both ways: bool_contents = 1, int_contents = 2 (INT8 to INT32),
 * int64_contents = 3, uint_contents = 4 (UINT8 to UINT32), uint64_contents = 5, fp32_contents = 6,
 * fp64_contents = 7, bytes_contents = 8. FP16 and BF16 have no field: they travel raw.
 *
 * Lists of numbers are packed in one field by every implementation; one number a field, and several
 * packed fields, are as valid and are read too. One packed list of FP32 or FP64 is already a tensor
 * and stays where it lies. */
#include "proto/oip_grpc_int.h"

#include <inttypes.h>
#include "base/num.h"

#define DATA_ALIGN 64 /* what vectorised engines like best */

/* How a datatype travels. */
struct form {
    uint32_t number;        /* of the field; 0: none */
    enum tern_pb_wire wire; /* of one element */
    int64_t min;            /* of a signed element that is narrower than its varint */
    uint64_t max;           /* of any that is narrower */
};

static const struct form forms[TERN_DTYPE_COUNT] = {
    [TERN_DTYPE_BOOL] = {1, TERN_PB_VARINT, 0, UINT64_MAX},
    [TERN_DTYPE_INT8] = {2, TERN_PB_VARINT, INT8_MIN, INT8_MAX},
    [TERN_DTYPE_INT16] = {2, TERN_PB_VARINT, INT16_MIN, INT16_MAX},
    [TERN_DTYPE_INT32] = {2, TERN_PB_VARINT, INT32_MIN, INT32_MAX},
    [TERN_DTYPE_INT64] = {3, TERN_PB_VARINT, INT64_MIN, INT64_MAX},
    [TERN_DTYPE_UINT8] = {4, TERN_PB_VARINT, 0, UINT8_MAX},
    [TERN_DTYPE_UINT16] = {4, TERN_PB_VARINT, 0, UINT16_MAX},
    [TERN_DTYPE_UINT32] = {4, TERN_PB_VARINT, 0, UINT32_MAX},
    [TERN_DTYPE_UINT64] = {5, TERN_PB_VARINT, 0, UINT64_MAX},
    [TERN_DTYPE_FP32] = {6, TERN_PB_FIXED32, 0, 0},
    [TERN_DTYPE_FP64] = {7, TERN_PB_FIXED64, 0, 0},
    [TERN_DTYPE_BYTES] = {8, TERN_PB_BYTES, 0, 0},
};

static const char *field_name(uint32_t number)
{
    static const char *const names[] = {"none",           "bool_contents", "int_contents",
                                        "int64_contents", "uint_contents", "uint64_contents",
                                        "fp32_contents",  "fp64_contents", "bytes_contents"};
    return number < TERN_COUNT_OF(names) ? names[number] : "another field";
}

/* ---- reading ---- */

/* The elements of one tensor, as far as a first walk over its contents knows them. */
struct found {
    size_t count;
    size_t fields;          /* in which they stand */
    struct tern_str packed; /* of the last one */
    size_t bytes;           /* of all strings, without their lengths */
};

static TERN_COLD enum tern_code fail_field(const struct tern_tensor *tensor,
                                           const struct tern_pb_field *field, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "input '%.*s' has datatype %s, whose contents go into %s, got %s",
                     TERN_STR_ARG(tensor->name), tern_dtype_name(tensor->dtype),
                     field_name(forms[tensor->dtype].number), field_name(field->number));
}

static TERN_COLD enum tern_code fail_damaged(const struct tern_tensor *tensor, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "malformed message: the contents of input '%.*s' are cut off",
                     TERN_STR_ARG(tensor->name));
}

static enum tern_code count_field(const struct tern_tensor *tensor,
                                  const struct tern_pb_field *field, struct found *found,
                                  struct tern_err *err)
{
    const struct form *form = &forms[tensor->dtype];

    if (field->number != form->number)
        return field->number > 8 || field->number == 0 ? TERN_OK : fail_field(tensor, field, err);
    found->fields++;
    found->packed = field->bytes;
    if (form->wire == TERN_PB_BYTES || field->wire != TERN_PB_BYTES) {
        TERN_TRY(tern_pb_want(field, form->wire, field_name(field->number), err));
        found->count++;
        found->bytes += field->bytes.n;
        return TERN_OK;
    }
    if (form->wire == TERN_PB_VARINT) {
        found->count += tern_pb_packed_count(field->bytes);
        return TERN_OK;
    }
    size_t size = form->wire == TERN_PB_FIXED32 ? 4 : 8;
    found->count += field->bytes.n / size;
    return field->bytes.n % size == 0 ? TERN_OK : fail_damaged(tensor, err);
}

static enum tern_code count_contents(struct tern_str contents, const struct tern_tensor *tensor,
                                     struct found *found, struct tern_err *err)
{
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    tern_pb_init(&pb, contents);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        TERN_TRY(count_field(tensor, &field, found, err));
    }
}

/* One number into its place. Protocol buffers send a negative int32 as ten bytes or as five: both
 * have the same lower half. */
static enum tern_code store(const struct tern_tensor *tensor, uint64_t value, char *dst,
                            struct tern_err *err)
{
    const struct form *form = &forms[tensor->dtype];
    size_t size = tern_dtype_size(tensor->dtype);
    int64_t number = (int64_t)value;

    if (tensor->dtype == TERN_DTYPE_BOOL)
        value = value != 0;
    else if (form->number == 2)
        number = (int32_t)(uint32_t)value;
    else if (form->number == 4)
        value = (uint32_t)value;
    bool fits = form->number == 2 ? number >= form->min && number <= (int64_t)form->max
                                  : form->number != 4 || value <= form->max;
    if (TERN_UNLIKELY(!fits))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' has the value %" PRId64 ", which %s cannot hold",
                         TERN_STR_ARG(tensor->name), form->number == 2 ? number : (int64_t)value,
                         tern_dtype_name(tensor->dtype));
    memcpy(dst, &value, size); /* the lower bytes: every machine we build for is little-endian */
    return TERN_OK;
}

static enum tern_code store_packed(const struct tern_tensor *tensor, struct tern_str list,
                                   char **at, struct tern_err *err)
{
    size_t size = tern_dtype_size(tensor->dtype), i = 0;
    uint64_t value;

    while (tern_pb_packed_varint(list, &i, &value)) {
        TERN_TRY(store(tensor, value, *at, err));
        *at += size;
    }
    return i > list.n ? fail_damaged(tensor, err) : TERN_OK;
}

static enum tern_code store_field(const struct tern_tensor *tensor,
                                  const struct tern_pb_field *field, char **at,
                                  struct tern_err *err)
{
    const struct form *form = &forms[tensor->dtype];
    size_t size = tern_dtype_size(tensor->dtype);

    if (field->number != form->number)
        return TERN_OK;
    if (form->wire == TERN_PB_BYTES) {
        uint32_t length = (uint32_t)field->bytes.n;
        memcpy(*at, &length, 4);
        if (length > 0)
            memcpy(*at + 4, field->bytes.p, length);
        *at += 4 + (size_t)length;
    } else if (field->wire != TERN_PB_BYTES) {
        TERN_TRY(store(tensor, field->value, *at, err));
        *at += size;
    } else if (form->wire == TERN_PB_VARINT) {
        return store_packed(tensor, field->bytes, at, err);
    } else if (field->bytes.n > 0) {
        memcpy(*at, field->bytes.p, field->bytes.n);
        *at += field->bytes.n;
    }
    return TERN_OK;
}

static enum tern_code store_contents(struct tern_arena *arena, struct tern_str contents,
                                     struct tern_tensor *tensor, size_t n_bytes,
                                     struct tern_err *err)
{
    char *data = tern_arena_alloc(arena, DATA_ALIGN, n_bytes), *at = data;
    struct tern_pb_field field;
    struct tern_pb pb;
    bool more;

    if (data == NULL)
        return tern_arena_fail(arena, err, "the data of an input");
    tern_pb_init(&pb, contents);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            break;
        TERN_TRY(store_field(tensor, &field, &at, err));
    }
    tensor->data = data;
    tensor->n_bytes = n_bytes;
    return TERN_OK;
}

enum tern_code tern_oip_grpc_read_contents(struct tern_arena *arena, struct tern_str contents,
                                           struct tern_tensor *tensor, struct tern_err *err)
{
    const struct form *form = &forms[tensor->dtype];
    struct found found = {0};
    size_t count = 0;

    if (form->number == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "input '%.*s' has datatype %s, which only raw_input_contents can carry",
                         TERN_STR_ARG(tensor->name), tern_dtype_name(tensor->dtype));
    TERN_TRY(tern_oip_count_elements(tensor, &count, err));
    TERN_TRY(count_contents(contents, tensor, &found, err));
    if (found.count != count)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unexpected number of elements %zu in the %s of input '%.*s', expecting "
                         "%zu",
                         found.count, field_name(form->number), TERN_STR_ARG(tensor->name), count);
    bool fixed = form->wire == TERN_PB_FIXED32 || form->wire == TERN_PB_FIXED64;
    if (fixed && found.fields == 1 && found.packed.n > 0) {
        tensor->data = (void *)(uintptr_t)found.packed.p; /* read only, as raw tensors are */
        tensor->n_bytes = found.packed.n;
        return TERN_OK;
    }
    /* No more elements than bytes of message, so the product is far from its limits. */
    size_t n_bytes = form->wire == TERN_PB_BYTES ? found.bytes + 4 * count
                                                 : count * tern_dtype_size(tensor->dtype);
    return store_contents(arena, contents, tensor, n_bytes, err);
}

/* ---- writing ---- */

bool tern_oip_grpc_has_contents(enum tern_dtype dtype)
{
    return forms[dtype].number != 0;
}

static int64_t load_signed(const char *p, size_t size)
{
    int8_t a;
    int16_t b;
    int32_t c;
    int64_t d;

    switch (size) {
    case 1:
        memcpy(&a, p, 1);
        return a;
    case 2:
        memcpy(&b, p, 2);
        return b;
    case 4:
        memcpy(&c, p, 4);
        return c;
    default:
        memcpy(&d, p, 8);
        return d;
    }
}

static void write_varints(struct tern_buf *out, const struct tern_tensor *tensor)
{
    const struct form *form = &forms[tensor->dtype];
    size_t size = tern_dtype_size(tensor->dtype);
    size_t list = tern_pb_open(out, form->number);

    for (size_t at = 0; at < tensor->n_bytes; at += size) {
        uint64_t value = 0;
        const char *p = (const char *)tensor->data + at;
        if (form->min < 0)
            value = (uint64_t)load_signed(p, size);
        else
            memcpy(&value, p, size);
        tern_pb_put_varint(out, value);
    }
    tern_pb_close(out, list);
}

enum tern_code tern_oip_grpc_write_contents(struct tern_buf *out, uint32_t number,
                                            const struct tern_tensor *tensor, struct tern_err *err)
{
    const struct form *form = &forms[tensor->dtype];
    struct tern_str element;
    size_t contents = tern_pb_open(out, number);

    if (form->wire == TERN_PB_VARINT) {
        write_varints(out, tensor);
    } else if (form->wire == TERN_PB_BYTES) {
        for (size_t at = 0; at < tensor->n_bytes;) {
            if (!tern_tensor_next_bytes(tensor, &at, &element))
                return tern_fail(err, TERN_INTERNAL,
                                 "output '%.*s': a string element is longer than the data",
                                 TERN_STR_ARG(tensor->name));
            tern_pb_add_bytes(out, form->number, element);
        }
    } else {
        tern_pb_add_bytes(out, form->number, tern_str_make(tensor->data, tensor->n_bytes));
    }
    tern_pb_close(out, contents);
    return TERN_OK;
}
