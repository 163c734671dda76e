/* Answers: from the response part of an exchange to bytes. */
#include <assert.h>
#include <string.h>
#include "base/num.h"
#include "net/mux_h1_int.h"

#define HEAD_FIXED_MAX 256u /* status line, Date, Server, Content-Length, Connection, ... */
#define CHUNK_HEAD_MAX 20u  /* 16 digits, CRLF */
#define HEAD_ARENA_MAX 65536u

/* RFC 9110 15 */
static const char *reason(int status)
{
    static const struct {
        int status;
        const char *text;
    } rows[] = {
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {424, "Failed Dependency"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {499, "Client Closed Request"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
        {507, "Insufficient Storage"},
    };

    for (size_t i = 0; i < TERN_COUNT_OF(rows); i++) {
        if (rows[i].status == status)
            return rows[i].text;
    }
    return "Unknown";
}

/* What the first send decides about the whole answer. */
struct answer {
    struct tern_str body; /* what is in x->out */
    uint64_t length;      /* of the whole body, when end */
    enum tern_encoding encoding;
    bool has_body;   /* body bytes follow the head */
    bool has_length; /* Content-Length is given */
    bool chunked;
    bool close;
};

/* Appending to memory whose size was computed before. */
static char *put(char *at, struct tern_str s)
{
    if (s.n > 0)
        memcpy(at, s.p, s.n);
    return at + s.n;
}

#define PUT(at, literal) put((at), TERN_STR(literal))

/* A field that would end its line early is somebody's attempt to write our answer. */
static bool is_clean(struct tern_str s)
{
    const uint64_t ones = 0x0101010101010101u;
    uint64_t odd = 0;
    size_t i = 0;

    /* Eight at a time: the high bit of each byte below 0x20 or equal to 0x7f (a false alarm behind
     * such a byte changes nothing). Tabs and all else that is odd are looked at one by one. */
    for (; i + 8 <= s.n; i += 8) {
        uint64_t v;
        memcpy(&v, s.p + i, sizeof(v));
        uint64_t del = v ^ (ones * 0x7f);
        odd |= ((v - ones * 0x20) & ~v) | ((del - ones) & ~del);
    }
    if ((odd & (ones * 0x80)) != 0)
        i = 0;
    for (; i < s.n; i++) {
        if (((unsigned char)s.p[i] < 0x20 && s.p[i] != '\t') || s.p[i] == 0x7f)
            return false;
    }
    return true;
}

static size_t head_size_max(const struct tern_exchange *x)
{
    size_t size = HEAD_FIXED_MAX + x->response_type.n;

    for (uint32_t i = 0; i < x->n_response_headers; i++)
        size += x->response_headers[i].name.n + x->response_headers[i].value.n + 4;
    return size;
}

static char *put_field(char *at, struct tern_str name, struct tern_str value)
{
    if (!is_clean(name) || !is_clean(value))
        return at;
    at = put(at, name);
    at = PUT(at, ": ");
    at = put(at, value);
    return PUT(at, "\r\n");
}

static char *put_status(char *at, int status)
{
    if (TERN_LIKELY(status == 200))
        return PUT(at, "HTTP/1.1 200 OK\r\n");
    if (status < 100 || status > 999)
        status = 500;
    at = PUT(at, "HTTP/1.1 ");
    at += tern_num_format_u64((uint64_t)status, at);
    *at++ = ' ';
    at = put(at, tern_str_of(reason(status)));
    return PUT(at, "\r\n");
}

static char *put_head(char *at, struct h1_exchange *hx, const struct answer *answer)
{
    struct tern_exchange *x = &hx->x;

    at = put_status(at, x->status);
    at = PUT(at, "Server: tern\r\nDate: ");
    at = put(at, tern_hub_date(hx->hub));
    at = PUT(at, "\r\n");
    if (x->response_type.n > 0)
        at = put_field(at, TERN_STR("Content-Type"), x->response_type);
    for (uint32_t i = 0; i < x->n_response_headers; i++)
        at = put_field(at, x->response_headers[i].name, x->response_headers[i].value);
    if (answer->encoding != TERN_ENCODING_IDENTITY) {
        at = PUT(at, "Content-Encoding: ");
        at = put(at, tern_str_of(tern_encoding_name(answer->encoding)));
        at = PUT(at, "\r\n");
    }
    if (x->allow_compression)
        at = PUT(at, "Vary: Accept-Encoding\r\n");
    if (answer->has_length) {
        at = PUT(at, "Content-Length: ");
        at += tern_num_format_u64(answer->length, at);
        at = PUT(at, "\r\n");
    } else if (answer->chunked) {
        at = PUT(at, "Transfer-Encoding: chunked\r\n");
    }
    if (answer->close)
        at = PUT(at, "Connection: close\r\n");
    else if (x->http_minor == 0)
        at = PUT(at, "Connection: keep-alive\r\n");
    return PUT(at, "\r\n");
}

static char *put_chunk_head(char *at, uint64_t n)
{
    char digits[16];
    unsigned i = 0;

    do {
        digits[i++] = "0123456789abcdef"[n & 15];
        n >>= 4;
    } while (n > 0);
    while (i > 0)
        *at++ = digits[--i];
    return PUT(at, "\r\n");
}

/* Compresses the whole body into the loop's scratch, when the client wants that and it pays. */
static void compress(struct h1_exchange *hx, struct answer *answer)
{
    struct h1_shared *shared = hx->hub->h1_state;
    struct tern_exchange *x = &hx->x;
    struct tern_buf *out = &shared->encoded;
    TERN_UNINITIALIZED struct iovec pieces[TERN_CONN_IOV_MAX];
    size_t n = 0;

    enum tern_encoding encoding = tern_encoding_negotiate(hx->head.accept_encoding);
    if (encoding == TERN_ENCODING_IDENTITY || x->n_slices + 1 > TERN_CONN_IOV_MAX)
        return;
    pieces[n++] = (struct iovec){(void *)(uintptr_t)answer->body.p, answer->body.n};
    for (uint32_t i = 0; i < x->n_slices; i++)
        pieces[n++] = (struct iovec){(void *)(uintptr_t)x->slices[i].p, x->slices[i].n};
    tern_buf_clear(out);
    if (!tern_buf_reserve(out, TERN_HEAD_ROOM))
        return;
    out->n = TERN_HEAD_ROOM;
    if (tern_encoder_run(&shared->encoder, encoding, pieces, n, out, NULL) != TERN_OK ||
        out->n - TERN_HEAD_ROOM >= answer->length)
        return;
    struct tern_buf plain = *x->out;
    *x->out = *out;
    *out = plain;
    x->n_slices = 0;
    answer->encoding = encoding;
    answer->body = tern_exchange_body_str(x);
    answer->length = answer->body.n;
}

/* The connection cannot go on after this answer. */
static bool must_close(struct h1_exchange *hx)
{
    struct h1 *h1 = hx->h1;
    const struct tern_http1_head *head = &hx->head;

    if (hx->last)
        return true;
    /* Drained: the last one in line says so. */
    size_t unread;
    (void)tern_conn_in(h1->conn, &unread);
    if (h1->conn->draining && hx->link.next == &h1->waiting && h1->now == NULL && unread == 0)
        return true;
    if (h1->now != hx)
        return false;
    /* Answered before the body came: nobody knows whether a client that waits for 100 Continue will
     * send it, and a long one is not worth reading. */
    return head->framing == TERN_HTTP1_CHUNKED ||
           (head->framing == TERN_HTTP1_LENGTH &&
            (head->content_length > H1_SKIP_MAX || head->expect_continue));
}

/* A body that did not fit is not half a body: the answer becomes an error without one. */
static void mend(struct tern_exchange *x)
{
    if (x->status < 200 || x->status > 999)
        x->status = 500;
    if (!x->out->failed)
        return;
    tern_buf_clear(x->out);
    x->status = 500;
    x->n_slices = 0;
    x->response_type = (struct tern_str){NULL, 0};
}

static struct answer decide(struct h1_exchange *hx, bool end)
{
    struct tern_exchange *x = &hx->x;

    mend(x);
    struct answer answer = {.body = tern_exchange_body_str(x)};

    answer.length = answer.body.n + tern_exchange_slices_size(x);
    bool bodiless = x->status == 204 || x->status == 304;
    if (end && x->allow_compression && !bodiless && hx->head.accept_encoding.n > 0 &&
        tern_hub_may_compress(hx->hub, answer.length))
        compress(hx, &answer);
    answer.has_body = !bodiless && x->method != TERN_METHOD_HEAD;
    answer.has_length = end && !bodiless;
    answer.chunked = !end && !bodiless && x->http_minor == 1;
    if (!end && x->http_minor == 0)
        hx->last = true; /* HTTP/1.0: the end of the connection is the end of the body */
    answer.close = must_close(hx);
    if (answer.close)
        hx->last = true;
    hx->chunked = answer.chunked && answer.has_body;
    return answer;
}

/* An answer's bytes on their way out. */
struct pieces {
    struct tern_slice few[TERN_CONN_IOV_MAX];
    struct tern_slice *rows;
    uint32_t n;
    uint32_t n_copied;
};

static bool add_pieces(struct h1_exchange *hx, struct pieces *pieces, struct tern_str first,
                       struct tern_str second, bool with_slices, struct tern_str tail)
{
    struct tern_exchange *x = &hx->x;
    uint32_t n_slices = with_slices ? x->n_slices : 0;

    pieces->rows = pieces->few;
    pieces->n = 0;
    if (n_slices > TERN_CONN_IOV_MAX - 3) {
        pieces->rows = tern_arena_zalloc(x->arena, (size_t)n_slices + 3, sizeof(struct tern_slice));
        if (pieces->rows == NULL)
            return false;
    }
    if (first.n > 0)
        pieces->rows[pieces->n++] = (struct tern_slice){first.p, first.n};
    if (second.n > 0)
        pieces->rows[pieces->n++] = (struct tern_slice){second.p, second.n};
    pieces->n_copied = pieces->n;
    if (n_slices > 0)
        memcpy(pieces->rows + pieces->n, x->slices, n_slices * sizeof(struct tern_slice));
    pieces->n += n_slices;
    if (tail.n > 0)
        pieces->rows[pieces->n++] = (struct tern_slice){tail.p, tail.n};
    if (!hx->ended) /* what a part of a stream lies in is used again for the next */
        pieces->n_copied = pieces->n;
    return true;
}

/* To the connection, or aside when others are to be answered first. */
static void emit(struct h1_exchange *hx, const struct pieces *pieces)
{
    struct h1 *h1 = hx->h1;

    if (h1->waiting.next == &hx->link) {
        tern_conn_send(h1->conn, pieces->rows, pieces->n, pieces->n_copied);
        return;
    }
    for (uint32_t i = 0; i < pieces->n; i++)
        tern_buf_add(&hx->held, pieces->rows[i].p, pieces->rows[i].n);
    if (hx->held.failed)
        tern_conn_abort(h1->conn);
}

static struct tern_str chunk_tail(bool end, uint64_t n)
{
    if (!end)
        return n == 0 ? (struct tern_str){NULL, 0} : TERN_STR("\r\n");
    return n == 0 ? TERN_STR("0\r\n\r\n") : TERN_STR("\r\n0\r\n\r\n");
}

/* `front` (a head, a chunk head) goes into the room before the body when there is a body. */
static struct tern_str join_body(struct tern_exchange *x, struct tern_str *front,
                                 struct tern_str body)
{
    if (body.n == 0 || front->n > TERN_HEAD_ROOM)
        return body;
    char *at = x->out->p + TERN_HEAD_ROOM - front->n;
    if (front->n > 0)
        memcpy(at, front->p, front->n);
    struct tern_str joined = tern_str_make(at, front->n + body.n);
    *front = (struct tern_str){NULL, 0};
    return joined;
}

static bool send_first(struct h1_exchange *hx, bool end)
{
    struct tern_exchange *x = &hx->x;
    struct answer answer = decide(hx, end);
    TERN_UNINITIALIZED char room[TERN_HEAD_ROOM + CHUNK_HEAD_MAX];
    char *head = room;
    TERN_UNINITIALIZED struct pieces pieces;
    struct tern_str tail = {NULL, 0};

    size_t size = head_size_max(x);
    if (size > TERN_HEAD_ROOM) {
        if (size > HEAD_ARENA_MAX)
            return false;
        head = tern_arena_alloc(x->arena, 1, size + CHUNK_HEAD_MAX);
        if (head == NULL)
            return false;
    }
    char *at = put_head(head, hx, &answer);
    uint64_t n = answer.has_body ? answer.length : 0;
    if (hx->chunked) {
        if (n > 0)
            at = put_chunk_head(at, n);
        tail = chunk_tail(end, n);
    }
    struct tern_str front = {head, (size_t)(at - head)};
    struct tern_str body = {NULL, 0};
    if (answer.has_body)
        body = join_body(x, &front, answer.body);
    x->bytes_out += n;
    if (!add_pieces(hx, &pieces, front, body, answer.has_body, tail))
        return false;
    emit(hx, &pieces);
    return true;
}

static bool send_more(struct h1_exchange *hx, bool end)
{
    struct tern_exchange *x = &hx->x;
    char room[CHUNK_HEAD_MAX];
    struct tern_str front = {room, 0};
    struct tern_str tail = {NULL, 0};
    struct tern_str body = tern_exchange_body_str(x);
    TERN_UNINITIALIZED struct pieces pieces;

    if (x->out->failed)
        return false;
    bool bodiless = x->status == 204 || x->status == 304;
    if (bodiless || x->method == TERN_METHOD_HEAD)
        return true;
    uint64_t n = body.n + tern_exchange_slices_size(x);
    if (hx->chunked) {
        if (n > 0)
            front.n = (size_t)(put_chunk_head(room, n) - room);
        tail = chunk_tail(end, n);
    }
    body = join_body(x, &front, body);
    x->bytes_out += n;
    if (!add_pieces(hx, &pieces, front, body, true, tail))
        return false;
    emit(hx, &pieces);
    return true;
}

static void after_send(struct h1_exchange *hx)
{
    struct h1 *h1 = hx->h1;

    if (h1->now == hx && !hx->skip_body) {
        hx->skip_body = true;
        if (hx->body == NULL)
            hx->body_n = 0; /* they wait in the read buffer: to be counted when they are dropped */
    }
    if (hx->last && h1->now == NULL)
        h1->reading = H1_STOP;
}

void h1_tell_room(struct h1 *h1)
{
    if (tern_list_is_empty(&h1->waiting))
        return;
    struct h1_exchange *hx = TERN_CONTAINER_OF(h1->waiting.next, struct h1_exchange, link);
    if (hx->head_sent && !hx->ended)
        tern_exchange_set_unsent(&hx->x, h1->conn->queued + hx->held.n);
}

static void h1_send(struct tern_exchange *x, bool end)
{
    struct h1_exchange *hx = TERN_CONTAINER_OF(x, struct h1_exchange, x);
    struct h1 *h1 = hx->h1;

    assert(!hx->ended);
    hx->ended = end;
    if (h1 == NULL) {
        if (end)
            h1_finish_orphan(hx);
    } else {
        struct tern_conn *conn = h1->conn;
        if (!(hx->head_sent ? send_more(hx, end) : send_first(hx, end)))
            tern_conn_abort(conn); /* half an answer cannot be taken back */
        hx->head_sent = true;
        after_send(hx);
        x->unsent = end ? 0 : conn->queued + hx->held.n;
        x->crowded |= x->unsent > TERN_STREAM_HIGH;
        if (!end && x->unsent > conn->hub->limits.queue_max)
            tern_conn_abort(conn); /* a client that does not read its stream */
        if (end)
            h1_send_held(h1);
        if (!h1->in_process)
            h1_mark_dirty(h1);
    }
    x->n_slices = 0;
    tern_buf_clear(x->out); /* who sends nothing of its own must not send what is left here */
}

static void send_continue(struct tern_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const struct tern_slice slice = {text, sizeof(text) - 1};

    tern_conn_send(conn, &slice, 1, 0);
}

void h1_probe(struct h1 *h1)
{
    if (tern_list_is_empty(&h1->waiting))
        return;
    const struct h1_exchange *first = TERN_CONTAINER_OF(h1->waiting.next, struct h1_exchange, link);
    /* An interim answer is nothing that HTTP/1.0 knows. */
    if (first->head_sent || first->x.http_minor == 0 || h1->n_probes > H1_PROBES_MAX)
        return;
    send_continue(h1->conn);
    tern_conn_deadline(h1->conn, H1_PROBE_NS << (H1_PROBE_SHIFT * h1->n_probes));
    h1->n_probes++;
}

void h1_send_held(struct h1 *h1)
{
    struct tern_conn *conn = h1->conn;

    while (!tern_list_is_empty(&h1->waiting)) {
        struct h1_exchange *hx = TERN_CONTAINER_OF(h1->waiting.next, struct h1_exchange, link);
        if (hx->held.n > 0) {
            /* Nothing is added to held any more: it may be referred to until the end. */
            struct tern_slice slice = {hx->held.p, hx->held.n};
            hx->held.n = 0;
            tern_conn_send(conn, &slice, 1, 0);
        }
        if (hx->wants_continue) {
            hx->wants_continue = false;
            send_continue(conn);
        }
        if (!hx->ended)
            break;
        hx->end_mark = conn->bytes_given;
        tern_list_remove(&hx->link);
        tern_list_append(&h1->flushing, &hx->link);
        h1->n_waiting--;
    }
}

/* The whole body is here: there is no window to open. */
static void h1_take(struct tern_exchange *x, size_t n)
{
    assert(n <= x->body.n);
    x->body = tern_str_make(x->body.p + n, x->body.n - n);
}

const struct tern_exchange_ops h1_exchange_ops = {.send = h1_send, .take = h1_take};
