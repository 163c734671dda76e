/* The event loop: one thread, one epoll instance, timers and a mailbox. Level-triggered: a file
 * descriptor that is still ready is reported again. epoll(7), eventfd(2).
 *
 * Everything here belongs to the loop's thread, except tern_loop_post and tern_loop_stop, which any
 * thread may call. Structs are embedded in their owners; the loop allocates nothing after init. */
#ifndef TERN_OS_LOOP_H
#define TERN_OS_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"

struct tern_loop;

#define TERN_LOOP_READ  1u
#define TERN_LOOP_WRITE 2u
#define TERN_LOOP_HUP   4u /* reported only: peer closed or error; read to learn more */

struct tern_loop_fd {
    int fd;
    unsigned events; /* asked for; kept by the loop */
    void (*on_ready)(struct tern_loop_fd *self, unsigned events);
};

struct tern_loop_timer {
    uint64_t due_ns;
    uint32_t slot; /* position in the heap + 1; 0: not running */
    void (*on_due)(struct tern_loop_timer *self);
};

/* Work sent to a loop. The sender keeps it valid until it ran; it may be reused from within run. */
struct tern_loop_task {
    struct tern_loop_task *next;
    void (*run)(struct tern_loop_task *self);
};

enum tern_code tern_loop_new(uint32_t index, uint32_t fds_max, struct tern_loop **ret_loop,
                             struct tern_err *err);
void tern_loop_free(struct tern_loop *loop);
/* Runs until tern_loop_stop; then the tasks already posted still run once. */
void tern_loop_run(struct tern_loop *loop);
void tern_loop_stop(struct tern_loop *loop);

enum tern_code tern_loop_add(struct tern_loop *loop, struct tern_loop_fd *fd, unsigned events,
                             struct tern_err *err);
void tern_loop_change(struct tern_loop *loop, struct tern_loop_fd *fd, unsigned events);
/* After this no on_ready of it comes, not even one already fetched from the kernel. */
void tern_loop_remove(struct tern_loop *loop, struct tern_loop_fd *fd);

/* (Re)arms for now + after_ns. */
void tern_loop_timer_start(struct tern_loop *loop, struct tern_loop_timer *timer,
                           uint64_t after_ns);
/* The same for timers whose number nobody bounds: false, and not armed, when the loop has already
 * half as many as it can. */
bool tern_loop_timer_offer(struct tern_loop *loop, struct tern_loop_timer *timer,
                           uint64_t after_ns);
void tern_loop_timer_stop(struct tern_loop *loop, struct tern_loop_timer *timer);

/* From any thread; wakes the loop. Tasks run in the order posted by one thread. */
void tern_loop_post(struct tern_loop *loop, struct tern_loop_task *task);
/* From the loop's thread: runs after the ready set of this round was served, without a wake-up. */
void tern_loop_defer(struct tern_loop *loop, struct tern_loop_task *task);

/* Monotonic time read once a round. */
uint64_t tern_loop_now_ns(const struct tern_loop *loop);
uint32_t tern_loop_index(const struct tern_loop *loop);

#endif
