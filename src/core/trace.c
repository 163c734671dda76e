#include "core/trace.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static const char hex_digits[] = "0123456789abcdef";

/* xoshiro256++ 1.0 by D. Blackman and S. Vigna (public domain description). */
static uint64_t rotate(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t tern_trace_ids_next(struct tern_trace_ids *ids)
{
    uint64_t *s = ids->s;
    uint64_t result = rotate(s[0] + s[3], 23) + s[0];
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate(s[3], 45);
    return result;
}

enum tern_code tern_trace_ids_init(struct tern_trace_ids *ids, struct tern_err *err)
{
    /* Up to 256 bytes come whole or not at all (getrandom(2)). */
    ssize_t n = getrandom(ids->s, sizeof(ids->s), 0);

    if (n != (ssize_t)sizeof(ids->s))
        return tern_fail(err, TERN_UNAVAILABLE, "no random numbers: %s", strerror(errno));
    ids->s[0] |= 1; /* all zero is the one state it cannot leave */
    return TERN_OK;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *p, size_t bytes, uint8_t *dst)
{
    for (size_t i = 0; i < bytes; i++) {
        int high = hex_value(p[2 * i]);
        int low = hex_value(p[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        dst[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *write_hex(char *at, const uint8_t *p, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        *at++ = hex_digits[p[i] >> 4];
        *at++ = hex_digits[p[i] & 15];
    }
    return at;
}

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t any = 0;
    for (size_t i = 0; i < n; i++)
        any |= p[i];
    return any == 0;
}

bool tern_trace_parse(struct tern_str header, struct tern_trace *ret_trace)
{
    struct tern_trace trace = {.flags = 0};
    uint8_t version = 0;
    const char *p = header.p;

    if (header.n < TERN_TRACE_PARENT_LEN || p[2] != '-' || p[35] != '-' || p[52] != '-')
        return false;
    if (!read_hex(p, 1, &version) || version == 0xff)
        return false;
    /* Version 00 ends here; a later one may go on after a dash. */
    if (header.n > TERN_TRACE_PARENT_LEN && (version == 0 || p[TERN_TRACE_PARENT_LEN] != '-'))
        return false;
    if (!read_hex(p + 3, sizeof(trace.trace_id), trace.trace_id) ||
        !read_hex(p + 36, sizeof(trace.parent_id), trace.parent_id) ||
        !read_hex(p + 53, 1, &trace.flags))
        return false;
    if (is_zero(trace.trace_id, sizeof(trace.trace_id)) ||
        is_zero(trace.parent_id, sizeof(trace.parent_id)))
        return false;
    trace.flags &= TERN_TRACE_SAMPLED | 2u; /* 2: the trace id is random (level 2) */
    *ret_trace = trace;
    return true;
}

static void fill_random(struct tern_trace_ids *ids, uint8_t *dst, size_t n)
{
    do {
        for (size_t i = 0; i < n; i += 8) {
            uint64_t v = tern_trace_ids_next(ids);
            memcpy(dst + i, &v, 8);
        }
    } while (is_zero(dst, n));
}

void tern_trace_begin(struct tern_trace *trace, struct tern_str traceparent,
                      struct tern_trace_ids *ids)
{
    if (!tern_trace_parse(traceparent, trace)) {
        *trace = (struct tern_trace){.flags = 2u};
        fill_random(ids, trace->trace_id, sizeof(trace->trace_id));
    }
    tern_trace_new_span(trace, ids);
}

void tern_trace_new_span(struct tern_trace *trace, struct tern_trace_ids *ids)
{
    fill_random(ids, trace->span_id, sizeof(trace->span_id));
}

void tern_trace_format(const struct tern_trace *trace, char dst[TERN_TRACE_PARENT_LEN + 1])
{
    char *at = dst;

    *at++ = '0';
    *at++ = '0';
    *at++ = '-';
    at = write_hex(at, trace->trace_id, sizeof(trace->trace_id));
    *at++ = '-';
    at = write_hex(at, trace->span_id, sizeof(trace->span_id));
    *at++ = '-';
    at = write_hex(at, &trace->flags, 1);
    *at = '\0';
}

void tern_trace_format_id(const struct tern_trace *trace, char dst[33])
{
    *write_hex(dst, trace->trace_id, sizeof(trace->trace_id)) = '\0';
}

bool tern_trace_state_is_ok(struct tern_str tracestate)
{
    if (tracestate.n == 0 || tracestate.n > TERN_TRACE_STATE_MAX)
        return false;
    for (size_t i = 0; i < tracestate.n; i++) {
        char c = tracestate.p[i];
        if (c != '\t' && (c < ' ' || c > '~'))
            return false;
    }
    return true;
}

void tern_trace_request_id(struct tern_trace_ids *ids, char dst[TERN_REQUEST_ID_LEN + 1])
{
    uint8_t id[TERN_REQUEST_ID_LEN / 2];

    fill_random(ids, id, sizeof(id));
    *write_hex(dst, id, sizeof(id)) = '\0';
}

bool tern_trace_request_id_is_ok(struct tern_str id)
{
    if (id.n == 0 || id.n > 128)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && (c == '\0' || strchr("._:/+=-", c) == NULL))
            return false;
    }
    return true;
}
