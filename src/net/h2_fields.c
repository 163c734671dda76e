/* The rules that the fields of a request keep (RFC 9113 8.1.1, 8.2, 8.3). nghttp2 checks them too,
 * byte by byte for each request, and a call of gRPC costs it a fifth more instructions then. But
 * clients say the same again and again: HPACK sends a field that was sent before as a number, and
 * nghttp2 answers it with the same two buffers. What they mean is worked out once a connection. */
#include "net/h2_int.h"

#include <string.h>
#include "base/num.h"

#define KNOWN_BYTES_MAX 256u /* of a value that is remembered, and so kept */

enum flag {
    SEEN_METHOD = 1u << 0,
    SEEN_SCHEME = 1u << 1,
    SEEN_PATH = 1u << 2,
    SEEN_AUTHORITY = 1u << 3,
    SEEN_HOST = 1u << 4,
    SEEN_LENGTH = 1u << 5,
    SEEN_REGULAR = 1u << 6, /* no pseudo-header field may follow */
    IS_CONNECT = 1u << 7,
    IS_OPTIONS = 1u << 8,
    IS_HTTP = 1u << 9, /* the scheme: paths have a form */
    IS_SLASH = 1u << 10,
    IS_STAR = 1u << 11,
    IS_BAD = 1u << 12,
    ONCE = SEEN_METHOD | SEEN_SCHEME | SEEN_PATH | SEEN_AUTHORITY | SEEN_HOST | SEEN_LENGTH,
};

static enum tern_h2_field field_of(struct tern_str name)
{
#define IS(literal, field)                    \
    if (tern_str_eq(name, TERN_STR(literal))) \
    return (field)
    switch (name.n) {
    case 2:
        IS("te", TERN_H2_FIELD_TE);
        break;
    case 4:
        IS("host", TERN_H2_FIELD_HOST);
        break;
    case 5:
        IS(":path", TERN_H2_FIELD_PATH);
        break;
    case 6:
        IS("expect", TERN_H2_FIELD_EXPECT);
        break;
    case 7:
        IS(":method", TERN_H2_FIELD_METHOD);
        IS(":scheme", TERN_H2_FIELD_SCHEME);
        IS("upgrade", TERN_H2_FIELD_CONNECTION);
        break;
    case 10:
        IS(":authority", TERN_H2_FIELD_AUTHORITY);
        IS("connection", TERN_H2_FIELD_CONNECTION);
        IS("keep-alive", TERN_H2_FIELD_CONNECTION);
        break;
    case 12:
        IS("content-type", TERN_H2_FIELD_CONTENT_TYPE);
        break;
    case 14:
        IS("content-length", TERN_H2_FIELD_CONTENT_LENGTH);
        break;
    case 16:
        IS("content-encoding", TERN_H2_FIELD_CONTENT_ENCODING);
        IS("proxy-connection", TERN_H2_FIELD_CONNECTION);
        break;
    case 17:
        IS("transfer-encoding", TERN_H2_FIELD_CONNECTION);
        break;
    default:
        break;
    }
#undef IS
    return name.n > 0 && name.p[0] == ':' ? TERN_H2_FIELD_PSEUDO : TERN_H2_FIELD_OTHER;
}

#define ONES UINT64_C(0x0101010101010101)

/* Whether one of eight bytes is at most `limit` (below 0x80), or DEL. The first that is found is
 * one; those behind it may not be. */
TERN_INLINE bool has_control(const char *p, unsigned char limit)
{
    uint64_t w, del;

    memcpy(&w, p, sizeof(w));
    del = w ^ ONES * 0x7f;
    return ((((w - ONES * (limit + 1u)) & ~w) | ((del - ONES) & ~del)) & ONES << 7) != 0;
}

/* Whether all bytes are above `limit` and none is DEL. The last eight may be looked at twice. */
TERN_INLINE bool is_above(struct tern_str s, unsigned char limit)
{
    if (s.n < sizeof(uint64_t)) {
        for (size_t i = 0; i < s.n; i++) {
            if ((unsigned char)s.p[i] <= limit || s.p[i] == 0x7f)
                return false;
        }
        return true;
    }
    for (size_t i = 0; i < s.n - sizeof(uint64_t); i += sizeof(uint64_t)) {
        if (has_control(s.p + i, limit))
            return false;
    }
    return !has_control(s.p + s.n - sizeof(uint64_t), limit);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* RFC 9110 5.5: field-content, without blanks around it (RFC 9113 8.2.1). */
static bool is_value(struct tern_str value)
{
    if (value.n > 0 && (is_blank(value.p[0]) || is_blank(value.p[value.n - 1])))
        return false;
    if (TERN_LIKELY(is_above(value, 0x1f)))
        return true;
    for (size_t i = 0; i < value.n; i++) {
        unsigned char c = (unsigned char)value.p[i];
        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* RFC 3986 3.1 */
static bool is_scheme(struct tern_str value)
{
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        bool later = (c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.';
        if (!is_letter(c) && (i == 0 || !later))
            return false;
    }
    return value.n > 0;
}

static bool is_http(struct tern_str value)
{
    return tern_str_eq_nocase(value, TERN_STR("http")) ||
           tern_str_eq_nocase(value, TERN_STR("https"));
}

static uint32_t path_flags(struct tern_str value)
{
    if (!is_above(value, ' '))
        return IS_BAD;
    if (value.n > 0 && value.p[0] == '/')
        return SEEN_PATH | IS_SLASH;
    return tern_str_eq(value, TERN_STR("*")) ? SEEN_PATH | IS_STAR : SEEN_PATH;
}

static uint32_t method_flags(struct tern_str value)
{
    if (nghttp2_check_method((const uint8_t *)value.p, value.n) == 0)
        return IS_BAD;
    if (tern_str_eq(value, TERN_STR("CONNECT")))
        return SEEN_METHOD | IS_CONNECT;
    return tern_str_eq(value, TERN_STR("OPTIONS")) ? SEEN_METHOD | IS_OPTIONS : SEEN_METHOD;
}

static bool is_authority(struct tern_str value)
{
    return value.n > 0 && nghttp2_check_authority((const uint8_t *)value.p, value.n) != 0;
}

static bool is_name(struct tern_str name)
{
    return nghttp2_check_header_name((const uint8_t *)name.p, name.n) != 0;
}

/* What a field says by itself. Names with a meaning are literals above, and so well formed. */
static uint32_t flags_of(enum tern_h2_field field, struct tern_str name, struct tern_str value)
{
    switch (field) {
    case TERN_H2_FIELD_METHOD:
        return method_flags(value);
    case TERN_H2_FIELD_SCHEME:
        return !is_scheme(value) ? IS_BAD : is_http(value) ? SEEN_SCHEME | IS_HTTP : SEEN_SCHEME;
    case TERN_H2_FIELD_PATH:
        return value.n > 0 ? path_flags(value) : IS_BAD;
    case TERN_H2_FIELD_AUTHORITY:
        return is_authority(value) ? SEEN_AUTHORITY : IS_BAD;
    case TERN_H2_FIELD_HOST:
        return is_authority(value) ? SEEN_REGULAR | SEEN_HOST : IS_BAD;
    case TERN_H2_FIELD_TE:
        return tern_str_eq_nocase(value, TERN_STR("trailers")) ? SEEN_REGULAR : IS_BAD;
    case TERN_H2_FIELD_CONTENT_LENGTH:
        return SEEN_REGULAR | SEEN_LENGTH; /* its value is read each time */
    case TERN_H2_FIELD_CONTENT_TYPE:
    case TERN_H2_FIELD_CONTENT_ENCODING:
    case TERN_H2_FIELD_EXPECT:
        return is_value(value) ? SEEN_REGULAR : IS_BAD;
    case TERN_H2_FIELD_OTHER:
        return is_name(name) && is_value(value) ? SEEN_REGULAR : IS_BAD;
    case TERN_H2_FIELD_CONNECTION: /* RFC 9113 8.2.2: HTTP/2 has them not */
    case TERN_H2_FIELD_PSEUDO:
    default:
        return IS_BAD;
    }
}

static void forget(struct tern_h2_known *known)
{
    if (known->name == NULL)
        return;
    nghttp2_rcbuf_decref(known->name);
    nghttp2_rcbuf_decref(known->value);
    *known = (struct tern_h2_known){.name = NULL};
}

void tern_h2_fields_forget(struct tern_h2_conn *h)
{
    for (size_t i = 0; i < TERN_H2_KNOWN_FIELDS; i++)
        forget(&h->known[i]);
}

static struct tern_str str_of(nghttp2_rcbuf *rcbuf)
{
    nghttp2_vec vec = nghttp2_rcbuf_get_buf(rcbuf);
    return tern_str_make((const char *)vec.base, vec.len);
}

static struct tern_h2_known make_known(nghttp2_rcbuf *name, nghttp2_rcbuf *value)
{
    struct tern_str name_str = str_of(name), value_str = str_of(value);
    enum tern_h2_field field = field_of(name_str);

    return (struct tern_h2_known){.name = name,
                                  .value = value,
                                  .name_str = name_str,
                                  .value_str = value_str,
                                  .bit = tern_header_bit(name_str),
                                  .field = field,
                                  .flags = flags_of(field, name_str, value_str),
                                  .in_table = nghttp2_rcbuf_is_static(name) != 0};
}

/* A buffer that is referred to is not another's: to find its address again is to find its bytes.
 * Some clients send a path as text each time. */
const struct tern_h2_known *tern_h2_fields_know(struct tern_h2_stream *s, nghttp2_rcbuf *name,
                                                nghttp2_rcbuf *value)
{
    struct tern_h2_conn *h = s->h;
    struct tern_h2_known *known = &h->known[s->n_fields++ % TERN_H2_KNOWN_FIELDS];

    if (TERN_LIKELY(known->name == name) &&
        (TERN_LIKELY(known->value == value) || tern_str_eq(known->value_str, str_of(value))))
        return known;
    h->unknown = make_known(name, value);
    if (h->unknown.name_str.n + h->unknown.value_str.n > KNOWN_BYTES_MAX)
        return &h->unknown;
    forget(known);
    nghttp2_rcbuf_incref(name);
    nghttp2_rcbuf_incref(value);
    *known = h->unknown;
    return known;
}

static bool see_length(struct tern_h2_stream *s, struct tern_str value)
{
    uint64_t n;

    if (!tern_num_parse_u64(value, INT64_MAX, &n))
        return false;
    s->content_length = n < SIZE_MAX ? (size_t)n : SIZE_MAX - 1;
    return true;
}

bool tern_h2_fields_see(struct tern_h2_stream *s, const struct tern_h2_known *known)
{
    bool too_late = (s->seen & SEEN_REGULAR) != 0 || s->phase != TERN_H2_PHASE_HEAD;

    if ((known->flags & IS_BAD) != 0 || (s->seen & known->flags & ONCE) != 0 ||
        (too_late && (known->flags & SEEN_REGULAR) == 0))
        return false;
    s->seen |= known->flags;
    return known->field != TERN_H2_FIELD_CONTENT_LENGTH || see_length(s, known->value_str);
}

bool tern_h2_fields_make_a_head(const struct tern_h2_stream *s)
{
    const uint32_t all = SEEN_METHOD | SEEN_SCHEME | SEEN_PATH;

    if ((s->seen & IS_CONNECT) != 0)
        return (s->seen & (SEEN_SCHEME | SEEN_PATH)) == 0 && (s->seen & SEEN_AUTHORITY) != 0;
    if ((s->seen & all) != all || (s->seen & (SEEN_AUTHORITY | SEEN_HOST)) == 0)
        return false;
    return (s->seen & IS_HTTP) == 0 || (s->seen & IS_SLASH) != 0 ||
           ((s->seen & IS_OPTIONS) != 0 && (s->seen & IS_STAR) != 0);
}
