#include "wire/pbtxt.h"

#include "base/num.h"

void tern_pbtxt_init(struct tern_pbtxt *reader, struct tern_str text, struct tern_arena *arena)
{
    *reader = (struct tern_pbtxt){.text = text, .arena = arena, .line = 1};
    /* A byte order mark is what some editors leave. */
    if (tern_str_starts(text, TERN_STR("\xEF\xBB\xBF")))
        reader->at = reader->line_start = 3;
}

/* The byte ahead, or -1 at the end. */
static int peek(const struct tern_pbtxt *r)
{
    return r->at < r->text.n ? (int)(unsigned char)r->text.p[r->at] : -1;
}

static uint32_t column(const struct tern_pbtxt *r)
{
    return (uint32_t)(r->at - r->line_start + 1);
}

static void skip_blank(struct tern_pbtxt *r)
{
    for (int c = peek(r); c >= 0; c = peek(r)) {
        if (c == '#') {
            while (peek(r) >= 0 && peek(r) != '\n')
                r->at++;
            continue;
        }
        if (c != ' ' && c != '\t' && c != '\r' && c != '\n' && c != '\v' && c != '\f')
            return;
        r->at++;
        if (c == '\n') {
            r->line++;
            r->line_start = r->at;
        }
    }
}

static void mark(const struct tern_pbtxt *r, struct tern_pbtxt_event *e)
{
    e->line = r->line;
    e->column = column(r);
}

static enum tern_code unexpected(const struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                 const char *wanted, struct tern_err *err)
{
    int c = peek(r);

    mark(r, e);
    if (c < 0)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected %s, got the end of the file",
                         wanted);
    if (c < 0x20 || c > 0x7E)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "expected %s, got byte 0x%02X", wanted,
                         (unsigned)c);
    return tern_fail(err, TERN_INVALID_ARGUMENT, "expected %s, got '%c'", wanted, c);
}

static bool is_letter(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

static struct tern_str take_word(struct tern_pbtxt *r)
{
    size_t start = r->at;

    while (is_letter(peek(r)) || is_digit(peek(r)))
        r->at++;
    return tern_str_make(r->text.p + start, r->at - start);
}

/* ---- strings ---- */

static int hex_digit(int c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Up to `max` digits of base 8 or 16 (at least one); -1 without any. */
static int64_t take_digits(struct tern_pbtxt *r, int base, int max)
{
    int64_t v = -1;

    for (int i = 0; i < max; i++) {
        int digit = hex_digit(peek(r));
        if (digit < 0 || digit >= base)
            break;
        v = (v < 0 ? 0 : v * base) + digit;
        r->at++;
    }
    return v;
}

/* After a backslash. Writes at most 4 bytes, never more than the escape took in the text (with its
 * backslash); answers 0 when it is no escape. */
static size_t take_escape(struct tern_pbtxt *r, char *dst)
{
    static const char from[] = "abfnrtv\\'\"?";
    static const char to[] = "\a\b\f\n\r\t\v\\'\"?";
    int c = peek(r);
    int64_t v;

    if (c >= '0' && c <= '7') {
        v = take_digits(r, 8, 3);
        dst[0] = (char)v;
        return v > 0xFF ? 0 : 1;
    }
    r->at += c >= 0;
    if (c == 'x' || c == 'X') {
        v = take_digits(r, 16, 2);
        dst[0] = (char)v;
        return v < 0 ? 0 : 1;
    }
    if (c == 'u' || c == 'U') {
        size_t start = r->at;
        v = take_digits(r, 16, c == 'u' ? 4 : 8);
        bool whole = r->at - start == (c == 'u' ? 4u : 8u);
        bool scalar = v >= 0 && v <= 0x10FFFF && (v < 0xD800 || v > 0xDFFF);
        return whole && scalar ? tern_str_put_utf8((uint32_t)v, dst) : 0;
    }
    for (size_t i = 0; i < sizeof(from) - 1; i++) {
        if (c == from[i]) {
            dst[0] = to[i];
            return 1;
        }
    }
    return 0;
}

/* One quoted piece into dst (with room for all of it); advances *ret_n. */
static enum tern_code take_quoted(struct tern_pbtxt *r, char *dst, size_t *ret_n,
                                  struct tern_pbtxt_event *e, struct tern_err *err)
{
    int quote = peek(r);
    size_t n = *ret_n;

    for (r->at++; peek(r) != quote;) {
        int c = peek(r);
        if (c < 0 || c == '\n')
            return unexpected(r, e, "the closing quote", err);
        if (c == '\\') {
            mark(r, e);
            r->at++;
            size_t wrote = take_escape(r, dst + n);
            if (wrote == 0)
                return tern_fail(err, TERN_INVALID_ARGUMENT, "no such escape in a string");
            n += wrote;
        } else {
            dst[n++] = (char)c;
            r->at++;
        }
    }
    r->at++;
    *ret_n = n;
    return TERN_OK;
}

/* Offset past the last piece of a string that starts here: what the decoded text cannot exceed. */
static size_t string_end(const struct tern_pbtxt *reader)
{
    struct tern_pbtxt r = *reader;
    size_t end = r.at;

    while (peek(&r) == '"' || peek(&r) == '\'') {
        int quote = peek(&r);
        r.at++;
        while (peek(&r) >= 0 && peek(&r) != quote)
            r.at += peek(&r) == '\\' ? 2 : 1;
        if (peek(&r) < 0)
            return r.text.n;
        end = ++r.at;
        skip_blank(&r);
    }
    return end;
}

static enum tern_code take_string(struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                  struct tern_err *err)
{
    struct tern_pbtxt_event start = *e;
    size_t room = string_end(r) - r->at;
    char *dst = tern_arena_alloc(r->arena, 1, room + 1);
    size_t n = 0;

    if (dst == NULL)
        return tern_arena_fail(r->arena, err, "a string");
    while (peek(r) == '"' || peek(r) == '\'') {
        TERN_TRY(take_quoted(r, dst, &n, e, err));
        skip_blank(r);
    }
    *e = start;
    dst[n] = '\0';
    e->value = TERN_PBTXT_STRING;
    e->text = tern_str_make(dst, n);
    return TERN_OK;
}

/* ---- numbers and words ---- */

static bool read_integer(struct tern_str s, uint64_t *ret)
{
    int base = 10;
    size_t i = 0;
    uint64_t v = 0;

    if (s.n > 2 && s.p[0] == '0' && (s.p[1] | 0x20) == 'x') {
        base = 16;
        i = 2;
    } else if (s.n > 1 && s.p[0] == '0') {
        base = 8;
        i = 1;
    }
    for (; i < s.n; i++) {
        int digit = hex_digit((unsigned char)s.p[i]);
        if (digit < 0 || digit >= base || __builtin_mul_overflow(v, (uint64_t)base, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    *ret = v;
    return s.n > 0;
}

/* digits [. digits] [e [sign] digits], with at least one digit in front of the exponent. */
static bool is_real(struct tern_str s)
{
    size_t i = 0, digits = 0;

    for (; i < s.n && (is_digit(s.p[i]) || s.p[i] == '.'); i++) {
        digits += is_digit(s.p[i]) ? 1 : 0;
        if (s.p[i] == '.' && tern_str_find(tern_str_from(s, i + 1), '.') + i + 1 < s.n)
            return false;
    }
    if (digits == 0 || i == s.n)
        return digits > 0;
    if ((s.p[i] | 0x20) != 'e')
        return false;
    i += i + 1 < s.n && (s.p[i + 1] == '-' || s.p[i + 1] == '+') ? 2 : 1;
    size_t start = i;
    while (i < s.n && is_digit(s.p[i]))
        i++;
    return i == s.n && i > start;
}

static struct tern_str take_number_text(struct tern_pbtxt *r)
{
    size_t start = r->at;

    for (int c = peek(r); c >= 0; c = peek(r)) {
        bool sign = (c == '+' || c == '-') && r->at > start && (r->text.p[r->at - 1] | 0x20) == 'e';
        if (!is_letter(c) && !is_digit(c) && c != '.' && !sign)
            break;
        r->at++;
    }
    return tern_str_make(r->text.p + start, r->at - start);
}

static enum tern_code take_number(struct tern_pbtxt *r, bool negative, struct tern_pbtxt_event *e,
                                  struct tern_err *err)
{
    struct tern_str s = take_number_text(r);
    struct tern_str real = s;
    const char *sign = negative ? "-" : "";
    uint64_t v;

    if (read_integer(s, &v)) {
        e->value = TERN_PBTXT_INTEGER;
        e->text = tern_arena_printf(r->arena, "%s%llu", sign, (unsigned long long)v);
    } else {
        if (real.n > 1 && (real.p[real.n - 1] | 0x20) == 'f')
            real.n--;
        /* A number that starts with 0 is octal, and this one is none. */
        bool octal = s.n > 1 && s.p[0] == '0' && tern_str_find(s, '.') == s.n && real.n == s.n &&
                     tern_str_find(s, 'e') == s.n && tern_str_find(s, 'E') == s.n;
        if (octal || !is_real(real))
            return tern_fail(err, TERN_INVALID_ARGUMENT, "not a number: \"%.*s\"",
                             (int)(s.n > 40 ? 40 : s.n), s.p);
        e->value = TERN_PBTXT_REAL;
        e->text = tern_arena_printf(r->arena, "%s%.*s", sign, TERN_STR_ARG(real));
    }
    return e->text.p == NULL ? tern_arena_fail(r->arena, err, "a number") : TERN_OK;
}

static enum tern_code take_negative(struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                    struct tern_err *err)
{
    r->at++;
    skip_blank(r);
    if (is_digit(peek(r)) || peek(r) == '.')
        return take_number(r, true, e, err);
    struct tern_str word = take_word(r);
    if (!tern_str_eq_nocase(word, TERN_STR("inf")) &&
        !tern_str_eq_nocase(word, TERN_STR("infinity")) &&
        !tern_str_eq_nocase(word, TERN_STR("nan")))
        return unexpected(r, e, "a number after '-'", err);
    e->value = TERN_PBTXT_REAL;
    e->text = tern_arena_printf(r->arena, "-%.*s", TERN_STR_ARG(word));
    return e->text.p == NULL ? tern_arena_fail(r->arena, err, "a number") : TERN_OK;
}

static enum tern_code take_scalar(struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                  struct tern_err *err)
{
    int c = peek(r);

    e->kind = TERN_PBTXT_SCALAR;
    mark(r, e);
    if (c == '"' || c == '\'')
        return take_string(r, e, err);
    if (c == '-')
        return take_negative(r, e, err);
    if (is_digit(c) || c == '.')
        return take_number(r, false, e, err);
    if (!is_letter(c))
        return unexpected(r, e, "a value", err);
    e->value = TERN_PBTXT_WORD;
    e->text = take_word(r);
    return TERN_OK;
}

/* ---- structure ---- */

/* A list that came without ':' holds messages only; its closer is noted as 'm' instead of ']'. */
static bool in_list(const struct tern_pbtxt *r)
{
    return r->depth > 0 && (r->closers[r->depth - 1] == ']' || r->closers[r->depth - 1] == 'm');
}

static enum tern_code open_bracket(struct tern_pbtxt *r, enum tern_pbtxt_kind kind, char closer,
                                   struct tern_pbtxt_event *e, struct tern_err *err)
{
    mark(r, e);
    if (r->depth == TERN_PBTXT_DEPTH_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "nested deeper than %d", TERN_PBTXT_DEPTH_MAX);
    r->closers[r->depth++] = closer;
    r->has_content = false;
    r->at++;
    e->kind = kind;
    return TERN_OK;
}

static enum tern_code close_bracket(struct tern_pbtxt *r, struct tern_pbtxt_event *e)
{
    mark(r, e);
    e->kind = in_list(r) ? TERN_PBTXT_LIST_END : TERN_PBTXT_MESSAGE_END;
    r->depth--;
    r->at++;
    /* Whatever is open now holds what just ended. */
    r->has_content = true;
    return TERN_OK;
}

/* A message or a scalar; the bracket of a message closes by the matching one. */
static enum tern_code take_value(struct tern_pbtxt *r, bool colon, struct tern_pbtxt_event *e,
                                 struct tern_err *err)
{
    int c = peek(r);

    if (c == '{' || c == '<')
        return open_bracket(r, TERN_PBTXT_MESSAGE_BEGIN, c == '{' ? '}' : '>', e, err);
    if (!colon)
        return unexpected(r, e, "':', '{' or '['", err);
    return take_scalar(r, e, err);
}

static enum tern_code next_element(struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                   struct tern_err *err)
{
    if (peek(r) == ']')
        return close_bracket(r, e);
    if (r->has_content) {
        if (peek(r) != ',')
            return unexpected(r, e, "',' or ']'", err);
        r->at++;
        skip_blank(r);
    }
    r->has_content = true;
    if (r->closers[r->depth - 1] == 'm' && peek(r) != '{' && peek(r) != '<')
        return unexpected(r, e, "'{' (a list of plain values needs ':' in front)", err);
    return take_value(r, true, e, err);
}

static enum tern_code next_field(struct tern_pbtxt *r, struct tern_pbtxt_event *e,
                                 struct tern_err *err)
{
    if (!is_letter(peek(r)))
        return unexpected(r, e, "a field's name", err);
    e->name_line = r->line;
    e->name_column = column(r);
    e->name = take_word(r);
    skip_blank(r);
    bool colon = peek(r) == ':';
    if (colon) {
        r->at++;
        skip_blank(r);
    }
    if (peek(r) != '[')
        return take_value(r, colon, e, err);
    return open_bracket(r, TERN_PBTXT_LIST_BEGIN, colon ? ']' : 'm', e, err);
}

enum tern_code tern_pbtxt_next(struct tern_pbtxt *r, struct tern_pbtxt_event *ret_event,
                               struct tern_err *err)
{
    struct tern_pbtxt_event *e = ret_event;

    *e = (struct tern_pbtxt_event){.kind = TERN_PBTXT_END};
    skip_blank(r);
    if (in_list(r))
        return next_element(r, e, err);
    if (r->has_content && (peek(r) == ',' || peek(r) == ';')) {
        r->at++;
        skip_blank(r);
    }
    r->has_content = true;
    int c = peek(r);
    if (r->depth > 0 && c == r->closers[r->depth - 1])
        return close_bracket(r, e);
    if (c < 0 && r->depth == 0) {
        mark(r, e);
        return TERN_OK;
    }
    return next_field(r, e, err);
}
