/* From an exchange to frames. What the handler sends is copied (or, when large, taken over) at
 * once, because x->out is the loop's scratch; DATA frames then draw from it as the windows of RFC
 * 9113 5.2 allow. Small pieces are copied behind their frame header, large ones are sent in place.
 *
 * Trailers (gRPC's status) follow the last byte where it is given out, in read_data; when no byte
 * is left at the end they go at once, because no window holds them back. */
#include "net/h2_int.h"

#include <assert.h>
#include <string.h>
#include "base/num.h"

#define STEAL_MIN         (32u << 10) /* a body in x->out from here on is taken over, not copied */
#define REF_MIN           4096u       /* a piece of a frame from here on is sent in place */
#define BATCH_MAX         (512u << 10)
#define SEGMENT_ROOM      24 /* segments one frame of 16 KiB may take, and one for its header */
#define COMPRESS_MAX      (4u << 20) /* more would hold the loop up */
#define FRAME_HEAD        9
#define CONTROL_A_MESSAGE 4u /* control frames that an answer or a message of it pays for */

struct head {
    nghttp2_nv nv[TERN_RESPONSE_HEADERS_MAX + 7];
    size_t n;
    char status[20];
    char length[20];
};

static void add(struct head *head, struct tern_str name, struct tern_str value, uint8_t flags)
{
    if (head->n < TERN_COUNT_OF(head->nv))
        head->nv[head->n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p,
                                           (uint8_t *)(uintptr_t)value.p, name.n, value.n, flags};
}

/* Names that are literals here stay, and so do some values, as slices do; nghttp2 copies the
 * others, and lowers the handler's names. */
#define ADD(head, name, value) add((head), TERN_STR(name), (value), NGHTTP2_NV_FLAG_NO_COPY_NAME)
#define ADD_STABLE(head, name, value)    \
    add((head), TERN_STR(name), (value), \
        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE)

/* RFC 9113 8.2.2: fields that speak of a connection do not exist here. */
static bool is_connection_field(struct tern_str name)
{
    static const struct tern_str names[] = {{"connection", 10},
                                            {"keep-alive", 10},
                                            {"transfer-encoding", 17},
                                            {"upgrade", 7},
                                            {"proxy-connection", 16}};
    for (size_t i = 0; i < TERN_COUNT_OF(names); i++) {
        if (tern_str_eq_nocase(name, names[i]))
            return true;
    }
    return false;
}

static void reset(struct tern_h2_stream *s, uint32_t code)
{
    s->pending = 0;
    nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, code);
}

/* Body. */

/* The slices of x as pieces behind the body in x->out. */
static enum tern_encoding compress(struct tern_h2_stream *s, struct tern_str body, size_t total)
{
    struct tern_exchange *x = &s->x;

    if (!x->allow_compression || !tern_hub_may_compress(s->shared->hub, total) ||
        total > COMPRESS_MAX)
        return TERN_ENCODING_IDENTITY;
    enum tern_encoding encoding =
        tern_encoding_negotiate(tern_exchange_header(x, TERN_STR("accept-encoding")));
    struct iovec *pieces =
        tern_arena_alloc(&s->arena, sizeof(void *), (x->n_slices + 1) * sizeof(*pieces));
    if (encoding == TERN_ENCODING_IDENTITY || pieces == NULL)
        return TERN_ENCODING_IDENTITY;
    pieces[0] = (struct iovec){(void *)(uintptr_t)body.p, body.n};
    for (uint32_t i = 0; i < x->n_slices; i++)
        pieces[i + 1] = (struct iovec){(void *)(uintptr_t)x->slices[i].p, x->slices[i].n};
    if (tern_encoder_run(&s->shared->encoder, encoding, pieces, x->n_slices + 1, &s->out, NULL) !=
            TERN_OK ||
        s->out.n >= total) {
        tern_buf_clear(&s->out);
        return TERN_ENCODING_IDENTITY;
    }
    return encoding;
}

/* The whole answer came at once: nothing is appended later, so large parts stay where they are. */
static void take_whole(struct tern_h2_stream *s, struct tern_str body)
{
    struct tern_exchange *x = &s->x;

    if (body.n >= STEAL_MIN) {
        tern_buf_fini(&s->out);
        s->out = *x->out;
        s->out_at = TERN_HEAD_ROOM;
        tern_buf_init(x->out, s->out.max);
    } else {
        tern_buf_add_str(&s->out, body);
    }
    s->out_is_stable = true;
    s->pending = body.n + tern_exchange_slices_size(x);
}

/* A part of a streamed answer. */
static void append(struct tern_h2_stream *s)
{
    struct tern_exchange *x = &s->x;
    struct tern_str body = tern_exchange_body_str(x);

    if (s->out_at > 0) {
        tern_buf_consume(&s->out, s->out_at);
        s->out_at = 0;
    }
    tern_buf_add_str(&s->out, body);
    for (uint32_t i = 0; i < x->n_slices; i++)
        tern_buf_add(&s->out, x->slices[i].p, x->slices[i].n);
    s->pending = s->out.n;
    if (s->out.failed || s->pending > s->shared->hub->limits.queue_max)
        reset(s, NGHTTP2_INTERNAL_ERROR); /* the client does not read as fast as we make it */
    x->unsent = s->pending;
    x->crowded |= s->pending > TERN_STREAM_HIGH;
}

/* Queues the trailers, which end the stream. */
static bool submit_trailers(struct tern_h2_stream *s)
{
    const struct tern_exchange *x = &s->x;
    TERN_UNINITIALIZED nghttp2_nv nv[TERN_RESPONSE_TRAILERS_MAX];

    for (uint32_t i = 0; i < x->n_response_trailers; i++) {
        struct tern_str name = x->response_trailers[i].name;
        struct tern_str value = x->response_trailers[i].value;
        nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)name.p, (uint8_t *)(uintptr_t)value.p, name.n,
                             value.n, NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE};
    }
    s->trailers_sent = true;
    return nghttp2_submit_trailer(s->h->session, s->id, nv, x->n_response_trailers) == 0;
}

/* nghttp2_data_source_read_callback: how many bytes the next frame may take. */
static ssize_t read_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct tern_h2_stream *s = source->ptr;
    (void)session;
    (void)id;
    (void)buf;
    (void)user;

    if (s->pending == 0 && (!s->ended || s->trailers_sent)) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (s->pending > length)
        return (ssize_t)length;
    if (s->ended) {
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        if (s->x.n_response_trailers > 0) {
            *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
            if (!submit_trailers(s))
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
    }
    return (ssize_t)s->pending;
}

/* The next run of body bytes that lie together, at most n, and whether they stay in place. */
static struct tern_str next_part(struct tern_h2_stream *s, size_t n, bool *ret_stable)
{
    while (s->out_at >= s->out.n && s->slice_off >= s->x.slices[s->slice_at].n) {
        s->slice_at++;
        s->slice_off = 0;
    }
    struct tern_str part;
    if (s->out_at < s->out.n) {
        part = tern_str_make(s->out.p + s->out_at, s->out.n - s->out_at);
        *ret_stable = s->out_is_stable;
        part.n = part.n < n ? part.n : n;
        s->out_at += part.n;
    } else {
        const struct tern_slice *slice = &s->x.slices[s->slice_at];
        part = tern_str_make((const char *)slice->p + s->slice_off, slice->n - s->slice_off);
        *ret_stable = true;
        part.n = part.n < n ? part.n : n;
        s->slice_off += part.n;
    }
    return part;
}

int tern_h2_response_send_data(nghttp2_session *session, nghttp2_frame *frame,
                               const uint8_t *frame_head, size_t length,
                               nghttp2_data_source *source, void *user)
{
    struct tern_h2_conn *h = user;
    struct tern_h2_hub *shared = h->shared;
    struct tern_h2_stream *s = source->ptr;
    (void)session;
    (void)frame;

    if (shared->n_segments > TERN_H2_SEGMENTS - SEGMENT_ROOM || shared->batch > BATCH_MAX) {
        shared->full = true;
        return NGHTTP2_ERR_WOULDBLOCK;
    }
    tern_buf_add(&shared->wire, frame_head, FRAME_HEAD);
    tern_mux_h2_add_segment(shared, NULL, FRAME_HEAD);
    s->pending -= length;
    /* gRPC's clients give what each short message took back to both windows at once. */
    if (s->pending == 0)
        h->control -= h->control < CONTROL_A_MESSAGE ? h->control : CONTROL_A_MESSAGE;
    s->x.bytes_out += length;
    if (s->x.crowded && s->pending <= TERN_STREAM_LOW && tern_list_is_empty(&s->room_link))
        tern_list_append(&h->roomy, &s->room_link); /* told after the flush */
    s->progress_ns = tern_loop_now_ns(shared->hub->loop);
    while (length > 0) {
        bool stable = false;
        struct tern_str part = next_part(s, length, &stable);
        length -= part.n;
        if (stable && part.n >= REF_MIN) {
            tern_mux_h2_add_segment(shared, part.p, part.n);
            s->sent_mark = h->conn->bytes_given + shared->batch;
        } else {
            tern_buf_add_str(&shared->wire, part);
            tern_mux_h2_add_segment(shared, NULL, part.n);
        }
    }
    return shared->wire.failed ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

/* Head. */

static void build_head(struct tern_h2_stream *s, struct head *head, enum tern_encoding encoding,
                       bool has_length, size_t total)
{
    struct tern_exchange *x = &s->x;

    head->n = 0;
    if (TERN_LIKELY(x->status == 200))
        ADD_STABLE(head, ":status", TERN_STR("200"));
    else
        ADD(head, ":status",
            tern_str_make(head->status, tern_num_format_u64((uint64_t)x->status, head->status)));
    if (x->response_type.n > 0)
        ADD_STABLE(head, "content-type", x->response_type);
    if (has_length)
        ADD(head, "content-length",
            tern_str_make(head->length, tern_num_format_u64(total, head->length)));
    if (encoding != TERN_ENCODING_IDENTITY)
        ADD(head, "content-encoding", tern_str_of(tern_encoding_name(encoding)));
    if (x->allow_compression)
        ADD_STABLE(head, "vary", TERN_STR("accept-encoding"));
    if (!x->brief) {
        ADD_STABLE(head, "server", TERN_STR("tern"));
        ADD(head, "date", tern_hub_date(s->shared->hub));
    }
    for (uint32_t i = 0; i < x->n_response_headers; i++) {
        if (!is_connection_field(x->response_headers[i].name))
            add(head, x->response_headers[i].name, x->response_headers[i].value,
                NGHTTP2_NV_FLAG_NONE);
    }
}

/* `empty`: no body byte will come. */
static bool submit_head(struct tern_h2_stream *s, const struct head *head, bool empty)
{
    nghttp2_session *session = s->h->session;
    nghttp2_data_provider provider = {.source = {.ptr = s}, .read_callback = read_data};

    if (s->no_body || !empty)
        return nghttp2_submit_response(session, s->id, head->nv, head->n,
                                       s->no_body ? NULL : &provider) == 0;
    return nghttp2_submit_headers(session, NGHTTP2_FLAG_NONE, s->id, NULL, head->nv, head->n,
                                  NULL) == 0 &&
           submit_trailers(s);
}

/* The first call of send: head, and the body or its first part. */
static void start(struct tern_h2_stream *s, bool end)
{
    struct tern_exchange *x = &s->x;
    struct tern_str body = tern_exchange_body_str(x);
    enum tern_encoding encoding = TERN_ENCODING_IDENTITY;
    size_t total = body.n + tern_exchange_slices_size(x);
    bool bodiless_status = x->status == 204 || x->status == 304;
    TERN_UNINITIALIZED struct head head;

    if (x->status < 200 || x->status > 999)
        x->status = x->status == 0 ? 200 : 500;
    bool has_trailers = x->n_response_trailers > 0;
    s->no_body =
        x->method == TERN_METHOD_HEAD || bodiless_status || (end && total == 0 && !has_trailers);
    if (!s->no_body && !end) {
        append(s);
    } else if (!s->no_body) {
        encoding = compress(s, body, total);
        if (encoding == TERN_ENCODING_IDENTITY)
            take_whole(s, body);
        else
            s->pending = s->out.n;
        s->out_is_stable = true;
        total = s->pending;
    }
    s->head_sent = true;
    build_head(s, &head, encoding, end && !bodiless_status && !has_trailers, total);
    if (s->out.failed || !submit_head(s, &head, end && total == 0))
        reset(s, NGHTTP2_INTERNAL_ERROR);
}

/* Wakes what waited for this send. */
static void go_on(struct tern_h2_stream *s)
{
    bool only_trailers = s->ended && s->pending == 0 && !s->no_body && s->x.n_response_trailers > 0;

    if (only_trailers && !s->trailers_sent) {
        if (!submit_trailers(s))
            reset(s, NGHTTP2_INTERNAL_ERROR);
    } else if (s->deferred && !s->trailers_sent) {
        s->deferred = false;
        nghttp2_session_resume_data(s->h->session, s->id);
    }
}

static void send(struct tern_exchange *x, bool end)
{
    struct tern_h2_stream *s = tern_h2_stream_of(x);

    assert(!s->ended);
    s->ended = end;
    if (s->pending == 0) /* a client that takes nothing is not helped by more that it could take */
        s->progress_ns = tern_loop_now_ns(x->loop);
    if (!s->closed) {
        if (!s->head_sent)
            start(s, end);
        else if (!s->no_body)
            append(s);
    }
    /* The next answer on this loop must not find these bytes. */
    tern_buf_clear(x->out);
    x->n_slices = 0;
    s->phase = end ? TERN_H2_PHASE_DONE : TERN_H2_PHASE_HANDED;
    if (s->closed) {
        if (end)
            tern_h2_request_release(s);
        return;
    }
    go_on(s);
    tern_mux_h2_touch(s->h);
}

const struct tern_exchange_ops tern_h2_response_ops = {.send = send, .take = tern_h2_parts_take};
