/* Test rig for connections: one loop and one hub in the test's own thread, advanced round by round,
 * and client ends as plain descriptors. The clock is real time plus what a test adds, or stands
 * still. A test file that includes it says `// wrap: tern_clock_mono_ns`. */
#ifndef TERN_HARNESS_NET_RIG_H
#define TERN_HARNESS_NET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"
#include "net/conn.h"
#include "net/hub.h"

struct rig {
    struct tern_loop *loop;
    struct tern_hub *hub;
    struct tern_listener_info listener;
    const struct tern_transport_ops *transport;
    void *transport_config;
    struct tern_loop_task stop;
};

static uint64_t rig_clock_added_ns;
static uint64_t rig_clock_frozen_ns; /* not 0: what the clock says, until the rig is closed */

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return rig_clock_frozen_ns != 0 ? rig_clock_frozen_ns
                                    : __real_tern_clock_mono_ns() + rig_clock_added_ns;
}

static struct tern_loop *rig_stopping;

static inline void rig_on_stop(struct tern_loop_task *task)
{
    (void)task;
    tern_loop_stop(rig_stopping);
}

/* One round of the loop: what is ready is served, timers that are due run. */
static inline void rig_step(struct rig *rig)
{
    rig_stopping = rig->loop;
    rig->stop.run = rig_on_stop;
    tern_loop_post(rig->loop, &rig->stop);
    tern_loop_run(rig->loop);
}

static inline void rig_open(struct rig *rig, const struct tern_handler *handler,
                            const struct tern_mux_ops *h1, const struct tern_mux_ops *h2)
{
    static const struct tern_net_limits limits = TERN_NET_LIMITS_DEFAULT;

    *rig = (struct rig){.listener = {.body_max = 1u << 20, .memory_max = 1u << 20}};
    assert_int_equal(tern_loop_new(0, 64, &rig->loop, NULL), TERN_OK);
    struct tern_hub_config config = {
        .loop = rig->loop, .handler = handler, .limits = &limits, .h1 = h1, .h2 = h2};
    assert_int_equal(tern_hub_new(&config, &rig->hub, NULL), TERN_OK);
}

/* A new connection; answers the client's end, non-blocking. */
static inline int rig_connect(struct rig *rig)
{
    int fds[2];
    struct tern_conn_config config = {.listener = &rig->listener,
                                      .transport = rig->transport,
                                      .transport_config = rig->transport_config,
                                      .peer = TERN_STR("127.0.0.1:999")};

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    tern_conn_open(rig->hub, fds[0], &config, NULL);
    return fds[1];
}

/* Each request that came has ended, and once. */
static inline void rig_check_ledger(const struct rig *rig)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < TERN_ENDING_COUNT; i++)
        sum += rig->hub->counters.requests_ended[i];
    assert_int_equal(sum, rig->hub->counters.requests_came);
}

static inline void rig_close(struct rig *rig)
{
    tern_hub_abort_all(rig->hub);
    rig_step(rig);
    assert_true(tern_hub_is_idle(rig->hub));
    rig_check_ledger(rig);
    tern_hub_free(rig->hub);
    tern_loop_free(rig->loop);
    rig_clock_added_ns = rig_clock_frozen_ns = 0;
}

#endif
