/* The clock port: the only place that asks the kernel for the time. Tests wrap these functions.
 * Monotonic time is for durations and deadlines; wall time only for logs and protocol fields. */
#ifndef TERN_BASE_CLOCK_H
#define TERN_BASE_CLOCK_H

#include <stdint.h>

#define TERN_NS_PER_US 1000u
#define TERN_NS_PER_MS 1000000u
#define TERN_NS_PER_S  1000000000u

uint64_t tern_clock_mono_ns(void);
uint64_t tern_clock_wall_ns(void); /* since 1970-01-01 UTC */
uint64_t tern_clock_cpu_ns(void);  /* processor time that this process has used */

#endif
