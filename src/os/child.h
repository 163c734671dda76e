/* Another program as a child of this one: started with its arguments, without a shell; ended when
 * asked, and by the kernel when this process dies. Waits of at most the grace block the caller. */
#ifndef TERN_OS_CHILD_H
#define TERN_OS_CHILD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

struct tern_child {
    pid_t pid;  /* 0: there is none */
    int status; /* of the last one that ended, as waitpid(2) tells it */
};

/* argv[0] is the program's path; the array ends with NULL. Both outputs go to output_fd, the input
 * is empty, the signal mask is empty, the process group its own: a Ctrl-C on the terminal is this
 * process's alone. To be called on a thread that stays (PR_SET_PDEATHSIG, prctl(2)). That the
 * program cannot be run shows as an end with status 127. */
enum tern_code tern_child_start(struct tern_child *child, const char *const *argv, int output_fd,
                                struct tern_err *err);
/* Whether it still runs. */
bool tern_child_runs(struct tern_child *child);
/* SIGTERM, and SIGKILL after the grace. Does nothing without a child. */
void tern_child_stop(struct tern_child *child, uint64_t grace_ns);

#endif
