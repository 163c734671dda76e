/* What a run of the load generator measured: how each request ended and how long it took. Each
 * thread fills one of its own; they are added up at the end. */
#ifndef TERN_CLI_BENCH_RESULT_H
#define TERN_CLI_BENCH_RESULT_H

#include <stdbool.h>
#include <stdint.h>
#include "base/err.h"
#include "cli/client_options.h"
#include "stat/histogram.h"

/* Every request that was due in the measured time ends as exactly one of these. */
enum tern_bench_outcome {
    TERN_BENCH_IN_TIME, /* the right answer, within --slo if there is one */
    TERN_BENCH_LATE,    /* the right answer, after it */
    TERN_BENCH_REFUSED, /* 429 or 503: the server said that it has no room */
    TERN_BENCH_TIMEOUT, /* 504, or no answer within --timeout */
    TERN_BENCH_FAILED,  /* another status, or a broken connection */
    TERN_BENCH_WRONG,   /* an answer that differs */
    TERN_BENCH_UNSENT,  /* was due, and no connection was free before the end */
    TERN_BENCH_OUTCOMES,
};

/* Requests that were due in one --interval of the measured time. */
struct tern_bench_slice {
    uint32_t due;
    uint32_t in_time;
};

struct tern_bench_result {
    struct tern_histogram latency; /* of all, however they ended: leaving some out would flatter */
    struct tern_histogram right;   /* of those in time and late */
    struct tern_histogram lag;     /* how late the generator itself was */
    uint64_t outcome[TERN_BENCH_OUTCOMES];
    struct tern_bench_slice *slices; /* owned; NULL without --interval */
    size_t n_slices;
    uint64_t requests; /* answered, in the measured time */
    uint64_t errors;   /* no answer, or a status other than 200; warm-up included, as is wrong */
    uint64_t wrong;    /* answers that differ */
    uint64_t reconnects;
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t start_ns;   /* of the measured time, on the monotonic clock */
    uint64_t sending_ns; /* how long requests were due */
    uint64_t elapsed_ns; /* until the last answer */
    char first_error[256];
    char first_wrong[256];
    bool has_cpu;
    uint64_t server_user_ns;
    uint64_t server_system_ns;
    uint64_t client_cpu_ns;
};

#define TERN_BENCH_SLICES_MAX 100000

/* "in_time", for reports. */
const char *tern_bench_outcome_name(enum tern_bench_outcome outcome);
/* What an answer with this HTTP status is, when it is not 200. */
enum tern_bench_outcome tern_bench_outcome_of_status(int status);

/* Makes room for the slices of a run that measures for options->duration_ns. */
enum tern_code tern_bench_result_init(struct tern_bench_result *result,
                                      const struct tern_bench_options *options,
                                      struct tern_err *err);
void tern_bench_result_fini(struct tern_bench_result *result);

/* One request that was due at `due_ns` (not before result->start_ns) and took `latency_ns` from
 * then on. IN_TIME becomes LATE after options->slo_ns. */
void tern_bench_result_count(struct tern_bench_result *result,
                             const struct tern_bench_options *options, uint64_t due_ns,
                             uint64_t latency_ns, enum tern_bench_outcome outcome);
/* Adds what another thread measured. */
void tern_bench_result_add(struct tern_bench_result *into, const struct tern_bench_result *from);

/* All that were due. */
uint64_t tern_bench_result_due(const struct tern_bench_result *result);

/* Keeps the first text. dst: TERN_COUNT_OF(first_error) bytes. */
void tern_bench_note(char dst[256], const char *text);

#endif
