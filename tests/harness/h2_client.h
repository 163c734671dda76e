/* An HTTP/2 client for tests: an nghttp2 client session over a descriptor of the rig, with what
 * came back by stream. Messages that a decent client would refuse to send may be sent. */
#ifndef TERN_HARNESS_H2_CLIENT_H
#define TERN_HARNESS_H2_CLIENT_H

#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include "base/buf.h"
#include "base/str.h"
#include "net_rig.h"

/* The fields of a request, after each other: name, value. */
#define FIELDS(...) ((const char *const[]){__VA_ARGS__, NULL})
static const struct tern_str no_body = {NULL, 0};

#define CLIENT_STREAMS 4096

struct client_stream {
    int status; /* of the final head; 0: none came */
    int informational;
    int heads; /* header blocks: the final head, trailers */
    bool closed;
    uint32_t error;       /* of RST_STREAM, when it closed by one */
    struct tern_buf head; /* "name: value\n" each */
    struct tern_buf body;
    const char *send; /* request body left */
    size_t send_n;
    bool hold; /* leave the request open after the body */
};

struct client {
    struct rig *rig;
    int fd;
    nghttp2_session *session;
    struct client_stream *streams[CLIENT_STREAMS]; /* by id */
    bool goaway;
    uint32_t goaway_error;
    int32_t goaway_last;
    int goaways;
    char goaway_text[64]; /* its debug data */
    int pings;            /* that the server sent, answers left out */
    bool eof;
    bool reads; /* off: the socket fills up */
};

static inline struct client_stream *client_stream(struct client *c, int32_t id)
{
    assert_in_range(id, 1, CLIENT_STREAMS - 1);
    if (c->streams[id] == NULL) {
        c->streams[id] = calloc(1, sizeof(struct client_stream));
        tern_buf_init(&c->streams[id]->head, 1u << 20);
        tern_buf_init(&c->streams[id]->body, 64u << 20);
    }
    return c->streams[id];
}

static inline int client_on_header(nghttp2_session *session, const nghttp2_frame *frame,
                                   const uint8_t *name, size_t n_name, const uint8_t *value,
                                   size_t n_value, uint8_t flags, void *user)
{
    struct client_stream *s = client_stream(user, frame->hd.stream_id);
    (void)session;
    (void)flags;
    if (n_name == 7 && memcmp(name, ":status", 7) == 0) {
        int status = (value[0] - '0') * 100 + (value[1] - '0') * 10 + (value[2] - '0');
        if (status < 200)
            s->informational = status;
        else
            s->status = status;
    }
    tern_buf_add(&s->head, name, n_name);
    TERN_BUF_ADD_LITERAL(&s->head, ": ");
    tern_buf_add(&s->head, value, n_value);
    TERN_BUF_ADD_LITERAL(&s->head, "\n");
    return 0;
}

static inline int client_on_data(nghttp2_session *session, uint8_t flags, int32_t id,
                                 const uint8_t *p, size_t n, void *user)
{
    (void)session;
    (void)flags;
    tern_buf_add(&client_stream(user, id)->body, p, n);
    return 0;
}

static inline int client_on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
    struct client *c = user;
    (void)session;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        c->goaway = true;
        c->goaways++;
        c->goaway_error = frame->goaway.error_code;
        c->goaway_last = frame->goaway.last_stream_id;
        snprintf(c->goaway_text, sizeof(c->goaway_text), "%.*s", (int)frame->goaway.opaque_data_len,
                 (const char *)frame->goaway.opaque_data);
    }
    if (frame->hd.type == NGHTTP2_PING && (frame->hd.flags & NGHTTP2_FLAG_ACK) == 0)
        c->pings++;
    if (frame->hd.type == NGHTTP2_HEADERS)
        client_stream(c, frame->hd.stream_id)->heads++;
    return 0;
}

static inline int client_on_close(nghttp2_session *session, int32_t id, uint32_t error, void *user)
{
    struct client_stream *s = client_stream(user, id);
    (void)session;
    s->closed = true;
    s->error = error;
    return 0;
}

/* by_hand: the test opens the windows itself. */
static inline void client_open_windows(struct client *c, struct rig *rig, uint32_t window,
                                       bool by_hand)
{
    nghttp2_session_callbacks *callbacks;
    nghttp2_option *option;
    nghttp2_settings_entry settings = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, window};

    *c = (struct client){.rig = rig, .fd = rig_connect(rig), .reads = true};
    nghttp2_session_callbacks_new(&callbacks);
    nghttp2_session_callbacks_set_on_header_callback(callbacks, client_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, client_on_data);
    nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, client_on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, client_on_close);
    nghttp2_option_new(&option);
    nghttp2_option_set_no_http_messaging(option, 1);
    nghttp2_option_set_peer_max_concurrent_streams(option, 1000);
    nghttp2_option_set_no_auto_window_update(option, by_hand);
    assert_int_equal(nghttp2_session_client_new2(&c->session, callbacks, c, option), 0);
    nghttp2_option_del(option);
    nghttp2_session_callbacks_del(callbacks);
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, &settings, 1);
}

static inline void client_open(struct client *c, struct rig *rig, uint32_t window)
{
    client_open_windows(c, rig, window, false);
}

static inline void client_close(struct client *c)
{
    for (int i = 0; i < CLIENT_STREAMS; i++) {
        if (c->streams[i] == NULL)
            continue;
        tern_buf_fini(&c->streams[i]->head);
        tern_buf_fini(&c->streams[i]->body);
        free(c->streams[i]);
    }
    nghttp2_session_del(c->session);
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

/* Bytes as they are, past the session. */
static inline void client_send_raw(struct client *c, const void *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);
        if (sent < 0) {
            if (errno != EAGAIN)
                return;
            rig_step(c->rig);
            continue;
        }
        p = (const char *)p + sent;
        n -= (size_t)sent;
    }
}

/* Everything the session wants to say. */
static inline bool client_send(struct client *c)
{
    bool moved = false;
    for (;;) {
        const uint8_t *p;
        ssize_t n = nghttp2_session_mem_send(c->session, &p);
        if (n <= 0)
            return moved;
        client_send_raw(c, p, (size_t)n);
        moved = true;
    }
}

static inline bool client_recv(struct client *c)
{
    static uint8_t bytes[65536];
    bool moved = false;

    while (c->reads && !c->eof) {
        ssize_t n = recv(c->fd, bytes, sizeof(bytes), 0);
        if (n < 0 && errno == EAGAIN)
            break;
        moved = true;
        if (n <= 0)
            c->eof = true;
        else
            nghttp2_session_mem_recv(c->session, bytes, (size_t)n);
    }
    return moved;
}

/* Both sides, until nothing moves any more. The server may read for a while before it has something
 * to say: 40 silent rounds are the end. */
static inline void client_run(struct client *c)
{
    for (int quiet = 0; quiet < 40; quiet++) {
        if (client_send(c))
            quiet = 0;
        rig_step(c->rig);
        if (client_recv(c))
            quiet = 0;
    }
}

static inline ssize_t client_read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t n,
                                       uint32_t *flags, nghttp2_data_source *source, void *user)
{
    struct client_stream *s = client_stream(user, id);
    (void)session;
    (void)source;
    if (s->send_n == 0 && s->hold)
        return NGHTTP2_ERR_DEFERRED;
    n = n < s->send_n ? n : s->send_n;
    if (n > 0)
        memcpy(buf, s->send, n);
    s->send += n;
    s->send_n -= n;
    if (s->send_n == 0 && !s->hold)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* Fields as "name", "value", ..., NULL; names that begin with ':' replace the default ones, a value
 * of "-" leaves that one out. body.p == NULL: none. Queued until the next client_send. */
static inline int32_t client_request(struct client *c, const char *const *fields,
                                     struct tern_str body, bool hold)
{
    const char *all[512] = {":method",    body.p == NULL ? "GET" : "POST",
                            ":scheme",    "http",
                            ":path",      "/echo",
                            ":authority", "test"};
    nghttp2_nv nv[256];
    size_t n = 8;
    size_t n_nv = 0;
    nghttp2_data_provider provider = {.read_callback = client_read_body};

    for (size_t i = 0; fields != NULL && fields[i] != NULL; i += 2) {
        size_t at = n;
        for (size_t k = 0; k < 8; k += 2) {
            if (strcmp(all[k], fields[i]) == 0)
                at = k;
        }
        all[at] = fields[i];
        all[at + 1] = fields[i + 1];
        n = at == n ? n + 2 : n;
    }
    for (size_t i = 0; i < n; i += 2) {
        if (strcmp(all[i + 1], "-") != 0)
            nv[n_nv++] =
                (nghttp2_nv){(uint8_t *)(uintptr_t)all[i], (uint8_t *)(uintptr_t)all[i + 1],
                             strlen(all[i]), strlen(all[i + 1]), NGHTTP2_NV_FLAG_NO_COPY_NAME};
    }
    int32_t id =
        nghttp2_submit_request(c->session, NULL, nv, n_nv, body.p == NULL ? NULL : &provider, NULL);
    struct client_stream *s = client_stream(c, id);
    s->send = body.p;
    s->send_n = body.n;
    s->hold = hold;
    return id;
}

/* More of a request that was held open; without `hold` its end. What was not sent yet must be part
 * of it. Queued until the next client_send. */
static inline void client_more(struct client *c, int32_t id, struct tern_str body, bool hold)
{
    struct client_stream *s = client_stream(c, id);

    s->send = body.p;
    s->send_n = body.n;
    s->hold = hold;
    nghttp2_session_resume_data(c->session, id);
}

/* The whole exchange: asks, runs, answers the stream. */
static inline struct client_stream *client_ask(struct client *c, const char *const *fields,
                                               struct tern_str body)
{
    int32_t id = client_request(c, fields, body, false);
    client_run(c);
    return client_stream(c, id);
}

/* The head of the stream has this line. */
static inline bool client_has(struct client_stream *s, const char *line)
{
    tern_buf_add_char(&s->head, '\0');
    s->head.n--;
    return strstr(s->head.p, line) != NULL;
}

#endif
