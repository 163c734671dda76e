#include "net/remote.h"

#include <string.h>
#include "base/mem.h"
#include "base/version.h"
#include "os/curl.h"
#include "simd/numbers.h"

#define CONNECT_TIMEOUT_MS 5000L

struct tern_remote {
    struct tern_loop *loop;
    CURLM *multi;
    struct tern_loop_timer timer;
    struct tern_list sockets; /* struct remote_socket */
    struct tern_list calls;   /* in flight */
    bool has_starved;         /* one of them, at least */
};

/* A descriptor of libcurl's that the loop watches. */
struct remote_socket {
    struct tern_loop_fd io;
    struct tern_list link;
    struct tern_remote *remote;
};

/* ---- the end of calls ---- */

static enum tern_code fail_call(struct tern_remote_call *call, CURLcode rc)
{
    switch ((int)rc) {
    case CURLE_OPERATION_TIMEDOUT:
        return tern_fail(&call->err, TERN_DEADLINE_EXCEEDED, "no answer in time");
    case CURLE_WRITE_ERROR:
        if (call->answer.failed)
            return tern_mem_fail(&call->err, "an answer", call->answer.n);
        return tern_fail(&call->err, TERN_UNAVAILABLE, "the answer has more than %zu bytes",
                         call->answer_max);
    case CURLE_OUT_OF_MEMORY:
        return tern_mem_fail(&call->err, "libcurl", 0);
    default:
        return tern_fail(&call->err, TERN_UNAVAILABLE, "%s", curl_easy_strerror(rc));
    }
}

static void take_answer(struct tern_remote_call *call)
{
    const char *type = NULL;
    long status = 0;

    curl_easy_getinfo(call->easy, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(call->easy, CURLINFO_CONTENT_TYPE, &type);
    call->status = (int)status;
    tern_str_copy_z(tern_str_of(type), call->answer_type, sizeof(call->answer_type));
    if (!call->head_over) /* libcurl takes what came of it for the whole */
        call->code = tern_fail(&call->err, TERN_UNAVAILABLE, "the answer ends within its head");
    else if (!tern_buf_reserve(&call->answer, TERN_TEXT_PAD))
        call->code = tern_mem_fail(&call->err, "an answer", call->answer.n);
}

static void close_call(struct tern_remote_call *call)
{
    if (call->easy != NULL) {
        curl_multi_remove_handle(call->remote->multi, call->easy);
        curl_easy_cleanup(call->easy);
    }
    curl_slist_free_all(call->fields);
    tern_list_remove(&call->link);
    call->easy = call->fields = NULL;
}

/* Those whose sockets found no memory: nothing would ever come of them. */
static void finish_starved(struct tern_remote *remote)
{
    struct tern_list *at = remote->calls.next;

    remote->has_starved = false;
    while (at != &remote->calls) {
        struct tern_remote_call *call = TERN_CONTAINER_OF(at, struct tern_remote_call, link);
        at = at->next;
        if (!call->starved)
            continue;
        call->code = tern_mem_fail(&call->err, "a connection", sizeof(struct remote_socket));
        close_call(call);
        call->on_done(call);
        at = remote->calls.next; /* an owner may start and cancel calls in on_done */
    }
}

/* What is over; an owner may start and cancel calls in on_done. */
static void finish_calls(struct tern_remote *remote)
{
    struct tern_remote_call *call;
    const CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(remote->multi, &left)) != NULL) {
        CURLcode rc = message->data.result; /* the message goes with its handle */
        if (message->msg != CURLMSG_DONE ||
            curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &call) != CURLE_OK)
            continue;
        call->code = rc == CURLE_OK ? TERN_OK : fail_call(call, rc);
        if (rc == CURLE_OK)
            take_answer(call);
        close_call(call);
        call->on_done(call);
    }
    if (remote->has_starved)
        finish_starved(remote);
}

/* ---- libcurl and the loop ---- */

static void act(struct tern_remote *remote, curl_socket_t fd, int events)
{
    int running;

    curl_multi_socket_action(remote->multi, fd, events, &running);
    finish_calls(remote);
}

static void on_socket_ready(struct tern_loop_fd *self, unsigned events)
{
    struct remote_socket *socket = TERN_CONTAINER_OF(self, struct remote_socket, io);
    int flags = 0;

    flags |= (events & TERN_LOOP_READ) != 0 ? CURL_CSELECT_IN : 0;
    flags |= (events & TERN_LOOP_WRITE) != 0 ? CURL_CSELECT_OUT : 0;
    flags |= (events & TERN_LOOP_HUP) != 0 ? CURL_CSELECT_IN | CURL_CSELECT_ERR : 0;
    act(socket->remote, self->fd, flags);
}

static void on_timer_due(struct tern_loop_timer *self)
{
    act(TERN_CONTAINER_OF(self, struct tern_remote, timer), CURL_SOCKET_TIMEOUT, 0);
}

static int on_timer(CURLM *multi, long ms, void *arg)
{
    struct tern_remote *remote = arg;

    (void)multi;
    if (ms < 0)
        tern_loop_timer_stop(remote->loop, &remote->timer);
    else
        tern_loop_timer_start(remote->loop, &remote->timer, (uint64_t)ms * 1000000u);
    return 0;
}

static void drop_socket(struct remote_socket *socket)
{
    tern_loop_remove(socket->remote->loop, &socket->io);
    tern_list_remove(&socket->link);
    tern_mem_free(socket);
}

static bool add_socket(struct tern_remote *remote, curl_socket_t fd, unsigned events)
{
    struct remote_socket *socket = tern_mem_zalloc(1, sizeof(*socket));

    if (socket == NULL)
        return false;
    socket->remote = remote;
    socket->io = (struct tern_loop_fd){.fd = fd, .on_ready = on_socket_ready};
    if (tern_loop_add(remote->loop, &socket->io, events, NULL) != TERN_OK) {
        tern_mem_free(socket);
        return false;
    }
    tern_list_append(&remote->sockets, &socket->link);
    curl_multi_assign(remote->multi, fd, socket);
    return true;
}

static void starve(struct tern_remote *remote, CURL *easy)
{
    struct tern_remote_call *call = NULL;

    if (curl_easy_getinfo(easy, CURLINFO_PRIVATE, &call) != CURLE_OK || call == NULL)
        return; /* a connection that nobody uses any more */
    call->starved = remote->has_starved = true;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    struct remote_socket *socket = known;
    unsigned events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (socket != NULL)
            drop_socket(socket);
        return 0;
    }
    events |= (what & CURL_POLL_IN) != 0 ? TERN_LOOP_READ : 0;
    events |= (what & CURL_POLL_OUT) != 0 ? TERN_LOOP_WRITE : 0;
    if (socket == NULL) {
        if (!add_socket(arg, fd, events))
            starve(arg, easy); /* told of a failure, libcurl would give up all calls */
        return 0;
    }
    tern_loop_change(socket->remote->loop, &socket->io, events);
    return 0;
}

/* ---- one call ---- */

static size_t on_bytes(char *p, size_t size, size_t n, void *arg)
{
    struct tern_remote_call *call = arg;

    (void)size; /* 1 */
    if (n > call->answer_max - call->answer.n)
        return 0;
    tern_buf_add(&call->answer, p, n);
    return call->answer.failed ? 0 : n;
}

/* A line of an answer's head; there are several heads when an interim one comes before. */
static size_t on_head_line(char *p, size_t size, size_t n, void *arg)
{
    struct tern_remote_call *call = arg;

    (void)size; /* 1 */
    if (n >= 5 && memcmp(p, "HTTP/", 5) == 0)
        call->head_over = false;
    else if (n > 0 && (p[0] == '\r' || p[0] == '\n'))
        call->head_over = true; /* trailers come by here too, much later */
    return n;
}

static bool add_field(struct tern_remote_call *call, struct tern_str name, struct tern_str value)
{
    struct tern_buf line;

    tern_buf_init(&line, 64u << 10);
    tern_buf_add_str(&line, name);
    TERN_BUF_ADD_LITERAL(&line, ": ");
    tern_buf_add_str(&line, value);
    tern_buf_add_char(&line, '\0');
    for (size_t i = 0; i + 1 < line.n; i++) { /* HTTP/2 may have brought what HTTP/1.1 cannot say */
        if ((unsigned char)line.p[i] < ' ' && line.p[i] != '\t')
            line.p[i] = ' ';
    }
    void *longer = line.failed ? NULL : curl_slist_append(call->fields, line.p);
    tern_buf_fini(&line);
    call->fields = longer != NULL ? longer : call->fields;
    return longer != NULL;
}

static bool add_fields(struct tern_remote_call *call)
{
    bool good = add_field(call, TERN_STR("Content-Type"), call->type);

    /* libcurl asks before it sends a large body, which costs a round trip: "Expect:" alone in a
     * line keeps it from that. */
    void *longer = good ? curl_slist_append(call->fields, "Expect:") : NULL;
    good = longer != NULL;
    call->fields = good ? longer : call->fields;
    for (uint32_t i = 0; good && i < call->n_headers; i++)
        good = add_field(call, call->headers[i].name, call->headers[i].value);
    return good;
}

static enum tern_code set_up(struct tern_remote_call *call, struct tern_err *err)
{
    uint64_t ms = call->timeout_ns / 1000000u;
    CURL *easy = call->easy = curl_easy_init();

    if (easy == NULL || !add_fields(call))
        return tern_mem_fail(err, "a call of another server", 0);
    curl_easy_setopt(easy, CURLOPT_URL, call->url);
    curl_easy_setopt(easy, CURLOPT_PRIVATE, call);
    curl_easy_setopt(easy, CURLOPT_HTTPHEADER, call->fields);
    curl_easy_setopt(easy, CURLOPT_USERAGENT, "tern/" TERN_VERSION);
    curl_easy_setopt(easy, CURLOPT_POSTFIELDS, call->body.n > 0 ? call->body.p : "");
    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.n);
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, call);
    curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head_line);
    curl_easy_setopt(easy, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_TIMEOUT_MS);
    curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS,
                     ms == 0          ? 1L
                     : ms > INT32_MAX ? INT32_MAX
                                      : (long)ms);
    if (curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") != CURLE_OK)
        return tern_fail(err, TERN_UNAVAILABLE, "libcurl knows no HTTP");
    if (curl_multi_add_handle(call->remote->multi, easy) != CURLM_OK)
        return tern_mem_fail(err, "a call of another server", 0);
    return TERN_OK;
}

/* The end of one that never began, or was aborted. */
static void on_ended(struct tern_loop_task *task)
{
    struct tern_remote_call *call = TERN_CONTAINER_OF(task, struct tern_remote_call, task);

    call->on_done(call);
}

static void end_later(struct tern_remote_call *call)
{
    close_call(call);
    call->task.run = on_ended;
    tern_loop_defer(call->remote->loop, &call->task);
}

void tern_remote_start(struct tern_remote *remote, struct tern_remote_call *call)
{
    call->remote = remote;
    tern_list_append(&remote->calls, &call->link);
    call->easy = call->fields = NULL;
    call->head_over = call->starved = false;
    call->status = 0;
    call->answer_type[0] = '\0';
    tern_buf_init(&call->answer, call->answer_max + TERN_TEXT_PAD);
    call->code = set_up(call, &call->err);
    if (call->code != TERN_OK)
        end_later(call);
}

void tern_remote_cancel(struct tern_remote_call *call)
{
    if (call->easy == NULL)
        return; /* on_done is on its way */
    call->code = tern_fail(&call->err, TERN_CANCELLED, "the call was aborted");
    end_later(call);
}

void tern_remote_forget(struct tern_remote_call *call)
{
    tern_buf_fini(&call->answer);
}

/* ---- life ---- */

enum tern_code tern_remote_new(struct tern_loop *loop, struct tern_remote **ret_remote,
                               struct tern_err *err)
{
    struct tern_remote *remote = tern_mem_zalloc(1, sizeof(*remote));

    if (remote == NULL)
        return tern_mem_fail(err, "the calls of other servers", sizeof(*remote));
    remote->loop = loop;
    remote->timer.on_due = on_timer_due;
    tern_list_init(&remote->sockets);
    tern_list_init(&remote->calls);
    remote->multi = curl_multi_init();
    if (remote->multi == NULL) {
        tern_mem_free(remote);
        return tern_mem_fail(err, "the calls of other servers", 0);
    }
    curl_multi_setopt(remote->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(remote->multi, CURLMOPT_SOCKETDATA, remote);
    curl_multi_setopt(remote->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    curl_multi_setopt(remote->multi, CURLMOPT_TIMERDATA, remote);
    curl_multi_setopt(remote->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, (long)TERN_REMOTE_CONNECTIONS);
    curl_multi_setopt(remote->multi, CURLMOPT_MAX_HOST_CONNECTIONS,
                      (long)TERN_REMOTE_HOST_CONNECTIONS);
    curl_multi_setopt(remote->multi, CURLMOPT_MAXCONNECTS, (long)TERN_REMOTE_HOST_CONNECTIONS);
    *ret_remote = remote;
    return TERN_OK;
}

void tern_remote_free(struct tern_remote *remote)
{
    if (remote == NULL)
        return;
    while (!tern_list_is_empty(&remote->calls)) /* of a server that was cut off */
        close_call(TERN_CONTAINER_OF(remote->calls.next, struct tern_remote_call, link));
    curl_multi_cleanup(remote->multi); /* tells of most sockets, but not of all */
    while (!tern_list_is_empty(&remote->sockets))
        drop_socket(TERN_CONTAINER_OF(remote->sockets.next, struct remote_socket, link));
    tern_loop_timer_stop(remote->loop, &remote->timer);
    tern_mem_free(remote);
}
