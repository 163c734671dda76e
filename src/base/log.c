#include "base/log.h"

#include <time.h>
#include "base/clock.h"
#include "base/num.h"

#define ROOM_FOR_END 24 /* truncated=true or "truncated":true}, and the newline */

static const char hex_digits[] = "0123456789abcdef";

/* A line being made: writes past `end` fail and leave `full`; the part before a field that did not
 * fit is kept by resetting `at`. */
struct line {
    char *at;
    char *end;
    bool full;
    bool json;
    bool iso;               /* the form of the time */
    const char *key_colour; /* "" without colours */
    const char *reset;
};

TERN_INLINE void put(struct line *line, const char *p, size_t n)
{
    if (n > (size_t)(line->end - line->at)) {
        line->full = true;
        return;
    }
    if (n > 0) /* p may be NULL then */
        memcpy(line->at, p, n);
    line->at += n;
}

TERN_INLINE void put_z(struct line *line, const char *z)
{
    put(line, z, strlen(z));
}

TERN_INLINE void put_char(struct line *line, char c)
{
    put(line, &c, 1);
}

static void put_u64(struct line *line, uint64_t v)
{
    char digits[20];
    put(line, digits, tern_num_format_u64(v, digits));
}

/* v in exactly `width` digits. */
static void put_padded(struct line *line, uint64_t v, size_t width)
{
    char digits[20];

    for (size_t i = width; i > 0; i--, v /= 10)
        digits[i - 1] = (char)('0' + v % 10);
    put(line, digits, width);
}

/* Whether 8 bytes at p are all plain: printable ASCII other than space, '"', '\\' and '='. May say
 * no for some that are, never yes for one that is not (S. E. Anderson, Bit Twiddling Hacks). */
static bool is_plain8(const char *p)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    uint64_t quote = x ^ (ones * '"');
    uint64_t backslash = x ^ (ones * '\\');
    uint64_t equals = x ^ (ones * '=');
    uint64_t del = x ^ (ones * 0x7f);
    uint64_t bad = (x - ones * 0x21) | (quote - ones) | (backslash - ones) | (equals - ones) |
                   (del - ones) | x;
    return (bad & (ones * 0x80)) == 0;
}

/* Length of the UTF-8 sequence at s that may be shown as it is, or 0. Refused beside malformed
 * ones: C1 controls (terminals obey them), line and paragraph separators, and the marks that
 * reorder text (U+200E, U+200F, U+202A..E, U+2066..9). */
static size_t shown_sequence(struct tern_str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t n = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;

    if (p[0] < 0xc2 || p[0] > 0xf4 || s.n < n || !tern_str_is_utf8(tern_str_make(s.p, n)))
        return 0;
    if (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)
        return 0;
    if (n == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] >= 0x8e && p[2] <= 0xae))
        return p[2] <= 0x8f || p[2] >= 0xa8 ? 0 : n;
    if (n == 3 && p[0] == 0xe2 && p[1] == 0x81 && p[2] >= 0xa6 && p[2] <= 0xa9)
        return 0;
    return n;
}

/* One byte that may not be shown as it is. */
static void put_escape(struct line *line, unsigned char c)
{
    char hex[6] = {'\\', 'u', '0', '0', hex_digits[c >> 4], hex_digits[c & 15]};

    if (c == '"' || c == '\\')
        put(line, (const char[]){'\\', (char)c}, 2);
    else if (c == '\n')
        put(line, "\\n", 2);
    else if (c == '\t')
        put(line, "\\t", 2);
    else if (c == '\r')
        put(line, "\\r", 2);
    else if (!line->json)
        put(line, (const char[]){'\\', 'x', hex[4], hex[5]}, 4);
    else if (c >= 0x80)
        put(line, "\\ufffd", 6);
    else
        put(line, hex, 6);
}

static void put_escaped(struct line *line, struct tern_str s)
{
    bool cut = s.n > TERN_LOG_VALUE_MAX;
    size_t n = cut ? TERN_LOG_VALUE_MAX : s.n;
    size_t plain = 0; /* start of the run that needs no escape */
    size_t i = 0;

    while (i < n) {
        if (n - i >= 8 && is_plain8(s.p + i)) {
            i += 8;
            continue;
        }
        unsigned char c = (unsigned char)s.p[i];
        size_t step = c >= 0x80 ? shown_sequence(tern_str_make(s.p + i, n - i))
                                : (c >= 0x20 && c != '"' && c != '\\' && c != 0x7f);
        if (step == 0) {
            put(line, s.p + plain, i - plain);
            put_escape(line, c);
            step = 1;
            plain = i + 1;
        }
        i += step;
    }
    put(line, s.p + plain, n - plain);
    if (cut)
        put(line, "...", 3);
}

/* Text values stand bare when nothing in them could be taken for the line's own punctuation. */
static bool is_bare(struct tern_str s)
{
    if (s.n == 0 || s.n > TERN_LOG_VALUE_MAX)
        return false;
    size_t i = 0;
    while (s.n - i >= 8 && is_plain8(s.p + i))
        i += 8;
    for (; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=')
            return false;
    }
    return true;
}

static void put_str(struct line *line, struct tern_str s)
{
    if (!line->json && is_bare(s)) {
        put(line, s.p, s.n);
        return;
    }
    put_char(line, '"');
    put_escaped(line, s);
    put_char(line, '"');
}

/* 870ns, 51.3us, 1.25ms, 12.7s: three digits are all one reads. */
static void put_duration(struct line *line, uint64_t ns)
{
    static const struct {
        uint64_t ns;
        const char *suffix;
    } units[] = {{TERN_NS_PER_S, "s"}, {TERN_NS_PER_MS, "ms"}, {TERN_NS_PER_US, "us"}};

    for (size_t i = 0; i < TERN_COUNT_OF(units); i++) {
        uint64_t whole = ns / units[i].ns;
        if (whole == 0)
            continue;
        uint64_t thousandths = ns % units[i].ns / (units[i].ns / 1000);
        put_u64(line, whole);
        if (whole < 10) {
            put_char(line, '.');
            put_padded(line, thousandths / 10, 2);
        } else if (whole < 100) {
            put_char(line, '.');
            put_padded(line, thousandths / 100, 1);
        }
        put_z(line, units[i].suffix);
        return;
    }
    put_u64(line, ns);
    put_z(line, "ns");
}

static void put_key(struct line *line, const char *key, const char *suffix)
{
    if (line->json) {
        put(line, ",\"", 2);
        put_z(line, key);
        put_z(line, suffix);
        put(line, "\":", 2);
        return;
    }
    put_char(line, ' ');
    put_z(line, line->key_colour);
    put_z(line, key);
    put_char(line, '=');
    put_z(line, line->reset);
}

static void put_value(struct line *line, const struct tern_kv *kv)
{
    switch (kv->kind) {
    case TERN_KV_KIND_NONE:
        break;
    case TERN_KV_KIND_STR:
        put_str(line, kv->str);
        break;
    case TERN_KV_KIND_U64:
        put_u64(line, kv->u64);
        break;
    case TERN_KV_KIND_I64:
        if (kv->i64 < 0)
            put_char(line, '-');
        put_u64(line, kv->i64 < 0 ? (uint64_t)0 - (uint64_t)kv->i64 : (uint64_t)kv->i64);
        break;
    case TERN_KV_KIND_BOOL:
        put_z(line, kv->boolean ? "true" : "false");
        break;
    case TERN_KV_KIND_NS:
        if (!line->json) {
            put_duration(line, kv->u64);
            break;
        }
        put_u64(line, kv->u64 / TERN_NS_PER_S);
        put_char(line, '.');
        put_padded(line, kv->u64 % TERN_NS_PER_S, 9);
        break;
    case TERN_KV_KIND_ERR:
        put_str(line, tern_str_of(kv->err->text));
        break;
    }
}

/* A field goes in whole or not at all. */
static void put_field(struct line *line, const struct tern_kv *kv)
{
    char *before = line->at;

    if (kv->kind == TERN_KV_KIND_NONE)
        return;
    put_key(line, kv->key, kv->kind == TERN_KV_KIND_NS && line->json ? "_s" : "");
    put_value(line, kv);
    if (kv->kind == TERN_KV_KIND_ERR) {
        put_key(line, "code", "");
        put_z(line, line->json ? "\"" : "");
        put_z(line, tern_code_label(kv->err->code));
        put_z(line, line->json ? "\"" : "");
    }
    if (line->full)
        line->at = before;
}

/* Days since 1970 to a date of the Gregorian calendar: H. Hinnant's civil_from_days, for times
 * after 1970. gmtime_r takes a lock in some C libraries. */
static void put_time(struct line *line, uint64_t wall_ns)
{
    uint64_t s = wall_ns / TERN_NS_PER_S;
    uint64_t z = s / 86400 + 719468; /* days since 0000-03-01 */
    uint64_t of_day = s % 86400;
    uint64_t era = z / 146097;
    uint64_t of_era = z % 146097;
    uint64_t year_of_era = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    uint64_t of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    uint64_t mp = (5 * of_year + 2) / 153; /* month counted from March */
    uint64_t day = of_year - (153 * mp + 2) / 5 + 1;
    uint64_t month = mp < 10 ? mp + 3 : mp - 9;

    put_padded(line, year_of_era + era * 400 + (month <= 2), 4);
    put_char(line, '-');
    put_padded(line, month, 2);
    put_char(line, '-');
    put_padded(line, day, 2);
    put_char(line, line->iso ? 'T' : ' ');
    put_padded(line, of_day / 3600, 2);
    put_char(line, ':');
    put_padded(line, of_day / 60 % 60, 2);
    put_char(line, ':');
    put_padded(line, of_day % 60, 2);
    put_char(line, '.');
    put_padded(line, wall_ns % TERN_NS_PER_S / TERN_NS_PER_MS, 3);
    if (line->iso)
        put_char(line, 'Z');
}

static const struct {
    const char *name;
    const char *padded;
    const char *colour;
} level_rows[] = {
    [TERN_LOG_ERROR] = {"error", "error", "\033[31m"},
    [TERN_LOG_WARN] = {"warn", "warn ", "\033[33m"},
    [TERN_LOG_INFO] = {"info", "info ", "\033[32m"},
    [TERN_LOG_DEBUG] = {"debug", "debug", "\033[2m"},
};

static void put_head_json(struct line *line, uint64_t wall_ns, enum tern_log_level level,
                          const char *event, const char *message)
{
    put_z(line, "{\"time\":\"");
    put_time(line, wall_ns);
    put_z(line, "\",\"level\":\"");
    put_z(line, level_rows[level].name);
    put_z(line, "\",\"event\":\"");
    put_escaped(line, tern_str_of(event));
    put_z(line, "\",\"message\":\"");
    put_escaped(line, tern_str_of(message));
    put_char(line, '"');
}

static void put_head_text(struct line *line, uint64_t wall_ns, enum tern_log_level level,
                          const char *message)
{
    put_time(line, wall_ns);
    put_char(line, ' ');
    put_z(line, line->reset[0] != '\0' ? level_rows[level].colour : "");
    put_z(line, level_rows[level].padded);
    put_z(line, line->reset);
    put_char(line, ' ');
    put_escaped(line, tern_str_of(message));
    put_char(line, ' ');
}

size_t tern_log_format(const struct tern_log *log, uint64_t wall_ns, enum tern_log_level level,
                       const char *event, const char *message, const struct tern_kv *kv, size_t n,
                       char *dst, size_t cap)
{
    bool colour = log->colour && log->format == TERN_LOG_TEXT;
    struct line line = {.at = dst,
                        .end = dst + cap - ROOM_FOR_END,
                        .json = log->format == TERN_LOG_JSON,
                        .iso = log->format == TERN_LOG_JSON ||
                               atomic_load_explicit(&log->iso_times, memory_order_relaxed),
                        .key_colour = colour ? "\033[2m" : "",
                        .reset = colour ? "\033[0m" : ""};

    if (line.json)
        put_head_json(&line, wall_ns, level, event, message);
    else
        put_head_text(&line, wall_ns, level, message);
    bool truncated = line.full;
    line.full = false;
    for (size_t i = 0; i < n; i++) {
        put_field(&line, &kv[i]);
        truncated = truncated || line.full;
        line.full = false;
    }
    line.end = dst + cap;
    if (truncated)
        put_z(&line, line.json ? ",\"truncated\":true" : " truncated=true");
    if (line.json)
        put_char(&line, '}');
    while (!line.json && line.at > dst && line.at[-1] == ' ')
        line.at--;
    put_char(&line, '\n');
    return (size_t)(line.at - dst);
}

void tern_log_write(struct tern_log *log, enum tern_log_level level, const char *event,
                    const char *message, const struct tern_kv *kv, size_t n)
{
    TERN_UNINITIALIZED char text[TERN_LOG_LINE_MAX];
    size_t length = tern_log_format(log, tern_clock_wall_ns(), level, event, message, kv, n, text,
                                    sizeof(text));

    log->sink.write(log->sink.self, tern_str_make(text, length));
}

void tern_log_init(struct tern_log *log, struct tern_log_sink sink, enum tern_log_level level,
                   enum tern_log_format format, bool colour)
{
    log->sink = sink;
    log->format = format;
    log->colour = colour;
    atomic_init(&log->levels, tern_log_levels_upto(level));
    atomic_init(&log->iso_times, false);
}

bool tern_log_allow(struct tern_log_limit *limit, uint64_t now_ns, uint32_t burst,
                    uint32_t *ret_suppressed)
{
    uint64_t second = now_ns / TERN_NS_PER_S + 1;
    uint64_t seen = atomic_load_explicit(&limit->second, memory_order_relaxed);

    /* Whoever moves the second on starts the count anew; a line too many in a race is harmless. */
    if (seen != second && atomic_compare_exchange_strong(&limit->second, &seen, second))
        atomic_store(&limit->count, 0);
    if (atomic_fetch_add(&limit->count, 1) >= burst) {
        atomic_fetch_add(&limit->suppressed, 1);
        return false;
    }
    *ret_suppressed = atomic_exchange(&limit->suppressed, 0);
    return true;
}
