/* Arrays of numbers. In JSON the fast readers of simd/numbers.h are tried first; what they refuse
 * (NaN, or a mistake) is read again one by one, which answers or says what is wrong. */
#include <float.h>
#include <string.h>

#include "base/mem.h"
#include "base/num.h"
#include "simd/numbers.h"
#include "wire/document_int.h"

void tern_document_numbers_init(struct tern_document_numbers *numbers, enum tern_dtype dtype)
{
    *numbers = (struct tern_document_numbers){.dtype = dtype, .max = TERN_DOCUMENT_NUMBERS_MAX};
}

void tern_document_numbers_fini(struct tern_document_numbers *numbers)
{
    tern_mem_free(numbers->data);
    *numbers = (struct tern_document_numbers){.dtype = numbers->dtype, .max = numbers->max};
}

/* Room for n elements of so many bytes, at least twice what was there. */
static enum tern_code reserve(struct tern_document_numbers *numbers, size_t n, size_t size,
                              struct tern_err *err)
{
    size_t wanted;

    if (n > numbers->max)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED,
                         "an array of %zu numbers or more: at most %zu are read", n, numbers->max);
    if (tern_num_mul(n, size, &wanted) || tern_num_add(wanted, sizeof(double), &wanted))
        return tern_mem_fail(err, "an array of numbers", SIZE_MAX);
    if (wanted <= numbers->size)
        return TERN_OK;
    if (wanted < 2 * numbers->size)
        wanted = 2 * numbers->size;
    void *data = tern_mem_realloc(numbers->data, wanted);
    if (data == NULL)
        return tern_mem_fail(err, "an array of numbers", wanted);
    numbers->data = data;
    numbers->size = wanted;
    return TERN_OK;
}

/* -- one number ---------------------------------------------------------------------------- */

static bool store_integer(enum tern_dtype dtype, int64_t value, char *out)
{
    uint8_t byte = (uint8_t)value;
    int32_t word = (int32_t)value;

    if (dtype == TERN_DTYPE_INT64) {
        memcpy(out, &value, sizeof(value));
        return true;
    }
    if (dtype == TERN_DTYPE_INT32) {
        memcpy(out, &word, sizeof(word));
        return word == value;
    }
    memcpy(out, &byte, sizeof(byte));
    return value >= 0 && value <= (dtype == TERN_DTYPE_BOOL ? 1 : UINT8_MAX);
}

static bool is_integral(enum tern_dtype dtype)
{
    return dtype != TERN_DTYPE_FP32 && dtype != TERN_DTYPE_FP64;
}

/* False when it does not fit. */
static bool store(enum tern_dtype dtype, const struct tern_json_number *number, char *out)
{
    if (is_integral(dtype))
        return number->kind == TERN_JSON_INT64 && store_integer(dtype, number->int64, out);
    double value = number->kind == TERN_JSON_DOUBLE  ? number->real
                   : number->kind == TERN_JSON_INT64 ? (double)number->int64
                                                     : (double)number->uint64;
    float single = (float)value;
    if (dtype == TERN_DTYPE_FP64)
        memcpy(out, &value, sizeof(value));
    else
        memcpy(out, &single, sizeof(single));
    /* An infinity has to be one before the cast. */
    return dtype == TERN_DTYPE_FP64 ||
           (value >= -DBL_MAX && value <= DBL_MAX) == (single >= -FLT_MAX && single <= FLT_MAX) ||
           value != value;
}

static const char *expected(enum tern_dtype dtype)
{
    switch ((int)dtype) {
    case TERN_DTYPE_BOOL:
        return "true, false, 0 or 1";
    case TERN_DTYPE_UINT8:
        return "an integer from 0 to 255";
    case TERN_DTYPE_INT32:
        return "an integer of 32 bits";
    case TERN_DTYPE_INT64:
        return "an integer of 64 bits";
    case TERN_DTYPE_FP32:
        return "a number in the range of float";
    default:
        return "a number";
    }
}

static enum tern_code read_one(struct tern_document *doc, enum tern_dtype dtype, char *out,
                               struct tern_err *err)
{
    struct tern_json_number number = {.kind = TERN_JSON_INT64};
    const char *start = tern_document_mark(doc);
    float single;
    bool flag = false;
    size_t used;

    if (dtype == TERN_DTYPE_BOOL && tern_document_peek(doc) == TERN_JSON_BOOL) {
        TERN_TRY(tern_document_bool(doc, &flag, err));
        *out = flag;
        return TERN_OK;
    }
    TERN_TRY(tern_document_number(doc, &number, err));
    if (!store(dtype, &number, out)) {
        tern_document_rewind(doc, start);
        return tern_document_fail(doc, err, "expected %s", expected(dtype));
    }
    if (dtype == TERN_DTYPE_FP32 && !doc->is_binary && number.kind == TERN_JSON_DOUBLE &&
        tern_numbers_is_middle(number.real)) {
        struct tern_str text = tern_str_make(start, (size_t)(doc->json.p - start));
        TERN_TRY(tern_numbers_read_float(text, &single, &used, err));
        memcpy(out, &single, sizeof(single));
    }
    return TERN_OK;
}

static enum tern_code read_each(struct tern_document *doc, struct tern_document_numbers *numbers,
                                struct tern_err *err)
{
    size_t size = tern_dtype_size(numbers->dtype), n = 0;
    bool more = true;

    TERN_TRY(tern_document_array(doc, err));
    for (;; n++) {
        TERN_TRY(tern_document_item(doc, &more, err));
        if (!more)
            break;
        TERN_TRY(reserve(numbers, n + 1, size, err));
        TERN_TRY(read_one(doc, numbers->dtype, (char *)numbers->data + n * size, err));
    }
    numbers->n = n;
    return TERN_OK;
}

/* -- whole arrays: JSON -------------------------------------------------------------------- */

/* The text behind `count` more elements of a flat array. */
static struct tern_str pass_elements(struct tern_str text, size_t count)
{
    size_t i = 0;

    for (; count != 0; i++)
        count -= text.p[i] == ',';
    return tern_str_from(text, i);
}

static float read_single(struct tern_str text)
{
    float single = 0;
    size_t used;

    while (text.n != 0 && *text.p <= ' ')
        text = tern_str_from(text, 1);
    (void)tern_numbers_read_float(text, &single, &used, NULL);
    return single;
}

/* n doubles become floats in the same memory; `text` is what stands between their brackets. Where
 * the cast may be wrong the decimal is read again. */
static bool narrow(char *data, size_t n, struct tern_str text)
{
    size_t passed = 0;
    bool fits = true;

    for (size_t i = 0; i < n; i++) {
        double value;
        memcpy(&value, data + i * sizeof(value), sizeof(value));
        float single = (float)value;
        if (TERN_UNLIKELY(tern_numbers_is_middle(value))) {
            text = pass_elements(text, i - passed);
            passed = i;
            single = read_single(text);
        }
        fits &= single <= FLT_MAX && single >= -FLT_MAX;
        memcpy(data + i * sizeof(single), &single, sizeof(single));
    }
    return fits;
}

/* The readers take null for NaN, which is for whoever asks them for missing values. */
static bool is_plain(const double *values, size_t n)
{
    bool plain = true;

    for (size_t i = 0; i < n; i++)
        plain &= values[i] == values[i];
    return plain;
}

/* False, and nothing is read, when there is anything but plain numbers that fit. */
static bool read_plain(struct tern_json *json, struct tern_document_numbers *numbers)
{
    struct tern_str text = tern_str_make(json->p, (size_t)(json->end - json->p));
    bool is_single = numbers->dtype == TERN_DTYPE_FP32;
    enum tern_dtype dtype = is_single ? TERN_DTYPE_FP64 : numbers->dtype;
    size_t bound = tern_numbers_bound(text);
    struct tern_numbers_result result;

    if (bound > numbers->max || reserve(numbers, bound, tern_dtype_size(dtype), NULL) != TERN_OK)
        return false;
    if (tern_numbers_read(dtype, text, numbers->data, bound, &result, NULL) != TERN_OK ||
        result.nest.rank != 1)
        return false;
    if (numbers->dtype == TERN_DTYPE_FP64 && !is_plain(numbers->data, result.count))
        return false;
    if (is_single &&
        !narrow(numbers->data, result.count, tern_str_make(text.p + 1, result.used - 1)))
        return false;
    numbers->n = result.count;
    json->p += result.used;
    return true;
}

/* -- whole arrays: UBJSON ------------------------------------------------------------------ */

static void swap4(char *out, const char *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, in + 4 * i, 4);
        word = __builtin_bswap32(word);
        memcpy(out + 4 * i, &word, 4);
    }
}

static void swap8(char *out, const char *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t word;
        memcpy(&word, in + 8 * i, 8);
        word = __builtin_bswap64(word);
        memcpy(out + 8 * i, &word, 8);
    }
}

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "typed arrays of UBJSON are swapped"
#endif

/* Bytes that are all 0 or 1, to be read as such. */
static bool is_flags(enum tern_dtype dtype, const struct tern_ubjson_numbers *from)
{
    uint8_t any = 0;

    for (size_t i = 0; i < from->n; i++)
        any |= (uint8_t)from->bytes[i];
    return dtype == TERN_DTYPE_BOOL && any <= 1;
}

static enum tern_code convert(struct tern_document *doc, const struct tern_ubjson_numbers *from,
                              struct tern_document_numbers *numbers, struct tern_err *err)
{
    enum tern_dtype dtype = numbers->dtype;
    size_t size = tern_dtype_size(dtype), step = tern_ubjson_size(from->type);
    char *out = numbers->data;

    if ((from->type == 'd' && dtype == TERN_DTYPE_FP32) ||
        (from->type == 'l' && dtype == TERN_DTYPE_INT32)) {
        swap4(out, from->bytes, from->n);
    } else if ((from->type == 'D' && dtype == TERN_DTYPE_FP64) ||
               (from->type == 'L' && dtype == TERN_DTYPE_INT64)) {
        swap8(out, from->bytes, from->n);
    } else if (from->type == 'U' && (dtype == TERN_DTYPE_UINT8 || is_flags(dtype, from))) {
        memcpy(out, from->bytes, from->n);
    } else {
        for (size_t i = 0; i < from->n; i++) {
            struct tern_json_number number = tern_ubjson_read(from->type, from->bytes + i * step);
            if (!store(dtype, &number, out + i * size)) {
                tern_document_rewind(doc, from->bytes + i * step);
                return tern_document_fail(doc, err, "expected %s", expected(dtype));
            }
        }
    }
    numbers->n = from->n;
    return TERN_OK;
}

enum tern_code tern_document_numbers(struct tern_document *doc,
                                     struct tern_document_numbers *numbers, struct tern_err *err)
{
    struct tern_ubjson_numbers from;
    bool typed = false;

    numbers->n = 0;
    if (tern_document_peek(doc) != TERN_JSON_ARRAY)
        return tern_document_fail(doc, err, "expected an array of numbers");
    if (!doc->is_binary)
        return read_plain(&doc->json, numbers) ? TERN_OK : read_each(doc, numbers, err);
    TERN_TRY(tern_ubjson_typed(&doc->ubjson, &typed, &from, err));
    if (!typed)
        return read_each(doc, numbers, err);
    TERN_TRY(reserve(numbers, from.n, tern_dtype_size(numbers->dtype), err));
    return convert(doc, &from, numbers, err);
}
