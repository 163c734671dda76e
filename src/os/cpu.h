/* How many processors this process may really use: the affinity mask and the cgroup's quota (v1 and
 * v2), at least 1. A container with half a core on a machine of 64 must not start 64 loops. */
#ifndef TERN_OS_CPU_H
#define TERN_OS_CPU_H

#include <stdint.h>

uint32_t tern_cpu_usable(void);
/* What the quota of a cgroup amounts to, rounded up: quota and period in microseconds. 0: no quota.
 */
uint32_t tern_cpu_from_quota(uint64_t quota_us, uint64_t period_us);

#endif
