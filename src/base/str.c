#include "base/str.h"

static char lower(char c)
{
    return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool tern_str_ends(struct tern_str s, struct tern_str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

bool tern_str_eq_nocase(struct tern_str a, struct tern_str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

int tern_str_cmp(struct tern_str a, struct tern_str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (order != 0)
        return order;
    return (a.n > b.n) - (a.n < b.n);
}

size_t tern_str_find(struct tern_str s, char c)
{
    const char *at = s.n == 0 ? NULL : memchr(s.p, c, s.n);
    return at == NULL ? s.n : (size_t)(at - s.p);
}

struct tern_str tern_str_trim(struct tern_str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool tern_str_split(struct tern_str *rest, char separator, struct tern_str *ret_piece)
{
    if (rest->p == NULL)
        return false;
    size_t at = tern_str_find(*rest, separator);
    *ret_piece = tern_str_make(rest->p, at);
    if (at == rest->n)
        *rest = tern_str_make(NULL, 0);
    else
        *rest = tern_str_make(rest->p + at + 1, rest->n - at - 1);
    return true;
}

bool tern_str_copy_z(struct tern_str s, char *dst, size_t cap)
{
    if (s.n >= cap) {
        if (cap > 0)
            dst[0] = '\0';
        return false;
    }
    if (s.n > 0)
        memcpy(dst, s.p, s.n);
    dst[s.n] = '\0';
    return true;
}

/* Length of the well-formed sequence at p (n bytes left), 0 when it is malformed. */
static size_t sequence_length(const unsigned char *p, size_t n)
{
    unsigned char c = p[0];
    unsigned char low = 0x80, high = 0xBF;
    size_t length;

    if (c < 0x80)
        return 1;
    if (c >= 0xC2 && c <= 0xDF) {
        length = 2;
    } else if (c >= 0xE0 && c <= 0xEF) {
        length = 3;
        low = c == 0xE0 ? 0xA0 : low;
        high = c == 0xED ? 0x9F : high;
    } else if (c >= 0xF0 && c <= 0xF4) {
        length = 4;
        low = c == 0xF0 ? 0x90 : low;
        high = c == 0xF4 ? 0x8F : high;
    } else {
        return 0;
    }
    if (n < length || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    }
    return length;
}

bool tern_str_is_utf8(struct tern_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t left = s.n;

    while (left >= 8) {
        uint64_t word;
        memcpy(&word, p, 8);
        if ((word & 0x8080808080808080u) == 0) {
            p += 8;
            left -= 8;
            continue;
        }
        size_t step = sequence_length(p, left);
        if (step == 0)
            return false;
        p += step;
        left -= step;
    }
    while (left > 0) {
        size_t step = *p < 0x80 ? 1 : sequence_length(p, left);
        if (step == 0)
            return false;
        p += step;
        left -= step;
    }
    return true;
}

size_t tern_str_put_utf8(uint32_t c, char dst[4])
{
    if (c < 0x80) {
        dst[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        dst[0] = (char)(0xC0 | c >> 6);
        dst[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        dst[0] = (char)(0xE0 | c >> 12);
        dst[1] = (char)(0x80 | (c >> 6 & 0x3F));
        dst[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    dst[0] = (char)(0xF0 | c >> 18);
    dst[1] = (char)(0x80 | (c >> 12 & 0x3F));
    dst[2] = (char)(0x80 | (c >> 6 & 0x3F));
    dst[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
