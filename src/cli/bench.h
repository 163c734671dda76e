/* `tern bench [MODEL]`: a load generator that checks every answer.
 *
 * Open loop (--rate): requests start at that rate (constant, or --poisson) whatever the server
 * does, on as many connections as it takes; the latency of each is counted from the moment it was
 * meant to start, so that a stall is seen by all requests it delayed (no coordinated omission; G.
 * Tene). Closed loop (no --rate): each connection sends its next request when the last one is
 * answered. HTTP/1.1, one request in flight a connection, TCP or Unix socket, no TLS.
 *
 * Exit status: 0 all answers right; 1 a wrong answer or an error; 2 a mistake in the options or
 * data; 3 the server cannot be reached. */
#ifndef TERN_CLI_BENCH_H
#define TERN_CLI_BENCH_H

#include <stdio.h>
#include "base/str.h"
#include "cli/bench_result.h"
#include "cli/client_options.h"

struct tern_bench_data;
struct tern_command_call;

/* The command `bench`. */
int tern_bench_run(const struct tern_command_call *call);

/* Runs and reports: the table or JSON on `out`, progress and mistakes on `log`. model: empty for
 * the data file's, or the only one served. Answers the exit status. */
int tern_bench_measure(const struct tern_bench_options *options, struct tern_str model, FILE *out,
                       FILE *log);

/* One run of the load with data that was read before (a server on the same address may have been
 * started anew), without a report. progress: a line on it while it lasts, if it is a terminal;
 * NULL: none. *ret_stopped: SIGINT or SIGTERM ended it. The caller ends the result by
 * tern_bench_result_fini, whatever comes back. */
enum tern_code tern_bench_apply(const struct tern_bench_options *options,
                                const struct tern_bench_data *data, FILE *progress,
                                struct tern_bench_result *ret_result, bool *ret_stopped,
                                struct tern_err *err);

/* bench_report.c */
void tern_bench_print_text(const struct tern_bench_options *options,
                           const struct tern_bench_data *data,
                           const struct tern_bench_result *result, FILE *out);
void tern_bench_print_json(const struct tern_bench_options *options,
                           const struct tern_bench_data *data,
                           const struct tern_bench_result *result, FILE *out);

#endif
