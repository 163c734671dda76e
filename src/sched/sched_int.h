/* What the rooms of the scheduler share. Only for sched/. */
#ifndef TERN_SCHED_SCHED_INT_H
#define TERN_SCHED_SCHED_INT_H

#include <stdatomic.h>
#include "sched/executors.h"
#include "sched/lane.h"
#include "sched/resources.h"

struct tern_sched {
    struct tern_sched_settings settings;
    struct tern_sched_watcher watcher;
    _Atomic uint32_t queue_max;
    struct tern_executors executors;  /* and the lock of all lanes */
    struct tern_resources *resources; /* NULL: nobody is limited; guarded by that lock */
};

#endif
