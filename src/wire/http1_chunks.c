/* The chunked transfer coding (RFC 9112 7.1), read byte by byte around the data, which is passed on
 * in pieces as large as they come. */
#include <string.h>
#include "wire/http1.h"
#include "wire/http1_chars.h"

#define SIZE_DIGITS_MAX 15u /* 60 bits: no overflow to check, and more than any limit */

enum chunk_state {
    SIZE,           /* hexadecimal digits */
    EXT_NAME_FIRST, /* after ';' */
    EXT_NAME,
    EXT_VALUE_FIRST, /* after '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_ESCAPED, /* after '\' in a quoted string */
    EXT_END,     /* after a quoted string */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST, /* at the start of a line */
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    FINISHED,
};

/* Trailers that would change what was already decided by the head (RFC 9110 6.5.1). */
static const char *const forbidden_trailers[] = {
    "content-length", "transfer-encoding",
    "host",           "authorization",
    "content-type",   "content-encoding",
    "content-range",  "trailer",
    "connection",     "te",
    "expect",         "cookie",
    "cache-control",  "upgrade",
    "set-cookie",
};

void tern_http1_chunks_start(struct tern_http1_chunks *chunks)
{
    memset(chunks, 0, sizeof(*chunks));
    chunks->state = SIZE;
}

static int TERN_COLD fail(struct tern_err *err, const char *text)
{
    tern_fail_http(err, TERN_INVALID_ARGUMENT, 400, "chunked body: %s", text);
    return -1;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int after_size_line(struct tern_http1_chunks *chunks)
{
    chunks->n_digits = 0;
    return chunks->left == 0 ? TRAILER_FIRST : DATA;
}

static int step_size(struct tern_http1_chunks *chunks, char c, struct tern_err *err)
{
    int digit = hex_value(c);

    if (digit >= 0) {
        if (chunks->n_digits == SIZE_DIGITS_MAX)
            return fail(err, "a chunk size has more than 15 digits");
        if (chunks->n_digits++ == 0)
            chunks->left = 0;
        chunks->left = chunks->left << 4 | (uint64_t)digit;
        return SIZE;
    }
    if (chunks->n_digits == 0)
        return fail(err, "expected a chunk size in hexadecimal digits");
    if (c == '\r')
        return SIZE_LF;
    if (c == ';')
        return EXT_NAME_FIRST;
    return fail(err, "a chunk size must be followed by CRLF or ';'");
}

/* chunk-ext = *( ";" name [ "=" ( token / quoted-string ) ] ); the optional bad whitespace of the
 * grammar is for servers that must accept it from old clients: this one need not. */
static int step_extension(struct tern_http1_chunks *chunks, char c, struct tern_err *err)
{
    bool token = (char_class[(uint8_t)c] & CHAR_TOKEN) != 0;
    bool ends_item = c == '\r' || c == ';';

    if (++chunks->n_ext > TERN_HTTP1_CHUNK_EXT_MAX)
        return fail(err, "more than 4 KiB of chunk extensions");
    switch (chunks->state) {
    case EXT_NAME_FIRST:
        return token ? EXT_NAME : fail(err, "expected the name of a chunk extension after ';'");
    case EXT_NAME:
        if (token)
            return EXT_NAME;
        if (c == '=')
            return EXT_VALUE_FIRST;
        break;
    case EXT_VALUE_FIRST:
        if (c == '"')
            return EXT_QUOTED;
        return token ? EXT_VALUE : fail(err, "expected the value of a chunk extension after '='");
    case EXT_VALUE:
        if (token)
            return EXT_VALUE;
        break;
    case EXT_QUOTED:
    case EXT_ESCAPED:
        if (chunks->state == EXT_QUOTED && (c == '"' || c == '\\'))
            return c == '"' ? EXT_END : EXT_ESCAPED;
        if ((char_class[(uint8_t)c] & CHAR_VALUE) == 0)
            return fail(err, "a control character in a chunk extension");
        return EXT_QUOTED;
    case EXT_END:
    default:
        break;
    }
    if (!ends_item)
        return fail(err, "a character that a chunk extension may not hold");
    return c == '\r' ? SIZE_LF : EXT_NAME_FIRST;
}

static bool is_forbidden(const struct tern_http1_chunks *chunks)
{
    struct tern_str name = {chunks->name, chunks->n_name};

    for (size_t i = 0; i < TERN_COUNT_OF(forbidden_trailers); i++) {
        if (tern_str_eq(name, tern_str_of(forbidden_trailers[i])))
            return true;
    }
    return false;
}

static int step_trailer(struct tern_http1_chunks *chunks, char c, struct tern_err *err)
{
    bool token = (char_class[(uint8_t)c] & CHAR_TOKEN) != 0;

    if (++chunks->n_trailer > TERN_HTTP1_TRAILER_MAX)
        return fail(err, "more than 8 KiB of trailers");
    switch (chunks->state) {
    case TRAILER_FIRST:
    case TRAILER_NAME:
        if (chunks->state == TRAILER_FIRST) {
            if (c == '\r')
                return END_LF;
            chunks->n_name = 0;
        } else if (c == ':') {
            if (is_forbidden(chunks))
                return fail(err, "a trailer that may only stand in the head");
            return TRAILER_VALUE;
        }
        if (!token)
            return fail(err, "expected a trailer 'Name: value'");
        if (chunks->n_name < sizeof(chunks->name))
            chunks->name[chunks->n_name++] = (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
        return TRAILER_NAME;
    case TRAILER_VALUE:
    default:
        if (c == '\r')
            return TRAILER_LF;
        if ((char_class[(uint8_t)c] & CHAR_VALUE) == 0)
            return fail(err, "a control character in a trailer");
        return TRAILER_VALUE;
    }
}

static int step_line_end(struct tern_http1_chunks *chunks, char c, struct tern_err *err)
{
    char expected = chunks->state == DATA_CR ? '\r' : '\n';

    if (c != expected)
        return fail(err, chunks->state == DATA_CR || chunks->state == DATA_LF
                             ? "the data of a chunk must be followed by CRLF"
                             : "a line must end with CRLF");
    switch (chunks->state) {
    case SIZE_LF:
        return after_size_line(chunks);
    case DATA_CR:
        return DATA_LF;
    case DATA_LF:
        return SIZE;
    case TRAILER_LF:
        return TRAILER_FIRST;
    default:
        return FINISHED;
    }
}

/* The state after c, or -1. Never called in DATA and FINISHED. */
static int step(struct tern_http1_chunks *chunks, char c, struct tern_err *err)
{
    if (chunks->state == SIZE)
        return step_size(chunks, c, err);
    if (chunks->state >= EXT_NAME_FIRST && chunks->state <= EXT_END)
        return step_extension(chunks, c, err);
    if (chunks->state >= TRAILER_FIRST && chunks->state <= TRAILER_VALUE)
        return step_trailer(chunks, c, err);
    return step_line_end(chunks, c, err);
}

enum tern_http1_result tern_http1_chunks_read(struct tern_http1_chunks *chunks, const char *p,
                                              size_t n, size_t *ret_used, struct tern_str *ret_data,
                                              struct tern_err *err)
{
    size_t i = 0;

    while (i < n && chunks->state != FINISHED) {
        if (chunks->state == DATA) {
            size_t take = n - i < chunks->left ? n - i : (size_t)chunks->left;
            *ret_data = tern_str_make(p + i, take);
            *ret_used = i + take;
            chunks->left -= take;
            if (chunks->left == 0)
                chunks->state = DATA_CR;
            return TERN_HTTP1_DATA;
        }
        int next = step(chunks, p[i++], err);
        if (next < 0)
            return TERN_HTTP1_BAD;
        chunks->state = (uint8_t)next;
    }
    *ret_used = i;
    return chunks->state == FINISHED ? TERN_HTTP1_DONE : TERN_HTTP1_MORE;
}
