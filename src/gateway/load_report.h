/* Load reports: a client (a load balancer in front of us) that asks by the request header
 * endpoint-load-metrics-format hears in the answer's header endpoint-load-metrics how busy the
 * server is. The form is ORCA's (Open Request Cost Aggregation, the xDS project's
 * xds.data.orca.v3.OrcaLoadReport): `TEXT a=1,b=2` or `JSON {"a":1}`. */
#ifndef TERN_GATEWAY_LOAD_REPORT_H
#define TERN_GATEWAY_LOAD_REPORT_H

#include "core/exchange.h"

/* What one loop measured last. */
struct tern_load {
    uint64_t at_ns;  /* monotonic */
    uint64_t cpu_ns; /* of the process, then */
    double busy;     /* share of the processors used in the second or more before */
};

void tern_load_init(struct tern_load *load);

/* Adds the header when the request asks for one in a form we know; without memory it is left out.
 * n_cpus: what the process may use. queued: requests that wait for the same model. On the loop of
 * the load. */
void tern_load_report(struct tern_load *load, struct tern_exchange *x, uint32_t n_cpus,
                      uint32_t queued);

#endif
