/* A supervising parent: one process without threads that holds the listening sockets, forks the
 * server and forks it again when it crashes. The sockets stay open all the while, so that clients
 * who connect during a restart wait in the accept queue instead of being refused.
 *
 * The caller opens what must survive (the listening sockets) before tern_supervise_run and nothing
 * else: each child starts from a copy of that state.
 *
 * - The child died by a signal: a crash. It is started again after a delay that doubles from
 *   delay_min_ns up to delay_max_ns; a child that lived for stable_ns starts the delays anew.
 *   crashes_max crashes in a row without a stable life: given up.
 * - The child exited by itself, with whatever status: that is its answer, and the parent's too. A
 *   wrong option does not get better by trying again.
 * - SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2 are passed on (not the ones a terminal sent
 *   to the whole process group: the child got those itself). After SIGTERM, SIGINT or SIGQUIT a
 *   child is not started again.
 * - The parent is killed: the child gets SIGTERM (PR_SET_PDEATHSIG) and drains. */
#ifndef TERN_OS_SUPERVISE_H
#define TERN_OS_SUPERVISE_H

#include <stdint.h>
#include "base/err.h"
#include "base/log.h"

struct tern_supervise {
    /* Runs in the child with the signal mask that the parent was started with; its answer is the
     * exit status (0..255). `start` counts from 0: how many children there were before. */
    int (*child)(void *arg, uint32_t start);
    void *arg;
    struct tern_log *log; /* with a direct sink */
    uint64_t delay_min_ns;
    uint64_t delay_max_ns;
    uint64_t stable_ns;
    uint32_t crashes_max; /* in a row; 0: never give up */
};

/* 100 ms to 10 s, stable after 30 s, 10 crashes in a row. */
void tern_supervise_defaults(struct tern_supervise *spec);

/* Returns when there is nothing more to supervise. *ret_status: what the parent should exit with,
 * the child's status, or 128 + signal when it gave up or the child died by a signal while
 * stopping. Never returns in the child. */
enum tern_code tern_supervise_run(const struct tern_supervise *spec, int *ret_status,
                                  struct tern_err *err);

#endif
