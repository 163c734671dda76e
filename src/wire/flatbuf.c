#include "wire/flatbuf.h"

#include <string.h>
#include "base/num.h"

/* ---- numbers, little-endian, at any address ---- */

static uint64_t load(const char *p, size_t size)
{
    uint64_t value = 0;

    for (size_t i = size; i-- > 0;)
        value = value << 8 | (unsigned char)p[i];
    return value;
}

static bool fits(struct tern_str text, size_t at, size_t size)
{
    return at <= text.n && size <= text.n - at;
}

uint16_t tern_flatbuf_u16(const struct tern_flatbuf_vector *vector, size_t i)
{
    return (uint16_t)load(vector->text.p + vector->at + i * 2, 2);
}

uint32_t tern_flatbuf_u32(const struct tern_flatbuf_vector *vector, size_t i)
{
    return (uint32_t)load(vector->text.p + vector->at + i * 4, 4);
}

float tern_flatbuf_f32(const struct tern_flatbuf_vector *vector, size_t i)
{
    uint32_t bits = tern_flatbuf_u32(vector, i);
    float value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

double tern_flatbuf_f64(const struct tern_flatbuf_vector *vector, size_t i)
{
    uint64_t bits = load(vector->text.p + vector->at + i * 8, 8);
    double value;

    memcpy(&value, &bits, sizeof(value));
    return value;
}

/* ---- tables ---- */

/* A table begins with the distance back to its list of fields, which has its own size, the table's,
 * and the place of each field within the table, 0 where it is not there. */
static enum tern_code open_table(struct tern_str text, size_t at, struct tern_flatbuf_table *ret,
                                 struct tern_err *err)
{
    if (!fits(text, at, 4))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "a table at byte %zu, of %zu", at, text.n);
    int64_t list = (int64_t)at - (int32_t)(uint32_t)load(text.p + at, 4);
    if (list < 0 || !fits(text, (size_t)list, 4))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the table at byte %zu has its list of fields at %lld, of %zu", at,
                         (long long)list, text.n);
    uint16_t list_size = (uint16_t)load(text.p + list, 2);
    uint16_t size = (uint16_t)load(text.p + list + 2, 2);
    if (list_size < 4 || list_size % 2 != 0 || size < 4 || !fits(text, (size_t)list, list_size) ||
        !fits(text, at, size))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "the table at byte %zu has %u bytes and a list of %u, which do not fit",
                         at, size, list_size);
    *ret = (struct tern_flatbuf_table){.text = text,
                                       .at = at,
                                       .fields = (size_t)list + 4,
                                       .n_fields = (uint16_t)((list_size - 4) / 2),
                                       .size = size};
    return TERN_OK;
}

enum tern_code tern_flatbuf_root(struct tern_str text, struct tern_flatbuf_table *ret,
                                 struct tern_err *err)
{
    if (text.n < 4)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%zu bytes are no FlatBuffer", text.n);
    return open_table(text, (size_t)load(text.p, 4), ret, err);
}

/* Where the field lies in its table; 0: it has none. */
static size_t place_of(const struct tern_flatbuf_table *table, uint16_t field)
{
    return field < table->n_fields
               ? (size_t)load(table->text.p + table->fields + 2 * (size_t)field, 2)
               : 0;
}

bool tern_flatbuf_has(const struct tern_flatbuf_table *table, uint16_t field)
{
    return place_of(table, field) != 0;
}

/* *ret_at: 0 where the table has no such field. */
static enum tern_code find(const struct tern_flatbuf_table *table, uint16_t field, size_t size,
                           size_t *ret_at, struct tern_err *err)
{
    size_t place = place_of(table, field);

    if (place != 0 && (place < 4 || place + size > table->size))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "field %u of the table at byte %zu lies outside of it", field, table->at);
    *ret_at = place == 0 ? 0 : table->at + place;
    return TERN_OK;
}

enum tern_code tern_flatbuf_byte(const struct tern_flatbuf_table *table, uint16_t field,
                                 uint8_t otherwise, uint8_t *ret, struct tern_err *err)
{
    size_t at;

    TERN_TRY(find(table, field, 1, &at, err));
    *ret = at == 0 ? otherwise : (uint8_t)table->text.p[at];
    return TERN_OK;
}

enum tern_code tern_flatbuf_int32(const struct tern_flatbuf_table *table, uint16_t field,
                                  int32_t otherwise, int32_t *ret, struct tern_err *err)
{
    size_t at;

    TERN_TRY(find(table, field, 4, &at, err));
    *ret = at == 0 ? otherwise : (int32_t)(uint32_t)load(table->text.p + at, 4);
    return TERN_OK;
}

enum tern_code tern_flatbuf_double(const struct tern_flatbuf_table *table, uint16_t field,
                                   double otherwise, double *ret, struct tern_err *err)
{
    size_t at;

    TERN_TRY(find(table, field, 8, &at, err));
    const struct tern_flatbuf_vector one = {table->text, at, 1};
    *ret = at == 0 ? otherwise : tern_flatbuf_f64(&one, 0);
    return TERN_OK;
}

/* ---- what a field points to ---- */

enum tern_code tern_flatbuf_vector(const struct tern_flatbuf_table *table, uint16_t field,
                                   size_t size, struct tern_flatbuf_vector *ret,
                                   struct tern_err *err)
{
    size_t at, n, n_bytes;

    TERN_TRY(find(table, field, 4, &at, err));
    if (at == 0) {
        *ret = (struct tern_flatbuf_vector){table->text, 0, 0};
        return TERN_OK;
    }
    at += (size_t)load(table->text.p + at, 4);
    if (!fits(table->text, at, 4))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "field %u of the table at byte %zu points to byte %zu, of %zu", field,
                         table->at, at, table->text.n);
    n = (size_t)load(table->text.p + at, 4);
    if (tern_num_mul(n, size, &n_bytes) || !fits(table->text, at + 4, n_bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "field %u of the table at byte %zu has %zu elements, which do not fit",
                         field, table->at, n);
    *ret = (struct tern_flatbuf_vector){table->text, at + 4, (uint32_t)n};
    return TERN_OK;
}

enum tern_code tern_flatbuf_string(const struct tern_flatbuf_table *table, uint16_t field,
                                   struct tern_str *ret, struct tern_err *err)
{
    struct tern_flatbuf_vector bytes;

    TERN_TRY(tern_flatbuf_vector(table, field, 1, &bytes, err));
    *ret = tern_str_make(bytes.text.p + bytes.at, bytes.n);
    return TERN_OK;
}

enum tern_code tern_flatbuf_table(const struct tern_flatbuf_table *table, uint16_t field,
                                  struct tern_flatbuf_table *ret, struct tern_err *err)
{
    size_t at;

    TERN_TRY(find(table, field, 4, &at, err));
    if (at == 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "field %u of the table at byte %zu is missing",
                         field, table->at);
    return open_table(table->text, at + (size_t)load(table->text.p + at, 4), ret, err);
}

enum tern_code tern_flatbuf_element(const struct tern_flatbuf_vector *vector, uint32_t i,
                                    struct tern_flatbuf_table *ret, struct tern_err *err)
{
    size_t at = vector->at + 4 * (size_t)i;

    return open_table(vector->text, at + (size_t)load(vector->text.p + at, 4), ret, err);
}
