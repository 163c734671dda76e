#include "wire/pb.h"

#include <string.h>

#define VARINT_MAX 10
#define NUMBER_MAX ((1u << 29) - 1)
#define LENGTH_MAX ((UINT64_C(1) << 31) - 1) /* what every other implementation stops at */

/* ---- reader ---- */

#define TOP_BITS UINT64_C(0x8080808080808080)

/* A varint of up to eight bytes, of which eight can be read: 0, it is longer. How many it has
 * cannot be predicted, so no branch asks. */
TERN_INLINE size_t read_middling(const char *p, uint64_t *ret)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x)); /* little-endian */
    uint64_t stops = ~x & TOP_BITS;
    if (TERN_UNLIKELY(stops == 0))
        return 0;
    x &= (stops ^ (stops - 1)) & ~TOP_BITS; /* up to the first byte without its top bit */
    x = (x & UINT64_C(0x7f007f007f007f00)) >> 1 | (x & UINT64_C(0x007f007f007f007f));
    x = (x & UINT64_C(0x3fff00003fff0000)) >> 2 | (x & UINT64_C(0x00003fff00003fff));
    *ret = (x & UINT64_C(0x0fffffff00000000)) >> 4 | (x & UINT64_C(0x000000000fffffff));
    return (size_t)__builtin_ctzll(stops) / 8 + 1;
}

/* Bytes that the varint at p took, 0 when it does not end in time. The tenth byte can only hold the
 * 64th bit. */
static size_t read_varint(const char *p, size_t n, uint64_t *ret)
{
    const unsigned char *q = (const unsigned char *)p;
    uint64_t value = 0;

    if (TERN_LIKELY(n > 0 && q[0] < 0x80)) {
        *ret = q[0];
        return 1;
    }
    for (size_t i = 0; i < n && i < VARINT_MAX; i++) {
        value |= (uint64_t)(q[i] & 0x7f) << (7 * i);
        if (q[i] >= 0x80)
            continue;
        if (i == VARINT_MAX - 1 && q[i] > 1)
            return 0;
        *ret = value;
        return i + 1;
    }
    return 0;
}

void tern_pb_init(struct tern_pb *pb, struct tern_str message)
{
    pb->p = message.p;
    pb->end = message.n == 0 ? message.p : message.p + message.n;
    pb->message = message.p;
}

static TERN_COLD enum tern_code fail_at(const struct tern_pb *pb, const char *what,
                                        struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "malformed message: %s at byte %zu", what,
                     (size_t)(pb->p - pb->message));
}

static size_t left(const struct tern_pb *pb)
{
    return (size_t)(pb->end - pb->p);
}

static enum tern_code read_fixed(struct tern_pb *pb, size_t n, uint64_t *ret, struct tern_err *err)
{
    uint64_t value = 0;

    if (left(pb) < n)
        return fail_at(pb, "a field that is cut off", err);
    for (size_t i = 0; i < n; i++)
        value |= (uint64_t)(unsigned char)pb->p[i] << (8 * i);
    pb->p += n;
    *ret = value;
    return TERN_OK;
}

static enum tern_code read_bytes(struct tern_pb *pb, struct tern_str *ret, struct tern_err *err)
{
    uint64_t length = 0;
    size_t used = read_varint(pb->p, left(pb), &length);

    if (used == 0)
        return fail_at(pb, "a length that is no varint", err);
    if (length > LENGTH_MAX || length > left(pb) - used)
        return fail_at(pb, "a length beyond the end", err);
    *ret = tern_str_make(pb->p + used, (size_t)length);
    pb->p += used + (size_t)length;
    return TERN_OK;
}

/* Most fields by far: a number below 16 with less than 128 bytes. */
TERN_INLINE bool read_short(struct tern_pb *pb, struct tern_pb_field *ret)
{
    const unsigned char *p = (const unsigned char *)pb->p;
    size_t n = left(pb);

    if (n < 2 || (p[0] & 0x87) != TERN_PB_BYTES || p[0] < 8 || p[1] >= 0x80 || p[1] > n - 2)
        return false;
    ret->number = p[0] >> 3;
    ret->wire = TERN_PB_BYTES;
    ret->value = 0;
    ret->bytes = tern_str_make(pb->p + 2, p[1]);
    pb->p += 2 + (size_t)p[1];
    return true;
}

enum tern_code tern_pb_next(struct tern_pb *pb, struct tern_pb_field *ret, bool *ret_more,
                            struct tern_err *err)
{
    uint64_t tag = 0;

    *ret_more = pb->p < pb->end;
    if (!*ret_more)
        return TERN_OK;
    if (TERN_LIKELY(read_short(pb, ret)))
        return TERN_OK;
    size_t used = read_varint(pb->p, left(pb), &tag);
    if (used == 0 || tag >> 3 == 0 || tag >> 3 > NUMBER_MAX)
        return fail_at(pb, "a tag without a field number", err);
    ret->number = (uint32_t)(tag >> 3);
    ret->value = 0;
    ret->bytes = tern_str_make(NULL, 0);
    switch (tag & 7) {
    case TERN_PB_VARINT:
        ret->wire = TERN_PB_VARINT;
        pb->p += used;
        used = read_varint(pb->p, left(pb), &ret->value);
        if (used == 0)
            return fail_at(pb, "a value that is no varint", err);
        pb->p += used;
        return TERN_OK;
    case TERN_PB_FIXED64:
        ret->wire = TERN_PB_FIXED64;
        pb->p += used;
        return read_fixed(pb, 8, &ret->value, err);
    case TERN_PB_BYTES:
        ret->wire = TERN_PB_BYTES;
        pb->p += used;
        return read_bytes(pb, &ret->bytes, err);
    case TERN_PB_FIXED32:
        ret->wire = TERN_PB_FIXED32;
        pb->p += used;
        return read_fixed(pb, 4, &ret->value, err);
    default:
        return fail_at(pb, "a group or an unknown wire type", err);
    }
}

static const char *wire_name(enum tern_pb_wire wire)
{
    switch (wire) {
    case TERN_PB_VARINT:
        return "a varint";
    case TERN_PB_FIXED64:
        return "eight bytes";
    case TERN_PB_BYTES:
        return "a length and bytes";
    case TERN_PB_FIXED32:
    default:
        return "four bytes";
    }
}

/* The number of one field behind its tag: how many bytes it has; 0: it is damaged. */
TERN_INLINE size_t read_number(const char *p, size_t n, enum tern_pb_wire wire, uint64_t *ret)
{
    size_t width = wire == TERN_PB_FIXED32 ? 4 : 8, used = 0;

    if (wire == TERN_PB_VARINT) {
        if (n >= sizeof(*ret) && (unsigned char)*p >= 0x80)
            used = read_middling(p, ret);
        return used > 0 ? used : read_varint(p, n, ret);
    }
    if (n < width)
        return 0;
    memcpy(ret, p, width); /* little-endian; what is above is not looked at */
    return width;
}

TERN_INLINE size_t run_of(struct tern_pb *pb, char tag, enum tern_pb_wire wire, char *to)
{
    size_t width = wire == TERN_PB_FIXED32 ? 4 : 8, n = 0;
    const char *p = pb->p;

    for (; p < pb->end && *p == tag; n++) {
        uint64_t value = 0;
        size_t used = read_number(p + 1, (size_t)(pb->end - p) - 1, wire, &value);
        if (TERN_UNLIKELY(used == 0))
            break;
        if (to != NULL) {
            memcpy(to, &value, width);
            to += width;
        }
        p += 1 + used;
    }
    pb->p = p;
    return n;
}

size_t tern_pb_run(struct tern_pb *pb, const struct tern_pb_field *field, void *to)
{
    char tag = (char)(field->number << 3 | (unsigned)field->wire);

    if (field->number >= 16)
        return 0;
    switch (field->wire) { /* known where the loop is compiled */
    case TERN_PB_VARINT:
        return run_of(pb, tag, TERN_PB_VARINT, to);
    case TERN_PB_FIXED32:
        return run_of(pb, tag, TERN_PB_FIXED32, to);
    case TERN_PB_FIXED64:
        return run_of(pb, tag, TERN_PB_FIXED64, to);
    case TERN_PB_BYTES:
    default:
        return 0;
    }
}

enum tern_code tern_pb_want(const struct tern_pb_field *field, enum tern_pb_wire wire,
                            const char *what, struct tern_err *err)
{
    if (TERN_LIKELY(field->wire == wire))
        return TERN_OK;
    return tern_fail(err, TERN_INVALID_ARGUMENT, "malformed message: %s is %s, expected %s", what,
                     wire_name(field->wire), wire_name(wire));
}

enum tern_code tern_pb_text(const struct tern_pb_field *field, const char *what,
                            struct tern_str *ret, struct tern_err *err)
{
    TERN_TRY(tern_pb_want(field, TERN_PB_BYTES, what, err));
    if (!tern_str_is_utf8(field->bytes))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "malformed message: %s is not UTF-8", what);
    *ret = field->bytes;
    return TERN_OK;
}

enum tern_code tern_pb_find_text(struct tern_str message, uint32_t number, const char *what,
                                 struct tern_str *ret, struct tern_err *err)
{
    struct tern_pb pb;
    struct tern_pb_field field;
    bool more;

    tern_pb_init(&pb, message);
    for (;;) {
        TERN_TRY(tern_pb_next(&pb, &field, &more, err));
        if (!more)
            return TERN_OK;
        if (field.number == number)
            TERN_TRY(tern_pb_text(&field, what, ret, err));
        else
            (void)tern_pb_run(&pb, &field, NULL);
    }
}

bool tern_pb_packed_varint(struct tern_str list, size_t *at, uint64_t *ret)
{
    if (*at >= list.n)
        return false;
    size_t used = read_varint(list.p + *at, list.n - *at, ret);
    if (used == 0) {
        *at = list.n + 1;
        return false;
    }
    *at += used;
    return true;
}

size_t tern_pb_packed_count(struct tern_str list)
{
    size_t count = 0;

    for (size_t i = 0; i < list.n; i++)
        count += ((unsigned char)list.p[i] & 0x80) == 0;
    return count;
}

/* ---- writer ---- */

static size_t write_varint(char *dst, uint64_t value)
{
    size_t n = 0;

    while (value >= 0x80) {
        dst[n++] = (char)(value | 0x80);
        value >>= 7;
    }
    dst[n++] = (char)value;
    return n;
}

static uint64_t tag_of(uint32_t number, enum tern_pb_wire wire)
{
    return (uint64_t)number << 3 | (uint64_t)wire;
}

size_t tern_pb_varint_size(uint64_t value)
{
    size_t n = 1;

    while (value >= 0x80) {
        value >>= 7;
        n++;
    }
    return n;
}

void tern_pb_put_varint(struct tern_buf *buf, uint64_t value)
{
    if (tern_buf_reserve(buf, VARINT_MAX))
        buf->n += write_varint(buf->p + buf->n, value);
}

size_t tern_pb_write_head(char dst[TERN_PB_HEAD_MAX], uint32_t number, uint64_t n)
{
    size_t used = write_varint(dst, tag_of(number, TERN_PB_BYTES));

    return used + write_varint(dst + used, n);
}

void tern_pb_add_varint(struct tern_buf *buf, uint32_t number, uint64_t value)
{
    tern_pb_put_varint(buf, tag_of(number, TERN_PB_VARINT));
    tern_pb_put_varint(buf, value);
}

static void add_fixed(struct tern_buf *buf, uint64_t tag, uint64_t value, size_t n)
{
    tern_pb_put_varint(buf, tag);
    if (!tern_buf_reserve(buf, n))
        return;
    for (size_t i = 0; i < n; i++)
        buf->p[buf->n++] = (char)(value >> (8 * i));
}

void tern_pb_add_fixed32(struct tern_buf *buf, uint32_t number, uint32_t value)
{
    add_fixed(buf, tag_of(number, TERN_PB_FIXED32), value, 4);
}

void tern_pb_add_fixed64(struct tern_buf *buf, uint32_t number, uint64_t value)
{
    add_fixed(buf, tag_of(number, TERN_PB_FIXED64), value, 8);
}

void tern_pb_add_head(struct tern_buf *buf, uint32_t number, uint64_t n)
{
    if (tern_buf_reserve(buf, TERN_PB_HEAD_MAX))
        buf->n += tern_pb_write_head(buf->p + buf->n, number, n);
}

void tern_pb_add_bytes(struct tern_buf *buf, uint32_t number, struct tern_str bytes)
{
    tern_pb_add_head(buf, number, bytes.n);
    tern_buf_add_str(buf, bytes);
}

void tern_pb_add_varint_unless_zero(struct tern_buf *buf, uint32_t number, uint64_t value)
{
    if (value != 0)
        tern_pb_add_varint(buf, number, value);
}

void tern_pb_add_bytes_unless_empty(struct tern_buf *buf, uint32_t number, struct tern_str bytes)
{
    if (bytes.n > 0)
        tern_pb_add_bytes(buf, number, bytes);
}

size_t tern_pb_open(struct tern_buf *buf, uint32_t number)
{
    tern_pb_put_varint(buf, tag_of(number, TERN_PB_BYTES));
    tern_buf_add_char(buf, 0);
    return buf->n;
}

void tern_pb_close_before(struct tern_buf *buf, size_t mark, size_t more)
{
    if (buf->failed)
        return;
    size_t n = buf->n - mark, move = tern_pb_varint_size(n + more) - 1;
    if (TERN_UNLIKELY(move > 0)) {
        if (!tern_buf_reserve(buf, move))
            return;
        memmove(buf->p + mark + move, buf->p + mark, n);
        buf->n += move;
    }
    write_varint(buf->p + mark - 1, n + more);
}

void tern_pb_close(struct tern_buf *buf, size_t mark)
{
    tern_pb_close_before(buf, mark, 0);
}
