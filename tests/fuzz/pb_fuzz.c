/* Any bytes as a message: every field lies inside it, and what was read, written again, reads the
 * same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "wire/pb.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_field(struct tern_buf *buf, const struct tern_pb_field *field)
{
    switch (field->wire) {
    case TERN_PB_VARINT:
        tern_pb_add_varint(buf, field->number, field->value);
        break;
    case TERN_PB_FIXED64:
        tern_pb_add_fixed64(buf, field->number, field->value);
        break;
    case TERN_PB_FIXED32:
        tern_pb_add_fixed32(buf, field->number, (uint32_t)field->value);
        break;
    case TERN_PB_BYTES: {
        size_t mark = tern_pb_open(buf, field->number);
        tern_buf_add_str(buf, field->bytes);
        tern_pb_close(buf, mark);
        break;
    }
    default:
        abort();
    }
}

static bool same(const struct tern_pb_field *a, const struct tern_pb_field *b)
{
    return a->number == b->number && a->wire == b->wire && a->value == b->value &&
           tern_str_eq(a->bytes, b->bytes);
}

static void read_packed(struct tern_str list)
{
    size_t at = 0, n = 0, count = tern_pb_packed_count(list);
    uint64_t value;

    while (tern_pb_packed_varint(list, &at, &value))
        n++;
    if (at == list.n ? n != count : n > count)
        abort();
}

/* Whole messages only: what the writer gave has to be one. */
static void read_again(struct tern_str written, struct tern_str original)
{
    struct tern_pb a, b;
    struct tern_pb_field fa, fb;
    bool more_a = true, more_b = true;

    tern_pb_init(&a, written);
    tern_pb_init(&b, original);
    for (;;) {
        if (tern_pb_next(&a, &fa, &more_a, NULL) != TERN_OK ||
            tern_pb_next(&b, &fb, &more_b, NULL) != TERN_OK || more_a != more_b)
            abort();
        if (!more_a)
            return;
        if (!same(&fa, &fb))
            abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = malloc(size + 1); /* so that a sanitizer sees a read past it */
    struct tern_pb pb;
    struct tern_pb_field field;
    struct tern_buf buf;
    bool more = true;

    if (copy == NULL)
        abort();
    char *exact = copy + 1;
    memcpy(exact, data, size);
    tern_buf_init(&buf, 1u << 24);
    tern_pb_init(&pb, tern_str_make(exact, size));
    enum tern_code code;
    while ((code = tern_pb_next(&pb, &field, &more, NULL)) == TERN_OK && more) {
        if (field.bytes.n > 0 &&
            (field.bytes.p < exact || field.bytes.p + field.bytes.n > exact + size))
            abort();
        if (field.wire == TERN_PB_BYTES)
            read_packed(field.bytes);
        write_field(&buf, &field);
    }
    if (buf.failed)
        abort();
    if (code == TERN_OK)
        read_again(tern_buf_str(&buf), tern_str_make(exact, size));
    tern_buf_fini(&buf);
    free(copy);
    return 0;
}
