/* A bound configuration as protocol buffers (protobuf.dev/programming-guides/encoding). */
#include "base/num.h"
#include "registry/model_schema_value.h"
#include "wire/pb.h"

static uint64_t double_bits(double value)
{
    uint64_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static uint32_t float_bits(float value)
{
    uint32_t bits;

    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

/* The varint of a bound value: negative numbers take all ten bytes, whatever their type. */
static uint64_t varint_of(const struct tern_schema_field *field, struct tern_str text)
{
    uint64_t u = 0;
    int64_t i = 0;

    if (field->type == TERN_SCHEMA_BOOL)
        return tern_str_eq(text, TERN_STR("true"));
    if (field->type == TERN_SCHEMA_ENUM) {
        const struct tern_schema_enum *v = field->values;
        while (v->name != NULL && !tern_str_eq(text, tern_str_of(v->name)))
            v++;
        return v->name == NULL ? 0 : (uint64_t)(int64_t)v->number;
    }
    if (tern_num_parse_u64(text, UINT64_MAX, &u))
        return u;
    return tern_num_parse_i64(text, &i) ? (uint64_t)i : 0;
}

/* A scalar under its number. `always`: its presence says something, so a default is written too. */
static void encode_scalar(const struct tern_schema_field *field, struct tern_str text, bool always,
                          struct tern_buf *out)
{
    if (field->type == TERN_SCHEMA_STRING) {
        if (always || text.n > 0)
            tern_pb_add_bytes(out, field->number, text);
    } else if (field->type == TERN_SCHEMA_FLOAT) {
        uint32_t bits = float_bits((float)tern_model_schema_real(text));
        if (always || bits != 0)
            tern_pb_add_fixed32(out, field->number, bits);
    } else if (field->type == TERN_SCHEMA_DOUBLE) {
        uint64_t bits = double_bits(tern_model_schema_real(text));
        if (always || bits != 0)
            tern_pb_add_fixed64(out, field->number, bits);
    } else {
        uint64_t value = varint_of(field, text);
        if (always || value != 0)
            tern_pb_add_varint(out, field->number, value);
    }
}

static void add_little_endian(struct tern_buf *out, uint64_t bits, size_t n)
{
    for (size_t i = 0; i < n; i++)
        tern_buf_add_char(out, (char)(bits >> (8 * i)));
}

/* Numbers in a list stand packed: one length, then the bare values. */
static void encode_packed(const struct tern_schema_field *field, const struct tern_tree *list,
                          struct tern_buf *out)
{
    if (list->first == NULL)
        return;
    size_t mark = tern_pb_open(out, field->number);
    for (const struct tern_tree *e = list->first; e != NULL; e = e->next) {
        if (field->type == TERN_SCHEMA_FLOAT)
            add_little_endian(out, float_bits((float)tern_model_schema_real(e->text)), 4);
        else if (field->type == TERN_SCHEMA_DOUBLE)
            add_little_endian(out, double_bits(tern_model_schema_real(e->text)), 8);
        else
            tern_pb_put_varint(out, varint_of(field, e->text));
    }
    tern_pb_close(out, mark);
}

/* These call each other as deep as the schema nests (eight levels), never as deep as a file does.
 * NOLINTBEGIN(misc-no-recursion) */

static void encode_value(const struct tern_schema_field *field, const struct tern_tree *node,
                         bool always, struct tern_buf *out)
{
    if (field->type != TERN_SCHEMA_MESSAGE) {
        encode_scalar(field, node->text, always, out);
        return;
    }
    size_t mark = tern_pb_open(out, field->number);
    tern_model_schema_encode(field->message, node, out);
    tern_pb_close(out, mark);
}

/* An entry of a map is a message of its own: key = 1, value = 2. */
static void encode_map(const struct tern_schema_field *field, const struct tern_tree *map,
                       struct tern_buf *out)
{
    struct tern_schema_field key = {
        .number = 1, .type = field->number_keys ? TERN_SCHEMA_UINT64 : TERN_SCHEMA_STRING};
    struct tern_schema_field value = *field;

    value.number = 2;
    for (const struct tern_tree *e = map->first; e != NULL; e = e->next) {
        size_t mark = tern_pb_open(out, field->number);
        encode_scalar(&key, e->key, true, out);
        encode_value(&value, e, true, out);
        tern_pb_close(out, mark);
    }
}

static void encode_repeated(const struct tern_schema_field *field, const struct tern_tree *list,
                            struct tern_buf *out)
{
    if (field->type != TERN_SCHEMA_MESSAGE && field->type != TERN_SCHEMA_STRING) {
        encode_packed(field, list, out);
        return;
    }
    for (const struct tern_tree *e = list->first; e != NULL; e = e->next)
        encode_value(field, e, true, out);
}

void tern_model_schema_encode(const struct tern_schema_message *message,
                              const struct tern_tree *tree, struct tern_buf *out)
{
    for (uint32_t i = 0; i < message->n; i++) {
        const struct tern_schema_field *field = &message->fields[i];
        const struct tern_tree *node = tern_tree_find(tree, tern_str_of(field->name));
        if (node == NULL)
            continue;
        if (field->label == TERN_SCHEMA_MAP)
            encode_map(field, node, out);
        else if (field->label == TERN_SCHEMA_REPEATED)
            encode_repeated(field, node, out);
        else
            encode_value(field, node, field->label == TERN_SCHEMA_ONEOF, out);
    }
}
/* NOLINTEND(misc-no-recursion) */
