/* One field of an HTTP message, whatever version carried it (RFC 9110 5). */
#ifndef TERN_WIRE_HEADER_H
#define TERN_WIRE_HEADER_H

#include <stddef.h>
#include <stdint.h>
#include "base/str.h"

struct tern_header {
    struct tern_str name; /* as it came (h1) or lower case (h2); compare without case */
    struct tern_str value;
};

/* One bit of 64 for each name, whatever its case: a set of these says at once that a name is not
 * among the fields of a message. A literal's bit is a constant. */
TERN_INLINE uint64_t tern_header_bit(struct tern_str name)
{
    unsigned last = name.n == 0 ? 0 : (unsigned char)name.p[name.n - 1] | 0x20u;

    return UINT64_C(1) << ((name.n * 11 + last) & 63);
}

/* How large the head of a request may be, whatever version carried it. What is larger is answered
 * with 414 (the target) or 431. */
struct tern_head_limits {
    size_t target_max; /* bytes of the request target */
    size_t field_max;  /* bytes of one field, name and value */
    size_t bytes_max;  /* all of it; HTTP/2 counts 32 more a field (RFC 9113 6.5.2) */
    uint32_t fields_max;
};

#define TERN_HEAD_FIELDS_MAX 100u /* what fields_max may be: arrays are that long */
#define TERN_HEAD_LIMITS_DEFAULT                                                \
    {                                                                           \
        .target_max = 8u << 10, .field_max = 16u << 10, .bytes_max = 32u << 10, \
        .fields_max = TERN_HEAD_FIELDS_MAX                                      \
    }

#endif
