#include "gateway/classify.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include "base/num.h"
#include "simd/half.h"

#define LENGTH_SIZE 4u /* before each string */
#define INDEX_MAX   20u

/* One value, as a number that orders like it, and its place in the row. */
struct pick {
    uint64_t key;
    size_t index;
};

enum tern_code tern_classify_check(enum tern_dtype dtype, struct tern_err *err)
{
    if (dtype != TERN_DTYPE_BYTES && dtype != TERN_DTYPE_BOOL && dtype != TERN_DTYPE_INVALID)
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "class result not available for output due to unsupported type '%s'",
                     tern_dtype_name(dtype));
}

/* ---- values ---- */

static bool is_float(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP16 || dtype == TERN_DTYPE_BF16 || dtype == TERN_DTYPE_FP32 ||
           dtype == TERN_DTYPE_FP64;
}

static bool is_signed(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_INT8 || dtype == TERN_DTYPE_INT16 || dtype == TERN_DTYPE_INT32 ||
           dtype == TERN_DTYPE_INT64;
}

/* The element's bytes as an unsigned number; tensors need not be aligned. */
static uint64_t load(const struct tern_tensor *tensor, size_t at)
{
    size_t size = tern_dtype_size(tensor->dtype);
    uint64_t bits = 0; /* little-endian, as every machine we build for */

    memcpy(&bits, (const char *)tensor->data + at * size, size);
    return bits;
}

static double float_of(enum tern_dtype dtype, uint64_t bits)
{
    uint32_t word = (uint32_t)bits;
    double wide;
    float narrow;

    if (dtype == TERN_DTYPE_FP16)
        return (double)tern_half_to_f32((uint16_t)bits);
    if (dtype == TERN_DTYPE_BF16)
        return (double)tern_half_bf16_to_f32((uint16_t)bits);
    if (dtype == TERN_DTYPE_FP32) {
        memcpy(&narrow, &word, sizeof(narrow));
        return (double)narrow;
    }
    memcpy(&wide, &bits, sizeof(wide));
    return wide;
}

static int64_t int_of(enum tern_dtype dtype, uint64_t bits)
{
    unsigned unused = 64 - 8 * (unsigned)tern_dtype_size(dtype);
    return (int64_t)(bits << unused) >> unused;
}

static uint64_t key_of_float(double value)
{
    uint64_t bits;

    if (isnan(value))
        return 0;
    value += 0.0; /* -0 equals +0 */
    memcpy(&bits, &value, sizeof(bits));
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static uint64_t key_of(enum tern_dtype dtype, uint64_t bits)
{
    if (is_float(dtype))
        return key_of_float(float_of(dtype, bits));
    return is_signed(dtype) ? (uint64_t)int_of(dtype, bits) ^ UINT64_C(1) << 63 : bits;
}

/* As std::to_string prints it, without its zero; dst has room for value_max. */
static size_t print_value(enum tern_dtype dtype, uint64_t bits, char *dst, size_t cap)
{
    int n = is_float(dtype)    ? snprintf(dst, cap, "%f", float_of(dtype, bits))
            : is_signed(dtype) ? snprintf(dst, cap, "%" PRId64, int_of(dtype, bits))
                               : snprintf(dst, cap, "%" PRIu64, bits);
    return n < 0 ? 0 : (size_t)n < cap ? (size_t)n : cap - 1;
}

/* Bytes of the longest, with a zero: a sign, the digits of the largest number, and six places. */
static size_t value_max(enum tern_dtype dtype)
{
    return dtype == TERN_DTYPE_FP64 ? 1 + 309 + 7 + 1 : 1 + 39 + 7 + 1;
}

/* ---- the best of a row: a heap with the worst of them on top ---- */

static bool is_better(struct pick a, struct pick b)
{
    return a.key > b.key || (a.key == b.key && a.index < b.index);
}

static void sift_down(struct pick *heap, size_t n, size_t at)
{
    struct pick moving = heap[at];

    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && is_better(heap[child], heap[child + 1]))
            child++;
        if (!is_better(moving, heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void pick_row(const struct tern_tensor *tensor, size_t start, size_t n_values,
                     struct pick *picks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        picks[i] = (struct pick){key_of(tensor->dtype, load(tensor, start + i)), i};
    for (size_t i = n / 2; i-- > 0;)
        sift_down(picks, n, i);
    for (size_t i = n; n > 0 && i < n_values; i++) {
        struct pick pick = {key_of(tensor->dtype, load(tensor, start + i)), i};
        if (is_better(pick, picks[0])) {
            picks[0] = pick;
            sift_down(picks, n, 0);
        }
    }
    for (size_t left = n; left > 1; left--) {
        struct pick worst = picks[0];
        picks[0] = picks[left - 1];
        picks[left - 1] = worst;
        sift_down(picks, left - 1, 0);
    }
}

/* ---- strings ---- */

static struct tern_str label_of(const struct tern_labels *labels, size_t index)
{
    return labels == NULL || index >= labels->n ? tern_str_make(NULL, 0) : labels->rows[index];
}

static char *put(char *at, const char *p, size_t n)
{
    if (n > 0)
        memcpy(at, p, n);
    return at + n;
}

/* "0.912000:3:cat" with its length before it; answers where the next one goes. */
static char *write_class(const struct tern_tensor *tensor, uint64_t bits, size_t index,
                         struct tern_str label, char *at)
{
    char *text = at + LENGTH_SIZE, *end;

    end = text + print_value(tensor->dtype, bits, text, value_max(tensor->dtype));
    *end++ = ':';
    end += tern_num_format_u64(index, end);
    if (label.n > 0) {
        *end++ = ':';
        end = put(end, label.p, label.n);
    }
    uint32_t length = (uint32_t)(end - text);
    memcpy(at, &length, LENGTH_SIZE);
    return end;
}

static enum tern_code fail_large(const struct tern_tensor *tensor, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "output '%.*s': classification output tensor too large",
                     TERN_STR_ARG(tensor->name));
}

/* Room for the strings of these picks. */
static enum tern_code measure(const struct tern_tensor *tensor, const struct pick *picks, size_t n,
                              const struct tern_labels *labels, size_t *ret_size,
                              struct tern_err *err)
{
    size_t each = LENGTH_SIZE + value_max(tensor->dtype) + 1 + INDEX_MAX + 1, size;

    if (tern_num_mul(n, each, &size))
        return fail_large(tensor, err);
    for (size_t i = 0; i < n; i++) {
        if (tern_num_add(size, label_of(labels, picks[i].index).n, &size))
            return fail_large(tensor, err);
    }
    *ret_size = size;
    return size > INT32_MAX ? fail_large(tensor, err) : TERN_OK;
}

static void set_shape(struct tern_tensor *tensor, bool batched, size_t rows, size_t n)
{
    tensor->dtype = TERN_DTYPE_BYTES;
    tensor->shape.rank = batched ? 2 : 1;
    tensor->shape.dim[0] = (int64_t)rows;
    tensor->shape.dim[batched ? 1 : 0] = (int64_t)n;
}

static enum tern_code write_classes(struct tern_tensor *tensor, const struct pick *picks,
                                    size_t rows, size_t each, size_t n_values,
                                    const struct tern_labels *labels, struct tern_arena *arena,
                                    struct tern_err *err)
{
    size_t size = 0;

    TERN_TRY(measure(tensor, picks, rows * each, labels, &size, err));
    char *text = tern_arena_alloc(arena, 8, size + 1), *at = text;
    if (text == NULL)
        return tern_arena_fail(arena, err, "the classes of an output");
    for (size_t row = 0; row < rows; row++) {
        for (size_t i = 0; i < each; i++) {
            size_t index = picks[row * each + i].index;
            uint64_t bits = load(tensor, row * n_values + index);
            at = write_class(tensor, bits, index, label_of(labels, index), at);
        }
    }
    tensor->data = text;
    tensor->n_bytes = (size_t)(at - text);
    return TERN_OK;
}

enum tern_code tern_classify(struct tern_tensor *tensor, uint32_t n, bool batched,
                             const struct tern_labels *labels, struct tern_arena *arena,
                             struct tern_err *err)
{
    size_t count, rows = 1, n_picks;

    TERN_TRY(tern_classify_check(tensor->dtype, err));
    batched = batched && tensor->shape.rank > 0;
    if (!tern_shape_count(&tensor->shape, &count) ||
        tensor->n_bytes / tern_dtype_size(tensor->dtype) < count)
        return tern_fail(err, TERN_INTERNAL, "output '%.*s' has fewer values than its shape",
                         TERN_STR_ARG(tensor->name));
    if (batched)
        rows = (size_t)tensor->shape.dim[0];
    size_t n_values = rows == 0 ? 0 : count / rows;
    size_t each = n < n_values ? n : n_values;
    if (tern_num_mul(rows, each, &n_picks))
        return fail_large(tensor, err);
    struct pick *picks = tern_arena_zalloc(arena, n_picks + 1, sizeof(*picks));
    if (picks == NULL)
        return tern_arena_fail(arena, err, "the classes of an output");
    for (size_t row = 0; row < rows && each > 0; row++)
        pick_row(tensor, row * n_values, n_values, picks + row * each, each);
    TERN_TRY(write_classes(tensor, picks, rows, each, n_values, labels, arena, err));
    set_shape(tensor, batched, rows, each);
    return TERN_OK;
}
