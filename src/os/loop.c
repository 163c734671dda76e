#include "os/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/mem.h"

#define READY_MAX    256
#define TIMERS_FLOOR 65536u

struct tern_loop {
    int epoll_fd;
    struct tern_loop_fd wake; /* an eventfd */
    uint32_t index;
    uint64_t now_ns;
    /* The heap: timers[0] is due first. Its size is a bound, not a cost: untouched pages are free.
     */
    struct tern_loop_timer **timers; /* owned */
    uint32_t n_timers;
    uint32_t timers_max;
    struct tern_loop_task *deferred_first;
    struct tern_loop_task **deferred_end;
    int n_ready; /* of the round being served, for tern_loop_remove */
    int at_ready;
    struct epoll_event ready[READY_MAX];

    /* Touched by other threads. A poster pays for a wake-up only when the loop sleeps or is about
     * to. */
    TERN_ALIGNED(TERN_CACHE_LINE) _Atomic(struct tern_loop_task *) mail; /* newest first */
    atomic_bool sleeping;
    atomic_bool stopping;
};

static void on_wake(struct tern_loop_fd *self, unsigned events)
{
    uint64_t count;

    (void)events;
    /* A failed read leaves the descriptor ready: the next round reads again. */
    if (read(self->fd, &count, sizeof(count)) < 0)
        return;
}

static uint32_t to_epoll(unsigned events)
{
    uint32_t out = 0;

    /* EPOLLRDHUP stays set for good once the peer has finished sending: a reader asks for it, and
     * who has stopped reading must not be woken by it for ever. */
    if ((events & TERN_LOOP_READ) != 0)
        out |= EPOLLIN | EPOLLRDHUP;
    if ((events & TERN_LOOP_WRITE) != 0)
        out |= EPOLLOUT;
    return out;
}

static unsigned from_epoll(uint32_t events)
{
    unsigned out = 0;

    if ((events & EPOLLIN) != 0)
        out |= TERN_LOOP_READ;
    if ((events & EPOLLOUT) != 0)
        out |= TERN_LOOP_WRITE;
    if ((events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)) != 0)
        out |= TERN_LOOP_HUP;
    return out;
}

enum tern_code tern_loop_new(uint32_t index, uint32_t fds_max, struct tern_loop **ret_loop,
                             struct tern_err *err)
{
    struct tern_loop *loop = tern_mem_alloc_aligned(TERN_CACHE_LINE, sizeof(*loop));
    if (loop == NULL)
        return tern_mem_fail(err, "an event loop", sizeof(*loop));
    memset(loop, 0, sizeof(*loop));
    loop->index = index;
    loop->epoll_fd = -1;
    loop->wake.fd = -1;
    loop->wake.on_ready = on_wake;
    loop->deferred_end = &loop->deferred_first;
    loop->now_ns = tern_clock_mono_ns();
    loop->timers_max = fds_max > TIMERS_FLOOR / 4 ? fds_max * 4 : TIMERS_FLOOR;
    loop->timers = tern_mem_alloc(loop->timers_max * sizeof(struct tern_loop_timer *));
    if (loop->timers == NULL) {
        enum tern_code code = tern_mem_fail(err, "the timers of an event loop",
                                            loop->timers_max * sizeof(struct tern_loop_timer *));
        tern_loop_free(loop);
        return code;
    }
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    loop->wake.fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->epoll_fd < 0 || loop->wake.fd < 0) {
        enum tern_code code =
            tern_fail(err, TERN_RESOURCE_EXHAUSTED, "event loop: %s", strerror(errno));
        tern_loop_free(loop);
        return code;
    }
    enum tern_code code = tern_loop_add(loop, &loop->wake, TERN_LOOP_READ, err);
    if (code != TERN_OK) {
        tern_loop_free(loop);
        return code;
    }
    *ret_loop = loop;
    return TERN_OK;
}

void tern_loop_free(struct tern_loop *loop)
{
    if (loop == NULL)
        return;
    if (loop->epoll_fd >= 0)
        close(loop->epoll_fd);
    if (loop->wake.fd >= 0)
        close(loop->wake.fd);
    tern_mem_free(loop->timers);
    tern_mem_free(loop);
}

/* Descriptors. */

enum tern_code tern_loop_add(struct tern_loop *loop, struct tern_loop_fd *fd, unsigned events,
                             struct tern_err *err)
{
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = fd};

    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd->fd, &ev) != 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "cannot watch a descriptor: %s",
                         strerror(errno));
    fd->events = events;
    return TERN_OK;
}

void tern_loop_change(struct tern_loop *loop, struct tern_loop_fd *fd, unsigned events)
{
    struct epoll_event ev = {.events = to_epoll(events), .data.ptr = fd};

    if (fd->events == events)
        return;
    fd->events = events;
    /* Cannot fail for a descriptor that is registered: no memory is taken. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_MOD, fd->fd, &ev);
}

void tern_loop_remove(struct tern_loop *loop, struct tern_loop_fd *fd)
{
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, fd->fd, NULL);
    fd->events = 0;
    for (int i = loop->at_ready; i < loop->n_ready; i++) {
        if (loop->ready[i].data.ptr == fd)
            loop->ready[i].data.ptr = NULL;
    }
}

/* Timers: a binary heap of pointers; each timer knows its place. */

static void place(struct tern_loop *loop, uint32_t at, struct tern_loop_timer *timer)
{
    loop->timers[at] = timer;
    timer->slot = at + 1;
}

static void sift_up(struct tern_loop *loop, uint32_t at, struct tern_loop_timer *timer)
{
    while (at > 0) {
        uint32_t parent = (at - 1) / 2;
        if (loop->timers[parent]->due_ns <= timer->due_ns)
            break;
        place(loop, at, loop->timers[parent]);
        at = parent;
    }
    place(loop, at, timer);
}

static void sift_down(struct tern_loop *loop, uint32_t at, struct tern_loop_timer *timer)
{
    for (;;) {
        uint32_t child = at * 2 + 1;
        if (child >= loop->n_timers)
            break;
        if (child + 1 < loop->n_timers &&
            loop->timers[child + 1]->due_ns < loop->timers[child]->due_ns)
            child++;
        if (timer->due_ns <= loop->timers[child]->due_ns)
            break;
        place(loop, at, loop->timers[child]);
        at = child;
    }
    place(loop, at, timer);
}

void tern_loop_timer_stop(struct tern_loop *loop, struct tern_loop_timer *timer)
{
    if (timer->slot == 0)
        return;
    uint32_t at = timer->slot - 1;
    struct tern_loop_timer *last = loop->timers[--loop->n_timers];
    timer->slot = 0;
    if (last == timer)
        return;
    if (at > 0 && last->due_ns < loop->timers[(at - 1) / 2]->due_ns)
        sift_up(loop, at, last);
    else
        sift_down(loop, at, last);
}

void tern_loop_timer_start(struct tern_loop *loop, struct tern_loop_timer *timer, uint64_t after_ns)
{
    tern_loop_timer_stop(loop, timer);
    /* Who owns timers has a maximum of its own, far below: more is a defect of this program. */
    assert(loop->n_timers < loop->timers_max);
    timer->due_ns = after_ns > UINT64_MAX - loop->now_ns ? UINT64_MAX : loop->now_ns + after_ns;
    sift_up(loop, loop->n_timers++, timer);
}

bool tern_loop_timer_offer(struct tern_loop *loop, struct tern_loop_timer *timer, uint64_t after_ns)
{
    if (loop->n_timers >= loop->timers_max / 2)
        return false;
    tern_loop_timer_start(loop, timer, after_ns);
    return true;
}

static void run_timers(struct tern_loop *loop)
{
    while (loop->n_timers > 0 && loop->timers[0]->due_ns <= loop->now_ns) {
        struct tern_loop_timer *timer = loop->timers[0];
        tern_loop_timer_stop(loop, timer);
        timer->on_due(timer);
    }
}

/* Tasks. */

void tern_loop_post(struct tern_loop *loop, struct tern_loop_task *task)
{
    struct tern_loop_task *newest = atomic_load_explicit(&loop->mail, memory_order_relaxed);

    do {
        task->next = newest;
    } while (!atomic_compare_exchange_weak(&loop->mail, &newest, task));
    if (atomic_load(&loop->sleeping) && atomic_exchange(&loop->sleeping, false)) {
        uint64_t one = 1;
        /* It fails only when 2^64 - 2 wake-ups are pending: then the loop is awake. */
        if (write(loop->wake.fd, &one, sizeof(one)) < 0)
            return;
    }
}

static void run_mail(struct tern_loop *loop)
{
    struct tern_loop_task *in_order = NULL;

    if (atomic_load_explicit(&loop->mail, memory_order_relaxed) == NULL)
        return;
    struct tern_loop_task *newest = atomic_exchange(&loop->mail, NULL);
    while (newest != NULL) {
        struct tern_loop_task *older = newest->next;
        newest->next = in_order;
        in_order = newest;
        newest = older;
    }
    while (in_order != NULL) {
        struct tern_loop_task *task = in_order;
        in_order = task->next;
        task->run(task);
    }
}

void tern_loop_defer(struct tern_loop *loop, struct tern_loop_task *task)
{
    task->next = NULL;
    *loop->deferred_end = task;
    loop->deferred_end = &task->next;
}

static void run_deferred(struct tern_loop *loop)
{
    struct tern_loop_task *task = loop->deferred_first;

    /* What is deferred from here on belongs to the next round. */
    loop->deferred_first = NULL;
    loop->deferred_end = &loop->deferred_first;
    while (task != NULL) {
        struct tern_loop_task *next = task->next;
        task->run(task);
        task = next;
    }
}

/* The round. */

static int timeout_ms(const struct tern_loop *loop)
{
    if (loop->deferred_first != NULL)
        return 0;
    if (loop->n_timers == 0)
        return -1;
    uint64_t due = loop->timers[0]->due_ns;
    if (due <= loop->now_ns)
        return 0;
    /* Rounded up, so that a timer is never found one fraction of a millisecond early. */
    uint64_t ms = (due - loop->now_ns + TERN_NS_PER_MS - 1) / TERN_NS_PER_MS;
    return ms > 3600000 ? 3600000 : (int)ms;
}

static void wait_ready(struct tern_loop *loop)
{
    int timeout = timeout_ms(loop);

    if (timeout != 0) {
        atomic_store(&loop->sleeping, true);
        if (atomic_load(&loop->mail) != NULL || atomic_load(&loop->stopping))
            timeout = 0;
    }
    int n = epoll_wait(loop->epoll_fd, loop->ready, READY_MAX, timeout);
    atomic_store_explicit(&loop->sleeping, false, memory_order_relaxed);
    loop->n_ready = n > 0 ? n : 0; /* EINTR is an empty round */
    loop->now_ns = tern_clock_mono_ns();
}

static void serve_ready(struct tern_loop *loop)
{
    for (int i = 0; i < loop->n_ready; i++) {
        struct tern_loop_fd *fd = loop->ready[i].data.ptr;
        loop->at_ready = i + 1;
        if (fd != NULL)
            fd->on_ready(fd, from_epoll(loop->ready[i].events));
    }
    loop->n_ready = 0;
    loop->at_ready = 0;
}

void tern_loop_run(struct tern_loop *loop)
{
    while (!atomic_load_explicit(&loop->stopping, memory_order_acquire)) {
        wait_ready(loop);
        serve_ready(loop);
        run_timers(loop);
        run_mail(loop);
        run_deferred(loop);
    }
    run_mail(loop);
    run_deferred(loop);
    atomic_store(&loop->stopping, false);
}

void tern_loop_stop(struct tern_loop *loop)
{
    uint64_t one = 1;

    atomic_store(&loop->stopping, true);
    if (write(loop->wake.fd, &one, sizeof(one)) < 0)
        return;
}

uint64_t tern_loop_now_ns(const struct tern_loop *loop)
{
    return loop->now_ns;
}

uint32_t tern_loop_index(const struct tern_loop *loop)
{
    return loop->index;
}
