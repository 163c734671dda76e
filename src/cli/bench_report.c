/* The result of a load test in words and bars, and as JSON. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/mem.h"
#include "cli/bench.h"
#include "cli/duration.h"
#include "cli/bench_data.h"

#define BARS      18
#define BAR_WIDTH 50

static const double percents[] = {50, 90, 99, 99.9};
static const char *const percent_names[] = {"p50", "p90", "p99", "p99.9"};

static const char *bytes_text(uint64_t bytes, char dst[32])
{
    static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t i = 0;

    while (v >= 1024 && i + 1 < TERN_COUNT_OF(names)) {
        v /= 1024;
        i++;
    }
    (void)snprintf(dst, 32, i == 0 ? "%.0f %s" : "%.1f %s", v, names[i]);
    return dst;
}

static double per_second(uint64_t n, uint64_t ns)
{
    return ns == 0 ? 0 : (double)n * TERN_NS_PER_S / (double)ns;
}

/* Equal steps of the logarithm from the least to the greatest latency. The bar of a step shows its
 * share; a share too small for a full mark is a dot, so that the tail is seen. */
static void print_histogram(const struct tern_histogram *h, FILE *out)
{
    uint64_t count[BARS] = {0};
    uint64_t most = 1;
    char text[32];

    if (h->count == 0)
        return;
    double low = log((double)h->min + 1);
    double step = (log((double)h->max + 1) - low) / BARS;
    for (uint32_t i = 0; i < TERN_HISTOGRAM_SLOTS; i++) {
        if (h->slot[i] == 0)
            continue;
        double middle =
            ((double)tern_histogram_slot_low(i) + (double)tern_histogram_slot_high(i)) / 2;
        double at = step > 0 ? (log(middle + 1) - low) / step : 0;
        size_t bar = at < 0 ? 0 : at >= BARS ? BARS - 1 : (size_t)at;
        count[bar] += h->slot[i];
        most = count[bar] > most ? count[bar] : most;
    }
    (void)fprintf(out, "\n");
    for (size_t i = 0; i < BARS; i++) {
        char bar[BAR_WIDTH + 2] = {0};
        size_t width = (size_t)((double)count[i] * BAR_WIDTH / (double)most);
        memset(bar, '#', width);
        if (width == 0 && count[i] > 0)
            bar[0] = '.';
        uint64_t to = (uint64_t)(exp(low + step * (double)(i + 1)) - 1);
        (void)fprintf(out, "  <= %8s  %6.2f%%  %s\n",
                      tern_duration_print(i + 1 == BARS ? h->max : to, text),
                      100.0 * (double)count[i] / (double)h->count, bar);
    }
}

static void print_latency(const struct tern_histogram *h, bool open_loop, FILE *out)
{
    char text[32];

    (void)fprintf(out, "latency     ");
    for (size_t i = 0; i < TERN_COUNT_OF(percents); i++)
        (void)fprintf(out, "%s %s  ", percent_names[i],
                      tern_duration_print(tern_histogram_percentile(h, percents[i]), text));
    (void)fprintf(out, "max %s", tern_duration_print(h->max, text));
    (void)fprintf(out, "  (from the %s)\n", open_loop ? "intended start" : "sending");
}

static void print_load(const struct tern_bench_options *o, const struct tern_bench_data *data,
                       FILE *out)
{
    char text[32];

    (void)fprintf(out, "target      %.*s  model %s", TERN_STR_ARG(o->url), data->model);
    if (data->remote.version != 0)
        (void)fprintf(out, " version %lld", (long long)data->remote.version);
    (void)fprintf(out, "\nrequests    %zu different, %llu row%s each, %s, %s; answers %s\n",
                  data->n_cases,
                  (unsigned long long)(data->rows_per_request == 0 ? 1 : data->rows_per_request),
                  data->rows_per_request > 1 ? "s" : "", o->binary ? "binary" : "JSON",
                  data->generated ? "made up" : "from the data file",
                  data->recorded ? "compared with recorded predictions"
                                 : "compared with the first one of each");
    if (o->rate > 0)
        (void)fprintf(out, "load        open loop, %llu/s%s", (unsigned long long)o->rate,
                      o->poisson ? " by chance" : "");
    else
        (void)fprintf(out, "load        closed loop");
    (void)fprintf(out, ", %llu connections, %llu threads, warm-up %s\n",
                  (unsigned long long)o->connections, (unsigned long long)o->threads,
                  tern_duration_print(o->warmup_ns, text));
}

/* How the requests ended, when there is more to say than that all were answered. */
static void print_outcomes(const struct tern_bench_options *o, const struct tern_bench_result *r,
                           FILE *out)
{
    uint64_t due = tern_bench_result_due(r);
    char text[32];

    if (due == 0 || (o->slo_ns == 0 && r->outcome[TERN_BENCH_IN_TIME] == due))
        return;
    (void)fprintf(out, "outcomes   ");
    for (int i = 0; i < TERN_BENCH_OUTCOMES; i++) {
        if (r->outcome[i] > 0)
            (void)fprintf(out, " %s %.2f%% ", tern_bench_outcome_name((enum tern_bench_outcome)i),
                          100.0 * (double)r->outcome[i] / (double)due);
    }
    (void)fprintf(out, "\ngoodput     %.1f requests/s answered",
                  per_second(r->outcome[TERN_BENCH_IN_TIME], r->sending_ns));
    if (o->slo_ns > 0)
        (void)fprintf(out, " within %s", tern_duration_print(o->slo_ns, text));
    (void)fprintf(out, ", p50 %s",
                  tern_duration_print(tern_histogram_percentile(&r->right, 50), text));
    (void)fprintf(out, "  p99 %s of the right answers\n",
                  tern_duration_print(tern_histogram_percentile(&r->right, 99), text));
}

static void print_trouble(const struct tern_bench_result *r, FILE *out)
{
    (void)fprintf(out, "errors      %llu", (unsigned long long)r->errors);
    if (r->errors > 0)
        (void)fprintf(out, "  (the first: %s)", r->first_error);
    (void)fprintf(out, "\nwrong       %llu", (unsigned long long)r->wrong);
    if (r->wrong > 0)
        (void)fprintf(out, "  (the first: %s)", r->first_wrong);
    (void)fprintf(out, "\n");
    if (r->outcome[TERN_BENCH_UNSENT] > 0)
        (void)fprintf(out,
                      "unsent      %llu were due and found no free connection: the server is too "
                      "slow for this rate (their wait is in the latency)\n",
                      (unsigned long long)r->outcome[TERN_BENCH_UNSENT]);
    if (r->reconnects > 0)
        (void)fprintf(out, "reconnects  %llu\n", (unsigned long long)r->reconnects);
}

static void print_cpu(const struct tern_bench_result *r, FILE *out)
{
    double n = r->requests == 0 ? 1 : (double)r->requests;

    if (!r->has_cpu)
        return;
    (void)fprintf(out, "server CPU  %.2f us/request (user %.2f, system %.2f), %.2f cores\n",
                  (double)(r->server_user_ns + r->server_system_ns) / n / 1000,
                  (double)r->server_user_ns / n / 1000, (double)r->server_system_ns / n / 1000,
                  (double)(r->server_user_ns + r->server_system_ns) /
                      (double)(r->elapsed_ns == 0 ? 1 : r->elapsed_ns));
}

void tern_bench_print_text(const struct tern_bench_options *options,
                           const struct tern_bench_data *data,
                           const struct tern_bench_result *result, FILE *out)
{
    char text[3][32];

    print_load(options, data, out);
    (void)fprintf(out, "answered    %llu in %s: %.1f requests/s",
                  (unsigned long long)result->requests,
                  tern_duration_print(result->elapsed_ns, text[0]),
                  per_second(result->requests, result->elapsed_ns));
    if (options->rate > 0)
        (void)fprintf(out, " of %llu asked", (unsigned long long)options->rate);
    (void)fprintf(out, "\n");
    print_trouble(result, out);
    print_outcomes(options, result, out);
    print_latency(&result->latency, options->rate > 0, out);
    if (options->rate > 0)
        (void)fprintf(out, "generator   late by p50 %s  p99 %s  max %s\n",
                      tern_duration_print(tern_histogram_percentile(&result->lag, 50), text[0]),
                      tern_duration_print(tern_histogram_percentile(&result->lag, 99), text[1]),
                      tern_duration_print(result->lag.max, text[2]));
    (void)fprintf(out, "bytes       %s sent, %s received\n", bytes_text(result->bytes_out, text[0]),
                  bytes_text(result->bytes_in, text[1]));
    print_cpu(result, out);
    print_histogram(&result->latency, out);
}

static json_t *latency_json(const struct tern_histogram *h)
{
    json_t *latency = json_object();

    for (size_t i = 0; i < TERN_COUNT_OF(percents); i++)
        json_object_set_new(latency, percent_names[i],
                            json_integer((json_int_t)tern_histogram_percentile(h, percents[i])));
    json_object_set_new(latency, "min", json_integer(h->count == 0 ? 0 : (json_int_t)h->min));
    json_object_set_new(latency, "mean", json_real(tern_histogram_mean(h)));
    json_object_set_new(latency, "max", json_integer((json_int_t)h->max));
    json_object_set_new(latency, "count", json_integer((json_int_t)h->count));
    return latency;
}

static json_t *outcomes_json(const struct tern_bench_options *o, const struct tern_bench_result *r)
{
    json_t *outcomes = json_object();

    for (int i = 0; i < TERN_BENCH_OUTCOMES; i++)
        json_object_set_new(outcomes, tern_bench_outcome_name((enum tern_bench_outcome)i),
                            json_integer((json_int_t)r->outcome[i]));
    return json_pack("{s:o, s:I, s:I, s:I, s:f, s:f}", "outcomes", outcomes, "due",
                     (json_int_t)tern_bench_result_due(r), "slo_ns", (json_int_t)o->slo_ns,
                     "start_ns", (json_int_t)r->start_ns, "sending_seconds",
                     (double)r->sending_ns / TERN_NS_PER_S, "goodput",
                     per_second(r->outcome[TERN_BENCH_IN_TIME], r->sending_ns));
}

/* One pair an interval: due, in time. */
static json_t *slices_json(const struct tern_bench_result *r)
{
    json_t *slices = json_array();

    for (size_t i = 0; i < r->n_slices; i++)
        json_array_append_new(slices, json_pack("[I, I]", (json_int_t)r->slices[i].due,
                                                (json_int_t)r->slices[i].in_time));
    return slices;
}

void tern_bench_print_json(const struct tern_bench_options *options,
                           const struct tern_bench_data *data, const struct tern_bench_result *r,
                           FILE *out)
{
    json_t *root = json_pack(
        "{s:s#, s:s, s:I, s:I, s:b, s:b, s:s, s:I, s:b, s:I, s:I, s:I, s:f, s:f, s:I, s:I, s:I, "
        "s:I, s:I, s:I, s:s, s:s, s:o, s:o, s:o, s:I}",
        "url", options->url.p, (int)options->url.n, "model", data->model, "version",
        (json_int_t)data->remote.version, "batch", (json_int_t)data->rows_per_request, "binary",
        options->binary, "recorded", data->recorded, "loop", options->rate > 0 ? "open" : "closed",
        "rate_asked", (json_int_t)options->rate, "poisson", options->poisson, "connections",
        (json_int_t)options->connections, "threads", (json_int_t)options->threads, "requests",
        (json_int_t)r->requests, "rate", per_second(r->requests, r->elapsed_ns), "seconds",
        (double)r->elapsed_ns / TERN_NS_PER_S, "errors", (json_int_t)r->errors, "wrong",
        (json_int_t)r->wrong, "unsent", (json_int_t)r->outcome[TERN_BENCH_UNSENT], "reconnects",
        (json_int_t)r->reconnects, "bytes_sent", (json_int_t)r->bytes_out, "bytes_received",
        (json_int_t)r->bytes_in, "first_error", r->first_error, "first_wrong", r->first_wrong,
        "latency_ns", latency_json(&r->latency), "right_ns", latency_json(&r->right),
        "generator_lag_ns", latency_json(&r->lag), "client_cpu_ns", (json_int_t)r->client_cpu_ns);

    if (root == NULL)
        return; /* only text that is not UTF-8 leads here, and all of it was checked */
    json_object_update_new(root, outcomes_json(options, r));
    if (r->n_slices > 0)
        json_object_set_new(root, "intervals", slices_json(r));
    if (r->has_cpu) {
        json_object_set_new(root, "server_user_ns", json_integer((json_int_t)r->server_user_ns));
        json_object_set_new(root, "server_system_ns",
                            json_integer((json_int_t)r->server_system_ns));
    }
    (void)json_dumpf(root, out, JSON_INDENT(2) | JSON_REAL_PRECISION(9));
    (void)fputc('\n', out);
    json_decref(root);
}
