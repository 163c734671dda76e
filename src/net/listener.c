#include "net/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>
#include "base/mem.h"

#define BACKLOG         4096
#define ACCEPTS_A_ROUND 64
#define PAUSE_NS        (100ull * TERN_NS_PER_MS)

/* SO_REUSEPORT lets a second server of the same user take the same port, and the kernel would give
 * it half of the connections. A socket that does not share finds out whether the port is free. */
static enum tern_code check_free(const struct tern_sock_addr *addr, struct tern_err *err)
{
    int fd;

    TERN_TRY(tern_sock_listen(addr, false, BACKLOG, &fd, err));
    tern_sock_close(fd);
    return TERN_OK;
}

static enum tern_code open_sockets(struct tern_listener *listener, struct tern_sock_addr *addr,
                                   struct tern_err *err)
{
    if (listener->n_fds > 1)
        TERN_TRY(check_free(addr, err));
    /* A TCP port only listens once somebody accepts: a probe that merely connects must not take a
     * server for ready that still loads its models. A Unix socket that does not listen would look
     * stale to the next server. */
    int backlog = tern_sock_addr_is_unix(addr) ? BACKLOG : 0;
    for (uint32_t i = 0; i < listener->n_fds; i++) {
        TERN_TRY(tern_sock_listen(addr, listener->n_fds > 1, backlog, &listener->fds[i], err));
        /* After port 0 the others share the port that the first one got. */
        TERN_TRY(tern_sock_local(listener->fds[i], addr, err));
    }
    tern_sock_addr_format(addr, listener->name);
    listener->info.name = tern_str_of(listener->name);
    return TERN_OK;
}

enum tern_code tern_listener_open(const struct tern_listener_config *config, uint32_t n_loops,
                                  struct tern_listener **ret_listener, struct tern_err *err)
{
    struct tern_sock_addr addr;

    TERN_TRY(tern_sock_addr_parse(config->address, &addr, err));
    struct tern_listener *listener = tern_mem_zalloc(1, sizeof(*listener));
    if (listener == NULL)
        return tern_mem_fail(err, "a listener", sizeof(*listener));
    listener->n_loops = n_loops;
    listener->is_unix = tern_sock_addr_is_unix(&addr);
    listener->n_fds = listener->is_unix ? 1 : n_loops;
    listener->transport = config->transport;
    listener->transport_config = config->transport_config;
    listener->info.server_name = config->server_name;
    listener->info.graph = config->graph;
    listener->info.admin = config->admin;
    listener->info.triton_status = config->triton_status;
    listener->info.protos = config->protos;
    listener->info.grpc_form = config->grpc_form;
    listener->info.grpc_compression = config->grpc_compression;
    listener->info.body_max = config->body_max;
    listener->info.memory_max = config->memory_max;
    listener->info.json_depth_max = config->json_depth_max;
    listener->fds = tern_mem_zalloc(listener->n_fds, sizeof(int));
    if (listener->fds == NULL) {
        tern_listener_close(listener);
        return tern_mem_fail(err, "a listener", n_loops * sizeof(int));
    }
    for (uint32_t i = 0; i < listener->n_fds; i++)
        listener->fds[i] = -1;
    enum tern_code code = open_sockets(listener, &addr, err);
    if (code != TERN_OK) {
        tern_listener_close(listener);
        return code;
    }
    *ret_listener = listener;
    return TERN_OK;
}

void tern_listener_close(struct tern_listener *listener)
{
    if (listener == NULL)
        return;
    for (uint32_t i = 0; i < listener->n_fds && listener->fds != NULL; i++) {
        if (listener->fds[i] >= 0)
            tern_sock_close(listener->fds[i]);
    }
    if (tern_str_starts(listener->info.name, TERN_STR("unix:/")))
        (void)unlink(listener->name + 5);
    tern_mem_free(listener->fds);
    tern_mem_free(listener);
}

/* Accepting. */

static int open_reserve(void)
{
    return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

/* No descriptor is left. The reserve is spent on taking one client off the queue, to close it: it
 * learns at once that there is no room. Then the loop looks elsewhere for a while, instead of being
 * told over and over that somebody waits. */
static void shed_and_pause(struct tern_acceptor *acceptor)
{
    struct tern_sock_addr peer;

    TERN_COUNT(acceptor->hub->counters.accept_pauses, 1);
    if (acceptor->reserve_fd >= 0) {
        tern_sock_close(acceptor->reserve_fd);
        int fd = tern_sock_accept(acceptor->io.fd, &peer);
        if (fd >= 0)
            tern_sock_close(fd);
    }
    acceptor->reserve_fd = open_reserve();
    tern_loop_remove(acceptor->hub->loop, &acceptor->io);
    tern_loop_timer_start(acceptor->hub->loop, &acceptor->pause, PAUSE_NS);
}

static void on_pause_over(struct tern_loop_timer *timer)
{
    struct tern_acceptor *acceptor = TERN_CONTAINER_OF(timer, struct tern_acceptor, pause);

    if (acceptor->reserve_fd < 0)
        acceptor->reserve_fd = open_reserve();
    if (tern_loop_add(acceptor->hub->loop, &acceptor->io, TERN_LOOP_READ, NULL) != TERN_OK)
        tern_loop_timer_start(acceptor->hub->loop, &acceptor->pause, PAUSE_NS);
}

static bool is_over_caps(struct tern_acceptor *acceptor, const struct tern_sock_addr *peer,
                         struct tern_conn_config *config)
{
    if (acceptor->conns != NULL && atomic_load_explicit(acceptor->conns, memory_order_relaxed) >=
                                       acceptor->hub->limits.conns_max)
        return true;
    if (acceptor->peers == NULL || tern_sock_addr_is_unix(peer))
        return false;
    config->peers = acceptor->peers;
    return !tern_peers_enter(acceptor->peers, tern_sock_addr_network(peer), &config->peer_slot);
}

static void take(struct tern_acceptor *acceptor, int fd, const struct tern_sock_addr *peer)
{
    char name[TERN_SOCK_NAME_MAX];
    struct tern_conn_config config = {
        .listener = &acceptor->listener->info,
        .transport = acceptor->listener->transport,
        .transport_config = acceptor->listener->transport_config,
    };

    if (is_over_caps(acceptor, peer, &config)) {
        TERN_COUNT(acceptor->hub->counters.conns_refused, 1);
        tern_sock_close(fd);
        return;
    }
    if (!tern_sock_addr_is_unix(peer))
        tern_sock_set_nodelay(fd);
    tern_sock_addr_format(peer, name);
    config.peer = tern_str_of(name);
    (void)tern_conn_open(acceptor->hub, fd, &config, NULL);
}

/* Whether more may be waiting. */
static bool accept_some(struct tern_acceptor *acceptor)
{
    struct tern_sock_addr peer;

    for (int i = 0; i < ACCEPTS_A_ROUND; i++) {
        int fd = tern_sock_accept(acceptor->io.fd, &peer);
        if (fd >= 0) {
            take(acceptor, fd, &peer);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
            shed_and_pause(acceptor);
        return false;
    }
    return true;
}

static void on_acceptable(struct tern_loop_fd *self, unsigned events)
{
    (void)events;
    (void)accept_some(TERN_CONTAINER_OF(self, struct tern_acceptor, io));
}

enum tern_code tern_acceptor_start(struct tern_acceptor *acceptor, struct tern_err *err)
{
    const struct tern_listener *listener = acceptor->listener;
    uint32_t index = tern_loop_index(acceptor->hub->loop);

    acceptor->io.fd = listener->fds[index % listener->n_fds];
    acceptor->io.on_ready = on_acceptable;
    acceptor->pause.on_due = on_pause_over;
    acceptor->reserve_fd = open_reserve();
    TERN_TRY(tern_sock_start(acceptor->io.fd, BACKLOG, err));
    TERN_TRY(tern_loop_add(acceptor->hub->loop, &acceptor->io, TERN_LOOP_READ, err));
    acceptor->accepting = true;
    return TERN_OK;
}

void tern_acceptor_stop(struct tern_acceptor *acceptor)
{
    if (!acceptor->accepting)
        return;
    acceptor->accepting = false;
    /* Who was let in by the kernel already is served; who comes now is refused at once, although
     * the supervisor holds the socket too: else the kernel would let in clients whom nobody hears.
     * A Unix socket keeps its queue when it is shut, a TCP socket resets who stands in it. */
    if (acceptor->listener->is_unix)
        tern_sock_refuse(acceptor->io.fd);
    for (int i = 0; i < BACKLOG / ACCEPTS_A_ROUND + 1 && acceptor->pause.slot == 0; i++) {
        if (!accept_some(acceptor))
            break;
    }
    if (!acceptor->listener->is_unix)
        tern_sock_refuse(acceptor->io.fd);
    if (acceptor->pause.slot == 0)
        tern_loop_remove(acceptor->hub->loop, &acceptor->io);
    tern_loop_timer_stop(acceptor->hub->loop, &acceptor->pause);
    if (acceptor->reserve_fd >= 0)
        tern_sock_close(acceptor->reserve_fd);
    acceptor->reserve_fd = -1;
}
