#include "base/num.h"

bool tern_num_parse_u64(struct tern_str s, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;

    if (s.n == 0 || s.n > 20)
        return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(unsigned char)s.p[i] - '0';
        if (digit > 9 || __builtin_mul_overflow(v, (uint64_t)10, &v) ||
            __builtin_add_overflow(v, (uint64_t)digit, &v))
            return false;
    }
    if (v > max)
        return false;
    *ret = v;
    return true;
}

bool tern_num_parse_i64(struct tern_str s, int64_t *ret)
{
    bool negative = s.n > 0 && s.p[0] == '-';
    uint64_t limit = negative ? (uint64_t)INT64_MAX + 1 : (uint64_t)INT64_MAX;
    uint64_t v;

    if (!tern_num_parse_u64(negative ? tern_str_from(s, 1) : s, limit, &v))
        return false;
    *ret = negative ? (int64_t)(0 - v) : (int64_t)v;
    return true;
}

struct unit {
    const char *suffix;
    uint64_t factor;
};

/* Splits "<digits><suffix>" and multiplies by the unit's factor. */
static bool parse_with_unit(struct tern_str s, const struct unit *units, size_t count,
                            uint64_t *ret)
{
    size_t digits = 0;
    uint64_t v;

    while (digits < s.n && s.p[digits] >= '0' && s.p[digits] <= '9')
        digits++;
    if (!tern_num_parse_u64(tern_str_make(s.p, digits), UINT64_MAX, &v))
        return false;
    struct tern_str suffix = tern_str_from(s, digits);
    for (size_t i = 0; i < count; i++) {
        if (tern_str_eq_nocase(suffix, tern_str_of(units[i].suffix))) {
            if (__builtin_mul_overflow(v, units[i].factor, &v))
                return false;
            *ret = v;
            return true;
        }
    }
    return false;
}

bool tern_num_parse_size(struct tern_str s, uint64_t *ret)
{
    static const struct unit units[] = {
        {"", 1},         {"b", 1},          {"k", 1u << 10}, {"kib", 1u << 10},
        {"m", 1u << 20}, {"mib", 1u << 20}, {"g", 1u << 30}, {"gib", 1u << 30},
    };
    return parse_with_unit(s, units, TERN_COUNT_OF(units), ret);
}

bool tern_num_parse_duration(struct tern_str s, uint64_t *ret_ns)
{
    static const struct unit units[] = {
        {"", 1000000000u},  {"ns", 1},           {"us", 1000},          {"ms", 1000000},
        {"s", 1000000000u}, {"m", 60000000000u}, {"h", 3600000000000u},
    };
    return parse_with_unit(s, units, TERN_COUNT_OF(units), ret_ns);
}

size_t tern_num_format_u64(uint64_t v, char *dst)
{
    TERN_UNINITIALIZED char reversed[20];
    size_t n = 0;

    if (v < 10) { /* versions, dimensions, labels */
        *dst = (char)('0' + v);
        return 1;
    }

    do {
        reversed[n++] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    for (size_t i = 0; i < n; i++)
        dst[i] = reversed[n - 1 - i];
    return n;
}
