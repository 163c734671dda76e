/* What the kernel says about this process, from /proc/self (proc(5)). */
#ifndef TERN_OS_PROCSTAT_H
#define TERN_OS_PROCSTAT_H

#include <stdint.h>
#include <sys/types.h>
#include "base/err.h"

struct tern_procstat {
    uint64_t user_ns;
    uint64_t system_ns;
    uint64_t resident_bytes;
    uint64_t virtual_bytes;
    uint64_t threads;
    uint64_t start_wall_ns; /* since 1970, to 10 ms */
    uint64_t open_fds;      /* 0 when the folder of another user's process cannot be read */
    uint64_t max_fds;       /* of this process only; 0 for another */
};

/* pid 0: this process. NOT_FOUND when there is no such process. */
enum tern_code tern_procstat_read(pid_t pid, struct tern_procstat *ret, struct tern_err *err);

/* What the kernel says about the whole machine. */
struct tern_procstat_machine {
    uint64_t busy_ticks; /* of all processors since it started; waiting for disks is not busy */
    uint64_t ticks;
    uint64_t memory_bytes;
    uint64_t memory_used_bytes; /* what a new program could not have */
};

enum tern_code tern_procstat_read_machine(struct tern_procstat_machine *ret, struct tern_err *err);

#endif
