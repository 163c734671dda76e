/* Protocol buffers, the wire format only (protobuf.dev/programming-guides/encoding): a reader that
 * walks fields in place and a writer that appends. No message types: who reads a message switches
 * on its field numbers, as the .proto files in api/ have them.
 *
 * The reader copies nothing: bytes are slices of the message. It refuses truncated fields, varints
 * of more than ten bytes, field number 0, numbers above 2^29-1 and groups; unknown fields are
 * passed over. Nesting is the caller's: a sub-message is a slice to be read by another reader.
 *
 * The writer leaves out nothing by itself; a caller that wants proto3's defaults left out uses the
 * _unless_zero and _unless_empty forms. A sub-message is opened and closed (tern_pb_open,
 * tern_pb_close), so a message is written front to back in one pass: one byte is kept for its
 * length, and what proves longer than 127 bytes is moved by the bytes that were missing. Large
 * contents whose size is known go out after tern_pb_add_head instead. */
#ifndef TERN_WIRE_PB_H
#define TERN_WIRE_PB_H

#include <stdbool.h>
#include <stdint.h>
#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

enum tern_pb_wire {
    TERN_PB_VARINT = 0,
    TERN_PB_FIXED64 = 1,
    TERN_PB_BYTES = 2, /* strings, sub-messages, packed lists */
    TERN_PB_FIXED32 = 5,
};

struct tern_pb {
    const char *p;
    const char *end;
    const char *message; /* where it began, for the offsets in errors */
};

/* One field as it stands on the wire. */
struct tern_pb_field {
    uint32_t number;
    enum tern_pb_wire wire;
    uint64_t value;        /* VARINT, FIXED32, FIXED64 */
    struct tern_str bytes; /* BYTES */
};

void tern_pb_init(struct tern_pb *pb, struct tern_str message);
/* The next field; *ret_more false at the end. INVALID_ARGUMENT tells the offset. */
enum tern_code tern_pb_next(struct tern_pb *pb, struct tern_pb_field *ret, bool *ret_more,
                            struct tern_err *err);
/* Passes over the numbers (VARINT, FIXED32, FIXED64) that follow a field with its tag, as lists
 * that are not packed have them, and answers how many those were. They are put into `to`, which has
 * room for them (8 bytes each, 4 of FIXED32), unless it is NULL. What is damaged is left to next.
 */
size_t tern_pb_run(struct tern_pb *pb, const struct tern_pb_field *field, void *to);
/* Whether the field has the wire type that its number wants; the error names `what`. */
enum tern_code tern_pb_want(const struct tern_pb_field *field, enum tern_pb_wire wire,
                            const char *what, struct tern_err *err);
/* A string field: BYTES that are UTF-8. */
enum tern_code tern_pb_text(const struct tern_pb_field *field, const char *what,
                            struct tern_str *ret, struct tern_err *err);
/* The text of the field with that number, the last one where there are several, as proto3 says.
 * *ret is left as it is where there is none; other fields are passed over. */
enum tern_code tern_pb_find_text(struct tern_str message, uint32_t number, const char *what,
                                 struct tern_str *ret, struct tern_err *err);
/* The next element of a packed list of varints, *at bytes into it, which is 0 at the start; false
 * at its end or when it is damaged (then *at > list.n). */
bool tern_pb_packed_varint(struct tern_str list, size_t *at, uint64_t *ret);
/* How many varints a packed list has: bytes that end one. A damaged list is counted all the same.
 */
size_t tern_pb_packed_count(struct tern_str list);

/* Room for the tag and the length of a field: what precedes bytes that are sent from elsewhere. */
#define TERN_PB_HEAD_MAX 15
/* Writes tag and length of a BYTES field of n bytes; answers how many bytes that took. */
size_t tern_pb_write_head(char dst[TERN_PB_HEAD_MAX], uint32_t number, uint64_t n);

/* Writer. */
void tern_pb_add_varint(struct tern_buf *buf, uint32_t number, uint64_t value);
void tern_pb_add_fixed32(struct tern_buf *buf, uint32_t number, uint32_t value);
void tern_pb_add_fixed64(struct tern_buf *buf, uint32_t number, uint64_t value);
void tern_pb_add_bytes(struct tern_buf *buf, uint32_t number, struct tern_str bytes);
/* Tag and length of a BYTES field; the caller appends its n bytes. */
void tern_pb_add_head(struct tern_buf *buf, uint32_t number, uint64_t n);
void tern_pb_add_varint_unless_zero(struct tern_buf *buf, uint32_t number, uint64_t value);
void tern_pb_add_bytes_unless_empty(struct tern_buf *buf, uint32_t number, struct tern_str bytes);
/* Starts a sub-message (or a packed list): answers a mark for its close. */
size_t tern_pb_open(struct tern_buf *buf, uint32_t number);
void tern_pb_close(struct tern_buf *buf, size_t mark);
/* The same, when `more` bytes of it follow from elsewhere. */
void tern_pb_close_before(struct tern_buf *buf, size_t mark, size_t more);
/* A varint without a tag, for packed lists; and how many bytes it takes. */
void tern_pb_put_varint(struct tern_buf *buf, uint64_t value);
size_t tern_pb_varint_size(uint64_t value);

#endif
