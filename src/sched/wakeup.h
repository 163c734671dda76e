/* What it costs on this machine to hand work to another thread and to hear back: the bar below
 * which a run stays on its loop. Measured once at start by a ping-pong, a few milliseconds. */
#ifndef TERN_SCHED_WAKEUP_H
#define TERN_SCHED_WAKEUP_H

#include <stdint.h>

/* Median round trip of two blocking wake-ups, held between 20 us and 200 us. */
uint64_t tern_wakeup_measure_ns(void);

#endif
