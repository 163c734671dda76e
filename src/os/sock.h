/* The socket port: every call on a socket in the program goes through here. All sockets are
 * non-blocking and close-on-exec; EINTR never reaches the caller. Tests wrap these functions to cut
 * reads short or to make them fail. */
#ifndef TERN_OS_SOCK_H
#define TERN_OS_SOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include "base/err.h"
#include "base/str.h"

#define TERN_SOCK_NAME_MAX 128

struct tern_sock_addr {
    struct sockaddr_storage storage;
    socklen_t n;
};

/* "127.0.0.1:8080", "[::1]:0", ":8080" (every address, both families), "unix:/path". Numeric
 * addresses only: a server that waits for a name server at start is a server that does not start.
 */
enum tern_code tern_sock_addr_parse(struct tern_str text, struct tern_sock_addr *ret_addr,
                                    struct tern_err *err);
/* The same form back, "unix" for a nameless Unix socket. dst has room for TERN_SOCK_NAME_MAX. */
void tern_sock_addr_format(const struct tern_sock_addr *addr, char *dst);
/* A hash key of the peer's network: the IPv4 address or the IPv6 /64. 0 for Unix sockets. */
uint64_t tern_sock_addr_network(const struct tern_sock_addr *addr);
bool tern_sock_addr_is_unix(const struct tern_sock_addr *addr);

/* Bound and listening; with backlog 0 only bound, so that clients are refused until
 * tern_sock_start. share: SO_REUSEPORT, so that each event loop has a queue of its own. A stale
 * Unix socket file that nobody listens on is removed. ALREADY_EXISTS when the address is taken. */
enum tern_code tern_sock_listen(const struct tern_sock_addr *addr, bool share, int backlog,
                                int *ret_fd, struct tern_err *err);
/* Listens on a bound socket; harmless when it listens already. */
enum tern_code tern_sock_start(int fd, int backlog, struct tern_err *err);
/* Where it is bound: the real port after port 0. */
enum tern_code tern_sock_local(int fd, struct tern_sock_addr *ret_addr, struct tern_err *err);
enum tern_code tern_sock_connect(const struct tern_sock_addr *addr, int *ret_fd,
                                 struct tern_err *err);

/* The accepted descriptor, or -1 with errno (EAGAIN, EMFILE, ...). */
int tern_sock_accept(int fd, struct tern_sock_addr *ret_peer);
/* As recv(2) and sendmsg(2) without signals: bytes, 0 at the end, or -1 with errno. */
ssize_t tern_sock_recv(int fd, void *p, size_t n);
ssize_t tern_sock_send(int fd, const struct iovec *iov, int n);
/* A listening socket lets nobody in any more, in every process that holds it. */
void tern_sock_refuse(int fd);
void tern_sock_shutdown_write(int fd);
void tern_sock_set_nodelay(int fd);
void tern_sock_close(int fd);

#endif
