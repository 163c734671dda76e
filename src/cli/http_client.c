#include "cli/http_client.h"

#include <errno.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/num.h"

#define LINE_MAX_BYTES 4096 /* of one chunk-size or trailer line */

/* The target. */

static enum tern_code resolve(struct tern_str host, struct tern_str port,
                              struct tern_http_target *target, struct tern_err *err)
{
    char name[256];
    char service[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
    struct addrinfo *list = NULL;

    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = tern_str_make(host.p + 1, host.n - 2);
    if (host.n == 0 || !tern_str_copy_z(host, name, sizeof(name)) ||
        !tern_str_copy_z(port, service, sizeof(service)))
        return tern_fail(err, TERN_INVALID_ARGUMENT, "url: expected a host name, got '%.*s'",
                         TERN_STR_ARG(host));
    int rc = getaddrinfo(name, service, &hints, &list);
    if (rc != 0 || list == NULL)
        return tern_fail(err, TERN_UNAVAILABLE, "url: the host '%s' is not known: %s", name,
                         gai_strerror(rc));
    /* IPv4 first: a server on 127.0.0.1 must be found when localhost also means ::1. */
    const struct addrinfo *best = list;
    for (const struct addrinfo *a = list; a != NULL; a = a->ai_next) {
        if (a->ai_family == AF_INET) {
            best = a;
            break;
        }
    }
    memset(&target->addr, 0, sizeof(target->addr));
    memcpy(&target->addr.storage, best->ai_addr, best->ai_addrlen);
    target->addr.n = best->ai_addrlen;
    freeaddrinfo(list);
    return TERN_OK;
}

static enum tern_code parse_tcp(struct tern_str text, struct tern_http_target *target,
                                struct tern_err *err)
{
    size_t colon = text.n;
    uint64_t number = 80;
    struct tern_str host = text;
    struct tern_str port = TERN_STR("80");

    while (colon > 0 && text.p[colon - 1] != ':' && text.p[colon - 1] != ']')
        colon--;
    if (colon > 0 && text.p[colon - 1] == ':') {
        host = tern_str_make(text.p, colon - 1);
        port = tern_str_from(text, colon);
    }
    if (!tern_num_parse_u64(port, 65535, &number) || number == 0 ||
        tern_str_find(text, '/') != text.n || tern_str_find(text, '@') != text.n ||
        !tern_str_copy_z(text, target->authority, sizeof(target->authority)))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "url: expected http://HOST:PORT or unix:/PATH, got '%.*s'",
                         TERN_STR_ARG(text));
    return resolve(host, port, target, err);
}

enum tern_code tern_http_target_parse(struct tern_str url, struct tern_http_target *ret_target,
                                      struct tern_err *err)
{
    struct tern_http_target target = {.authority = "localhost"};
    char name[TERN_SOCK_NAME_MAX];

    if (tern_str_starts(url, TERN_STR("https://")))
        return tern_fail(err, TERN_UNIMPLEMENTED,
                         "url: this command does not speak TLS: use a listener without TLS, a "
                         "Unix socket, or curl");
    if (tern_str_starts(url, TERN_STR("unix:"))) {
        TERN_TRY(tern_sock_addr_parse(url, &target.addr, err));
    } else {
        struct tern_str rest =
            tern_str_starts(url, TERN_STR("http://")) ? tern_str_from(url, 7) : url;
        while (rest.n > 0 && rest.p[rest.n - 1] == '/')
            rest.n--;
        TERN_TRY(parse_tcp(rest, &target, err));
    }
    tern_sock_addr_format(&target.addr, name);
    (void)tern_str_copy_z(tern_str_of(name), target.text, sizeof(target.text));
    *ret_target = target;
    return TERN_OK;
}

/* The reader. */

void tern_http_reader_init(struct tern_http_reader *reader, size_t max)
{
    memset(reader, 0, sizeof(*reader));
    tern_buf_init(&reader->in, max);
}

void tern_http_reader_fini(struct tern_http_reader *reader)
{
    tern_buf_fini(&reader->in);
}

void tern_http_reader_reset(struct tern_http_reader *reader)
{
    struct tern_buf in = reader->in;

    tern_buf_clear(&in);
    memset(reader, 0, sizeof(*reader));
    reader->in = in;
}

char *tern_http_reader_room(struct tern_http_reader *reader, size_t n, size_t *ret_room)
{
    struct tern_buf *in = &reader->in;

    /* A known length is made room for at once. */
    if (reader->phase == TERN_HTTP_PHASE_LENGTH && reader->left > n && reader->left <= in->max)
        n = (size_t)reader->left;
    if (!tern_buf_reserve(in, n))
        return NULL;
    *ret_room = in->cap - in->n;
    return in->p + in->n;
}

/* The line at reader->at without its end; false when it is not all there yet. */
static bool next_line(struct tern_http_reader *reader, struct tern_str *ret_line)
{
    const char *from = reader->in.p + reader->at;
    size_t n = reader->in.n - reader->at;
    const char *end = n == 0 ? NULL : memchr(from, '\n', n);

    if (end == NULL)
        return false;
    size_t length = (size_t)(end - from);
    reader->at += length + 1;
    *ret_line = tern_str_make(from, length > 0 && from[length - 1] == '\r' ? length - 1 : length);
    return true;
}

static bool has_token(struct tern_str list, struct tern_str token)
{
    struct tern_str piece;

    while (tern_str_split(&list, ',', &piece)) {
        if (tern_str_eq_nocase(tern_str_trim(piece), token))
            return true;
    }
    return false;
}

static enum tern_code not_http(struct tern_http_reader *reader, struct tern_err *err)
{
    struct tern_str start = tern_str_make(reader->in.p, reader->in.n < 40 ? reader->in.n : 40);
    struct tern_str line = {NULL, 0};

    /* HTTP/2 begins with SETTINGS: three bytes of length, and its type, 4 (RFC 9113 4.1). */
    if (reader->in.n > 3 && reader->in.p[0] == 0 && reader->in.p[3] == 4)
        return tern_fail(
            err, TERN_INTERNAL,
            "this port speaks HTTP/2 only, as gRPC servers' do: name the one for HTTP");
    (void)tern_str_split(&start, '\n', &line);
    return tern_fail(err, TERN_INTERNAL, "the answer is not HTTP/1.x: it starts with '%.*s'",
                     TERN_STR_ARG(line));
}

/* HTTP/1.x SP 3 digits. */
static bool read_status(struct tern_http_reader *reader)
{
    struct tern_str head = tern_str_make(reader->in.p, reader->head_n);
    uint64_t status;

    if (head.n < 13 || !tern_str_starts(head, TERN_STR("HTTP/1.")) || head.p[8] != ' ' ||
        !tern_num_parse_u64(tern_str_make(head.p + 9, 3), 999, &status) || status < 100)
        return false;
    reader->status = (int)status;
    reader->keep_alive = head.p[7] != '0';
    return true;
}

static enum tern_code start_body(struct tern_http_reader *reader, struct tern_err *err)
{
    struct tern_str length = tern_http_reader_header(reader, TERN_STR("content-length"));
    struct tern_str coding = tern_http_reader_header(reader, TERN_STR("transfer-encoding"));
    struct tern_str connection = tern_http_reader_header(reader, TERN_STR("connection"));

    if (has_token(connection, TERN_STR("close")))
        reader->keep_alive = false;
    if (reader->bodiless || reader->status == 204 || reader->status == 304) {
        reader->phase = TERN_HTTP_PHASE_DONE;
    } else if (coding.p != NULL) {
        if (!tern_str_eq_nocase(coding, TERN_STR("chunked")))
            return tern_fail(err, TERN_UNIMPLEMENTED, "the answer has transfer coding '%.*s'",
                             TERN_STR_ARG(coding));
        reader->phase = TERN_HTTP_PHASE_CHUNK_SIZE;
    } else if (length.p != NULL) {
        if (!tern_num_parse_u64(length, UINT64_MAX, &reader->left))
            return tern_fail(err, TERN_INTERNAL, "the answer has Content-Length '%.*s'",
                             TERN_STR_ARG(length));
        reader->phase = TERN_HTTP_PHASE_LENGTH;
    } else {
        reader->phase = TERN_HTTP_PHASE_TO_END;
        reader->keep_alive = false;
    }
    return TERN_OK;
}

/* True when the phase moved on. */
static enum tern_code read_head(struct tern_http_reader *reader, bool *ret_moved,
                                struct tern_err *err)
{
    size_t from = reader->at > 3 ? reader->at - 3 : 0; /* the end may straddle two pieces */
    const char *end = memmem(reader->in.p + from, reader->in.n - from, "\r\n\r\n", 4);

    *ret_moved = end != NULL;
    reader->at = reader->in.n;
    if (end == NULL) {
        if (reader->in.n > TERN_HTTP_CLIENT_HEAD_MAX ||
            (reader->in.n >= 5 && memcmp(reader->in.p, "HTTP/", 5) != 0))
            return not_http(reader, err);
        return TERN_OK;
    }
    reader->head_n = (size_t)(end - reader->in.p) + 4;
    reader->at = reader->head_n;
    if (!read_status(reader))
        return not_http(reader, err);
    if (reader->status < 200) { /* 100 Continue and its like: the answer is still to come */
        tern_buf_consume(&reader->in, reader->head_n);
        reader->head_n = reader->at = 0;
        return TERN_OK;
    }
    return start_body(reader, err);
}

static enum tern_code read_chunk_size(struct tern_http_reader *reader, bool *ret_moved,
                                      struct tern_err *err)
{
    struct tern_str line;
    uint64_t size = 0;
    size_t i = 0;

    *ret_moved = next_line(reader, &line);
    if (!*ret_moved)
        return reader->in.n - reader->at <= LINE_MAX_BYTES
                   ? TERN_OK
                   : tern_fail(err, TERN_INTERNAL, "the answer has an endless chunk size");
    for (; i < line.n && line.p[i] != ';' && line.p[i] != ' '; i++) {
        char c = (char)(line.p[i] | 0x20);
        unsigned digit = c >= '0' && c <= '9'   ? (unsigned)(c - '0')
                         : c >= 'a' && c <= 'f' ? (unsigned)(c - 'a' + 10)
                                                : 16;
        if (digit == 16 || size >> 58 != 0)
            return tern_fail(err, TERN_INTERNAL, "the answer has a chunk size '%.*s'",
                             TERN_STR_ARG(line));
        size = size * 16 + digit;
    }
    if (i == 0)
        return tern_fail(err, TERN_INTERNAL, "the answer has an empty chunk size");
    reader->left = size;
    reader->phase = size == 0 ? TERN_HTTP_PHASE_TRAILERS : TERN_HTTP_PHASE_CHUNK;
    return TERN_OK;
}

/* Moves body bytes down to where the body so far ends; for a plain length they are there already.
 */
static size_t take_body(struct tern_http_reader *reader, uint64_t most)
{
    size_t n = reader->in.n - reader->at;

    if (n > most)
        n = (size_t)most;
    char *to = reader->in.p + reader->head_n + reader->body_n;
    if (n > 0 && to != reader->in.p + reader->at)
        memmove(to, reader->in.p + reader->at, n);
    reader->body_n += n;
    reader->at += n;
    return n;
}

/* The bytes of a chunk, then the line end behind it. */
static enum tern_code read_chunk(struct tern_http_reader *reader, bool *ret_moved,
                                 struct tern_err *err)
{
    struct tern_str line;

    *ret_moved = false;
    reader->left -= take_body(reader, reader->left);
    if (reader->left > 0 || !next_line(reader, &line))
        return TERN_OK;
    if (line.n != 0)
        return tern_fail(err, TERN_INTERNAL, "the answer has a chunk longer than its size");
    reader->phase = TERN_HTTP_PHASE_CHUNK_SIZE;
    *ret_moved = true;
    return TERN_OK;
}

static enum tern_code step(struct tern_http_reader *reader, bool *ret_moved, struct tern_err *err)
{
    struct tern_str line;

    *ret_moved = false;
    switch (reader->phase) {
    case TERN_HTTP_PHASE_HEAD:
        return read_head(reader, ret_moved, err);
    case TERN_HTTP_PHASE_LENGTH:
        reader->left -= take_body(reader, reader->left);
        if (reader->left == 0)
            reader->phase = TERN_HTTP_PHASE_DONE;
        return TERN_OK;
    case TERN_HTTP_PHASE_CHUNK_SIZE:
        return read_chunk_size(reader, ret_moved, err);
    case TERN_HTTP_PHASE_CHUNK:
        return read_chunk(reader, ret_moved, err);
    case TERN_HTTP_PHASE_TRAILERS:
        *ret_moved = next_line(reader, &line);
        if (*ret_moved && line.n == 0)
            reader->phase = TERN_HTTP_PHASE_DONE;
        return TERN_OK;
    case TERN_HTTP_PHASE_TO_END:
        (void)take_body(reader, UINT64_MAX);
        return TERN_OK;
    case TERN_HTTP_PHASE_DONE:
        break;
    }
    return TERN_OK;
}

enum tern_code tern_http_reader_take(struct tern_http_reader *reader, size_t n, bool *ret_done,
                                     struct tern_err *err)
{
    bool moved = true;

    *ret_done = false;
    reader->in.n += n;
    reader->received += n;
    if (n == 0) {
        if (reader->phase != TERN_HTTP_PHASE_TO_END)
            return tern_fail(err, TERN_DATA_LOSS,
                             "the server closed the connection %s (after %llu bytes)",
                             reader->received == 0 ? "without an answer" : "amid its answer",
                             (unsigned long long)reader->received);
        reader->phase = TERN_HTTP_PHASE_DONE;
    }
    while (moved && reader->phase != TERN_HTTP_PHASE_DONE)
        TERN_TRY(step(reader, &moved, err));
    if (reader->phase == TERN_HTTP_PHASE_DONE && reader->at < reader->in.n)
        return tern_fail(err, TERN_INTERNAL, "%zu bytes came after the answer",
                         reader->in.n - reader->at);
    *ret_done = reader->phase == TERN_HTTP_PHASE_DONE;
    return TERN_OK;
}

struct tern_str tern_http_reader_body(const struct tern_http_reader *reader)
{
    if (reader->body_n == 0)
        return (struct tern_str){NULL, 0};
    return tern_str_make(reader->in.p + reader->head_n, reader->body_n);
}

const char *tern_http_reader_advice(const struct tern_http_reader *reader, struct tern_str text)
{
    /* A port for gRPC answers 501 to what it does not know, one for metrics 404. */
    if (reader->status != 501 && !tern_str_starts(text, TERN_STR("no such path")))
        return "";
    return " (does this port speak gRPC or metrics only? Name the one for HTTP)";
}

struct tern_str tern_http_reader_header(const struct tern_http_reader *reader, struct tern_str name)
{
    struct tern_str rest = tern_str_make(reader->in.p, reader->head_n);
    struct tern_str line;

    (void)tern_str_split(&rest, '\n', &line); /* the status line */
    while (tern_str_split(&rest, '\n', &line)) {
        size_t colon = tern_str_find(line, ':');
        if (colon == line.n || !tern_str_eq_nocase(tern_str_make(line.p, colon), name))
            continue;
        struct tern_str value = tern_str_from(line, colon + 1);
        if (value.n > 0 && value.p[value.n - 1] == '\r')
            value.n--;
        value = tern_str_trim(value);
        return value.p == NULL ? TERN_STR("") : value;
    }
    return (struct tern_str){NULL, 0};
}

/* The blocking client. */

void tern_http_client_init(struct tern_http_client *client, const struct tern_http_target *target,
                           uint64_t timeout_ns, size_t response_max)
{
    client->target = target;
    client->fd = -1;
    client->timeout_ns = timeout_ns;
    tern_http_reader_init(&client->reader, response_max);
}

static void disconnect(struct tern_http_client *client)
{
    if (client->fd >= 0)
        tern_sock_close(client->fd);
    client->fd = -1;
}

void tern_http_client_fini(struct tern_http_client *client)
{
    disconnect(client);
    tern_http_reader_fini(&client->reader);
}

static enum tern_code wait_for(struct tern_http_client *client, short events, uint64_t deadline,
                               struct tern_err *err)
{
    struct pollfd pfd = {.fd = client->fd, .events = events};
    uint64_t now = tern_clock_mono_ns();
    int ms = now >= deadline ? 0 : (int)((deadline - now) / TERN_NS_PER_MS + 1);
    int rc = poll(&pfd, 1, ms);

    if (rc > 0 || (rc < 0 && errno == EINTR))
        return TERN_OK;
    return tern_fail(err, TERN_DEADLINE_EXCEEDED, "no answer from %s within %.1f s",
                     client->target->text, (double)client->timeout_ns / TERN_NS_PER_S);
}

static enum tern_code connect_now(struct tern_http_client *client, uint64_t deadline,
                                  struct tern_err *err)
{
    int error = 0;
    socklen_t n = sizeof(error);

    TERN_TRY(tern_sock_connect(&client->target->addr, &client->fd, err));
    TERN_TRY(wait_for(client, POLLOUT, deadline, err));
    if (getsockopt(client->fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0 || error != 0)
        return tern_fail(err, TERN_UNAVAILABLE, "cannot connect to %s: %s", client->target->text,
                         strerror(error));
    tern_sock_set_nodelay(client->fd);
    return TERN_OK;
}

static enum tern_code send_all(struct tern_http_client *client, struct tern_str request,
                               uint64_t deadline, struct tern_err *err)
{
    while (request.n > 0) {
        struct iovec iov = {(void *)(uintptr_t)request.p, request.n};
        ssize_t k = tern_sock_send(client->fd, &iov, 1);
        if (k > 0)
            request = tern_str_from(request, (size_t)k);
        else if (errno == EAGAIN)
            TERN_TRY(wait_for(client, POLLOUT, deadline, err));
        else if (errno == EPIPE || errno == ECONNRESET)
            return TERN_OK; /* the server refused the rest: its answer may be there to read */
        else
            return tern_fail(err, TERN_UNAVAILABLE, "%s: %s", client->target->text,
                             strerror(errno));
    }
    return TERN_OK;
}

static enum tern_code receive(struct tern_http_client *client, uint64_t deadline,
                              struct tern_err *err)
{
    bool done = false;

    while (!done) {
        size_t room = 0;
        char *p = tern_http_reader_room(&client->reader, 16384, &room);
        if (p == NULL)
            return tern_buf_check(&client->reader.in, "the answer", err);
        ssize_t k = tern_sock_recv(client->fd, p, room);
        if (k < 0 && errno == EAGAIN) {
            TERN_TRY(wait_for(client, POLLIN, deadline, err));
            continue;
        }
        TERN_TRY(tern_http_reader_take(&client->reader, k > 0 ? (size_t)k : 0, &done, err));
    }
    return TERN_OK;
}

static enum tern_code exchange(struct tern_http_client *client, struct tern_str request,
                               struct tern_err *err)
{
    uint64_t deadline = tern_clock_mono_ns() + client->timeout_ns;

    tern_http_reader_reset(&client->reader);
    if (client->fd < 0)
        TERN_TRY(connect_now(client, deadline, err));
    TERN_TRY(send_all(client, request, deadline, err));
    return receive(client, deadline, err);
}

enum tern_code tern_http_client_send(struct tern_http_client *client, struct tern_str request,
                                     struct tern_err *err)
{
    bool reused = client->fd >= 0;
    enum tern_code code = exchange(client, request, err);

    /* A server may close an idle connection at any time: once more on a fresh one. */
    if (code == TERN_DATA_LOSS && reused && client->reader.received == 0) {
        disconnect(client);
        code = exchange(client, request, err);
    }
    if (code != TERN_OK || !client->reader.keep_alive)
        disconnect(client);
    return code;
}

void tern_http_client_head(struct tern_buf *buf, const struct tern_http_target *target,
                           const char *method, struct tern_str path, struct tern_str extra,
                           size_t body_n)
{
    tern_buf_add_str(buf, tern_str_of(method));
    tern_buf_add_char(buf, ' ');
    tern_buf_add_str(buf, path);
    tern_buf_printf(buf, " HTTP/1.1\r\nHost: %s\r\n", target->authority);
    tern_buf_add_str(buf, extra);
    if (body_n > 0 || strcmp(method, "POST") == 0)
        tern_buf_printf(buf, "Content-Length: %zu\r\n", body_n);
    TERN_BUF_ADD_LITERAL(buf, "\r\n");
}

enum tern_code tern_http_client_call(struct tern_http_client *client, const char *method,
                                     struct tern_str path, struct tern_str content_type,
                                     struct tern_str body, struct tern_err *err)
{
    struct tern_buf request;
    char extra[256] = "";

    if (content_type.n > 0)
        (void)snprintf(extra, sizeof(extra), "Content-Type: %.*s\r\n", TERN_STR_ARG(content_type));
    tern_buf_init(&request, body.n + 8192);
    tern_http_client_head(&request, client->target, method, path, tern_str_of(extra), body.n);
    tern_buf_add_str(&request, body);
    enum tern_code code = tern_buf_check(&request, "the request", err);
    if (code == TERN_OK)
        code = tern_http_client_send(client, tern_buf_str(&request), err);
    tern_buf_fini(&request);
    return code;
}
