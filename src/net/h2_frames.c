/* What nghttp2 reports, translated into the life of streams, and counted where it smells of abuse:
 * rapid reset (CVE-2023-44487), resets that the client provokes from us (CVE-2025-8671), floods of
 * PING, SETTINGS, PRIORITY and empty DATA (CVE-2019-9512 ff.), windows opened byte by byte.
 * nghttp2 itself bounds CONTINUATION frames and its queue of acknowledgements. */
#include "net/h2_int.h"

#include <string.h>

#define WINDOW_STEP_MIN 64 /* a smaller WINDOW_UPDATE costs us more than it lets through */

static struct tern_h2_stream *find(struct tern_h2_conn *h, int32_t id)
{
    if (h->recent == NULL || h->recent->id != id)
        h->recent = nghttp2_session_get_stream_user_data(h->session, id);
    return h->recent;
}

static bool ends_stream(const nghttp2_frame *frame)
{
    return (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
}

static bool is_ack(const nghttp2_frame *frame)
{
    return (frame->hd.flags & NGHTTP2_FLAG_ACK) != 0;
}

/* RFC 9113 5.1.1: a new stream's id is larger than all before it. nghttp2 remembers the last
 * streams that closed and tells a frame on one of those apart; what is older, or was skipped, comes
 * here. */
static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *user)
{
    (void)user;
    if (hd->type == NGHTTP2_HEADERS &&
        hd->stream_id <= nghttp2_session_get_last_proc_stream_id(session) &&
        nghttp2_session_find_stream(session, hd->stream_id) == NULL)
        nghttp2_session_terminate_session(session, NGHTTP2_PROTOCOL_ERROR);
    return 0;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct tern_h2_conn *h = user;

    if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    struct tern_h2_stream *s = tern_h2_request_new(h, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    h->recent = s;
    return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name,
                     nghttp2_rcbuf *value, uint8_t flags, void *user)
{
    struct tern_h2_stream *s = find(user, frame->hd.stream_id);
    (void)session;
    (void)flags;

    /* Trailers go through too: they are bounded with the head, and then dropped. */
    if (s != NULL)
        tern_h2_request_add_header(s, name, value);
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                         size_t n, void *user)
{
    struct tern_h2_stream *s = find(user, id);
    (void)flags;

    if (s != NULL) {
        s->received += n;
        if (s->received > s->content_length && !s->unwanted)
            tern_h2_request_reset(s);
    }
    /* The connection goes on; the stream itself gets no new window: the client stops soon. */
    if (s != NULL && s->unwanted)
        return nghttp2_session_consume_connection(session, n) == 0 ? 0
                                                                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    if (s != NULL && s->parts && s->phase != TERN_H2_PHASE_DONE) {
        tern_h2_parts_add(s, p, n); /* sees to the stream's window */
        return nghttp2_session_consume_connection(session, n) == 0 ? 0
                                                                   : NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    if (s != NULL)
        tern_h2_body_add(s, p, n);
    return nghttp2_session_consume(session, id, n) == 0 ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static void on_headers_end(struct tern_h2_stream *s, const nghttp2_frame *frame)
{
    if (s == NULL)
        return;
    if (frame->headers.cat == NGHTTP2_HCAT_REQUEST)
        tern_h2_request_head_done(s, ends_stream(frame));
    else if (ends_stream(frame))
        tern_h2_request_complete(s);
    else /* trailers that are not the end */
        tern_h2_request_reset(s);
}

static void on_data_end(struct tern_h2_conn *h, struct tern_h2_stream *s,
                        const nghttp2_frame *frame)
{
    if (ends_stream(frame)) {
        if (s != NULL)
            tern_h2_request_complete(s);
    } else if (frame->hd.length <= frame->data.padlen) {
        tern_mux_h2_control(h);
    }
}

static void on_ping(struct tern_h2_conn *h, const nghttp2_frame *frame)
{
    if (!is_ack(frame)) {
        tern_mux_h2_control(h);
        tern_h2_alive_client_ping(h);
    } else if (h->drain == TERN_H2_DRAIN_NOTICE &&
               memcmp(frame->ping.opaque_data, tern_mux_h2_drain_ping, 8) == 0) {
        tern_mux_h2_drain_finish(h);
    }
}

static void on_settings(struct tern_h2_conn *h, const nghttp2_frame *frame)
{
    if (!h->greeted) {
        h->greeted = true;
        tern_mux_h2_rearm(h);
    }
    if (is_ack(frame))
        h->settled = true;
    else
        tern_mux_h2_control(h);
}

/* A client that has its answer may drop what it has not sent of the request: that costs us nothing.
 */
static void on_reset(struct tern_h2_conn *h, const struct tern_h2_stream *s)
{
    if (s == NULL || !s->unwanted)
        tern_mux_h2_glitch(h, 1);
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct tern_h2_conn *h = user;
    (void)session;

    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
        on_headers_end(find(h, frame->hd.stream_id), frame);
        break;
    case NGHTTP2_DATA:
        on_data_end(h, find(h, frame->hd.stream_id), frame);
        break;
    case NGHTTP2_RST_STREAM:
        on_reset(h, find(h, frame->hd.stream_id));
        break;
    case NGHTTP2_PING:
        on_ping(h, frame);
        break;
    case NGHTTP2_SETTINGS:
        on_settings(h, frame);
        break;
    case NGHTTP2_WINDOW_UPDATE:
        /* A client that opens its windows byte by byte makes us send as many frames. */
        if (frame->window_update.window_size_increment < WINDOW_STEP_MIN)
            tern_mux_h2_control(h);
        break;
    default: /* PRIORITY; the types that we do not know are dropped before they come here */
        tern_mux_h2_control(h);
        break;
    }
    return 0;
}

/* A reset that the client brought about. Too many streams at once are no fault before it has seen
 * our SETTINGS. */
static bool is_provoked(const struct tern_h2_conn *h, uint32_t error)
{
    if (error == NGHTTP2_REFUSED_STREAM)
        return h->settled;
    return error != NGHTTP2_NO_ERROR && error != NGHTTP2_INTERNAL_ERROR && error != NGHTTP2_CANCEL;
}

/* RFC 9113 8.1: answered before the request was complete; the rest of it is not wanted. Clients
 * exist that forget the answer when RST_STREAM follows close behind: the connection's clock sends
 * it, should the client not end the stream itself. Those of gRPC wait for it: grpc-go takes such a
 * stream for closed, opens another in its place, and would be one above the number that we allow.
 */
static void end_early(struct tern_h2_stream *s)
{
    struct tern_str type = s->x.content_type;

    s->unwanted = true;
    if (tern_str_starts(type, TERN_STR("application/grpc")) &&
        !tern_str_starts(type, TERN_STR("application/grpc-web")))
        nghttp2_submit_rst_stream(s->h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
}

static int on_frame_send(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct tern_h2_conn *h = user;
    (void)session;

    if (frame->hd.type == NGHTTP2_RST_STREAM) {
        if (is_provoked(h, frame->rst_stream.error_code))
            tern_mux_h2_glitch(h, 1);
        return 0;
    }
    if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
        !ends_stream(frame))
        return 0;
    struct tern_h2_stream *s = find(h, frame->hd.stream_id);
    if (s == NULL)
        return 0;
    s->end_sent = true;
    if (!s->complete)
        end_early(s);
    return 0;
}

/* A head that does not fit into nghttp2's limit for sending: the client must not wait for it. */
static int on_frame_not_send(nghttp2_session *session, const nghttp2_frame *frame, int error,
                             void *user)
{
    (void)error;
    (void)user;
    if (frame->hd.type == NGHTTP2_HEADERS)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_INTERNAL_ERROR);
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct tern_h2_stream *s = find(user, id);
    (void)session;
    (void)error;

    if (s != NULL)
        tern_h2_request_closed(s);
    return 0;
}

void tern_h2_frames_set_callbacks(nghttp2_session_callbacks *callbacks)
{
    nghttp2_session_callbacks_set_on_begin_frame_callback(callbacks, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(callbacks, on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame_recv);
    nghttp2_session_callbacks_set_on_frame_send_callback(callbacks, on_frame_send);
    nghttp2_session_callbacks_set_on_frame_not_send_callback(callbacks, on_frame_not_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(callbacks, tern_h2_response_send_data);
}
