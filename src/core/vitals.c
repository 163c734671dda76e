#include "core/vitals.h"

#include "os/procstat.h"
#include "stat/catalog.h"

void tern_vitals_collect(struct tern_metric_set *process)
{
    struct tern_process_cells *cells = tern_metric_set_shared(process);
    struct tern_procstat now;

    if (tern_procstat_read(0, &now, NULL) != TERN_OK)
        return; /* without /proc the last values stay */
    tern_counter_set_shared(&cells->cpu_ns, now.user_ns + now.system_ns);
    tern_counter_set_shared(&cells->open_fds, now.open_fds);
    tern_counter_set_shared(&cells->max_fds, now.max_fds);
    tern_counter_set_shared(&cells->resident_bytes, now.resident_bytes);
    tern_counter_set_shared(&cells->virtual_bytes, now.virtual_bytes);
    tern_counter_set_shared(&cells->threads, now.threads);
    /* Once: computed from two clocks, it would otherwise seem to move. */
    if (atomic_load_explicit(&cells->start_ns.value, memory_order_relaxed) == 0)
        tern_counter_set_shared(&cells->start_ns, now.start_wall_ns);
}
