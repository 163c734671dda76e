#include "cli/bench_tensor.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/num.h"
#include "simd/half.h"

#define NEST_MAX 64 /* of data arrays */

void tern_bench_tensors_fini(struct tern_bench_tensors *tensors)
{
    for (size_t i = 0; i < tensors->n; i++)
        json_decref(tensors->items[i].data);
    tensors->n = 0;
}

static bool is_real(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

/* Reading. */

static enum tern_code read_shape(const json_t *dims, struct tern_shape *ret, struct tern_err *err)
{
    struct tern_shape shape = {.rank = (int)json_array_size(dims)};

    if (!json_is_array(dims) || json_array_size(dims) > TERN_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a shape of at most %d numbers",
                         TERN_RANK_MAX);
    for (int i = 0; i < shape.rank; i++) {
        const json_t *dim = json_array_get(dims, (size_t)i);
        if (!json_is_integer(dim))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "a shape has a dimension that is no "
                             "integer");
        shape.dim[i] = json_integer_value(dim);
    }
    *ret = shape;
    return TERN_OK;
}

/* Nested arrays into one; a stack instead of recursion. */
static enum tern_code flatten(json_t *nested, json_t *flat, struct tern_err *err)
{
    json_t *array[NEST_MAX];
    size_t at[NEST_MAX];
    int depth = 1;

    array[0] = nested;
    at[0] = 0;
    while (depth > 0) {
        json_t *item = json_array_get(array[depth - 1], at[depth - 1]++);
        if (item == NULL) {
            depth--;
        } else if (!json_is_array(item)) {
            json_array_append(flat, item);
        } else {
            if (depth == NEST_MAX)
                return tern_fail(err, TERN_INVALID_ARGUMENT, "data is nested too deeply");
            array[depth] = item;
            at[depth++] = 0;
        }
    }
    return TERN_OK;
}

static uint64_t little_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = n; i > 0; i--)
        v = v << 8 | p[i - 1];
    return v;
}

static json_t *element_of(enum tern_dtype dtype, uint64_t bits)
{
    uint32_t low = (uint32_t)bits;
    float f32;
    double f64;

    switch (dtype) {
    case TERN_DTYPE_BOOL:
        return json_boolean(bits != 0);
    case TERN_DTYPE_INT8:
        return json_integer((int8_t)bits);
    case TERN_DTYPE_INT16:
        return json_integer((int16_t)bits);
    case TERN_DTYPE_INT32:
        return json_integer((int32_t)bits);
    case TERN_DTYPE_FP16:
        return json_real((double)tern_half_to_f32((uint16_t)bits));
    case TERN_DTYPE_BF16:
        return json_real((double)tern_half_bf16_to_f32((uint16_t)bits));
    case TERN_DTYPE_FP32:
        memcpy(&f32, &low, sizeof(f32));
        return json_real((double)f32);
    case TERN_DTYPE_FP64:
        memcpy(&f64, &bits, sizeof(f64));
        return json_real(f64);
    case TERN_DTYPE_UINT8:
    case TERN_DTYPE_UINT16:
    case TERN_DTYPE_UINT32:
    case TERN_DTYPE_UINT64:
    case TERN_DTYPE_INT64:
        return json_integer((json_int_t)bits);
    case TERN_DTYPE_BYTES:
    case TERN_DTYPE_INVALID:
        break;
    }
    return NULL;
}

/* jansson has no NaN and no infinity, and its strings are UTF-8: such elements become the text of
 * their bits, which compares like any other. */
static json_t *element_or_bits(enum tern_dtype dtype, uint64_t bits)
{
    char text[32];
    json_t *element = element_of(dtype, bits);

    if (element != NULL)
        return element;
    (void)snprintf(text, sizeof(text), "bits:%llx", (unsigned long long)bits);
    return json_string(text);
}

static void read_raw(struct tern_bench_tensor *tensor, struct tern_str raw)
{
    size_t size = tern_dtype_size(tensor->dtype);
    const unsigned char *p = (const unsigned char *)raw.p;
    size_t n = raw.n;

    while (size > 0 && n >= size) {
        json_array_append_new(tensor->data, element_or_bits(tensor->dtype, little_endian(p, size)));
        p += size;
        n -= size;
    }
    while (size == 0 && n >= 4) {
        size_t length = (size_t)little_endian(p, 4);
        if (length > n - 4)
            break;
        json_t *text = json_stringn((const char *)p + 4, length);
        json_array_append_new(tensor->data, text != NULL ? text : json_string("(not UTF-8)"));
        p += 4 + length;
        n -= 4 + length;
    }
}

static enum tern_code read_data(const json_t *object, struct tern_bench_tensor *tensor,
                                struct tern_str *raw, struct tern_err *err)
{
    json_t *data = json_object_get(object, "data");
    const json_t *size = json_object_get(json_object_get(object, "parameters"), "binary_data_size");

    tensor->data = json_array();
    if (json_is_array(data)) {
        TERN_TRY(flatten(data, tensor->data, err));
    } else if (json_is_integer(size) && json_integer_value(size) >= 0 &&
               (uint64_t)json_integer_value(size) <= raw->n) {
        read_raw(tensor, tern_str_make(raw->p, (size_t)json_integer_value(size)));
        *raw = tern_str_from(*raw, (size_t)json_integer_value(size));
    } else {
        return tern_fail(err, TERN_INVALID_ARGUMENT, "tensor '%s' has no data", tensor->name);
    }
    size_t count = 0;
    if (!tern_shape_count(&tensor->shape, &count) || count != json_array_size(tensor->data))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tensor '%s' has %zu elements, its shape says %zu", tensor->name,
                         json_array_size(tensor->data), count);
    return TERN_OK;
}

static enum tern_code read_tensor(const json_t *object, struct tern_bench_tensor *tensor,
                                  struct tern_str *raw, struct tern_err *err)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    const char *dtype = json_string_value(json_object_get(object, "datatype"));

    if (name == NULL || dtype == NULL ||
        !tern_str_copy_z(tern_str_of(name), tensor->name, sizeof(tensor->name)))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a tensor has no name or no datatype");
    tensor->dtype = tern_dtype_from_name(tern_str_of(dtype));
    if (tensor->dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "tensor '%s' has the unknown datatype '%s'",
                         name, dtype);
    TERN_TRY(read_shape(json_object_get(object, "shape"), &tensor->shape, err));
    return read_data(object, tensor, raw, err);
}

enum tern_code tern_bench_tensors_read(const json_t *array, struct tern_str raw,
                                       struct tern_bench_tensors *ret, struct tern_err *err)
{
    ret->n = 0;
    if (!json_is_array(array) || json_array_size(array) == 0 ||
        json_array_size(array) > TERN_BENCH_TENSORS_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected a list of 1 to %d tensors",
                         TERN_BENCH_TENSORS_MAX);
    for (size_t i = 0; i < json_array_size(array); i++) {
        ret->items[i].data = NULL;
        ret->n = i + 1;
        enum tern_code code = read_tensor(json_array_get(array, i), &ret->items[i], &raw, err);
        if (code != TERN_OK) {
            tern_bench_tensors_fini(ret);
            return code;
        }
    }
    return TERN_OK;
}

enum tern_code tern_bench_tensors_read_answer(struct tern_str body, size_t json_n,
                                              struct tern_bench_tensors *ret, struct tern_err *err)
{
    json_error_t where;
    struct tern_str raw = {NULL, 0};

    if (json_n > 0 && json_n <= body.n) {
        raw = tern_str_from(body, json_n);
        body.n = json_n;
    }
    json_t *root = json_loadb(body.n == 0 ? "" : body.p, body.n, JSON_ALLOW_NUL, &where);
    if (root == NULL)
        return tern_fail(err, TERN_DATA_LOSS, "the answer is not JSON: %s", where.text);
    enum tern_code code = tern_bench_tensors_read(json_object_get(root, "outputs"), raw, ret, err);
    json_decref(root);
    if (code != TERN_OK)
        tern_err_prefix(err, "the answer's outputs");
    return code;
}

/* Rows. */

enum tern_code tern_bench_tensors_slice(const struct tern_bench_tensors *from, size_t first,
                                        size_t n, struct tern_bench_tensors *ret,
                                        struct tern_err *err)
{
    ret->n = 0;
    for (size_t i = 0; i < from->n; i++) {
        const struct tern_bench_tensor *whole = &from->items[i];
        struct tern_bench_tensor *part = &ret->items[i];
        size_t rows = whole->shape.rank > 0 ? (size_t)whole->shape.dim[0] : 0;
        if (rows == 0 || first + n > rows) {
            tern_bench_tensors_fini(ret);
            return tern_fail(err, TERN_INVALID_ARGUMENT, "tensor '%s' has %zu rows, expected %zu",
                             whole->name, rows, first + n);
        }
        *part = *whole;
        part->shape.dim[0] = (int64_t)n;
        part->data = json_array();
        ret->n = i + 1;
        size_t width = json_array_size(whole->data) / rows;
        for (size_t e = first * width; e < (first + n) * width; e++)
            json_array_append(part->data, json_array_get(whole->data, e));
    }
    return TERN_OK;
}

/* Writing. */

static void add_little_endian(struct tern_buf *buf, uint64_t v, size_t n)
{
    for (size_t i = 0; i < n; i++, v >>= 8)
        tern_buf_add_char(buf, (char)(v & 0xff));
}

static uint64_t bits_of(const json_t *element, enum tern_dtype dtype)
{
    double real = json_number_value(element);
    uint64_t bits = 0;
    float f32 = (float)real;

    switch (dtype) {
    case TERN_DTYPE_FP16:
        return tern_half_from_f64(real);
    case TERN_DTYPE_BF16:
        return tern_half_bf16_from_f64(real);
    case TERN_DTYPE_FP32:
        memcpy(&bits, &f32, sizeof(f32)); /* little-endian, as all we run on */
        return bits;
    case TERN_DTYPE_FP64:
        memcpy(&bits, &real, sizeof(real));
        return bits;
    case TERN_DTYPE_BOOL:
        return json_is_true(element) || json_integer_value(element) != 0;
    case TERN_DTYPE_INT8:
    case TERN_DTYPE_INT16:
    case TERN_DTYPE_INT32:
    case TERN_DTYPE_INT64:
    case TERN_DTYPE_UINT8:
    case TERN_DTYPE_UINT16:
    case TERN_DTYPE_UINT32:
    case TERN_DTYPE_UINT64:
    case TERN_DTYPE_BYTES:
    case TERN_DTYPE_INVALID:
        break;
    }
    return json_is_real(element) ? (uint64_t)(int64_t)real : (uint64_t)json_integer_value(element);
}

static void add_raw(const struct tern_bench_tensor *tensor, struct tern_buf *buf)
{
    size_t size = tern_dtype_size(tensor->dtype);

    for (size_t i = 0; i < json_array_size(tensor->data); i++) {
        const json_t *element = json_array_get(tensor->data, i);
        if (size > 0) {
            add_little_endian(buf, bits_of(element, tensor->dtype), size);
        } else {
            add_little_endian(buf, json_string_length(element), 4);
            tern_buf_add(buf, json_string_value(element), json_string_length(element));
        }
    }
}

static int add_bytes(const char *p, size_t n, void *buf)
{
    tern_buf_add(buf, p, n);
    return 0;
}

/* 9 digits carry a float32 there and back, 17 a float64. */
static void add_json(const json_t *value, enum tern_dtype dtype, struct tern_buf *buf)
{
    size_t digits = dtype == TERN_DTYPE_FP64 ? 17 : 9;

    (void)json_dump_callback(value, add_bytes, buf,
                             JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(digits));
}

static void add_tensor(const struct tern_bench_tensor *tensor, size_t raw_n, struct tern_buf *buf)
{
    json_t *name = json_string(tensor->name);

    TERN_BUF_ADD_LITERAL(buf, "{\"name\":");
    add_json(name, TERN_DTYPE_BYTES, buf);
    tern_buf_printf(buf, ",\"datatype\":\"%s\",\"shape\":[", tern_dtype_name(tensor->dtype));
    for (int i = 0; i < tensor->shape.rank; i++)
        tern_buf_printf(buf, "%s%lld", i > 0 ? "," : "", (long long)tensor->shape.dim[i]);
    if (raw_n != SIZE_MAX) {
        tern_buf_printf(buf, "],\"parameters\":{\"binary_data_size\":%zu}}", raw_n);
    } else {
        TERN_BUF_ADD_LITERAL(buf, "],\"data\":");
        add_json(tensor->data, tensor->dtype, buf);
        tern_buf_add_char(buf, '}');
    }
    json_decref(name);
}

size_t tern_bench_tensors_write_request(const struct tern_bench_tensors *inputs, bool binary,
                                        struct tern_buf *buf)
{
    struct tern_buf raw;
    size_t start = buf->n;

    tern_buf_init(&raw, buf->max);
    TERN_BUF_ADD_LITERAL(buf, "{\"inputs\":[");
    for (size_t i = 0; i < inputs->n; i++) {
        size_t before = raw.n;
        if (i > 0)
            tern_buf_add_char(buf, ',');
        if (binary)
            add_raw(&inputs->items[i], &raw);
        add_tensor(&inputs->items[i], binary ? raw.n - before : SIZE_MAX, buf);
    }
    tern_buf_add_str(buf, binary ? TERN_STR("],\"parameters\":{\"binary_data_output\":true}}")
                                 : TERN_STR("]}"));
    size_t json_n = buf->n - start;
    tern_buf_add_str(buf, tern_buf_str(&raw));
    buf->failed = buf->failed || raw.failed;
    tern_buf_fini(&raw);
    return json_n;
}

/* Comparing. */

static bool elements_match(const json_t *want, const json_t *got, enum tern_dtype dtype,
                           double tolerance)
{
    if (!is_real(dtype) || !json_is_number(want) || !json_is_number(got))
        return json_equal(want, got);
    double a = json_number_value(want);
    double b = json_number_value(got);
    return fabs(a - b) <= tolerance * fmax(1.0, fabs(a));
}

static void print_element(const json_t *element, char *dst, size_t cap)
{
    size_t n = json_dumpb(element, dst, cap - 1, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
    dst[n < cap ? n : cap - 1] = 0; /* n counts what did not fit, too */
}

static bool tensor_matches(const struct tern_bench_tensor *want,
                           const struct tern_bench_tensor *got, double tolerance, char *why,
                           size_t why_max)
{
    char shapes[2][128];

    if (want->dtype != got->dtype || !tern_shape_eq(&want->shape, &got->shape)) {
        (void)snprintf(why, why_max, "%s is %s %s, expected %s %s", want->name,
                       tern_dtype_name(got->dtype),
                       tern_shape_print(&got->shape, shapes[0], sizeof(shapes[0])),
                       tern_dtype_name(want->dtype),
                       tern_shape_print(&want->shape, shapes[1], sizeof(shapes[1])));
        return false;
    }
    for (size_t i = 0; i < json_array_size(want->data); i++) {
        const json_t *a = json_array_get(want->data, i);
        const json_t *b = json_array_get(got->data, i);
        if (elements_match(a, b, want->dtype, tolerance))
            continue;
        char texts[2][64] = {{0}};
        print_element(b, texts[0], sizeof(texts[0]));
        print_element(a, texts[1], sizeof(texts[1]));
        (void)snprintf(why, why_max, "%s[%zu] is %s, expected %s", want->name, i, texts[0],
                       texts[1]);
        return false;
    }
    return true;
}

bool tern_bench_tensors_match(const struct tern_bench_tensors *want,
                              const struct tern_bench_tensors *got, double tolerance, char *why,
                              size_t why_max)
{
    for (size_t i = 0; i < want->n; i++) {
        const struct tern_bench_tensor *found = NULL;
        for (size_t k = 0; k < got->n; k++) {
            if (strcmp(want->items[i].name, got->items[k].name) == 0)
                found = &got->items[k];
        }
        if (found == NULL) {
            (void)snprintf(why, why_max, "output %s is missing", want->items[i].name);
            return false;
        }
        if (!tensor_matches(&want->items[i], found, tolerance, why, why_max))
            return false;
    }
    return true;
}
