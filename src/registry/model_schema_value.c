#include "registry/model_schema_value.h"

#include <stdio.h>
#include "base/num.h"
#include "simd/numbers.h"

/* A real's text is at most 60 characters before it became canonical. */
#define REAL_MAX 80

static bool canonical_bool(struct tern_tree *node)
{
    static const char *const yes[] = {"true", "True", "t", "1"};
    static const char *const no[] = {"false", "False", "f", "0"};

    for (size_t i = 0; i < TERN_COUNT_OF(yes); i++) {
        if (tern_str_eq(node->text, tern_str_of(yes[i]))) {
            node->text = TERN_STR("true");
            return true;
        }
        if (tern_str_eq(node->text, tern_str_of(no[i]))) {
            node->text = TERN_STR("false");
            return true;
        }
    }
    return false;
}

/* Leading zeros went already when the text came through the protobuf reader; JSON and YAML give
 * the digits as written. */
static bool is_signed(struct tern_str text, int64_t min, int64_t max)
{
    int64_t v;

    return tern_num_parse_i64(text, &v) && v >= min && v <= max;
}

static bool is_unsigned(struct tern_str text, uint64_t max)
{
    uint64_t v;

    return tern_num_parse_u64(text, max, &v);
}

static size_t count_digits(struct tern_str s, size_t from)
{
    size_t n = 0;

    while (from + n < s.n && s.p[from + n] >= '0' && s.p[from + n] <= '9')
        n++;
    return n;
}

/* A finite number as JSON writes it: "1." becomes "1", ".5" becomes "0.5", "007" becomes "7". */
static bool canonical_real(struct tern_tree *node, struct tern_arena *arena)
{
    struct tern_str s = node->text;
    size_t at = s.n > 0 && s.p[0] == '-' ? 1 : 0;
    size_t whole = count_digits(s, at);
    struct tern_str whole_text = tern_str_make(s.p + at, whole);
    struct tern_str fraction = {NULL, 0};

    at += whole;
    if (at < s.n && s.p[at] == '.') {
        fraction = tern_str_make(s.p + at + 1, count_digits(s, at + 1));
        at += 1 + fraction.n;
    }
    struct tern_str exponent = tern_str_from(s, at);
    if (whole + fraction.n == 0 || s.n > 60)
        return false;
    if (exponent.n > 0) {
        size_t sign = exponent.n > 1 && (exponent.p[1] == '-' || exponent.p[1] == '+') ? 1 : 0;
        size_t digits = count_digits(exponent, 1 + sign);
        if ((exponent.p[0] | 0x20) != 'e' || digits == 0 || digits > 3 ||
            1 + sign + digits != exponent.n)
            return false;
    }
    while (whole_text.n > 1 && whole_text.p[0] == '0')
        whole_text = tern_str_from(whole_text, 1);
    if (whole_text.n == 0)
        whole_text = TERN_STR("0");
    struct tern_str text = tern_arena_printf(arena, "%s%.*s%s%.*s%.*s", s.p[0] == '-' ? "-" : "",
                                             TERN_STR_ARG(whole_text), fraction.n > 0 ? "." : "",
                                             TERN_STR_ARG(fraction), TERN_STR_ARG(exponent));
    node->text = text;
    return text.p != NULL;
}

static bool canonical_integer(const struct tern_schema_field *field, struct tern_tree *node,
                              struct tern_arena *arena)
{
    uint64_t v;
    bool ok = field->type == TERN_SCHEMA_INT32    ? is_signed(node->text, INT32_MIN, INT32_MAX)
              : field->type == TERN_SCHEMA_INT64  ? is_signed(node->text, INT64_MIN, INT64_MAX)
              : field->type == TERN_SCHEMA_UINT32 ? is_unsigned(node->text, UINT32_MAX)
                                                  : is_unsigned(node->text, UINT64_MAX);
    if (!ok)
        return false;
    bool negative = node->text.p[0] == '-';
    if (!tern_num_parse_u64(tern_str_from(node->text, negative), UINT64_MAX, &v))
        return false;
    node->text =
        tern_arena_printf(arena, "%s%llu", negative && v != 0 ? "-" : "", (unsigned long long)v);
    return node->text.p != NULL;
}

static bool canonical_enum(const struct tern_schema_field *field, struct tern_tree *node)
{
    int64_t number = -1;
    bool by_number = tern_num_parse_i64(node->text, &number);

    for (const struct tern_schema_enum *v = field->values; v->name != NULL; v++) {
        if (by_number ? v->number == number : tern_str_eq(node->text, tern_str_of(v->name))) {
            node->text = tern_str_of(v->name);
            return true;
        }
    }
    return false;
}

/* The reader of numbers looks beyond their end. */
double tern_model_schema_real(struct tern_str text)
{
    char padded[REAL_MAX + TERN_TEXT_PAD] = {0};
    double value = 0;
    size_t used;

    if (tern_str_copy_z(text, padded, REAL_MAX))
        (void)tern_numbers_read_double(tern_str_make(padded, text.n), &value, &used, NULL);
    return value;
}

bool tern_model_schema_is_text(struct tern_str text)
{
    return tern_str_find(text, '\0') == text.n && tern_str_is_utf8(text);
}

bool tern_model_schema_value(const struct tern_schema_field *field, struct tern_tree *node,
                             struct tern_arena *arena)
{
    switch (field->type) {
    case TERN_SCHEMA_BOOL:
        return canonical_bool(node);
    case TERN_SCHEMA_INT32:
    case TERN_SCHEMA_INT64:
    case TERN_SCHEMA_UINT32:
    case TERN_SCHEMA_UINT64:
        return canonical_integer(field, node, arena);
    case TERN_SCHEMA_FLOAT:
    case TERN_SCHEMA_DOUBLE:
        return canonical_real(node, arena);
    case TERN_SCHEMA_STRING:
        return tern_model_schema_is_text(node->text);
    case TERN_SCHEMA_ENUM:
        return canonical_enum(field, node);
    case TERN_SCHEMA_MESSAGE:
        return false;
    }
    return false;
}

const char *tern_model_schema_expected(const struct tern_schema_field *field, char *dst, size_t cap)
{
    size_t at = 0;

    switch (field->type) {
    case TERN_SCHEMA_BOOL:
        return "true or false";
    case TERN_SCHEMA_INT32:
        return "a whole number of 32 bits";
    case TERN_SCHEMA_INT64:
        return "a whole number";
    case TERN_SCHEMA_UINT32:
        return "a whole number from 0 to 4294967295";
    case TERN_SCHEMA_UINT64:
        return "a whole number, 0 or more";
    case TERN_SCHEMA_FLOAT:
    case TERN_SCHEMA_DOUBLE:
        return "a finite number";
    case TERN_SCHEMA_STRING:
        return "a text in UTF-8, in quotes in protobuf text";
    case TERN_SCHEMA_MESSAGE:
        return "a block in braces";
    case TERN_SCHEMA_ENUM:
        break;
    }
    for (const struct tern_schema_enum *v = field->values; v->name != NULL && at < cap; v++) {
        int n = snprintf(dst + at, cap - at, "%s%s", at == 0 ? "" : ", ", v->name);
        at += n < 0 ? 0 : (size_t)n;
    }
    return dst;
}

const char *tern_model_schema_default(const struct tern_schema_field *field)
{
    switch (field->type) {
    case TERN_SCHEMA_BOOL:
        return "false";
    case TERN_SCHEMA_INT32:
    case TERN_SCHEMA_INT64:
    case TERN_SCHEMA_UINT32:
    case TERN_SCHEMA_UINT64:
    case TERN_SCHEMA_FLOAT:
    case TERN_SCHEMA_DOUBLE:
        return "0";
    case TERN_SCHEMA_STRING:
        return "";
    case TERN_SCHEMA_ENUM:
        return field->values[0].name;
    case TERN_SCHEMA_MESSAGE:
        break;
    }
    return "";
}
