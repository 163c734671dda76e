/* The load: threads, each with a loop and its share of the connections. Made by bench.c, which
 * starts them together and adds up what they counted. */
#ifndef TERN_CLI_BENCH_LOAD_H
#define TERN_CLI_BENCH_LOAD_H

#include <stdatomic.h>
#include "cli/bench.h"
#include "cli/bench_data.h"

/* What all threads of a run share; written before they start. */
struct tern_bench_plan {
    const struct tern_bench_options *options;
    const struct tern_bench_data *data;
    uint64_t start_ns;   /* monotonic: the first request is due */
    uint64_t measure_ns; /* requests due from here on count */
    uint64_t end_ns;     /* none is due from here on; UINT64_MAX: --requests decides */
    int done_fd;         /* eventfd: each thread adds 1 at its end */
    atomic_bool stop;    /* the user pressed Ctrl-C */
};

struct tern_bench_worker;

/* Thread `index` of `n`: takes its share of connections, of the rate and of the requests. */
enum tern_code tern_bench_worker_start(struct tern_bench_plan *plan, uint32_t index, uint32_t n,
                                       struct tern_bench_worker **ret_worker, struct tern_err *err);
/* Waits for it. */
void tern_bench_worker_join(struct tern_bench_worker *worker);
/* Adds what it measured; after join. */
void tern_bench_worker_add(const struct tern_bench_worker *worker, struct tern_bench_result *into);
void tern_bench_worker_free(struct tern_bench_worker *worker);
/* While it runs, for the progress line: answers so far, and how many of them were bad. */
uint64_t tern_bench_worker_answered(const struct tern_bench_worker *worker);
uint64_t tern_bench_worker_bad(const struct tern_bench_worker *worker);

#endif
