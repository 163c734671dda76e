#include "gateway/load_report.h"

#include "base/clock.h"

#define SPAN_NS ((uint64_t)TERN_NS_PER_S) /* shorter spans tell chance, not load */

void tern_load_init(struct tern_load *load)
{
    *load = (struct tern_load){.at_ns = tern_clock_mono_ns(), .cpu_ns = tern_clock_cpu_ns()};
}

static void measure(struct tern_load *load, uint32_t n_cpus)
{
    uint64_t now = tern_clock_mono_ns();

    if (now - load->at_ns < SPAN_NS)
        return;
    uint64_t cpu = tern_clock_cpu_ns();
    load->busy = (double)(cpu - load->cpu_ns) / (double)(now - load->at_ns) / n_cpus;
    load->at_ns = now;
    load->cpu_ns = cpu;
}

void tern_load_report(struct tern_load *load, struct tern_exchange *x, uint32_t n_cpus,
                      uint32_t queued)
{
    struct tern_str form = tern_exchange_header(x, TERN_STR("endpoint-load-metrics-format"));

    if (TERN_LIKELY(form.p == NULL))
        return;
    bool json = tern_str_eq_nocase(form, TERN_STR("json"));
    if (!json && !tern_str_eq_nocase(form, TERN_STR("text")))
        return;
    measure(load, n_cpus);
    struct tern_str report =
        tern_arena_printf(x->arena,
                          json ? "JSON {\"cpu_utilization\":%.4f,\"named_metrics\":"
                                 "{\"queue_depth\":%u}}"
                               : "TEXT cpu_utilization=%.4f,named_metrics.queue_depth=%u",
                          load->busy, queued);
    if (report.p != NULL)
        tern_exchange_add_header(x, TERN_STR("endpoint-load-metrics"), report);
}
