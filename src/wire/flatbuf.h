/* FlatBuffers (https://flatbuffers.dev/internals/): a reader of tables without generated code.
 * Every offset is checked where it is followed, so that nothing is read outside of the text,
 * whatever it holds; nothing recurses, nothing is allocated, and slices are the text's.
 *
 * Fields are known by their number in the schema (0, 1, ...) and have a default where the table has
 * none. Elements may lie at any address. Errors are INVALID_ARGUMENT: "field 3 of the table at byte
 * 64 ...". */
#ifndef TERN_WIRE_FLATBUF_H
#define TERN_WIRE_FLATBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/err.h"
#include "base/str.h"

struct tern_flatbuf_table {
    struct tern_str text; /* borrowed: the whole buffer */
    size_t at;            /* of the table */
    size_t fields;        /* of its list of fields */
    uint16_t n_fields;
    uint16_t size; /* of the table */
};

/* Elements of one size, one after another. */
struct tern_flatbuf_vector {
    struct tern_str text;
    size_t at; /* of the first */
    uint32_t n;
};

enum tern_code tern_flatbuf_root(struct tern_str text, struct tern_flatbuf_table *ret,
                                 struct tern_err *err);

bool tern_flatbuf_has(const struct tern_flatbuf_table *table, uint16_t field);
/* bool, byte, ubyte */
enum tern_code tern_flatbuf_byte(const struct tern_flatbuf_table *table, uint16_t field,
                                 uint8_t otherwise, uint8_t *ret, struct tern_err *err);
enum tern_code tern_flatbuf_int32(const struct tern_flatbuf_table *table, uint16_t field,
                                  int32_t otherwise, int32_t *ret, struct tern_err *err);
enum tern_code tern_flatbuf_double(const struct tern_flatbuf_table *table, uint16_t field,
                                   double otherwise, double *ret, struct tern_err *err);
/* Empty where there is none. */
enum tern_code tern_flatbuf_string(const struct tern_flatbuf_table *table, uint16_t field,
                                   struct tern_str *ret, struct tern_err *err);
/* A table that has to be there. */
enum tern_code tern_flatbuf_table(const struct tern_flatbuf_table *table, uint16_t field,
                                  struct tern_flatbuf_table *ret, struct tern_err *err);
/* Elements of `size` bytes: numbers or structs; 4 for tables and strings. Empty where there is
 * none. */
enum tern_code tern_flatbuf_vector(const struct tern_flatbuf_table *table, uint16_t field,
                                   size_t size, struct tern_flatbuf_vector *ret,
                                   struct tern_err *err);
/* Element i, below n, of a vector of tables. */
enum tern_code tern_flatbuf_element(const struct tern_flatbuf_vector *vector, uint32_t i,
                                    struct tern_flatbuf_table *ret, struct tern_err *err);

/* Numbers of a vector with elements of that size; i is below n. */
uint16_t tern_flatbuf_u16(const struct tern_flatbuf_vector *vector, size_t i);
uint32_t tern_flatbuf_u32(const struct tern_flatbuf_vector *vector, size_t i);
float tern_flatbuf_f32(const struct tern_flatbuf_vector *vector, size_t i);
double tern_flatbuf_f64(const struct tern_flatbuf_vector *vector, size_t i);

#endif
