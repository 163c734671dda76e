/* What watching costs: one record, one scrape with a thousand models, one log line. No anchor: the
 * numbers say how much of a request's budget they take. The best of several
 * rounds, so that other work on the machine does not count. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "core/access.h"
#include "core/trace.h"
#include "core/vitals.h"
#include "os/logsink.h"
#include "stat/catalog.h"
#include "stat/histogram.h"

#define ROUNDS 15
#define MODELS 1000

/* CPU time of this thread: steadier than the clock where others work too. */
static uint64_t cpu_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * TERN_NS_PER_S + (uint64_t)now.tv_nsec;
}

/* CPU nanoseconds of one of `n` calls. */
static double measure(void (*run)(void *arg, uint64_t i), void *arg, uint64_t n)
{
    double best = 1e18;

    for (int r = 0; r < ROUNDS; r++) {
        uint64_t start = cpu_ns();
        for (uint64_t i = 0; i < n; i++)
            run(arg, i);
        double ns = (double)(cpu_ns() - start) / (double)n;
        best = ns < best ? ns : best;
    }
    return best;
}

static void count(void *arg, uint64_t i)
{
    struct tern_model_cells *cells = arg;
    tern_counter_add(&cells->requests[i & 1], 1);
}

static void record(void *arg, uint64_t i)
{
    struct tern_model_cells *cells = arg;
    tern_latency_record(&cells->stage[TERN_STAGE_INFER], (i * 2654435761u) & 0xfffff);
}

static void record_hdr(void *arg, uint64_t i)
{
    tern_histogram_record(arg, (i * 2654435761u) & 0xffffff);
}

static void make_trace(void *arg, uint64_t i)
{
    struct tern_trace trace;
    char text[TERN_TRACE_PARENT_LEN + 1];

    (void)i;
    tern_trace_begin(&trace, TERN_STR("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                     arg);
    tern_trace_format(&trace, text);
}

static void log_access(void *arg, uint64_t i)
{
    const struct tern_access_line line = {
        .peer = TERN_STR("127.0.0.1:51234"),
        .method = TERN_STR("POST"),
        .path = TERN_STR("/v2/models/iris/infer"),
        .status = 200,
        .bytes_in = 118,
        .bytes_out = 214,
        .duration_ns = 40000 + i % 1000,
        .op = TERN_STR("infer"),
        .model = TERN_STR("iris"),
        .version = 1,
        .request_id = TERN_STR("3f2b9a40c5d84e1f9a7c6b5d4e3f2a10"),
        .trace_id = TERN_STR("4bf92f3577b34da6a3ce929d0e0e4736"),
    };
    tern_access_log(arg, &line);
}

static void nowhere(void *self, struct tern_str line)
{
    (void)self;
    (void)line;
}

static void bench_logs(void)
{
    struct tern_log log;
    struct tern_logsink *sink = NULL;
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

    for (int f = 0; f < 2; f++) {
        enum tern_log_format format = f == 0 ? TERN_LOG_TEXT : TERN_LOG_JSON;
        tern_log_init(&log, (struct tern_log_sink){nowhere, NULL}, TERN_LOG_INFO, format, false);
        printf("access line as %s, formatting alone     %8.1f ns\n", f == 0 ? "text" : "JSON",
               measure(log_access, &log, 200000));
        if (tern_logsink_open(fd, 64u << 20, format, &sink, NULL) != TERN_OK)
            return;
        tern_log_init(&log, tern_logsink_port(sink), TERN_LOG_INFO, format, false);
        double ns = measure(log_access, &log, 20000);
        printf("access line as %s, into the ring         %8.1f ns (%llu dropped)\n",
               f == 0 ? "text" : "JSON", ns, (unsigned long long)tern_logsink_dropped(sink));
        tern_logsink_close(sink);
    }
    close(fd);
}

struct scrape {
    struct tern_metrics *metrics;
    struct tern_metric_set *process;
    struct tern_buf page;
};

static void scrape(void *arg, uint64_t i)
{
    struct scrape *s = arg;

    (void)i;
    tern_buf_clear(&s->page);
    if (tern_metrics_write(s->metrics, &s->page, NULL) != TERN_OK)
        abort();
}

static void collect(void *arg, uint64_t i)
{
    struct scrape *s = arg;

    (void)i;
    tern_vitals_collect(s->process);
}

static void bench_scrape(struct tern_metrics *metrics, struct tern_metric_set *process, int busy)
{
    struct scrape s = {.metrics = metrics, .process = process};

    for (int m = 0; m < MODELS; m++) {
        char name[32];
        struct tern_metric_set *set = NULL;
        (void)snprintf(name, sizeof(name), "model_%d", m);
        struct tern_str values[] = {tern_str_of(name), TERN_STR("1")};
        if (tern_metrics_get(metrics, &tern_catalog_model, values, &set, NULL) != TERN_OK)
            abort();
        struct tern_model_cells *cells = tern_metric_set_cells(set, 0);
        for (uint64_t i = 0; i < 1000 && m < busy; i++) {
            for (int stage = 0; stage < TERN_STAGE_COUNT; stage++)
                tern_latency_record(&cells->stage[stage], i * 977);
            tern_counter_add(&cells->requests[0], 1);
        }
    }
    tern_buf_init(&s.page, 256u << 20);
    double ns = measure(scrape, &s, 5);
    printf("scrape, %d models, %4d of them used    %8.2f ms (%.1f MB)\n", MODELS, busy, ns / 1e6,
           (double)s.page.n / 1e6);
    printf("the process's own numbers                 %8.1f us\n", measure(collect, &s, 200) / 1e3);
    tern_buf_fini(&s.page);
}

static struct tern_metrics *make_metrics(struct tern_metric_set **ret_process,
                                         struct tern_model_cells **ret_cells)
{
    struct tern_metrics *metrics = NULL;
    struct tern_metric_set *set = NULL;
    struct tern_str values[] = {TERN_STR("iris"), TERN_STR("1")};

    if (tern_metrics_new(tern_catalog_groups, TERN_CATALOG_GROUPS, 2, 4096, &metrics, NULL) !=
            TERN_OK ||
        tern_metrics_get(metrics, &tern_catalog_process, NULL, ret_process, NULL) != TERN_OK ||
        tern_metrics_get(metrics, &tern_catalog_model, values, &set, NULL) != TERN_OK)
        abort();
    *ret_cells = tern_metric_set_cells(set, 0);
    return metrics;
}

int main(void)
{
    static struct tern_histogram histogram;
    struct tern_metric_set *process = NULL;
    struct tern_model_cells *cells = NULL;
    struct tern_trace_ids ids;

    for (int busy = 10; busy <= MODELS; busy += MODELS - 10) {
        struct tern_metrics *metrics = make_metrics(&process, &cells);
        if (busy == 10) {
            printf("count                                     %8.2f ns\n",
                   measure(count, cells, 1000000));
            printf("record a latency (metrics)                %8.2f ns\n",
                   measure(record, cells, 1000000));
        }
        bench_scrape(metrics, process, busy);
        tern_metrics_free(metrics);
    }
    tern_histogram_init(&histogram);
    printf("record a latency (load generator)         %8.2f ns\n",
           measure(record_hdr, &histogram, 1000000));
    if (tern_trace_ids_init(&ids, NULL) == TERN_OK)
        printf("read a traceparent, make the next one     %8.1f ns\n",
               measure(make_trace, &ids, 100000));
    bench_logs();
    return 0;
}
