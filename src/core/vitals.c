#include "core/vitals.h"

#include "os/procstat.h"
#include "stat/catalog.h"

static uint64_t cell(const struct tern_counter *counter)
{
    return atomic_load_explicit(&counter->value, memory_order_relaxed);
}

static void collect_machine(struct tern_process_cells *cells)
{
    struct tern_procstat_machine now;

    if (tern_procstat_read_machine(&now, NULL) != TERN_OK)
        return;
    uint64_t ticks = now.ticks - cell(&cells->machine_ticks);
    uint64_t busy = now.busy_ticks - cell(&cells->machine_busy_ticks);
    if (ticks > 0 && busy <= ticks) /* scrapes that meet see no time between them */
        tern_counter_set_shared(&cells->machine_busy,
                                (uint64_t)((double)busy / (double)ticks * 1e9));
    tern_counter_set_shared(&cells->machine_ticks, now.ticks);
    tern_counter_set_shared(&cells->machine_busy_ticks, now.busy_ticks);
    tern_counter_set_shared(&cells->machine_memory_bytes, now.memory_bytes);
    tern_counter_set_shared(&cells->machine_memory_used_bytes, now.memory_used_bytes);
}

void tern_vitals_collect(struct tern_metric_set *process)
{
    struct tern_process_cells *cells = tern_metric_set_shared(process);
    struct tern_procstat now;

    collect_machine(cells);
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
