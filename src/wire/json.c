#include "wire/json.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include "base/num.h"
#include "simd/numbers.h"
#include "wire/json_int.h"

void tern_json_init(struct tern_json *json, struct tern_str text, struct tern_arena *arena)
{
    *json = (struct tern_json){.p = text.p,
                               .begin = text.p,
                               .end = text.p + text.n,
                               .arena = arena,
                               .depth_max = TERN_JSON_DEPTH_DEFAULT};
}

/* -- errors ------------------------------------------------------------------------------- */

static void describe(const struct tern_json *json, char *dst, size_t cap)
{
    if (json->p >= json->end) {
        snprintf(dst, cap, "the end");
        return;
    }
    unsigned c = (unsigned char)*json->p;
    if (c > 0x20 && c < 0x7F)
        snprintf(dst, cap, "'%c'", (int)c);
    else
        snprintf(dst, cap, "byte 0x%02x", c);
}

enum tern_code(tern_json_fail)(const struct tern_json *json, struct tern_err *err, const char *fmt,
                               ...)
{
    char what[256], got[32];
    size_t line = 1, column = 1;
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    for (const char *p = json->begin; p < json->p; p++) {
        line += *p == '\n';
        column = *p == '\n' ? 1 : column + 1;
    }
    describe(json, got, sizeof(got));
    return tern_fail(err, TERN_INVALID_ARGUMENT,
                     "failed to parse JSON: %s at byte %zu (line %zu, column %zu), got %s", what,
                     (size_t)(json->p - json->begin), line, column, got);
}

enum tern_code tern_json_once(const struct tern_json *json, uint32_t *seen, unsigned bit,
                              struct tern_str key, struct tern_err *err)
{
    if (TERN_UNLIKELY((*seen & (1u << bit)) != 0))
        return tern_json_fail(json, err, "duplicate key '%.*s'", TERN_STR_ARG(key));
    *seen |= 1u << bit;
    return TERN_OK;
}

/* -- structure ---------------------------------------------------------------------------- */

/* Most bytes asked about are not: one comparison says so. */
TERN_INLINE bool is_space(char c)
{
    return (unsigned char)c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t');
}

TERN_INLINE void skip_space(struct tern_json *json)
{
    while (json->p < json->end && is_space(*json->p))
        json->p++;
}

/* The next byte that is not white space; 0 at the end (a zero byte is never valid there). */
TERN_INLINE char next_char(struct tern_json *json)
{
    skip_space(json);
    return json->p < json->end ? *json->p : '\0';
}

enum tern_json_kind tern_json_peek(struct tern_json *json)
{
    switch (next_char(json)) {
    case '{':
        return TERN_JSON_OBJECT;
    case '[':
        return TERN_JSON_ARRAY;
    case '"':
        return TERN_JSON_STRING;
    case 't':
    case 'f':
        return TERN_JSON_BOOL;
    case 'n':
        return TERN_JSON_NULL;
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return TERN_JSON_NUMBER;
    case 'N':
    case 'I':
        return json->non_finite ? TERN_JSON_NUMBER : TERN_JSON_NONE;
    default:
        return TERN_JSON_NONE;
    }
}

static enum tern_code open_container(struct tern_json *json, char bracket, const char *what,
                                     struct tern_err *err)
{
    if (TERN_UNLIKELY(next_char(json) != bracket))
        return tern_json_fail(json, err, "expected %s", what);
    if (TERN_UNLIKELY(json->depth >= json->depth_max))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "JSON nesting depth exceeds maximum allowed limit (%d)", json->depth_max);
    json->p++;
    json->depth++;
    json->fresh = true;
    return TERN_OK;
}

enum tern_code tern_json_object(struct tern_json *json, struct tern_err *err)
{
    return open_container(json, '{', "an object", err);
}

enum tern_code tern_json_array(struct tern_json *json, struct tern_err *err)
{
    return open_container(json, '[', "an array", err);
}

/* Passes the comma before a further member, or the closing bracket. */
TERN_INLINE enum tern_code next_member(struct tern_json *json, char close, bool *ret_more,
                                       struct tern_err *err)
{
    char c = next_char(json);
    bool fresh = json->fresh;

    json->fresh = false;
    if (c == close) {
        json->p++;
        json->depth--;
        *ret_more = false;
        return TERN_OK;
    }
    if (!fresh) {
        if (TERN_UNLIKELY(c != ','))
            return tern_json_fail(json, err, "expected ',' or '%c'", close);
        json->p++;
    }
    *ret_more = true;
    return TERN_OK;
}

enum tern_code tern_json_item(struct tern_json *json, bool *ret_more, struct tern_err *err)
{
    return next_member(json, ']', ret_more, err);
}

enum tern_code tern_json_end(struct tern_json *json, struct tern_err *err)
{
    skip_space(json);
    if (json->p != json->end)
        return tern_json_fail(json, err, "expected nothing after the value");
    return TERN_OK;
}

/* -- strings ------------------------------------------------------------------------------ */

static bool read_hex4(const char *p, const char *end, unsigned *ret)
{
    unsigned v = 0;

    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i], low = c | 0x20;
        if (c >= '0' && c <= '9')
            v = v << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            v = v << 4 | (low - 'a' + 10);
        else
            return false;
    }
    *ret = v;
    return true;
}

/* Reads the escape at *p (its backslash); answers the bytes it stands for, 0 when it is wrong. */
static size_t read_escape(const char **p, const char *end, char dst[4])
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    const char *q = *p + 1;
    unsigned c, low;

    if (q >= end)
        return 0;
    if (*q != 'u') {
        const char *name = *q == '\0' ? NULL : strchr(names, *q);
        if (name == NULL)
            return 0;
        dst[0] = values[name - names];
        *p = q + 1;
        return 1;
    }
    if (!read_hex4(q + 1, end, &c))
        return 0;
    q += 5;
    if (c >= 0xDC00 && c <= 0xDFFF)
        return 0;
    if (c >= 0xD800 && c <= 0xDBFF) {
        if (end - q < 6 || q[0] != '\\' || q[1] != 'u' || !read_hex4(q + 2, end, &low) ||
            low < 0xDC00 || low > 0xDFFF)
            return 0;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
        q += 6;
    }
    *p = q;
    return tern_str_put_utf8(c, dst);
}

/* Passes over a string; *ret_raw is what stands between its quotes, escapes checked. */
static enum tern_code scan_string(struct tern_json *json, struct tern_str *ret_raw,
                                  bool *ret_escaped, struct tern_err *err)
{
    const char *start = json->p + 1, *p = start;
    uint64_t high = 0;
    char ignored[4];

    *ret_escaped = false;
    for (;;) {
        p = tern_json_plain_run(p, json->end, &high);
        if (TERN_LIKELY(p < json->end && *p == '"'))
            break;
        json->p = p;
        if (p >= json->end)
            return tern_json_fail(json, err, "expected '\"' to end a string");
        if (*p != '\\')
            return tern_json_fail(json, err, "expected no bare control character in a string");
        if (read_escape(&p, json->end, ignored) == 0)
            return tern_json_fail(json, err,
                                  "expected a valid escape (surrogates in pairs) in a string");
        *ret_escaped = true;
    }
    *ret_raw = tern_str_make(start, (size_t)(p - start));
    if ((high & TERN_JSON_HIGH_BITS) != 0 && !tern_str_is_utf8(*ret_raw)) {
        json->p = start;
        return tern_json_fail(json, err, "expected valid UTF-8 in the string that starts");
    }
    json->p = p + 1;
    return TERN_OK;
}

static enum tern_code unescape(struct tern_json *json, struct tern_str raw, struct tern_str *ret,
                               struct tern_err *err)
{
    const char *p = raw.p, *end = raw.p + raw.n;
    char *dst = tern_arena_alloc(json->arena, 1, raw.n); /* an escape is never shorter */
    size_t n = 0;

    if (dst == NULL)
        return tern_arena_fail(json->arena, err, "a JSON string");
    while (p < end) {
        if (*p != '\\') {
            dst[n++] = *p++;
            continue;
        }
        char bytes[4];
        size_t length = read_escape(&p, end, bytes);
        memcpy(dst + n, bytes, length);
        n += length;
    }
    *ret = tern_str_make(dst, n);
    return TERN_OK;
}

static enum tern_code read_string(struct tern_json *json, struct tern_str *ret,
                                  struct tern_err *err)
{
    const char *start = json->p + 1;
    uint64_t high = 0;
    struct tern_str raw;
    bool escaped;

    /* Nearly all strings are keys and names: plain ASCII. */
    const char *stop = tern_json_plain_run(start, json->end, &high);
    if (TERN_LIKELY(stop < json->end && *stop == '"' && (high & TERN_JSON_HIGH_BITS) == 0)) {
        *ret = tern_str_make(start, (size_t)(stop - start));
        json->p = stop + 1;
        return TERN_OK;
    }
    TERN_TRY(scan_string(json, &raw, &escaped, err));
    if (TERN_UNLIKELY(escaped))
        return unescape(json, raw, ret, err);
    *ret = raw;
    return TERN_OK;
}

enum tern_code tern_json_string(struct tern_json *json, struct tern_str *ret, struct tern_err *err)
{
    if (TERN_UNLIKELY(next_char(json) != '"'))
        return tern_json_fail(json, err, "expected a string");
    return read_string(json, ret, err);
}

TERN_INLINE enum tern_code pass_colon(struct tern_json *json, struct tern_err *err)
{
    if (TERN_UNLIKELY(next_char(json) != ':'))
        return tern_json_fail(json, err, "expected ':' after a key");
    json->p++;
    return TERN_OK;
}

enum tern_code tern_json_key(struct tern_json *json, bool *ret_more, struct tern_str *ret_key,
                             struct tern_err *err)
{
    bool more = false;

    TERN_TRY(next_member(json, '}', &more, err));
    if (more) {
        if (TERN_UNLIKELY(next_char(json) != '"'))
            return tern_json_fail(json, err, "expected a key in quotes");
        TERN_TRY(read_string(json, ret_key, err));
        TERN_TRY(pass_colon(json, err));
    }
    *ret_more = more;
    return TERN_OK;
}

/* -- scalars ------------------------------------------------------------------------------ */

static bool pass_word(struct tern_json *json, struct tern_str word)
{
    skip_space(json);
    if (!tern_str_starts(tern_str_make(json->p, (size_t)(json->end - json->p)), word))
        return false;
    json->p += word.n;
    return true;
}

enum tern_code tern_json_bool(struct tern_json *json, bool *ret, struct tern_err *err)
{
    if (pass_word(json, TERN_STR("true")))
        *ret = true;
    else if (pass_word(json, TERN_STR("false")))
        *ret = false;
    else
        return tern_json_fail(json, err, "expected true or false");
    return TERN_OK;
}

enum tern_code tern_json_null(struct tern_json *json, struct tern_err *err)
{
    if (!pass_word(json, TERN_STR("null")))
        return tern_json_fail(json, err, "expected null");
    return TERN_OK;
}

static const char *pass_digits(const char *p, const char *end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* NaN and infinities, for those who write them. */
static bool pass_non_finite(struct tern_json *json, double *ret)
{
    const char *p = json->p;
    bool minus = p < json->end && *p == '-';

    if (!json->non_finite || p + minus >= json->end || (p[minus] != 'N' && p[minus] != 'I'))
        return false;
    if (pass_word(json, TERN_STR("NaN")))
        *ret = NAN;
    else if (pass_word(json, TERN_STR("Infinity")))
        *ret = INFINITY;
    else if (pass_word(json, TERN_STR("-Infinity")))
        *ret = -INFINITY;
    else
        return false;
    return true;
}

/* number = [ "-" ] int [ frac ] [ exp ] (RFC 8259 section 6). */
static enum tern_code scan_number(struct tern_json *json, struct tern_str *ret_text,
                                  bool *ret_integer, struct tern_err *err)
{
    const char *start = json->p, *p = start, *digits;

    if (p < json->end && *p == '-')
        p++;
    digits = p;
    p = p < json->end && *p == '0' ? p + 1 : pass_digits(p, json->end);
    if (p == digits)
        return tern_json_fail(json, err, "expected a value");
    *ret_integer = true;
    if (p < json->end && *p == '.') {
        digits = p + 1;
        p = pass_digits(digits, json->end);
        *ret_integer = false;
        json->p = p;
        if (p == digits)
            return tern_json_fail(json, err, "expected a digit after '.'");
    }
    if (p < json->end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < json->end && (*p == '+' || *p == '-'))
            p++;
        digits = p;
        p = pass_digits(digits, json->end);
        *ret_integer = false;
        json->p = p;
        if (p == digits)
            return tern_json_fail(json, err, "expected a digit in the exponent");
    }
    json->p = p;
    *ret_text = tern_str_make(start, (size_t)(p - start));
    return TERN_OK;
}

/* Most numbers here are dimensions and sizes: a few digits before a separator. */
static bool read_short_integer(struct tern_json *json, int64_t *ret)
{
    const char *start = json->p, *p = start;
    int64_t v = 0;

    while (p < json->end && *p >= '0' && *p <= '9' && p - start < 18)
        v = v * 10 + (*p++ - '0');
    if (p == start || p == json->end || (*p != ',' && *p != ']' && *p != '}') ||
        (*start == '0' && p - start > 1))
        return false;
    json->p = p;
    *ret = v;
    return true;
}

enum tern_code tern_json_number(struct tern_json *json, struct tern_json_number *ret,
                                struct tern_err *err)
{
    struct tern_str text = {NULL, 0};
    bool integer = false;

    if (tern_json_peek(json) != TERN_JSON_NUMBER)
        return tern_json_fail(json, err, "expected a number");
    if (TERN_LIKELY(read_short_integer(json, &ret->int64))) {
        ret->kind = TERN_JSON_INT64;
        return TERN_OK;
    }
    if (pass_non_finite(json, &ret->real)) {
        ret->kind = TERN_JSON_DOUBLE;
        return TERN_OK;
    }
    const char *start = json->p;
    TERN_TRY(scan_number(json, &text, &integer, err));
    if (integer && tern_num_parse_i64(text, &ret->int64)) {
        ret->kind = TERN_JSON_INT64;
    } else if (integer && text.p[0] != '-' && tern_num_parse_u64(text, UINT64_MAX, &ret->uint64)) {
        ret->kind = TERN_JSON_UINT64;
    } else {
        size_t used;
        ret->kind = TERN_JSON_DOUBLE;
        if (tern_numbers_read_double(text, &ret->real, &used, NULL) != TERN_OK) {
            json->p = start;
            return tern_json_fail(json, err, "expected a number within the range of a double");
        }
    }
    return TERN_OK;
}

static enum tern_code skip_scalar(struct tern_json *json, enum tern_json_kind kind,
                                  struct tern_err *err)
{
    struct tern_str text;
    double value;
    bool flag;

    switch (kind) {
    case TERN_JSON_STRING:
        return scan_string(json, &text, &flag, err);
    case TERN_JSON_BOOL:
        return tern_json_bool(json, &flag, err);
    case TERN_JSON_NULL:
        return tern_json_null(json, err);
    case TERN_JSON_NUMBER:
        return pass_non_finite(json, &value) ? TERN_OK : scan_number(json, &text, &flag, err);
    case TERN_JSON_NONE:
    case TERN_JSON_ARRAY:
    case TERN_JSON_OBJECT:
    default:
        return tern_json_fail(json, err, "expected a value");
    }
}

/* Like tern_json_key for a key that nobody reads. */
static enum tern_code skip_key(struct tern_json *json, bool *ret_more, struct tern_err *err)
{
    struct tern_str raw;
    bool escaped, more = false;

    TERN_TRY(next_member(json, '}', &more, err));
    *ret_more = more;
    if (!more)
        return TERN_OK;
    if (next_char(json) != '"')
        return tern_json_fail(json, err, "expected a key in quotes");
    TERN_TRY(scan_string(json, &raw, &escaped, err));
    return pass_colon(json, err);
}

enum tern_code tern_json_skip(struct tern_json *json, struct tern_err *err)
{
    TERN_UNINITIALIZED bool is_object[TERN_JSON_DEPTH_MAX + 1];
    int base = json->depth;

    for (;;) {
        enum tern_json_kind kind = tern_json_peek(json);
        if (kind == TERN_JSON_OBJECT || kind == TERN_JSON_ARRAY) {
            bool object = kind == TERN_JSON_OBJECT;
            TERN_TRY(object ? tern_json_object(json, err) : tern_json_array(json, err));
            is_object[json->depth] = object;
        } else {
            TERN_TRY(skip_scalar(json, kind, err));
        }
        bool more = false;
        while (!more) {
            if (json->depth == base)
                return TERN_OK;
            TERN_TRY(is_object[json->depth] ? skip_key(json, &more, err)
                                            : tern_json_item(json, &more, err));
        }
    }
}
