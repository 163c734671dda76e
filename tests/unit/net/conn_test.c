// wrap: tern_clock_mono_ns tern_mem_alloc tern_mem_zalloc tern_mem_alloc_aligned tern_mem_realloc
// wrap: tern_sock_recv tern_sock_send
/* The connection below the muxes: which mux gets it, what a transport may demand, the write queue
 * under every kind of partial write, and every system call failing. */
#include "harness/h1_rig.h"
#include "os/sock.h"

#define PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

/* System calls that give little, or fail. */
static size_t io_max = SIZE_MAX; /* bytes a call */
static long io_calls;
static long io_fail_at = -1;
static int io_errno = ECONNRESET;

static bool io_fails(void)
{
    if (io_calls++ != io_fail_at)
        return false;
    errno = io_errno;
    return true;
}

ssize_t __real_tern_sock_recv(int fd, void *p, size_t n);
ssize_t __wrap_tern_sock_recv(int fd, void *p, size_t n);
ssize_t __wrap_tern_sock_recv(int fd, void *p, size_t n)
{
    if (io_fails())
        return -1;
    return __real_tern_sock_recv(fd, p, n < io_max ? n : io_max);
}

ssize_t __real_tern_sock_send(int fd, const struct iovec *iov, int n);
ssize_t __wrap_tern_sock_send(int fd, const struct iovec *iov, int n);
ssize_t __wrap_tern_sock_send(int fd, const struct iovec *iov, int n)
{
    if (io_fails())
        return -1;
    if (io_max == SIZE_MAX)
        return __real_tern_sock_send(fd, iov, n);
    struct iovec little = {iov->iov_base, iov->iov_len < io_max ? iov->iov_len : io_max};
    return __real_tern_sock_send(fd, &little, 1);
}

/* A second mux, to see who is chosen: it remembers what came. */
static char h2_got[256];
static size_t h2_n;
static unsigned h2_opened, h2_closed, h2_drained;

static enum tern_code fake_open(struct tern_conn *conn, struct tern_err *err)
{
    (void)conn;
    (void)err;
    h2_opened++;
    h2_n = 0;
    return TERN_OK;
}

static void fake_on_readable(struct tern_conn *conn)
{
    size_t n;

    (void)tern_conn_fill(conn, 0);
    const char *p = tern_conn_in(conn, &n);
    assert_true(h2_n + n < sizeof(h2_got));
    if (n > 0)
        memcpy(h2_got + h2_n, p, n);
    h2_n += n;
    h2_got[h2_n] = '\0';
    tern_conn_consume(conn, n);
    tern_conn_rest(conn);
    if (conn->peer_done)
        tern_conn_shutdown(conn);
}

static void fake_on_sent(struct tern_conn *conn)
{
    (void)conn;
}

static void fake_drain(struct tern_conn *conn)
{
    h2_drained++;
    tern_conn_shutdown(conn);
}

static void fake_close(struct tern_conn *conn)
{
    (void)conn;
    h2_closed++;
}

static const struct tern_mux_ops fake_h2 = {
    .name = "fake",
    .open = fake_open,
    .on_readable = fake_on_readable,
    .on_sent = fake_on_sent,
    .on_timeout = tern_conn_abort,
    .drain = fake_drain,
    .close = fake_close,
};

static struct rig *rig_new_with_h2(void)
{
    struct rig *rig = rig_new();

    rig->hub->h2 = &fake_h2;
    h2_opened = h2_closed = h2_drained = 0;
    io_max = SIZE_MAX;
    io_fail_at = -1;
    return rig;
}

static void the_preface_chooses_h2(void **state)
{
    struct rig *rig = rig_new_with_h2();

    (void)state;
    for (size_t cut = 0; cut < sizeof(PREFACE) - 1; cut++) {
        rig_connect(rig);
        rig_send(rig, PREFACE, cut);
        assert_int_equal(h2_opened, cut);
        rig_send(rig, PREFACE "more" + cut, sizeof(PREFACE) + 3 - cut);
        assert_int_equal(h2_opened, cut + 1);
        assert_string_equal(h2_got, PREFACE "more");
        rig_hang_up(rig);
        assert_int_equal(h2_closed, cut + 1);
    }
    /* A method that begins alike, and a preface that is cut short. */
    rig_connect(rig);
    rig_say(rig, "P");
    rig_say(rig, "OST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx");
    rig_expect(rig, 200, "POST /p 1:x");
    rig_connect(rig);
    rig_say(rig, "PRI * HTTP/2.0\r\n\r\n");
    rig_after(rig, 11); /* as long as a head may take */
    assert_true(rig->client_saw_end);
    assert_int_equal(h2_opened, sizeof(PREFACE) - 1);
    rig_free(rig);
}

static void draining_reaches_whoever_has_the_connection(void **state)
{
    struct rig *rig = rig_new_with_h2();

    (void)state;
    rig_connect(rig);
    rig_say(rig, PREFACE);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_int_equal(h2_drained, 1);
    assert_true(rig->client_saw_end);
    rig_free(rig);
    rig = rig_new_with_h2(); /* it never sent a byte */
    rig_connect(rig);
    rig_after(rig, 2);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_true(rig->client_saw_end);
    assert_int_equal(rig->n_got, 0);
    rig_free(rig);
    rig = rig_new_with_h2(); /* its first byte is in the socket, unseen; or about to come */
    rig_connect(rig);
    assert_int_equal(send(rig->client, GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, "Connection: close"));
    rig_free(rig);
    rig = rig_new_with_h2();
    rig_connect(rig);
    tern_hub_drain(rig->hub);
    rig_pump(rig);
    assert_false(rig->client_saw_end);
    rig_say(rig, GET);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, "Connection: close"));
    /* Who still comes gets one answer. */
    rig_connect(rig);
    rig_say(rig, GET);
    rig_expect(rig, 200, "GET /a 0:");
    assert_non_null(strstr(rig->got, "Connection: close"));
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* A transport with a handshake of three bytes that swaps letter case on the way. */
static int hand_shaken;
static const char *hand_alpn;

static char swap(char c)
{
    return (char)(((c | 0x20) >= 'a' && (c | 0x20) <= 'z') ? c ^ 0x20 : c);
}

static enum tern_io odd_handshake(struct tern_conn *conn)
{
    char c;
    ssize_t n = tern_sock_recv(conn->io.fd, &c, 1);

    if (n == 1 && c != '#')
        return TERN_IO_BROKEN;
    if (n == 1 && ++hand_shaken == 3)
        return TERN_IO_OK;
    return n == 0 ? TERN_IO_EOF : TERN_IO_AGAIN;
}

static struct tern_str odd_alpn(struct tern_conn *conn)
{
    (void)conn;
    return tern_str_of(hand_alpn);
}

static enum tern_io odd_recv(struct tern_conn *conn, void *p, size_t n, size_t *ret_n)
{
    enum tern_io io = tern_transport_plain.recv(conn, p, n, ret_n);

    for (size_t i = 0; io == TERN_IO_OK && i < *ret_n; i++)
        ((char *)p)[i] = swap(((char *)p)[i]);
    return io;
}

static enum tern_io odd_send(struct tern_conn *conn, const struct iovec *iov, int n, size_t *ret_n)
{
    return tern_transport_plain.send(conn, iov, n, ret_n);
}

static void odd_nothing(struct tern_conn *conn)
{
    (void)conn;
}

static const struct tern_transport_ops odd_transport = {
    .name = "odd",
    .is_tls = true,
    .handshake = odd_handshake,
    .alpn = odd_alpn,
    .recv = odd_recv,
    .send = odd_send,
    .shutdown = odd_nothing,
    .close = odd_nothing,
};

static void connect_oddly(struct rig *rig, const char *alpn)
{
    int pair[2];
    struct tern_conn_config config = {
        .listener = &rig->listener, .transport = &odd_transport, .peer = TERN_STR("odd")};

    rig_hang_up(rig);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    rig->client = pair[1];
    rig->client_saw_end = false;
    rig->n_got = 0;
    hand_shaken = 0;
    hand_alpn = alpn;
    assert_int_equal(tern_conn_open(rig->hub, pair[0], &config, NULL), TERN_OK);
}

static void transports_shake_hands_first(void **state)
{
    struct rig *rig = rig_new_with_h2();

    (void)state;
    connect_oddly(rig, "http/1.1");
    rig_say(rig, "#");
    rig_say(rig, "#");
    assert_int_equal(hand_shaken, 2);
    rig_say(rig, "#get /A http/1.1\r\nhOST: H\r\n\r\n");
    rig_expect(rig, 200, "GET /a 0:");
    connect_oddly(rig, "h2");
    rig_say(rig, "###abc");
    assert_string_equal(h2_got, "ABC");
    connect_oddly(rig, "");
    rig_say(rig, "###get /A http/1.1\r\nhOST: H\r\n\r\n");
    rig_expect(rig, 200, "GET /a 0:");
    /* Refused, abandoned, too slow. */
    connect_oddly(rig, "");
    rig_say(rig, "x");
    assert_true(rig->client_saw_end);
    connect_oddly(rig, "");
    rig_say(rig, "#");
    rig_hang_up(rig);
    assert_true(tern_hub_is_idle(rig->hub));
    connect_oddly(rig, "");
    rig_say(rig, "##");
    rig_after(rig, 11);
    assert_true(rig->client_saw_end);
    rig_free(rig);
}

/* The same conversation, whatever the kernel takes at a time. */
static void every_size_of_partial_io(void **state)
{
    static const size_t sizes[] = {1, 2, 7, 100, 1000, 65536};
    struct rig_answer answer;

    (void)state;
    for (size_t i = 0; i < TERN_COUNT_OF(sizes); i++) {
        struct rig *rig = rig_new_with_h2();
        size_t at = 0;
        io_max = sizes[i];
        rig->slice_bytes = sizes[i] < 100 ? 500 : 100000;
        rig->pad_body = sizes[i] < 100 ? 300 : 80000;
        rig->stream = 1;
        rig_connect(rig);
        rig_say(rig, "POST /1 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" GET);
        for (int k = 0; k < 2; k++) {
            assert_true(rig_take(rig, &at, false, &answer));
            assert_int_equal(answer.status, 200);
            assert_true(answer.n_body > rig->slice_bytes + rig->pad_body);
        }
        assert_int_equal(at, rig->n_got);
        rig_free(rig);
    }
    io_max = SIZE_MAX;
}

/* Each system call of a conversation fails once with a reset: nothing leaks, nothing hangs. */
static void every_call_may_fail(void **state)
{
    static const int errors[] = {ECONNRESET, EPIPE, EAGAIN};

    (void)state;
    for (size_t e = 0; e < TERN_COUNT_OF(errors); e++) {
        bool more = true;
        for (long n = 0; more; n++) {
            struct rig *rig = rig_new_with_h2();
            rig->slice_bytes = 400000;
            io_errno = errors[e];
            io_calls = 0;
            io_fail_at = n;
            rig_connect(rig);
            rig_say(rig, GET GET);
            rig_say(rig, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n");
            rig_send(rig, rig_fill(), 50000);
            more = io_calls > n;
            if (errors[e] == EAGAIN)
                assert_int_equal(rig->n_requests, 3); /* only a delay */
            rig_free(rig);
            io_fail_at = -1;
        }
    }
}

static void many_slices_go_out_whole(void **state)
{
    struct rig *rig = rig_new_with_h2();
    static struct tern_slice slices[500];
    struct rig_answer answer;
    size_t at = 0;

    (void)state;
    rig->hold = true;
    rig_connect(rig);
    rig_say(rig, GET);
    struct tern_exchange *x = rig->held[0];
    rig->n_held = 0;
    for (size_t i = 0; i < TERN_COUNT_OF(slices); i++)
        slices[i] = (struct tern_slice){rig_fill(), i % 7 == 0 ? 0 : 100};
    x->status = 200;
    x->slices = slices;
    x->n_slices = TERN_COUNT_OF(slices);
    tern_exchange_send(x, true);
    rig_pump(rig);
    assert_true(rig_take(rig, &at, false, &answer));
    assert_int_equal(answer.n_body, (500 - 72) * 100);
    assert_int_equal(at, rig->n_got);
    rig_free(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_preface_chooses_h2),
        cmocka_unit_test(draining_reaches_whoever_has_the_connection),
        cmocka_unit_test(transports_shake_hands_first),
        cmocka_unit_test(every_size_of_partial_io),
        cmocka_unit_test(every_call_may_fail),
        cmocka_unit_test(many_slices_go_out_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
