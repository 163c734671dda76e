#include "os/sock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>
#include "base/num.h"

/* Views of the storage by family. */

static struct sockaddr_in *as_in4(struct tern_sock_addr *addr)
{
    return (struct sockaddr_in *)(void *)&addr->storage;
}

static struct sockaddr_in6 *as_in6(struct tern_sock_addr *addr)
{
    return (struct sockaddr_in6 *)(void *)&addr->storage;
}

static struct sockaddr_un *as_un(struct tern_sock_addr *addr)
{
    return (struct sockaddr_un *)(void *)&addr->storage;
}

static const struct sockaddr *as_any(const struct tern_sock_addr *addr)
{
    return (const struct sockaddr *)(const void *)&addr->storage;
}

static enum tern_code parse_unix(struct tern_str path, struct tern_sock_addr *addr,
                                 struct tern_err *err)
{
    struct sockaddr_un *un = as_un(addr);

    if (path.n == 0 || memchr(path.p, '\0', path.n) != NULL)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "address: expected a path after 'unix:', got nothing usable");
    if (!tern_str_copy_z(path, un->sun_path, sizeof(un->sun_path)))
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "address: the path of a Unix socket has at most %zu bytes, got %zu",
                         sizeof(un->sun_path) - 1, path.n);
    un->sun_family = AF_UNIX;
    addr->n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return TERN_OK;
}

static void fill_in6(struct tern_sock_addr *addr, struct in6_addr ip, uint16_t port)
{
    *as_in6(addr) =
        (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = ip};
    addr->n = sizeof(struct sockaddr_in6);
}

static enum tern_code parse_host(struct tern_str host, uint16_t port, struct tern_sock_addr *addr)
{
    char z[INET6_ADDRSTRLEN];
    struct in_addr ip4;
    struct in6_addr ip6;

    if (host.n == 0) {
        fill_in6(addr, in6addr_any, port);
        return TERN_OK;
    }
    bool bracketed = host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']';
    if (bracketed)
        host = tern_str_make(host.p + 1, host.n - 2);
    if (!tern_str_copy_z(host, z, sizeof(z)))
        return TERN_INVALID_ARGUMENT;
    if (bracketed) {
        if (inet_pton(AF_INET6, z, &ip6) != 1)
            return TERN_INVALID_ARGUMENT;
        fill_in6(addr, ip6, port);
        return TERN_OK;
    }
    if (inet_pton(AF_INET, strcmp(z, "localhost") == 0 ? "127.0.0.1" : z, &ip4) != 1)
        return TERN_INVALID_ARGUMENT;
    *as_in4(addr) =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = ip4};
    addr->n = sizeof(struct sockaddr_in);
    return TERN_OK;
}

enum tern_code tern_sock_addr_parse(struct tern_str text, struct tern_sock_addr *ret_addr,
                                    struct tern_err *err)
{
    struct tern_sock_addr addr;
    uint64_t port;

    memset(&addr, 0, sizeof(addr));
    if (tern_str_starts(text, TERN_STR("unix:"))) {
        TERN_TRY(parse_unix(tern_str_from(text, 5), &addr, err));
        *ret_addr = addr;
        return TERN_OK;
    }
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || !tern_num_parse_u64(tern_str_from(text, colon), 65535, &port) ||
        parse_host(tern_str_make(text.p, colon - 1), (uint16_t)port, &addr) != TERN_OK)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "address: expected IP:PORT, [IPv6]:PORT, :PORT or unix:PATH, got '%.*s'",
                         TERN_STR_ARG(text));
    *ret_addr = addr;
    return TERN_OK;
}

void tern_sock_addr_format(const struct tern_sock_addr *addr, char *dst)
{
    struct tern_sock_addr copy = *addr;
    char ip[INET6_ADDRSTRLEN] = "";

    switch (copy.storage.ss_family) {
    case AF_INET:
        inet_ntop(AF_INET, &as_in4(&copy)->sin_addr, ip, sizeof(ip));
        snprintf(dst, TERN_SOCK_NAME_MAX, "%s:%u", ip, (unsigned)ntohs(as_in4(&copy)->sin_port));
        break;
    case AF_INET6:
        if (IN6_IS_ADDR_V4MAPPED(&as_in6(&copy)->sin6_addr)) {
            inet_ntop(AF_INET, &as_in6(&copy)->sin6_addr.s6_addr[12], ip, sizeof(ip));
            snprintf(dst, TERN_SOCK_NAME_MAX, "%s:%u", ip,
                     (unsigned)ntohs(as_in6(&copy)->sin6_port));
            break;
        }
        inet_ntop(AF_INET6, &as_in6(&copy)->sin6_addr, ip, sizeof(ip));
        snprintf(dst, TERN_SOCK_NAME_MAX, "[%s]:%u", ip, (unsigned)ntohs(as_in6(&copy)->sin6_port));
        break;
    default:
        if (copy.n > offsetof(struct sockaddr_un, sun_path) && as_un(&copy)->sun_path[0] != '\0')
            snprintf(dst, TERN_SOCK_NAME_MAX, "unix:%s", as_un(&copy)->sun_path);
        else
            snprintf(dst, TERN_SOCK_NAME_MAX, "unix");
    }
}

uint64_t tern_sock_addr_network(const struct tern_sock_addr *addr)
{
    struct tern_sock_addr copy = *addr;
    uint64_t key = 0;

    if (copy.storage.ss_family == AF_INET) {
        key = ntohl(as_in4(&copy)->sin_addr.s_addr);
        return key | 1ull << 63; /* never 0 */
    }
    if (copy.storage.ss_family != AF_INET6)
        return 0;
    const uint8_t *ip = as_in6(&copy)->sin6_addr.s6_addr;
    bool mapped = IN6_IS_ADDR_V4MAPPED(&as_in6(&copy)->sin6_addr);
    for (int i = mapped ? 12 : 0; i < (mapped ? 16 : 8); i++)
        key = key << 8 | ip[i];
    return key | 1ull << 63;
}

bool tern_sock_addr_is_unix(const struct tern_sock_addr *addr)
{
    return addr->storage.ss_family == AF_UNIX;
}

/* A socket file left behind by a crash refuses connections: only then may it go. */
static void remove_stale(const struct tern_sock_addr *addr)
{
    struct tern_sock_addr copy = *addr;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return;
    if (connect(fd, as_any(addr), addr->n) != 0 && errno == ECONNREFUSED)
        (void)unlink(as_un(&copy)->sun_path);
    close(fd);
}

static bool set_flag(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0;
}

/* A machine may have been built or booted without IPv6: then "every address" means IPv4's. */
static int open_socket(struct tern_sock_addr *addr)
{
    int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd >= 0 || errno != EAFNOSUPPORT || addr->storage.ss_family != AF_INET6 ||
        !IN6_IS_ADDR_UNSPECIFIED(&as_in6(addr)->sin6_addr))
        return fd;
    in_port_t port = as_in6(addr)->sin6_port;
    *as_in4(addr) = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    addr->n = sizeof(struct sockaddr_in);
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

enum tern_code tern_sock_listen(const struct tern_sock_addr *addr, bool share, int backlog,
                                int *ret_fd, struct tern_err *err)
{
    bool is_unix = tern_sock_addr_is_unix(addr);
    struct tern_sock_addr bound = *addr;
    char name[TERN_SOCK_NAME_MAX];

    if (is_unix)
        remove_stale(addr);
    int fd = open_socket(&bound);
    bool ok = fd >= 0;
    if (ok && !is_unix) {
        ok = set_flag(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
             (!share || set_flag(fd, SOL_SOCKET, SO_REUSEPORT, 1));
        if (bound.storage.ss_family == AF_INET6)
            (void)set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    }
    ok = ok && bind(fd, as_any(&bound), bound.n) == 0 && (backlog == 0 || listen(fd, backlog) == 0);
    if (!ok) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        tern_sock_addr_format(addr, name);
        return tern_fail(err, error == EADDRINUSE ? TERN_ALREADY_EXISTS : TERN_UNAVAILABLE,
                         "cannot listen on %s: %s", name, strerror(error));
    }
    *ret_fd = fd;
    return TERN_OK;
}

enum tern_code tern_sock_start(int fd, int backlog, struct tern_err *err)
{
    if (listen(fd, backlog) != 0)
        return tern_fail(err, TERN_UNAVAILABLE, "cannot listen: %s", strerror(errno));
    return TERN_OK;
}

enum tern_code tern_sock_local(int fd, struct tern_sock_addr *ret_addr, struct tern_err *err)
{
    struct tern_sock_addr addr;

    memset(&addr, 0, sizeof(addr));
    addr.n = sizeof(addr.storage);
    if (getsockname(fd, (struct sockaddr *)(void *)&addr.storage, &addr.n) != 0)
        return tern_fail(err, TERN_INTERNAL, "descriptor %d is not a socket: %s", fd,
                         strerror(errno));
    *ret_addr = addr;
    return TERN_OK;
}

enum tern_code tern_sock_connect(const struct tern_sock_addr *addr, int *ret_fd,
                                 struct tern_err *err)
{
    char name[TERN_SOCK_NAME_MAX];
    int fd = socket(addr->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || (connect(fd, as_any(addr), addr->n) != 0 && errno != EINPROGRESS)) {
        int error = errno;
        if (fd >= 0)
            close(fd);
        tern_sock_addr_format(addr, name);
        return tern_fail(err, TERN_UNAVAILABLE, "cannot connect to %s: %s", name, strerror(error));
    }
    *ret_fd = fd;
    return TERN_OK;
}

int tern_sock_accept(int fd, struct tern_sock_addr *ret_peer)
{
    int got;

    do {
        ret_peer->n = sizeof(ret_peer->storage);
        got = accept4(fd, (struct sockaddr *)(void *)&ret_peer->storage, &ret_peer->n,
                      SOCK_NONBLOCK | SOCK_CLOEXEC);
    } while (got < 0 && (errno == EINTR || errno == ECONNABORTED));
    return got;
}

ssize_t tern_sock_recv(int fd, void *p, size_t n)
{
    ssize_t got;

    do {
        got = recv(fd, p, n, 0);
    } while (got < 0 && errno == EINTR);
    return got;
}

ssize_t tern_sock_send(int fd, const struct iovec *iov, int n)
{
    ssize_t sent;

    do {
        if (n == 1) {
            sent = send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL);
        } else {
            struct iovec *pieces = (struct iovec *)(uintptr_t)iov; /* sendmsg does not write it */
            struct msghdr msg = {.msg_iov = pieces, .msg_iovlen = (size_t)n};
            sent = sendmsg(fd, &msg, MSG_NOSIGNAL);
        }
    } while (sent < 0 && errno == EINTR);
    return sent;
}

void tern_sock_refuse(int fd)
{
    (void)shutdown(fd, SHUT_RD);
}

void tern_sock_shutdown_write(int fd)
{
    (void)shutdown(fd, SHUT_WR);
}

void tern_sock_set_nodelay(int fd)
{
    /* Fails on Unix sockets, which have no such delay. */
    (void)set_flag(fd, IPPROTO_TCP, TCP_NODELAY, 1);
}

void tern_sock_close(int fd)
{
    (void)close(fd);
}
