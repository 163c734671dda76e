#include "wire/grpc.h"

#include "base/num.h"

#define TIMEOUT_DIGITS 8

bool tern_grpc_read_prefix(struct tern_str bytes, struct tern_grpc_prefix *ret)
{
    const unsigned char *p = (const unsigned char *)bytes.p;

    if (bytes.n < TERN_GRPC_PREFIX_SIZE)
        return false;
    ret->flags = p[0];
    ret->n = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | (uint32_t)p[4];
    return true;
}

void tern_grpc_write_prefix(struct tern_grpc_prefix prefix, char dst[TERN_GRPC_PREFIX_SIZE])
{
    dst[0] = (char)prefix.flags;
    for (unsigned i = 0; i < 4; i++)
        dst[1 + i] = (char)(prefix.n >> (24 - 8 * i));
}

/* ---- grpc-timeout ---- */

static uint64_t unit_ns(char unit)
{
    switch (unit) {
    case 'H':
        return UINT64_C(3600000000000);
    case 'M':
        return UINT64_C(60000000000);
    case 'S':
        return UINT64_C(1000000000);
    case 'm':
        return UINT64_C(1000000);
    case 'u':
        return UINT64_C(1000);
    case 'n':
        return 1;
    default:
        return 0;
    }
}

enum tern_code tern_grpc_parse_timeout(struct tern_str value, uint64_t *ret_ns,
                                       struct tern_err *err)
{
    uint64_t number = 0, unit = value.n == 0 ? 0 : unit_ns(value.p[value.n - 1]);

    if (unit == 0 || value.n > TIMEOUT_DIGITS + 1 ||
        !tern_num_parse_u64(tern_str_make(value.p, value.n - 1), UINT64_MAX, &number))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "header grpc-timeout: expected up to 8 digits and one of H, M, S, m, u, "
                         "n, got '%.*s'",
                         TERN_STR_ARG(value));
    if (__builtin_mul_overflow(number, unit, ret_ns))
        *ret_ns = UINT64_MAX;
    return TERN_OK;
}

/* ---- grpc-message ---- */

size_t tern_grpc_encode_message(struct tern_str text, char *dst)
{
    static const char digits[] = "0123456789ABCDEF";
    size_t n = 0;

    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c >= ' ' && c <= '~' && c != '%') {
            dst[n++] = (char)c;
        } else {
            dst[n++] = '%';
            dst[n++] = digits[c >> 4];
            dst[n++] = digits[c & 15];
        }
    }
    return n;
}
