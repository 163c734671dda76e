#include "os/logsink.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

/* The ring. A record is a 4-byte head and its bytes, rounded up to 8, so that a head never
 * straddles the end. `reserved` and `done` only grow; their low bits are the place in the ring.
 *
 *   producer: moves `reserved` on by a compare-and-swap, copies the bytes, then stores the head
 *             (release): the record is published.
 *   writer:   takes records at `done` while their head is not 0, writes them out, zeroes the place
 *             and moves `done` on (release): the place is free.
 *
 * Zeroing all of a freed place is what makes a head read 0 until its producer publishes it. */
#define HEAD      4u
#define HEAD_SKIP 0x80000000u  /* the rest up to the end of the ring is unused */
#define BATCH_MAX (64u * 1024) /* bytes of one write(2) */

struct tern_logsink {
    int fd;
    int wake_fd;
    uint32_t size; /* a power of two */
    char *ring;    /* owned, zeroed */
    pthread_t thread;
    struct tern_log own; /* formats the writer's own lines */

    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic uint64_t reserved;
    _Atomic uint64_t done_seen; /* producers' copy of done: saves the writer's cache line */
    _Atomic uint64_t dropped;
    TERN_ALIGNED(TERN_CACHE_LINE) atomic_bool asleep; /* read at each line, written rarely */
    atomic_bool stopping;
    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic uint64_t done;
    _Atomic uint64_t written; /* like done, but after write(2): what flush waits for */

    /* The writer's own. */
    uint64_t dropped_told;
    size_t batch_n;
    char batch[BATCH_MAX];
};

static _Atomic uint32_t *head_at(const struct tern_logsink *sink, uint64_t at)
{
    return (_Atomic uint32_t *)(void *)(sink->ring + (at & (sink->size - 1)));
}

static uint64_t record_size(size_t n)
{
    return ((uint64_t)n + HEAD + 7) & ~(uint64_t)7;
}

static void wake(struct tern_logsink *sink)
{
    uint64_t one = 1;

    if (atomic_load(&sink->asleep) && atomic_exchange(&sink->asleep, false) &&
        write(sink->wake_fd, &one, sizeof(one)) < 0)
        return; /* only when it is awake anyway */
}

/* Reserves a record of `size` bytes in one piece. False when the ring is full. */
static bool reserve(struct tern_logsink *sink, uint64_t size, uint64_t *ret_at)
{
    uint64_t at = atomic_load_explicit(&sink->reserved, memory_order_relaxed);

    for (;;) {
        uint64_t to_end = sink->size - (at & (sink->size - 1));
        uint64_t skip = to_end < size ? to_end : 0;
        uint64_t done = atomic_load_explicit(&sink->done_seen, memory_order_acquire);
        if (at + skip + size - done > sink->size) {
            done = atomic_load_explicit(&sink->done, memory_order_acquire);
            if (at + skip + size - done > sink->size)
                return false;
            atomic_store_explicit(&sink->done_seen, done, memory_order_release);
        }
        if (!atomic_compare_exchange_weak_explicit(&sink->reserved, &at, at + skip + size,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        if (skip > 0)
            atomic_store_explicit(head_at(sink, at), HEAD_SKIP, memory_order_release);
        *ret_at = at + skip;
        return true;
    }
}

static void write_ring(void *self, struct tern_str line)
{
    struct tern_logsink *sink = self;
    uint64_t at = 0;

    if (line.n == 0 || line.n > TERN_LOG_LINE_MAX)
        return;
    if (!reserve(sink, record_size(line.n), &at)) {
        atomic_fetch_add_explicit(&sink->dropped, 1, memory_order_relaxed);
        return;
    }
    memcpy(sink->ring + (at & (sink->size - 1)) + HEAD, line.p, line.n);
    /* Sequentially consistent, like the stores and loads of sleep_until_woken: either the writer
     * sees the record, or we see that it sleeps. */
    atomic_store(head_at(sink, at), (uint32_t)line.n);
    wake(sink);
}

/* write(2) until all is out; on an error that does not pass (a full disk, a closed pipe) the bytes
 * are given up: returns how many. */
static size_t write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = write(fd, p, n);
        if (k > 0) {
            p += k;
            n -= (size_t)k;
        } else if (k < 0 && errno == EAGAIN) { /* somebody made our stderr non-blocking */
            struct pollfd pfd = {.fd = fd, .events = POLLOUT};
            (void)poll(&pfd, 1, -1);
        } else if (k == 0 || errno != EINTR) {
            return n;
        }
    }
    return 0;
}

static void flush_batch(struct tern_logsink *sink)
{
    size_t left = write_all(sink->fd, sink->batch, sink->batch_n);
    uint64_t lines = 0;

    for (const char *p = sink->batch + sink->batch_n - left; left > 0; left--)
        lines += *p++ == '\n';
    if (lines > 0) {
        atomic_fetch_add_explicit(&sink->dropped, lines, memory_order_relaxed);
        sink->dropped_told += lines; /* a line about it would be lost too */
    }
    sink->batch_n = 0;
}

static void add_to_batch(struct tern_logsink *sink, const char *p, size_t n)
{
    if (sink->batch_n + n > BATCH_MAX)
        flush_batch(sink);
    memcpy(sink->batch + sink->batch_n, p, n);
    sink->batch_n += n;
}

static void tell_dropped(struct tern_logsink *sink)
{
    char line[512];
    uint64_t dropped = atomic_load_explicit(&sink->dropped, memory_order_relaxed);
    uint64_t lost = dropped - sink->dropped_told;

    if (lost == 0)
        return;
    sink->dropped_told = dropped;
    const struct tern_kv kv[] = {TERN_KV_U64("lines", lost), TERN_KV_U64("total", dropped)};
    size_t n = tern_log_format(&sink->own, tern_clock_wall_ns(), TERN_LOG_WARN, "log.dropped",
                               "log lines were lost: the output is slower than they come", kv, 2,
                               line, sizeof(line));
    add_to_batch(sink, line, n);
}

/* Takes what is published. Places are freed before the slow write, as soon as they are copied. */
static bool drain(struct tern_logsink *sink)
{
    uint64_t at = atomic_load_explicit(&sink->done, memory_order_relaxed);
    uint64_t start = at;

    for (;;) {
        uint32_t head = atomic_load_explicit(head_at(sink, at), memory_order_acquire);
        uint64_t size = sink->size - (at & (sink->size - 1));
        if (head == 0)
            break;
        char *record = sink->ring + (at & (sink->size - 1));
        if (head != HEAD_SKIP) {
            add_to_batch(sink, record + HEAD, head);
            size = record_size(head);
        }
        memset(record, 0, head == HEAD_SKIP ? HEAD : size);
        at += size;
        atomic_store_explicit(&sink->done, at, memory_order_release);
    }
    tell_dropped(sink);
    flush_batch(sink);
    atomic_store_explicit(&sink->written, at, memory_order_release);
    return at != start;
}

static void sleep_until_woken(struct tern_logsink *sink)
{
    uint64_t count;

    atomic_store(&sink->asleep, true);
    uint64_t done = atomic_load_explicit(&sink->done, memory_order_relaxed);
    if (atomic_load(head_at(sink, done)) != 0 || atomic_load(&sink->stopping)) {
        atomic_store(&sink->asleep, false);
        return;
    }
    if (read(sink->wake_fd, &count, sizeof(count)) < 0)
        return; /* EINTR: the loop comes back */
}

static void *run_writer(void *arg)
{
    struct tern_logsink *sink = arg;
    const struct timespec nap = {.tv_nsec = TERN_LOGSINK_NAP_MS * (long)TERN_NS_PER_MS};

    for (;;) {
        bool stopping = atomic_load(&sink->stopping);
        bool some = drain(sink);
        if (stopping && !some)
            return NULL;
        /* Lines come in crowds: a short nap lets the next ones gather, so that neither side makes a
         * system call for each. Only a quiet ring lets the writer sleep for good. */
        if (some && !stopping)
            (void)nanosleep(&nap, NULL);
        else if (!stopping)
            sleep_until_woken(sink);
    }
}

/* A thread that never receives signals: they belong to the loop that reads the signalfd. */
static int start_thread(struct tern_logsink *sink)
{
    sigset_t all;
    sigset_t before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&sink->thread, NULL, run_writer, sink);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rc == 0)
        (void)pthread_setname_np(sink->thread, "tern-log");
    return rc;
}

static void no_write(void *self, struct tern_str line)
{
    (void)self;
    (void)line;
}

static void free_sink(struct tern_logsink *sink)
{
    if (sink->wake_fd >= 0)
        close(sink->wake_fd);
    tern_mem_free(sink->ring);
    tern_mem_free(sink);
}

enum tern_code tern_logsink_open(int fd, uint32_t ring_bytes, enum tern_log_format format,
                                 struct tern_logsink **ret_sink, struct tern_err *err)
{
    uint32_t size = TERN_LOGSINK_RING_MIN;

    if (ring_bytes > TERN_LOGSINK_RING_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT, "log ring: %u bytes, at most %u", ring_bytes,
                         TERN_LOGSINK_RING_MAX);
    while (size < ring_bytes)
        size *= 2;
    struct tern_logsink *sink = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*sink));
    if (sink == NULL)
        return tern_mem_fail(err, "the log ring", sizeof(*sink));
    memset(sink, 0, sizeof(*sink));
    sink->fd = fd;
    sink->size = size;
    tern_log_init(&sink->own, (struct tern_log_sink){no_write, NULL}, TERN_LOG_INFO, format, false);
    sink->wake_fd = eventfd(0, EFD_CLOEXEC);
    sink->ring = tern_mem_zalloc(1, size);
    if (sink->ring == NULL || sink->wake_fd < 0) {
        free_sink(sink);
        return tern_mem_fail(err, "the log ring", size);
    }
    int rc = start_thread(sink);
    if (rc != 0) {
        free_sink(sink);
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "log writer: no thread: %s", strerror(rc));
    }
    *ret_sink = sink;
    return TERN_OK;
}

void tern_logsink_close(struct tern_logsink *sink)
{
    uint64_t one = 1;

    if (sink == NULL)
        return;
    atomic_store(&sink->stopping, true);
    if (write(sink->wake_fd, &one, sizeof(one)) < 0)
        return; /* cannot happen: the counter is far from full */
    pthread_join(sink->thread, NULL);
    free_sink(sink);
}

struct tern_log_sink tern_logsink_port(struct tern_logsink *sink)
{
    return (struct tern_log_sink){write_ring, sink};
}

void tern_logsink_flush(struct tern_logsink *sink)
{
    const struct timespec pause = {.tv_nsec = 200 * (long)TERN_NS_PER_US};
    uint64_t upto = atomic_load(&sink->reserved);

    while (atomic_load(&sink->written) < upto)
        (void)nanosleep(&pause, NULL);
}

uint64_t tern_logsink_dropped(const struct tern_logsink *sink)
{
    return atomic_load_explicit(&sink->dropped, memory_order_relaxed);
}

static void write_direct(void *self, struct tern_str line)
{
    (void)write_all((int)(intptr_t)self, line.p, line.n);
}

struct tern_log_sink tern_logsink_direct(int fd)
{
    return (struct tern_log_sink){write_direct, (void *)(intptr_t)fd};
}
