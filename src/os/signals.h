/* Signals as events of a loop: signalfd(2). Call tern_signals_block once, first thing in main,
 * before any thread exists, so that every thread inherits the mask and no handler ever runs. */
#ifndef TERN_OS_SIGNALS_H
#define TERN_OS_SIGNALS_H

#include "base/err.h"
#include "os/loop.h"

struct tern_signals {
    struct tern_loop_fd watch; /* owned fd */
    struct tern_loop *loop;
    void (*on_signal)(struct tern_signals *self, int signo);
};

/* Blocks SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1 and SIGUSR2; ignores SIGPIPE. */
void tern_signals_block(void);

/* Delivers the blocked signals to on_signal on the loop's thread. */
enum tern_code tern_signals_open(struct tern_signals *signals, struct tern_loop *loop,
                                 void (*on_signal)(struct tern_signals *self, int signo),
                                 struct tern_err *err);
void tern_signals_close(struct tern_signals *signals);

#endif
