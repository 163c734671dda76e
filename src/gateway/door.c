/* What is decided by the head of an inference alone, before memory is taken for its body: by when
 * it must be answered, and whether it has a chance to be. */
#include <inttypes.h>
#include "base/clock.h"
#include "base/num.h"
#include "gateway/gateway_int.h"
#include "os/loop.h"

#define RETRY_S 1u /* where nobody knows better */

/* ---- headers that say how much time there is ---- */

enum time_form {
    TIME_LEFT,     /* milliseconds; 0: none are left */
    TIME_LEFT_ANY, /* the same; 0: no limit, which is what Envoy means by it */
    TIME_AT,       /* milliseconds since 1970 */
};

static const struct time_row {
    struct tern_str name;
    enum time_form form;
} time_rows[] = {
#define ROW(name, form)                    \
    {                                      \
        {(name), sizeof(name) - 1}, (form) \
    }
    ROW("x-request-timeout-ms", TIME_LEFT),
    ROW("x-envoy-expected-rq-timeout-ms", TIME_LEFT_ANY),
    ROW("x-request-deadline-ms", TIME_AT),
#undef ROW
};

static bool is_digits(struct tern_str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    }
    return s.n > 0;
}

/* In nanoseconds from now on, 0: it has passed; what 64 bits cannot hold is never. */
static uint64_t time_left(const struct time_row *row, uint64_t ms)
{
    uint64_t ns, wall = tern_clock_wall_ns();

    if (__builtin_mul_overflow(ms, (uint64_t)TERN_NS_PER_MS, &ns))
        return UINT64_MAX;
    if (row->form != TIME_AT)
        return ns == 0 && row->form == TIME_LEFT_ANY ? UINT64_MAX : ns;
    return ns > wall ? ns - wall : 0;
}

static enum tern_code read_time(struct gateway_call *gc, const struct time_row *row,
                                struct tern_str value, struct tern_err *err)
{
    uint64_t *deadline = &gc->call.request.deadline_ns, ms = UINT64_MAX;
    uint64_t from = row->form == TIME_AT ? tern_clock_mono_ns() : gc->came_ns, at;

    if (!is_digits(value))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "header %.*s: expected a number of milliseconds%s, got '%.*s'",
                         TERN_STR_ARG(row->name), row->form == TIME_AT ? " since 1970" : "",
                         TERN_STR_ARG(value));
    if (!tern_num_parse_u64(value, UINT64_MAX, &ms)) /* too many digits */
        ms = UINT64_MAX;
    uint64_t left = time_left(row, ms);
    if (left == 0)
        return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                         "Request timeout expired: header %.*s leaves no time, it says '%.*s'",
                         TERN_STR_ARG(row->name), TERN_STR_ARG(value));
    if (!__builtin_add_overflow(from, left, &at) && (*deadline == 0 || at < *deadline))
        *deadline = at;
    return TERN_OK;
}

static enum tern_code read_times(struct gateway_call *gc, struct tern_err *err)
{
    for (size_t i = 0; i < TERN_COUNT_OF(time_rows); i++) {
        struct tern_str value = tern_exchange_header(gc->call.x, time_rows[i].name);
        if (TERN_UNLIKELY(value.p != NULL))
            TERN_TRY(read_time(gc, &time_rows[i], value, err));
    }
    return TERN_OK;
}

/* ---- whether there is a chance ---- */

uint64_t gateway_deadline(const struct gateway_call *gc)
{
    uint64_t deadline =
        gc->came_ns + atomic_load_explicit(&gc->gateway->timeout_ns, memory_order_relaxed);
    uint64_t asked = gc->call.request.deadline_ns;

    return asked != 0 && asked < deadline ? asked : deadline;
}

/* 0: it says nothing. */
static uint64_t framing_time(const struct gateway_call *gc)
{
    const struct tern_framing *framing = gc->call.route->framing;
    return framing == NULL || framing->timeout == NULL ? 0 : framing->timeout(gc->call.x);
}

/* A stream whose time is over is not begun: its first messages would be answered before anybody
 * looks at the clock again. */
static enum tern_code check_framing_time(const struct gateway_call *gc, struct tern_err *err)
{
    uint64_t left = framing_time(gc), at;

    if (left == 0 || __builtin_add_overflow(gc->came_ns, left, &at) || at > tern_clock_mono_ns())
        return TERN_OK;
    return tern_fail(err, TERN_DEADLINE_EXCEEDED,
                     "Deadline Exceeded: the deadline passed before the request was read");
}

/* With what the framing says, which its decoder will read again. 0: the client names none. */
static uint64_t deadline_by_head(const struct gateway_call *gc)
{
    uint64_t deadline = gateway_deadline(gc), left = framing_time(gc), at;

    if (left == 0 && gc->call.request.deadline_ns == 0)
        return 0;
    if (left != 0 && !__builtin_add_overflow(gc->came_ns, left, &at) && at < deadline)
        deadline = at;
    return deadline;
}

static enum tern_code ask_for_room(struct gateway_call *gc, struct tern_err *err)
{
    uint64_t answer_in_ns = 0;

    if (gc->version == NULL || gc->version->info.documents)
        return TERN_OK; /* the message will name it; or its steps are asked one by one */
    enum tern_code code = tern_sched_admits(gc->gateway->settings.sched, gc->version,
                                            deadline_by_head(gc), &answer_in_ns, err);
    if (TERN_LIKELY(code == TERN_OK))
        return TERN_OK;
    err->retry_ms = (uint32_t)(answer_in_ns / TERN_NS_PER_MS < UINT32_MAX
                                   ? (answer_in_ns + TERN_NS_PER_MS - 1) / TERN_NS_PER_MS
                                   : UINT32_MAX);
    /* It counts as one of the model's. */
    tern_version_pin(gc->version, gc->loop->index);
    gc->call.pinned = gc->version;
    gc->call.info = &gc->version->info;
    return code;
}

enum tern_code gateway_enter(struct gateway_call *gc, struct tern_err *err)
{
    TERN_TRY(read_times(gc, err));
    TERN_TRY(check_framing_time(gc, err));
    return ask_for_room(gc, err);
}

/* ---- who is refused ---- */

static struct tern_str retry_after(struct tern_arena *arena, uint32_t retry_ms)
{
    uint32_t seconds = retry_ms / 1000 + (retry_ms % 1000 != 0);
    char *digits = seconds <= RETRY_S ? NULL : tern_arena_alloc(arena, 1, 20);

    if (digits == NULL)
        return TERN_STR("1");
    return tern_str_make(digits, tern_num_format_u64(seconds, digits));
}

void gateway_encode_error(const struct tern_proto *proto, struct tern_exchange *x,
                          const struct tern_err *err)
{
    int status = tern_err_http_status(err);

    proto->encode_error(x, err);
    if (status == 429 || status == 503) /* a limit that the request itself breaks stays broken */
        tern_exchange_add_header(x, TERN_STR("retry-after"), retry_after(x->arena, err->retry_ms));
}
