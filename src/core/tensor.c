#include "core/tensor.h"

#include <inttypes.h>
#include <stdio.h>
#include "base/num.h"

bool tern_shape_count(const struct tern_shape *shape, size_t *ret_count)
{
    size_t count = 1;

    for (int i = 0; i < shape->rank; i++) {
        if (shape->dim[i] < 0 || tern_num_mul(count, (size_t)shape->dim[i], &count))
            return false;
    }
    *ret_count = count;
    return true;
}

enum tern_code tern_shape_bytes(struct tern_str name, enum tern_dtype dtype,
                                const struct tern_shape *shape, size_t *ret_bytes,
                                struct tern_err *err)
{
    size_t count, bytes;
    char text[160];

    if (dtype == TERN_DTYPE_BYTES || dtype == TERN_DTYPE_INVALID)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "tensor '%.*s': %s has no fixed element size",
                         TERN_STR_ARG(name), tern_dtype_name(dtype));
    if (!tern_shape_count(shape, &count) || tern_num_mul(count, tern_dtype_size(dtype), &bytes) ||
        bytes > INT64_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "tensor '%.*s': shape %s has a negative dimension or is too large",
                         TERN_STR_ARG(name), tern_shape_print(shape, text, sizeof(text)));
    *ret_bytes = bytes;
    return TERN_OK;
}

bool tern_shape_fits(const struct tern_shape *spec, const struct tern_shape *shape)
{
    if (spec->rank != shape->rank)
        return false;
    for (int i = 0; i < spec->rank; i++) {
        if (spec->dim[i] >= 0 && spec->dim[i] != shape->dim[i])
            return false;
    }
    return true;
}

void tern_shape_map(const struct tern_shape *from, const struct tern_shape *to,
                    struct tern_shape *shape)
{
    struct tern_shape mapped = *to;
    int at = 0;

    for (int i = 0; i < mapped.rank; i++) {
        if (mapped.dim[i] >= 0)
            continue;
        while (at < from->rank && from->dim[at] >= 0)
            at++;
        mapped.dim[i] = at < from->rank ? shape->dim[at++] : 1;
    }
    *shape = mapped;
}

bool tern_shape_eq(const struct tern_shape *a, const struct tern_shape *b)
{
    return a->rank == b->rank &&
           (a->rank == 0 || memcmp(a->dim, b->dim, (size_t)a->rank * sizeof(a->dim[0])) == 0);
}

const char *tern_shape_print(const struct tern_shape *shape, char *dst, size_t cap)
{
    size_t n = 0;

    if (cap < 3)
        return "";
    dst[n++] = '[';
    for (int i = 0; i < shape->rank && n < cap; i++) {
        int wrote = snprintf(dst + n, cap - n, "%s%" PRId64, i == 0 ? "" : ",", shape->dim[i]);
        n += wrote < 0 ? 0 : (size_t)wrote;
    }
    if (n + 2 > cap)
        n = cap - 2;
    dst[n] = ']';
    dst[n + 1] = '\0';
    return dst;
}

static bool next_element(const unsigned char *p, size_t n_bytes, size_t *at, struct tern_str *ret)
{
    if (n_bytes - *at < 4)
        return false;
    const unsigned char *q = p + *at;
    uint32_t length =
        (uint32_t)q[0] | (uint32_t)q[1] << 8 | (uint32_t)q[2] << 16 | (uint32_t)q[3] << 24;
    if (length > n_bytes - *at - 4)
        return false;
    *ret = tern_str_make((const char *)q + 4, length);
    *at += 4 + (size_t)length;
    return true;
}

bool tern_tensor_next_bytes(const struct tern_tensor *tensor, size_t *at, struct tern_str *ret)
{
    return next_element(tensor->data, tensor->n_bytes, at, ret);
}

enum tern_code tern_tensor_check_bytes(struct tern_str name, const void *data, size_t n_bytes,
                                       size_t expected, struct tern_err *err)
{
    size_t at = 0, count = 0;
    struct tern_str element;

    while (at < n_bytes && count < expected) {
        if (!next_element(data, n_bytes, &at, &element))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "tensor '%.*s': string element %zu is longer than the data that "
                             "follows it",
                             TERN_STR_ARG(name), count);
        count++;
    }
    if (count != expected || at != n_bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "unexpected number of string elements %zu%s for inference input '%.*s', "
                         "expecting %zu",
                         count, at != n_bytes ? " or more" : "", TERN_STR_ARG(name), expected);
    return TERN_OK;
}
