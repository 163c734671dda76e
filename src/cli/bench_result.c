#include "cli/bench_result.h"

#include <string.h>
#include "base/mem.h"

const char *tern_bench_outcome_name(enum tern_bench_outcome outcome)
{
    static const char *const names[TERN_BENCH_OUTCOMES] = {
        [TERN_BENCH_IN_TIME] = "in_time", [TERN_BENCH_LATE] = "late",
        [TERN_BENCH_REFUSED] = "refused", [TERN_BENCH_TIMEOUT] = "timeout",
        [TERN_BENCH_FAILED] = "failed",   [TERN_BENCH_WRONG] = "wrong",
        [TERN_BENCH_UNSENT] = "unsent",
    };
    return names[outcome];
}

enum tern_bench_outcome tern_bench_outcome_of_status(int status)
{
    switch (status) {
    case 429:
    case 503:
        return TERN_BENCH_REFUSED;
    case 504:
        return TERN_BENCH_TIMEOUT;
    default:
        return TERN_BENCH_FAILED;
    }
}

enum tern_code tern_bench_result_init(struct tern_bench_result *result,
                                      const struct tern_bench_options *options,
                                      struct tern_err *err)
{
    *result = (struct tern_bench_result){0};
    tern_histogram_init(&result->latency);
    tern_histogram_init(&result->right);
    tern_histogram_init(&result->lag);
    if (options->interval_ns == 0)
        return TERN_OK;
    uint64_t n = options->duration_ns / options->interval_ns + 1;
    if (options->duration_ns == 0 || n > TERN_BENCH_SLICES_MAX)
        return tern_fail(err, TERN_INVALID_ARGUMENT,
                         "--interval: needs a --duration of at most %d intervals",
                         TERN_BENCH_SLICES_MAX);
    result->slices = tern_mem_zalloc((size_t)n, sizeof(*result->slices));
    if (result->slices == NULL)
        return tern_mem_fail(err, "the intervals", (size_t)n * sizeof(*result->slices));
    result->n_slices = (size_t)n;
    return TERN_OK;
}

void tern_bench_result_fini(struct tern_bench_result *result)
{
    tern_mem_free(result->slices);
    result->slices = NULL;
    result->n_slices = 0;
}

void tern_bench_result_count(struct tern_bench_result *result,
                             const struct tern_bench_options *options, uint64_t due_ns,
                             uint64_t latency_ns, enum tern_bench_outcome outcome)
{
    if (outcome == TERN_BENCH_IN_TIME && options->slo_ns > 0 && latency_ns > options->slo_ns)
        outcome = TERN_BENCH_LATE;
    result->outcome[outcome]++;
    tern_histogram_record(&result->latency, latency_ns);
    if (outcome == TERN_BENCH_IN_TIME || outcome == TERN_BENCH_LATE)
        tern_histogram_record(&result->right, latency_ns);
    if (result->n_slices == 0)
        return;
    uint64_t at = (due_ns - result->start_ns) / options->interval_ns;
    struct tern_bench_slice *slice =
        &result->slices[at < result->n_slices ? at : result->n_slices - 1];
    slice->due++;
    slice->in_time += outcome == TERN_BENCH_IN_TIME ? 1 : 0;
}

static uint64_t larger(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

void tern_bench_result_add(struct tern_bench_result *into, const struct tern_bench_result *from)
{
    tern_histogram_merge(&into->latency, &from->latency);
    tern_histogram_merge(&into->right, &from->right);
    tern_histogram_merge(&into->lag, &from->lag);
    for (int i = 0; i < TERN_BENCH_OUTCOMES; i++)
        into->outcome[i] += from->outcome[i];
    for (size_t i = 0; i < into->n_slices && i < from->n_slices; i++) {
        into->slices[i].due += from->slices[i].due;
        into->slices[i].in_time += from->slices[i].in_time;
    }
    into->requests += from->requests;
    into->errors += from->errors;
    into->wrong += from->wrong;
    into->reconnects += from->reconnects;
    into->bytes_out += from->bytes_out;
    into->bytes_in += from->bytes_in;
    into->client_cpu_ns += from->client_cpu_ns;
    into->start_ns = from->start_ns; /* of all the same */
    into->sending_ns = larger(into->sending_ns, from->sending_ns);
    into->elapsed_ns = larger(into->elapsed_ns, from->elapsed_ns);
    tern_bench_note(into->first_error, from->first_error);
    tern_bench_note(into->first_wrong, from->first_wrong);
}

uint64_t tern_bench_result_due(const struct tern_bench_result *result)
{
    uint64_t n = 0;

    for (int i = 0; i < TERN_BENCH_OUTCOMES; i++)
        n += result->outcome[i];
    return n;
}

void tern_bench_note(char dst[256], const char *text)
{
    if (dst[0] == '\0')
        (void)tern_str_copy_z(tern_str_make(text, strnlen(text, 255)), dst, 256);
}
