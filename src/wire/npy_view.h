/* Arrays of NPY files that need not be tensors: in C or Fortran order, of numbers, of text, or of
 * records of these, as files of models have them (wire/npy.h is for what callers send). Nothing is
 * copied: a view is where the elements lie and what they are. Pure functions. */
#ifndef TERN_WIRE_NPY_VIEW_H
#define TERN_WIRE_NPY_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include "base/dtype.h"
#include "base/err.h"
#include "base/str.h"

#define TERN_NPY_RANK_MAX    16
#define TERN_NPY_HEADER_MAX  65536 /* bytes of the header's text */
#define TERN_NPY_COLUMNS_MAX 32
#define TERN_NPY_SIZE_MAX    (1u << 20) /* bytes of an element */

/* A field of records; of other arrays the only one. */
struct tern_npy_column {
    struct tern_str name;
    struct tern_str type;  /* "<f8" */
    enum tern_dtype dtype; /* BYTES: text; INVALID: bytes that mean nothing ("|V7"), or size 0 */
    uint32_t size;         /* bytes */
    uint32_t at;           /* bytes before it in the record */
};

struct tern_npy_view {
    struct tern_npy_column columns[TERN_NPY_COLUMNS_MAX]; /* slices of the file */
    uint32_t n_columns;
    bool is_record;
    bool is_fortran;
    uint32_t stride; /* bytes of an element */
    int rank;
    int64_t dim[TERN_NPY_RANK_MAX];
    size_t n;             /* elements */
    struct tern_str data; /* n * stride bytes, of any alignment */
};

/* Whether the bytes start as every NPY file does. */
bool tern_npy_is(struct tern_str file);
/* The header alone: sizes are not compared, types may be such as have no size. */
enum tern_code tern_npy_view_parse(struct tern_str file, struct tern_npy_view *ret,
                                   struct tern_err *err);
/* Sets n, and refuses data that is not as long as the shape says. */
enum tern_code tern_npy_view_check(struct tern_npy_view *view, struct tern_err *err);
/* Both, and every type is one that is read. Bytes after the array are refused. */
enum tern_code tern_npy_view_read(struct tern_str file, struct tern_npy_view *ret,
                                  struct tern_err *err);
/* The number of a record's field; n_columns: there is none of that name. */
uint32_t tern_npy_view_column(const struct tern_npy_view *view, struct tern_str name);
/* Elements of a column of numbers (neither BYTES nor INVALID) in C order, whatever order they have
 * in the file. Integers: a float is cut to a whole number, what is out of range is 0. */
void tern_npy_view_reals(const struct tern_npy_view *view, uint32_t column, double *to);
void tern_npy_view_integers(const struct tern_npy_view *view, uint32_t column, int64_t *to);
/* Text i, in C order, of a column of BYTES, as UTF-8 and without the zeros that fill it up; what is
 * no character becomes U+FFFD. dst has room for the column's size. Answers the length. */
size_t tern_npy_view_text(const struct tern_npy_view *view, uint32_t column, size_t i, char *dst);

#endif
