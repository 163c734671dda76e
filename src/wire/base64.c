#include "wire/base64.h"

#include <stdint.h>

size_t tern_base64_encode(struct tern_str bytes, bool padded, char *dst)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *p = (const unsigned char *)bytes.p;
    size_t n = 0;

    for (size_t i = 0; i < bytes.n; i += 3) {
        size_t have = bytes.n - i < 3 ? bytes.n - i : 3;
        uint32_t group = (uint32_t)p[i] << 16;
        if (have > 1)
            group |= (uint32_t)p[i + 1] << 8;
        if (have > 2)
            group |= p[i + 2];
        for (size_t k = 0; k <= have; k++)
            dst[n++] = alphabet[group >> (18 - 6 * k) & 63];
        for (size_t k = have; k < 3 && padded; k++)
            dst[n++] = '=';
    }
    return n;
}

/* The value of a character, or 64 and more for one outside of the alphabet. */
static uint32_t value_of(char c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint32_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint32_t)(c - 'a') + 26;
    if (c >= '0' && c <= '9')
        return (uint32_t)(c - '0') + 52;
    return c == '+' ? 62 : c == '/' ? 63 : 64;
}

/* The last four characters, of which one or two may be '='; their unused bits are zero. */
static bool decode_end(const char *p, char *dst, size_t *n)
{
    uint32_t a = value_of(p[0]), b = value_of(p[1]);
    uint32_t c = p[2] == '=' && p[3] == '=' ? 0 : value_of(p[2]);
    uint32_t d = p[3] == '=' ? 0 : value_of(p[3]);
    size_t bytes = p[3] != '=' ? 3 : p[2] != '=' ? 2 : 1;

    if ((a | b | c | d) > 63 || (bytes == 1 && (b & 15) != 0) || (bytes == 2 && (c & 3) != 0))
        return false;
    uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    for (size_t i = 0; i < bytes; i++)
        dst[(*n)++] = (char)(bits >> (16 - 8 * i));
    return true;
}

bool tern_base64_decode(struct tern_str text, char *dst, size_t *ret_n)
{
    size_t n = 0;

    *ret_n = 0;
    if (text.n % 4 != 0)
        return false;
    for (size_t at = 0; at + 4 < text.n; at += 4) {
        const char *p = text.p + at;
        uint32_t a = value_of(p[0]), b = value_of(p[1]), c = value_of(p[2]), d = value_of(p[3]);
        if ((a | b | c | d) > 63)
            return false;
        uint32_t bits = a << 18 | b << 12 | c << 6 | d;
        dst[n++] = (char)(bits >> 16);
        dst[n++] = (char)(bits >> 8);
        dst[n++] = (char)bits;
    }
    if (text.n > 0 && !decode_end(text.p + text.n - 4, dst, &n))
        return false;
    *ret_n = n;
    return true;
}

static TERN_COLD enum tern_code fail_at(size_t at, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "the base64 of the message ends or breaks at character %zu", at);
}

enum tern_code tern_base64_decode_pieces(struct tern_str text, char *dst, size_t *ret_n,
                                         struct tern_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < text.n; i += 4) {
        size_t have = 0, left = text.n - i < 4 ? text.n - i : 4;
        uint32_t group = 0;
        for (; have < left && value_of(text.p[i + have]) < 64; have++)
            group |= value_of(text.p[i + have]) << (18 - 6 * have);
        for (size_t k = have; k < left; k++) {
            if (text.p[i + k] != '=')
                return fail_at(i + k, err);
        }
        if (have < 2)
            return fail_at(i + have, err);
        for (size_t k = 0; k + 1 < have; k++)
            dst[n++] = (char)(group >> (16 - 8 * k));
    }
    *ret_n = n;
    return TERN_OK;
}
