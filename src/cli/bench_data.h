/* What the load generator sends and what it expects: whole requests made before the clock starts,
 * each with the answer that the server gave once, checked against the recorded prediction when the
 * data has one. Read-only afterwards, shared by all threads. */
#ifndef TERN_CLI_BENCH_DATA_H
#define TERN_CLI_BENCH_DATA_H

#include "cli/bench.h"
#include "cli/bench_tensor.h"
#include "cli/http_client.h"

#define TERN_BENCH_CASES_MAX 4096
#define TERN_BENCH_GENERATED 64 /* requests made up when there is no data */
#define TERN_BENCH_BODY_MAX  (256u * 1024 * 1024)
#define TERN_BENCH_TOLERANCE 1e-4

struct tern_bench_case {
    struct tern_buf request;         /* owned: head and body */
    struct tern_buf answer;          /* owned: the body of the first answer */
    struct tern_bench_tensors *want; /* owned: the recorded prediction, or the first answer */
    bool recorded;
};

struct tern_bench_data {
    char model[TERN_BENCH_NAME_MAX];
    int64_t version;               /* 0: unversioned path */
    struct tern_bench_case *cases; /* owned */
    size_t n_cases;
    double tolerance;
    uint64_t rows_per_request;
    bool recorded; /* answers are compared with recorded predictions */
    bool generated;
};

/* Asks for the model's metadata, reads or makes the rows, builds the requests. */
enum tern_code tern_bench_data_load(const struct tern_bench_options *options, struct tern_str model,
                                    struct tern_http_client *client,
                                    struct tern_bench_data *ret_data, struct tern_err *err);
void tern_bench_data_fini(struct tern_bench_data *data);

/* Sends each request once and keeps its answer. Fails when one is no answer, or is wrong. */
enum tern_code tern_bench_data_learn(struct tern_bench_data *data, struct tern_http_client *client,
                                     struct tern_err *err);

/* Whether an answer to case `at` is right: the same bytes as the first one, or else the same
 * values. Any thread. When not, `why` says what differs. */
bool tern_bench_data_check(const struct tern_bench_data *data, size_t at,
                           const struct tern_http_reader *reader, char *why, size_t why_max);

#endif
