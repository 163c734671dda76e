/* The process's own numbers, from the kernel into the metrics. Called before a scrape, on any
 * thread: some twenty microseconds of system calls. */
#ifndef TERN_CORE_VITALS_H
#define TERN_CORE_VITALS_H

#include "stat/metrics.h"

/* `process`: the one set of tern_catalog_process. */
void tern_vitals_collect(struct tern_metric_set *process);

#endif
