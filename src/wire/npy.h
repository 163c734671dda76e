/* NPY, numpy's file of one array, versions 1.0 to 3.0
 * (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html).
 *
 * What a caller sends is only what a tensor can be: the fixed-size types of base/dtype.h,
 * little-endian, C order. Anything else is refused with the numpy call that mends it: big-endian,
 * Fortran order, text, records. Files of models have these three, and wire/npy_view.h reads them.
 * Pickled objects are refused everywhere: nobody should unpack them from a stranger's file. Pure
 * functions.
 */
#ifndef TERN_WIRE_NPY_H
#define TERN_WIRE_NPY_H

#include <stdint.h>
#include "base/buf.h"
#include "base/dtype.h"
#include "base/err.h"
#include "base/str.h"
#include "wire/npy_view.h"

struct tern_npy {
    enum tern_dtype dtype;
    int rank; /* 0: a scalar */
    int64_t dim[TERN_NPY_RANK_MAX];
    struct tern_str data; /* a slice of the file, exactly as long as dtype and dims say */
};

/* INVALID_ARGUMENT says what is wrong, and where a numpy call helps, which. Bytes after the array
 * are refused too: they would be rows that nobody sees. */
enum tern_code tern_npy_read(struct tern_str file, struct tern_npy *ret, struct tern_err *err);
/* Appends a version 1.0 file. INVALID_ARGUMENT when numpy has no such type (BF16, BYTES) or the
 * data is not as long as dtype and dims say. */
enum tern_code tern_npy_write(const struct tern_npy *array, struct tern_buf *out,
                              struct tern_err *err);

#endif
