#include "os/supervise.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/clock.h"

static const int forwarded[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};

struct parent {
    const struct tern_supervise *spec;
    int signal_fd;
    sigset_t mask_before;
    pid_t child; /* 0: none */
    uint32_t starts;
    uint32_t crashes; /* in a row */
    uint64_t started_ns;
    uint64_t restart_ns; /* when the next child is due; only without a child */
    bool stopping;
    bool finished;
    int status;
};

void tern_supervise_defaults(struct tern_supervise *spec)
{
    *spec = (struct tern_supervise){
        .delay_min_ns = 100 * (uint64_t)TERN_NS_PER_MS,
        .delay_max_ns = 10 * (uint64_t)TERN_NS_PER_S,
        .stable_ns = 30 * (uint64_t)TERN_NS_PER_S,
        .crashes_max = 10,
    };
}

static _Noreturn void run_child(const struct parent *p, pid_t parent)
{
    close(p->signal_fd);
    /* Should the parent die, drain rather than serve on as an orphan that nobody restarts. When it
     * died before this line, the signal would never come. */
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent)
        _exit(128 + SIGTERM);
    (void)sigprocmask(SIG_SETMASK, &p->mask_before, NULL);
    int status = p->spec->child(p->spec->arg, p->starts);
    (void)fflush(NULL);
    _exit(status & 0xff);
}

static enum tern_code start_child(struct parent *p, struct tern_err *err)
{
    pid_t parent = getpid();

    (void)fflush(NULL); /* or the child would print it a second time */
    pid_t pid = fork();
    if (pid < 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no server process: %s", strerror(errno));
    if (pid == 0)
        run_child(p, parent);
    p->child = pid;
    p->starts++;
    p->started_ns = tern_clock_mono_ns();
    return TERN_OK;
}

static uint64_t delay_ns(const struct tern_supervise *spec, uint32_t crashes)
{
    uint64_t delay = spec->delay_min_ns;

    for (uint32_t i = 1; i < crashes && delay < spec->delay_max_ns; i++)
        delay *= 2;
    return delay < spec->delay_max_ns ? delay : spec->delay_max_ns;
}

static void on_crash(struct parent *p, int signo)
{
    const struct tern_supervise *spec = p->spec;
    uint64_t now = tern_clock_mono_ns();
    uint64_t lived = now - p->started_ns;

    p->status = 128 + signo;
    if (p->stopping) {
        p->finished = true;
        return;
    }
    p->crashes = lived >= spec->stable_ns ? 1 : p->crashes + 1;
    if (spec->crashes_max != 0 && p->crashes >= spec->crashes_max) {
        tern_log_error(spec->log, "server.gave_up", "the server keeps crashing: giving up",
                       TERN_KV_Z("signal", strsignal(signo)), TERN_KV_U64("crashes", p->crashes));
        p->finished = true;
        return;
    }
    uint64_t delay = delay_ns(spec, p->crashes);
    p->restart_ns = now + delay;
    tern_log_error(spec->log, "server.crashed", "the server crashed and will be started again",
                   TERN_KV_Z("signal", strsignal(signo)), TERN_KV_NS("lived", lived),
                   TERN_KV_NS("delay", delay), TERN_KV_U64("crashes", p->crashes));
}

/* Takes the state of our child; other children (there should be none) are reaped silently. */
static void reap(struct parent *p)
{
    int status = 0;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid != p->child)
            continue;
        p->child = 0;
        if (WIFSIGNALED(status)) {
            on_crash(p, WTERMSIG(status));
        } else {
            p->status = WEXITSTATUS(status);
            p->finished = true;
        }
    }
}

static void on_signal(struct parent *p, const struct signalfd_siginfo *info)
{
    int signo = (int)info->ssi_signo;

    if (signo == SIGCHLD)
        return; /* reap() looks after every wake-up: signals of one kind merge */
    if (signo == SIGTERM || signo == SIGINT || signo == SIGQUIT) {
        p->stopping = true;
        if (p->child == 0) { /* between two children: nothing is left to wait for */
            p->status = 128 + signo;
            p->finished = true;
        }
    }
    /* What a terminal sends goes to the whole group, the child included. */
    if (p->child != 0 && info->ssi_code != SI_KERNEL)
        (void)kill(p->child, signo);
}

static int timeout_ms(const struct parent *p)
{
    if (p->child != 0)
        return -1;
    uint64_t now = tern_clock_mono_ns();
    if (now >= p->restart_ns)
        return 0;
    return (int)((p->restart_ns - now + TERN_NS_PER_MS - 1) / TERN_NS_PER_MS);
}

static enum tern_code supervise(struct parent *p, struct tern_err *err)
{
    TERN_TRY(start_child(p, err));
    while (!p->finished) {
        struct pollfd pfd = {.fd = p->signal_fd, .events = POLLIN};
        struct signalfd_siginfo info;
        if (poll(&pfd, 1, timeout_ms(p)) < 0 && errno != EINTR)
            return tern_fail(err, TERN_INTERNAL, "supervisor: poll: %s", strerror(errno));
        while (!p->finished && read(p->signal_fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
            on_signal(p, &info);
        reap(p);
        if (p->child == 0 && !p->finished && tern_clock_mono_ns() >= p->restart_ns) {
            TERN_TRY(start_child(p, err));
            tern_log_warn(p->spec->log, "server.restarted", "the server was started again",
                          TERN_KV_I64("pid", p->child), TERN_KV_U64("starts", p->starts));
        }
    }
    return TERN_OK;
}

enum tern_code tern_supervise_run(const struct tern_supervise *spec, int *ret_status,
                                  struct tern_err *err)
{
    struct parent p = {.spec = spec};
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    for (size_t i = 0; i < TERN_COUNT_OF(forwarded); i++)
        sigaddset(&set, forwarded[i]);
    if (sigprocmask(SIG_BLOCK, &set, &p.mask_before) != 0)
        return tern_fail(err, TERN_INTERNAL, "supervisor: signals: %s", strerror(errno));
    p.signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (p.signal_fd < 0) {
        (void)sigprocmask(SIG_SETMASK, &p.mask_before, NULL);
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "supervisor: signals: %s", strerror(errno));
    }
    enum tern_code code = supervise(&p, err);
    close(p.signal_fd);
    (void)sigprocmask(SIG_SETMASK, &p.mask_before, NULL);
    if (code == TERN_OK)
        *ret_status = p.status;
    return code;
}
