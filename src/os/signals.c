#include "os/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int wanted[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

static void fill(sigset_t *set)
{
    sigemptyset(set);
    for (size_t i = 0; i < TERN_COUNT_OF(wanted); i++)
        sigaddset(set, wanted[i]);
}

void tern_signals_block(void)
{
    sigset_t set;
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    fill(&set);
    /* Neither can fail with arguments that are valid. */
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    (void)sigaction(SIGPIPE, &ignore, NULL);
}

static void on_ready(struct tern_loop_fd *watch, unsigned events)
{
    struct tern_signals *self = TERN_CONTAINER_OF(watch, struct tern_signals, watch);
    struct signalfd_siginfo info;

    (void)events;
    /* One a round: the callback may close us, and the loop reports again what is left. */
    if (read(watch->fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        self->on_signal(self, (int)info.ssi_signo);
}

enum tern_code tern_signals_open(struct tern_signals *signals, struct tern_loop *loop,
                                 void (*on_signal)(struct tern_signals *self, int signo),
                                 struct tern_err *err)
{
    sigset_t set;

    fill(&set);
    *signals = (struct tern_signals){
        .watch = {.fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC), .on_ready = on_ready},
        .loop = loop,
        .on_signal = on_signal,
    };
    if (signals->watch.fd < 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "signals: %s", strerror(errno));
    enum tern_code code = tern_loop_add(loop, &signals->watch, TERN_LOOP_READ, err);
    if (code != TERN_OK) {
        close(signals->watch.fd);
        signals->watch.fd = -1;
    }
    return code;
}

void tern_signals_close(struct tern_signals *signals)
{
    if (signals->watch.fd < 0)
        return;
    tern_loop_remove(signals->loop, &signals->watch);
    close(signals->watch.fd);
    signals->watch.fd = -1;
}
