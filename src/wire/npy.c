#include "wire/npy.h"

#include <inttypes.h>
#include "base/num.h"

#define MAGIC   "\x93NUMPY"
#define MAGIC_N 6
#define ALIGN   64 /* of the data in a file that we write, as numpy does */

/* What is none of a tensor's types. */
static enum tern_code fail_type(struct tern_str text, struct tern_err *err)
{
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

enum tern_code tern_npy_read(struct tern_str file, struct tern_npy *ret, struct tern_err *err)
{
    struct tern_npy_view view = {.rank = 0};

    TERN_TRY(tern_npy_view_parse(file, &view, err));
    if (view.is_record)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: an array of records is no tensor; save each column by itself");
    if (tern_dtype_size(view.columns[0].dtype) == 0)
        return fail_type(view.columns[0].type, err);
    if (view.is_fortran)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "NPY: the array is in Fortran order; save numpy.ascontiguousarray(a)");
    TERN_TRY(tern_npy_view_check(&view, err));
    *ret = (struct tern_npy){.dtype = view.columns[0].dtype, .rank = view.rank, .data = view.data};
    memcpy(ret->dim, view.dim, sizeof(ret->dim));
    return TERN_OK;
}

enum tern_code tern_npy_write(const struct tern_npy *array, struct tern_buf *out,
                              struct tern_err *err)
{
    const char *type = tern_dtype_numpy(array->dtype);
    size_t begin = out->n;
    size_t n, bytes = tern_dtype_size(array->dtype);

    if (type[0] == '\0')
        return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: numpy has no type for %s",
                         tern_dtype_name(array->dtype));
    for (int i = 0; i < array->rank; i++) {
        if (array->dim[i] < 0 || tern_num_mul(bytes, (size_t)array->dim[i], &bytes))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "NPY: the shape is too large");
    }
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
    n = out->n - begin - MAGIC_N - 4;
    out->p[begin + MAGIC_N + 2] = (char)(n & 0xff);
    out->p[begin + MAGIC_N + 3] = (char)(n >> 8);
    tern_buf_add_str(out, array->data);
    return tern_buf_check(out, "an NPY file", err);
}
