#include "wire/npy_view.h"

#include <math.h>
#include "base/num.h"
#include "simd/half.h"

#define MAGIC   "\x93NUMPY"
#define MAGIC_N 6

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

/* Of numbers; INVALID: another one. */
static enum tern_dtype dtype_of(struct tern_str text)
{
    for (int i = 1; i < TERN_DTYPE_COUNT; i++) {
        struct tern_str numpy = tern_str_of(tern_dtype_numpy((enum tern_dtype)i));
        /* One byte has no order: both marks mean the same. */
        if (numpy.n > 0 && text.n == numpy.n &&
            (text.p[0] == numpy.p[0] || (numpy.p[0] == '|' && text.p[0] != '=')) &&
            tern_str_eq(tern_str_from(text, 1), tern_str_from(numpy, 1)))
            return (enum tern_dtype)i;
    }
    return TERN_DTYPE_INVALID;
}

/* "<f8", "<U12" (characters of four bytes), "|S5" or "|V7". A size of 0: nothing that is read. */
static void read_type(struct tern_str text, struct tern_npy_column *column)
{
    enum tern_dtype dtype = dtype_of(text);
    uint64_t n = tern_dtype_size(dtype);
    char kind = text.n > 2 && text.p[0] != '>' ? text.p[1] : ' ';

    if (dtype == TERN_DTYPE_INVALID && (kind == 'U' || kind == 'S' || kind == 'V')) {
        if (!tern_num_parse_u64(tern_str_from(text, 2), TERN_NPY_SIZE_MAX / 4, &n))
            n = 0;
        n *= kind == 'U' ? 4 : 1;
        dtype = kind == 'V' ? TERN_DTYPE_INVALID : TERN_DTYPE_BYTES;
    }
    column->type = text;
    column->dtype = dtype;
    column->size = (uint32_t)n;
}

/* [('name', '<f8'), ...] */
static enum tern_code take_fields(struct cursor *at, struct tern_npy_view *view,
                                  struct tern_err *err)
{
    uint32_t begin = 0;
    struct tern_str type;

    view->is_record = true;
    while (!take(at, ']')) {
        struct tern_npy_column *column = &view->columns[view->n_columns];
        if (view->n_columns == TERN_NPY_COLUMNS_MAX)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: records of more than %d fields",
                             TERN_NPY_COLUMNS_MAX);
        if (!take(at, '(') || !take_text(at, &column->name) || !take(at, ',') ||
            !take_text(at, &type) || !take(at, ')'))
            return fail_header(err, "a field is no ('name', 'type')");
        read_type(type, column);
        column->at = begin;
        if (column->size > TERN_NPY_SIZE_MAX - begin)
            return fail_header(err, "a record is too large");
        begin += column->size;
        view->n_columns++;
        if (take(at, ','))
            continue;
        if (!take(at, ']'))
            return fail_header(err, "the fields have no end");
        break;
    }
    view->stride = begin;
    return TERN_OK;
}

static enum tern_code take_descr(struct cursor *at, struct tern_npy_view *view,
                                 struct tern_err *err)
{
    struct tern_str text;

    if (take(at, '['))
        return take_fields(at, view, err);
    if (!take_text(at, &text))
        return fail_header(err, "'descr' has no type text");
    read_type(text, &view->columns[0]);
    view->n_columns = 1;
    view->stride = view->columns[0].size;
    return TERN_OK;
}

static enum tern_code take_dim(struct cursor *at, struct tern_npy_view *array, struct tern_err *err)
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

static enum tern_code take_shape(struct cursor *at, struct tern_npy_view *array,
                                 struct tern_err *err)
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

static enum tern_code take_order(struct cursor *at, bool *ret_is_fortran, struct tern_err *err)
{
    *ret_is_fortran = take_word(at, TERN_STR("True"));
    if (*ret_is_fortran || take_word(at, TERN_STR("False")))
        return TERN_OK;
    return fail_header(err, "'fortran_order' is neither True nor False");
}

enum { SEEN_DESCR = 1, SEEN_ORDER = 2, SEEN_SHAPE = 4, SEEN_ALL = 7 };

static enum tern_code take_entry(struct cursor *at, struct tern_npy_view *array, unsigned *seen,
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
        return take_descr(at, array, err);
    return bit == SEEN_ORDER ? take_order(at, &array->is_fortran, err) : take_shape(at, array, err);
}

static enum tern_code read_header(struct tern_str text, struct tern_npy_view *array,
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

/* Sets n; *ret_bytes: what that many elements take. */
static enum tern_code count(struct tern_npy_view *view, size_t *ret_bytes, struct tern_err *err)
{
    size_t n = 1;

    for (int i = 0; i < view->rank; i++) {
        if (view->dim[i] < 0 || tern_num_mul(n, (size_t)view->dim[i], &n))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the shape is too large");
    }
    if (tern_num_mul(n, view->stride, ret_bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the shape is too large");
    view->n = n;
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

enum tern_code tern_npy_view_parse(struct tern_str file, struct tern_npy_view *ret,
                                   struct tern_err *err)
{
    struct tern_npy_view view = {.rank = 0};
    struct tern_str header = {0};

    TERN_TRY(find_header(file, &header, err));
    TERN_TRY(read_header(header, &view, err));
    view.data = tern_str_from(file, (size_t)(header.p + header.n - file.p));
    *ret = view;
    return TERN_OK;
}

enum tern_code tern_npy_view_check(struct tern_npy_view *view, struct tern_err *err)
{
    size_t bytes = 0;

    TERN_TRY(count(view, &bytes, err));
    if (view->data.n != bytes)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: the shape needs %zu bytes and %zu follow the header", bytes,
                         view->data.n);
    return TERN_OK;
}

/* ---- whole views ---- */

enum tern_code tern_npy_view_read(struct tern_str file, struct tern_npy_view *ret,
                                  struct tern_err *err)
{
    struct tern_npy_view view = {.rank = 0};

    TERN_TRY(tern_npy_view_parse(file, &view, err));
    for (uint32_t i = 0; i < view.n_columns; i++) {
        if (view.columns[i].size == 0)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: type '%.*s' is not read",
                             TERN_STR_ARG(view.columns[i].type));
    }
    if (view.stride == 0)
        return fail_header(err, "a record has no fields");
    TERN_TRY(tern_npy_view_check(&view, err));
    *ret = view;
    return TERN_OK;
}

uint32_t tern_npy_view_column(const struct tern_npy_view *view, struct tern_str name)
{
    uint32_t i = 0;

    while (i < view->n_columns && !tern_str_eq(view->columns[i].name, name))
        i++;
    return i;
}

/* A walk over elements in C order; `at` is where the next one stands among those of the file. */
struct walk {
    const struct tern_npy_view *view;
    int64_t index[TERN_NPY_RANK_MAX];
    size_t at;
};

static void step(struct walk *walk)
{
    const struct tern_npy_view *view = walk->view;
    size_t stride = 1, strides[TERN_NPY_RANK_MAX];

    if (!view->is_fortran || view->rank < 2) {
        walk->at++;
        return;
    }
    for (int i = 0; i < view->rank; i++) {
        strides[i] = stride;
        stride *= (size_t)view->dim[i];
    }
    for (int i = view->rank; i-- > 0;) {
        walk->at += strides[i];
        if (++walk->index[i] < view->dim[i])
            return;
        walk->at -= (size_t)view->dim[i] * strides[i];
        walk->index[i] = 0;
    }
}

static const char *cell_of(const struct walk *walk, uint32_t column)
{
    return walk->view->data.p + walk->at * walk->view->stride + walk->view->columns[column].at;
}

/* Elements of any alignment; the machine is little-endian, as the file. */
#define LOAD(type)                     \
    do {                               \
        type x_;                       \
        memcpy(&x_, from, sizeof(x_)); \
        *integer = (int64_t)x_;        \
        *real = (double)x_;            \
    } while (0)

static int64_t whole(double x)
{
    return fabs(x) < 9223372036854775808.0 ? (int64_t)x : 0;
}

static void load(enum tern_dtype dtype, const char *from, int64_t *integer, double *real)
{
    uint16_t half;
    float single;

    *integer = 0;
    *real = 0;
    switch ((int)dtype) {
    case TERN_DTYPE_BOOL:
    case TERN_DTYPE_UINT8:
        LOAD(uint8_t);
        break;
    case TERN_DTYPE_UINT16:
        LOAD(uint16_t);
        break;
    case TERN_DTYPE_UINT32:
        LOAD(uint32_t);
        break;
    case TERN_DTYPE_UINT64:
        LOAD(uint64_t);
        *integer = *integer < 0 ? 0 : *integer;
        break;
    case TERN_DTYPE_INT8:
        LOAD(int8_t);
        break;
    case TERN_DTYPE_INT16:
        LOAD(int16_t);
        break;
    case TERN_DTYPE_INT32:
        LOAD(int32_t);
        break;
    case TERN_DTYPE_INT64:
        LOAD(int64_t);
        break;
    case TERN_DTYPE_FP16:
        memcpy(&half, from, sizeof(half));
        *real = (double)tern_half_to_f32(half);
        *integer = whole(*real);
        break;
    case TERN_DTYPE_FP32:
        memcpy(&single, from, sizeof(single));
        *real = (double)single;
        *integer = whole(*real);
        break;
    case TERN_DTYPE_FP64:
        memcpy(real, from, sizeof(*real));
        *integer = whole(*real);
        break;
    default:
        break;
    }
}

void tern_npy_view_reals(const struct tern_npy_view *view, uint32_t column, double *to)
{
    struct walk walk = {.view = view};
    int64_t integer;

    for (size_t i = 0; i < view->n; i++, step(&walk))
        load(view->columns[column].dtype, cell_of(&walk, column), &integer, &to[i]);
}

void tern_npy_view_integers(const struct tern_npy_view *view, uint32_t column, int64_t *to)
{
    struct walk walk = {.view = view};
    double real;

    for (size_t i = 0; i < view->n; i++, step(&walk))
        load(view->columns[column].dtype, cell_of(&walk, column), &to[i], &real);
}

size_t tern_npy_view_text(const struct tern_npy_view *view, uint32_t column, size_t i, char *dst)
{
    const struct tern_npy_column *c = &view->columns[column];
    struct walk walk = {.view = view};
    size_t width = c->type.p[1] == 'U' ? 4 : 1, n = 0, used = c->size;

    if (!view->is_fortran)
        walk.at = i;
    for (size_t k = 0; view->is_fortran && k < i; k++)
        step(&walk);
    const char *from = cell_of(&walk, column);
    while (used > 0 && from[used - 1] == 0)
        used--;
    if (width == 1) {
        memcpy(dst, from, used);
        return used;
    }
    for (size_t k = 0; k < used; k += 4) {
        uint32_t c32;
        memcpy(&c32, from + k, sizeof(c32));
        n += tern_str_put_utf8(c32 > 0x10ffff || (c32 >= 0xd800 && c32 < 0xe000) ? 0xfffd : c32,
                               dst + n);
    }
    return n;
}
