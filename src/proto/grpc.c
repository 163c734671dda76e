/* The request side: content type, timeout, and the next message of a body. */
#include "proto/grpc_int.h"

#include "base/account.h"
#include "wire/base64.h"
#include "wire/decoder.h"
#include "wire/grpc.h"

/* ---- content type ---- */

struct type_row {
    struct tern_str type;
    struct grpc_kind kind;
};

#define ROW(form, is_proto, text)        \
    {                                    \
        {(text), sizeof(text) - 1},      \
        {                                \
            (form), (is_proto),          \
            {                            \
                (text), sizeof(text) - 1 \
            }                            \
        }                                \
    }

/* The most frequent first. */
static const struct type_row type_rows[] = {
    ROW(GRPC_FORM_HTTP2, true, "application/grpc"),
    ROW(GRPC_FORM_HTTP2, true, "application/grpc+proto"),
    ROW(GRPC_FORM_WEB, true, "application/grpc-web+proto"),
    ROW(GRPC_FORM_WEB, true, "application/grpc-web"),
    ROW(GRPC_FORM_WEB_TEXT, true, "application/grpc-web-text"),
    ROW(GRPC_FORM_WEB_TEXT, true, "application/grpc-web-text+proto"),
};

bool tern_grpc_claims(const struct tern_exchange *x)
{
    struct tern_str prefix = TERN_STR("application/grpc"), type = x->content_type;

    return type.n >= prefix.n && tern_str_eq_nocase(tern_str_make(type.p, prefix.n), prefix);
}

struct grpc_kind grpc_kind_of(const struct tern_exchange *x)
{
    struct tern_str type = x->content_type;

    if (TERN_LIKELY(tern_str_eq(type, type_rows[0].type)))
        return type_rows[0].kind;
    if (!tern_grpc_claims(x))
        return (struct grpc_kind){.form = GRPC_FORM_NONE};
    type = tern_str_trim(tern_str_make(type.p, tern_str_find(type, ';')));
    for (size_t i = 0; i < TERN_COUNT_OF(type_rows); i++) {
        if (tern_str_eq_nocase(type, type_rows[i].type))
            return type_rows[i].kind;
    }
    /* Some other codec (+json): it is told so in gRPC's way. */
    return (struct grpc_kind){.form = GRPC_FORM_HTTP2, .answer_type = type_rows[0].type};
}

/* ---- before the message ---- */

bool grpc_encoding_from(struct tern_str name, enum tern_encoding *ret)
{
    if (name.n == 0 || tern_str_eq_nocase(name, TERN_STR("identity")))
        *ret = TERN_ENCODING_IDENTITY;
    else if (tern_str_eq_nocase(name, TERN_STR("gzip")))
        *ret = TERN_ENCODING_GZIP;
    else if (tern_str_eq_nocase(name, TERN_STR("deflate")))
        *ret = TERN_ENCODING_DEFLATE;
    else
        return false;
    return true;
}

static TERN_COLD enum tern_code fail_type(const struct tern_exchange *x, struct tern_err *err)
{
    return tern_fail_http(err, TERN_UNIMPLEMENTED, 415,
                          "content-type '%.*s' is not supported, expected application/grpc or "
                          "application/grpc-web with protocol buffers",
                          TERN_STR_ARG(x->content_type));
}

/* `te: trailers` is not asked for: proxies lose it, and nothing here depends on it. */
static enum tern_code check_head(struct tern_exchange *x, enum grpc_form *ret_form,
                                 enum tern_encoding *ret_encoding, struct tern_err *err)
{
    struct grpc_kind kind = grpc_kind_of(x);
    struct tern_str encoding = tern_exchange_header(x, TERN_STR("grpc-encoding"));

    if (kind.form == GRPC_FORM_NONE || !kind.is_proto)
        return fail_type(x, err);
    if (kind.form == GRPC_FORM_HTTP2 && x->http_major < 2)
        return tern_fail_http(err, TERN_UNIMPLEMENTED, 505,
                              "gRPC needs HTTP/2, the request came over HTTP/1.1; browsers and "
                              "HTTP/1.1 can use application/grpc-web");
    if (!grpc_encoding_from(encoding, ret_encoding)) {
        tern_exchange_add_header(x, TERN_STR("grpc-accept-encoding"),
                                 TERN_STR(GRPC_ACCEPTED_ENCODINGS));
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "grpc-encoding '%.*s' is not supported, expected " GRPC_ACCEPTED_ENCODINGS,
                         TERN_STR_ARG(encoding));
    }
    *ret_form = kind.form;
    return TERN_OK;
}

enum tern_code tern_grpc_read_deadline(struct tern_call *call, struct tern_err *err)
{
    struct tern_str value = tern_exchange_header(call->x, TERN_STR("grpc-timeout"));
    uint64_t *deadline = &call->request.deadline_ns, ns = 0;

    if (value.p == NULL)
        return TERN_OK;
    TERN_TRY(tern_grpc_parse_timeout(value, &ns, err));
    if (__builtin_add_overflow(ns, call->x->start_ns, &ns))
        return TERN_OK;
    if (*deadline == 0 || ns < *deadline)
        *deadline = ns > 0 ? ns : 1;
    return TERN_OK;
}

/* ---- the message ---- */

/* A decompressed message: memory of its own, charged as the arena is. */
struct expanded {
    struct tern_buf bytes;
    struct tern_till *till;
    size_t charged;
};

static void free_expanded(void *arg)
{
    struct expanded *expanded = arg;

    tern_till_give(expanded->till, expanded->charged);
    tern_buf_fini(&expanded->bytes);
}

static enum tern_code run_decoder(struct tern_decoder *decoder, enum tern_encoding encoding,
                                  uint32_t ratio, struct tern_str in, struct tern_buf *out,
                                  struct tern_err *err)
{
    struct tern_decoder_limits limits = {out->max, ratio};

    TERN_TRY(tern_decoder_start(decoder, encoding, limits, err));
    TERN_TRY(tern_decoder_feed(decoder, in, out, err));
    return tern_decoder_finish(decoder, err);
}

/* The decompressed message is tied to the arena. */
static enum tern_code expand(const struct tern_exchange *x, struct tern_arena *arena,
                             enum tern_encoding encoding, struct tern_str *message,
                             struct tern_err *err)
{
    struct expanded *out = tern_arena_alloc(arena, _Alignof(struct expanded), sizeof(*out));
    struct tern_decoder decoder;

    if (encoding == TERN_ENCODING_IDENTITY)
        return tern_fail(err, TERN_INTERNAL,
                         "the message is marked as compressed, but grpc-encoding names no coding");
    if (out == NULL)
        return tern_arena_fail(arena, err, "the message");
    *out = (struct expanded){.till = arena->till};
    tern_buf_init(&out->bytes, x->body_max);
    TERN_TRY(tern_arena_on_reset(arena, free_expanded, out, err));
    tern_decoder_init(&decoder);
    enum tern_code code =
        run_decoder(&decoder, encoding, x->expand_max, *message, &out->bytes, err);
    tern_decoder_fini(&decoder);
    TERN_TRY(code);
    if (!tern_till_take(out->till, out->bytes.n))
        return tern_till_fail(err);
    out->charged = out->bytes.n;
    *message = tern_buf_str(&out->bytes);
    return TERN_OK;
}

/* gRPC-Web's text form holds one message, so the whole body is decoded at once. */
static enum tern_code decode_text(struct tern_arena *arena, struct tern_str *bytes,
                                  struct tern_err *err)
{
    size_t n = 0;
    char *p = tern_arena_alloc(arena, 64, TERN_BASE64_ROOM(bytes->n) + 1);

    if (p == NULL)
        return tern_arena_fail(arena, err, "the message");
    TERN_TRY(tern_base64_decode_pieces(*bytes, p, &n, err));
    *bytes = tern_str_make(p, n);
    return TERN_OK;
}

static enum tern_code check_prefix(const struct tern_exchange *x, struct tern_grpc_prefix prefix,
                                   struct tern_err *err)
{
    if ((prefix.flags & ~TERN_GRPC_COMPRESSED) != 0)
        return tern_fail(err, TERN_INTERNAL,
                         "the message has unknown flags 0x%02x, expected 0 or 1", prefix.flags);
    if (prefix.n > x->body_max)
        return tern_fail_http(err, TERN_RESOURCE_EXHAUSTED, 413,
                              "the message has %u bytes, more than the %zu allowed", prefix.n,
                              x->body_max);
    return TERN_OK;
}

void tern_grpc_plan_body(const struct tern_exchange *x, struct tern_body_plan *plan,
                         struct tern_str *ret_message)
{
    enum grpc_form form = grpc_kind_of(x).form;
    struct tern_grpc_prefix prefix;

    *ret_message = tern_str_make(NULL, 0);
    if ((form != GRPC_FORM_HTTP2 && form != GRPC_FORM_WEB) ||
        !tern_grpc_read_prefix(plan->first, &prefix) || prefix.n > x->body_max)
        return;
    if (plan->size == SIZE_MAX)
        plan->size = prefix.n + (size_t)TERN_GRPC_PREFIX_SIZE;
    if (prefix.flags == 0)
        *ret_message = tern_str_from(plan->first, TERN_GRPC_PREFIX_SIZE);
}

static enum tern_code next(struct tern_exchange *x, struct tern_arena *arena,
                           struct tern_str *ret_message, size_t *ret_used, size_t *ret_need,
                           struct tern_err *err)
{
    enum tern_encoding encoding = TERN_ENCODING_IDENTITY;
    enum grpc_form form = GRPC_FORM_NONE;
    struct tern_grpc_prefix prefix;
    struct tern_str bytes = x->body;

    TERN_TRY(check_head(x, &form, &encoding, err));
    if (form == GRPC_FORM_WEB_TEXT)
        TERN_TRY(decode_text(arena, &bytes, err));
    *ret_used = 0;
    *ret_need = TERN_GRPC_PREFIX_SIZE;
    if (!tern_grpc_read_prefix(bytes, &prefix))
        return TERN_OK;
    TERN_TRY(check_prefix(x, prefix, err));
    *ret_need += prefix.n;
    if (bytes.n < *ret_need)
        return TERN_OK;
    struct tern_str message = tern_str_make(bytes.p + TERN_GRPC_PREFIX_SIZE, prefix.n);
    if (prefix.flags != 0)
        TERN_TRY(expand(x, arena, encoding, &message, err));
    *ret_message = message;
    /* In the text form, what is used counts in characters; all or not all is what it can say. */
    *ret_used = form == GRPC_FORM_WEB_TEXT && bytes.n == *ret_need ? x->body.n : *ret_need;
    return TERN_OK;
}

/* A malformed one is refused with the first message (tern_grpc_read_deadline). */
static uint64_t timeout(const struct tern_exchange *x)
{
    struct tern_str value = tern_exchange_header(x, TERN_STR("grpc-timeout"));
    uint64_t ns = 0;

    if (value.p == NULL || tern_grpc_parse_timeout(value, &ns, NULL) != TERN_OK)
        return 0;
    return ns > 0 ? ns : 1;
}

const struct tern_framing tern_grpc_framing = {
    .next = next,
    .begin = grpc_begin,
    .finish = grpc_finish,
    .end = grpc_end,
    .timeout = timeout,
};
