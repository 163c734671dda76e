/* JSON as it is written: strings escaped, and what is no UTF-8 in them replaced. */
#include "wire/json.h"
#include "wire/json_int.h"

static void add_escape(struct tern_buf *buf, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_forms[0x20] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    char text[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};

    if (c >= 0x20 || short_forms[c] != '\0') {
        text[1] = c >= 0x20 ? (char)c : short_forms[c];
        tern_buf_add(buf, text, 2);
    } else {
        tern_buf_add(buf, text, 6);
    }
}

static void add_escaped(struct tern_buf *buf, struct tern_str s)
{
    const char *p = s.p, *end = s.p + s.n;
    uint64_t high = 0;

    while (p < end) {
        const char *stop = tern_json_plain_run(p, end, &high);
        tern_buf_add(buf, p, (size_t)(stop - p));
        if (stop < end)
            add_escape(buf, (unsigned char)*stop++);
        p = stop;
    }
}

/* Bytes from p on that are one valid sequence; 0 when there is none. */
static size_t valid_sequence(const char *p, const char *end)
{
    for (size_t n = 1; n <= 4 && n <= (size_t)(end - p); n++) {
        if (tern_str_is_utf8(tern_str_make(p, n)))
            return n;
    }
    return 0;
}

static void add_repaired(struct tern_buf *buf, struct tern_str s)
{
    const char *p = s.p, *end = s.p + s.n;

    while (p < end) {
        size_t n = valid_sequence(p, end);
        if (n == 0)
            TERN_BUF_ADD_LITERAL(buf, "\xEF\xBF\xBD");
        else
            add_escaped(buf, tern_str_make(p, n));
        p += n == 0 ? 1 : n;
    }
}

void tern_json_add_string(struct tern_buf *buf, struct tern_str s)
{
    uint64_t high = 0;
    bool plain = s.n == 0 || tern_json_plain_run(s.p, s.p + s.n, &high) == s.p + s.n;

    /* Nearly all strings are names: plain ASCII, in one piece with the quotes. */
    if (TERN_LIKELY(plain && (high & TERN_JSON_HIGH_BITS) == 0 && tern_buf_reserve(buf, s.n + 2))) {
        char *p = buf->p + buf->n;
        p[0] = '"';
        if (s.n > 0)
            memcpy(p + 1, s.p, s.n);
        p[s.n + 1] = '"';
        buf->n += s.n + 2;
        return;
    }
    tern_buf_add_char(buf, '"');
    if (TERN_LIKELY(tern_str_is_utf8(s)))
        add_escaped(buf, s);
    else
        add_repaired(buf, s);
    tern_buf_add_char(buf, '"');
}
