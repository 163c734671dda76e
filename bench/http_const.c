/* The network stack with a handler that answers a constant: what HTTP costs us, measured against
 * bench/null_epoll.c and bench/null_h2.c. Usage: http_const ADDRESS LOOPS. Any request body is read
 * and ignored. A gRPC call is answered by a message of a hundred bytes and trailers. */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/num.h"
#include "net/mux_h1.h"
#include "net/mux_h2.h"
#include "net/server.h"

static void answer_call(struct tern_exchange *x)
{
    static const char message[100] = {0, 0, 0, 0, 95};

    x->status = 200;
    x->response_type = TERN_STR("application/grpc");
    x->brief = true;
    tern_buf_add(tern_exchange_body(x), message, sizeof(message));
    tern_exchange_add_trailer(x, TERN_STR("grpc-status"), TERN_STR("0"));
    tern_exchange_send(x, true);
}

static void on_request(void *self, struct tern_exchange *x)
{
    (void)self;
    if (tern_str_eq(x->content_type, TERN_STR("application/grpc"))) {
        answer_call(x);
        return;
    }
    x->status = 200;
    x->response_type = TERN_STR("text/plain");
    TERN_BUF_ADD_LITERAL(tern_exchange_body(x), "Hello, World!");
    tern_exchange_send(x, true);
}

static void on_refused(void *self, struct tern_exchange *x, const struct tern_err *err)
{
    (void)self;
    x->response_type = TERN_STR("text/plain");
    tern_buf_add_str(tern_exchange_body(x), tern_str_of(err->text));
    tern_exchange_send(x, true);
}

static int serve(struct tern_str address, uint32_t n_loops)
{
    static const struct tern_handler handler = {.on_request = on_request, .on_refused = on_refused};
    const struct tern_listener_config listen = {
        .address = address, .body_max = 64u << 20, .memory_max = 16u << 20};
    struct tern_listener *listener = NULL;
    struct tern_server *server = NULL;
    struct tern_err err;
    sigset_t stop;
    int sig;

    sigemptyset(&stop);
    sigaddset(&stop, SIGTERM);
    sigaddset(&stop, SIGINT);
    sigprocmask(SIG_BLOCK, &stop, NULL);
    if (tern_listener_open(&listen, n_loops, &listener, &err) != TERN_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    struct tern_server_config config = {
        .n_loops = n_loops,
        .pin = true,
        .handler = &handler,
        .limits = TERN_NET_LIMITS_DEFAULT,
        .h1 = &tern_mux_h1,
        .h2 = &tern_mux_h2,
        .listeners = &listener,
        .n_listeners = 1,
    };
    config.limits.requests_max = UINT32_MAX; /* the anchor has no such limit */
    if (tern_server_new(&config, &server, &err) != TERN_OK ||
        tern_server_start(server, &err) != TERN_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    printf("listening on %s\n", listener->name);
    fflush(stdout);
    sigwait(&stop, &sig);
    tern_server_drain(server);
    tern_server_wait(server, TERN_NS_PER_S);
    tern_server_stop(server);
    tern_server_free(server);
    tern_listener_close(listener);
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t loops = 1;

    if (argc != 3 || !tern_num_parse_u64(tern_str_of(argv[2]), 64, &loops) || loops == 0) {
        fprintf(stderr, "usage: %s ADDRESS LOOPS\n", argv[0]);
        return 2;
    }
    return serve(tern_str_of(argv[1]), (uint32_t)loops);
}
