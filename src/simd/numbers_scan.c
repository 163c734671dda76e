/* Where a JSON value ends, and how many elements an array can have, without reading its values. */
#include "simd/numbers_int.h"
#include "simd/simd.h"

#define BLOCK 64

static struct tern_numbers_masks masks_of(const char *p, size_t n)
{
    struct tern_numbers_masks m = {0};
    for (size_t i = 0; i < n; i++) {
        uint64_t bit = (uint64_t)1 << i;
        char c = p[i];
        m.quote |= c == '"' ? bit : 0;
        m.backslash |= c == '\\' ? bit : 0;
        m.open |= c == '[' || c == '{' ? bit : 0;
        m.close |= c == ']' || c == '}' ? bit : 0;
        m.comma |= c == ',' ? bit : 0;
    }
    return m;
}

size_t tern_numbers_scan_portable(struct tern_numbers_scan *s, const char *p, size_t n)
{
    for (size_t at = 0; at < n; at += BLOCK) {
        struct tern_numbers_masks m = masks_of(p + at, n - at < BLOCK ? n - at : BLOCK);
        unsigned found = tern_numbers_scan_block(s, &m);
        if (found != 0)
            return found > BLOCK ? SIZE_MAX : at + found;
    }
    return 0;
}

/* The length of the array or object at text.p, or 0; s->commas counts the commas seen. */
static size_t scan(struct tern_numbers_scan *s, struct tern_str text)
{
    size_t whole = text.n / BLOCK * BLOCK;
    size_t length = 0;
    if (tern_simd.numbers_scan != NULL && whole != 0)
        length = tern_simd.numbers_scan(s, text.p, whole);
    else
        whole = 0;
    if (length == 0 && whole < text.n) {
        length = tern_numbers_scan_portable(s, text.p + whole, text.n - whole);
        length += length != 0 && length != SIZE_MAX ? whole : 0;
    }
    return length == SIZE_MAX ? 0 : length;
}

size_t tern_numbers_bound(struct tern_str text)
{
    struct tern_numbers_scan s = {.max_depth = SIZE_MAX};
    if (text.n == 0)
        return 0;
    scan(&s, text);
    return s.commas + 1;
}

static size_t skip_string(struct tern_str text)
{
    for (size_t i = 1; i < text.n; i++) {
        if (text.p[i] == '\\')
            i++;
        else if (text.p[i] == '"')
            return i + 1;
    }
    return 0;
}

static bool ends_scalar(char c)
{
    return c == ',' || c == ']' || c == '}' || c == ':' || c == ' ' || c == '\t' || c == '\n' ||
           c == '\r';
}

size_t tern_numbers_skip(struct tern_str text, unsigned max_depth)
{
    struct tern_numbers_scan s = {.max_depth = max_depth};
    if (text.n == 0)
        return 0;
    if (text.p[0] == '[' || text.p[0] == '{')
        return scan(&s, text);
    if (text.p[0] == '"')
        return skip_string(text);
    size_t n = 0;
    while (n < text.n && !ends_scalar(text.p[n]))
        n++;
    return n;
}
