/* The answer side: the prefix of a message, and the ways in which a call ends. */
#include "proto/grpc_int.h"

#include <sys/uio.h>
#include "base/num.h"
#include "wire/base64.h"
#include "wire/encoder.h"
#include "wire/grpc.h"
#include "wire/pb.h"

#define ERROR_DOMAIN "tern"
#define TYPE_URL     "type.googleapis.com/google.rpc."
#define PACK_ROOM    (8u << 10) /* the encoder writes in rounds, and may find no end before them */
#define RETRY_MS     1000       /* where nobody knows better, as the gateway's Retry-After */
#define DETAILS_MAX  (4u << 10) /* of google.rpc.Status */
#define STATUS_KEY   "grpc-status"
#define MESSAGE_KEY  "grpc-message"
#define DETAILS_KEY  "grpc-status-details-bin"
#define PUSHBACK_KEY "grpc-retry-pushback-ms" /* gRFC A6 */

/* How a call ended, as header values. */
struct ending {
    struct tern_str status;
    struct tern_str message;  /* empty: none */
    struct tern_str details;  /* empty: none */
    struct tern_str pushback; /* when to try again; empty: that may not help */
};

/* ---- a message ---- */

/* The coding that this client's answers get: only what is asked for by both sides. */
static enum tern_encoding answer_encoding(const struct tern_exchange *x)
{
    enum tern_encoding encoding = TERN_ENCODING_IDENTITY;
    struct tern_str rest, piece;

    if (TERN_LIKELY(x->listener == NULL ||
                    x->listener->grpc_compression == TERN_GRPC_COMPRESSION_NONE))
        return TERN_ENCODING_IDENTITY;
    rest = tern_exchange_header(x, TERN_STR("grpc-accept-encoding"));
    while (tern_str_split(&rest, ',', &piece)) {
        if (grpc_encoding_from(tern_str_trim(piece), &encoding) &&
            encoding != TERN_ENCODING_IDENTITY)
            return encoding;
    }
    return TERN_ENCODING_IDENTITY;
}

/* Once in a stream: later messages find it said. */
static void say_encoding(struct tern_exchange *x, enum tern_encoding encoding)
{
    struct tern_str name = TERN_STR("grpc-encoding");

    for (uint32_t i = 0; i < x->n_response_headers; i++) {
        if (tern_str_eq(x->response_headers[i].name, name))
            return;
    }
    tern_exchange_add_header(x, name, tern_str_of(tern_encoding_name(encoding)));
}

void grpc_begin(struct tern_call *call)
{
    struct tern_exchange *x = call->x;
    enum tern_encoding encoding = answer_encoding(x);
    struct tern_buf *out = tern_exchange_body(x);

    x->status = 200;
    x->response_type = grpc_kind_of(x).answer_type;
    x->brief = true;
    x->slices = NULL;
    x->n_slices = 0;
    if (encoding != TERN_ENCODING_IDENTITY)
        say_encoding(x, encoding);
    if (tern_buf_reserve(out, TERN_GRPC_PREFIX_SIZE))
        out->n += TERN_GRPC_PREFIX_SIZE;
}

static int level_of(enum tern_grpc_compression compression)
{
    switch (compression) {
    case TERN_GRPC_COMPRESSION_HIGH:
        return 9;
    case TERN_GRPC_COMPRESSION_MEDIUM:
        return 6;
    case TERN_GRPC_COMPRESSION_LOW:
    case TERN_GRPC_COMPRESSION_NONE:
    default:
        return 1;
    }
}

/* Puts the compressed message in the place of the plain one; true when that is shorter. A message
 * that cannot be compressed goes as it is. */
static bool compress(struct tern_call *call, enum tern_encoding encoding, size_t n)
{
    struct tern_exchange *x = call->x;
    struct tern_str body = tern_str_from(tern_exchange_body_str(x), TERN_GRPC_PREFIX_SIZE);
    struct iovec *pieces =
        tern_arena_alloc(call->arena, sizeof(void *), (x->n_slices + 1) * sizeof(*pieces));
    struct tern_encoder encoder;
    struct tern_buf packed;

    if (pieces == NULL)
        return false;
    pieces[0] = (struct iovec){(void *)(uintptr_t)body.p, body.n};
    for (uint32_t i = 0; i < x->n_slices; i++)
        pieces[i + 1] = (struct iovec){(void *)(uintptr_t)x->slices[i].p, x->slices[i].n};
    tern_buf_init(&packed, n + PACK_ROOM);
    tern_encoder_init(&encoder);
    encoder.level = level_of(x->listener->grpc_compression);
    bool done =
        tern_encoder_run(&encoder, encoding, pieces, x->n_slices + 1, &packed, NULL) == TERN_OK &&
        packed.n < n;
    if (done) {
        x->out->n -= body.n;
        tern_buf_add_str(x->out, tern_buf_str(&packed));
        x->n_slices = 0;
    }
    tern_encoder_fini(&encoder);
    tern_buf_fini(&packed);
    return done;
}

/* In the text form the frame, prefix and all, is one padded piece of base64. */
static enum tern_code to_text(struct tern_call *call, size_t n, struct tern_err *err)
{
    struct tern_exchange *x = call->x;
    struct tern_str body = tern_exchange_body_str(x);
    char *bytes = tern_arena_alloc(call->arena, 8, n), *at = bytes;

    if (bytes == NULL)
        return tern_arena_fail(call->arena, err, "the response");
    memcpy(at, body.p, body.n);
    at += body.n;
    for (uint32_t i = 0; i < x->n_slices; i++) {
        if (x->slices[i].n > 0)
            memcpy(at, x->slices[i].p, x->slices[i].n);
        at += x->slices[i].n;
    }
    x->n_slices = 0;
    struct tern_buf *out = tern_exchange_body(x);
    if (tern_buf_reserve(out, TERN_BASE64_SIZE(n)))
        out->n += tern_base64_encode(tern_str_make(bytes, n), true, out->p + out->n);
    return tern_buf_check(out, "the response", err);
}

enum tern_code grpc_finish(struct tern_call *call, struct tern_err *err)
{
    struct tern_exchange *x = call->x;
    enum tern_encoding encoding = answer_encoding(x);
    struct tern_grpc_prefix prefix = {0};

    TERN_TRY(tern_buf_check(x->out, "the response", err));
    size_t n = tern_exchange_body_str(x).n - TERN_GRPC_PREFIX_SIZE + tern_exchange_slices_size(x);
    if (n > INT32_MAX)
        return tern_fail_http(
            err, TERN_RESOURCE_EXHAUSTED, 413,
            "the response has %zu bytes, more than the %d that a message may have", n, INT32_MAX);
    if (encoding != TERN_ENCODING_IDENTITY && n >= TERN_ENCODING_SIZE_MIN &&
        compress(call, encoding, n)) {
        TERN_TRY(tern_buf_check(x->out, "the response", err));
        prefix.flags = TERN_GRPC_COMPRESSED;
        n = tern_exchange_body_str(x).n - TERN_GRPC_PREFIX_SIZE;
    }
    prefix.n = (uint32_t)n;
    tern_grpc_write_prefix(prefix, x->out->p + TERN_HEAD_ROOM);
    if (grpc_kind_of(x).form == GRPC_FORM_WEB_TEXT)
        return to_text(call, n + TERN_GRPC_PREFIX_SIZE, err);
    return TERN_OK;
}

/* ---- the end ---- */

static struct tern_str status_text(enum tern_code code)
{
    static const char *const numbers[TERN_CODE_COUNT] = {
        "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15", "16"};
    return tern_str_of(numbers[code]);
}

static size_t open_detail(struct tern_buf *buf, struct tern_str type_url, size_t *ret_value)
{
    size_t any = tern_pb_open(buf, 3);

    tern_pb_add_bytes(buf, 1, type_url);
    *ret_value = tern_pb_open(buf, 2);
    return any;
}

/* 0: trying again helps nobody. */
static uint32_t retry_ms_of(const struct tern_err *err)
{
    int http_status = tern_err_http_status(err);

    if (http_status != 429 && http_status != 503)
        return 0;
    return err->retry_ms > 0 ? err->retry_ms : RETRY_MS;
}

/* google.rpc.Status, with ErrorInfo and RetryInfo where trying again may help. */
static void write_details(struct tern_buf *buf, const struct tern_err *err)
{
    uint32_t retry_ms = retry_ms_of(err);
    size_t any, value = 0;

    tern_pb_add_varint(buf, 1, (uint64_t)err->code);
    tern_pb_add_bytes(buf, 2, tern_str_of(err->text));
    if (retry_ms == 0)
        return;
    any = open_detail(buf, TERN_STR(TYPE_URL "ErrorInfo"), &value);
    tern_pb_add_bytes(buf, 1, tern_str_of(tern_code_name(err->code)));
    tern_pb_add_bytes(buf, 2, TERN_STR(ERROR_DOMAIN));
    tern_pb_close(buf, value);
    tern_pb_close(buf, any);
    any = open_detail(buf, TERN_STR(TYPE_URL "RetryInfo"), &value);
    size_t delay = tern_pb_open(buf, 1);
    if (retry_ms >= 1000)
        tern_pb_add_varint(buf, 1, retry_ms / 1000);
    if (retry_ms % 1000 != 0)
        tern_pb_add_varint(buf, 2, retry_ms % 1000 * UINT64_C(1000000));
    tern_pb_close(buf, delay);
    tern_pb_close(buf, value);
    tern_pb_close(buf, any);
}

static struct tern_str details_of(struct tern_arena *arena, const struct tern_err *err)
{
    struct tern_str text = {NULL, 0};
    struct tern_buf buf;

    tern_buf_init(&buf, DETAILS_MAX);
    write_details(&buf, err);
    char *p = buf.failed ? NULL : tern_arena_alloc(arena, 1, TERN_BASE64_SIZE(buf.n));
    if (p != NULL)
        text = tern_str_make(p, tern_base64_encode(tern_buf_str(&buf), false, p));
    tern_buf_fini(&buf);
    return text;
}

static struct tern_str pushback_of(struct tern_arena *arena, const struct tern_err *err)
{
    uint32_t retry_ms = retry_ms_of(err);
    char *p = retry_ms == 0 ? NULL : tern_arena_alloc(arena, 1, 20);

    return p == NULL ? tern_str_make(NULL, 0) : tern_str_make(p, tern_num_format_u64(retry_ms, p));
}

/* Without memory the number alone has to do. */
static struct ending ending_of(struct tern_arena *arena, const struct tern_err *err)
{
    struct ending ending = {.status = status_text(err == NULL ? TERN_OK : err->code)};

    if (err == NULL)
        return ending;
    struct tern_str text = tern_str_of(err->text);
    char *p = text.n == 0 ? NULL : tern_arena_alloc(arena, 1, text.n * 3);
    if (p != NULL)
        ending.message = tern_str_make(p, tern_grpc_encode_message(text, p));
    ending.details = details_of(arena, err);
    ending.pushback = pushback_of(arena, err);
    return ending;
}

static void put_ending(struct tern_exchange *x, const struct ending *ending,
                       void (*add)(struct tern_exchange *x, struct tern_str name,
                                   struct tern_str value))
{
    add(x, TERN_STR(STATUS_KEY), ending->status);
    if (ending->message.n > 0)
        add(x, TERN_STR(MESSAGE_KEY), ending->message);
    if (ending->details.n > 0)
        add(x, TERN_STR(DETAILS_KEY), ending->details);
    if (ending->pushback.n > 0)
        add(x, TERN_STR(PUSHBACK_KEY), ending->pushback);
}

/* "name: value\r\n" at dst, which moves on; without dst, only how many bytes that takes. */
static size_t put_line(char **dst, struct tern_str name, struct tern_str value)
{
    const struct tern_str pieces[] = {name, TERN_STR(": "), value, TERN_STR("\r\n")};
    size_t n = 0;

    if (value.n == 0)
        return 0;
    for (size_t i = 0; i < TERN_COUNT_OF(pieces); i++) {
        if (dst != NULL) {
            memcpy(*dst, pieces[i].p, pieces[i].n);
            *dst += pieces[i].n;
        }
        n += pieces[i].n;
    }
    return n;
}

static size_t put_lines(char **dst, const struct ending *ending)
{
    return put_line(dst, TERN_STR(STATUS_KEY), ending->status) +
           put_line(dst, TERN_STR(MESSAGE_KEY), ending->message) +
           put_line(dst, TERN_STR(DETAILS_KEY), ending->details) +
           put_line(dst, TERN_STR(PUSHBACK_KEY), ending->pushback);
}

/* gRPC-Web: the trailers are a last frame. p == NULL: there is no memory for it. */
static struct tern_str make_frame(struct tern_arena *arena, const struct ending *ending)
{
    size_t n = put_lines(NULL, ending);
    char *frame = tern_arena_alloc(arena, 1, TERN_GRPC_PREFIX_SIZE + n), *at = frame;

    if (frame == NULL)
        return tern_str_make(NULL, 0);
    tern_grpc_write_prefix((struct tern_grpc_prefix){TERN_GRPC_TRAILERS, (uint32_t)n}, frame);
    at += TERN_GRPC_PREFIX_SIZE;
    put_lines(&at, ending);
    return tern_str_make(frame, TERN_GRPC_PREFIX_SIZE + n);
}

/* Behind the slices of the body, which are copied into a list with room for one more. */
static bool append_slice(struct tern_exchange *x, struct tern_str bytes)
{
    size_t size = (x->n_slices + 1) * sizeof(x->slices[0]);
    struct tern_slice *slices = tern_arena_alloc(x->arena, _Alignof(struct tern_slice), size);

    if (slices == NULL)
        return false;
    memcpy(slices, x->slices, x->n_slices * sizeof(slices[0]));
    slices[x->n_slices++] = (struct tern_slice){bytes.p, bytes.n};
    x->slices = slices;
    return true;
}

static void append_frame(struct tern_exchange *x, enum grpc_form form, const struct ending *ending)
{
    struct tern_str frame = make_frame(x->arena, ending);
    bool done = frame.p != NULL;

    if (done && x->n_slices > 0)
        done = append_slice(x, frame);
    else if (done && form == GRPC_FORM_WEB)
        tern_buf_add_str(x->out, frame);
    else if (done && tern_buf_reserve(x->out, TERN_BASE64_SIZE(frame.n)))
        x->out->n += tern_base64_encode(frame, true, x->out->p + x->out->n);
    if (!done)
        x->out->failed = true; /* the mux cuts the answer off: no end is better than a wrong one */
}

void grpc_end(struct tern_exchange *x, const struct tern_err *err, bool head_sent)
{
    enum grpc_form form = grpc_kind_of(x).form;

    if (TERN_LIKELY(err == NULL && head_sent && form == GRPC_FORM_HTTP2)) {
        tern_exchange_add_trailer(x, TERN_STR(STATUS_KEY), TERN_STR("0"));
        return;
    }
    if (err != NULL && !head_sent) {
        tern_grpc_encode_error(x, err);
        return;
    }
    if (!head_sent) { /* a stream without a message */
        x->status = 200;
        x->response_type = grpc_kind_of(x).answer_type;
        x->brief = true;
    }
    struct ending ending = ending_of(x->arena, err);
    if (form == GRPC_FORM_WEB || form == GRPC_FORM_WEB_TEXT)
        append_frame(x, form, &ending);
    else
        put_ending(x, &ending, tern_exchange_add_trailer);
}

void tern_grpc_encode_error(struct tern_exchange *x, const struct tern_err *err)
{
    struct grpc_kind kind = grpc_kind_of(x);
    struct tern_buf *out = tern_exchange_body(x);

    x->slices = NULL;
    x->n_slices = 0;
    x->n_response_trailers = 0;
    if (kind.form == GRPC_FORM_NONE || (kind.form == GRPC_FORM_HTTP2 && x->http_major < 2)) {
        x->status = tern_err_http_status(err);
        x->response_type = TERN_STR("text/plain; charset=utf-8");
        tern_buf_add_str(out, tern_str_of(err->text));
        tern_buf_add_char(out, '\n');
        return;
    }
    struct ending ending = ending_of(x->arena, err);
    x->status = 200;
    x->response_type = kind.answer_type;
    x->brief = true;
    put_ending(x, &ending, tern_exchange_add_header);
}
