#include "wire/ubjson.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tern_ubjson_init(struct tern_ubjson *ubjson, struct tern_str text)
{
    memset(ubjson, 0, sizeof(*ubjson));
    ubjson->p = ubjson->begin = text.p;
    ubjson->end = text.p + text.n;
}

enum tern_code(tern_ubjson_fail)(const struct tern_ubjson *ubjson, struct tern_err *err,
                                 const char *fmt, ...)
{
    char what[256], got[32] = "the end";
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(what, sizeof(what), fmt, ap);
    va_end(ap);
    if (ubjson->p < ubjson->end) {
        unsigned c = (unsigned char)*ubjson->p;
        snprintf(got, sizeof(got), c > 0x20 && c < 0x7f ? "'%c'" : "byte 0x%02x", c);
    }
    return tern_fail(err, TERN_INVALID_ARGUMENT, "failed to parse UBJSON: %s at byte %zu, got %s",
                     what, (size_t)(ubjson->p - ubjson->begin), got);
}

static size_t room(const struct tern_ubjson *ubjson)
{
    return (size_t)(ubjson->end - ubjson->p);
}

static struct tern_ubjson_level *innermost(struct tern_ubjson *ubjson)
{
    return &ubjson->levels[ubjson->depth - 1];
}

/* The marker of the next value: its own, or that of the typed array it stands in. 0 at the end. */
static char marker_of(const struct tern_ubjson *ubjson)
{
    if (ubjson->depth != 0 && ubjson->levels[ubjson->depth - 1].type != 0)
        return ubjson->levels[ubjson->depth - 1].type;
    return ubjson->p < ubjson->end ? *ubjson->p : '\0';
}

static void pass_marker(struct tern_ubjson *ubjson)
{
    if (ubjson->depth == 0 || ubjson->levels[ubjson->depth - 1].type == 0)
        ubjson->p++;
}

/* -- numbers ------------------------------------------------------------------------------ */

size_t tern_ubjson_size(char type)
{
    switch (type) {
    case 'i':
    case 'U':
        return 1;
    case 'I':
        return 2;
    case 'l':
    case 'd':
        return 4;
    case 'L':
    case 'D':
        return 8;
    default:
        return 0;
    }
}

static uint64_t big_endian(const char *p, size_t n)
{
    uint64_t v = 0;

    for (size_t i = 0; i < n; i++)
        v = v << 8 | (unsigned char)p[i];
    return v;
}

struct tern_json_number tern_ubjson_read(char type, const char *p)
{
    struct tern_json_number number = {.kind = TERN_JSON_INT64, .int64 = 0};
    uint64_t bits = big_endian(p, tern_ubjson_size(type));
    uint32_t half = (uint32_t)bits;
    float single;

    switch (type) {
    case 'i':
        number.int64 = (int64_t)(bits ^ 0x80) - 0x80; /* two's complement */
        break;
    case 'I':
        number.int64 = (int64_t)(bits ^ 0x8000) - 0x8000;
        break;
    case 'l':
        number.int64 = (int64_t)(bits ^ 0x80000000) - 0x80000000;
        break;
    case 'd':
        memcpy(&single, &half, sizeof(single));
        number.kind = TERN_JSON_DOUBLE;
        number.real = (double)single;
        break;
    case 'D':
        number.kind = TERN_JSON_DOUBLE;
        memcpy(&number.real, &bits, sizeof(number.real));
        break;
    default: /* U, L */
        number.int64 = (int64_t)bits;
        break;
    }
    return number;
}

enum tern_code tern_ubjson_number(struct tern_ubjson *ubjson, struct tern_json_number *ret,
                                  struct tern_err *err)
{
    size_t size = tern_ubjson_size(marker_of(ubjson));
    char type = marker_of(ubjson);

    if (size == 0)
        return tern_ubjson_fail(ubjson, err, "expected a number");
    pass_marker(ubjson);
    if (room(ubjson) < size)
        return tern_ubjson_fail(ubjson, err, "expected %zu bytes of a number, %zu are left", size,
                                room(ubjson));
    *ret = tern_ubjson_read(type, ubjson->p);
    ubjson->p += size;
    return TERN_OK;
}

/* 'L' and a length, of which each thing takes at least `least` bytes of what follows. */
static enum tern_code read_length(struct tern_ubjson *ubjson, size_t least, uint64_t *ret,
                                  struct tern_err *err)
{
    if (ubjson->p >= ubjson->end || *ubjson->p != 'L')
        return tern_ubjson_fail(ubjson, err, "expected the 'L' of a length");
    if (room(ubjson) < 9)
        return tern_ubjson_fail(ubjson, err, "expected a length of 8 bytes, %zu are left",
                                room(ubjson) - 1);
    uint64_t n = big_endian(ubjson->p + 1, 8);
    if (n > (room(ubjson) - 9) / least)
        return tern_ubjson_fail(ubjson, err, "a length of %llu is more than what follows",
                                (unsigned long long)n);
    ubjson->p += 9;
    *ret = n;
    return TERN_OK;
}

static enum tern_code read_text(struct tern_ubjson *ubjson, struct tern_str *ret,
                                struct tern_err *err)
{
    uint64_t n = 0;

    TERN_TRY(read_length(ubjson, 1, &n, err));
    struct tern_str text = tern_str_make(ubjson->p, (size_t)n);
    if (!tern_str_is_utf8(text))
        return tern_ubjson_fail(ubjson, err, "expected valid UTF-8 in the text that starts");
    ubjson->p += n;
    *ret = text;
    return TERN_OK;
}

/* -- structure ---------------------------------------------------------------------------- */

enum tern_json_kind tern_ubjson_peek(const struct tern_ubjson *ubjson)
{
    char marker = marker_of(ubjson);

    if (tern_ubjson_size(marker) != 0)
        return TERN_JSON_NUMBER;
    switch (marker) {
    case '{':
        return TERN_JSON_OBJECT;
    case '[':
        return TERN_JSON_ARRAY;
    case 'S':
        return TERN_JSON_STRING;
    case 'T':
    case 'F':
        return TERN_JSON_BOOL;
    case 'Z':
        return TERN_JSON_NULL;
    default:
        return TERN_JSON_NONE;
    }
}

static enum tern_code open_level(struct tern_ubjson *ubjson, char marker, const char *what,
                                 struct tern_err *err)
{
    if (marker_of(ubjson) != marker)
        return tern_ubjson_fail(ubjson, err, "expected %s", what);
    if (ubjson->depth == TERN_UBJSON_DEPTH_MAX)
        return tern_ubjson_fail(ubjson, err, "expected no more than %d levels of nesting",
                                TERN_UBJSON_DEPTH_MAX);
    ubjson->p++;
    ubjson->levels[ubjson->depth++] = (struct tern_ubjson_level){.object = marker == '{'};
    return TERN_OK;
}

enum tern_code tern_ubjson_object(struct tern_ubjson *ubjson, struct tern_err *err)
{
    TERN_TRY(open_level(ubjson, '{', "an object", err));
    if (ubjson->p < ubjson->end && (*ubjson->p == '$' || *ubjson->p == '#'))
        return tern_ubjson_fail(ubjson, err, "expected an object without a count");
    return TERN_OK;
}

enum tern_code tern_ubjson_array(struct tern_ubjson *ubjson, struct tern_err *err)
{
    TERN_TRY(open_level(ubjson, '[', "an array", err));
    struct tern_ubjson_level *level = innermost(ubjson);
    size_t least = 1;

    if (ubjson->p < ubjson->end && *ubjson->p == '$') {
        ubjson->p++;
        least = ubjson->p < ubjson->end ? tern_ubjson_size(*ubjson->p) : 0;
        if (least == 0)
            return tern_ubjson_fail(ubjson, err, "expected a typed array of numbers");
        level->type = *ubjson->p++;
        if (ubjson->p >= ubjson->end || *ubjson->p != '#')
            return tern_ubjson_fail(ubjson, err, "expected '#' after the type of an array");
    }
    if (ubjson->p < ubjson->end && *ubjson->p == '#') {
        ubjson->p++;
        level->counted = true;
        TERN_TRY(read_length(ubjson, least, &level->left, err));
    }
    return TERN_OK;
}

enum tern_code tern_ubjson_key(struct tern_ubjson *ubjson, bool *ret_more, struct tern_str *ret_key,
                               struct tern_err *err)
{
    if (ubjson->depth == 0 || !innermost(ubjson)->object)
        return tern_ubjson_fail(ubjson, err, "expected a key only in an object");
    bool more = ubjson->p >= ubjson->end || *ubjson->p != '}';
    if (more) {
        TERN_TRY(read_text(ubjson, ret_key, err));
    } else {
        ubjson->p++;
        ubjson->depth--;
    }
    *ret_more = more;
    return TERN_OK;
}

enum tern_code tern_ubjson_item(struct tern_ubjson *ubjson, bool *ret_more, struct tern_err *err)
{
    if (ubjson->depth == 0 || innermost(ubjson)->object)
        return tern_ubjson_fail(ubjson, err, "expected an item only in an array");
    struct tern_ubjson_level *level = innermost(ubjson);

    if (level->counted) {
        *ret_more = level->left != 0;
        level->left -= *ret_more;
    } else {
        *ret_more = ubjson->p >= ubjson->end || *ubjson->p != ']';
        ubjson->p += !*ret_more;
    }
    ubjson->depth -= !*ret_more;
    return TERN_OK;
}

enum tern_code tern_ubjson_end(struct tern_ubjson *ubjson, struct tern_err *err)
{
    if (ubjson->depth != 0 || ubjson->p != ubjson->end)
        return tern_ubjson_fail(ubjson, err, "expected nothing after the value");
    return TERN_OK;
}

/* -- values ------------------------------------------------------------------------------- */

enum tern_code tern_ubjson_string(struct tern_ubjson *ubjson, struct tern_str *ret,
                                  struct tern_err *err)
{
    if (marker_of(ubjson) != 'S')
        return tern_ubjson_fail(ubjson, err, "expected a string");
    ubjson->p++;
    return read_text(ubjson, ret, err);
}

enum tern_code tern_ubjson_bool(struct tern_ubjson *ubjson, bool *ret, struct tern_err *err)
{
    char marker = marker_of(ubjson);

    if (marker != 'T' && marker != 'F')
        return tern_ubjson_fail(ubjson, err, "expected a truth value");
    ubjson->p++;
    *ret = marker == 'T';
    return TERN_OK;
}

enum tern_code tern_ubjson_typed(struct tern_ubjson *ubjson, bool *ret_typed,
                                 struct tern_ubjson_numbers *ret, struct tern_err *err)
{
    *ret_typed = marker_of(ubjson) == '[' && room(ubjson) > 1 && ubjson->p[1] == '$';
    if (!*ret_typed)
        return TERN_OK;
    TERN_TRY(tern_ubjson_array(ubjson, err));
    struct tern_ubjson_level *level = innermost(ubjson);
    *ret = (struct tern_ubjson_numbers){level->type, ubjson->p, (size_t)level->left};
    ubjson->p += ret->n * tern_ubjson_size(level->type);
    ubjson->depth--;
    return TERN_OK;
}

static enum tern_code skip_one(struct tern_ubjson *ubjson, struct tern_err *err)
{
    struct tern_ubjson_numbers numbers;
    struct tern_json_number number;
    struct tern_str text;
    bool flag;

    switch (tern_ubjson_peek(ubjson)) {
    case TERN_JSON_NULL:
        ubjson->p++;
        return TERN_OK;
    case TERN_JSON_BOOL:
        return tern_ubjson_bool(ubjson, &flag, err);
    case TERN_JSON_NUMBER:
        return tern_ubjson_number(ubjson, &number, err);
    case TERN_JSON_STRING:
        return tern_ubjson_string(ubjson, &text, err);
    case TERN_JSON_OBJECT:
        return tern_ubjson_object(ubjson, err);
    case TERN_JSON_ARRAY:
        TERN_TRY(tern_ubjson_typed(ubjson, &flag, &numbers, err));
        return flag ? TERN_OK : tern_ubjson_array(ubjson, err);
    case TERN_JSON_NONE:
    default:
        return tern_ubjson_fail(ubjson, err, "expected a value");
    }
}

enum tern_code tern_ubjson_skip(struct tern_ubjson *ubjson, struct tern_err *err)
{
    int base = ubjson->depth;
    struct tern_str key;

    for (;;) {
        TERN_TRY(skip_one(ubjson, err));
        bool more = false;
        while (!more) {
            if (ubjson->depth == base)
                return TERN_OK;
            TERN_TRY(innermost(ubjson)->object ? tern_ubjson_key(ubjson, &more, &key, err)
                                               : tern_ubjson_item(ubjson, &more, err));
        }
    }
}
