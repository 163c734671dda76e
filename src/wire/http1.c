#include "wire/http1.h"

#include <string.h>
#include "base/num.h"
#include "wire/http1_chars.h"

#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* Fields that decide something, as bits of head->seen: none of them may come twice. */
#define SEEN_HOST     1u
#define SEEN_LENGTH   2u
#define SEEN_TRANSFER 4u
#define SEEN_TYPE     8u
#define SEEN_EXPECT   16u

#define LINE_EXTRA      64u /* of the request line beside its target: method, version, CR */
#define BLANK_LINES_MAX 2u  /* empty lines tolerated before the request line (RFC 9112 2.2) */

static enum tern_http1_result TERN_COLD bad(struct tern_err *err, int status, const char *text)
{
    tern_fail_http(err, status == 501 ? TERN_UNIMPLEMENTED : TERN_INVALID_ARGUMENT, status, "%s",
                   text);
    return TERN_HTTP1_BAD;
}

static enum tern_http1_result TERN_COLD bad_value(struct tern_err *err, int status,
                                                  const char *what, struct tern_str got)
{
    if (got.n > 64)
        got.n = 64;
    tern_fail_http(err, status == 501 ? TERN_UNIMPLEMENTED : TERN_INVALID_ARGUMENT, status,
                   "%s, got '%.*s'", what, TERN_STR_ARG(got));
    return TERN_HTTP1_BAD;
}

static enum tern_http1_result TERN_COLD bad_size(struct tern_err *err, int status, const char *what,
                                                 size_t max)
{
    tern_fail_http(err, TERN_INVALID_ARGUMENT, status, "%s: longer than %zu bytes", what, max);
    return TERN_HTTP1_BAD;
}

static bool is_class(char c, unsigned bits)
{
    return (char_class[(uint8_t)c] & bits) != 0;
}

static bool all_class(struct tern_str s, unsigned bits)
{
    uint8_t all = (uint8_t)bits;

    for (size_t i = 0; i < s.n; i++)
        all &= char_class[(uint8_t)s.p[i]];
    return all != 0;
}

/* The first control character but tab, or end. */
static const char *find_control(const char *p, const char *end)
{
#ifdef __SSE2__
    const __m128i limit = _mm_set1_epi8(0x1f);
    const __m128i tab = _mm_set1_epi8('\t');
    const __m128i del = _mm_set1_epi8(0x7f);

    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(v, limit), v);
        __m128i hit =
            _mm_or_si128(_mm_andnot_si128(_mm_cmpeq_epi8(v, tab), low), _mm_cmpeq_epi8(v, del));
        int mask = _mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz((unsigned)mask);
    }
#endif
    while (p < end && is_class(*p, CHAR_VALUE))
        p++;
    return p;
}

/* The first byte that no field name may hold, or end. Letters, digits and '-' go sixteen at a time;
 * the rest of tchar is rare in names. */
static const char *find_name_end(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i letter = _mm_sub_epi8(_mm_or_si128(v, _mm_set1_epi8(0x20)), _mm_set1_epi8('a'));
        __m128i digit = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        __m128i good = _mm_or_si128(_mm_cmpeq_epi8(_mm_min_epu8(letter, _mm_set1_epi8(25)), letter),
                                    _mm_cmpeq_epi8(_mm_min_epu8(digit, _mm_set1_epi8(9)), digit));
        good = _mm_or_si128(good, _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
        unsigned rest = ~(unsigned)_mm_movemask_epi8(good) & 0xffffu;
        if (rest != 0) {
            p += __builtin_ctz(rest);
            if (TERN_LIKELY(*p == ':'))
                return p;
            break;
        }
    }
#endif
    while (p < end && is_class(*p, CHAR_TOKEN))
        p++;
    return p;
}

/* Compares a name with a literal in lower case, letters and '-' only. Setting bit 0x20 lowers
 * letters, keeps '-', and makes neither of them out of any other tchar. */
TERN_INLINE bool is_name(struct tern_str name, const char *literal, size_t n)
{
    uint64_t diff = 0;
    uint64_t a;
    uint64_t b;
    size_t i = 0;

    for (; i + 8 <= n; i += 8) {
        memcpy(&a, name.p + i, 8);
        memcpy(&b, literal + i, 8);
        diff |= (a | 0x2020202020202020u) ^ b;
    }
    for (; i < n; i++)
        diff |= (uint64_t)((name.p[i] | 0x20) ^ literal[i]);
    return diff == 0;
}

void tern_http1_head_start(struct tern_http1_head *head, struct tern_header *fields,
                           const struct tern_head_limits *limits)
{
    memset(head, 0, sizeof(*head));
    head->fields = fields;
    head->limits = limits;
}

/* Request line. */

static enum tern_http1_result read_authority(struct tern_str authority, struct tern_err *err)
{
    if (authority.n > 0 && !all_class(authority, CHAR_HOST))
        return bad_value(err, 400, "Host: expected host or host:port", authority);
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_target(struct tern_http1_head *head, struct tern_str target,
                                          struct tern_err *err)
{
    if (target.n > head->limits->target_max)
        return bad_size(err, 414, "request line: target", head->limits->target_max);
    if (target.n == 0 || !all_class(target, CHAR_TARGET))
        return bad_value(err, 400, "request target: expected a path of URI characters", target);
    if (tern_str_eq(head->method, TERN_STR("CONNECT")))
        return bad(err, 501, "method CONNECT: this server is no proxy");
    if (target.p[0] != '/') {
        bool star = tern_str_eq(target, TERN_STR("*"));
        if (star && tern_str_eq(head->method, TERN_STR("OPTIONS"))) {
            head->path = target;
            return TERN_HTTP1_DONE;
        }
        /* absolute-form: scheme "://" authority path */
        size_t scheme = 0;
        if (target.n > 7 && tern_str_eq_nocase(tern_str_make(target.p, 7), TERN_STR("http://")))
            scheme = 7;
        if (target.n > 8 && tern_str_eq_nocase(tern_str_make(target.p, 8), TERN_STR("https://")))
            scheme = 8;
        if (scheme == 0)
            return bad_value(err, 400, "request target: expected a path that begins with '/'",
                             target);
        struct tern_str rest = tern_str_from(target, scheme);
        size_t n = 0;
        while (n < rest.n && rest.p[n] != '/' && rest.p[n] != '?')
            n++;
        head->target_authority = tern_str_make(rest.p, n);
        if (n == 0)
            return bad_value(err, 400, "request target: expected a host after the scheme", target);
        if (read_authority(head->target_authority, err) == TERN_HTTP1_BAD)
            return TERN_HTTP1_BAD;
        target = tern_str_from(rest, n);
        if (target.n == 0 || target.p[0] != '/')
            return bad_value(err, 400, "request target: expected a path after the host", rest);
    }
    size_t mark = tern_str_find(target, '?');
    head->path = tern_str_make(target.p, mark);
    head->query = tern_str_from(target, mark + 1);
    return TERN_HTTP1_DONE;
}

/* "RTSP/1.0", and not "HTTP/1.1" with a blank too many. */
static bool names_another(struct tern_str version)
{
    struct tern_str ours = TERN_STR("HTTP/");

    for (size_t at = 0; at + ours.n <= version.n; at++)
        if (tern_str_eq_nocase(tern_str_make(version.p + at, ours.n), ours))
            return false;
    return tern_str_trim(version).n > 0;
}

static enum tern_http1_result read_version(struct tern_http1_head *head, struct tern_str version,
                                           struct tern_err *err)
{
    bool form = version.n == 8 && memcmp(version.p, "HTTP/", 5) == 0 && version.p[6] == '.' &&
                version.p[5] >= '0' && version.p[5] <= '9' && version.p[7] >= '0' &&
                version.p[7] <= '9';

    head->foreign = names_another(version);
    if (!form)
        return bad_value(
            err, 400, "request line: expected METHOD TARGET HTTP/1.1 with single blanks", version);
    if (version.p[5] != '1')
        return bad_value(err, 505, "HTTP version: expected HTTP/1.1", version);
    head->minor = version.p[7] == '0' ? 0 : 1;
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_request_line(struct tern_http1_head *head, struct tern_str line,
                                                struct tern_err *err)
{
    size_t method_end = tern_str_find(line, ' ');
    struct tern_str method = tern_str_make(line.p, method_end);

    if (method.n == 0 || !all_class(method, CHAR_TOKEN))
        return bad_value(err, 400, "request line: expected a method", method);
    head->method = method;
    struct tern_str rest = tern_str_from(line, method_end + 1);
    size_t target_end = tern_str_find(rest, ' ');
    /* The version first: a request of another version has rules of its own. */
    if (read_version(head, tern_str_from(rest, target_end + 1), err) == TERN_HTTP1_BAD)
        return TERN_HTTP1_BAD;
    head->has_line = true;
    return read_target(head, tern_str_make(rest.p, target_end), err);
}

/* Fields. */

static enum tern_http1_result read_length(struct tern_http1_head *head, struct tern_str value,
                                          struct tern_err *err)
{
    if ((head->seen & SEEN_LENGTH) != 0)
        return bad(err, 400, "Content-Length: given more than once");
    head->seen |= SEEN_LENGTH;
    bool zeros = value.n > 1 && value.p[0] == '0';
    if (zeros || !tern_num_parse_u64(value, INT64_MAX, &head->content_length))
        return bad_value(err, 400, "Content-Length: expected digits without leading zeros", value);
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_transfer(struct tern_http1_head *head, struct tern_str value,
                                            struct tern_err *err)
{
    struct tern_str rest = value;
    struct tern_str coding;
    bool chunked = false;
    bool unknown = false;

    if ((head->seen & SEEN_TRANSFER) != 0)
        return bad(err, 400, "Transfer-Encoding: given more than once");
    head->seen |= SEEN_TRANSFER;
    if (value.n == 0 || value.p[value.n - 1] == ',')
        return bad_value(err, 400, "Transfer-Encoding: expected 'chunked'", value);
    while (tern_str_split(&rest, ',', &coding)) {
        coding = tern_str_trim(coding);
        if (chunked || coding.n == 0 || !all_class(coding, CHAR_TOKEN))
            return bad_value(err, 400, "Transfer-Encoding: expected 'chunked', once and last",
                             value);
        chunked = tern_str_eq_nocase(coding, TERN_STR("chunked"));
        unknown = unknown || !chunked;
    }
    if (unknown)
        return bad_value(err, 501, "Transfer-Encoding: only 'chunked' is known", value);
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_connection(struct tern_http1_head *head, struct tern_str value)
{
    struct tern_str rest = value;
    struct tern_str option;

    if (value.n == 10 && is_name(value, "keep-alive", 10)) { /* what clients say if anything */
        head->connection_keep = true;
        return TERN_HTTP1_DONE;
    }
    while (tern_str_split(&rest, ',', &option)) {
        option = tern_str_trim(option);
        if (tern_str_eq_nocase(option, TERN_STR("close")))
            head->connection_close = true;
        else if (tern_str_eq_nocase(option, TERN_STR("keep-alive")))
            head->connection_keep = true;
    }
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_expect(struct tern_http1_head *head, struct tern_str value,
                                          struct tern_err *err)
{
    if (!tern_str_eq_nocase(value, TERN_STR("100-continue")))
        return bad_value(err, 417, "Expect: only '100-continue' is known", value);
    head->expect_continue = true;
    return TERN_HTTP1_DONE;
}

static enum tern_http1_result read_host(struct tern_http1_head *head, struct tern_str value,
                                        struct tern_err *err)
{
    if ((head->seen & SEEN_HOST) != 0)
        return bad(err, 400, "Host: given more than once");
    head->seen |= SEEN_HOST;
    head->authority = value;
    return read_authority(value, err);
}

/* The few fields that decide how the message is read; told apart by length first. */
static enum tern_http1_result read_meaning(struct tern_http1_head *head,
                                           const struct tern_header *field, struct tern_err *err)
{
    struct tern_str value = field->value;

#define IS(literal) is_name(field->name, (literal), sizeof(literal) - 1)
    switch (field->name.n) {
    case 4:
        return IS("host") ? read_host(head, value, err) : TERN_HTTP1_DONE;
    case 6:
        return IS("expect") ? read_expect(head, value, err) : TERN_HTTP1_DONE;
    case 10:
        return IS("connection") ? read_connection(head, value) : TERN_HTTP1_DONE;
    case 12:
        if (IS("content-type")) {
            if ((head->seen & SEEN_TYPE) != 0)
                return bad(err, 400, "Content-Type: given more than once");
            head->seen |= SEEN_TYPE;
            head->content_type = value;
        }
        return TERN_HTTP1_DONE;
    case 14:
        return IS("content-length") ? read_length(head, value, err) : TERN_HTTP1_DONE;
    case 15:
        if (IS("accept-encoding"))
            head->accept_encoding = value;
        return TERN_HTTP1_DONE;
    case 16:
        if (IS("content-encoding")) {
            if (head->content_encoding.n > 0)
                return bad(err, 415, "Content-Encoding: given more than once");
            head->content_encoding = value;
        }
        return TERN_HTTP1_DONE;
    case 17:
        return IS("transfer-encoding") ? read_transfer(head, value, err) : TERN_HTTP1_DONE;
    default:
        return TERN_HTTP1_DONE;
    }
#undef IS
}

/* One field line at p; *ret_next: after its CRLF. */
static enum tern_http1_result read_field(struct tern_http1_head *head, const char *p,
                                         const char *end, const char **ret_next,
                                         struct tern_err *err)
{
    const char *colon = find_name_end(p, end);
    const char *stop = find_control(colon, end);
    size_t seen = (size_t)(stop - p);
    if (seen > head->limits->field_max)
        return bad_size(err, 431, "request header: one field", head->limits->field_max);
    if (end - stop < 2 && (stop == end || *stop == '\r'))
        return TERN_HTTP1_MORE;
    if (colon == p || *colon != ':') {
        if (*p == ' ' || *p == '\t')
            return bad(err, 400,
                       "request header: a line begins with a blank (folded lines are refused)");
        return bad_value(err, 400, "request header: expected 'Name: value'",
                         tern_str_make(p, seen));
    }
    if (stop[0] != '\r' || stop[1] != '\n')
        return bad_value(err, 400,
                         "request header: a line must end with CRLF and hold no control character",
                         tern_str_make(p, (size_t)(colon - p)));
    if (head->n_fields == head->limits->fields_max) {
        tern_fail_http(err, TERN_INVALID_ARGUMENT, 431, "request header: more than %u fields",
                       head->limits->fields_max);
        return TERN_HTTP1_BAD;
    }
    struct tern_header *field = &head->fields[head->n_fields++];
    field->name = tern_str_make(p, (size_t)(colon - p));
    head->names |= tern_header_bit(field->name);
    const char *from = colon + 1;
    while (from < stop && (*from == ' ' || *from == '\t'))
        from++;
    const char *to = stop;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    field->value = tern_str_make(from, (size_t)(to - from));
    *ret_next = stop + 2;
    return read_meaning(head, field, err);
}

/* The head is complete: what does it say about the message as a whole? */
static enum tern_http1_result conclude(struct tern_http1_head *head, struct tern_err *err)
{
    bool has_length = (head->seen & SEEN_LENGTH) != 0;
    bool has_transfer = (head->seen & SEEN_TRANSFER) != 0;

    if (head->minor == 1 && (head->seen & SEEN_HOST) == 0)
        return bad(err, 400, "Host: missing, HTTP/1.1 requires it");
    if (has_length && has_transfer)
        return bad(err, 400, "Content-Length and Transfer-Encoding: only one of them may be given");
    if (has_transfer && head->minor == 0)
        return bad(err, 400, "Transfer-Encoding: not defined for HTTP/1.0");
    if (head->target_authority.n > 0) {
        if ((head->seen & SEEN_HOST) != 0 &&
            !tern_str_eq_nocase(head->target_authority, head->authority))
            return bad_value(err, 400, "Host: differs from the host of the request target",
                             head->authority);
        head->authority = head->target_authority;
    }
    head->framing = has_transfer ? TERN_HTTP1_CHUNKED
                    : has_length ? TERN_HTTP1_LENGTH
                                 : TERN_HTTP1_NO_BODY;
    head->keep_alive = !head->connection_close && (head->minor == 1 || head->connection_keep);
    if (head->minor == 0 || head->framing == TERN_HTTP1_NO_BODY ||
        (head->framing == TERN_HTTP1_LENGTH && head->content_length == 0))
        head->expect_continue = false; /* RFC 9110 10.1.1: nothing to wait for */
    return TERN_HTTP1_DONE;
}

static void shift(struct tern_str *s, const char *from, const char *to)
{
    if (s->p != NULL)
        s->p = to + (s->p - from);
}

/* The caller moved the bytes: the slices follow. */
static void rebase(struct tern_http1_head *head, const char *p)
{
    const char *from = head->base;

    head->base = p;
    if (from == NULL || from == p)
        return;
    shift(&head->method, from, p);
    shift(&head->path, from, p);
    shift(&head->query, from, p);
    shift(&head->authority, from, p);
    shift(&head->target_authority, from, p);
    shift(&head->content_type, from, p);
    shift(&head->content_encoding, from, p);
    shift(&head->accept_encoding, from, p);
    for (uint32_t i = 0; i < head->n_fields; i++) {
        shift(&head->fields[i].name, from, p);
        shift(&head->fields[i].value, from, p);
    }
}

/* Skips empty lines, then reads the request line; head->at moves behind it. */
static enum tern_http1_result read_first_line(struct tern_http1_head *head, const char *p, size_t n,
                                              struct tern_err *err)
{
    while (head->at < 2 * BLANK_LINES_MAX && n - head->at >= 2 && p[head->at] == '\r' &&
           p[head->at + 1] == '\n')
        head->at += 2;
    const char *line = p + head->at;
    size_t left = n - head->at;
    if (left == 0 || (left == 1 && line[0] == '\r'))
        return TERN_HTTP1_MORE;
    if (!is_class(line[0], CHAR_TOKEN))
        return bad(err, 400, "request line: expected a method; is this HTTP?");
    const char *lf = memchr(line, '\n', left);
    size_t max = head->limits->target_max + LINE_EXTRA;
    if (lf == NULL ? left > max : (size_t)(lf - line) > max)
        return bad_size(err, 414, "request line: target", head->limits->target_max);
    if (lf == NULL)
        return TERN_HTTP1_MORE;
    if (lf[-1] != '\r')
        return bad(err, 400, "request line: must end with CRLF");
    head->at = (size_t)(lf + 1 - p);
    return read_request_line(head, tern_str_make(line, (size_t)(lf - 1 - line)), err);
}

enum tern_http1_result tern_http1_head_read(struct tern_http1_head *head, const char *p, size_t n,
                                            struct tern_err *err)
{
    const char *end = p + n;

    if (n == 0)
        return TERN_HTTP1_MORE;
    rebase(head, p);
    if (!head->has_line) {
        enum tern_http1_result result = read_first_line(head, p, n, err);
        if (result != TERN_HTTP1_DONE)
            return result;
    }
    for (const char *at = p + head->at;;) {
        head->at = (size_t)(at - p);
        if (head->at > head->limits->bytes_max)
            return bad_size(err, 431, "request head", head->limits->bytes_max);
        if (at == end || (*at == '\r' && end - at == 1))
            return TERN_HTTP1_MORE;
        if (*at == '\r' && at[1] == '\n') {
            head->size = head->at + 2;
            return conclude(head, err);
        }
        enum tern_http1_result result = read_field(head, at, end, &at, err);
        if (result == TERN_HTTP1_MORE && n > head->limits->bytes_max)
            return bad_size(err, 431, "request head", head->limits->bytes_max);
        if (result != TERN_HTTP1_DONE)
            return result;
    }
}
