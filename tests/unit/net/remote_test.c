/* Calls of other servers: what is asked, what comes of good answers and of bad ones, and of servers
 * that are not there, stall, or leave in the middle. */
// wrap: tern_mem_alloc tern_mem_zalloc tern_mem_realloc tern_mem_alloc_aligned
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cmocka.h>
#include "harness/mem_fails.h"
#include "net/remote.h"
#include "os/curl.h"

#define PLENTY_NS (60u * 1000000000ull)

/* ---- the other server: one connection after the other, the same answer to each ---- */

struct far {
    const char *answer; /* NULL: nothing, until the caller leaves */
    int listen_fd;
    char url[64];
    char asked[4096]; /* the last request; to be read after far_stop */
    pthread_t thread;
};

static bool is_whole(const char *text)
{
    const char *body = strstr(text, "\r\n\r\n");
    const char *length = strcasestr(text, "content-length: ");

    return body != NULL && length != NULL &&
           strlen(body + 4) >= (size_t)(length[16] - '0'); /* one digit in these tests */
}

static void serve_one(struct far *far, int fd)
{
    size_t n = 0;
    ssize_t got;

    do {
        got = read(fd, far->asked + n, sizeof(far->asked) - 1 - n);
        n += got > 0 ? (size_t)got : 0;
        far->asked[n] = '\0';
    } while (got > 0 && !is_whole(far->asked));
    if (far->answer != NULL)
        (void)!send(fd, far->answer, strlen(far->answer), MSG_NOSIGNAL);
    else
        while (read(fd, far->asked, 1) > 0)
            ;
    close(fd);
}

static void *far_run(void *arg)
{
    struct far *far = arg;
    int fd;

    while ((fd = accept(far->listen_fd, NULL, NULL)) >= 0)
        serve_one(far, fd);
    return NULL;
}

static void far_listen(struct far *far)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof(address);

    far->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(far->listen_fd, (struct sockaddr *)&address, n), 0);
    assert_int_equal(getsockname(far->listen_fd, (struct sockaddr *)&address, &n), 0);
    snprintf(far->url, sizeof(far->url), "http://127.0.0.1:%u/p?q=1", ntohs(address.sin_port));
}

static void far_start(struct far *far, const char *answer)
{
    memset(far, 0, sizeof(*far));
    far->answer = answer;
    far_listen(far);
    assert_int_equal(listen(far->listen_fd, 16), 0);
    assert_int_equal(pthread_create(&far->thread, NULL, far_run, far), 0);
}

static void far_stop(struct far *far)
{
    shutdown(far->listen_fd, SHUT_RDWR);
    pthread_join(far->thread, NULL);
    close(far->listen_fd);
}

/* ---- ours ---- */

struct near {
    struct tern_loop *loop;
    struct tern_remote *remote;
    struct tern_remote_call call;
    uint32_t n_done;
};

static struct near *the_near;

static void on_done(struct tern_remote_call *call)
{
    assert_ptr_equal(call, &the_near->call);
    the_near->n_done++;
    tern_loop_stop(the_near->loop);
}

static void near_open(struct near *near, const char *url)
{
    memset(near, 0, sizeof(*near));
    the_near = near;
    assert_int_equal(tern_loop_new(0, 64, &near->loop, NULL), TERN_OK);
    assert_int_equal(tern_remote_new(near->loop, &near->remote, NULL), TERN_OK);
    near->call = (struct tern_remote_call){
        .url = url,
        .body = TERN_STR("body"),
        .type = TERN_STR("application/json"),
        .timeout_ns = PLENTY_NS,
        .answer_max = 100,
        .on_done = on_done,
    };
}

static void near_close(struct near *near)
{
    tern_remote_forget(&near->call);
    tern_remote_free(near->remote);
    tern_loop_free(near->loop);
}

static enum tern_code ask(struct near *near)
{
    near->n_done = 0;
    tern_remote_start(near->remote, &near->call);
    assert_int_equal(near->n_done, 0); /* not from within */
    tern_loop_run(near->loop);
    assert_int_equal(near->n_done, 1);
    return near->call.code;
}

/* ---- tests ---- */

static void a_call_and_its_answer(void **state)
{
    const struct tern_header headers[] = {{TERN_STR("x-one"), TERN_STR("a\r\nx-two: b")}};
    struct far far;
    struct near near;
    (void)state;
    far_start(&far, "HTTP/1.1 201 Created\r\nContent-Type: text/x\r\nContent-Length: 4\r\n"
                    "Connection: close\r\n\r\nfine");
    near_open(&near, far.url);
    near.call.headers = headers;
    near.call.n_headers = 1;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(ask(&near), TERN_OK);
        assert_int_equal(near.call.status, 201);
        assert_string_equal(near.call.answer_type, "text/x");
        assert_true(tern_str_eq(tern_buf_str(&near.call.answer), TERN_STR("fine")));
        tern_remote_forget(&near.call);
    }
    near_close(&near);
    far_stop(&far);
    assert_ptr_equal(strstr(far.asked, "POST /p?q=1 HTTP/1.1\r\n"), far.asked);
    assert_non_null(strstr(far.asked, "Content-Type: application/json\r\n"));
    assert_non_null(strstr(far.asked, "x-one: a  x-two: b\r\n")); /* no line of its own */
    assert_null(strstr(far.asked, "Expect"));
    assert_non_null(strstr(far.asked, "\r\n\r\nbody"));
}

static void a_redirect_is_an_answer(void **state)
{
    struct far far;
    struct near near;
    (void)state;
    far_start(&far, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n"
                    "Content-Length: 0\r\nConnection: close\r\n\r\n");
    near_open(&near, far.url);
    assert_int_equal(ask(&near), TERN_OK);
    assert_int_equal(near.call.status, 302);
    assert_int_equal(near.call.answer.n, 0);
    near_close(&near);
    far_stop(&far);
}

static void answers_that_are_none(void **state)
{
    static const struct {
        const char *answer, *text;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890",
         "the answer has more than 100 bytes"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n65\r\n"
         "0123456789012345678901234567890123456789012345678901234567890123456789"
         "0123456789012345678901234567890\r\n0\r\n\r\n",
         "the answer has more than 100 bytes"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 90\r\n\r\nhalf", ""}, /* it vanishes in the middle */
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nhalf", ""},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nno number\r\n", ""},
        {"HTTP/1.1 200 OK\r\nContent-Le", ""},
        {"", ""}, /* ... before it begins */
        {"this is no HTTP\r\n\r\n", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct far far;
        struct near near;
        far_start(&far, rows[i].answer);
        near_open(&near, far.url);
        enum tern_code code = ask(&near);
        if (code != TERN_UNAVAILABLE)
            fail_msg("row %zu: code %d", i, (int)code);
        if (strstr(near.call.err.text, rows[i].text) == NULL)
            fail_msg("row %zu: %s", i, near.call.err.text);
        assert_null(strstr(near.call.err.text, "127.0.0.1:")); /* clients need not know */
        near_close(&near);
        far_stop(&far);
    }
}

static void nobody_is_there(void **state)
{
    struct far far = {.answer = NULL};
    struct near near;
    (void)state;
    far_listen(&far); /* the port is taken, and refuses */
    near_open(&near, far.url);
    assert_int_equal(ask(&near), TERN_UNAVAILABLE);
    near_close(&near);
    close(far.listen_fd);
}

static void the_time_is_over(void **state)
{
    struct far far;
    struct near near;
    (void)state;
    far_start(&far, NULL);
    near_open(&near, far.url);
    near.call.timeout_ns = 1; /* the least that libcurl knows is a millisecond */
    assert_int_equal(ask(&near), TERN_DEADLINE_EXCEEDED);
    near_close(&near);
    far_stop(&far);
}

/* The other server sees the end of it, else far_stop would wait. */
static void a_call_may_be_aborted(void **state)
{
    struct far far;
    struct near near;
    (void)state;
    far_start(&far, NULL);
    near_open(&near, far.url);
    tern_remote_start(near.remote, &near.call);
    tern_remote_cancel(&near.call);
    tern_remote_cancel(&near.call);
    assert_int_equal(near.n_done, 0);
    tern_loop_run(near.loop);
    assert_int_equal(near.n_done, 1);
    assert_int_equal(near.call.code, TERN_CANCELLED);
    near_close(&near);
    far_stop(&far);
}

static void the_end_while_a_call_is_in_flight(void **state)
{
    struct far far;
    struct near near;
    (void)state;
    far_start(&far, NULL);
    near_open(&near, far.url);
    tern_remote_start(near.remote, &near.call);
    near_close(&near);
    assert_int_equal(near.n_done, 0);
    far_stop(&far);
}

static void a_type_that_is_too_long_is_none(void **state)
{
    char answer[512];
    struct far far;
    struct near near;
    (void)state;
    snprintf(answer, sizeof(answer),
             "HTTP/1.1 200 OK\r\nContent-Type: %0200d\r\nContent-Length: 2\r\n\r\nok", 0);
    far_start(&far, answer);
    near_open(&near, far.url);
    assert_int_equal(ask(&near), TERN_OK);
    assert_string_equal(near.call.answer_type, "");
    near_close(&near);
    far_stop(&far);
}

static void every_allocation_may_fail(void **state)
{
    struct far far;
    struct near near;
    bool failed = true;
    (void)state;
    far_start(&far, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
    for (long at = 0; failed; at++) {
        assert_true(at < 1000);
        near_open(&near, far.url);
        mem_calls = 0;
        mem_fail_at = at;
        enum tern_code code = ask(&near);
        failed = mem_calls > at;
        mem_fail_at = -1;
        if (failed && code != TERN_RESOURCE_EXHAUSTED && code != TERN_UNAVAILABLE)
            fail_msg("allocation %ld: code %d", at, (int)code);
        if (!failed)
            assert_int_equal(code, TERN_OK);
        near_close(&near);
    }
    struct tern_loop *loop;
    struct tern_remote *remote;
    assert_int_equal(tern_loop_new(0, 64, &loop, NULL), TERN_OK);
    mem_calls = 0;
    mem_fail_at = 0;
    assert_int_equal(tern_remote_new(loop, &remote, NULL), TERN_RESOURCE_EXHAUSTED);
    mem_fail_at = -1;
    tern_loop_free(loop);
    far_stop(&far);
}

static int load_curl(void **state)
{
    (void)state;
    return tern_curl_load("a test", NULL) == TERN_OK ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_and_its_answer),
        cmocka_unit_test(a_redirect_is_an_answer),
        cmocka_unit_test(answers_that_are_none),
        cmocka_unit_test(nobody_is_there),
        cmocka_unit_test(the_time_is_over),
        cmocka_unit_test(a_call_may_be_aborted),
        cmocka_unit_test(the_end_while_a_call_is_in_flight),
        cmocka_unit_test(a_type_that_is_too_long_is_none),
        cmocka_unit_test(every_allocation_may_fail),
    };
    return cmocka_run_group_tests(tests, load_curl, NULL);
}
