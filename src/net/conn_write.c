/* The write side of a connection: a queue of pieces, copied or referred to, between the mux and the
 * transport. Empty most of the time: the straight way is from the caller's memory to the kernel. */
#include <assert.h>
#include <string.h>
#include "base/mem.h"
#include "net/conn.h"
#include "net/conn_int.h"

#define STEAL_MIN (64u << 10) /* from here on the scratch is taken over, not copied */

static void free_piece(struct tern_hub *hub, struct tern_piece *piece)
{
    tern_mem_free(piece->owned);
    tern_pool_give(piece->is_chunk ? &hub->pool_chunk : &hub->pool_piece, piece);
}

static struct tern_piece *add_piece(struct tern_conn *conn, bool is_chunk)
{
    struct tern_hub *hub = conn->hub;
    struct tern_piece *piece = tern_pool_take(is_chunk ? &hub->pool_chunk : &hub->pool_piece);

    if (piece == NULL)
        return NULL;
    *piece = (struct tern_piece){.p = piece->bytes, .is_chunk = is_chunk};
    if (is_chunk)
        piece->room = TERN_CHUNK_SIZE - (uint32_t)sizeof(struct tern_piece);
    if (conn->queue_last == NULL) {
        conn->queue_first = piece;
        conn->stall_due_ns = tern_loop_now_ns(hub->loop) + hub->limits.write_stall_ns;
        if (!conn->corked)
            tern_conn_arm(conn, conn->stall_due_ns);
    } else {
        conn->queue_last->next = piece;
    }
    conn->queue_last = piece;
    return piece;
}

static bool queue_copy(struct tern_conn *conn, const char *p, size_t n)
{
    while (n > 0) {
        struct tern_piece *last = conn->queue_last;
        if ((last == NULL || last->room == 0) && (last = add_piece(conn, true)) == NULL)
            return false;
        size_t take = n < last->room ? n : last->room;
        /* p of a chunk moves when its front was sent; its bytes end where room begins. */
        char *end = last->bytes + (TERN_CHUNK_SIZE - sizeof(struct tern_piece) - last->room);
        memcpy(end, p, take);
        last->n += take;
        last->room -= (uint32_t)take;
        conn->queued += take;
        p += take;
        n -= take;
    }
    return true;
}

static bool queue_ref(struct tern_conn *conn, const char *p, size_t n, void *owned)
{
    struct tern_piece *piece = add_piece(conn, false);

    if (piece == NULL)
        return false;
    piece->p = p;
    piece->n = n;
    piece->owned = owned;
    conn->queued += n;
    return true;
}

/* A large scratch that the kernel did not take: keep the memory, leave the hub without. */
static bool queue_scratch(struct tern_conn *conn, const char *p, size_t n)
{
    struct tern_buf *out = &conn->hub->out;

    if (n < STEAL_MIN || out->p == NULL || p < out->p || p >= out->p + out->cap)
        return queue_copy(conn, p, n);
    if (!queue_ref(conn, p, n, out->p))
        return false;
    *out = (struct tern_buf){.max = out->max};
    return true;
}

/* Queues what is left of the slices after `skip` sent bytes. */
static bool queue_rest(struct tern_conn *conn, const struct tern_slice *slices, uint32_t n,
                       uint32_t n_copied, size_t skip)
{
    for (uint32_t i = 0; i < n; i++) {
        if (skip >= slices[i].n) {
            skip -= slices[i].n;
            continue;
        }
        const char *p = (const char *)slices[i].p + skip;
        size_t left = slices[i].n - skip;
        skip = 0;
        if (!(i < n_copied ? queue_scratch(conn, p, left) : queue_ref(conn, p, left, NULL)))
            return false;
    }
    return true;
}

static void drop_sent(struct tern_conn *conn, size_t sent)
{
    conn->bytes_sent += sent;
    conn->queued -= sent;
    TERN_COUNT(conn->hub->counters.bytes_out, sent);
    while (conn->queue_first != NULL && sent >= conn->queue_first->n) {
        struct tern_piece *piece = conn->queue_first;
        sent -= piece->n;
        conn->queue_first = piece->next;
        free_piece(conn->hub, piece);
    }
    if (conn->queue_first == NULL) {
        conn->queue_last = NULL;
        conn->stall_due_ns = 0;
        return;
    }
    conn->queue_first->p += sent;
    conn->queue_first->n -= sent;
    conn->stall_due_ns = tern_loop_now_ns(conn->hub->loop) + conn->hub->limits.write_stall_ns;
}

/* Sends from the queue until the kernel is full. */
void tern_conn_flush(struct tern_conn *conn)
{
    while (conn->queue_first != NULL && conn->state != TERN_CONN_DEAD) {
        TERN_UNINITIALIZED struct iovec iov[TERN_CONN_IOV_MAX];
        size_t want = 0;
        size_t sent;
        int n = 0;
        for (struct tern_piece *piece = conn->queue_first; piece != NULL && n < TERN_CONN_IOV_MAX;
             piece = piece->next) {
            iov[n++] = (struct iovec){(char *)(uintptr_t)piece->p, piece->n};
            want += piece->n;
        }
        enum tern_io io = conn->transport->send(conn, iov, n, &sent);
        if (io == TERN_IO_OK)
            drop_sent(conn, sent);
        else if (io != TERN_IO_AGAIN)
            tern_conn_abort(conn);
        if (io != TERN_IO_OK || sent < want)
            break;
    }
    if (conn->queue_first != NULL && conn->state != TERN_CONN_DEAD)
        tern_conn_arm(conn, conn->stall_due_ns);
    tern_conn_watch(conn);
}

/* The straight way: nothing is queued, the caller's memory goes to the kernel. */
static size_t send_now(struct tern_conn *conn, const struct tern_slice *slices, uint32_t n)
{
    TERN_UNINITIALIZED struct iovec iov[TERN_CONN_IOV_MAX];
    size_t sent = 0;
    uint32_t n_iov = n < TERN_CONN_IOV_MAX ? n : TERN_CONN_IOV_MAX;

    for (uint32_t i = 0; i < n_iov; i++)
        iov[i] = (struct iovec){(void *)(uintptr_t)slices[i].p, slices[i].n};
    enum tern_io io = conn->transport->send(conn, iov, (int)n_iov, &sent);
    if (io == TERN_IO_OK) {
        conn->bytes_sent += sent;
        TERN_COUNT(conn->hub->counters.bytes_out, sent);
        return sent;
    }
    if (io != TERN_IO_AGAIN)
        tern_conn_abort(conn);
    return 0;
}

void tern_conn_send(struct tern_conn *conn, const struct tern_slice *slices, uint32_t n,
                    uint32_t n_copied)
{
    size_t total = 0;
    size_t sent = 0;

    for (uint32_t i = 0; i < n; i++)
        total += slices[i].n;
    conn->bytes_given += total;
    if (conn->state == TERN_CONN_DEAD || conn->state == TERN_CONN_LINGER || total == 0)
        return;
    if (!conn->corked && conn->queue_first == NULL)
        sent = send_now(conn, slices, n);
    if (sent == total || conn->state == TERN_CONN_DEAD)
        return;
    if (!queue_rest(conn, slices, n, n_copied, sent)) {
        tern_conn_abort(conn);
        return;
    }
    if (conn->corked)
        return;
    if (n > TERN_CONN_IOV_MAX)
        tern_conn_flush(conn); /* the kernel may take more than one vector's worth */
    else
        tern_conn_watch(conn);
}

void tern_conn_cork(struct tern_conn *conn)
{
    conn->corked = true;
}

void tern_conn_uncork(struct tern_conn *conn)
{
    if (!conn->corked)
        return;
    conn->corked = false;
    if (conn->queue_first != NULL && conn->state != TERN_CONN_DEAD)
        tern_conn_flush(conn);
}

void tern_conn_drop_queue(struct tern_conn *conn)
{
    while (conn->queue_first != NULL) {
        struct tern_piece *piece = conn->queue_first;
        conn->queue_first = piece->next;
        free_piece(conn->hub, piece);
    }
    conn->queue_last = NULL;
}
