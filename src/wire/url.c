#include "wire/url.h"

#include <stdbool.h>

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    char low = (char)(c | 0x20);
    return low >= 'a' && low <= 'f' ? low - 'a' + 10 : -1;
}

static enum tern_code fail_traversal(const char *what, struct tern_err *err)
{
    return tern_fail(err, TERN_INVALID_ARGUMENT, "%s must not contain path traversal characters",
                     what);
}

static enum tern_code decode(const char *what, struct tern_str raw, char *dst, size_t cap,
                             size_t *ret_n, struct tern_err *err)
{
    size_t n = 0;

    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i];
        if (c == '%') {
            int high = i + 2 < raw.n ? hex_digit(raw.p[i + 1]) : -1;
            int low = i + 2 < raw.n ? hex_digit(raw.p[i + 2]) : -1;
            if (high < 0 || low < 0)
                return tern_fail(err, TERN_INVALID_ARGUMENT,
                                 "%s has a '%%' that two hexadecimal digits do not follow", what);
            c = (char)(high << 4 | low);
            i += 2;
            if (c == '/')
                return fail_traversal(what, err);
        }
        if (n == cap)
            return tern_fail(err, TERN_INVALID_ARGUMENT, "%s is longer than %zu bytes", what, cap);
        dst[n++] = c;
    }
    *ret_n = n;
    return TERN_OK;
}

static enum tern_code check(const char *what, struct tern_str s, struct tern_err *err)
{
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '\\')
            return fail_traversal(what, err);
        if (c < 0x20 || c == 0x7F)
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "%s must not contain control characters, got byte 0x%02x", what, c);
    }
    if (tern_str_eq(s, TERN_STR(".")) || tern_str_eq(s, TERN_STR("..")))
        return fail_traversal(what, err);
    if (!tern_str_is_utf8(s))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "%s is not valid UTF-8", what);
    return TERN_OK;
}

/* Letters, digits, '-' and '_', and '.' after the first byte: nothing to decode, nothing to doubt.
 */
static bool is_plain(struct tern_str raw)
{
    if (raw.n > 0 && raw.p[0] == '.')
        return false;
    for (size_t i = 0; i < raw.n; i++) {
        char c = raw.p[i], low = (char)(c | 0x20);
        if (!(low >= 'a' && low <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' &&
            c != '.')
            return false;
    }
    return true;
}

enum tern_code tern_url_segment(const char *what, struct tern_str raw, char *dst, size_t cap,
                                struct tern_str *ret, struct tern_err *err)
{
    struct tern_str s = raw;

    if (TERN_LIKELY(is_plain(raw))) {
        *ret = raw;
        return TERN_OK;
    }
    if (tern_str_find(raw, '%') < raw.n) {
        TERN_TRY(decode(what, raw, dst, cap, &s.n, err));
        s.p = dst;
    }
    TERN_TRY(check(what, s, err));
    *ret = s;
    return TERN_OK;
}

enum tern_code tern_url_check_http(struct tern_str url, struct tern_err *err)
{
    static const struct tern_str schemes[] = {{"http://", 7}, {"https://", 8}};
    struct tern_str rest = {NULL, 0};

    for (size_t i = 0; i < TERN_COUNT_OF(schemes); i++) {
        if (tern_str_starts(url, schemes[i]))
            rest = tern_str_from(url, schemes[i].n);
    }
    size_t host = 0;
    while (host < rest.n && rest.p[host] != '/' && rest.p[host] != '?')
        host++;
    if (url.n > TERN_URL_MAX || host == 0 || rest.p[0] == ':')
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "expected http:// or https://, a host, and at most %d bytes, got \"%.*s\"",
                         TERN_URL_MAX, TERN_STR_ARG(url));
    for (size_t i = 0; i < rest.n; i++) {
        unsigned char c = (unsigned char)rest.p[i];
        if (c <= ' ' || c == 127 || c == '#' || c == '\\' || (i < host && c == '@'))
            return tern_fail(err, TERN_INVALID_ARGUMENT,
                             "an address has no credentials, fragments, spaces or backslashes, got "
                             "\"%.*s\"",
                             TERN_STR_ARG(url));
    }
    return TERN_OK;
}
