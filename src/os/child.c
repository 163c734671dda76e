#include "os/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"

#define LOOK_NS (5 * TERN_NS_PER_MS) /* between two looks whether it has ended */

static _Noreturn void become(const char *const *argv, int output_fd, pid_t parent)
{
    sigset_t none;
    int input = open("/dev/null", O_RDONLY | O_CLOEXEC);

    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == parent && input >= 0 && dup2(input, STDIN_FILENO) >= 0 &&
        dup2(output_fd, STDOUT_FILENO) >= 0 && dup2(output_fd, STDERR_FILENO) >= 0)
        (void)execv(argv[0], (char *const *)(uintptr_t)argv);
    _exit(127);
}

enum tern_code tern_child_start(struct tern_child *child, const char *const *argv, int output_fd,
                                struct tern_err *err)
{
    pid_t parent = getpid();

    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return tern_fail(err, TERN_RESOURCE_EXHAUSTED, "no process for %s: %s", argv[0],
                         strerror(errno));
    if (pid == 0)
        become(argv, output_fd, parent);
    *child = (struct tern_child){.pid = pid};
    return TERN_OK;
}

bool tern_child_runs(struct tern_child *child)
{
    if (child->pid != 0 && waitpid(child->pid, &child->status, WNOHANG) != 0)
        child->pid = 0;
    return child->pid != 0;
}

void tern_child_stop(struct tern_child *child, uint64_t grace_ns)
{
    const struct timespec pause = {.tv_nsec = LOOK_NS};
    uint64_t end = tern_clock_mono_ns() + grace_ns;

    if (!tern_child_runs(child))
        return;
    (void)kill(child->pid, SIGTERM);
    while (tern_child_runs(child) && tern_clock_mono_ns() < end)
        (void)nanosleep(&pause, NULL);
    if (child->pid == 0)
        return;
    (void)kill(child->pid, SIGKILL);
    while (waitpid(child->pid, &child->status, 0) < 0 && errno == EINTR) {
    }
    child->pid = 0;
}
