/* What the load generator sends and what it expects: whole requests made before the clock starts,
 * each with the answer that the server gave once, checked against the recorded prediction when the
 * data has one. Read-only afterwards, shared by all threads. */
#ifndef TERN_CLI_BENCH_DATA_H
#define TERN_CLI_BENCH_DATA_H

#include "cli/bench.h"
#include "cli/remote.h"
#include "cli/v2.h"

#define TERN_BENCH_CASES_MAX 4096
#define TERN_BENCH_GENERATED 64 /* requests made up when there is no data */
#define TERN_BENCH_BODY_MAX  (256u * 1024 * 1024)

struct tern_bench_case {
    struct tern_buf request;     /* owned: head and body */
    struct tern_buf answer;      /* owned: the body of the first answer */
    struct tern_v2_tensors want; /* the recorded prediction, or the first answer */
};

struct tern_bench_data {
    struct tern_arena arena;   /* of the tensors */
    struct tern_remote remote; /* closed once the answers are known */
    char model[TERN_MODEL_NAME_MAX + 1];
    struct tern_bench_case *cases; /* owned */
    size_t n_cases;
    double tolerance;
    size_t rows_per_request; /* 0: the model takes no batches */
    bool recorded;           /* answers are compared with recorded predictions */
    bool generated;
};

/* Asks what the model takes, reads or makes the rows, builds the requests, sends each once and
 * keeps its answer. Fails when one is no answer, or is wrong. The data must not move afterwards. */
enum tern_code tern_bench_data_load(const struct tern_bench_options *options, struct tern_str model,
                                    struct tern_bench_data *ret_data, struct tern_err *err);
void tern_bench_data_fini(struct tern_bench_data *data);

/* Whether an answer to case `at` is right: the same bytes as the first one, or else the same
 * values. Any thread. When not, `why` says what differs. */
bool tern_bench_data_check(const struct tern_bench_data *data, size_t at,
                           const struct tern_http_reader *reader, char *why, size_t why_max);

#endif
