/* How much memory this process may use, by what the machine has and what its control groups allow
 * (cgroups(7)): containers are bounded there, and a process above the bound is killed. */
#ifndef TERN_OS_MEMLIMIT_H
#define TERN_OS_MEMLIMIT_H

#include <stdint.h>

/* In bytes; UINT64_MAX when nobody says. */
uint64_t tern_memlimit(void);
/* The control groups' part: `groups` is a file like /proc/self/cgroup, `root` where the groups are
 * mounted. Version 2 (memory.max) and version 1 (memory/.../memory.limit_in_bytes); a group is
 * bounded by those above it too. */
uint64_t tern_memlimit_of_groups(const char *groups, const char *root);

#endif
