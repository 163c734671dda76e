/* `tern bench [MODEL]`: a load generator that checks every answer.
 *
 * Open loop (--rate): requests start at a constant rate whatever the server does; the latency of
 * each is counted from the moment it was meant to start, so that a stall is seen by all requests it
 * delayed (no coordinated omission; G. Tene). Closed loop (no --rate): each connection sends its
 * next request when the last one is answered. HTTP/1.1, one request in flight a connection, TCP or
 * Unix socket, no TLS.
 *
 * Exit status: 0 all answers right; 1 a wrong answer or an error; 2 a mistake in the options or
 * data; 3 the server cannot be reached. */
#ifndef TERN_CLI_BENCH_H
#define TERN_CLI_BENCH_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include "base/str.h"
#include "cli/client_options.h"
#include "stat/histogram.h"

struct tern_bench_data;
struct tern_command_call;

/* What a run measured, for the report. */
struct tern_bench_result {
    struct tern_histogram latency;
    struct tern_histogram lag; /* how late the generator itself was */
    uint64_t requests;         /* answered, in the measured time */
    uint64_t errors;           /* no answer, or a status other than 200 */
    uint64_t wrong;            /* answers that differ */
    uint64_t unsent;           /* were due, and no connection was free before the end */
    uint64_t reconnects;
    uint64_t bytes_out;
    uint64_t bytes_in;
    uint64_t elapsed_ns;
    char first_error[256];
    char first_wrong[256];
    bool has_cpu;
    uint64_t server_user_ns;
    uint64_t server_system_ns;
    uint64_t client_cpu_ns;
};

/* The command `bench`. */
int tern_bench_run(const struct tern_command_call *call);

/* Runs and reports: the table or JSON on `out`, progress and mistakes on `log`. model: empty for
 * the data file's, or the only one served. Answers the exit status. */
int tern_bench_measure(const struct tern_bench_options *options, struct tern_str model, FILE *out,
                       FILE *log);

/* bench_report.c */
void tern_bench_print_text(const struct tern_bench_options *options,
                           const struct tern_bench_data *data,
                           const struct tern_bench_result *result, FILE *out);
void tern_bench_print_json(const struct tern_bench_options *options,
                           const struct tern_bench_data *data,
                           const struct tern_bench_result *result, FILE *out);

#endif
