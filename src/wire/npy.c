#include "wire/npy.h"

#include <inttypes.h>
#include "base/num.h"

#define MAGIC   "\x93NUMPY"
#define MAGIC_N 6
#define ALIGN   64 /* of the data in a file that we write, as numpy does */

bool tern_npy_is(struct tern_str file)
{
    return tern_str_starts(file, TERN_STR(MAGIC));
}

/* ---- the header: a Python dictionary of three entries ---- */

struct cursor {
    const char *p, *end;
};

static void skip_space(struct cursor *at)
{
    while (at->p < at->end && (*at->p == ' ' || *at->p == '\n' || *at->p == '\t'))
        at->p++;
}

static bool take(struct cursor *at, char c)
{
    skip_space(at);
    if (at->p == at->end || *at->p != c)
        return false;
    at->p++;
    return true;
}

static bool take_word(struct cursor *at, struct tern_str word)
{
    skip_space(at);
    if (!tern_str_starts(tern_str_make(at->p, (size_t)(at->end - at->p)), word))
        return false;
    at->p += word.n;
    return true;
}

/* 'text' or "text", without escapes: no type needs one. */
static bool take_text(struct cursor *at, struct tern_str *ret)
{
    skip_space(at);
    if (at->p == at->end || (*at->p != '\'' && *at->p != '"'))
        return false;
    const char *from = at->p + 1;
    const char *to = from;
    while (to < at->end && *to != *at->p && *to != '\\' && *to != '\n')
        to++;
    if (to == at->end || *to != *at->p)
        return false;
    *ret = tern_str_make(from, (size_t)(to - from));
    at->p = to + 1;
    return true;
}

static enum tern_code fail_header(struct tern_err *err, const char *what)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the header is malformed: %s", what);
}

/* "<f4" and what to do when it is something that no tensor is. */
static enum tern_code read_descr(struct tern_str text, enum tern_dtype *ret_dtype,
                                 struct tern_err *err)
{
    for (int i = 1; i < TERN_DTYPE_COUNT; i++) {
        struct tern_str numpy = tern_str_of(tern_dtype_numpy((enum tern_dtype)i));
        /* One byte has no order: both marks mean the same. */
        if (numpy.n > 0 && text.n == numpy.n &&
            (text.p[0] == numpy.p[0] || (numpy.p[0] == '|' && text.p[0] != '=')) &&
            tern_str_eq(tern_str_from(text, 1), tern_str_from(numpy, 1))) {
            *ret_dtype = (enum tern_dtype)i;
            return TERN_OK;
        }
    }
    char kind = text.n > 1 ? text.p[1] : ' ';
    const char *mend = "save another type";
    if (text.n > 0 && text.p[0] == '>')
        mend = "it is big-endian: save a.astype(a.dtype.newbyteorder('<'))";
    else if (kind == 'O')
        mend = "it holds pickled objects: save a.astype('float32')";
    else if (kind == 'U' || kind == 'S')
        mend = "it holds text: give it as JSON or CSV";
    else if (kind == 'c' || kind == 'f')
        mend = "save a.astype('float32') or a.astype('float64')";
    return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: type '%.*s' is none that a tensor has; %s",
                     TERN_STR_ARG(text), mend);
}

static enum tern_code take_descr(struct cursor *at, enum tern_dtype *ret_dtype,
                                 struct tern_err *err)
{
    struct tern_str text;

    skip_space(at);
    if (at->p < at->end && *at->p == '[')
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: an array of records is no tensor; save each column by itself");
    if (!take_text(at, &text))
        return fail_header(err, "'descr' has no type text");
    return read_descr(text, ret_dtype, err);
}

static enum tern_code take_dim(struct cursor *at, struct tern_npy *array, struct tern_err *err)
{
    uint64_t dim;

    skip_space(at);
    const char *from = at->p;
    while (at->p < at->end && *at->p >= '0' && *at->p <= '9')
        at->p++;
    if (!tern_num_parse_u64(tern_str_make(from, (size_t)(at->p - from)), INT64_MAX, &dim))
        return fail_header(err, "a dimension in 'shape' is no size");
    if (array->rank == TERN_NPY_RANK_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: more than %d dimensions",
                         TERN_NPY_RANK_MAX);
    array->dim[array->rank++] = (int64_t)dim;
    return TERN_OK;
}

static enum tern_code take_shape(struct cursor *at, struct tern_npy *array, struct tern_err *err)
{
    if (!take(at, '('))
        return fail_header(err, "'shape' is no tuple");
    while (!take(at, ')')) {
        TERN_TRY(take_dim(at, array, err));
        if (take(at, ','))
            continue;
        if (!take(at, ')'))
            return fail_header(err, "'shape' has no end");
        if (array->rank == 1)
            return fail_header(err, "'shape' is a number, not a tuple");
        break;
    }
    return TERN_OK;
}

static enum tern_code take_order(struct cursor *at, struct tern_err *err)
{
    if (take_word(at, TERN_STR("False")))
        return TERN_OK;
    if (take_word(at, TERN_STR("True")))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: the array is in Fortran order; save numpy.ascontiguousarray(a)");
    return fail_header(err, "'fortran_order' is neither True nor False");
}

enum { SEEN_DESCR = 1, SEEN_ORDER = 2, SEEN_SHAPE = 4, SEEN_ALL = 7 };

static enum tern_code take_entry(struct cursor *at, struct tern_npy *array, unsigned *seen,
                                 struct tern_err *err)
{
    struct tern_str key;

    if (!take_text(at, &key) || !take(at, ':'))
        return fail_header(err, "expected 'key': value");
    unsigned bit = tern_str_eq(key, TERN_STR("descr"))           ? SEEN_DESCR
                   : tern_str_eq(key, TERN_STR("fortran_order")) ? SEEN_ORDER
                   : tern_str_eq(key, TERN_STR("shape"))         ? SEEN_SHAPE
                                                                 : 0;
    if (bit == 0 || (*seen & bit) != 0)
        return fail_header(err, "a key is unknown or stands twice");
    *seen |= bit;
    if (bit == SEEN_DESCR)
        return take_descr(at, &array->dtype, err);
    return bit == SEEN_ORDER ? take_order(at, err) : take_shape(at, array, err);
}

static enum tern_code read_header(struct tern_str text, struct tern_npy *array,
                                  struct tern_err *err)
{
    struct cursor at = {text.p, text.p + text.n};
    unsigned seen = 0;

    if (!take(&at, '{'))
        return fail_header(err, "expected '{'");
    while (!take(&at, '}')) {
        TERN_TRY(take_entry(&at, array, &seen, err));
        if (take(&at, ','))
            continue;
        if (!take(&at, '}'))
            return fail_header(err, "expected ',' or '}'");
        break;
    }
    skip_space(&at);
    if (at.p != at.end)
        return fail_header(err, "something follows the '}'");
    return seen == SEEN_ALL ? TERN_OK
                            : fail_header(err, "expected 'descr', 'fortran_order' and 'shape'");
}

/* ---- the file ---- */

static enum tern_code count_bytes(const struct tern_npy *array, size_t *ret_bytes,
                                  struct tern_err *err)
{
    size_t bytes = tern_dtype_size(array->dtype);

    for (int i = 0; i < array->rank; i++) {
        if (array->dim[i] < 0 || tern_num_mul(bytes, (size_t)array->dim[i], &bytes))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the shape is too large");
    }
    *ret_bytes = bytes;
    return TERN_OK;
}

/* Where the header's text lies: the length has two bytes in version 1, four afterwards. */
static enum tern_code find_header(struct tern_str file, struct tern_str *ret_text,
                                  struct tern_err *err)
{
    const unsigned char *p = (const unsigned char *)file.p;

    if (!tern_npy_is(file))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: this is no NPY file");
    if (file.n < MAGIC_N + 2)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the file ends within its header");
    if (p[MAGIC_N] < 1 || p[MAGIC_N] > 3)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: version %u.%u; known are 1.0 to 3.0",
                         p[MAGIC_N], p[MAGIC_N + 1]);
    size_t begin = MAGIC_N + (p[MAGIC_N] == 1 ? 4 : 6);
    if (file.n < begin)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the file ends within its header");
    size_t n = p[8] | (size_t)p[9] << 8;
    if (p[MAGIC_N] > 1)
        n |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (n > TERN_NPY_HEADER_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: a header of %zu bytes; at most %d", n,
                         TERN_NPY_HEADER_MAX);
    if (n > file.n - begin)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the file ends within its header");
    *ret_text = tern_str_make(file.p + begin, n);
    return TERN_OK;
}

enum tern_code tern_npy_read(struct tern_str file, struct tern_npy *ret, struct tern_err *err)
{
    struct tern_npy array = {.rank = 0};
    struct tern_str header = {0};
    size_t bytes = 0;

    TERN_TRY(find_header(file, &header, err));
    TERN_TRY(read_header(header, &array, err));
    TERN_TRY(count_bytes(&array, &bytes, err));
    array.data = tern_str_from(file, (size_t)(header.p + header.n - file.p));
    if (array.data.n != bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: the shape needs %zu bytes and %zu follow the header", bytes,
                         array.data.n);
    *ret = array;
    return TERN_OK;
}

enum tern_code tern_npy_write(const struct tern_npy *array, struct tern_buf *out,
                              struct tern_err *err)
{
    const char *type = tern_dtype_numpy(array->dtype);
    size_t begin = out->n;
    size_t bytes = 0;

    if (type[0] == '\0')
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: numpy has no type for %s",
                         tern_dtype_name(array->dtype));
    TERN_TRY(count_bytes(array, &bytes, err));
    if (bytes != array->data.n)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the shape needs %zu bytes, not %zu",
                         bytes, array->data.n);
    tern_buf_add(out, MAGIC "\x01\x00\x00\x00", MAGIC_N + 4);
    tern_buf_printf(out, "{'descr': '%s', 'fortran_order': False, 'shape': (", type);
    for (int i = 0; i < array->rank; i++)
        tern_buf_printf(out, i == 0 ? "%" PRId64 "," : " %" PRId64 ",", array->dim[i]);
    TERN_BUF_ADD_LITERAL(out, "), }");
    while ((out->n - begin + 1) % ALIGN != 0 && !out->failed)
        tern_buf_add_char(out, ' ');
    tern_buf_add_char(out, '\n');
    TERN_TRY(tern_buf_check(out, "an NPY file", err));
    size_t n = out->n - begin - MAGIC_N - 4;
    out->p[begin + MAGIC_N + 2] = (char)(n & 0xff);
    out->p[begin + MAGIC_N + 3] = (char)(n >> 8);
    tern_buf_add_str(out, array->data);
    return tern_buf_check(out, "an NPY file", err);
}
