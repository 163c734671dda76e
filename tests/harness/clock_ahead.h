/* The monotonic clock, ahead of the real one by what a test lets pass; all threads see it. The test
 * that includes this, and only one file of a program may, says
 *
 *     // wrap: tern_clock_mono_ns
 */
#ifndef TERN_TESTS_CLOCK_AHEAD_H
#define TERN_TESTS_CLOCK_AHEAD_H

#include <stdint.h>
#include "base/clock.h"

static _Atomic uint64_t clock_added_ns;

uint64_t __real_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void);
uint64_t __wrap_tern_clock_mono_ns(void)
{
    return __real_tern_clock_mono_ns() + clock_added_ns;
}

#endif
